"""Clones of jobs that hold ports, names and connections: each runs beside its original in a network of its own."""
import os
import socket
import subprocess
import threading

import pytest
import world
from harness import LinesOf

REDIS = "/usr/bin/redis-server"
PYTHON = "/usr/bin/python3"


def network_of(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def networks():
    """All that there are, as long as a process is in each."""
    found = set()
    for status in world.all_processes():
        try:
            found.add(network_of(status.pid))
        except OSError:
            continue
    return found


def inside(pid, *command):
    """What a command says in the network of this process."""
    done = subprocess.run(
        ["nsenter", "-t", str(pid), "-n", *map(str, command)],
        capture_output=True, text=True, timeout=world.HANG_GUARD_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def free_port(host="127.0.0.1"):
    with socket.create_server((host, 0)) as server:
        return server.getsockname()[1]


def machine_address():
    """One of this machine that is not loopback's; the machine is not asked to send anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return probe.getsockname()[0]


@pytest.fixture
def python_job(holdfast):
    """Starts a Python program in a folder of its own, where it appends lines to `log`."""

    def start(name, program, *arguments):
        folder = holdfast.directory / name
        folder.mkdir()
        (folder / "job.py").write_text(program)
        started = holdfast.run_detached(name, PYTHON, "job.py", *map(str, arguments), cwd=folder)
        LinesOf(folder / "log").wait_for(3)
        return started

    return start


def log_of(holdfast, name, original=None):
    """What a job of python_job logs, as itself sees it."""
    folder = holdfast.directory / (original or name)
    return LinesOf((holdfast.store / "jobs" / name / "files" / str(folder)[1:] if original else folder) / "log")


def assert_it_goes_on(log, more=5):
    at = len(log.lines())
    world.wait_until(lambda: sum(map(str.isdigit, log.lines()[at:])) >= more, lambda: log.lines()[-10:])
    assert "wrong" not in "".join(log.lines()), log.lines()[-10:]


@pytest.mark.skipif(not os.path.exists(REDIS), reason="there is no redis-server")
def test_redis_three_times(holdfast):
    """The same port four times, each with its own data; through a crash, a clone of a clone, a roll-back, to the end."""
    before = networks()
    port = free_port()
    folder = holdfast.directory / "redis"
    folder.mkdir()
    original = holdfast.run_detached(
        "redis", REDIS, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--dbfilename", "unused"
    )

    def redis(pid, *command):
        return inside(pid, "redis-cli", "-p", port, *command)

    world.wait_until(lambda: subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True, check=False).stdout == b"PONG\n", "redis")
    assert redis(original["pid"], "set", "who", "original") == "OK"
    holdfast.checkpoint("redis")
    clones = holdfast.ok("clone", "redis", "--name", "copy", "--count", 3)
    pids = {clone["name"]: clone["pid"] for clone in clones}
    assert [clone["network"] for clone in clones] == ["own"] * 3
    assert len({network_of(pid) for pid in [original["pid"], *pids.values()]}) == 4
    for name, pid in pids.items():
        assert redis(pid, "get", "who") == "original"
        assert redis(pid, "set", "who", name) == "OK"
    assert redis(original["pid"], "get", "who") == "original"
    for name, pid in pids.items():
        assert redis(pid, "get", "who") == name
    assert {row["name"]: row["network"] for row in holdfast.ok("ps")} == {"redis": "shared", **dict.fromkeys(pids, "own")}

    first = clones[0]
    holdfast.checkpoint("copy-1")
    redis(first["pid"], "set", "who", "lost")
    world.kill_tree(first["pid"], also=[first["supervisor_pid"]])
    resumed = holdfast.resume("copy-1")
    assert resumed["network"] == "own" and network_of(resumed["pid"]) not in before
    assert redis(resumed["pid"], "get", "who") == "copy-1"

    (second,) = holdfast.ok("clone", "copy-1@2", "--name", "second")
    assert redis(second["pid"], "get", "who") == "copy-1"
    redis(second["pid"], "set", "who", "second")
    assert redis(resumed["pid"], "get", "who") == "copy-1"

    back = holdfast.ok("rollback", "copy-1@1", "--detach")
    assert redis(back["pid"], "get", "who") == "original"
    assert redis(original["pid"], "get", "who") == "original"
    holdfast.verify()

    for row in holdfast.ok("ps"):
        world.kill_tree(row["pid"], also=[row["supervisor_pid"]])
        holdfast.ok("rm", row["name"])
    assert networks() <= before | {network_of(os.getpid())}


def test_a_web_server(holdfast):
    """Its clone is reached in its own network, also when the original is gone; the machine's port is free then."""
    port = free_port()
    folder = holdfast.directory / "site"
    folder.mkdir()
    (folder / "page").write_text("hello")
    command = [PYTHON, "-m", "http.server", port, "--directory", folder]
    started = holdfast.run_detached("site", *command)

    def page(pid):
        return inside(pid, "curl", "-s", "--noproxy", "*", f"http://127.0.0.1:{port}/page")

    world.wait_until(lambda: subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/page"], check=False, capture_output=True).returncode == 0, "it")
    holdfast.checkpoint("site")
    (clone,) = holdfast.ok("clone", "site", "--name", "mirror")
    assert page(started["pid"]) == page(clone["pid"]) == "hello"
    world.kill_tree(started["pid"], also=[started["supervisor_pid"]])
    assert page(clone["pid"]) == "hello"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=world.HANG_GUARD_S)
    holdfast.resume("site")
    assert page(clone["pid"]) == "hello"


# Says a number to itself over each of its connections. A restart may lose a datagram, and nothing else.
SELF_TALK = """
import socket, sys, time
def connected(family, kind, address):
    server = socket.socket(family, kind)
    server.bind(address)
    if kind == socket.SOCK_STREAM:
        server.listen()
    client = socket.socket(family, kind)
    client.connect(server.getsockname())
    if kind == socket.SOCK_STREAM:
        return server, client, server.accept()[0]
    return server, client, server
pairs = [connected(socket.AF_UNIX, socket.SOCK_STREAM, "\\0holdfast-test-" + sys.argv[2])]
for host in ("127.0.0.1", sys.argv[1]):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        pairs.append(connected(socket.AF_INET, kind, (host, 0)))
log = open("log", "a")
for turn in range(1, 10**9):
    for server, client, other in pairs:
        client.send(b"%d" % turn)
    time.sleep(0.01)
    for server, client, other in pairs:
        datagrams = other.type == socket.SOCK_DGRAM
        try:
            if other.recv(99, socket.MSG_DONTWAIT if datagrams else 0) != b"%d" % turn:
                log.write("wrong\\n")
        except BlockingIOError:
            log.write("lost\\n")
    if turn % 3 == 0:
        for server, client, other in pairs[:2]:
            new = socket.socket(server.family, server.type)
            new.connect(server.getsockname())
            server.accept()[0].close()
            new.close()
    log.write(f"{turn}\\n")
    log.flush()
"""


def test_what_talks_to_itself(python_job, holdfast):
    """Over abstract Unix names, loopback and the machine's own address; streams and datagrams. In cycles."""
    original = python_job("talker", SELF_TALK, machine_address(), os.getpid())
    holdfast.checkpoint("talker")
    clones = holdfast.ok("clone", "talker", "--name", "echo", "--count", 2)
    for clone in clones:
        assert clone["network"] == "own"
        assert_it_goes_on(log_of(holdfast, clone["name"], "talker"))
    assert_it_goes_on(log_of(holdfast, "talker"))
    clone = clones[0]
    for _ in range(2):
        holdfast.checkpoint("echo-1")
        world.kill_tree(clone["pid"], also=[clone["supervisor_pid"]])
        clone = holdfast.resume("echo-1")
        assert_it_goes_on(log_of(holdfast, "echo-1", "talker"))
    world.kill_tree(original["pid"], also=[original["supervisor_pid"]])
    assert_it_goes_on(log_of(holdfast, "echo-1", "talker"))
    assert_it_goes_on(log_of(holdfast, "echo-2", "talker"))
    for name in ("echo-1", "echo-2"):  # each restart may have lost what was on its way: of two pairs
        assert log_of(holdfast, name, "talker").lines().count("lost") <= 6
    holdfast.verify()


# Listens at a name in a directory of its own, and takes the name away and makes it again all the time.
REBINDS = """
import os, socket, time
os.makedirs("own", exist_ok=True)
server = None
log = open("log", "a")
for turn in range(1, 10**9):
    client = socket.socket(socket.AF_UNIX)
    try:
        if server is None or turn % 5 == 0:
            if server is not None:
                os.unlink("own/socket")
                server.close()
            server = socket.socket(socket.AF_UNIX)
            server.bind("own/socket")
            server.listen()
        client.connect("own/socket")
        server.accept()[0].close()
        log.write(f"{turn}\\n")
    except OSError as error:
        log.write(f"wrong: {error}\\n")
    client.close()
    log.flush()
    time.sleep(0.02)
"""


def test_a_socket_in_a_directory_of_the_snapshot(python_job, holdfast):
    """The clone's directory is its own already, and so is the socket in it: nothing is mounted over it."""
    python_job("binder", REBINDS)
    holdfast.checkpoint("binder", "--files", holdfast.directory / "binder" / "own")
    for clone in holdfast.ok("clone", "binder", "--name", "twin", "--count", 2):
        assert_it_goes_on(log_of(holdfast, clone["name"], "binder"), more=25)
        own = str(holdfast.directory / "binder" / "own")
        assert f"{own}/socket " not in open(f"/proc/{clone['pid']}/mountinfo").read()
    assert_it_goes_on(log_of(holdfast, "binder"), more=25)


# Keeps a connection to a server, and makes it again when it is lost.
CLIENT = """
import socket, sys, time
server = None
log = open("log", "a")
for turn in range(1, 10**9):
    try:
        if server is None:
            server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
            log.write("connected\\n")
        server.sendall(b"%9d" % turn)
        if server.recv(9, socket.MSG_WAITALL) != b"%9d" % turn:
            raise ConnectionError("cut off")
        log.write(f"{turn}\\n")
    except OSError as error:
        log.write(f"lost: {error}\\n")
        server = None
    log.flush()
    time.sleep(0.02)
"""


@pytest.fixture
def echo_server():
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    def accept():
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_connections_to_others(python_job, holdfast, echo_server):
    """They stay the original's; the clone finds them closed, and makes new ones in the network that it shares."""
    python_job("client", CLIENT, echo_server)
    holdfast.checkpoint("client")
    (clone,) = holdfast.ok("clone", "client", "--name", "branch")
    assert clone["network"] == "shared"
    assert network_of(clone["pid"]) == network_of(os.getpid())
    at = len(log_of(holdfast, "branch", "client").lines())
    lines = log_of(holdfast, "branch", "client").wait_for(at + 10)
    assert lines.count("connected") == 2 and sum(line.startswith("lost") for line in lines) == 1, lines
    original = log_of(holdfast, "client")
    assert_it_goes_on(original)
    assert not [line for line in original.lines() if line.startswith("lost")], original.lines()[-20:]
    # Its next snapshot holds a connection of its own; and it is none of that of a clone that is cut off.
    holdfast.checkpoint("branch")
    (alone,) = holdfast.ok("clone", "branch", "--name", "alone", "--network", "own")
    assert alone["network"] == "own"
    alone_log = LinesOf(holdfast.store / "jobs/alone/files" / str(holdfast.directory / "client" / "log")[1:])
    world.wait_until(lambda: any("refused" in line for line in alone_log.lines()), lambda: alone_log.lines()[-5:])
    assert inside(alone["pid"], "cat", "/proc/self/net/dev").count(":") == 1
    assert_it_goes_on(log_of(holdfast, "branch", "client"))


def test_network_options(python_job, holdfast):
    """What cannot be shared is said, and nothing is left of it."""
    python_job("talker", SELF_TALK, "127.0.0.1", f"{os.getpid()}-options")
    holdfast.checkpoint("talker")
    error = holdfast.fails("criu", "clone", "talker", "--name", "new", "--network", "shared")
    assert "--network own" in error["hint"], error
    holdfast.fails("usage", "clone", "talker", "--name", "new", "--network", "none")
    assert [row["name"] for row in holdfast.ok("ps")] == ["talker"]
    said = holdfast.run("clone", "talker", "--name", "new").err
    assert "its network is its own, since it is bound to" in said and "nsenter" in said, said
    assert_it_goes_on(log_of(holdfast, "talker"))
