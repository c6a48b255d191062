"""The matrix, and how one case of it is measured: fork(), then Holdfast, then stock CRIU, on the same program."""
import statistics
import time

import machine
from processes import Failed
from workload import REST, WRITE, Counting, Shape, Workload

FORKS = 5
UNDISTURBED_SECONDS = 1.5
WARM_SECONDS = 0.5
# Of the job's size. Memory: the job, the pages that it writes while a twin holds the old ones or the images that
# stock CRIU leaves in the page cache, and some. Disk: stock CRIU's images, or two of our snapshots.
MEMORY_FACTOR = 2.2
DISK_FACTOR = 1.5


def label(shape):
    text = f"{size_text(shape.mebibytes)} {shape.pages}"
    if shape.threads > 1:
        text += f", {shape.threads} threads"
    if shape.processes > 1:
        text += f", {shape.processes} processes"
    return text


def size_text(mebibytes):
    return f"{mebibytes // 1024} GiB" if mebibytes % 1024 == 0 else f"{mebibytes} MiB"


def matrix(sizes, kinds, content):
    """Every size with every kind of page; at 2 GiB (or the largest below) many threads and many processes."""
    shapes = [Shape(size, kind, content=content) for size in sizes for kind in kinds]
    if "4k" in kinds:
        middle = max((size for size in sizes if size <= 2048), default=min(sizes))
        shapes.append(Shape(middle, "4k", threads=64, content=content))
        shapes.append(Shape(middle, "4k", processes=16, content=content))
    return shapes


def why_not(shape, directory):
    """Why this machine cannot run it, or None."""
    bytes_ = shape.mebibytes * machine.MIB
    available = machine.memory_bytes("MemAvailable")
    if available < bytes_ * MEMORY_FACTOR:
        return f"needs {bytes_ * MEMORY_FACTOR / machine.GIB:.1f} GiB of memory, {available / machine.GIB:.1f} are available"
    free = machine.bytes_free(directory)
    if free < bytes_ * DISK_FACTOR:
        return f"needs {bytes_ * DISK_FACTOR / machine.GIB:.1f} GiB of disk, {free / machine.GIB:.1f} are free"
    if shape.pages == "huge" and machine.huge_pages() == "never":
        return "transparent huge pages are off (/sys/kernel/mm/transparent_hugepage/enabled)"
    return None


class Measurement:
    """One case. `tell` is given a sentence after each step."""

    def __init__(self, shape, bench, repeat, tell):
        self.shape, self.bench, self.repeat, self.tell = shape, bench, repeat, tell
        self.result = {
            "label": label(shape),
            "mebibytes": shape.mebibytes,
            "pages": shape.pages,
            "threads": shape.threads,
            "processes": shape.processes,
            "content": shape.content,
            "verified": True,
        }

    def run(self):
        self.result["busy_before"] = machine.busy_share()
        self.measure_limits()
        with Workload(self.bench.workload, self.shape, self.bench.directory) as job:
            if self.shape.pages == "huge":
                self.result["huge_share"] = job.huge_share()
            self.result["fork_ms"] = job.fork_ms(FORKS)
            self.tell(f"fork() {statistics.median(self.result['fork_ms']):.1f} ms")
            store, checksums = self.measure_idle(job)
            self.measure_writing(job)
            self.measure_restarts(job, store, checksums)
        with Workload(self.bench.workload, self.shape, self.bench.directory) as job:
            self.measure_stock(job)
        return self.result

    def measure_limits(self):
        """What a drain cannot outrun, measured anew for each case: machines and disks have moods."""
        total = min(self.shape.mebibytes * machine.MIB // 2, machine.GIB)
        disk = machine.write_throughputs(self.bench.directory, total, self.repeat)
        self.result["zstd_bytes_per_s"] = machine.zstd_throughput(self.bench.sample)
        self.result["disk_bytes_per_s"] = disk["buffered"]
        self.result["disk_direct_bytes_per_s"] = disk["direct"]
        self.tell(f"zstd -1 {self.result['zstd_bytes_per_s'] / 1e6:.0f} MB/s, disk {disk['buffered'] / 1e6:.0f} MB/s")

    def checkpoint(self, job, store):
        job.forget_stalls()
        figures = self.bench.holdfast.checkpoint(job.pid, store)
        figures["felt_ms"] = job.beat_worst_ms()
        return figures

    def measure_idle(self, job):
        """Nothing else runs, so all cores are the drain's. Returns the last snapshot's store and what must come back."""
        runs = []
        for _ in range(self.repeat):
            store = self.bench.holdfast.new_store("idle")
            job.touch()
            runs.append(self.checkpoint(job, store))
            self.tell(f"Holdfast: freeze {runs[-1]['freeze_ms']:.1f} ms, drained in {runs[-1]['drain_commit_ms']:.0f} ms")
        self.result["holdfast"] = runs
        return store, job.checksums()

    def measure_writing(self, job):
        """The job rewrites its memory as fast as it can, before, while and after it is checkpointed."""
        runs = []
        for _ in range(self.repeat):
            store = self.bench.holdfast.new_store("writing")
            job.tell(WRITE)
            time.sleep(WARM_SECONDS)
            with Counting(job) as counting:
                job.forget_stalls()
                start = time.monotonic()
                time.sleep(UNDISTURBED_SECONDS)
                worst_before = job.write_worst_ms()
                end_before = time.monotonic()
                figures = self.checkpoint(job, store)
                end = time.monotonic()
                worst = job.write_worst_ms()
                time.sleep(UNDISTURBED_SECONDS)
                end_after = time.monotonic()
            job.tell(REST)
            before = counting.rate(start, end_before)
            figures |= {
                "pages_per_s": before,
                "progress": counting.rate(end - figures["drain_commit_ms"] / 1000, end) / before,
                "progress_after": counting.rate(end, end_after) / before,
                "worst_stall_ms": worst,
                "worst_stall_before_ms": worst_before,
            }
            runs.append(figures)
            self.tell(f"while it writes: freeze {figures['freeze_ms']:.1f} ms, progress {figures['progress']:.0%}")
        self.bench.holdfast.remove_store(store)
        self.result["holdfast_writing"] = runs

    def measure_restarts(self, job, store, checksums):
        runs = []
        for _ in range(self.repeat):
            job.kill()
            self.bench.before_restart()
            figures, supervisor = self.bench.holdfast.resume(store)
            try:
                self.verify(job, checksums, "Holdfast")
                runs.append(figures)
                self.tell(f"Holdfast: restarted in {figures['wall_ms']:.0f} ms")
            finally:
                job.kill()
                self.bench.holdfast.await_end(supervisor)
        self.bench.holdfast.remove_store(store)
        self.result["holdfast_restart"] = runs

    def measure_stock(self, job):
        stock, dumps, writing, restores = self.bench.stock, [], [], []
        for _ in range(self.repeat):
            job.touch()
            job.forget_stalls()
            dumps.append(stock.dump(job.pid))
            dumps[-1]["felt_ms"] = job.beat_worst_ms()
            self.tell(f"stock CRIU: frozen {dumps[-1]['freeze_ms']:.0f} ms")
        for _ in range(self.repeat):
            job.tell(WRITE)
            time.sleep(WARM_SECONDS)
            writing.append(stock.dump(job.pid))
            job.tell(REST)
            self.tell(f"stock CRIU, while it writes: frozen {writing[-1]['freeze_ms']:.0f} ms")
        checksums = job.checksums()
        stock.dump(job.pid)
        for _ in range(self.repeat):
            job.kill()
            self.bench.before_restart()
            restores.append(stock.restore())
            self.verify(job, checksums, "stock CRIU")
            self.tell(f"stock CRIU: restored in {restores[-1]['wall_ms']:.0f} ms")
        job.kill()
        stock.remove_images()
        self.result["stock"] = dumps
        self.result["stock_writing"] = writing
        self.result["stock_restart"] = restores

    def verify(self, job, checksums, who):
        if job.checksums() != checksums:
            self.result["verified"] = False
            raise Failed(f"{who} restored memory that is not what was saved")
