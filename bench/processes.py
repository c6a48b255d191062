"""Processes that the bench has started, and everything that they have: found by pid, killed and waited for.

Nothing is killed that does not descend from the bench: a pid that was ours may be somebody else's by now.
"""
import ctypes
import os
import pathlib
import signal
import time

WAIT_SECONDS_MAX = 120
PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """Something could not be measured; the text says why."""


def become_subreaper():
    """What a command of ours leaves behind (a restored tree, a supervisor) becomes our child, so that we can wait for it.

    Both programs restore a process under the pid that it had: that is free only once somebody has waited for it.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise Failed(f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}")


def descendants(pid):
    """The tree under and with `pid`, parents first."""
    found = [pid]
    for parent in found:
        for task in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                pass
    return found


def is_there(pid):
    return os.path.exists(f"/proc/{pid}")


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def start_ticks(pid):
    """With the pid the identity of a process; None when there is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def kill_and_wait(pids):
    """SIGKILL for each that is ours, then waits until no trace of any is left."""
    ours = set(descendants(os.getpid())) - {os.getpid()}
    started = {pid: start_ticks(pid) for pid in pids if pid in ours}
    for pid in started:
        send(pid, signal.SIGKILL)
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    for pid, start in started.items():
        while start is not None and start_ticks(pid) == start:
            reap(pid)
            if time.monotonic() > deadline:
                raise Failed(f"process {pid} does not go away after SIGKILL")
            time.sleep(0.005)


def kill_tree(root):
    kill_and_wait(descendants(root))


def kill_all_of_ours():
    """Whatever descends from the bench, however it came about: we are its subreaper."""
    for _ in range(10):
        ours = [pid for pid in descendants(os.getpid()) if pid != os.getpid()]
        if not ours:
            return
        kill_and_wait(ours)


def wait_until(condition, what, seconds=WAIT_SECONDS_MAX, interval=0.005):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds} s in vain for {what}")
        time.sleep(interval)
