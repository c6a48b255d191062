"""A pod that asked for it is checkpointed when it is evicted or deleted, and the one that replaces it goes on where it stood,
on whatever node that is. What a webhook is going to write into its annotations is written here by hand.

The subject (tests/programs/counts_aloud.c) looks at all of its memory and at a file that it has open before each number.
"""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import uuid

import pytest
from cluster import ROOT, deployment, wait_until

NODES = ("a", "b")
COUNTS = ["/counts_aloud", "/data", "64"]
BUSYBOX = "/bin/busybox"


@pytest.fixture(scope="module")
def image(kubernetes):
    """Of one program that needs no library."""
    with tempfile.TemporaryDirectory() as folder:
        flags = "-std=gnu11 -D_GNU_SOURCE -O1 -static -pthread"
        program = f"{folder}/counts_aloud"
        subprocess.run(["make", "-s", "-C", ROOT / "tests/programs", f"OUT={folder}", f"CFLAGS={flags}", program], check=True)
        pathlib.Path(folder, "tree/data").mkdir(parents=True)
        command = [ROOT / "hack/make-image", "--package", "busybox-static", "--file", f"{program}:/counts_aloud", "--tree", f"{folder}/tree"]
        subprocess.run([*command, "localhost/counts:1", f"{folder}/image.tar", "--", *COUNTS], check=True, capture_output=True)
        kubernetes.ok("load", f"{folder}/image.tar")
    return "localhost/counts:1"


@pytest.fixture(scope="module")
def store(kubernetes):
    """A folder that both nodes see, as a shared file system."""
    holdfast = os.environ.get("HOLDFAST")
    if not holdfast or "HOLDFAST_RUNTIME" not in kubernetes.environment:
        pytest.skip("HOLDFAST names no installed holdfast with a holdfast-runtime beside it (test.sh sets it)")
    folder = tempfile.mkdtemp(prefix="holdfast-test-", dir="/var/tmp")
    settings = f"store = {folder}\nholdfast = {holdfast}\n"
    for node in NODES:
        kubernetes.ok("on", node, "sh", "-c", 'mkdir -p /etc/holdfast && printf %s "$0" >/etc/holdfast/runtime.conf', settings)
    yield folder
    for node in NODES:
        kubernetes.ok("on", node, "rm", "/etc/holdfast/runtime.conf")
    shutil.rmtree(folder)


def opted_in(template="one"):
    return {
        "holdfast.dev/checkpoint": "true",
        "holdfast.dev/owner-uid": str(uuid.uuid4()),
        "holdfast.dev/template-hash": template,
        "holdfast.dev/slot": "0",
    }


@pytest.fixture
def run(kubernetes, image, store):
    """run(NAME, ANNOTATIONS, ...): a Deployment of the counting program, or of `command`."""
    made = set()

    def run(name, annotations, command=COUNTS, **options):
        made.add(name)
        options = {"image": image, "runtimeClassName": "holdfast", "terminationGracePeriodSeconds": 60, **options}
        kubernetes.apply(deployment(name, command, annotations=annotations, **options))
        return Counting(kubernetes, name)

    yield run
    for name in made:
        kubernetes.kubectl("delete", "deployment", name, "--cascade=foreground", "--timeout=170s")


class Counting:
    def __init__(self, kubernetes, name):
        self.kubernetes, self.name = kubernetes, name

    def pod(self):
        return self.kubernetes.running_pods(self.name)[0]

    def successor(self, pod):
        """The pod that runs when this one is no more."""

        def others():
            pods = self.kubernetes.pods(self.name)
            return not any(each["metadata"]["uid"] == pod["metadata"]["uid"] for each in pods)

        wait_until(others, lambda: f"{pod['metadata']['name']} to be gone:\n{self.decisions()}")
        return self.pod()

    def numbers(self, pod):
        lines = self.kubernetes.kubectl("logs", pod["metadata"]["name"]).splitlines()
        return [int(line.split()[1]) for line in lines if line.startswith("out ") and len(line.split()) == 2]

    def await_numbers(self, pod, count=20):
        return wait_until(lambda: (found := self.numbers(pod))[count:] and found, lambda: f"numbers of {pod['metadata']['name']}\n{self.decisions()}")

    def decisions(self):
        return "".join(self.kubernetes.run("on", node, "cat", "/run/holdfast/runtime/decisions.log").stdout for node in NODES)

    def move(self, away):
        """Has `away(pod)` send the pod away, and returns the successor, which has gone on."""
        pod = self.pod()
        before = self.await_numbers(pod)
        away(pod)
        successor = self.successor(pod)
        after = self.await_numbers(successor)
        assert before[-1] < after[0], f"{before[-1]} before, {after[0]} after\n{self.decisions()}"
        assert after == list(range(after[0], after[0] + len(after)))
        (status,) = successor["status"]["containerStatuses"]
        assert status["restartCount"] == 0, status
        return successor


def node_of(pod):
    return pod["spec"]["nodeName"]


def delete(kubernetes):
    return lambda pod: kubernetes.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")


def test_deleted_pods_successor_goes_on(kubernetes, run):
    job = run("deleted", opted_in())
    pod = job.move(delete(kubernetes))
    name = pod["metadata"]["name"]
    # A container like any other: exec gets into it, and its network is the new pod's.
    assert kubernetes.kubectl("exec", name, "--", BUSYBOX, "echo", "hello").strip() == "hello"
    assert pod["status"]["podIP"] in kubernetes.kubectl("exec", name, "--", BUSYBOX, "ip", "address")
    shown = kubernetes.get("pod", name)["status"]["containerStatuses"][0]
    assert shown["ready"] and shown["started"] and "running" in shown["state"], shown


def test_from_node_to_node_and_back(kubernetes, run):
    """Five times, by the eviction API."""
    job = run("moved", opted_in())
    nodes = [node_of(job.pod())]

    def drain(pod):
        kubernetes.kubectl("drain", node_of(pod), "--force", "--ignore-daemonsets", "--pod-selector", "app=moved", "--timeout=120s")

    for _ in range(5):
        try:
            pod = job.move(drain)
        finally:
            kubernetes.kubectl("uncordon", nodes[-1])
        nodes.append(node_of(pod))
    assert all(one != other for one, other in zip(nodes, nodes[1:])), nodes
    first = job.numbers(pod)[0]
    assert first > 5 * 20, "five moves, twenty numbers and more each"


def test_other_template_starts_cold(kubernetes, run):
    annotations = opted_in()
    job = run("changed", annotations)
    pod = job.pod()
    job.await_numbers(pod)
    run("changed", {**annotations, "holdfast.dev/template-hash": "two"})
    assert job.await_numbers(job.successor(pod))[0] == 1


def test_who_did_not_ask_starts_cold(kubernetes, run, store):
    job = run("plain", {})
    pod = job.pod()
    job.await_numbers(pod)
    delete(kubernetes)(pod)
    assert job.await_numbers(job.successor(pod))[0] == 1
    assert pod["metadata"]["name"] not in job.decisions()


def test_a_sick_container_does_not_come_back(kubernetes, run):
    """A failing liveness probe is the same SIGTERM: its memory is what is wrong with it."""
    probe = {"exec": {"command": [BUSYBOX, "test", "!", "-e", "/data/sick"]}, "periodSeconds": 1, "failureThreshold": 1}
    job = run("sick", opted_in(), container={"livenessProbe": probe})
    pod = job.pod()
    job.await_numbers(pod)
    name = pod["metadata"]["name"]
    kubernetes.kubectl("exec", name, "--", BUSYBOX, "touch", "/data/sick")
    wait_until(
        lambda: kubernetes.get("pod", name)["status"]["containerStatuses"][0]["restartCount"] == 1,
        lambda: f"it to be started again: {json.dumps(kubernetes.get('pod', name)['status'])}\n{job.decisions()}",
    )
    assert job.await_numbers(pod)[0] == 1
