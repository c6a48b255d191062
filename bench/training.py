"""The PyTorch job of examples/training: its freeze, drain and restart, and how much slower checkpoints make it."""
import os
import pathlib
import statistics
import subprocess

import machine
import processes
import slowdown
from processes import Failed

PYTHON = "/usr/bin/python3"
PROGRAM = pathlib.Path(__file__).resolve().parents[1] / "examples" / "training" / "train.py"
LOADED_CPU_SECONDS = 6  # by then the optimizer's memory is there
EVERY_SECONDS = 10  # instead of 60, so that a run need not take many minutes
STEPS_ENDLESS = 1_000_000


def why_not():
    result = subprocess.run([PYTHON, "-c", "import torch"], capture_output=True, check=False)
    return None if result.returncode == 0 else f"{PYTHON} has no PyTorch (the package python3-torch)"


def command(steps):
    return [PYTHON, str(PROGRAM), "--steps", str(steps)]


class Training:
    """The job with all its output thrown away. Requires: used in a `with`."""

    def __enter__(self):
        self.child = subprocess.Popen(
            command(STEPS_ENDLESS),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            processes.wait_until(self.is_training, "the training to get going", interval=0.1)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def pid(self):
        return self.child.pid

    def is_training(self):
        if self.child.poll() is not None:
            raise Failed(f"the training ended by itself with status {self.child.returncode}")
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") >= LOADED_CPU_SECONDS

    def resident_bytes(self):
        return int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def kill(self):
        processes.kill_tree(self.pid)
        self.child.wait()


def measure_figures(bench, repeat, tell):
    result = {"holdfast": [], "holdfast_restart": [], "stock": [], "stock_restart": []}
    result |= {"label": "PyTorch training", "busy_before": machine.busy_share()}
    store = None
    with Training() as job:
        result["resident_bytes"] = job.resident_bytes()
        for _ in range(repeat):
            store = bench.holdfast.new_store("training")
            result["holdfast"].append(bench.holdfast.checkpoint(job.pid, store))
            tell(f"Holdfast: freeze {result['holdfast'][-1]['freeze_ms']:.1f} ms")
        for _ in range(repeat):
            job.kill()
            bench.before_restart()
            figures, supervisor = bench.holdfast.resume(store)
            result["holdfast_restart"].append(figures)
            tell(f"Holdfast: restarted in {figures['wall_ms']:.0f} ms")
            job.kill()
            bench.holdfast.await_end(supervisor)
    bench.holdfast.remove_store(store)
    with Training() as job:
        for _ in range(repeat):
            result["stock"].append(bench.stock.dump(job.pid))
            tell(f"stock CRIU: frozen {result['stock'][-1]['freeze_ms']:.0f} ms")
        for _ in range(repeat):
            job.kill()
            bench.before_restart()
            result["stock_restart"].append(bench.stock.restore())
            tell(f"stock CRIU: restored in {result['stock_restart'][-1]['wall_ms']:.0f} ms")
    bench.stock.remove_images()
    return result


class TrainingWork(slowdown.Work):
    name, unit, calibration = "PyTorch training", "steps", 10

    def why_not(self):
        return why_not()

    def command(self, amount):
        return command(amount)

    def begins(self, line):
        return line.startswith("epoch ")

    def figures(self, amount, lines):
        times = [when for when, line in lines if self.begins(line)]
        if len(times) != amount:
            raise Failed(f"the training printed {len(times)} of {amount} steps")
        return {"seconds": times[-1] - times[0]}


def measure_slowdown(bench, pairs, steps, tell):
    """Runs without and with checkpoints in turn, so that a machine's mood strikes both."""
    work, without, with_ = TrainingWork(), [], []
    for _ in range(pairs):
        without.append(slowdown.run_alone(work, steps))
        tell(f"no checkpoints: {(steps - 1) / without[-1]['seconds']:.2f} steps/s")
        with_.append(slowdown.run_with_holdfast(work, steps, bench.holdfast, EVERY_SECONDS))
        tell(f"every {EVERY_SECONDS} s: {(steps - 1) / with_[-1]['seconds']:.2f} steps/s, {with_[-1]['checkpoints']} snapshots")
    return slowdown.lost(without, with_, EVERY_SECONDS) | {
        "steps": steps,
        "seconds_without": [run["seconds"] for run in without],
        "seconds_with": [run["seconds"] for run in with_],
        "steps_per_s_without": (steps - 1) / statistics.median(run["seconds"] for run in without),
        "steps_per_s_with": (steps - 1) / statistics.median(run["seconds"] for run in with_),
    }


def measure(bench, repeat, steps, tell):
    result = measure_figures(bench, repeat, tell)
    result["slowdown"] = measure_slowdown(bench, max(1, repeat - 1), steps, tell)
    return result
