"""A later snapshot stores what changed since the one before it, and is complete all the same."""
import os
import pathlib
import random
import signal

import pytest
import world
from harness import MEMORY_PROGRAMS
from killing import cut_off_checkpoint
from world import tracked_mappings

PRECOPY = ("--capture", "precopy")  # small programs, too


def row_of(holdfast, snapshot):
    return next(row for row in holdfast.ok("snapshots", snapshot.split("@")[0]) if row["snapshot"] == snapshot)


@pytest.mark.parametrize("program", MEMORY_PROGRAMS)
def test_cycles(program, subject, holdfast):
    """Three snapshots in a row, two restarts that track from the first write on, more snapshots after each, restarts from the last and from
    one in the middle."""
    name, *arguments = program.split()
    job = subject(name, *arguments).run()
    for _ in range(3):
        job.wait_rounds(2)
        job.checkpoint(*PRECOPY)
    job.assert_untouched()
    for how in ("--eager", "--lazy"):
        job.kill()
        job.resume(None, how)
        for rounds in (0, 2):
            job.wait_rounds(rounds)
            job.checkpoint(*PRECOPY)
        job.assert_untouched()
    for version in (None, 2):
        job.kill()
        job.resume(version)
        job.wait_rounds(3)
        job.assert_good()
    holdfast.verify()


def test_stores_what_changed(subject, holdfast):
    job = subject("slow_writer", 128, 2).run()
    first = job.checkpoint(*PRECOPY)
    assert first["bytes_captured"] >= 128 << 20, first
    assert tracked_mappings(job.pid) > 0
    for version in range(2, 5):
        delta = job.checkpoint(*PRECOPY)
        assert delta["bytes_captured"] < 16 << 20 and delta["bytes_stored"] < first["bytes_stored"] / 2, delta
        row = row_of(holdfast, delta["snapshot"])
        assert row["kind"] == "delta" and row["parent"] == f"{job.name}@{version - 1}", row
    # Whoever comes before may go: each one is whole.
    holdfast.ok("rm", f"{job.name}@1")
    holdfast.ok("rm", f"{job.name}@3")
    holdfast.ok("prune")
    job.kill()
    for version in (2, 4):
        job.resume(version)
        job.wait_rounds(9)  # in eight it looks at all of its memory
        job.kill()


@pytest.mark.parametrize("mode, first_mebibytes", [("rewritten", 32), ("zeros", 0), ("workers", 32)])
def test_what_is_the_same_is_stored_once(mode, first_mebibytes, subject, holdfast):
    """Pages that were written with what they held, pages of zeros, and pages that five processes have from one fork."""
    job = subject("same_pages", mode).run()
    job.wait_rounds(1)
    first = job.checkpoint(*PRECOPY)
    around = 4 << 20  # libraries, stacks, kernel objects
    assert first_mebibytes << 20 <= first["bytes_stored"] < (first_mebibytes << 20) + around, first
    job.wait_rounds(2)
    second = job.checkpoint(*PRECOPY)
    assert second["bytes_stored"] < around, second
    if mode == "rewritten":
        assert second["bytes_captured"] >= 32 << 20, "it was not written again: the test tests nothing"
    job.kill()
    job.resume()
    job.wait_rounds(2)
    assert job.checkpoint(*PRECOPY)["bytes_stored"] < around
    job.assert_good()


@pytest.mark.parametrize("how", ["--eager", "--lazy"])
def test_a_restarted_job_goes_on_with_deltas(how, subject, holdfast):
    """What was tracked at the snapshot is tracked again from the restart on: only what was written since is looked at."""
    job = subject("slow_writer", 128, 2).run()
    job.checkpoint(*PRECOPY)
    for _ in range(3):
        job.kill()
        job.resume(None, how)
        for _ in range(2):
            job.wait_rounds(1)
            delta = job.checkpoint(*PRECOPY)
            assert delta["bytes_captured"] < 32 << 20, delta
            job.assert_untouched()
    job.wait_rounds(9)  # in eight it looks at all of its memory
    assert tracked_mappings(job.pid) > 0
    holdfast.verify()


def test_a_restarted_job_is_tracked_only_if_it_was(subject, holdfast):
    job = subject("slow_writer", 64).run()
    first = job.checkpoint()
    job.kill()
    job.resume(None, "--eager")
    assert tracked_mappings(job.pid) == 0
    again = job.checkpoint(*PRECOPY)
    # All of it is looked at, and what is in the store already is not stored again.
    assert again["bytes_captured"] >= 64 << 20 and again["bytes_stored"] < first["bytes_stored"] / 2, again
    assert job.checkpoint(*PRECOPY)["bytes_captured"] < 16 << 20


def test_a_supervisor_is_killed_after_a_restart(subject, holdfast):
    """Then nobody holds on to what was tracked, and all is looked at."""
    job = subject("slow_writer", 64).run()
    job.checkpoint(*PRECOPY)
    job.kill()
    job.resume(None, "--eager")
    assert tracked_mappings(job.pid) > 0
    os.kill(job.supervisor, signal.SIGKILL)
    world.wait_until(lambda: tracked_mappings(job.pid) == 0, "the tracking to end")
    assert job.checkpoint(*PRECOPY)["bytes_captured"] >= 64 << 20
    job.wait_rounds(2)


def test_the_last_one_before_a_stop_is_a_delta(subject, holdfast):
    """So that it fits into the seconds that a SIGTERM leaves."""
    job = subject("slow_writer", 64, 2).run()
    job.checkpoint(*PRECOPY)
    job.wait_rounds(2)
    last = job.checkpoint(*PRECOPY, "--stop")
    assert last["bytes_captured"] < 16 << 20, last
    job.resume()
    job.wait_rounds(9)


def test_an_exec_begins_anew(subject, holdfast):
    """What was tracked of the old program means nothing for the new one, which is tracked from then on."""
    job = subject("exec_storm").run()
    for _ in range(4):
        job.wait_rounds(2)
        job.checkpoint(*PRECOPY)
    job.assert_untouched()
    job.kill()
    job.resume()
    job.wait_rounds(3)


def test_is_tracked_only_as_long_as_someone_holds_on(subject, holdfast):
    """Without a supervisor nobody does: nothing of it is left in the job."""
    job = subject("slow_writer", 32).spawn()
    before = {fd.name for fd in pathlib.Path(f"/proc/{job.pid}/fd").iterdir()}
    for _ in range(2):
        report = job.checkpoint_by_pid(*PRECOPY)
        assert "pre-copied" in report["capture_reason"], report
        assert tracked_mappings(job.pid) == 0
        assert {fd.name for fd in pathlib.Path(f"/proc/{job.pid}/fd").iterdir()} == before
        job.assert_untouched()


def test_two_lineages_of_one_process(subject, holdfast):
    """The one leaves alone what the other one tracks."""
    job = subject("slow_writer", 32, 40).run()
    job.checkpoint(*PRECOPY)
    for _ in range(3):
        job.wait_rounds(2)
        report = holdfast.checkpoint("--pid", job.pid, "--name", "other", *PRECOPY)
        assert "pre-copied" not in report["capture_reason"], report
        job.wait_rounds(2)
        assert job.checkpoint(*PRECOPY)["bytes_captured"] < 16 << 20
    job.kill()
    job.resume()
    job.wait_rounds(9)
    job.kill()
    job.resume(2)
    job.wait_rounds(9)


def test_supervisor_is_killed_between_two(subject, holdfast):
    job = subject("slow_writer", 32).run()
    job.checkpoint(*PRECOPY)
    os.kill(job.supervisor, signal.SIGKILL)
    world.wait_until(lambda: tracked_mappings(job.pid) == 0, "the tracking to end")
    report = holdfast.checkpoint(job.name, *PRECOPY)
    assert report["bytes_captured"] >= 32 << 20, report
    world.kill_tree(job.pid)
    job.resume()
    job.wait_rounds(9)


def test_checkpoints_are_killed_in_between(subject, holdfast, seed):
    """What the killed one had learnt of the job's writes dies with it; the next one misses none of them."""
    job = subject("memory_churn", "all", 32).run()
    job.checkpoint(*PRECOPY)
    chance = random.Random(seed)
    for _ in range(10):
        cut_off_checkpoint(job, holdfast, chance, *PRECOPY)
        job.checkpoint(*PRECOPY)
        job.assert_untouched()
    job.kill()
    job.resume()
    job.wait_rounds(3)
    holdfast.verify()


def test_many_deltas(subject, holdfast):
    """Thirty in a row, of which five are kept."""
    job = subject("memory_churn", "all", 24).run("--keep", "5")
    for _ in range(30):
        job.checkpoint(*PRECOPY)
    job.assert_untouched()
    assert len(holdfast.ok("snapshots", job.name)) == 5
    for version in (26, 30):
        job.kill()
        job.resume(version)
        job.wait_rounds(3)
    holdfast.verify()
