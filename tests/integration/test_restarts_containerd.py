"""The real containerd and its shim: a container that it stops goes on as another container that it makes."""
import json
import uuid

import containers
import pytest
from test_runtime_containerd import containerd, wrapper  # noqa: F401

CYCLES = 5


class Moved:
    """One container after the other of one identity, each with a root file system and a log of its own."""

    def __init__(self, containerd, wrapper, holdfast, programs):  # noqa: F811
        self.containerd, self.wrapper, self.holdfast, self.programs = containerd, wrapper, holdfast, programs
        self.directory = containerd.directory
        settings = f"log = {self.directory}/decisions\nstore = {holdfast.store}\nholdfast = {holdfast.binary}\n"
        (self.directory / "runtime.conf").write_text(settings)
        self.owner = str(uuid.uuid4())

    def run(self, name):
        annotations = {
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.container-name": "main",
            "io.kubernetes.cri.sandbox-name": name,
            "io.kubernetes.cri.sandbox-namespace": "ml",
            "io.kubernetes.cri.sandbox-uid": str(uuid.uuid4()),
            "holdfast.dev/owner-uid": self.owner,
            "holdfast.dev/template-hash": "5d9c",
            "holdfast.dev/slot": "0",
            "holdfast.dev/checkpoint": "true",
        }
        self.log = self.directory / f"{uuid.uuid4().hex}.log"
        rootfs = containers.Bundle(self.holdfast, self.programs, ("counts_aloud",)).rootfs
        words = [word for key, value in annotations.items() for word in ("--annotation", f"{key}={value}")]
        self.containerd.ok(
            "run", "--detach", "--rootfs", "--runc-binary", self.wrapper, "--runc-root", f"{self.directory}/runc",
            "--cgroup", f"/{self.directory.name}-{name}", "--log-uri", f"file://{self.log}", *words, str(rootfs), name, "/bin/counts_aloud", "/work", "40",
        )  # fmt: skip

    def counted(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith("out ")]

    def wait_counts(self):
        self.containerd.wait(lambda: len(self.counted()) >= 5, "count")
        return self.counted()

    def stop(self, name, signal):
        self.containerd.ok("tasks", "kill", "--signal", signal, name)
        self.containerd.wait(lambda: self.containerd.task(name) == "STOPPED", "end of the container")
        done = self.containerd.ctr("tasks", "delete", name)
        assert "exit code 137" in done.stderr, done
        self.containerd.ok("containers", "delete", name)

    def decisions(self):
        return [json.loads(line) for line in (self.directory / "decisions/decisions.log").read_text().splitlines()]


@pytest.fixture
def moved(containerd, wrapper, holdfast, programs):  # noqa: F811
    return Moved(containerd, wrapper, holdfast, programs)


def test_it_goes_on_as_another_container(moved, containerd):  # noqa: F811
    moved.run("c1")
    assert moved.wait_counts()[0] == 1
    for cycle in range(CYCLES):
        moved.stop(f"c{1 + cycle % 2}", "SIGTERM")
        last = moved.counted()[-1]
        name = f"c{1 + (cycle + 1) % 2}"
        moved.run(name)
        assert moved.wait_counts()[0] == last + 1, moved.decisions()
        assert containerd.task(name) == "RUNNING"
        assert "hello" in containerd.ok("tasks", "exec", "--exec-id", "e", name, "/bin/echo", "hello")
    moved.stop(name, "SIGKILL")
    assert [line["did"] for line in moved.decisions() if line["verb"] == "create"] == ["passed through"] + ["done"] * CYCLES
