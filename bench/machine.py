"""The machine: what it is, and how fast it compresses and writes, the two things that a drain cannot outrun."""
import ctypes
import ctypes.util
import mmap
import os
import pathlib
import platform
import statistics
import threading
import time

from processes import Failed

MIB = 1 << 20
GIB = 1 << 30
PIECE_BYTES = 4 * MIB  # what a thread of zstd -T takes at level 1
SECONDS_MIN = 0.7


def field(path, name):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.split(":")[0].strip() == name:
            return line.split(":", 1)[1].strip()
    return "?"


def memory_bytes(name="MemTotal"):
    return int(field("/proc/meminfo", name).split()[0]) * 1024


def file_system(path):
    """("ext4", "/dev/vda") of where `path` lies."""
    path, best, found = os.path.realpath(path), "", ("?", "?")
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        device, point, kind = line.split()[:3]
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, found = point, (kind, device)
    return found


def bytes_free(directory):
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def cores():
    return len(os.sched_getaffinity(0))


def busy_share(seconds=0.5):
    """Which share of the processors' time somebody used, in a moment when the bench itself did nothing."""

    def ticks():
        numbers = [int(number) for number in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]  # all; idle and waiting for a disk

    all_before, idle_before = ticks()
    time.sleep(seconds)
    all_after, idle_after = ticks()
    return 1 - (idle_after - idle_before) / max(1, all_after - all_before)


def huge_pages():
    text = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    return text[text.index("[") + 1 : text.index("]")]


def describe(store, holdfast_version, criu_version):
    kind, device = file_system(store)
    hypervisor = "hypervisor" in field("/proc/cpuinfo", "flags").split()
    return {
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": cores(),
        "virtual": hypervisor,
        "memory_bytes": memory_bytes(),
        "kernel": platform.release(),
        "huge_pages": huge_pages(),
        "store_file_system": kind,
        "store_device": device,
        "criu": criu_version,
        "holdfast": holdfast_version,
        "date": time.strftime("%Y-%m-%d"),
    }


def sentence(machine):
    return (
        f"{machine['cpu']}, {machine['cores']} cores{' (virtual machine)' if machine['virtual'] else ''},"
        f" {machine['memory_bytes'] / GIB:.0f} GiB, Linux {machine['kernel']}, store on {machine['store_file_system']};"
        f" CRIU {machine['criu']}, Holdfast {machine['holdfast']}; {machine['date']}"
    )


# --- zstd -1 on all cores --------------------------------------------------------------------------------------------


def load_zstd():
    try:
        library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    except OSError as error:
        raise Failed(f"zstd's library cannot be loaded: {error}") from None
    library.ZSTD_createCCtx.restype = ctypes.c_void_p
    library.ZSTD_freeCCtx.argtypes = [ctypes.c_void_p]
    library.ZSTD_compressBound.restype = ctypes.c_size_t
    library.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    library.ZSTD_compressCCtx.restype = ctypes.c_size_t
    library.ZSTD_compressCCtx.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
    ]
    return library


def zstd_throughput(path):
    """Bytes per second that all cores together compress at level 1, from memory to memory, of this file's content."""
    library = load_zstd()
    content = pathlib.Path(path).read_bytes()
    base = ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value
    pieces = [(base + at, min(PIECE_BYTES, len(content) - at)) for at in range(0, len(content), PIECE_BYTES)]
    done = [0] * cores()
    start_together = threading.Barrier(cores() + 1)
    deadline = [0.0]

    def compress(thread):
        context = library.ZSTD_createCCtx()
        out = ctypes.create_string_buffer(library.ZSTD_compressBound(PIECE_BYTES))
        library.ZSTD_compressCCtx(context, out, len(out), *pieces[0], 1)  # its memory is there from now on
        start_together.wait()
        turn = thread
        while time.monotonic() < deadline[0]:
            piece = pieces[turn % len(pieces)]
            library.ZSTD_compressCCtx(context, out, len(out), *piece, 1)
            done[thread] += piece[1]
            turn += len(done)
        library.ZSTD_freeCCtx(context)

    threads = [threading.Thread(target=compress, args=(number,)) for number in range(len(done))]
    for thread in threads:
        thread.start()
    start = time.monotonic()
    deadline[0] = start + 10 * SECONDS_MIN
    start_together.wait()
    start = time.monotonic()
    deadline[0] = start + SECONDS_MIN
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - start)


# --- the disk --------------------------------------------------------------------------------------------------------


def write_throughput(directory, total_bytes, direct=False):
    """Bytes per second into a new file, the time of fdatasync included: what `dd conv=fdatasync bs=4M` shows."""
    path = pathlib.Path(directory, "disk-throughput")
    buffer = mmap.mmap(-1, PIECE_BYTES)
    buffer.write(os.urandom(PIECE_BYTES))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | (os.O_DIRECT if direct else 0)
    try:
        descriptor = os.open(path, flags, 0o600)
        try:
            written, start = 0, time.monotonic()
            while written < total_bytes:
                written += os.write(descriptor, buffer)
            os.fdatasync(descriptor)
            return written / (time.monotonic() - start)
        finally:
            os.close(descriptor)
    finally:
        path.unlink(missing_ok=True)


def write_throughputs(directory, total_bytes, repeat):
    buffered = [write_throughput(directory, total_bytes) for _ in range(repeat)]
    try:
        direct = write_throughput(directory, total_bytes, direct=True)
    except OSError:
        direct = None  # tmpfs and some network file systems know no O_DIRECT
    return {"buffered": statistics.median(buffered), "direct": direct}


def drop_caches():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
