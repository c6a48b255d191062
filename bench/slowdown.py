"""How much slower checkpoints make a job: the same amount of work without and with them, in turn, so that a machine's mood
strikes all alike.

A piece of work (class Work) is a command that does so much and then ends, and what its output says about it.
"""
import os
import statistics
import subprocess
import threading
import time

import processes
from processes import Failed

KEPT = "2"  # snapshots
BEGIN = "begin"  # a line of a job's output
END_NOTICED_S = 2  # after the job's end, which is no failure of a dump that it meets


class Work:
    """`amount`: how much of it, in units of its own."""

    name = unit = ""
    calibration = 0  # an amount that takes some seconds

    def why_not(self):
        """Why it cannot run here, or None."""
        raise NotImplementedError

    def command(self, amount):
        """Requires: it says BEGIN, or whatever `begins` knows, once what is measured begins."""
        raise NotImplementedError

    def begins(self, line):
        return line == BEGIN

    def figures(self, amount, lines):
        """{"seconds": ...}, of the work without its beginning, and {"p99_ms", "worst_ms"} of its single steps where it
        knows them. `lines`: (time, text) of its output."""
        raise NotImplementedError


def run_to_end(work, amount, command, environment=None, count=lambda: 0, begin=lambda pid: None):
    """`count`: how many checkpoints there were so far; only those of what is measured are counted. `begin`: is told the
    process once it runs."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=environment,
    )
    lines, before = [], None
    try:
        begin(child.pid)
        for line in child.stdout:
            lines.append((time.monotonic(), line.strip()))
            if before is None and work.begins(lines[-1][1]):
                before = count()
        status = child.wait()
    finally:
        processes.kill_tree(child.pid)
        child.wait()
    if status != 0:
        raise Failed(f"{work.name} ended with status {status}: {lines[-3:]}")
    return work.figures(amount, lines) | {"checkpoints": count() - (before or 0)}


def run_alone(work, amount):
    return run_to_end(work, amount, work.command(amount))


def run_with_holdfast(work, amount, holdfast, every_s):
    store = holdfast.new_store("slowdown")
    options = ["--name", "slowdown", "--every", f"{every_s}s", "--keep", KEPT]
    command = [holdfast.program, "run", *options, "--", *work.command(amount)]

    def newest():
        row = holdfast.ask("ps", store=store)[0][0]
        return int(row["newest"].rsplit("@", 1)[1]) if row["newest"] else 0

    try:
        return run_to_end(work, amount, command, dict(os.environ, HOLDFAST_STORE=str(store)), newest)
    finally:
        holdfast.remove_store(store)


class DumpingByInterval:
    """Stock CRIU as a thread beside the job: a full dump, then images that are thrown away, then a rest."""

    def __init__(self, stock, every_s):
        self.stock, self.every_s = stock, every_s
        self.over, self.count, self.error = threading.Event(), 0, None

    def start(self, pid):
        self.pid, self.thread = pid, threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        due = time.monotonic() + self.every_s
        while not self.over.wait(max(0.0, due - time.monotonic())):
            try:
                self.stock.dump(self.pid)
            except Failed as error:
                if not self.over.wait(END_NOTICED_S):
                    self.error = error
                return
            self.count += 1
            due = max(due + self.every_s, time.monotonic())

    def end(self):
        self.over.set()
        self.thread.join()
        self.stock.remove_images()


def run_with_stock(work, amount, stock, every_s):
    dumping = DumpingByInterval(stock, every_s)
    command = work.command(amount)
    try:
        figures = run_to_end(work, amount, command, count=lambda: dumping.count, begin=dumping.start)
    finally:
        dumping.end()
    if dumping.error:
        raise dumping.error
    return figures


def lost(alone, disturbed, every_s):
    """What each checkpoint took from the work, of the medians, and what that is with one every minute."""
    taken = sum(run["checkpoints"] for run in disturbed)
    if taken == 0:
        raise Failed("the work was over before its first checkpoint; give it more")
    undisturbed_s = statistics.median(run["seconds"] for run in alone)
    lost_s = statistics.median(run["seconds"] for run in disturbed) - undisturbed_s
    each_s = lost_s / (taken / len(disturbed))
    return {
        "every_s": every_s,
        "checkpoints": taken,
        "slowdown": lost_s / undisturbed_s,
        "lost_ms_per_checkpoint": each_s * 1000,
        "slowdown_every_60_s": each_s / 60,
    }
