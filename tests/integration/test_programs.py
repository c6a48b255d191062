"""Tiny programs that watch one behaviour each (tests/programs): none of it changes by a checkpoint, and all of it comes
back after kill -9 and a restart, time and again on one lineage.
"""
import os
import subprocess

import pytest
import world

CRIU_LOSES = {
    "descriptors_hold directory": "CRIU 4.1 restores a descriptor of O_PATH | O_DIRECTORY without O_DIRECTORY",
}

PROGRAMS = """
memory_churn munmap 96
memory_churn fixed 96
memory_churn dontneed 96
memory_churn free 96
memory_churn mremap 96
memory_churn mprotect 96
memory_churn all 128 6
brk_shrink
fork_storm
exec_storm
dontfork_region
wipeonfork_region
wipeonfork_region forks
prot_none_region
deep_stack
growsdown_mapping
huge_pages
sparse_memory
many_mappings
private_file_mapping
shared_file_mapping
locked_memory
guard_pages
guard_pages keep
waits_see_no_stranger
waits_for_any_child
waits_as_reaper
registers_hold
syscalls_hold
rseq_counters
signal_state
blocking_calls
descriptors_hold
descriptors_hold directory
seccomp_filter
robust_mutex
priority_mutex
timers_go_on
event_descriptors
event_descriptors semaphore
pipe_content pipe
pipe_content stream
pipe_content datagram
pipe_content seqpacket
pipe_content tcp
tcp_loopback
pty_pair
sysv_ipc own
shared_memory anonymous
shared_memory anonymous 96
shared_memory memfd
shared_memory sealed
shared_memory named
shared_memory unlinked
shared_random anonymous
shared_random memfd
shared_memory file
deleted_file
deleted_directory
open_file grow
open_file rewrite
open_file shrink
open_file rename
append_log
posix_lock
process_groups
stopped_child
zombie_child
other_user
many_threads 64
many_threads 8 pinned
process_tree 16 2
limits_hold
kills_group_zero
""".strip().splitlines()


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_by_itself(program, programs, tmp_path):
    """Without Holdfast it finds itself right, so that what it says under Holdfast means something."""
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:-2]:
        if "pytest-of" in str(parent):
            parent.chmod(0o755)  # one of them runs as nobody
    name, *arguments = program.split()
    process = subprocess.Popen(
        [programs / name, tmp_path, *arguments],
        env={**os.environ, "SUBJECT_ROUNDS": "3"},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = process.wait(world.HANG_GUARD_S)
    finally:
        if process.poll() is None:
            world.kill_tree(process.pid)
            process.wait()
    if status == 77:
        pytest.skip((tmp_path / "skip").read_text().strip())
    bad = tmp_path / "bad"
    assert status == 0, bad.read_text() if bad.exists() else f"status {status}"


def check_after_restart(subject, program):
    try:
        subject.wait_rounds(3)
        subject.assert_good()
    except AssertionError:
        if program in CRIU_LOSES and subject.said("bad"):
            pytest.xfail(CRIU_LOSES[program])
        raise


@pytest.mark.parametrize("program", PROGRAMS)
def test_goes_on_and_comes_back(program, subject, holdfast):
    name, *arguments = program.split()
    job = subject(name, *arguments).run()
    job.wait_rounds(3)
    if name == "locked_memory":
        assert world.status_field(job.pid, "VmLck") == "2048 kB"

    report = job.checkpoint()
    assert report["snapshot"] == f"{job.name}@1"
    assert report["processes"] == len(world.tree(job.pid)) or name in ("fork_storm", "waits_for_any_child", "tcp_loopback", "wipeonfork_region", "dontfork_region", "robust_mutex", "shared_random", "waits_as_reaper")
    job.assert_untouched()
    report = job.checkpoint()
    job.assert_untouched()
    at_kill = job.round

    job.kill()
    job.resume()
    check_after_restart(job, program)
    report = job.checkpoint()
    assert report["snapshot"] == f"{job.name}@3"
    job.assert_untouched()

    job.kill()
    job.resume()
    check_after_restart(job, program)
    if name == "huge_pages":
        # Made whole again once all memory is there.
        world.wait_until(lambda: int(job.said("huge")) >= 32 << 10, "huge pages, which came back as small ones")
    assert job.round < at_kill + 100000
    holdfast.assert_nothing_left(job.pid, job.supervisor)


@pytest.mark.parametrize("capture", ["twin", "partial"])
@pytest.mark.parametrize(
    "program",
    [
        "waits_see_no_stranger", "waits_for_any_child", "waits_as_reaper", "posix_lock", "registers_hold", "syscalls_hold", "rseq_counters", "signal_state",
        "blocking_calls", "descriptors_hold", "stopped_child", "kills_group_zero", "timers_go_on", "limits_hold",
        "event_descriptors semaphore", "wipeonfork_region forks", "guard_pages keep", "dontfork_region",
    ],
)  # fmt: skip
def test_nothing_is_visible_from_within(program, capture, subject, holdfast):
    """Six checkpoints of a process that Holdfast did not start, the twins' whole life each time."""
    name, *arguments = program.split()
    job = subject(name, *arguments).spawn()
    for _ in range(6):
        report = job.checkpoint_by_pid("--capture", capture)
        assert report["capture"] in ("twin", "partial twin", "mixed"), report
        job.assert_untouched()


@pytest.mark.parametrize("program", ["memory_churn all 64", "shared_memory anonymous 8", "process_tree 8 2", "dontfork_region", "huge_pages"])
def test_copying_while_frozen_is_right_too(program, subject):
    name, *arguments = program.split()
    job = subject(name, *arguments).run()
    report = job.checkpoint("--capture", "copy")
    assert report["capture"] == "copy", report
    job.assert_untouched()
    job.kill()
    job.resume()
    job.wait_rounds(3)


@pytest.mark.parametrize("capture", ["twin", "partial", "copy"])
@pytest.mark.parametrize("program", ["sparse_memory", "blocking_calls", "other_user", "many_mappings", "locked_memory"])
def test_nothing_is_visible_from_outside(program, capture, subject, holdfast):
    """/proc shows the same before and after: memory map and its flags, descriptors, threads, limits, masks, names."""
    job = subject(program).spawn()
    job.wait_rounds(1)
    pids = world.tree(job.pid)
    before = {pid: world.lasting_state(pid) for pid in pids}
    resident = sum(int(world.status_field(pid, "RssAnon").split()[0]) for pid in pids)
    job.checkpoint_by_pid("--capture", capture)
    job.assert_untouched()
    assert world.tree(job.pid) == pids
    for pid in pids:
        after = world.lasting_state(pid)
        for what, value in before[pid].items():
            if what == "descriptors":  # a report may have been on its way
                own = {fd: target for fd, target in value.items() if "/verdict" not in target[0]}
                assert own == {fd: target for fd, target in after[what].items() if "/verdict" not in target[0]}
            else:
                assert after[what] == value, what
    assert sum(int(world.status_field(pid, "RssAnon").split()[0]) for pid in pids) < resident + 2048


def test_a_tree_of_sixteen_has_sixteen_processes_in_its_snapshot(subject, holdfast):
    job = subject("process_tree", 16, 2).run()
    assert job.checkpoint()["processes"] == 16
    inside = holdfast.ok("inspect", job.name, "--all")
    assert sorted(process["pid"] for process in inside["processes"]) == sorted(world.tree(job.pid))
    by_pid = {process["pid"]: process for process in inside["processes"]}
    for pid in world.tree(job.pid)[1:]:
        assert by_pid[pid]["parent"] == world.read_status(pid).parent
        assert by_pid[pid]["memory"] and by_pid[pid]["files"] and by_pid[pid]["name"] == "process_tree"


def test_sparse_memory_costs_what_it_holds(subject):
    job = subject("sparse_memory").run()
    report = job.checkpoint()
    assert report["bytes_captured"] < 64 << 20 and report["bytes_stored"] < 16 << 20, report


def test_stdin_from_a_pipe(subject, holdfast):
    """What was read is read once; after the restart, reading goes on from the new supervisor's input."""
    job = subject("reads_stdin")
    read_end, write_end = os.pipe()
    run = holdfast.start("run", "--name", job.name, "--", *job.command, stdin=read_end)
    os.close(read_end)
    os.write(write_end, b"first\nsecond\n")
    job.wait_ready()
    job.pid, job.supervisor = job.pid_inside, run.pid
    world.wait_until(lambda: job.round >= 2, "two lines to be read")
    job.checkpoint()
    os.write(write_end, b"lost\n")
    world.wait_until(lambda: job.round >= 3, "the third line to be read")
    world.kill_tree(run.pid)
    run.wait()
    os.close(write_end)

    read_end, write_end = os.pipe()
    resumed = holdfast.start("resume", job.name, stdin=read_end)
    os.close(read_end)
    os.write(write_end, b"third\n")
    os.close(write_end)
    assert resumed.wait(world.HANG_GUARD_S) == 5, resumed.output.read_text()
    assert (job.directory / "copy").read_text() == "1 first\n2 second\n3 third\n"
    job.assert_good()
