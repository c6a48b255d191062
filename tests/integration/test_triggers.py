"""What makes a supervisor take snapshots by itself, and what it takes them for."""
import os
import signal

import pytest
import world
from harness import EXIT_CHECKPOINTED
from world import wait_until


def rows_of(holdfast, name):
    answer = holdfast.run("snapshots", name, "--json")
    return answer.json if answer.status == 0 else []


def triggers_of(holdfast, name):
    return [row["annotations"].get("trigger") for row in rows_of(holdfast, name)]


def wait_for_snapshots(holdfast, name, count, trigger):
    """At least so many by this trigger; all rows."""
    wait_until(
        lambda: triggers_of(holdfast, name).count(trigger) >= count,
        lambda: f"{count} snapshots by {trigger}: {triggers_of(holdfast, name)}",
        interval=0.2,
    )
    return rows_of(holdfast, name)


def supervisor_said(holdfast, name):
    return (holdfast.store / "jobs" / name / "supervisor.log").read_text()


def stop_and_wait(holdfast, job):
    os.kill(job.supervisor, signal.SIGTERM)
    wait_until(lambda: holdfast.row(job.name)["state"] != "running", f"{job.name} to be stopped", interval=0.1)
    assert holdfast.row(job.name)["state"] == "checkpointed", supervisor_said(holdfast, job.name)
    assert not holdfast.ours()


def test_each_snapshot_says_what_it_was_taken_for(subject, holdfast):
    job = subject("dontfork_region").run("--every", "1s")
    wait_for_snapshots(holdfast, job.name, 2, "interval")
    by_hand = job.checkpoint("--note", "mine")
    row = next(row for row in rows_of(holdfast, job.name) if row["snapshot"] == by_hand["snapshot"])
    assert row["annotations"] == {"note": "mine"}
    table = holdfast.run("snapshots", job.name).out.splitlines()
    assert "TRIGGER" in table[0] and " interval" in table[1] and "trigger=" not in table[1], table
    answer = holdfast.ok("snapshots", job.name, "--where", "trigger=interval")
    assert len(answer) >= 2 and by_hand["snapshot"] not in [row["snapshot"] for row in answer]
    stop_and_wait(holdfast, job)
    assert triggers_of(holdfast, job.name)[-1] == "stop"


def test_a_large_job_is_stopped_by_a_sigterm(subject, holdfast):
    """It takes a while to be gone: no time for another checkpoint of it."""
    job = subject("slow_writer", 640)
    run = holdfast.start("run", "--name", job.name, "--", *job.command)
    job.wait_ready()
    run.terminate()
    assert run.wait(world.HANG_GUARD_S) == EXIT_CHECKPOINTED, run.output.read_text()
    assert triggers_of(holdfast, job.name) == ["stop"]


def test_a_large_job_is_stopped_by_hand_between_snapshots(subject, holdfast):
    """The next one on the interval waits already."""
    job = subject("slow_writer", 640)
    run = holdfast.start("run", "--name", job.name, "--every", "100ms", "--", *job.command)
    job.wait_ready()
    wait_for_snapshots(holdfast, job.name, 2, "interval")
    stopped = job.checkpoint("--stop")["snapshot"]
    assert run.wait(world.HANG_GUARD_S) == EXIT_CHECKPOINTED, run.output.read_text()
    assert holdfast.row(job.name)["newest"] == stopped, run.output.read_text()


def test_a_signal_takes_a_snapshot_and_is_not_the_jobs(subject, holdfast):
    """USR1 would be the end of this job."""
    job = subject("prints_numbers").run("--on-signal", "USR1")
    for count in (1, 2):
        os.kill(job.supervisor, signal.SIGUSR1)
        rows = wait_for_snapshots(holdfast, job.name, count, "signal")
        assert len(rows) == count
    job.wait_rounds(3)
    job.kill()
    job.resume()  # goes on with it
    job.wait_rounds(1)
    os.kill(job.supervisor, signal.SIGUSR1)
    wait_for_snapshots(holdfast, job.name, 3, "signal")
    job.wait_rounds(3)
    # Any other is the job's, and this one was told to be its own again.
    job.kill()
    job.resume(None, "--on-signal", "off")
    os.kill(job.supervisor, signal.SIGUSR1)
    wait_until(lambda: holdfast.row(job.name)["state"] == "exited", "the job to end by its signal")
    assert holdfast.row(job.name)["exit_status"] == 128 + signal.SIGUSR1


def test_a_signal_is_told_that_its_snapshot_failed(subject, holdfast):
    """Each time, though it is the same failure."""
    job = subject("io_uring_user")
    run = holdfast.start("run", "--name", job.name, "--on-signal", "USR1", "--", *job.command)
    job.wait_ready()
    for count in (1, 2):
        run.send_signal(signal.SIGUSR1)
        wait_until(
            lambda count=count: run.output.read_text().count("holds an io_uring") == count,
            lambda: run.output.read_text(),
        )
    run.terminate()
    assert run.wait(world.HANG_GUARD_S) == 128 + signal.SIGTERM, run.output.read_text()


def test_whichever_comes_first(subject, holdfast):
    job = subject("slow_writer", 32).run("--every", "1h", "--every-dirty", "4M", "--on-signal", "SIGUSR2")
    wait_for_snapshots(holdfast, job.name, 3, "dirty")
    os.kill(job.supervisor, signal.SIGUSR2)
    wait_for_snapshots(holdfast, job.name, 1, "signal")
    assert "interval" not in triggers_of(holdfast, job.name)
    job.assert_good()


def test_after_so_much_was_written(subject, holdfast):
    """Of a job that writes a mebibyte in some ten rounds. The first one begins the counting."""
    job = subject("slow_writer", 48).run("--every-dirty", "8M")
    rows = wait_for_snapshots(holdfast, job.name, 4, "dirty")
    for row in rows[1:]:
        assert 8 << 20 <= row["bytes_captured"] < 40 << 20, row
    # One by hand begins the count anew.
    job.checkpoint()
    rows = wait_for_snapshots(holdfast, job.name, len(triggers_of(holdfast, job.name)), "dirty")
    assert rows[-1]["bytes_captured"] >= 8 << 20, rows
    job.kill()
    job.resume()
    taken = len(rows_of(holdfast, job.name))
    wait_until(lambda: len(rows_of(holdfast, job.name)) >= taken + 2, "more of them after a restart", interval=0.2)
    job.wait_rounds(9)
    job.assert_good()


def test_a_job_that_writes_nothing_has_one(subject, holdfast):
    job = subject("random_memory", 32).run("--every-dirty", "8M", "--on-signal", "USR1")
    wait_for_snapshots(holdfast, job.name, 1, "dirty")
    job.wait_rounds(20)
    os.kill(job.supervisor, signal.SIGUSR1)
    wait_for_snapshots(holdfast, job.name, 1, "signal")
    assert triggers_of(holdfast, job.name) == ["dirty", "signal"]


def test_writes_that_cannot_be_counted(holdfast):
    """The kernel may write to memory of a job that uses its asynchronous I/O, unseen. Said once."""
    program = (
        "import ctypes, time\n"
        "ring = ctypes.c_ulong(0)\n"
        "assert ctypes.CDLL(None).syscall(206, 8, ctypes.byref(ring)) == 0\n"  # io_setup
        "memory = bytearray(32 << 20)\n"
        "while True: time.sleep(0.05)\n"
    )
    options = ("--every", "1s", "--every-dirty", "16M")
    holdfast.run_detached("aio", "/usr/bin/python3", "-c", program, options=options)
    wait_for_snapshots(holdfast, "aio", 3, "interval")
    assert supervisor_said(holdfast, "aio").count("cannot be counted") == 1
    assert triggers_of(holdfast, "aio").count("dirty") <= 1


def test_as_often_as_it_pays(subject, holdfast):
    job = subject("slow_writer", 32).run("--every", "auto", "--mtbf", "10s")
    wait_for_snapshots(holdfast, job.name, 3, "adaptive")
    said = supervisor_said(holdfast, job.name)
    assert "a checkpoint costs the job" in said and "with a failure every 10.00 s" in said, said
    row = holdfast.row(job.name)
    assert row["every_s"] == 0 and row["triggers"]["mtbf_s"] == 10, row
    job.kill()
    job.resume()
    taken = len(rows_of(holdfast, job.name))
    wait_for_snapshots(holdfast, job.name, taken + 2, "adaptive")
    job.kill()
    job.resume(None, "--every", "1s")
    wait_for_snapshots(holdfast, job.name, 1, "interval")
    assert holdfast.row(job.name)["triggers"]["mtbf_s"] == 0


# The deadline


def test_deltas_before_a_deadline_become_smaller(subject, holdfast):
    """A job that writes steadily runs on until little is left for the last snapshot."""
    job = subject("slow_writer", 640, 300).run("--deadline", "100s")
    first = job.checkpoint()
    job.wait_rounds(150)
    assert len(rows_of(holdfast, job.name)) == 1
    stop_and_wait(holdfast, job)
    rows = rows_of(holdfast, job.name)[1:]
    said = supervisor_said(holdfast, job.name)
    assert [row["annotations"]["trigger"] for row in rows] == ["deadline"] * len(rows), rows
    captured = [first["bytes_captured"], *(row["bytes_captured"] for row in rows)]
    # What is written while a delta is taken does not get less than what a busy machine makes of the shortest one.
    assert len(rows) >= 2 and max(captured[1:]) < captured[0] and captured[-1] <= captured[1], (captured, said)
    assert said.count("a delta takes at most about") == len(rows) - 1, said
    assert said.count("until the deadline") == len(rows) and said.count("the last one takes at most about") == 1, said
    job.resume()
    job.wait_rounds(9)
    job.assert_good()
    assert holdfast.row(job.name)["triggers"]["deadline_s"] == 100
    holdfast.verify()


def test_a_deadline_that_leaves_no_time_for_deltas(subject, holdfast):
    job = subject("slow_writer", 64)
    run = holdfast.start("run", "--name", job.name, "--deadline", "1s", "--", *job.command)
    job.wait_ready()
    run.terminate()
    assert run.wait(world.HANG_GUARD_S) == EXIT_CHECKPOINTED, run.output.read_text()
    assert triggers_of(holdfast, job.name) == ["deadline"]
    assert "there is no time for a delta" in run.output.read_text()
    job.resume()
    job.wait_rounds(2)


def test_a_little_job_is_stopped_at_once(subject, holdfast):
    job = subject("prints_numbers").run("--deadline", "10m")
    job.checkpoint()
    stop_and_wait(holdfast, job)
    assert triggers_of(holdfast, job.name) == [None, "deadline"]
    assert "a delta would not make it shorter" in supervisor_said(holdfast, job.name)


def test_a_job_that_cannot_be_checkpointed_gets_the_sigterm(subject, holdfast):
    """After some tries, while there is time left."""
    job = subject("io_uring_user")
    run = holdfast.start("run", "--name", job.name, "--deadline", "10m", "--", *job.command)
    job.wait_ready()
    run.terminate()
    assert run.wait(world.HANG_GUARD_S) == 128 + signal.SIGTERM, run.output.read_text()
    said = run.output.read_text()
    assert said.count("the last one takes") == 3 and said.count("once more") == 2, said
    assert said.count("holds an io_uring") == 1 and "no last snapshot" in said, said
    assert rows_of(holdfast, job.name) == []


def test_the_second_sigterm_kills_within_a_deadline_too(subject, holdfast):
    job = subject("slow_writer", 640, 300)
    options = ("--deadline", "10m", "--on-signal", "USR1")
    run = holdfast.start("run", "--name", job.name, *options, "--", *job.command)
    job.wait_ready()
    run.terminate()
    wait_until(lambda: "a delta takes at most about" in run.output.read_text(), lambda: run.output.read_text())
    run.send_signal(signal.SIGUSR1)  # is too late
    wait_until(lambda: "SIGUSR1: no other snapshot" in run.output.read_text(), lambda: run.output.read_text())
    run.terminate()
    assert run.wait(world.HANG_GUARD_S) == 128 + signal.SIGKILL, run.output.read_text()
    wait_until(lambda: not holdfast.ours(), "everything to be gone")
    holdfast.run("verify", "--json")


def test_supervisor_killed_at_the_deadline_leaves_the_deltas(subject, holdfast):
    """SIGKILL comes when it comes: what was committed by then is whole."""
    job = subject("slow_writer", 640, 300).run("--deadline", "10m")
    job.checkpoint()
    job.wait_rounds(60)
    os.kill(job.supervisor, signal.SIGTERM)
    wait_until(lambda: len(rows_of(holdfast, job.name)) >= 2, "a delta", interval=0.02)
    job.kill()
    wait_until(lambda: not holdfast.ours(), "everything to be gone")
    holdfast.verify()
    job.resume()
    job.wait_rounds(9)
    job.assert_good()


# Full ones


def test_every_third_is_a_full_one(subject, holdfast):
    job = subject("random_memory", 24).run("--every", "1s", "--full-every", "3")
    wait_until(lambda: len(rows_of(holdfast, job.name)) >= 7, "seven snapshots", interval=0.2)
    job.kill()
    rows = rows_of(holdfast, job.name)
    for index, row in enumerate(rows):
        if index % 3 == 0:
            assert row["kind"] == "full" and row["parent"] is None and row["bytes_stored"] > 24 << 20, row
        else:
            assert row["kind"] == "delta" and row["parent"] == rows[index - 1]["snapshot"], row
            assert row["bytes_stored"] < 24 << 20, row
    # It shares nothing: without all that came before it, it is whole.
    for row in rows[:3]:
        holdfast.ok("rm", row["snapshot"])
    holdfast.verify()
    job.resume(4)
    job.wait_rounds(3)
    job.assert_good()


def test_a_full_one_counts_what_was_pruned_and_what_was_taken_by_hand(subject, holdfast):
    job = subject("random_memory", 8).run("--keep", "1")
    kinds = []
    for _ in range(5):
        version = job.checkpoint("--full-every", "4")["snapshot"]
        kinds.append(next(row["kind"] for row in rows_of(holdfast, job.name) if row["snapshot"] == version))
    assert kinds == ["full", "delta", "delta", "delta", "full"]
    job.checkpoint("--full-every", "1")
    (row,) = rows_of(holdfast, job.name)
    assert row["kind"] == "full" and row["parent"] is None, row
    job.assert_untouched()


# What is remembered and shown

EVERYTHING = (
    "--every", "1h", "--every-dirty", "2G", "--on-signal", "USR1", "--deadline", "2m", "--full-every", "10", "--freeze-budget", "50ms",
)  # fmt: skip
SHOWN = {
    "every_s": 3600, "mtbf_s": 0, "every_dirty_bytes": 2 << 30, "on_signal": "SIGUSR1", "deadline_s": 120, "full_every": 10,
    "freeze_budget_ms": 50,
}  # fmt: skip


def test_triggers_are_shown_and_survive_a_restart(subject, holdfast):
    job = subject("dontfork_region").run(*EVERYTHING)
    job.checkpoint()
    assert holdfast.row(job.name)["triggers"] == SHOWN
    assert holdfast.ok("inspect", job.name)["triggers"] == SHOWN
    assert "on SIGUSR1" in holdfast.run("inspect", job.name).out
    assert "2.00 GiB" in holdfast.run("ps").out
    job.kill()
    job.resume()
    assert holdfast.row(job.name)["triggers"] == SHOWN
    job.kill()
    job.resume(None, "--every", "off", "--full-every", "0")
    assert holdfast.row(job.name)["triggers"] == {**SHOWN, "every_s": 0, "full_every": 0}
    holdfast.ok("rollback", f"{job.name}@1", "--detach", "--deadline", "30s")
    row = holdfast.row(job.name)
    assert row["triggers"] == {**SHOWN, "every_s": 0, "full_every": 0, "deadline_s": 30}, row
    holdfast.ok("clone", job.name, "--name", "twin", "--every", "2h")
    assert holdfast.row("twin")["triggers"]["every_s"] == 7200


@pytest.mark.parametrize(
    "options",
    [
        "--every auto", "--mtbf 12h", "--every 30s --mtbf 12h", "--every auto --mtbf soon", "--every auto --mtbf 0",
        "--every never", "--every-dirty 10", "--every-dirty much", "--on-signal TERM", "--on-signal KILL",
        "--on-signal NOSUCH", "--deadline 10ms", "--deadline later", "--full-every -1", "--full-every some",
        "--freeze-budget soon", "--freeze-budget 0",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(options, holdfast):
    error = holdfast.fails("usage", "run", "--name", "never", *options.split(), "--", "sleep", "1000")
    assert options.split()[0] in error["message"] or "--mtbf" in error["message"], error
    assert not holdfast.ours()
    assert not holdfast.store.exists() or holdfast.ok("ps") == []


def test_a_rollback_that_makes_no_sense_stops_nothing(subject, holdfast):
    job = subject("dontfork_region").run()
    job.checkpoint()
    holdfast.fails("usage", "rollback", f"{job.name}@1", "--on-signal", "TERM")
    holdfast.fails("usage", "resume", job.name, "--every", "auto")
    holdfast.fails("usage", "clone", job.name, "--name", "other", "--deadline", "soon")
    assert [row["name"] for row in holdfast.ok("ps")] == [job.name]
    job.assert_untouched()
    assert len(rows_of(holdfast, job.name)) == 1
