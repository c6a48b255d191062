"""Fixtures of the integration tests: `holdfast` (a store of its own, cleaned up by pid whatever happens), `subject` (a
program of tests/programs), and the reasons to skip.

    /usr/bin/python3 -m pytest tests/integration            all of it
    HOLDFAST_BINARY=/path/to/holdfast ...                   this binary; else $HOLDFAST, the build in the cache, or PATH
    HOLDFAST_TEST_DIRECTORY=/var/tmp                        where the stores are: must be a disk, not memory
    HOLDFAST_TEST_KEEP=1                                    leave the directories there
    HOLDFAST_TEST_SEED=N                                    repeats a randomized test
    HOLDFAST_TEST_CONTAINERD_2=/path/to/containerd          one of version 2, for test_agent_install.py (made from its Go module)
    HOLDFAST_TEST_CYCLES=N                                  snapshots and restarts of real programs (3)
"""
import fcntl
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import zlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402

durations = []


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than some ten seconds")


def store_directory():
    return os.environ.get("HOLDFAST_TEST_DIRECTORY", "/var/tmp")


@pytest.fixture(scope="session")
def binary():
    if os.geteuid() != 0:
        pytest.skip("checkpointing needs root")
    found = harness.find_binary()
    if not found:
        pytest.skip("there is no holdfast: build it, or set HOLDFAST_BINARY")
    return found


@pytest.fixture(scope="session")
def programs():
    """The folder with the built programs of tests/programs."""
    checkout = zlib.crc32(bytes(harness.ROOT))  # another one may have other programs
    folder = pathlib.Path(store_directory()) / f"holdfast-test-programs-{os.getuid()}-{checkout:08x}"
    folder.mkdir(mode=0o755, exist_ok=True)
    with open(folder / "lock", "w") as lock:  # several test runs at once share them
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(
            ["make", "-s", "-k", "-j2", "-C", str(harness.ROOT / "tests/programs"), f"OUT={folder}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert made.returncode == 0, made.stdout
    return folder


@pytest.fixture
def holdfast(binary, request):
    directory = tempfile.mkdtemp(prefix="holdfast-test-", dir=store_directory())
    os.chmod(directory, 0o755)
    made = harness.Holdfast(binary, directory)
    request.node.holdfast = made
    try:
        yield made
    finally:
        try:
            made.clean_up()
        finally:
            if not os.environ.get("HOLDFAST_TEST_KEEP"):
                shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def subject(holdfast, programs):
    """subject("name of the program", arguments...)"""

    def make(program, *arguments, **options):
        return harness.Subject(holdfast, programs, program, *arguments, **options)

    return make


@pytest.fixture
def seed(request):
    """Of a randomized test; shown when it fails."""
    value = int(os.environ.get("HOLDFAST_TEST_SEED") or random.randrange(1 << 32))
    request.node.seed = value
    print(f"\nHOLDFAST_TEST_SEED={value}")
    return value


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and hasattr(item, "seed"):
        report.sections.append(("to repeat it", f"HOLDFAST_TEST_SEED={item.seed}"))
    if report.failed and call.when == "call" and hasattr(item, "holdfast"):
        for name, text in item.holdfast.logs():
            report.sections.append((name, text))


def pytest_runtest_logreport(report):
    if report.when == "call":
        durations.append((report.nodeid, report.duration))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("time taken by the tests")
    for line in harness.duration_report(durations):
        terminalreporter.write_line(line)
