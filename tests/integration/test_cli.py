"""The commands, as a user and a script see them."""
import contextlib
import datetime
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest
import world
from harness import EXIT, EXIT_CHECKPOINTED, LinesOf
from world import wait_until

# run


@pytest.mark.parametrize("status", [0, 1, 7, 75, 127, 255])
def test_exit_status_is_the_jobs(status, holdfast):
    assert holdfast.run("run", "--", "sh", "-c", f"exit {status}").status == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1])
def test_death_by_signal_is_the_jobs(number, holdfast):
    answer = holdfast.run("run", "--", "sh", "-c", f"kill -{int(number)} $$")
    assert answer.status == 128 + number


def test_output_goes_to_the_terminal_and_to_the_log(holdfast):
    answer = holdfast.run("run", "--quiet", "--name", "talker", "--", "sh", "-c", "echo to out; echo to err >&2; printf no-newline")
    assert answer.status == 0
    assert answer.out == "to out\nno-newline" and answer.err == "to err\n", str(answer)
    logs = holdfast.run("logs", "talker")
    assert (logs.status, logs.out, logs.err) == (0, "to out\nno-newline", "to err\n")


def test_output_into_one_file_keeps_its_order(holdfast):
    """2>&1: one log, and the lines of both streams as they came."""
    script = "for i in $(seq 200); do echo out $i; echo err $i >&2; done"
    process = holdfast.start("run", "--quiet", "--name", "merged", "--", "sh", "-c", script)  # both into one file
    assert process.wait(world.HANG_GUARD_S) == 0
    expected = "".join(f"out {number}\nerr {number}\n" for number in range(1, 201))
    assert process.output.read_text() == expected
    assert holdfast.run("logs", "merged").out == expected


def test_much_output_is_all_there(holdfast):
    answer = holdfast.run("run", "--quiet", "--name", "much", "--", "sh", "-c", "seq 200000; seq 5 >&2")
    assert answer.out == "".join(f"{number}\n" for number in range(1, 200001))
    assert answer.err == "1\n2\n3\n4\n5\n"
    assert holdfast.run("logs", "much").out == answer.out


def test_stdin_is_the_jobs(holdfast):
    file = holdfast.directory / "input"
    file.write_text("one\ntwo\n")
    with open(file) as stdin:
        assert holdfast.run("run", "--quiet", "--", "cat", stdin=stdin).out == "one\ntwo\n"
    with open("/dev/null") as stdin:
        assert holdfast.run("run", "--quiet", "--", "cat", stdin=stdin).out == ""


def test_signals_are_passed_on(holdfast):
    script = holdfast.directory / "traps.sh"
    script.write_text("trap 'echo got INT; exit 3' INT\ntrap 'echo got HUP' HUP\ntrap 'echo got USR1' USR1\necho ready\nwhile :; do sleep 0.05; done\n")
    run = holdfast.start("run", "--quiet", "--", "bash", script)
    output = LinesOf(run.output)
    output.wait_for(1, run)
    for number, count in ((signal.SIGUSR1, 2), (signal.SIGHUP, 3)):
        run.send_signal(number)
        output.wait_for(count, run)
    run.send_signal(signal.SIGINT)
    assert run.wait(world.HANG_GUARD_S) == 3
    assert output.lines() == ["ready", "got USR1", "got HUP", "got INT"]


def test_environment_and_directory_are_kept(holdfast):
    folder = holdfast.directory / "here"
    folder.mkdir()
    answer = holdfast.run("run", "--quiet", "--", "sh", "-c", 'pwd; echo "$A_VARIABLE"; umask', cwd=folder, env={"A_VARIABLE": "x y"})
    assert answer.out.splitlines()[:2] == [str(folder), "x y"]


def test_job_has_a_session_of_its_own(holdfast):
    started = holdfast.run_detached("session", "sleep", "1000")
    status = world.read_status(started["pid"])
    assert status.session == status.pid == status.group and status.parent == started["supervisor_pid"]
    targets = [target for target, _ in world.descriptors(started["pid"]).values()]
    assert len(targets) == 3, f"descriptors of ours have come through: {targets}"


def test_leftover_children_do_not_keep_it(holdfast):
    """The job ends with its first process; what that leaves behind is not waited for."""
    answer = holdfast.run("run", "--quiet", "--", "sh", "-c", "sleep 1000 & echo $!; exit 4")
    assert answer.status == 4
    world.kill_and_wait([int(answer.out)])


# Stop and go on


def counted(job):
    return job.round


@pytest.mark.parametrize("way", ["SIGTERM", "--stop"])
def test_stopped_after_a_last_snapshot_and_resumed(way, subject, holdfast):
    job = subject("prints_numbers")
    run = holdfast.start("run", "--name", job.name, "--", *job.command, stderr=subprocess.DEVNULL)
    job.wait_ready()
    job.pid, job.supervisor = job.pid_inside, run.pid
    job.wait_rounds(5)
    if way == "SIGTERM":
        run.terminate()
    else:
        report = job.checkpoint("--stop")
        assert report["snapshot"] == f"{job.name}@1"
    assert run.wait(world.HANG_GUARD_S) == EXIT_CHECKPOINTED, run.output.read_text()
    assert not holdfast.ours()
    row = holdfast.row(job.name)
    assert row["state"] == "checkpointed" and row["pid"] is None and row["newest"] == f"{job.name}@1", row

    resumed = holdfast.start("resume", job.name)
    job.wait_rounds(10)
    job.pid, job.supervisor = job.pid_inside, resumed.pid
    assert holdfast.row(job.name)["state"] == "running"
    resumed.terminate()
    assert resumed.wait(world.HANG_GUARD_S) == EXIT_CHECKPOINTED
    lines = holdfast.run("logs", job.name).out.splitlines()
    assert lines == [f"out {number + 1}" for number in range(len(lines))]  # not one missing, not one twice
    assert len(holdfast.ok("snapshots", job.name)) == 2


def test_resumed_job_ends_with_its_own_status(subject, holdfast):
    job = subject("prints_numbers", 200, 9).run()
    job.checkpoint()
    job.kill()
    resumed = holdfast.start("resume", job.name)
    assert resumed.wait(world.HANG_GUARD_S) == 9
    shown = resumed.output.read_text()
    assert "out 200" in shown and "err 200" in shown
    lines = holdfast.run("logs", job.name).out.splitlines()
    assert lines == [f"out {number}" for number in range(1, 201)]
    row = holdfast.row(job.name)
    assert row["state"] == "exited" and row["exit_status"] == 9, row


def test_second_sigterm_kills(holdfast):
    run = holdfast.start("run", "--name", "stubborn", "--", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    LinesOf(run.output).wait_for(1, run)
    run.terminate()
    with contextlib.suppress(ProcessLookupError):
        run.terminate()
    assert run.wait(world.HANG_GUARD_S) in (EXIT_CHECKPOINTED, 128 + signal.SIGKILL)
    assert not holdfast.ours()


def test_snapshots_on_an_interval_and_only_so_many(subject, holdfast):
    job = subject("dontfork_region").run("--every", "1s", "--keep", "2")

    def versions():
        answer = holdfast.run("snapshots", job.name, "--json")
        return [row["snapshot"] for row in answer.json] if answer.status == 0 else []

    wait_until(lambda: f"{job.name}@4" in versions(), lambda: f"the fourth snapshot: {versions()}", interval=0.2)
    wait_until(lambda: len(versions()) <= 2, lambda: f"old ones to go: {versions()}", interval=0.1)
    assert holdfast.row(job.name)["every_s"] == 1
    job.assert_good()
    job.kill()
    job.resume()  # goes on with the interval
    newest = holdfast.row(job.name)["newest"]
    wait_until(lambda: holdfast.row(job.name)["newest"] != newest, "a snapshot after the restart", interval=0.2)
    job.wait_rounds(2)


def test_earlier_version(subject, holdfast):
    """resume NAME@N is that moment, and the lineage goes on from there."""
    job = subject("append_log").run()
    rounds = []
    for _ in range(3):
        job.wait_rounds(5)
        rounds.append(job.round)
        job.checkpoint()
    job.wait_rounds(200)
    job.kill()
    job.resume(2)
    job.wait_rounds(1)
    assert rounds[1] <= job.round < rounds[2] + 150
    assert job.checkpoint()["snapshot"] == f"{job.name}@4"
    assert [row["snapshot"] for row in holdfast.ok("snapshots", job.name)] == [f"{job.name}@{n}" for n in (1, 2, 3, 4)]


def test_pids_that_are_taken_and_the_way_out(subject, holdfast):
    """A clear error naming the pid; in a pid namespace of its own it runs beside the other."""
    job = subject("process_tree", 3, 2).spawn()
    job.checkpoint_by_pid()
    answer = holdfast.run("resume", job.name, "--detach", "--json")
    assert answer.status in (EXIT["exists"], EXIT["busy"]), str(answer)
    assert str(job.pid) in answer.error["message"] or "run" in answer.error["message"], answer.error
    job.assert_untouched()

    world.kill_tree(job.pid)
    job.process.wait()
    holdfast.popens.remove(job.process)
    # Somebody else takes the pid of a process of the tree.
    taker = None
    for _ in range(3):
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(job.pid - 1))
        candidate = holdfast.spawn("sleep", "1000")
        if candidate.pid == job.pid:
            taker = candidate
            break
        world.kill_and_wait([candidate.pid], keep_status=[candidate.pid])
    if taker is None:
        pytest.skip("the pid could not be taken on purpose")
    error = holdfast.fails("exists", "resume", job.name, "--detach")
    assert str(job.pid) in error["message"] and "new-ns" in error["hint"], error
    assert world.is_alive(taker.pid)
    job.resume(None, "--pid-mode", "new-ns")
    job.wait_rounds(3)
    assert world.is_alive(taker.pid) and job.pid != taker.pid
    row = holdfast.row(job.name)
    assert row["state"] == "running" and row["pid"] == job.pid, row
    report = job.checkpoint()  # of a job in a namespace of its own
    assert report["processes"] >= 3
    job.kill()
    job.resume(None, "--pid-mode", "new-ns")
    job.wait_rounds(3)


def test_two_checkpoints_at_once(subject, holdfast):
    job = subject("memory_churn", "all", 64).run()
    processes = [holdfast.start("checkpoint", job.name, "--json", output=f"both-{number}") for number in range(3)]
    statuses = [process.wait(world.HANG_GUARD_S) for process in processes]
    for process in processes:
        holdfast.popens.remove(process)
    assert all(status in (0, EXIT["busy"]) for status in statuses) and 0 in statuses, statuses
    rows = holdfast.ok("snapshots", job.name)
    assert len(rows) == statuses.count(0)
    job.assert_untouched()
    holdfast.verify()
    job.kill()
    job.resume()
    job.wait_rounds(3)


def test_jobs_beside_each_other_in_one_store(subject, holdfast):
    jobs = [subject("process_tree", 2, 4, label=f"job-{number}").run() for number in range(3)]
    processes = [holdfast.start("checkpoint", job.name, "--json", output=f"beside-{job.name}") for job in jobs]
    for process in processes:
        assert process.wait(world.HANG_GUARD_S) == 0, process.output.read_text()
        holdfast.popens.remove(process)
    assert sorted(row["name"] for row in holdfast.ok("ps")) == ["job-0", "job-1", "job-2"]
    for job in jobs:
        job.kill()
    for job in jobs:
        job.resume()
    for job in jobs:
        job.wait_rounds(2)
    holdfast.verify()


# What is shown


def is_time_of_day(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.utcoffset() == datetime.timedelta(0) and abs(moment.timestamp() - time.time()) < 3600


def has_types(document, **types):
    for key, kind in types.items():
        assert key in document, f"{key} is missing in {document}"
        assert isinstance(document[key], kind) and not (kind is int and isinstance(document[key], bool)), (key, document[key])


def test_shapes_of_json(subject, holdfast):
    job = subject("prints_numbers").run()
    report = job.checkpoint("--note", "a note, with 'quotes' and ünïcode")
    has_types(
        report, snapshot=str, freeze_ms=(int, float), drain_ms=(int, float), total_ms=(int, float), waited_ms=(int, float), bytes_captured=int,
        bytes_stored=int, capture=str, capture_reason=str, processes=int, warnings=list,
    )  # fmt: skip
    assert report["capture"] in ("twin", "copy", "mixed") and report["freeze_ms"] <= report["total_ms"]
    row = holdfast.row(job.name)
    has_types(row, name=str, state=str, pid=int, supervisor_pid=int, started=str, command=list, snapshots=int, newest=str)
    has_types(row, every_s=(int, float))
    assert row["exit_status"] is None and row["command"] == job.command and is_time_of_day(row["started"])
    assert (row["pid"], row["supervisor_pid"], row["snapshots"]) == (job.pid, job.supervisor, 1)
    (row,) = holdfast.ok("snapshots", job.name)
    has_types(row, snapshot=str, kind=str, created=str, bytes_captured=int, bytes_stored=int, processes=int, annotations=dict)
    assert row["kind"] in ("full", "delta") and row["parent"] is None and is_time_of_day(row["created"])
    assert row["annotations"]["note"] == "a note, with 'quotes' and ünïcode"
    inside = holdfast.ok("inspect", job.name, "--all")
    has_types(inside, snapshot=str, environment=dict, warnings=list, processes=list, files=list, images=list)
    (process,) = inside["processes"]
    has_types(process, pid=int, parent=int, name=str, command=(list, str), uid=int, threads=(int, list), cwd=str, memory=list, files=list, environment=list)
    assert process["pid"] == job.pid and process["name"] == "prints_numbers"
    assert any(row["name"] == "[stack]" for row in process["memory"])
    for mapping in process["memory"]:
        has_types(mapping, start=(int, str), end=(int, str), permissions=str, name=str, bytes_stored_pages=int)
    assert {entry["fd"] for entry in process["files"]} >= {0, 1, 2}
    assert any(entry.startswith("HOLDFAST_TEST_MARK=") for entry in process["environment"])
    assert all(image["name"] and image["bytes"] >= 0 for image in inside["images"])
    report = holdfast.verify()
    has_types(report, ok=bool, snapshots_checked=int, blocks_checked=int, bytes_read=int, problems=list)
    assert report["snapshots_checked"] == 1 and report["bytes_read"] > 0
    report = holdfast.run("doctor", "--json")
    assert report.status in (0, EXIT["unsupported"])
    has_types(report.json["criu"], path=str, version=str)
    for finding in report.json["findings"]:
        has_types(finding, level=str, subject=str, what=str, remedy=str)
        assert finding["level"] in ("ok", "degraded", "broken")
        assert finding["level"] == "ok" or finding["remedy"], finding


def test_words_for_people(subject, holdfast):
    """Results on stdout, progress and notices on stderr, nothing but results with --quiet."""
    job = subject("prints_numbers").run()
    answer = holdfast.run("checkpoint", job.name)
    assert answer.status == 0 and f"{job.name}@1" in answer.out + answer.err and "freeze" in (answer.out + answer.err).lower()
    assert "\x1b" not in answer.out + answer.err, "escape sequences without a terminal"
    quiet = holdfast.run("checkpoint", job.name, "--quiet")
    assert quiet.status == 0 and quiet.err == ""
    for command in (["ps"], ["snapshots", job.name], ["inspect", job.name], ["verify"], ["doctor"]):
        answer = holdfast.run(*command)
        assert answer.status == 0 or command == ["doctor"], str(answer)
        assert len(answer.out.splitlines()) >= 1 and "{" not in answer.out.splitlines()[0], str(answer)
    answer = holdfast.run("resume", "nobody")
    assert answer.status == EXIT["not-found"]
    assert answer.out == "" and answer.err.startswith("holdfast: "), str(answer)


def test_states_of_jobs(subject, holdfast):
    job = subject("exit_when_told", 4).run()
    assert holdfast.row(job.name)["state"] == "running"
    (job.directory / "exit").touch()
    wait_until(lambda: holdfast.row(job.name)["state"] == "exited", "the end to be written down")
    row = holdfast.row(job.name)
    assert row["exit_status"] == 7 and row["pid"] is None, row
    lost = subject("dontfork_region").run()
    lost.checkpoint()
    lost.kill()
    row = holdfast.row(lost.name)
    assert row["state"] == "lost" and row["snapshots"] == 1 and row["pid"] is None, row


def test_annotations(subject, holdfast):
    job = subject("dontfork_region").run()
    job.checkpoint("--tag", "loss=0.5")
    holdfast.ok("annotate", f"{job.name}@1", "best=yes", "loss=0.25", "empty-value-is=here")
    (row,) = holdfast.ok("snapshots", job.name)
    assert row["annotations"] == {"loss": "0.25", "best": "yes", "empty-value-is": "here"}
    holdfast.ok("annotate", f"{job.name}@1", "best=")
    assert "best" not in holdfast.ok("snapshots", job.name)[0]["annotations"]
    holdfast.fails("usage", "annotate", f"{job.name}@1", "novalue")
    holdfast.verify()


def stored_bytes(holdfast):
    return sum(path.stat().st_size for path in holdfast.store.rglob("*") if path.is_file())


def test_remove_and_prune(subject, holdfast):
    job = subject("random_memory", 8).run()
    for _ in range(4):
        job.wait_rounds(2)
        job.checkpoint()
    report = holdfast.ok("rm", f"{job.name}@2")
    assert report["removed"] == [f"{job.name}@2"], report
    assert [row["snapshot"] for row in holdfast.ok("snapshots", job.name)] == [f"{job.name}@{n}" for n in (1, 3, 4)]
    before = stored_bytes(holdfast)
    report = holdfast.ok("prune", "--keep", "1", "--dry-run")
    assert stored_bytes(holdfast) == before and len(holdfast.ok("snapshots", job.name)) == 3
    report = holdfast.ok("prune", "--keep", "1", job.name)
    assert sorted(report["removed"]) == [f"{job.name}@1", f"{job.name}@3"] and report["bytes_freed"] > 0, report
    assert stored_bytes(holdfast) <= before - report["bytes_freed"]  # what @4 shares with them stays
    holdfast.verify()
    holdfast.fails("busy", "rm", job.name)  # it runs
    job.assert_untouched()
    job.kill()
    job.resume()
    job.wait_rounds(3)
    job.kill()
    holdfast.ok("rm", job.name)
    assert holdfast.ok("ps") == []
    assert stored_bytes(holdfast) < 1 << 20


def test_logs_of_a_job_that_goes_on(subject, holdfast):
    job = subject("prints_numbers", 60, 3).run()
    follow = holdfast.start("logs", "-f", job.name)
    assert follow.wait(world.HANG_GUARD_S) == 0
    shown = follow.output.read_text()
    assert all(f"{stream} {number}\n" in shown for number in range(1, 61) for stream in ("out", "err"))
    holdfast.fails("not-found", "logs", "nobody")


def test_attach_follows_and_leaves_alone(subject, holdfast):
    job = subject("prints_numbers").run()
    attach = holdfast.start("attach", job.name)
    wait_until(lambda: "out " in attach.output.read_text(), "something to be shown")
    attach.send_signal(signal.SIGINT)
    assert attach.wait(world.HANG_GUARD_S) == 0
    job.assert_untouched()


# A terminal


class Terminal:
    """What a user sits at."""

    def __init__(self, holdfast, *arguments, size=(30, 100)):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

        def take_terminal():
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = holdfast.start(
            *arguments, stdin=slave, stdout=slave, stderr=slave, env={"TERM": "xterm"}, preexec_fn=take_terminal
        )
        os.close(slave)
        self.text = ""

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            try:
                got = os.read(self.master, 65536)
            except OSError:
                return
            if not got:
                return
            self.text += got.decode(errors="replace")

    def wait_for(self, text):
        def there():
            self.read()
            return text in self.text

        wait_until(there, lambda: f"{text!r} on the terminal, which shows {self.text[-500:]!r}")

    def type(self, text):
        os.write(self.master, text.encode())

    def close(self):
        os.close(self.master)


INTERPRETER = "import sys\nx = 0\nwhile True:\n    line = sys.stdin.readline()\n    if not line: sys.exit(6)\n    x += 1\n    print('line', x, 'was', line.strip(), sys.stdin.isatty(), sys.stdout.isatty(), flush=True)\n"


def test_job_on_a_terminal(holdfast):
    """--tty: it has a terminal of the same size, it is kept over checkpoint, kill -9 and restart."""
    program = holdfast.directory / "interpreter.py"
    program.write_text(INTERPRETER)
    terminal = Terminal(holdfast, "run", "--tty", "--name", "tty", "--", "/usr/bin/python3", program)
    terminal.type("hello\n")
    terminal.wait_for("line 1 was hello True True")
    pid = holdfast.row("tty")["pid"]
    assert "/dev/pts/" in os.readlink(f"/proc/{pid}/fd/0") or "pts" in os.readlink(f"/proc/{pid}/fd/0")
    holdfast.checkpoint("tty")
    terminal.type("again\n")
    terminal.wait_for("line 2 was again True True")
    world.kill_tree(pid, also=[terminal.process.pid])
    terminal.process.wait()
    terminal.close()

    terminal = Terminal(holdfast, "resume", "tty")
    terminal.type("back\n")
    terminal.wait_for("line 2 was back True True")
    terminal.type("\x04")  # end of input
    assert terminal.process.wait(world.HANG_GUARD_S) == 6
    terminal.close()


def test_keys_reach_a_job_on_a_terminal(holdfast):
    terminal = Terminal(holdfast, "run", "--tty", "--name", "keys", "--", "sh", "-c", "trap 'echo interrupted; exit 3' INT; stty size; echo ready; while :; do sleep 0.1; done")
    terminal.wait_for("30 100")
    terminal.wait_for("ready")
    terminal.type("\x03")
    terminal.wait_for("interrupted")
    assert terminal.process.wait(world.HANG_GUARD_S) == 3
    terminal.close()


def test_ctrl_c_at_a_checkpoint_is_not_the_jobs(subject, holdfast):
    job = subject("random_memory", 96).run()
    terminal = Terminal(holdfast, "checkpoint", job.name)
    time.sleep(0.05)
    terminal.type("\x03")
    assert terminal.process.wait(world.HANG_GUARD_S) in (0, EXIT["interrupted"], -signal.SIGINT)
    terminal.close()
    holdfast.assert_nothing_left(job.pid, job.supervisor, at_once=False)
    job.wait_rounds(2)


# Help


COMMANDS = "run checkpoint resume ps snapshots inspect logs attach annotate rm prune compact verify doctor".split()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(command, holdfast):
    answer = holdfast.run(command, "--help")
    assert answer.status == 0 and answer.err == ""
    assert f"holdfast {command}" in answer.out and "--json" in answer.out and "--store" in answer.out
    assert "xample" in answer.out, "no examples"


def test_help_of_all(holdfast):
    answer = holdfast.run("--help")
    assert answer.status == 0 and all(f"  {command} " in answer.out for command in COMMANDS), answer.out
    version = holdfast.run("--version")
    assert version.status == 0 and version.out.startswith("holdfast ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, holdfast):
    answer = holdfast.run("generate", shell)
    assert answer.status == 0
    assert all(command in answer.out for command in COMMANDS) and "pid-mode" in answer.out
    if shutil.which(shell):
        file = holdfast.directory / "completion"
        file.write_text(answer.out)
        assert subprocess.run([shell, "-n", file], check=False).returncode == 0


def test_bash_completes(subject, holdfast):
    file = holdfast.directory / "completion"
    file.write_text(holdfast.run("generate", "bash").out)
    script = f"""
        PATH={os.path.dirname(holdfast.binary)}:$PATH
        source {file}
        COMP_WORDS=(holdfast chec); COMP_CWORD=1; COMP_LINE='holdfast chec'; COMP_POINT=13
        complete -p holdfast | grep -o -- '-F [^ ]*' | cut -c4- > {holdfast.directory}/function
        $(cat {holdfast.directory}/function) holdfast chec holdfast
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=holdfast.environment, check=False)
    assert done.stdout.split() == ["checkpoint"], done


def test_man_pages(holdfast):
    folder = holdfast.directory / "man"
    folder.mkdir()
    assert holdfast.run("generate", "man", "--to", folder).status == 0
    pages = {path.name for path in folder.iterdir()}
    assert pages >= {"holdfast.1", *(f"holdfast-{command}.1" for command in COMMANDS)}
    for path in folder.iterdir():
        assert path.read_text().startswith((".TH", ".\\\"")), path
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", folder / "holdfast-run.1"], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stderr == "", done.stderr


def test_quickly_repeated_commands_do_not_disturb(subject, holdfast):
    """ps, snapshots, verify while a checkpoint is on its way show a whole store at every moment."""
    job = subject("random_memory", 96).run()
    job.checkpoint()
    process = holdfast.start("checkpoint", job.name, "--json", output="meanwhile")
    looks = 0
    while process.poll() is None or looks < 3:
        assert holdfast.row(job.name)["state"] == "running"
        assert holdfast.run("snapshots", job.name, "--json").status == 0
        assert holdfast.run("verify", "--json").status == 0
        looks += 1
    assert process.returncode == 0, process.output.read_text()
    assert json.loads(process.output.read_text())["snapshot"] == f"{job.name}@2"
    holdfast.popens.remove(process)
