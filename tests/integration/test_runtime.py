"""holdfast-runtime is runc, or crun, to whoever calls it: real containers through both, side by side."""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import threading
import time

import oci
import pytest

OPTED_IN = {"holdfast.dev/checkpoint": "true"}
IN_POD = {
    **OPTED_IN,
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.container-name": "main",
    "io.kubernetes.cri.sandbox-name": "train-0",
    "io.kubernetes.cri.sandbox-namespace": "ml",
    "io.kubernetes.cri.sandbox-uid": "0b3d6f0e-1111-2222-3333-444455556666",
    "holdfast.dev/slot": "0",
}
# Writes what it was given, then is the runtime that is named in its directory.
RECORDER = """#!/usr/bin/python3 -IS
import os, pathlib, signal, sys
here = pathlib.Path(__file__).parent
fds = {}
for fd in os.listdir("/proc/self/fd"):
    try:
        fds[int(fd)] = os.readlink("/proc/self/fd/" + fd)
    except OSError:
        pass  # the one of the listing
status = [line for line in open("/proc/self/status") if line.split(":")[0] in ("Umask", "SigBlk", "SigIgn", "SigPnd", "ShdPnd")]
seen = [os.fsencode(each) for each in sys.argv[1:]], open("/proc/self/environ", "rb").read(), fds, status, os.getcwd()
seen += signal.getitimer(signal.ITIMER_REAL), open("/proc/self/timers").read(), open("/proc/self/limits").read()
(here / "seen").write_text(repr(seen))
os.execv("/bin/sh", ["sh", str(here / "then"), *sys.argv[1:]])
"""


@pytest.fixture(scope="session")
def wrapper():
    if os.geteuid() != 0:
        pytest.skip("containers need root here")
    found = oci.find("holdfast-runtime")
    if not found:
        pytest.skip("there is no holdfast-runtime: build it")
    return found


@pytest.fixture(params=["runc", "crun"])
def real(request):
    found = shutil.which(request.param)
    if not found:
        pytest.skip(f"there is no {request.param}")
    return found


@pytest.fixture
def containers(real):
    if not shutil.which("busybox"):
        pytest.skip("there is no busybox")
    made = oci.Containers(real)
    try:
        yield made
    finally:
        made.clean_up()


@pytest.fixture
def environment(real, tmp_path):
    """Of a wrapper whose settings and log are the test's own."""
    (tmp_path / "runtime.conf").write_text(f"runc = {real}\nlog = {tmp_path}/log\n")
    return {**os.environ, "HOLDFAST_RUNTIME_CONF": str(tmp_path / "runtime.conf")}


@pytest.fixture
def recorder(tmp_path, wrapper):
    """recorder(program, arguments): what the runtime saw that was in the end called."""
    script = tmp_path / "recorder"
    script.write_text(RECORDER)
    script.chmod(0o755)
    (tmp_path / "then").write_text("exit 0\n")

    def run(program, *arguments, environment=None, **options):
        (tmp_path / "seen").unlink(missing_ok=True)
        environment = {**(environment if environment is not None else os.environ), "HOLDFAST_RUNC": str(script)}
        done = subprocess.run([program, *arguments], env=environment, timeout=oci.SECONDS_MAX, check=False, **options)
        assert done.returncode == 0
        return (tmp_path / "seen").read_text()

    run.script = str(script)
    run.then = tmp_path / "then"
    return run


def decisions(tmp_path):
    log = tmp_path / "log/decisions.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


# --- nothing is different ----------------------------------------------------------------------------------------------


def lifecycle(containers, program, environment):
    """What a container engine does with a container; everything that it gets to see."""

    def do(*verb, **options):
        answers.append((verb[0], containers.run(program, *verb, env=environment, **options)))
        return answers[-1][1]

    answers = []
    pid_file = containers.directory / "pid"
    bundle = containers.bundle("trap 'exit 7' TERM; echo started; echo error >&2; sleep 1000 & wait", OPTED_IN)
    created = do("--log", str(containers.directory / "log"), "--log-format", "json", "create", "--bundle", bundle, "--pid-file", str(pid_file), "c1")
    assert created.status == 0, created
    pid = int(pid_file.read_text())
    assert os.path.exists(f"/proc/{pid}")
    do("state", "c1")
    do("create", "--bundle", bundle, "c1")  # exists already
    do("start", "c1")
    do("start", "c1")  # runs already
    do("exec", "c1", "/bin/sh", "-c", "echo out; echo err >&2; exit 5")
    do("exec", "--env", "A=b c", "c1", "/bin/sh", "-c", 'echo "$A"')
    do("exec", "c1", "/no/such/program")
    with open("/etc/passwd", "rb") as text:
        do("exec", "c1", "/bin/cat", stdin=text)
    do("ps", "c1")
    events = containers.run(program, "events", "--stats", "c1", env=environment)
    answers.append(("events", events.status, re.sub(r"\d+", "N", events.out + events.err)))
    do("list")
    do("pause", "c1")
    do("state", "c1")
    do("resume", "c1")
    do("delete", "c1")  # runs still
    do("kill", "c1", "NOSUCHSIGNAL")
    do("kill", "c1", "TERM")
    wait_for_end(pid)
    do("state", "c1")
    do("delete", "c1")
    do("delete", "c1")
    do("delete", "--force", "c1")
    do("state", "c1")
    log = containers.directory / "log"
    answers.append(("log", oci.without_chance(log.read_text() if log.exists() else "")))
    if log.exists():
        log.unlink()
    return answers


def wait_for_end(pid):
    deadline = time.monotonic() + oci.SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            if pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
        except FileNotFoundError:
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} does not end")


def test_a_containers_life_is_the_same(containers, wrapper, real, environment, tmp_path):
    through_real = lifecycle(containers, real, environment)
    through_wrapper = lifecycle(containers, wrapper, environment)
    for expected, found in zip(through_real, through_wrapper):
        assert found == expected
    assert len(through_real) == len(through_wrapper)
    statuses = [answer[1].status for answer in through_wrapper if answer[0] == "exec"]
    assert statuses[0] == 5
    assert [line["verb"] for line in decisions(tmp_path)] == ["create", "create", "kill", "kill"], "the wrapper was not there"


@pytest.mark.parametrize("status", [0, 1, 7, 126, 127, 128, 137, 255])
def test_run_ends_as_the_program_does(containers, wrapper, real, environment, status):
    bundle = containers.bundle(f"cat; echo to the end; exit {status}", OPTED_IN)
    with open("/etc/passwd", "rb") as text:
        expected = containers.run(real, "run", "--bundle", bundle, "c1", env=environment, stdin=text)
    with open("/etc/passwd", "rb") as text:
        found = containers.run(wrapper, "run", "--bundle", bundle, "c1", env=environment, stdin=text)
    assert found == expected
    assert found.status == status and "to the end" in found.out and "root:" in found.out


def test_every_exit_status_comes_through(wrapper, recorder):
    recorder.then.write_text('exit "$1"\n')
    environment = {**os.environ, "HOLDFAST_RUNC": shutil.which("sh")}
    for status in range(256):
        done = subprocess.run([wrapper, "-c", f"exit {status}"], env=environment, check=False, timeout=oci.SECONDS_MAX)
        assert done.returncode == status
    done = subprocess.run([wrapper, "-c", "kill -KILL $$"], env=environment, check=False, timeout=oci.SECONDS_MAX)
    assert done.returncode == -signal.SIGKILL


def test_a_signal_to_the_process_is_one_to_the_runtime(containers, wrapper, environment):
    """`run` in the foreground hands signals on to the container."""
    bundle = containers.bundle("trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.1; done", OPTED_IN)
    containers.ids.add("c1")
    process = subprocess.Popen(
        containers.command(wrapper, "run", "--bundle", bundle, "c1"), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=oci.SECONDS_MAX)
    assert (process.returncode, out) == (3, "got it\n")


def read_terminal(descriptor, until):
    text = b""
    while until not in text:
        try:
            piece = os.read(descriptor, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        text += piece
    return text.decode()


def test_terminals(containers, wrapper, real, environment):
    seen = []
    for program in (real, wrapper):
        bundle = containers.bundle("tty; read line; echo got $line; echo end; sleep 1000", OPTED_IN, terminal=True)
        with oci.console(containers.directory) as (path, received, thread):
            answer = containers.run(program, "create", "--bundle", bundle, "--console-socket", path, "c1", env=environment)
            thread.join()
            assert answer.status == 0, answer
            assert containers.run(program, "start", "c1", env=environment).status == 0
            text = read_terminal(received[0], b"/dev/pts/0\r\n")
            os.write(received[0], b"hello\n")
            seen.append(text + read_terminal(received[0], b"end\r\n"))
        containers.run(program, "delete", "--force", "c1", env=environment)
    assert seen[0] == seen[1]
    assert "/dev/pts/0" in seen[1] and "got hello" in seen[1]


def test_descriptors_for_the_container(containers, wrapper, environment, tmp_path):
    (tmp_path / "three").write_text("from three")
    bundle = containers.bundle("cat <&3", OPTED_IN)
    containers.ids.add("c1")
    command = containers.command(wrapper, "run", "--preserve-fds", "1", "--bundle", bundle, "c1")
    # By a shell: in this process the descriptor may be somebody's.
    answer = subprocess.run(
        ["sh", "-c", 'file=$1; shift; exec "$@" 3<"$file"', "sh", tmp_path / "three", *command],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )
    assert (answer.returncode, answer.stdout) == (0, "from three"), answer


WRONG = [
    (),
    ("--no-such-option",),
    ("no-such-verb",),
    ("create",),
    ("create", "--no-such-option", "c1"),
    ("create", "--bundle", "/no/such/bundle", "c1"),
    ("create", "--bundle"),
    ("create", "c1", "c2"),
    ("kill",),
    ("kill", "no-such-container", "9"),
    ("kill", "../../etc", "9"),
    ("start", "no-such-container"),
    ("delete", "no-such-container"),
    ("state", ""),
    ("exec", "no-such-container", "true"),
    ("--version",),
    ("--help",),
    ("create", "--help"),
    ("spec", "--help"),
    ("features",),
]


@pytest.mark.parametrize("verb", WRONG, ids=lambda verb: " ".join(verb) or "nothing")
def test_complaints_are_the_runtimes_own(containers, wrapper, real, environment, verb):
    answers = []
    for program in (real, wrapper):
        done = subprocess.run(
            containers.command(program, *verb), env=environment, cwd=containers.directory, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=oci.SECONDS_MAX,
        )
        answers.append(oci.Answer(done.returncode, done.stdout, done.stderr))
    assert answers[0] == answers[1]


# --- what the runtime is given -------------------------------------------------------------------------------------------

LINES = [
    ["create", "--bundle", "B", "ID"],
    ["--root", "R", "--log=L", "kill", "ID", "15"],
    ["exec", "-t", "ID", "sh", "-c", "echo 'a b' \"$X\"\n\t\\"],
    ["", " ", "--", "-", "é", b"\xff\xfe\x80", "x" * 100_000],
    [f"argument {number}" for number in range(5000)],
    [],
]


@pytest.mark.parametrize("line", LINES, ids=["create", "kill", "exec", "odd", "many", "none"])
def test_arguments_and_environment_to_the_byte(wrapper, recorder, line):
    environment = {**os.environ, "EMPTY": "", "ODD": b"\xff\x01 =\n", "LONG": "y" * 100_000, "HOLDFAST_RUNTIME_CONF": "/no/such"}
    assert recorder(wrapper, *line, environment=environment) == recorder(recorder.script, *line, environment=environment)


def test_descriptors_signals_limits_and_timers(containers, wrapper, recorder, tmp_path):
    """With a container that opted in, so that everything of ours was at work before."""
    bundle = containers.bundle("true", IN_POD)

    def odd_process():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR1, signal.SIGSEGV})
        os.kill(os.getpid(), signal.SIGUSR1)
        os.umask(0o27)
        resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))
        os.dup2(1, 77, inheritable=True)
        os.close(0)

    environment = {**os.environ, "HOLDFAST_RUNTIME_CONF": str(tmp_path / "conf")}
    (tmp_path / "conf").write_text(f"log = {tmp_path}/log\n")
    options = {"environment": environment, "preexec_fn": odd_process, "close_fds": False, "cwd": tmp_path}
    with open("/dev/null", "rb") as null:
        os.set_inheritable(null.fileno(), True)
        direct = recorder(recorder.script, "create", "--bundle", bundle, "c1", **options)
        wrapped = recorder(wrapper, "create", "--bundle", bundle, "c1", **options)
    assert wrapped == direct
    assert "77" in wrapped
    assert [line["verdict"] for line in decisions(tmp_path)] == ["takes"]


# --- which container it is -------------------------------------------------------------------------------------------------


def create_kill_delete(containers, program, bundle, environment, *signals):
    assert containers.run(program, "create", "--bundle", bundle, "c1", env=environment).status == 0
    assert containers.run(program, "start", "c1", env=environment).status == 0
    for each in signals:
        assert containers.run(program, "kill", *each, env=environment).status == 0
    containers.run(program, "delete", "--force", "c1", env=environment)


def test_decisions_about_a_container_that_opted_in(containers, wrapper, real, environment, tmp_path):
    bundle = containers.bundle("trap '' TERM; while :; do sleep 0.1; done", IN_POD)
    create_kill_delete(containers, wrapper, bundle, environment, ("c1", "15"), ("c1",), ("c1", "HUP"), ("--all", "c1", "KILL"))
    found = [(line["verb"], line["verdict"]) for line in decisions(tmp_path)]
    assert found == [("create", "takes"), ("kill", "takes"), ("kill", "takes"), ("kill", "other-signal"), ("kill", "all-processes")]
    first = decisions(tmp_path)[0]
    assert first["namespace"] == "ml" and first["pod"] == "train-0" and first["container"] == "main" and first["slot"] == "0"
    assert first["did"] == "passed through" and first["runtime"] == real


@pytest.mark.parametrize(
    "annotations, verdict",
    [
        ({}, None),
        ({"holdfast.dev/checkpoint": "false"}, None),
        ({"holdfast.dev/slot": "1"}, None),
        ({**IN_POD, "io.kubernetes.cri.container-type": "sandbox"}, "sandbox"),
        ({**IN_POD, "holdfast.dev/containers": "other"}, "not-named"),
        ({**IN_POD, "io.kubernetes.cri.sandbox-namespace": "../../etc"}, "bad-identity"),
        ({**OPTED_IN}, "takes"),
    ],
    ids=["nothing", "false", "no opt-in", "sandbox", "not named", "bad name", "no pod"],
)
def test_who_is_taken(containers, wrapper, environment, tmp_path, annotations, verdict):
    bundle = containers.bundle("sleep 1000", annotations)
    create_kill_delete(containers, wrapper, bundle, environment, ("c1", "15"))
    assert [line["verdict"] for line in decisions(tmp_path)] == ([verdict, verdict] if verdict else [])
    if verdict is None:
        assert not (tmp_path / "log").exists(), "a container that asked for nothing left something"


# --- broken installations ----------------------------------------------------------------------------------------------------


def runs_a_container(containers, wrapper, environment, bundle=None):
    bundle = bundle or containers.bundle("echo it runs", IN_POD)
    created = containers.run(wrapper, "create", "--bundle", bundle, "c1", env=environment)
    assert (created.status, created.err) == (0, "")
    assert containers.run(wrapper, "start", "c1", env=environment).status == 0
    assert containers.run(wrapper, "delete", "--force", "c1", env=environment).status == 0


def broken_settings(path):
    yield "a directory", lambda: path.mkdir()
    yield "a pipe that nobody writes to", lambda: os.mkfifo(path)
    yield "garbage", lambda: path.write_bytes(os.urandom(10_000))
    yield "huge", lambda: path.write_text("runc = /no/such/runc\n" * 100_000)
    yield "no runc", lambda: path.write_text("runc = /no/such/runc\nlog = relative")
    yield "a runc that cannot be executed", lambda: path.write_text("runc = /etc/passwd\n")
    yield "a link to itself", lambda: path.symlink_to(path)


def test_settings_that_are_broken(containers, wrapper, tmp_path):
    path = tmp_path / "conf"
    for name, make in broken_settings(path):
        make()
        print(name)
        # Not opted in: the log would be the machine's own.
        runs_a_container(containers, wrapper, {**os.environ, "HOLDFAST_RUNTIME_CONF": str(path)}, containers.bundle("echo it runs"))
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def test_a_named_runtime_that_is_no_program(containers, wrapper, environment, tmp_path):
    (tmp_path / "garbage").write_bytes(os.urandom(1000))
    (tmp_path / "garbage").chmod(0o755)
    runs_a_container(containers, wrapper, {**environment, "HOLDFAST_RUNC": str(tmp_path / "garbage")})


def test_a_log_that_cannot_be_written(containers, wrapper, environment, tmp_path):
    settings = pathlib.Path(environment["HOLDFAST_RUNTIME_CONF"])
    start = settings.read_text().splitlines()[0]
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(full)], check=True)
    try:
        (full / "filler").write_bytes(b"x" * 4096)
        os.mkfifo(tmp_path / "decisions.log")
        for log in (full, full / "below", tmp_path, "/proc/no", "/etc/passwd/x"):
            settings.write_text(f"{start}\nlog = {log}\n")
            runs_a_container(containers, wrapper, environment)
    finally:
        subprocess.run(["umount", str(full)], check=True)


def test_no_room_in_files_at_all(containers, wrapper, recorder, tmp_path):
    """RLIMIT_FSIZE: writing the log is answered by SIGXFSZ, which ends a process that does not expect it."""
    bundle = containers.bundle("true", IN_POD)
    (tmp_path / "conf").write_text(f"log = {tmp_path}/log\n")
    script = tmp_path / "exits"
    script.write_text("#!/bin/sh\nexit 42\n")
    script.chmod(0o755)
    done = subprocess.run(
        [wrapper, "create", "--bundle", bundle, "c1"],
        env={**os.environ, "HOLDFAST_RUNC": str(script), "HOLDFAST_RUNTIME_CONF": str(tmp_path / "conf")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        check=False,
        timeout=oci.SECONDS_MAX,
    )
    assert done.returncode == 42


def test_bundles_that_are_broken(containers, wrapper, real, environment, tmp_path):
    """The runtime's own complaint, and a line in the log where the container may have opted in."""
    config = pathlib.Path(containers.bundle("true", IN_POD), "config.json")
    whole = config.read_text()

    def answers():
        return [containers.run(program, "create", "--bundle", str(config.parent), "c1", env=environment) for program in (real, wrapper)]

    for broken in (whole[: whole.index("train-0")], "holdfast.dev", "", whole.replace(":", " ", 1)):
        config.write_text(broken)
        direct, wrapped = answers()
        assert direct == wrapped and wrapped.status != 0
    assert {line["verdict"] for line in decisions(tmp_path)} == {"unread"}
    config.unlink()
    direct, wrapped = answers()
    assert direct == wrapped and wrapped.status != 0


def test_a_huge_bundle_runs_and_is_not_taken(containers, wrapper, environment, tmp_path):
    config = pathlib.Path(containers.bundle("echo it runs", {**IN_POD, "padding": "x" * (5 << 20)}), "config.json")
    runs_a_container(containers, wrapper, environment, str(config.parent))
    assert [line["verdict"] for line in decisions(tmp_path)] == ["unread"]


def test_a_config_that_never_comes(containers, wrapper, recorder, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    os.mkfifo(folder / "config.json")
    assert "create" in recorder(wrapper, "create", "--bundle", str(folder), "c1")


def test_it_never_calls_itself(wrapper, real, tmp_path):
    """Not even where it was put in runc's place, and the real one elsewhere."""
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    shutil.copy(wrapper, tmp_path / "first/runc")
    os.link(tmp_path / "first/runc", tmp_path / "first/crun")
    (tmp_path / "second/runc").symlink_to(real)
    environment = {"PATH": f"{tmp_path}/first:{tmp_path}/second", "HOLDFAST_RUNC": wrapper, "HOLDFAST_RUNTIME_CONF": "/no/such"}
    for program in (wrapper, str(tmp_path / "first/runc")):
        done = subprocess.run([program, "--holdfast-version"], env=environment, capture_output=True, text=True, check=True, timeout=oci.SECONDS_MAX)
        assert f"hands on to {tmp_path}/second/runc" in done.stdout
        done = subprocess.run([program, "--version"], env=environment, capture_output=True, text=True, check=True, timeout=oci.SECONDS_MAX)
        assert os.path.basename(real) in done.stdout


def test_no_runtime_at_all(containers, wrapper):
    """Where there is neither runc nor crun: said on stderr, and in the log that the engine reads."""
    shutil.copy(wrapper, containers.rootfs / "bin/holdfast-runtime")
    done = subprocess.run(
        ["/bin/holdfast-runtime", "--log", "/tmp/log", "--log-format", "json", "create", "--bundle", "/tmp", "c1"],
        preexec_fn=lambda: os.chroot(containers.rootfs), cwd="/", env={"PATH": "/bin"}, capture_output=True, text=True, check=False,
        timeout=oci.SECONDS_MAX,
    )
    assert done.returncode == 1 and "there is no runc and no crun" in done.stderr and "runtime.conf" in done.stderr
    assert json.loads((containers.rootfs / "tmp/log").read_text())["msg"] == "holdfast-runtime: there is no runc and no crun"


def test_many_at_once(containers, wrapper, environment, tmp_path):
    bundle = containers.bundle("sleep 1000", IN_POD)
    failed = []

    def one(number):
        # Different cgroups: the runtimes refuse one that is in use.
        name = f"bundle{number}"
        shutil.copytree(bundle, containers.directory / name)
        config = containers.directory / name / "config.json"
        config.write_text(config.read_text().replace(containers.name, f"{containers.name}-{number}"))
        for verb in (("create", "--bundle", str(config.parent), f"c{number}"), ("start", f"c{number}"), ("kill", f"c{number}", "15"), ("delete", "--force", f"c{number}")):
            answer = containers.run(wrapper, *verb, env=environment)
            if answer.status != 0:
                failed.append((verb, answer))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(line["verb"] for line in decisions(tmp_path)) == ["create"] * 6 + ["kill"] * 6


def test_its_own_words(wrapper):
    done = subprocess.run([wrapper, "--holdfast-version"], capture_output=True, text=True, check=True, timeout=oci.SECONDS_MAX)
    assert re.match(r"holdfast-runtime \d+\.\d+\.\d+\nhands on to /", done.stdout)
    done = subprocess.run([wrapper, "--holdfast-help"], capture_output=True, text=True, check=True, timeout=oci.SECONDS_MAX)
    assert "HOLDFAST_RUNC" in done.stdout and len(done.stdout.splitlines()) < 20
