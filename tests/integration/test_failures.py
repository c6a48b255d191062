"""Whatever fails, at whatever moment: the job runs on and is right, nothing is left behind, the store is whole, and the
next checkpoint works.
"""
import contextlib
import os
import pathlib
import random
import signal
import subprocess
import textwrap
import time

import killing
import pytest
import world
from harness import EXIT


def make_script(path, text):
    path.write_text("#!/bin/bash\n" + textwrap.dedent(text))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def real_criu(holdfast):
    path = holdfast.ok("doctor")["criu"]["path"]
    assert path, "doctor found no CRIU"
    return path


@pytest.mark.slow
@pytest.mark.parametrize("program", ["memory_churn all 64", "process_tree 6 4"])
def test_checkpoint_killed_at_random_moments(program, subject, holdfast, seed):
    """Thirty-two kills in all; tests/soak/kill_checkpoint.py does thousands."""
    name, *arguments = program.split()
    job = subject(name, *arguments).run()
    job.checkpoint()
    longest = killing.measure_checkpoint(job) * 1.1
    tally = killing.Tally(committed=2)
    chance = random.Random(seed)
    for _ in range(16):
        killing.kill_one_checkpoint(job, holdfast, chance, tally, longest)
    assert tally.killed > 3, tally
    assert holdfast.verify()["snapshots_checked"] >= 2
    job.checkpoint()
    job.assert_untouched()
    job.kill()
    job.resume()
    job.wait_rounds(3)
    holdfast.ok("prune")
    holdfast.verify()


def test_twin_killed_in_the_drain(subject, holdfast, seed):
    """What the drain reads from is killed: no snapshot of zeros may come of it, and the job does not notice."""
    job = subject("random_memory", 128).run()
    chance = random.Random(seed)
    failed = 0
    for _ in range(8):
        process = holdfast.start("checkpoint", job.name, "--json", "--capture", "twin", output="twin-killed")
        twins = []
        while process.poll() is None and not twins:
            members = world.tree(job.pid)
            twins = [
                status.pid
                for status in holdfast.strangers(job.pid, job.supervisor)
                if status.name == world.read_status(job.pid).name and status.pid not in members
            ]
        time.sleep(chance.uniform(0, 0.05))
        for pid in twins:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        status = process.wait(world.HANG_GUARD_S)
        holdfast.popens.remove(process)
        failed += status != 0
        holdfast.transcript.append(f"twins {twins} killed: status {status}")
        job.assert_untouched()
    holdfast.verify()
    if not holdfast.ok("snapshots", job.name):
        job.checkpoint()
    for row in holdfast.ok("snapshots", job.name):  # each one that was committed is whole
        job.kill()
        job.resume(int(row["snapshot"].rsplit("@", 1)[1]))
        job.wait_rounds(2)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_checkpoint_told_to_stop(signal_number, subject, holdfast, seed):
    job = subject("memory_churn", "all", 64).run()
    chance = random.Random(seed)
    longest = killing.measure_checkpoint(job)
    for _ in range(5):
        process = holdfast.start("checkpoint", job.name, "--json", output="stopped-checkpoint")
        time.sleep(chance.uniform(0, longest))
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal_number)
        status = process.wait(world.HANG_GUARD_S)
        holdfast.popens.remove(process)
        # Before its handlers are set it dies of the signal, after the commit it is too late.
        assert status in (0, EXIT["interrupted"], -signal_number), status
        holdfast.assert_nothing_left(job.pid, job.supervisor, at_once=status == EXIT["interrupted"])
        job.wait_rounds(2)
    job.checkpoint()
    holdfast.verify()


def test_job_exits_in_the_drain(subject, holdfast, seed):
    """Its exit status is its own; the checkpoint is either whole or not there."""
    chance = random.Random(seed)
    for turn in range(6):
        job = subject("exit_when_told", 96, label=f"exits-{turn}")
        run = holdfast.start("run", "--name", job.name, "--", *job.command)
        job.wait_ready()
        job.pid = job.pid_inside
        job.supervisor = run.pid
        checkpoint = holdfast.start("checkpoint", job.name, "--json", output=f"exits-{turn}.json")
        time.sleep(chance.uniform(0, 0.4))
        (job.directory / "exit").touch()
        assert run.wait(world.HANG_GUARD_S) == 7
        status = checkpoint.wait(world.HANG_GUARD_S)
        holdfast.popens.remove(run)
        holdfast.popens.remove(checkpoint)
        world.wait_until(lambda: not holdfast.ours(), lambda: f"left: {holdfast.strangers()}", seconds=30)
        (job.directory / "exit").unlink()
        committed = holdfast.run("snapshots", job.name, "--json")
        snapshots = committed.json if committed.status == 0 else []
        assert (status == 0) == bool(snapshots), f"status {status}, snapshots {snapshots}"
        if snapshots:
            job.resume()
            job.wait_rounds(2)
            job.kill()
    holdfast.verify()


def test_processes_with_threads_end_meanwhile(subject, holdfast):
    """The first thread of a process that ends may be gone when the job is stopped, and the others not yet."""
    job = subject("thread_exit_storm").run()
    for _ in range(30):
        job.checkpoint()
    job.assert_untouched()
    job.kill()
    job.resume()
    job.wait_rounds(3)
    job.assert_good()
    holdfast.verify()


def test_job_killed_in_the_drain(subject, holdfast, seed):
    chance = random.Random(seed)
    for turn in range(6):
        job = subject("memory_churn", "all", 64, label=f"killed-{turn}").run()
        checkpoint = holdfast.start("checkpoint", job.name, "--json", output=f"killed-{turn}.json")
        time.sleep(chance.uniform(0, 0.4))
        world.kill_and_wait(world.tree(job.pid))
        status = checkpoint.wait(world.HANG_GUARD_S)
        holdfast.popens.remove(checkpoint)
        world.wait_until(lambda: not holdfast.ours(), lambda: f"left: {holdfast.strangers()}", seconds=30)
        committed = holdfast.run("snapshots", job.name, "--json")
        snapshots = committed.json if committed.status == 0 else []
        assert (status == 0) == bool(snapshots), f"status {status}, snapshots {snapshots}"
        if snapshots:
            job.resume()
            job.wait_rounds(2)
            job.kill()
    holdfast.verify()


def test_supervisor_killed(subject, holdfast):
    """The job lives on, ps says so, it can be checkpointed and resumed."""
    job = subject("tcp_loopback").run()
    job.checkpoint()
    world.kill_and_wait([job.supervisor])
    job.wait_rounds(2)
    row = holdfast.row(job.name)
    assert row["state"] == "unsupervised" and row["pid"] == job.pid, row
    assert job.checkpoint()["snapshot"] == f"{job.name}@2"
    job.supervisor = None
    job.assert_untouched()
    job.kill()
    assert holdfast.row(job.name)["state"] == "lost"
    job.resume()
    job.wait_rounds(3)
    row = holdfast.row(job.name)
    assert row["state"] == "running" and row["supervisor_pid"] == job.supervisor, row


def test_supervisor_killed_while_output_flows(subject, holdfast):
    """No SIGPIPE, no line lost, and a restart takes the log back to where it was."""
    job = subject("prints_numbers")
    process = holdfast.start("run", "--name", job.name, "--", *job.command, stderr=subprocess.DEVNULL)
    job.wait_ready()
    job.pid, job.supervisor = job.pid_inside, process.pid
    job.wait_rounds(5)
    job.checkpoint()
    process.kill()
    process.wait()
    holdfast.popens.remove(process)
    job.wait_rounds(20)
    job.supervisor = None
    at_kill = job.round
    job.kill()
    log = holdfast.run("logs", job.name).out.splitlines()
    assert len(log) >= at_kill
    job.resume()
    job.wait_rounds(5)
    job.kill()
    out = holdfast.run("logs", job.name)
    for stream, text in (("out", out.out), ("err", out.err)):
        lines = text.splitlines()
        assert lines == [f"{stream} {number + 1}" for number in range(len(lines))], lines[-20:]


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "kill -9 $$",
        'case "$*" in *dump*) {criu} "$@"; exit 1;; *) exec {criu} "$@";; esac',
        'case "$*" in *dump*) exec {criu} "$@" --ghost-limit 1;; *) exec {criu} "$@";; esac',
        'case "$*" in *dump*) exec {criu} "$@" --no-such-option;; *) exec {criu} "$@";; esac',
    ],
    ids=["exits", "dies", "fails-after-the-dump", "fails-in-the-dump", "does-not-know-an-option"],
)
def test_criu_fails(script, subject, holdfast, real_criu):
    program = ("deleted_file",) if "ghost" in script else ("process_tree", 4, 2)
    job = subject(*program).run()
    bad = make_script(holdfast.directory / "bad-criu", script.format(criu=real_criu))
    error = holdfast.run("checkpoint", job.name, "--json", env={"HOLDFAST_CRIU": bad})
    if "ghost" in script and error.status == 0:
        pytest.skip("Holdfast sets a ghost limit after ours")
    assert error.status in (EXIT["criu"], EXIT["unsupported"]), str(error)
    assert error.error["message"], str(error)
    job.assert_untouched()
    assert holdfast.run("snapshots", job.name, "--json").status in (0, EXIT["not-found"])
    holdfast.verify()
    assert job.checkpoint()["snapshot"].startswith(job.name + "@")
    job.assert_untouched()
    job.kill()
    # The restart fails in the same way: nothing of the job may be left running, and a good CRIU brings it back.
    if "dump" not in script:
        error = holdfast.run("resume", job.name, "--detach", "--json", env={"HOLDFAST_CRIU": bad})
        assert error.status in (EXIT["criu"], EXIT["unsupported"]), str(error)
        world.wait_until(lambda: not holdfast.ours(), lambda: f"left: {holdfast.strangers()}", seconds=30)
    job.resume()
    job.wait_rounds(3)


def test_restart_that_fails_half_way(subject, holdfast, real_criu):
    """CRIU is killed while it restores: no half of the job stays, and the next restart works."""
    job = subject("process_tree", 6, 16).run()
    job.checkpoint()
    job.kill()
    bad = make_script(
        holdfast.directory / "bad-criu",
        f"""
        case "$*" in *restore*) ;; *) exec {real_criu} "$@";; esac
        {real_criu} "$@" & child=$!
        sleep $DELAY
        kill -9 $child
        wait $child
        """,
    )
    for delay in ("0.005", "0.02", "0.04", "0.08"):
        answer = holdfast.run("resume", job.name, "--detach", "--json", env={"HOLDFAST_CRIU": bad, "DELAY": delay})
        if answer.status == 0:  # it was ready before
            job.pid, job.supervisor = answer.json["pid"], answer.json["supervisor_pid"]
            job.kill()
            continue
        assert answer.status == EXIT["criu"], str(answer)
        world.wait_until(lambda: not holdfast.ours(), lambda: f"left: {holdfast.strangers()}", seconds=30)
    job.resume()
    job.wait_rounds(3)


def test_resume_killed_at_random_moments(subject, holdfast, seed):
    """kill -9 of the restart itself: CRIU ends without it, no half of the job stays, its pids are free for the next try."""
    job = subject("process_tree", 6, 16).run()
    job.checkpoint()
    job.kill()
    chance = random.Random(seed)
    job.resume()
    longest = job.resume_seconds
    job.kill()
    cut_off = 0
    for _ in range(8):
        process = holdfast.start("resume", job.name, output="killed-resume")
        delay = chance.uniform(0, longest)
        time.sleep(delay)
        process.kill()
        process.wait()
        holdfast.popens.remove(process)
        holdfast.transcript.append(f"resume killed after {delay:.4f} s")
        row = holdfast.row(job.name)
        if row["state"] == "unsupervised":  # it ran already, and goes on
            world.kill_tree(row["pid"])
        else:
            cut_off += 1
        world.wait_until(lambda: not holdfast.ours(), lambda: f"left: {holdfast.strangers()}", seconds=30)
    assert cut_off > 1, cut_off
    job.resume()
    job.wait_rounds(3)
    holdfast.verify()


@pytest.fixture
def kills_in_ptrace(holdfast, programs, real_criu):
    """A CRIU that sends SIGKILL at one of its ptrace calls in a dump; the environment that has Holdfast use it."""
    bad = make_script(
        holdfast.directory / "bad-criu",
        f"""
        case "$*" in *dump*) ;; *) exec {real_criu} "$@";; esac
        exec env LD_PRELOAD="$LD_PRELOAD:{programs}/kills_in_ptrace.so" {real_criu} "$@"
        """,
    )

    def environment(job, whom, at):
        return {"HOLDFAST_CRIU": bad, "KILL_FROM": str(job.pid), "KILL_WHOM": str(whom), "KILL_AT": str(at)}

    return environment


def test_criu_killed_while_it_dumps(subject, kills_in_ptrace, holdfast, seed):
    """The tracer dies with SIGKILL at a random moment, before it has put anything of its own into the job."""
    job = subject("process_tree", 6, 8).run()
    chance = random.Random(seed)
    for _ in range(8):
        error = holdfast.run("checkpoint", job.name, "--json", env=kills_in_ptrace(job, 0, chance.randint(1, 40)))
        assert error.status == EXIT["criu"], str(error)
        holdfast.assert_nothing_left(job.pid, job.supervisor, at_once=False)
        job.wait_rounds(2)
    job.checkpoint()
    holdfast.verify()


@pytest.mark.parametrize("program", [("many_threads", 16), ("process_tree", 4, 4)], ids=lambda p: p[0])
def test_job_killed_while_criu_dumps_it(subject, program, kills_in_ptrace, holdfast, seed):
    """Threads that were killed while CRIU holds them are waited for, so that nobody waits for the job for ever."""
    chance = random.Random(seed)
    for turn in range(10):
        job = subject(*program, label=f"killed-{turn}").run()
        environment = kills_in_ptrace(job, job.pid, chance.randint(1, 80))
        error = holdfast.fails("not-found", "checkpoint", job.name, env=environment)
        assert "the job ended while it was checkpointed" in error["message"], error
        world.kill_and_wait(world.tree(job.pid))
        world.wait_until(lambda: not holdfast.ours(), lambda: f"left: {holdfast.strangers()}", seconds=30)
    holdfast.verify()


@pytest.fixture
def small_disk(holdfast):
    """A file system of 24 MiB."""
    folder = holdfast.directory / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted: {mounted.stderr.strip()}")
    holdfast.cleanups.callback(lambda: subprocess.run(["umount", "-l", folder], check=False))
    return folder


def test_disk_is_full(small_disk, subject, holdfast):
    """Foreseen where it can be; else undone. The earlier snapshot stays good."""
    store = {"HOLDFAST_STORE": str(small_disk / "store")}
    small = subject("dontfork_region").spawn()
    first = holdfast.checkpoint("--pid", small.pid, "--name", "small", env=store)
    large = subject("random_memory", 64).spawn()
    for _ in range(2):
        holdfast.fails("no-space", "checkpoint", "--pid", large.pid, "--name", "large", env=store)
        large.assert_untouched()
    assert holdfast.ok("verify", "--read-data", env=store)["ok"]
    rows = holdfast.ok("snapshots", "small", env=store)
    assert [row["snapshot"] for row in rows] == [first["snapshot"]]
    # What was begun does not keep the room.
    holdfast.checkpoint("--pid", small.pid, "--name", "small", env=store)
    small.assert_untouched()
    subprocess.run(["mount", "-o", "remount,size=600m", small_disk], check=True)
    holdfast.checkpoint("--pid", large.pid, "--name", "large", env=store)
    large.kill()
    holdfast.resume("large", env=store)
    large.wait_rounds(2)


def test_disk_full_of_another(small_disk, subject, holdfast):
    """Somebody else fills the disk while the drain writes: cannot be foreseen."""
    store = {"HOLDFAST_STORE": str(small_disk / "store")}
    subprocess.run(["mount", "-o", "remount,size=300m", small_disk], check=True)
    job = subject("random_memory", 128).spawn()
    process = holdfast.start("checkpoint", "--pid", job.pid, "--name", "job", "--json", env=store)
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, 220 << 20)
        while True:
            file.seek(0, os.SEEK_END)
            file.write(b"\1" * 65536)
    status = process.wait(world.HANG_GUARD_S)
    holdfast.popens.remove(process)
    assert status in (0, EXIT["no-space"]), process.output.read_text()
    holdfast.assert_nothing_left(job.pid)
    job.wait_rounds(2)
    filler.unlink()
    assert holdfast.ok("verify", "--read-data", env=store)["ok"]
    holdfast.checkpoint("--pid", job.pid, "--name", "job", env=store)


def memory_cgroup(name, limit):
    """A cgroup with a memory limit: (folder, file for pids, counter of OOM kills)."""
    for root, limit_file, swap in (
        (pathlib.Path("/sys/fs/cgroup"), "memory.max", "memory.swap.max"),
        (pathlib.Path("/sys/fs/cgroup/unified"), "memory.max", "memory.swap.max"),
        (pathlib.Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", None),
    ):
        controllers = root / "cgroup.controllers"
        if limit_file == "memory.max" and (not controllers.exists() or "memory" not in controllers.read_text().split()):
            continue
        folder = root / name
        try:
            folder.mkdir()
            if limit_file == "memory.max" and not (folder / limit_file).exists():
                (root / "cgroup.subtree_control").write_text("+memory")
            (folder / limit_file).write_text(str(limit))
            if swap and (folder / swap).exists():
                (folder / swap).write_text("0")
        except OSError as error:
            with contextlib.suppress(OSError):
                folder.rmdir()
            reason = f"{folder}: {error}"
            continue
        return folder
    pytest.skip(f"no cgroup with a memory limit can be made ({locals().get('reason', 'no memory controller')})")


def oom_kills(folder):
    for name in ("memory.events", "memory.oom_control"):
        if (folder / name).exists():
            for line in (folder / name).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def reading_cgroup(name, directory, bytes_per_second):
    """A cgroup (v1) whose processes read no faster from the disk of `directory`."""
    folder = pathlib.Path("/sys/fs/cgroup/blkio") / name
    device = os.stat(directory).st_dev
    try:
        folder.mkdir()
        (folder / "blkio.throttle.read_bps_device").write_text(f"{os.major(device)}:{os.minor(device)} {bytes_per_second}")
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no reading can be slowed down here: {error}")
    return folder


def forget_pages(directory):
    """What is in the page cache of its files."""
    for path in directory.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_lazy_resume_from_a_slow_disk(subject, holdfast):
    """The job runs long before its memory is read; a snapshot waits for it."""
    job = subject("random_memory", 16).run()
    job.wait_rounds(1)
    job.checkpoint()
    job.kill()
    folder = reading_cgroup(f"holdfast-test-{holdfast.mark[:12]}", holdfast.store, 2 << 20)

    def remove():
        job.kill()
        world.wait_until(lambda: not (folder / "cgroup.procs").read_text().split(), "the cgroup to be empty")
        folder.rmdir()

    holdfast.cleanups.callback(remove)
    forget_pages(holdfast.store / "segments")
    job.resume(None, "--lazy", preexec_fn=lambda: (folder / "cgroup.procs").write_text(str(os.getpid())))
    filling = holdfast.store / "jobs" / job.name / "filling"
    assert filling.read_text() != "filled\n"
    job.checkpoint()
    assert filling.read_text() == "filled\n"
    job.wait_rounds(3)
    job.assert_good()


@pytest.mark.parametrize("memory", ["--lazy", "--eager"])
def test_resume_where_a_cgroup_allows_less_memory(memory, subject, holdfast):
    """The kernel kills whom it likes. The job is gone then, never wrong, and comes back where there is enough."""
    job = subject("memory_churn", "all", 150).run()
    job.wait_rounds(1)
    job.checkpoint()
    job.kill()
    folder = memory_cgroup(f"holdfast-test-{holdfast.mark[:12]}", 100 << 20)
    answer = holdfast.run(
        "resume", job.name, "--detach", memory, "--json", preexec_fn=lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
    )
    if answer.status != 0:
        assert "memory" in answer.error["message"] + answer.error["hint"], str(answer)
    world.wait_until(lambda: not (folder / "cgroup.procs").read_text().split(), "the cgroup to be empty")
    assert oom_kills(folder) > 0
    folder.rmdir()
    assert holdfast.row(job.name)["state"] != "running"
    job.resume(None, memory)
    job.wait_rounds(2)
    job.assert_good()
    holdfast.verify()


def test_little_memory_left_in_the_cgroup(subject, holdfast):
    """160 MiB of 200: a twin could not be paid for while the job rewrites everything, so memory is copied while frozen,
    and nobody is killed."""
    folder = memory_cgroup(f"holdfast-test-{holdfast.mark[:12]}", 200 << 20)

    def remove():
        world.wait_until(lambda: not (folder / "cgroup.procs").read_text().split(), "the cgroup to be empty")
        folder.rmdir()

    job = subject("memory_churn", "dontneed", 150, 2).spawn(
        preexec_fn=lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
    )
    holdfast.cleanups.callback(lambda: (world.kill_tree(job.pid), job.process.wait(), remove()))
    for _ in range(3):
        report = job.checkpoint_by_pid()
        assert report["capture"] != "twin" and report["capture_reason"], report
        job.assert_untouched()
    assert oom_kills(folder) == 0
