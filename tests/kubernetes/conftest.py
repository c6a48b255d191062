"""Fixtures of the tests on Kubernetes: `kubernetes`, a cluster that all share; `another`, one for a single test. Each has a
name of its own, so that runs beside each other and a developer's cluster do not meet; each is taken down whatever happens.
"""
import os
import pathlib
import sys
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import CANNOT, UP_GUARD_S, Cluster, sysctls  # noqa: E402


sysctls_before = sysctls()  # any cluster


def new_cluster():
    cluster = Cluster(f"test-{uuid.uuid4().hex[:8]}")
    cluster.sysctls_before = sysctls_before
    runtime = pathlib.Path(os.environ.get("HOLDFAST", "/none")).parent / "holdfast-runtime"
    if runtime.exists():
        cluster.environment["HOLDFAST_RUNTIME"] = str(runtime)
    return cluster


def bring_up(cluster):
    done = cluster.run("up", seconds=UP_GUARD_S)
    if done.returncode in CANNOT:
        said = [line.strip(" |") for line in (done.stdout + done.stderr).splitlines() if "hack/cluster: " in line]
        pytest.skip(said[0] if said else f"hack/cluster up: exit status {done.returncode}")
    assert done.returncode == 0, done.stdout + done.stderr + logs(cluster)
    return cluster


def logs(cluster):
    return "".join(f"\n---- {name}\n{text}" for name, text in cluster.logs())


@pytest.fixture(scope="session")
def kubernetes(request):
    cluster = new_cluster()
    request.session.kubernetes = cluster
    try:
        yield bring_up(cluster)
    finally:
        cluster.ok("down")


@pytest.fixture
def another(kubernetes):  # the machine can have clusters when it has the first
    """Not up yet."""
    cluster = new_cluster()
    try:
        yield cluster
    finally:
        cluster.ok("down")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    cluster = getattr(item.session, "kubernetes", None)
    if report.failed and call.when == "call" and cluster:
        report.sections.extend(cluster.logs())
