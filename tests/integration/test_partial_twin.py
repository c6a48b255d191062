"""A twin of nothing but what was written: memory and its map are as right as with a whole one, whatever is left out."""
import resource

import pytest
import world
from harness import MEMORY_PROGRAMS

PARTIAL = ("--capture", "partial")  # leaves out all that can be, page by page, in small programs, too


@pytest.mark.parametrize("program", MEMORY_PROGRAMS)
def test_cycles(program, subject, holdfast):
    """Three snapshots in a row, a restart, one more, a restart from it and one from the middle."""
    name, *arguments = program.split()
    job = subject(name, *arguments).run()
    for _ in range(3):
        job.wait_rounds(2)
        report = job.checkpoint(*PARTIAL)
        assert report["warnings"] == [], report
    job.assert_untouched()
    job.kill()
    job.resume()
    job.wait_rounds(3)
    job.checkpoint(*PARTIAL)
    job.assert_untouched()
    for version in (None, 2):
        job.kill()
        job.resume(version)
        job.wait_rounds(3)
        job.assert_good()
    holdfast.verify()


@pytest.mark.parametrize("program", ["random_memory 32", "random_writer 64 32", "memory_churn all 64 4", "many_threads 8", "brk_shrink", "sparse_memory", "guard_pages keep"])
def test_what_is_left_out_is_written_to_soon_after(program, subject, holdfast):
    """Ten in a row, while it writes all over its memory."""
    name, *arguments = program.split()
    job = subject(name, *arguments).run()
    for _ in range(10):
        report = job.checkpoint(*PARTIAL)
        assert report["capture"] == "partial twin" and report["warnings"] == [], report
    job.assert_untouched()
    for version in (10, 7):
        job.kill()
        job.resume(version)
        job.wait_rounds(3)
        job.assert_good()
    holdfast.verify()


def test_a_clone_that_fails_leaves_the_memory_map_alone(subject):
    """A user who may have no more processes than he has."""
    job = subject("other_user").spawn(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (2, 2)))
    job.wait_rounds(1)
    pids = world.tree(job.pid)
    before = {pid: world.lasting_state(pid) for pid in pids}
    report = job.checkpoint_by_pid(*PARTIAL)
    assert report["capture"] == "copy" and "no twin" in report["capture_reason"] and report["warnings"] == [], report
    job.assert_untouched()
    for pid in pids:
        after = world.lasting_state(pid)
        assert after["maps"] == before[pid]["maps"] and after["flags"] == before[pid]["flags"]


# What is expected of a freeze, and what it may take


def test_expectation_and_outcome_are_kept(subject, holdfast):
    job = subject("slow_writer", 64).run()
    report = job.checkpoint("--capture", "precopy")
    freeze = holdfast.ok("inspect", job.name)["freeze"]
    assert freeze == report["freeze"]
    assert freeze["predicted_ms"] > 0 and freeze["was_ms"] == report["freeze_ms"], freeze
    assert freeze["precopy_rounds"] >= 1 and freeze["capture"] == report["capture"], freeze
    assert freeze["written_bytes"] < 64 << 20 and freeze["budget_ms"] is None and freeze["budget_missed"] is None, freeze
    shown = holdfast.run("inspect", job.name).out
    assert f"capture: {report['capture']} (" in shown and "freeze predicted" in shown and "pre-copy round" in shown, shown


def test_a_budget_is_the_jobs_until_a_checkpoint_says_otherwise(subject, holdfast):
    job = subject("slow_writer", 32).run("--freeze-budget", "1h")
    freeze = job.checkpoint()["freeze"]
    assert freeze["budget_ms"] == 3600_000 and freeze["budget_missed"] is None, freeze
    assert "budget 60 min" in holdfast.run("inspect", job.name).out
    assert job.checkpoint("--freeze-budget", "off")["freeze"]["budget_ms"] is None
    job.kill()
    job.resume(None, "--freeze-budget", "30m")
    assert job.checkpoint()["freeze"]["budget_ms"] == 1800_000


@pytest.mark.parametrize("capture", ["auto", "twin"])
def test_a_budget_that_cannot_be_kept_is_no_reason_to_take_none(capture, subject, holdfast):
    """CRIU alone takes longer than this for sixteen processes."""
    job = subject("process_tree", 16, 2).run()
    report = job.checkpoint("--freeze-budget", "1ms", "--capture", capture)
    assert report["freeze"]["budget_missed"], report
    assert any("longer than the 1.0 ms allowed: " + report["freeze"]["budget_missed"] in line for line in report["warnings"]), report
    shown = holdfast.run("inspect", job.name).out
    assert "freeze budget 1.0 ms: not kept, " + report["freeze"]["budget_missed"] in shown, shown
    job.assert_untouched()
    job.kill()
    job.resume()
    job.wait_rounds(3)


@pytest.mark.parametrize("capture", ["partial", "twin"])
def test_the_init_of_a_pid_namespace(capture, subject, holdfast):
    """Its twin is its child, for as long as the drain takes, and inherits its restartable sequences."""
    job = subject("random_writer", 32, 200)
    script = 'exec setsid "$0" "$@" < /dev/null > /dev/null 2>&1'  # opened in its own mount namespace
    outside = holdfast.spawn("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, *job.command)
    job.wait_ready()
    job.pid = world.tree(outside.pid)[1]
    for _ in range(3):
        report = job.checkpoint_by_pid("--capture", capture)
        assert "twin" in report["capture"] and report["warnings"] == [], report
        job.wait_rounds(2)
    assert world.tree(job.pid) == [job.pid]
    holdfast.verify()
