"""The PyTorch job of examples/training: its freeze, drain and restart, and how much slower checkpoints make it."""
import os
import pathlib
import statistics
import subprocess
import time

import machine
import processes
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


def run_to_end(bench, steps, every):
    """Under `holdfast run` from the first printed step to the last: seconds, and how many snapshots fell into it."""
    store = bench.holdfast.new_store("training")
    interval = ["--every", f"{every}s", "--keep", "2"] if every else []
    child = subprocess.Popen(
        [bench.holdfast.program, "run", "--name", "training", *interval, "--", *command(steps)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ, HOLDFAST_STORE=str(store)),
    )
    times = []
    try:
        for line in child.stdout:
            if line.startswith("epoch "):
                times.append(time.monotonic())
        status = child.wait()
    finally:
        processes.kill_tree(child.pid)
    if status != 0 or len(times) != steps:
        raise Failed(f"the training under holdfast run printed {len(times)} of {steps} steps, status {status}")
    snapshots = bench.holdfast.ask("snapshots", "training", store=store)[0] if every else []
    newest = max((int(entry["snapshot"].rsplit("@", 1)[1]) for entry in snapshots), default=0)
    bench.holdfast.remove_store(store)
    return times[-1] - times[0], newest


def measure_slowdown(bench, pairs, steps, tell):
    """Runs without and with checkpoints in turn, so that a machine's mood strikes both."""
    without, with_, snapshots = [], [], 0
    for _ in range(pairs):
        without.append(run_to_end(bench, steps, None)[0])
        tell(f"no checkpoints: {(steps - 1) / without[-1]:.2f} steps/s")
        seconds, count = run_to_end(bench, steps, EVERY_SECONDS)
        with_.append(seconds)
        snapshots += count
        tell(f"every {EVERY_SECONDS} s: {(steps - 1) / seconds:.2f} steps/s, {count} snapshots")
    if snapshots == 0:
        raise Failed("the training was over before its first snapshot; take more steps")
    lost = statistics.median(with_) - statistics.median(without)
    return {
        "steps": steps,
        "every_s": EVERY_SECONDS,
        "snapshots": snapshots,
        "seconds_without": without,
        "seconds_with": with_,
        "steps_per_s_without": (steps - 1) / statistics.median(without),
        "steps_per_s_with": (steps - 1) / statistics.median(with_),
        "slowdown": lost / statistics.median(without),
        "lost_ms_per_checkpoint": lost / (snapshots / pairs) * 1000,
        "slowdown_every_60_s": lost / (snapshots / pairs) / 60,
    }


def measure(bench, repeat, steps, tell):
    result = measure_figures(bench, repeat, tell)
    result["slowdown"] = measure_slowdown(bench, max(1, repeat - 1), steps, tell)
    return result
