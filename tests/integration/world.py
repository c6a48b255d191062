"""What the kernel says of processes, and ways to end them: everything by pid, and a pid only counts with its start time.

A zombie is not gone: CRIU cannot give its pid away. So whoever started a process has to wait for it.
"""
import dataclasses
import os
import pathlib
import signal
import time

HANG_GUARD_S = 120  # the only time limit there is: for what would otherwise never end


def wait_until(condition, what, seconds=HANG_GUARD_S, interval=0.01):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what() if callable(what) else what}")
        time.sleep(interval)


@dataclasses.dataclass(frozen=True)
class Identity:
    pid: int
    start_ticks: int


@dataclasses.dataclass
class Status:
    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int
    start_ticks: int

    @property
    def identity(self):
        return Identity(self.pid, self.start_ticks)

    @property
    def zombie(self):
        return self.state in "ZX"


def read_status(pid):
    """None when there is no such process."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return Status(int(pid), name, fields[0], int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def all_processes():
    statuses = (read_status(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return [status for status in statuses if status]


def tree(root):
    """The pids of `root` and all its descendants, zombies too, parents first."""
    children = {}
    known = set()
    for status in all_processes():
        children.setdefault(status.parent, []).append(status.pid)
        known.add(status.pid)
    found = [root] if root in known else []
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def is_alive(pid):
    status = read_status(pid)
    return status is not None and not status.zombie


def reap(pid):
    """Waits for our own child, if it is one and has ended."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def kill_and_wait(pids, keep_status=()):
    """SIGKILL for each, then waits until the last trace of each is gone. `keep_status`: pids that a Popen waits for."""
    identities = [status.identity for status in map(read_status, pids) if status]
    for identity in identities:
        try:
            os.kill(identity.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def remaining():
        rest = []
        for identity in identities:
            if identity.pid not in keep_status:
                reap(identity.pid)
            status = read_status(identity.pid)
            if status and status.identity == identity and not (identity.pid in keep_status and status.zombie):
                rest.append(status)
        return rest

    wait_until(lambda: not remaining(), lambda: f"these do not go: {remaining()}")


def kill_tree(root, also=()):
    """Kills a whole tree at once, as a power cut would: nobody gets to do anything about it."""
    pids = tree(root)
    for pid in pids:  # stopped first, so that nobody forks or reports on the way
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            pass
    kill_and_wait([*also, *dict.fromkeys([*pids, *tree(root)])])


def environment(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def threads(pid):
    try:
        return [int(entry) for entry in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def status_field(pid, field, thread=None):
    """A line of /proc/PID/status without its name; None when the process is gone."""
    path = f"/proc/{pid}/task/{thread}/status" if thread else f"/proc/{pid}/status"
    try:
        for line in pathlib.Path(path).read_text(errors="replace").splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1].strip()
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def tracers(pids):
    """(pid, thread, tracer) of every traced thread."""
    found = []
    for pid in pids:
        for thread in threads(pid):
            tracer = status_field(pid, "TracerPid", thread)
            if tracer not in (None, "0"):
                found.append((pid, thread, int(tracer)))
    return found


def descriptors(pid):
    """fd -> (target, flags)"""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            info = pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
        except FileNotFoundError:
            continue
        flags = [line.split()[1] for line in info.splitlines() if line.startswith("flags:")]
        found[int(fd)] = (target, flags)
    return found


LASTING_STATUS_FIELDS = (
    "Name Umask Tgid Pid PPid Uid Gid FDSize Groups NStgid NSpid NSpgid NSsid Threads SigBlk SigIgn SigCgt CapInh CapPrm"
    " CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters Cpus_allowed_list Mems_allowed_list"
).split()


def tracked_mappings(pid):
    """How many mappings the kernel shows as write-protected for somebody."""
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    return sum(" uw" in line for line in text.splitlines() if line.startswith("VmFlags:"))


def lasting_state(pid):
    """What a checkpoint must not change in a process that does nothing meanwhile."""
    status = {field: status_field(pid, field) for field in LASTING_STATUS_FIELDS}
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    flags = [
        line for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines() if line.startswith("VmFlags:")
    ]
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    links = {name: os.readlink(f"/proc/{pid}/{name}") for name in ("cwd", "root", "exe")}
    return {
        "status": status,
        "maps": maps,
        "flags": flags,
        "limits": limits,
        "links": links,
        "descriptors": descriptors(pid),
        "threads": sorted(threads(pid)),
        "environment": environment(pid),
    }
