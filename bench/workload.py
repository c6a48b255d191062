"""The program that is checkpointed (programs/workload.c): built, started, told what to do, asked what it has done."""
import dataclasses
import os
import pathlib
import shutil
import struct
import subprocess
import threading
import time

import processes
from processes import Failed

SOURCE = pathlib.Path(__file__).resolve().parent / "programs" / "workload.c"

# The control block of programs/workload.c.
TOUCH, FORK, CHECKSUM, WRITE, REST, READ = range(1, 7)
FORKS_MAX = 32
COMMAND, ARGUMENT, CHECKSUM_AT, BEAT_WORST, FORK_NS, WRITERS = 0, 8, 16, 24, 32, 32 + 8 * FORKS_MAX
WRITER_BYTES, WRITERS_MAX = 16, 64
READ_NS, READS_MAX = WRITERS + WRITER_BYTES * WRITERS_MAX, 16384

SAMPLE_SECONDS = 0.02


def build(directory):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        raise Failed("there is no C compiler (cc) to build bench/programs/workload.c with")
    program = pathlib.Path(directory, "workload")
    subprocess.run([compiler, "-O2", "-pthread", "-o", str(program), str(SOURCE)], check=True)
    return program


def sample(program, path, mebibytes, content):
    """A file with what the workload's memory holds."""
    subprocess.run([str(program), "sample", str(path), str(mebibytes), content], check=True)


@dataclasses.dataclass(frozen=True)
class Shape:
    mebibytes: int
    pages: str = "4k"  # or "huge"
    threads: int = 1
    processes: int = 1
    content: str = "half"  # compressible; or "random": not at all


class Process:
    """One process of the workload. Its place stays the same when it is restored."""

    def __init__(self, pid, address, threads):
        self.pid, self.address, self.threads = pid, address, threads

    def read(self, at, count):
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            return struct.unpack(f"<{count}Q", os.pread(memory.fileno(), 8 * count, self.address + at))

    def write(self, at, value):
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), struct.pack("<Q", value), self.address + at)

    def start(self, command, argument=0):
        self.write(ARGUMENT, argument)
        self.write(COMMAND, command)

    def finish(self):
        processes.wait_until(lambda: self.read(COMMAND, 1)[0] == 0, f"an answer of process {self.pid}")

    def writers(self):
        """(pages written, worst ns for a page) of each thread."""
        numbers = self.read(WRITERS, 2 * self.threads)
        return list(zip(numbers[::2], numbers[1::2]))


class Workload:
    """The running program. Requires: used in a `with`, which ends it and all its processes."""

    def __init__(self, program, shape, directory):
        self.program, self.shape, self.directory = program, shape, pathlib.Path(directory, "workload-ready")
        self.processes = []

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        shape = self.shape
        self.child = subprocess.Popen(
            [
                str(self.program),
                "run",
                str(self.directory),
                *map(str, (shape.mebibytes, shape.pages, shape.threads, shape.processes, shape.content)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        try:
            processes.wait_until(self.is_ready, "the workload to fill its memory", 600, 0.05)
        except BaseException:
            self.kill()
            raise
        for path in sorted(self.directory.iterdir(), key=lambda path: int(path.name)):
            self.processes.append(Process(int(path.name), int(path.read_text().split()[0], 16), shape.threads))
        return self

    def __exit__(self, *_):
        self.kill()

    def is_ready(self):
        if self.child.poll() is not None:
            raise Failed(f"the workload ended by itself with status {self.child.returncode}; is there enough memory?")
        ready = [path for path in self.directory.iterdir() if not path.name.endswith(".new")]
        return len(ready) == self.shape.processes

    @property
    def pid(self):
        return self.child.pid

    def kill(self):
        pids = [*processes.descendants(self.pid), *(process.pid for process in self.processes)]
        processes.kill_and_wait(dict.fromkeys(pids))
        self.child.wait()

    def tell(self, command, argument=0):
        for process in self.processes:
            process.start(command, argument)
        for process in self.processes:
            process.finish()

    def touch(self):
        """Writes to every page, so that none is left shared or write-protected by what went before."""
        self.tell(TOUCH)

    def checksums(self):
        self.tell(CHECKSUM)
        return [process.read(CHECKSUM_AT, 1)[0] for process in self.processes]

    def fork_ms(self, count):
        """`count` times the time of fork(), in ms: one process after the other, summed over the processes."""
        sums = [0.0] * count
        for process in self.processes:
            process.start(FORK, count)
            process.finish()
            sums = [total + ns / 1e6 for total, ns in zip(sums, process.read(FORK_NS, count))]
        return sums

    def read_us(self, count=READS_MAX):
        """How long `count` reads of single words all over the memory took, in us."""
        self.tell(READ, count)
        return [ns / 1e3 for process in self.processes for ns in process.read(READ_NS, count)]

    def forget_stalls(self):
        for process in self.processes:
            process.write(BEAT_WORST, 0)
            for thread in range(self.shape.threads):
                process.write(WRITERS + WRITER_BYTES * thread + 8, 0)

    def beat_worst_ms(self):
        """How long the main thread of any process, which wakes each ms, did not: the freeze as the job feels it."""
        return max(process.read(BEAT_WORST, 1)[0] for process in self.processes) / 1e6

    def pages_written(self):
        return sum(pages for process in self.processes for pages, _ in process.writers())

    def write_worst_ms(self):
        return max(worst for process in self.processes for _, worst in process.writers()) / 1e6

    def huge_share(self):
        """Which share of the memory is in huge pages."""
        kilobytes = 0
        for process in self.processes:
            for line in pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("AnonHugePages:"):
                    kilobytes += int(line.split()[1])
        return kilobytes / 1024 / self.shape.mebibytes


class Counting:
    """Reads the writers' counters all the time while it is open."""

    def __init__(self, workload):
        self.workload, self.samples, self.over = workload, [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def run(self):
        while not self.over.is_set():
            self.take()
            self.over.wait(SAMPLE_SECONDS)
        self.take()

    def take(self):
        try:
            pages = self.workload.pages_written()
        except OSError:
            return
        self.samples.append((time.monotonic(), pages))

    def at(self, when):
        """How many pages had been written then, between two samples by proportion."""
        before = after = self.samples[0]
        for sample_ in self.samples:
            before, after = after, sample_
            if sample_[0] >= when:
                break
        if after[0] <= before[0]:
            return after[1]
        share = min(1.0, max(0.0, (when - before[0]) / (after[0] - before[0])))
        return before[1] + share * (after[1] - before[1])

    def rate(self, start, end):
        return (self.at(end) - self.at(start)) / (end - start)
