"""Checkpoints that are killed with -9 at a random moment: used by a short test and by the long soak."""
import dataclasses
import os
import signal
import time

import world


CRIU_NAMES = ("criu", "ld-linux-x86-64")  # the second as scripts/install-criu starts it


@dataclasses.dataclass
class Tally:
    killed: int = 0  # the checkpoint was cut off
    committed: int = 0  # the kill came too late
    refused: int = 0


def kill_one_checkpoint(job, holdfast, random, tally, longest_s):
    """Starts a checkpoint, kills it (or it and all its helpers) after a random time; then everything has to be right."""
    snapshots_before = {row["snapshot"] for row in holdfast.ok("snapshots", job.name)} if tally.committed else set()
    process = holdfast.start("checkpoint", job.name, "--json", output="killed-checkpoint")
    delay = random.uniform(0, longest_s)
    time.sleep(delay)
    with_helpers = random.random() < 0.3
    # Not CRIU: killed while its parasite runs in the job, it leaves that there. It ends by itself when we are gone.
    helpers = [
        status.pid for status in holdfast.strangers(job.pid, job.supervisor) if with_helpers and status.name not in CRIU_NAMES
    ]
    for pid in [process.pid, *helpers]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    status = process.wait(world.HANG_GUARD_S)
    holdfast.popens.remove(process)
    if status == 0:
        tally.committed += 1
    elif status == -signal.SIGKILL:
        tally.killed += 1
    else:
        tally.refused += 1
    holdfast.transcript.append(f"killed after {delay:.4f} s{' with ' + str(helpers) if helpers else ''}: status {status}")

    assert world.is_alive(job.pid), f"the job died of it: {world.read_status(job.pid)}"
    holdfast.assert_nothing_left(job.pid, job.supervisor, at_once=False)
    job.wait_rounds(2)
    if snapshots_before:
        now = {row["snapshot"] for row in holdfast.ok("snapshots", job.name)}
        assert snapshots_before <= now, f"a snapshot has gone: {snapshots_before - now}"


def cut_off_checkpoint(job, holdfast, random, *options):
    """Starts one and kills it at some time soon, wherever it is; nothing of it may be left."""
    process = holdfast.start("checkpoint", job.name, *options, output="killed-checkpoint")
    time.sleep(random.uniform(0, 0.3))
    process.kill()
    process.wait()
    holdfast.popens.remove(process)
    holdfast.assert_nothing_left(job.pid, job.supervisor, at_once=False)


def measure_checkpoint(job):
    """How long one takes, so that kills hit all of it."""
    started = time.monotonic()
    job.checkpoint()
    return time.monotonic() - started
