"""Memory in pages that are seldom met: those of a pool of huge ones, those out in swap, those that were merged."""
import contextlib
import os
import pathlib
import subprocess

import machine_settings
import pytest
import world

MEBIBYTES = 8
HUGE_PAGES = 2 * MEBIBYTES // 2  # a copy of each may be needed while a twin lives


@pytest.fixture
def settings(request, tmp_path):
    kind = request.getfixturevalue("kind")
    with contextlib.ExitStack() as stack:
        if kind == "swapped":
            stack.enter_context(machine_settings.swap_file(tmp_path / "swap", 64))
        elif kind == "merged":
            stack.enter_context(machine_settings.merging())
        else:
            stack.enter_context(machine_settings.huge_page_pool(HUGE_PAGES))
        yield


def wait_until_most_is_of_its_kind(job):
    world.wait_until(lambda: int(job.said("kind") or 0) > MEBIBYTES * 1024 // 2, "most of the memory to be of its kind")


@pytest.mark.parametrize("kind", ["hugetlb", "hugetlb-shared", "swapped", "merged"])
@pytest.mark.parametrize("way", ["--eager", "--lazy"])
@pytest.mark.usefixtures("settings")
def test_goes_on_and_comes_back(kind, way, subject):
    """A first snapshot, a delta, a restart; twice."""
    job = subject("page_kinds", kind).run()
    for _ in range(2):
        wait_until_most_is_of_its_kind(job)
        assert job.checkpoint()["snapshot"]
        job.wait_rounds(3)
        wait_until_most_is_of_its_kind(job)
        job.checkpoint()
        job.assert_untouched()
        job.wait_rounds(2)
        job.kill()
        job.resume(None, way)
        job.wait_rounds(3)
        job.assert_good()


def kernel_count(name):
    """An event that the kernel counts, since the machine was started."""
    lines = pathlib.Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    return int(dict(line.split() for line in lines)[name])


def test_tracking_misses_nothing_while_pages_are_swapped_and_merged(tmp_path, seed):
    """The random test of write tracking, where the kernel really pages out and merges what the test tells it to.
    HOLDFAST_TEST_FREEZES=N in the environment: so many freezes."""
    build = os.environ.get("HOLDFAST_BUILD")
    if not build:
        pytest.skip("needs HOLDFAST_BUILD, the folder of a release build (test.sh sets it)")
    with machine_settings.swap_file(tmp_path / "swap", 128), machine_settings.merging():
        before = {name: kernel_count(name) for name in ("pswpout", "cow_ksm")}
        done = subprocess.run(
            [pathlib.Path(build) / "tests/unit/memory_tracking_random_test"],
            env={"HOLDFAST_TEST_FREEZES": "300", **os.environ, "HOLDFAST_TEST_SEED": str(seed)},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-4000:]
        for name, count in before.items():
            assert kernel_count(name) > count, f"{name} is what it was: nothing of the kind was tested"
