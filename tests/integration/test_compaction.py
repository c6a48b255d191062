"""Compaction offline: what snapshots need is put together, whatever goes on beside it, and every one of them restarts."""
import random
import signal
import time

import pytest
import world
from harness import EXIT

PRECOPY = ("--capture", "precopy")  # deltas of small programs, too
RATIO_MAX = 1.1  # of the segments' size to what snapshots need of them


def segment_bytes(holdfast):
    return sum(path.stat().st_size for path in (holdfast.store / "segments").glob("*.seg"))


def rows(holdfast, job):
    return {row["snapshot"]: row for row in holdfast.ok("snapshots", job.name)}


def assert_compact(holdfast):
    live = holdfast.ok("compact", "--dry-run")["before"]["live_bytes"]
    assert segment_bytes(holdfast) <= RATIO_MAX * live, (segment_bytes(holdfast), live)


def assert_each_restarts(job, holdfast, rounds):
    """From every snapshot that is there; the job finds out itself whether its memory is right."""
    job.kill()
    versions = [int(name.split("@")[1]) for name in rows(holdfast, job)]
    for version in versions:
        job.resume(version)
        job.wait_rounds(rounds)
        job.kill()
    return versions


def kill(process, holdfast, number):
    process.send_signal(number)
    status = process.wait(world.HANG_GUARD_S)
    holdfast.popens.remove(process)
    return status


@pytest.fixture
def many_deltas(subject):
    """random_writer looks at all of its memory in eight rounds."""
    job = subject("random_writer", 24, 100).run()
    job.full_bytes = job.checkpoint(*PRECOPY)["bytes_stored"]
    for _ in range(9):
        job.wait_rounds(1)
        job.checkpoint(*PRECOPY)
    return job


def test_gives_back_what_no_snapshot_needs(many_deltas, holdfast):
    job = many_deltas
    holdfast.ok("annotate", f"{job.name}@7", "stage=best")
    holdfast.ok("prune", job.name, "--keep", 1, "--keep-where", "stage=best")
    before = rows(holdfast, job)
    bytes_before = segment_bytes(holdfast)

    would = holdfast.ok("compact", "--dry-run", job.name)
    assert segment_bytes(holdfast) == bytes_before and would["before"]["ratio"] > RATIO_MAX, would
    report = holdfast.ok("compact", job.name)
    assert report["after"]["bytes"] == segment_bytes(holdfast) < bytes_before, report
    # What is in blocks of which only some pages are needed can only be estimated before.
    assert abs(report["after"]["bytes"] - would["after"]["bytes"]) < 0.02 * would["after"]["bytes"], (would, report)
    assert report["after"]["ratio"] <= RATIO_MAX and report["snapshots_rewritten"] == 2, report
    assert_compact(holdfast)

    # What they are and where they come from is no other than before; and what is done need not be done again.
    assert rows(holdfast, job) == before
    assert holdfast.ok("compact")["segments_rewritten"] == 0
    holdfast.verify()
    # The job, which goes on, goes on with deltas.
    job.checkpoint(*PRECOPY)
    assert holdfast.ok("snapshots", job.name)[-1]["kind"] == "delta"
    holdfast.verify()
    assert assert_each_restarts(job, holdfast, 9) == [7, 10, 11]


def test_makes_a_full_of_deltas(many_deltas, holdfast):
    """The last of ten takes what a full one takes."""
    holdfast.ok("prune", "--keep", 1, many_deltas.name)
    assert segment_bytes(holdfast) > 1.5 * many_deltas.full_bytes
    said = holdfast.run("compact")
    assert segment_bytes(holdfast) <= RATIO_MAX * many_deltas.full_bytes
    assert said.status == 0, str(said)
    assert "before: " in said.out and "after: " in said.out and "copied " in said.out, str(said)
    assert f"compact {many_deltas.name}" in said.err, str(said)  # progress
    quiet = holdfast.run("compact", "--quiet")
    assert quiet.status == 0 and quiet.out == quiet.err == "", str(quiet)
    holdfast.fails("not-found", "compact", "nobody")
    holdfast.fails("usage", "compact", "no/name")
    assert assert_each_restarts(many_deltas, holdfast, 9) == [10]


@pytest.mark.slow
def test_beside_checkpoints_and_restarts(subject, holdfast, seed):
    """A job is checkpointed, restarted and pruned as if nothing else went on, while the store is compacted all the time."""
    job = subject("random_writer", 24, 100).run()
    other = subject("random_writer", 8, 20).run()
    chance = random.Random(seed)
    for turn in range(14):
        compact = holdfast.start("compact", "--json", output="compact")
        time.sleep(chance.uniform(0, 0.2))
        for one in (job, other):
            one.checkpoint(*PRECOPY)
        if turn % 3 == 2:
            holdfast.ok("prune", "--keep", 4)
        if turn % 5 == 4:
            job.kill()
            again = holdfast.start("compact", "--json", output="compact")
            job.resume()
            assert again.wait(world.HANG_GUARD_S) in (0, EXIT["busy"])
            holdfast.popens.remove(again)
        assert compact.wait(world.HANG_GUARD_S) == 0, (holdfast.directory / "compact").read_text()
        holdfast.popens.remove(compact)
        holdfast.verify()
    job.wait_rounds(9)
    other.wait_rounds(9)
    holdfast.ok("compact")
    assert_compact(holdfast)
    holdfast.verify()
    assert_each_restarts(job, holdfast, 9)
    assert_each_restarts(other, holdfast, 9)


@pytest.mark.slow
def test_killed_at_random_moments(many_deltas, holdfast, seed):
    """kill -9 and Ctrl-C: each snapshot is whole after each, and the next compaction goes on."""
    job = many_deltas
    chance = random.Random(seed)
    holdfast.ok("prune", "--keep", 5, job.name)
    started = time.monotonic()
    holdfast.ok("compact")
    longest = time.monotonic() - started
    ends = {"killed": 0, "stopped": 0, "done": 0}
    for turn in range(24):
        job.checkpoint(*PRECOPY)
        holdfast.ok("prune", "--keep", 5, job.name)
        process = holdfast.start("compact", "--json", output="killed-compact")
        time.sleep(chance.uniform(0, longest))
        status = kill(process, holdfast, signal.SIGINT if turn % 4 == 3 else signal.SIGKILL)
        assert status in (0, -signal.SIGKILL, -signal.SIGINT, EXIT["interrupted"]), (holdfast.directory / "killed-compact").read_text()
        ends[{0: "done", -signal.SIGKILL: "killed"}.get(status, "stopped")] += 1
        assert len(rows(holdfast, job)) == 5
        holdfast.verify()
    assert ends["killed"] > 3, ends
    holdfast.ok("compact")
    assert_compact(holdfast)
    assert not list(holdfast.store.rglob("*.partial"))
    job.assert_untouched()
    assert_each_restarts(job, holdfast, 9)
    holdfast.verify()


def test_clones_stay_what_they_are(many_deltas, holdfast):
    """They share segments with the original, before and after."""
    job = many_deltas
    job.kill()
    holdfast.ok("clone", f"{job.name}@4", "--name", "branch")
    branch = holdfast.row("branch")
    world.kill_tree(branch["pid"], also=[branch["supervisor_pid"]])
    holdfast.ok("prune", "--keep", 2, job.name)
    before = segment_bytes(holdfast)
    report = holdfast.ok("compact", "branch")
    assert report["after"]["ratio"] <= RATIO_MAX and segment_bytes(holdfast) < before, report
    assert_compact(holdfast)
    holdfast.verify()
    holdfast.ok("rm", job.name)
    holdfast.ok("compact")
    assert_compact(holdfast)
    holdfast.resume("branch@1")
    job.wait_rounds(9)
    branch = holdfast.row("branch")
    world.kill_tree(branch["pid"], also=[branch["supervisor_pid"]])
    holdfast.verify()
