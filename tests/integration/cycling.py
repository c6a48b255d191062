"""Programs that people run, and what is done to them: cycles of snapshots, kill -9 and restarts, all on one lineage.

Memory is tracked, so that every snapshot but the first is a delta, and every restart is lazy. A cycle is: some work, a
snapshot, some work, another snapshot, work that gets lost, kill -9 of everything, a restart. While memory comes back
after it, there is by turns nothing, a snapshot at once, or kill -9 again and another restart.
"""
import contextlib
import dataclasses
import random
import time

import world
from harness import EXIT, Subject
from world import wait_until

KEPT = "4"  # snapshots of each lineage: those that go must not be missed
KILL_AGAIN_S = 0.1  # after a restart, at most: some hundreds of MiB take longer to come back


@dataclasses.dataclass
class Cycle:
    number: int
    chance: random.Random


class Cycles:
    """How often, and the same chance every time for the same seed."""

    def __init__(self, count, seed):
        self.count, self.chance = count, random.Random(seed)

    def __iter__(self):
        return (Cycle(number, self.chance) for number in range(self.count))


class Lineage:
    """What all such programs have in common. Requires: holdfast, name, pid, supervisor."""

    def snapshot(self):
        return self.holdfast.checkpoint(self.name, "--capture", "precopy")

    def restart(self, cycle):
        report = self.restart_lazily()
        if cycle.number % 3 == 1:
            self.snapshot()
        elif cycle.number % 3 == 2:
            time.sleep(cycle.chance.uniform(0, KILL_AGAIN_S))
            self.kill()
            self.restart_lazily()
        return report

    def restart_lazily(self):
        report = self.holdfast.resume(self.name, "--lazy")
        assert report["bytes_to_come"] > 0, report
        self.pid, self.supervisor = report["pid"], report["supervisor_pid"]
        return report

    def kill(self):
        world.kill_tree(self.pid, also=[self.supervisor])

    def assert_lineage(self):
        rows = self.holdfast.ok("snapshots", self.name)
        assert 0 < len(rows) <= int(KEPT), rows
        assert all(row["kind"] == "delta" for row in rows if row["snapshot"] != f"{self.name}@1"), rows
        self.holdfast.verify()


class Program(Lineage, Subject):
    """It finds out itself whether it is right. From somewhere else than tests/programs: its directory comes after the
    words that start it."""

    def __init__(self, holdfast, name, words, *arguments):
        self.holdfast, self.name = holdfast, name
        self.directory = holdfast.directory / name
        self.directory.mkdir()
        self.command = [*map(str, words), str(self.directory), *map(str, arguments)]
        self.pid = self.supervisor = None

    def run(self, *options):
        return super().run("--keep", KEPT, *options)

    def assert_alright(self, rounds=3):
        """It lives, finds itself right, and nothing is left in it or beside it."""
        self.wait_rounds(rounds)
        assert world.is_alive(self.pid), f"{self.name} is dead: {world.read_status(self.pid)}"
        self.holdfast.assert_nothing_left(self.pid, self.supervisor, at_once=False)

    def cycle(self, cycle, meanwhile=None):
        self.assert_alright(cycle.chance.randint(1, 3))
        self.snapshot()
        self.assert_alright(cycle.chance.randint(1, 3))
        self.snapshot()
        self.assert_alright(cycle.chance.randint(1, 3))
        self.kill()
        self.assert_good()
        if meanwhile:
            meanwhile()
        self.restart(cycle)
        self.assert_alright()

    def restart_lazily(self):
        with contextlib.suppress(FileNotFoundError):
            (self.directory / "verdict").unlink()
        return super().restart_lazily()


class Batch(Lineage):
    """A program that comes to an end by itself, in a folder of its own."""

    def __init__(self, holdfast, name, command, folder, progress=None, env=None):
        self.holdfast, self.name, self.command, self.folder, self.env = holdfast, name, command, folder, env
        self.progress = progress or (lambda: self.log("stdout").count(b"\n"))
        self.pid = self.supervisor = None
        self.kills = self.most_processes = 0

    def log(self, stream):
        with contextlib.suppress(FileNotFoundError):
            return (self.holdfast.store / "jobs" / self.name / f"{stream}.log").read_bytes()
        return b""

    def said(self):
        """Its whole stdout and stderr."""
        answer = self.holdfast.run("logs", self.name)
        assert answer.status == 0, str(answer)
        return answer.out, answer.err

    def run(self, *options):
        options = ("--keep", KEPT, *options)
        started = self.holdfast.run_detached(self.name, *self.command, options=options, cwd=self.folder, env=self.env)
        self.pid, self.supervisor = started["pid"], started["supervisor_pid"]

    def wait_progress(self, wanted):
        def far_enough():
            assert world.is_alive(self.pid), f"{self.name} has ended at {self.progress()}, before {wanted}: {self.said()}"
            return self.progress() >= wanted

        wait_until(far_enough, lambda: f"{self.name} to get to {wanted}, it is at {self.progress()}")

    def wait_progress_or_end(self, wanted):
        wait_until(lambda: self.progress() >= wanted or not self.runs(), lambda: f"{self.name} to get to {wanted}: {self.progress()}")

    def cycle(self, cycle, at, lost):
        """Snapshots from `at` on, kill -9 for all after `lost` more, which has to be done again. Where snapshots take long
        it may come to its end instead, which is lost as well."""
        self.wait_progress_or_end(at)
        if self.snapshot() and self.snapshot():
            self.wait_progress_or_end(self.progress() + lost)
        if self.runs():
            self.kill()
        restarted = self.restart(cycle)
        assert restarted["files_put_back"], f"what was done after the freeze has left no trace: {restarted}"

    def runs(self):
        if world.is_alive(self.pid):
            return True
        wait_until(lambda: self.holdfast.row(self.name)["state"] == "exited", f"the end of {self.name} to be noticed")
        return False

    def snapshot(self):
        """Its report; None: the program came to its end first."""
        answer = self.holdfast.run("checkpoint", self.name, "--capture", "precopy", "--json")
        if answer.status == EXIT["not-found"] and not self.runs():
            return None
        assert answer.status == 0, str(answer)
        self.most_processes = max(self.most_processes, answer.json["processes"])
        return answer.json

    def kill(self):
        self.kills += 1
        super().kill()

    def finish(self):
        """Its exit status."""
        assert self.kills > 0, "it has never been killed in the middle"
        wait_until(lambda: self.holdfast.row(self.name)["state"] == "exited", f"{self.name} to end", interval=0.2)
        print(f"{self.name}: killed {self.kills} times")
        self.holdfast.assert_nothing_left(self.pid, at_once=False)
        self.assert_lineage()
        return self.holdfast.row(self.name)["exit_status"]
