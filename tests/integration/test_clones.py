"""Clones: branches of a job that run beside it, each with its own copies of what it writes."""
import pathlib
import socket
import subprocess

import pytest
import world
from harness import LinesOf

# Adds the rate that it reads to a sum, at each epoch; logs, prints and notes it. SIGUSR1 doubles the sum once.
TRAINING = """
import os, signal, time
total = 0.0
def double(*_):
    global total
    total *= 2
signal.signal(signal.SIGUSR1, double)
log = open("loss.log", "a")
for epoch in range(1, 1000000):
    rate = float(open("rate.txt").read())
    total += rate
    log.write(f"{epoch} {rate} {total:.3f}\\n")
    log.flush()
    print(f"epoch {epoch}", flush=True)
    open(os.environ["HOLDFAST_NOTE"], "w").write(f"epoch={epoch} total={total:.3f}\\n")
    time.sleep(0.02)
"""


class Training:
    def __init__(self, holdfast):
        self.holdfast = holdfast
        self.folder = holdfast.directory / "training"
        self.folder.mkdir()
        (self.folder / "train.py").write_text(TRAINING)
        (self.folder / "rate.txt").write_text("1.0\n")
        self.started = holdfast.run_detached("train", "/usr/bin/python3", "train.py", cwd=self.folder)
        self.lines("train", 5)
        holdfast.checkpoint("train")

    def log(self, name):
        """As this job sees it."""
        own = self.holdfast.store / "jobs" / name / "files"
        return (own / str(self.folder)[1:] if own.exists() else self.folder) / "loss.log"

    def lines(self, name, more=0):
        """Parsed, when there are so many more than now."""
        log = LinesOf(self.log(name))
        log.wait_for(len(log.lines()) + more)
        return [(int(line.split()[0]), *map(float, line.split()[1:])) for line in log.lines()]

    def clone(self, *options, snapshot="train@1"):
        return self.holdfast.ok("clone", snapshot, *options)

    def assert_unbroken(self, name, after, rate):
        """Epochs without a gap, with this rate and a sum that fits after line `after`."""
        lines = self.lines(name, 5)
        for before, now in zip(lines, lines[1:]):
            assert now[0] == before[0] + 1, (name, before, now)
            assert now[2] == pytest.approx(before[2] + now[1]), (name, before, now)
        assert all(line[1] == rate for line in lines[after + 1 :]), (name, lines[after:])


@pytest.fixture
def training(holdfast):
    return Training(holdfast)


def epoch_of(holdfast, snapshot):
    rows = holdfast.ok("snapshots", snapshot.split("@")[0])
    return next(int(row["annotations"]["epoch"]) for row in rows if row["snapshot"] == snapshot)


def test_branches_with_other_parameters(training, holdfast):
    """Side by side with the original, which notices nothing; each goes on by itself after a crash."""
    at = epoch_of(holdfast, "train@1")
    clones = {}
    for name, rate in (("slow", 0.25), ("fast", 4.0)):
        (clones[name],) = training.clone("--name", name, "--set-file", f"rate.txt={rate}")
        assert clones[name]["snapshot"] == f"{name}@1"
    for name, rate in (("train", 1.0), ("slow", 0.25), ("fast", 4.0)):
        training.assert_unbroken(name, at, rate)
    assert (training.folder / "rate.txt").read_text() == "1.0\n"
    # Its output and what it notes are its own as well.
    assert LinesOf(holdfast.store / "jobs/slow/stdout.log").wait_for(at + 5)[at + 3] == f"epoch {at + 4}"
    holdfast.checkpoint("slow")
    assert float(holdfast.ok("snapshots", "slow")[-1]["annotations"]["total"]) < training.lines("slow")[-1][0]

    world.kill_tree(clones["slow"]["pid"], also=[clones["slow"]["supervisor_pid"]])
    holdfast.resume("slow")
    training.assert_unbroken("slow", at, 0.25)
    training.assert_unbroken("train", 0, 1.0)

    parents = {row["snapshot"]: row["parent"] for row in holdfast.ok("snapshots", "train", "--graph")}
    assert parents == {"train@1": None, "slow@1": "train@1", "slow@2": "slow@1", "fast@1": "train@1"}
    holdfast.verify()


def test_a_clone_outlives_the_original(training, holdfast):
    """What it needs of the store stays, whatever is removed; a clone of a clone too."""
    training.clone("--name", "one", "--set-file", "rate.txt=2.0")
    training.lines("one", 5)
    holdfast.checkpoint("one")
    (second,) = training.clone("--name", "two", "--set-file", "rate.txt=3.0", snapshot="one")
    world.kill_tree(second["pid"], also=[second["supervisor_pid"]])
    world.kill_tree(training.started["pid"], also=[training.started["supervisor_pid"]])
    holdfast.ok("rm", "train")
    holdfast.ok("rm", "one@1")
    holdfast.ok("prune")
    holdfast.verify()
    holdfast.resume("two")
    training.lines("two", 5)
    training.assert_unbroken("two", epoch_of(holdfast, "two@1"), 3.0)
    assert "train" not in [row["name"] for row in holdfast.ok("ps")]
    training.assert_unbroken("one", epoch_of(holdfast, "two@1"), 2.0)
    assert sorted(path.name for path in (holdfast.store / "jobs").iterdir()) == ["one", "two"]


def test_a_clone_notes_by_itself(training, holdfast):
    """Where its original noted, whatever becomes of the original's directory: removed, and another job's of its name."""
    (clone,) = training.clone("--name", "one", "--set-file", "rate.txt=2.0")
    world.kill_tree(training.started["pid"], also=[training.started["supervisor_pid"]])
    holdfast.ok("rm", "train")
    noted = holdfast.store / "jobs" / "one" / "notes"
    for _ in range(2):
        training.lines("one", 3)
        holdfast.checkpoint("one")
        row = holdfast.ok("snapshots", "one")[-1]
        # Its note of an epoch comes after its line in the log.
        lines = {line[0]: line for line in training.lines("one")}
        assert float(row["annotations"]["total"]) == pytest.approx(lines[int(row["annotations"]["epoch"])][2], abs=0.001)
        world.kill_tree(clone["pid"], also=[clone["supervisor_pid"]])
        clone = holdfast.resume("one")
    (training.folder / "new").mkdir()
    namesake = holdfast.run_detached("train", "/bin/sh", "-c", "echo epoch=0 > $HOLDFAST_NOTE; exec sleep 1000", cwd=training.folder / "new")
    world.wait_until(lambda: (holdfast.store / "jobs/train/notes").read_text(), "its note")
    training.lines("one", 3)
    world.wait_until(noted.read_text, "the clone's note")
    assert (holdfast.store / "jobs/train/notes").read_text() == "epoch=0\n"
    holdfast.checkpoint("train")
    assert holdfast.ok("snapshots", "train")[-1]["annotations"] == {"epoch": "0"}, namesake
    training.lines("one", 3)


def test_many_of_them(training, holdfast):
    """--count numbers them; --signal reaches each."""
    names = ["seed-1", "seed-2", "seed-3"]
    clones = training.clone("--name", "seed", "--count", 3, "--set-file", "rate.txt={}", "--signal", "USR1")
    assert [clone["name"] for clone in clones] == names
    for number, name in enumerate(names, 1):
        lines = training.lines(name, 10)
        assert lines[-1][1] == number, lines
        jumps = [now for before, now in zip(lines, lines[1:]) if now[2] != pytest.approx(before[2] + now[1])]
        assert len(jumps) == 1, (name, lines)
    training.assert_unbroken("train", 0, 1.0)


def test_what_cannot_be_cloned(training, holdfast):
    """Said, and nothing is left of it."""
    (training.folder / "folder").mkdir()
    for kind, *options in (
        ("exists", "train", "--name", "train"),
        ("not-found", "train@7", "--name", "new"),
        ("not-found", "nobody", "--name", "new"),
        ("usage", "train", "--name", "a/b"),
        ("usage", "train", "--name", "new", "--set-file", "rate.txt"),
        ("usage", "train", "--name", "new", "--signal", "NONE"),
        ("usage", "train", "--name", "new", "--count", 0),
        ("not-found", "train", "--name", "new", "--set-file", "missing.txt=1"),
        ("not-found", "train", "--name", "new", "--set-file", "folder=1"),
        ("unsupported", "train", "--name", "new", "--set-file", "loss.log=1"),
    ):
        holdfast.fails(kind, "clone", *options)
        assert [row["name"] for row in holdfast.ok("ps")] == ["train"], options
        assert [path.name for path in (holdfast.store / "jobs").iterdir()] == ["train"], options
    training.assert_unbroken("train", 0, 1.0)


PROGRAMS = [
    ("random_memory", 16),
    ("process_tree", 3, 2),
    ("shared_file_mapping",),
    ("append_log",),
    ("deleted_file",),
    ("fork_storm",),
    ("tcp_loopback",),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_programs_go_on_as_clones(program, subject, holdfast):
    """Beside the original, and then in cycles of their own."""
    job = subject(*program).run()
    job.checkpoint()
    (clone,) = holdfast.ok("clone", job.name, "--name", "branch")
    job.wait_rounds(2)
    job.kill()
    for _ in range(2):
        job.wait_rounds(3)  # only the clone is left to count them
        holdfast.checkpoint("branch")
        world.kill_tree(clone["pid"], also=[clone["supervisor_pid"]])
        clone = holdfast.resume("branch")
    job.wait_rounds(3)
    job.pid, job.supervisor = clone["pid"], clone["supervisor_pid"]
    holdfast.verify()


def test_signal_names(holdfast):
    for name in ("USR1", "SIGUSR1", "10"):
        holdfast.fails("not-found", "clone", "nobody", "--name", "new", "--signal", name)
    for name in ("usr", "0", "99"):
        holdfast.fails("usage", "clone", "nobody", "--name", "new", "--signal", name)


def test_clone_of_a_process_that_holdfast_did_not_start(subject, holdfast):
    """It has no file of its own, and neither has its clone."""
    job = subject("random_memory", 8).spawn()
    job.checkpoint_by_pid()
    (clone,) = holdfast.ok("clone", job.name, "--name", "branch")
    job.kill()
    job.wait_rounds(3)
    holdfast.checkpoint("branch")
    job.pid, job.supervisor, job.process = clone["pid"], clone["supervisor_pid"], None
    job.assert_untouched()


def test_example(holdfast):
    """One trunk, three learning rates, one picture."""
    root = pathlib.Path(__file__).resolve().parents[2]
    path = f"{pathlib.Path(holdfast.binary).parent}:/usr/bin:/bin"
    environment = {**holdfast.environment, "PATH": path, "EPOCHS": "12", "BRANCH_AT": "3"}
    folder = holdfast.directory / "branches"
    done = subprocess.run(
        [root / "examples/branches/branches", folder],
        env=environment, capture_output=True, text=True, timeout=world.HANG_GUARD_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    logs = {name: (folder / f"{name}.log").read_text().splitlines() for name in ("trunk", "rate-0.02", "rate-0.1", "rate-0.5")}
    trunk = logs.pop("trunk")
    for name, lines in logs.items():
        assert lines[:3] == trunk[:3] and len(lines) == 12, (name, lines)
        assert lines[-1].startswith(f"epoch 12 rate {name.removeprefix('rate-')} "), lines
    assert len({lines[-1].split()[-1] for lines in logs.values()}) == 3, logs
    picture = (folder / "branches.svg").read_text()
    assert picture.count("rate-0") >= 3 and "epoch" in picture


# A server and its client in one process tree, over a Unix socket with a path; the server says who it is.
UNIX_SERVER = """
import os, socket, sys, time
path = sys.argv[1]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
if os.fork() == 0:
    while True:
        connection = server.accept()[0]
        connection.sendall(open("name").read().encode())
        connection.close()
log = open("log", "a")
for turn in range(1, 10**9):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    log.write(f"{turn} {client.recv(99).decode()}\\n")
    log.flush()
    client.close()
    time.sleep(0.02)
"""


@pytest.mark.parametrize("path", ("{}/socket", "socket"), ids=("absolute", "relative"))
def test_unix_sockets_with_a_path(holdfast, path):
    """Each is reached under the name that all have, by those who belong to it; in cycles."""
    folder = holdfast.directory / "server"
    folder.mkdir()
    (folder / "job.py").write_text(UNIX_SERVER)
    (folder / "name").write_text("original")

    def answer():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "socket"))
            return client.recv(99).decode()

    def assert_hears(name, log, more=5):
        at = len(log.lines())
        lines = log.wait_for(at + more)[at + 1 :]
        assert {line.split()[1] for line in lines} == {name}, (name, lines)

    original = holdfast.run_detached("server", "/usr/bin/python3", "job.py", path.format(folder), cwd=folder)
    logs = {"original": LinesOf(folder / "log")}
    assert_hears("original", logs["original"])
    holdfast.checkpoint("server")
    clones = holdfast.ok("clone", "server", "--name", "branch", "--count", 2, "--set-file", "name=clone-{}")
    for number in (1, 2):
        logs[f"clone-{number}"] = LinesOf(holdfast.store / f"jobs/branch-{number}/files/{folder}/log")
    for name, log in logs.items():
        assert_hears(name, log)
    assert answer() == "original"
    clone = clones[0]
    for _ in range(2):
        holdfast.checkpoint("branch-1")
        world.kill_tree(clone["pid"], also=[clone["supervisor_pid"]])
        clone = holdfast.resume("branch-1")
        for name, log in logs.items():
            assert_hears(name, log)
    assert answer() == "original"
    holdfast.checkpoint("server")
    world.kill_tree(original["pid"], also=[original["supervisor_pid"]])
    (folder / "socket").unlink()
    # Where nothing is left to be mounted over, something is made, which the original can take the place of.
    world.kill_tree(clone["pid"], also=[clone["supervisor_pid"]])
    clone = holdfast.resume("branch-1")
    assert_hears("clone-1", logs["clone-1"])
    holdfast.resume("server")
    assert answer() == "original"
    assert_hears("original", logs["original"])
    holdfast.verify()
