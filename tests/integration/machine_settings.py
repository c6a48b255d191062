"""Settings of the whole machine that a test needs: changed for as long as it runs, then put back.

Others may be at it at the same time (a second run of the tests), so each is changed under a lock, and by what is needed
rather than to a value.
"""
import contextlib
import fcntl
import pathlib
import subprocess

import pytest

LOCK = pathlib.Path("/run/lock/holdfast-tests-settings")
HUGE_PAGES = pathlib.Path("/proc/sys/vm/nr_hugepages")
MERGING = pathlib.Path("/sys/kernel/mm/ksm/run")
MERGING_USERS = pathlib.Path("/run/lock/holdfast-tests-merging")


@contextlib.contextmanager
def locked(path):
    with open(path, "a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def read_number(path):
    return int(path.read_text(encoding="ascii"))


def change_huge_pages(by):
    """How many more the kernel has now."""
    with locked(LOCK):
        before = read_number(HUGE_PAGES)
        HUGE_PAGES.write_text(str(before + by), encoding="ascii")
        return read_number(HUGE_PAGES) - before


@contextlib.contextmanager
def huge_page_pool(pages):
    try:
        more = change_huge_pages(pages)
    except OSError as error:
        pytest.skip(f"the pool of huge pages cannot be changed: {error}")
    try:
        if more < pages:
            pytest.skip(f"the kernel has no room for {pages} huge pages")
        yield
    finally:
        change_huge_pages(-more)


@contextlib.contextmanager
def swap_file(path, mebibytes):
    """`path`: on a file system that can hold one, which tmpfs is not."""
    with open(path, "wb") as file:
        file.write(bytes(mebibytes << 20))
    path.chmod(0o600)
    subprocess.run(["mkswap", path], check=True, capture_output=True)
    done = subprocess.run(["swapon", path], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        path.unlink()
        pytest.skip(f"no swap file can be used here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["swapoff", path], check=True)
        path.unlink()


@contextlib.contextmanager
def merging():
    """The kernel looks for equal pages (KSM). The first one to come turns it on, and the last one off, if it was."""
    if not MERGING.exists():
        pytest.skip("the kernel merges no pages")
    with contextlib.ExitStack() as stack:
        with locked(LOCK):
            users = stack.enter_context(open(MERGING_USERS, "a+", encoding="ascii"))
            fcntl.flock(users, fcntl.LOCK_SH)
            if read_number(MERGING) != 1:
                MERGING.write_text("1", encoding="ascii")
                users.write("we turned it on\n")
                users.flush()
        try:
            yield
        finally:
            with locked(LOCK):
                turn_off(users)


def turn_off(users):
    """Unless somebody else is at it, or it was on before all of us."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        users.seek(0)
        if users.read():
            MERGING.write_text("0", encoding="ascii")
            users.truncate(0)
