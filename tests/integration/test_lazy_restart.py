"""A restart that lets the job run before its memory is back: it is right at every moment, whatever it does meanwhile and
whoever is killed."""
import os
import pathlib
import random
import signal
import time

import pytest
import world
from harness import EXIT, MEMORY_PROGRAMS


def page_servers(holdfast):
    """Both of them, by what the kernel calls them."""
    return [status.pid for status in map(world.read_status, holdfast.ours()) if status and status.name == "page-server"]


def fill_record(holdfast, job):
    return holdfast.store / "jobs" / job.name / "filling"


def is_filled(holdfast, job):
    record = fill_record(holdfast, job)
    return not record.exists() or record.read_text() == "filled\n"


def wait_until_filled(holdfast, job):
    world.wait_until(lambda: is_filled(holdfast, job), f"all memory of {job.name}", seconds=120)


def killed_after_snapshot(subject, mebibytes):
    """A job that writes slowly, with so much memory."""
    job = subject("slow_writer", mebibytes).run()
    job.wait_rounds(1)
    job.checkpoint()
    job.kill()
    return job


def missing_mappings(pid):
    """How many mappings the kernel shows as waiting for somebody to bring pages."""
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    return sum(" um" in line for line in text.splitlines() if line.startswith("VmFlags:"))


@pytest.mark.parametrize("program", MEMORY_PROGRAMS)
def test_cycles(program, subject, holdfast):
    """Snapshot, kill, lazy restart, twice; each snapshot is taken at once, while memory is coming back."""
    name, *arguments = program.split()
    job = subject(name, *arguments).run()
    job.wait_rounds(2)
    job.checkpoint()
    for _ in range(2):
        job.kill()
        job.resume(None, "--lazy")
        job.checkpoint()
        assert is_filled(holdfast, job)
        job.wait_rounds(2)
        job.assert_untouched()
        job.assert_good()
    holdfast.verify()


def test_nothing_is_left_of_it(subject, holdfast):
    """Once all is there: no page server, no registered mapping, and the kernel is not asked for the next snapshot's sake."""
    job = killed_after_snapshot(subject, 64)
    report = job.resume(None, "--lazy")
    assert 48 << 20 < report["bytes_to_come"] <= report["bytes_restored"]
    wait_until_filled(holdfast, job)
    world.wait_until(lambda: not page_servers(holdfast), "the page servers' end")
    assert missing_mappings(job.pid) == 0
    job.wait_rounds(2)
    holdfast.assert_nothing_left(job.pid, job.supervisor)


def test_eager_waits_for_all(subject, holdfast):
    job = killed_after_snapshot(subject, 64)
    assert job.resume(None, "--eager")["bytes_to_come"] == 0
    assert not fill_record(holdfast, job).exists() and not page_servers(holdfast)
    job.wait_rounds(2)
    assert holdfast.run("resume", job.name, "--eager", "--lazy").status == EXIT["usage"]


def test_lazy_by_default_where_it_is_worth_it(subject, holdfast):
    assert killed_after_snapshot(subject, 64).resume()["bytes_to_come"] > 0
    assert killed_after_snapshot(subject, 1).resume()["bytes_to_come"] == 0


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@pytest.mark.parametrize("program, wanted", [("memory_churn all 256", 100), ("memory_churn mremap 256", 100)])
def test_page_servers_killed_at_random_moments(program, wanted, subject, holdfast, seed):
    """One of both, time and again: whichever it is, the job never sees anything but its memory. Its writes are tracked meanwhile, and the
    next restart is from what the next snapshot took for written."""
    name, *arguments = program.split()
    rng = random.Random(seed)
    job = subject(name, *arguments).run()
    job.wait_rounds(2)
    job.checkpoint("--capture", "precopy")
    kills = 0
    restarts = 0
    while kills < wanted:
        restarts += 1
        assert restarts < 200, f"only {kills} kills in {restarts} restarts"
        job.kill()
        job.resume(None, "--lazy")
        killed = set()  # and perhaps not gone yet
        while kills < wanted and not is_filled(holdfast, job):
            servers = [pid for pid in page_servers(holdfast) if pid not in killed]
            assert world.is_alive(job.pid), f"the job died after {kills} kills: {fill_record(holdfast, job).read_text()}"
            if len(servers) < 2:  # both at once would be the end of the job
                continue
            victim = rng.choice(servers)
            kill(victim)
            killed.add(victim)
            kills += 1
            time.sleep(rng.uniform(0, 0.01))
        job.wait_rounds(1)
        job.checkpoint("--capture", "precopy")
        job.assert_good()
    wait_until_filled(holdfast, job)
    world.wait_until(lambda: not page_servers(holdfast), "the page servers' end")
    job.checkpoint()
    job.assert_untouched()


def restart_and_hold(job, holdfast):
    """Restarts until its page servers could be stopped before all of its memory was back; these."""
    for _ in range(5):
        job.kill()
        job.resume(None, "--lazy")
        servers = page_servers(holdfast)
        for pid in servers:
            os.kill(pid, signal.SIGSTOP)
        if len(servers) == 2 and not is_filled(holdfast, job):
            break
    return servers


def test_both_page_servers_killed_at_once(subject, holdfast):
    """Then what was missing is lost: the job is killed, and says so; its snapshot is still there."""
    job = killed_after_snapshot(subject, 512)
    for pid in restart_and_hold(job, holdfast):
        kill(pid)
    world.wait_until(lambda: not world.is_alive(job.pid), "the job's end")
    world.wait_until(lambda: not world.is_alive(job.supervisor), "its supervisor's end")
    log = (holdfast.store / "jobs" / job.name / "supervisor.log").read_text()
    assert "not all of its memory could be brought back" in log and "holdfast resume" in log, log
    job.resume(None, "--lazy")
    job.wait_rounds(2)
    job.checkpoint()


def test_stopped_meanwhile_within_a_deadline(subject, holdfast):
    """Its last snapshot waits for the memory, and nothing is promised about that."""
    job = subject("slow_writer", 512).run("--deadline", "10m")
    job.wait_rounds(1)
    job.checkpoint()
    servers = restart_and_hold(job, holdfast)
    os.kill(job.supervisor, signal.SIGTERM)
    log = holdfast.store / "jobs" / job.name / "supervisor.log"
    world.wait_until(lambda: "once the rest of the memory is back" in log.read_text(), lambda: log.read_text())
    assert "the deadline may be missed" in log.read_text()
    for pid in servers:
        os.kill(pid, signal.SIGCONT)
    world.wait_until(lambda: holdfast.row(job.name)["state"] != "running", "its end", interval=0.1)
    assert holdfast.row(job.name)["state"] == "checkpointed", log.read_text()
    job.resume()
    job.wait_rounds(2)
    job.assert_good()


def test_supervisor_killed_meanwhile(subject, holdfast):
    """The page servers outlive it."""
    job = killed_after_snapshot(subject, 256)
    job.resume(None, "--lazy")
    kill(job.supervisor)
    wait_until_filled(holdfast, job)
    job.wait_rounds(2)
    job.assert_good()


def test_job_killed_meanwhile(subject, holdfast):
    job = killed_after_snapshot(subject, 256)
    for _ in range(3):
        job.kill()
        job.resume(None, "--lazy")
    job.kill()
    world.wait_until(lambda: not page_servers(holdfast), "the page servers' end")
    holdfast.verify()


def test_damage_met_while_it_runs(subject, holdfast):
    """Never anything wrong: the job is killed, and it is said why."""
    job = killed_after_snapshot(subject, 64)
    segment = max((holdfast.store / "segments").iterdir(), key=lambda path: path.stat().st_size)
    with open(segment, "r+b") as file:
        for offset in range(8192, segment.stat().st_size, 65536):
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 1]))
    answer = holdfast.run("resume", job.name, "--detach", "--lazy", "--json")
    if answer.status == 0:  # else the damage was met before it ran
        pid, supervisor = answer.json["pid"], answer.json["supervisor_pid"]
        world.wait_until(lambda: not world.is_alive(pid) and not world.is_alive(supervisor), "its end")
        log = (holdfast.store / "jobs" / job.name / "supervisor.log").read_text()
        assert "not all of its memory could be brought back" in log, log
    else:
        assert answer.status == EXIT["corrupt"], str(answer)
    job.assert_good()
