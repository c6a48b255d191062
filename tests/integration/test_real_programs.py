"""Programs that people run, killed with -9 and resumed, several times on one lineage (cycling.py says how; more often with
HOLDFAST_TEST_CYCLES, as tests/soak/real_programs does).

Some know themselves what has to be true and say so (Program: they report as tests/programs/subject.h does); the others
come to an end, and what they leave behind has to be what an undisturbed run leaves (Batch). scripts/install-test-subjects
installs them; what is not there is skipped.
"""
import contextlib
import fcntl
import os
import pathlib
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile

import conftest
import pytest
import world
from cycling import KEPT, Batch, Cycles, Lineage, Program
from harness import ROOT
from world import wait_until

SUBJECTS = pathlib.Path(__file__).with_name("subjects")
PYTHON = "/usr/bin/python3"  # the distribution's: it has PyTorch and Jupyter


def need(*programs, modules=()):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"there is no {program} (scripts/install-test-subjects)")
    for module in modules:
        code = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec('{module}'))"
        if subprocess.run([PYTHON, "-c", code], check=False).returncode != 0:
            pytest.skip(f"{PYTHON} has no {module} (scripts/install-test-subjects)")


def run_undisturbed(command, folder, env=None):
    """What the program does when nobody disturbs it: its stdout and stderr."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout, done.stderr


@pytest.fixture
def cycles(seed):
    return Cycles(int(os.environ.get("HOLDFAST_TEST_CYCLES", 3)), seed)


@pytest.fixture
def folders(holdfast):
    """Where the undisturbed run works, and where the job does: the command is the same to the letter in both."""
    made = holdfast.directory / "undisturbed", holdfast.directory / "disturbed"
    for folder in made:
        folder.mkdir()
    return made


# Machine learning


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_pytorch_training(workers, holdfast, folders, cycles):
    """Every loss and the checksum of all weights to the last bit; with workers, samples come through shared memory. Each
    third cycle goes back over the end of an epoch, where the workers have ended and taken their directories with them."""
    need(modules=["torch"])
    steps = 60 + 36 * cycles.count
    command = [PYTHON, ROOT / "examples/training/train.py", "--workers", workers, "--layers", 1, "--batch", 2]
    command += ["--steps", steps, "--steps-per-epoch", 24]
    env = {"TMPDIR": str(holdfast.directory)}
    expected = run_undisturbed(command, folders[0], env)
    assert len(expected[0].splitlines()) == steps + 2 and expected[0].splitlines()[-1].startswith("done: weights ")

    job = Batch(holdfast, "train", command, folders[1], env=env)
    job.run()
    for cycle in cycles:
        job.cycle(cycle, 5 + 20 * cycle.number, 24 if cycle.number % 3 == 2 else 3)
    assert job.most_processes == 1 + workers
    assert job.finish() == 0
    assert job.said() == expected


def check_checkpoints(folder):
    """Every checkpoint that has its name is whole, and so is every record of the events; how many of those there are."""
    for path in (folder / "checkpoints").glob("step-*.pt"):
        with contextlib.suppress(FileNotFoundError):  # the training goes on, and removes them
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None, path
    sys.path.insert(0, str(SUBJECTS))
    from checkpointing_training import read_records

    return len(read_records(folder / "events.out.tfevents.1"))


@pytest.mark.slow
def test_pytorch_writes_checkpoints(holdfast, folders, cycles):
    """Snapshots at random moments, also in the middle of writing a checkpoint: the directory is that of the same moment. The
    training reads its own checkpoints back, so that any other would change all losses that follow."""
    need(modules=["torch"])
    steps = 260 + 60 * cycles.count
    command = [PYTHON, SUBJECTS / "checkpointing_training.py", steps]
    expected = run_undisturbed(command, folders[0])
    job = Batch(holdfast, "train", command, folders[1])
    job.run("--files", folders[1])
    for cycle in cycles:
        job.cycle(cycle, 20 + 60 * cycle.number + cycle.chance.randrange(30), 1 + cycle.chance.randrange(15))
        check_checkpoints(folders[1])
    assert job.finish() == 0
    assert job.said() == expected
    assert check_checkpoints(folders[1]) == steps
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in folders]
    assert names[0] == names[1]
    holdfast.verify()


# Databases


@pytest.mark.parametrize(
    "kept_by",
    [
        # Rewritten often: a rewrite replaces files that are not open, but go with the directory.
        pytest.param("--appendonly yes --appendfsync everysec --auto-aof-rewrite-percentage 20 --auto-aof-rewrite-min-size 64kb", id="append-only-file"),
        pytest.param("--appendonly no --save 1 10", id="dumps"),  # a child that writes one is nearly always there
    ],
)
def test_redis_under_load(kept_by, holdfast, cycles):
    """Every reply is compared with a model, over connections that outlive everything; and the files are right too."""
    need("redis-server")
    options = kept_by.split()
    if "--save" not in options:
        options += ["--save", ""]
    job = Program(holdfast, "redis", [PYTHON, SUBJECTS / "redis_load.py"], *options)
    (job.directory / "data").mkdir()
    job.run(*(["--files", job.directory / "data"] if "--appendonly yes" in kept_by else []))
    for cycle in cycles:
        job.cycle(cycle)
    job.assert_lineage()

    (job.directory / "finish").touch()
    wait_until(lambda: holdfast.row(job.name)["state"] == "exited", lambda: f"the end of it: {job.said('bad')}", interval=0.1)
    job.assert_good()
    assert holdfast.row(job.name)["exit_status"] == 0
    found = run_undisturbed([PYTHON, SUBJECTS / "redis_load.py", "--digest", job.directory, *options], job.directory)[0]
    assert found.strip() == job.said("digest"), "the files that the server has left hold something else"


@pytest.mark.slow
def test_postgresql_under_load(holdfast, cycles):
    """A dozen processes of another user, shared memory of every kind, and a client; the balances agree at every moment."""
    need("psql", "unshare")
    if not list(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pgbench")):
        pytest.skip("there is no pgbench (scripts/install-test-subjects)")
    # With its IPC namespace a snapshot has its SysV segment.
    job = Program(holdfast, "postgresql", ["unshare", "--ipc", PYTHON, SUBJECTS / "postgres_load.py"])
    job.directory.chmod(0o755)
    job.run()
    for cycle in cycles:
        job.cycle(cycle)
    job.assert_lineage()


def look_at_rows(path):
    """As a stranger to the writer sees them: whole transactions of 40 rows, nothing else."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
        count, last, total = database.execute("select count(*), max(number), sum(twice) from rows").fetchone()
    assert count == last and count % 40 == 0 and total == count * (count + 1)
    return count


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_sqlite_writer(journal, holdfast, cycles):
    """Rows committed before the snapshot are there, those after it are not, whatever lies about in journals."""
    job = Program(holdfast, "sqlite", [PYTHON, SUBJECTS / "sqlite_writer.py"], journal)
    path = job.directory / "rows.db"
    job.run()

    def somebody_else_writes():
        assert look_at_rows(path) >= 40 * job.round
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("update rows set content = x'00'")
            database.execute("insert into rows select number + 1000000, 0, content from rows")

    for cycle in cycles:  # each leaves a journal that belongs to a later state of the database
        job.cycle(cycle, somebody_else_writes if cycle.number % 3 == 2 else None)
    job.assert_lineage()
    job.kill()
    assert look_at_rows(path) >= 40 * job.round


# Run times with a memory management of their own


@pytest.fixture(scope="session")
def built():
    """built(source, command, result): compiled once, whoever asks."""
    folder = pathlib.Path(conftest.store_directory()) / f"holdfast-test-subjects-{os.getuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)

    def build(source, command, result):
        with open(folder / "lock", "w") as lock:  # several test runs at once share them
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = folder / result
            if not made.exists() or made.stat().st_mtime < (SUBJECTS / source).stat().st_mtime:
                run_undisturbed([*command, SUBJECTS / source], folder, env={"GOCACHE": str(folder / "go-cache"), "GOFLAGS": ""})
        return made

    return build


@pytest.mark.parametrize("collector", ["G1", "Serial"])
def test_java_heap(collector, holdfast, built, cycles):
    need("java", "javac")
    classes = built("Heap.java", ["javac", "-d", "."], "Heap.class").parent
    options = ["-Xmx128m", f"-XX:+Use{collector}GC", f"-XX:ErrorFile={holdfast.directory}/java-%p.log", "-cp", classes]
    job = Program(holdfast, "java", ["java", *options, "Heap"])
    job.run()
    # What a JVM that is killed leaves behind in /tmp.
    holdfast.cleanups.callback(pathlib.Path(f"/tmp/hsperfdata_root/{job.pid_inside}").unlink, missing_ok=True)
    for cycle in cycles:
        job.cycle(cycle)
    job.assert_lineage()


def test_go_heap(holdfast, built, cycles):
    go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    if not go:
        pytest.skip("there is no go (scripts/install-test-subjects)")
    job = Program(holdfast, "go", [built("heap.go", [go, "build", "-o", "heap"], "heap")])
    job.run()
    for cycle in cycles:
        job.cycle(cycle)
    job.assert_lineage()


def test_node_server_with_a_live_connection(holdfast, cycles):
    """One connection, for good, between the server and a client process that checks every answer."""
    need("node")
    job = Program(holdfast, "node", ["node", SUBJECTS / "server.js"])
    job.run()
    for cycle in cycles:
        job.cycle(cycle)
    job.assert_lineage()


# Jupyter


class Kernel(Lineage):
    """A Jupyter kernel as a job, and clients that know its connection file."""

    def __init__(self, holdfast):
        self.holdfast, self.name = holdfast, "kernel"
        self.file = holdfast.directory / "kernel.json"
        import jupyter_client

        # Ports that no program is given by itself, so that they are still free when the kernel comes back to them.
        names = ["shell_port", "iopub_port", "stdin_port", "hb_port", "control_port"]
        ports = dict(zip(names, random.sample(range(10000, 30000), len(names))))
        jupyter_client.connect.write_connection_file(str(self.file), ip="127.0.0.1", key=b"secret", **ports)
        command = [PYTHON, "-m", "ipykernel_launcher", "-f", self.file]
        home = {"HOME": str(holdfast.directory), "IPYTHONDIR": str(holdfast.directory / "ipython")}
        started = holdfast.run_detached(self.name, *command, options=("--keep", KEPT), env=home)
        self.pid, self.supervisor = started["pid"], started["supervisor_pid"]

    @contextlib.contextmanager
    def client(self):
        from jupyter_client import BlockingKernelClient

        client = BlockingKernelClient(connection_file=str(self.file))
        client.load_connection_file()
        client.start_channels()
        try:
            wait_for_answer(client)
            yield client
        finally:
            client.stop_channels()

    def cycle(self, cycle):
        self.snapshot()
        self.snapshot()
        self.kill()
        self.restart(cycle)


def wait_for_answer(client):
    """Asks until there is one: a question may die with a connection. (The client's own wait_for_ready gives up when a
    heartbeat takes more than a second.)"""

    def answer():
        with contextlib.suppress(TimeoutError):
            return client.kernel_info(reply=True, timeout=2)

    wait_until(answer, "an answer from the kernel")


def value_of(client, expression, code=""):
    """What an expression is in the kernel, after `code` was run there."""
    reply = client.execute(code, user_expressions={"value": expression}, reply=True, timeout=world.HANG_GUARD_S)
    assert reply["content"]["status"] == "ok", reply["content"]
    value = reply["content"]["user_expressions"]["value"]
    assert value["status"] == "ok", value
    return value["data"]["text/plain"]


NOTEBOOK = """
import random, threading, time
random.seed(7)
rows = {number: str(number) * 100 for number in range(20000)}
squares = (number * number for number in range(10**9))
first = [next(squares) for _ in range(5)]
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.001)
threading.Thread(target=tick, daemon=True).start()
steps = []
"""


@pytest.fixture
def kernel(holdfast):
    pytest.importorskip("jupyter_client", reason="scripts/install-test-subjects installs Jupyter")
    need(modules=["ipykernel"])
    return Kernel(holdfast)


def check_notebook(client, seen):
    """Everything is as it was left, and can be gone on with. `seen`: the random numbers drawn so far."""
    assert value_of(client, "all(rows[number] == str(number) * 100 for number in range(20000)), len(rows)") == "(True, 20000)"
    assert value_of(client, "next(squares)") == str((5 + len(seen)) ** 2)
    seen.append(value_of(client, "random.random()"))
    expected = random.Random(7)
    assert seen == [repr(expected.random()) for _ in seen]
    before = int(value_of(client, "ticks"))
    wait_until(lambda: int(value_of(client, "ticks")) > before, "the kernel's thread to go on")


def test_jupyter_kernel(kernel, cycles):
    """The client has gone at the checkpoint, as one that is closed for the night; another comes after the restart. A cell
    that was running runs to its end."""
    seen = []
    with kernel.client() as client:
        value_of(client, "1", NOTEBOOK)
        check_notebook(client, seen)
    for cycle in cycles:
        with kernel.client() as client:
            before = int(value_of(client, "len(steps)"))
            client.execute("for _ in range(300):\n    steps.append(len(steps))\n    time.sleep(0.005)\n")
        kernel.cycle(cycle)
        with kernel.client() as client:
            check_notebook(client, seen)
            assert value_of(client, "steps == list(range(len(steps))), len(steps)") == f"(True, {before + 300})"
    kernel.assert_lineage()


def test_jupyter_kernel_with_a_client_that_stays(kernel, cycles):
    """The client is outside of the job: its connections die with the kernel, it makes them anew by itself, as ever with
    ZeroMQ. The kernel comes back with connections to nobody, which must not disturb it."""
    seen = []
    with kernel.client() as client:
        value_of(client, "1", NOTEBOOK)
        check_notebook(client, seen)
        for cycle in cycles:
            kernel.cycle(cycle)
            wait_for_answer(client)
            check_notebook(client, seen)
    kernel.assert_lineage()


# Batch programs: the same bytes


def make_reads(folder, count):
    """A reference of two sequences and `count` reads of it with errors, as FASTA and FASTQ."""
    chance = random.Random(1)
    reference = "".join(chance.choices("ACGT", k=400_000))
    (folder / "reference.fa").write_text(f">one\n{reference[:250_000]}\n>two\n{reference[250_000:]}\n")
    complement = str.maketrans("ACGT", "TGCA")
    with open(folder / "reads.fq", "w") as reads:
        for number in range(count):
            start = chance.randrange(len(reference) - 150)
            read = reference[start : start + 150]
            read = list(read[::-1].translate(complement) if number % 2 else read)
            for _ in range(5):
                read[chance.randrange(150)] = chance.choice("ACGT")
            reads.write(f"@read{number}\n{''.join(read)}\n+\n{'I' * 150}\n")


@pytest.mark.slow
def test_bwa_and_samtools(holdfast, folders, cycles):
    """Reads are mapped and sorted, by two programs and a pipe; the sorting spills to temporary files."""
    need("bwa", "samtools")
    make_reads(folders[0], 15_000 * cycles.count)
    run_undisturbed(["bwa", "index", "reference.fa"], folders[0])
    for file in folders[0].iterdir():
        shutil.copy(file, folders[1])
    pipeline = "set -o pipefail; bwa mem -K 150000 reference.fa reads.fq | samtools sort -m 2M -o sorted.bam - && samtools index sorted.bam"
    command = ["bash", "-c", pipeline]
    run_undisturbed(command, folders[0])

    job = Batch(holdfast, "reads", command, folders[1], progress=lambda: job.log("stderr").count(b"] Processed "))
    job.run()
    for cycle in cycles:
        job.cycle(cycle, 6 + 9 * cycle.number, 3)
    assert job.finish() == 0, job.said()
    for result in ("sorted.bam", "sorted.bam.bai"):
        assert (folders[1] / result).read_bytes() == (folders[0] / result).read_bytes(), f"{result} is another"
    run_undisturbed(["samtools", "quickcheck", "sorted.bam"], folders[1])


@pytest.mark.slow
def test_ngspice(holdfast, folders, cycles):
    """A simulation that writes its points as it goes and in the end their number at the file's beginning."""
    need("ngspice")
    circuit = (SUBJECTS / "ring.cir").read_text().replace("7u", f"{3 * cycles.count}u")
    for folder in folders:
        (folder / "ring.cir").write_text(circuit)
    command = ["ngspice", "-b", "-r", "out.raw", "ring.cir"]
    run_undisturbed(command, folders[0])
    points = [re.sub(rb"\nDate: [^\n]*", b"", (folders[0] / "out.raw").read_bytes(), count=1)]
    assert len(points[0]) > 5_000_000

    def progress():
        return (folders[1] / "out.raw").stat().st_size if (folders[1] / "out.raw").exists() else 0

    job = Batch(holdfast, "ring", command, folders[1], progress)
    job.run()
    for cycle in cycles:
        job.cycle(cycle, 500_000 + 1_500_000 * cycle.number, 300_000)
    assert job.finish() == 0, job.said()
    points.append(re.sub(rb"\nDate: [^\n]*", b"", (folders[1] / "out.raw").read_bytes(), count=1))
    assert points[0] == points[1], "the simulation has come to other points"


@pytest.mark.slow
def test_yosys(holdfast, folders, cycles):
    """Logic synthesis: many small allocations. What is written, and what is said, to the byte."""
    need("yosys")
    script = "read_verilog filter.v; design -save source; "
    widths = range(10, 10 + 2 * cycles.count)
    for width in widths:
        script += f"design -load source; chparam -set W {width} top; synth -noabc -flatten -top top; write_verilog out-{width}.v; "
    command = ["yosys", "-Q", "-T", "-p", script]
    for folder in folders:
        shutil.copy(SUBJECTS / "filter.v", folder)
    expected = run_undisturbed(command, folders[0])

    lines = expected[0].count("\n")
    job = Batch(holdfast, "synthesis", command, folders[1])
    job.run()
    for cycle in cycles:
        job.cycle(cycle, int((0.1 + 0.5 * cycle.number / cycles.count) * lines), lines // (10 * cycles.count))
    assert job.finish() == 0, job.said()
    assert job.said() == expected
    for width in widths:
        assert (folders[1] / f"out-{width}.v").read_bytes() == (folders[0] / f"out-{width}.v").read_bytes()


@pytest.mark.slow
def test_shell_pipeline(holdfast, folders, cycles):
    """Whatever was on its way in pipes, a named one too, arrives once."""
    command = [SUBJECTS / "pipeline.sh", 500 * cycles.count, "64k"]
    expected = run_undisturbed(command, folders[0])
    job = Batch(holdfast, "pipeline", command, folders[1], progress=lambda: job.log("stderr").count(b"\n"))
    job.run("--files", folders[1])  # sort(1) merges and removes files that it has spilled and closed
    for cycle in cycles:
        job.cycle(cycle, 8 + 12 * cycle.number, 4)
    assert job.finish() == 0, job.said()
    assert job.said() == expected
    for result in ("sorted.gz", "counted"):
        assert (folders[1] / result).read_bytes() == (folders[0] / result).read_bytes(), f"{result} is another"


def test_temporary_files_that_the_job_removes(holdfast, folders):
    """sort(1) has its spilled files open for reading at the checkpoint and has removed them when it is killed: a job that
    puts things away at its end has not made its snapshots useless."""
    script = """
        seq 60000 | sort -S 64k | while read -r number; do
          echo "$number"
          ((++lines == 20000)) && until [[ -e on ]]; do sleep 0.05; done
          ((lines == 55000)) && until [[ -e further ]]; do sleep 0.05; done
        done
        exit 3"""
    job = Batch(holdfast, "sort", ["bash", "-c", script], folders[1], env={"LC_ALL": "C", "TMPDIR": str(folders[1])})
    job.run()
    job.wait_progress(20000)
    assert list(folders[1].glob("sort*")), "it has not spilled"
    job.snapshot()
    (folders[1] / "on").touch()
    job.wait_progress(55000)
    wait_until(lambda: not list(folders[1].glob("sort*")), "the temporary files to be removed")
    job.kill()
    job.restart_lazily()
    (folders[1] / "further").touch()
    assert job.finish() == 3
    assert job.said()[0].splitlines() == sorted(map(str, range(1, 60001)))
