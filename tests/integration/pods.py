"""A node without Kubernetes: what a container engine's shim does for the containers of pods, done through
holdfast-runtime. The test's own process is the subreaper that a shim is."""
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import threading
import uuid

import containers
import harness
import oci
import pytest
import world
from world import wait_until

PR_SET_CHILD_SUBREAPER = 36
KILLED = 137


def subreaper(on):
    assert ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0) == 0


class Lines:
    """All that comes out of a pipe, read at once as it comes."""

    def __init__(self):
        read, self.write = os.pipe()
        self.stream = os.fdopen(read, "r", errors="replace")
        self.lines = []
        self.thread = threading.Thread(target=self.read_all, daemon=True)
        self.thread.start()

    def read_all(self):
        for line in self.stream:
            self.lines.append(line.rstrip("\n"))

    def close_write(self):
        os.close(self.write)

    def numbers(self, word):
        assert all(line.startswith(f"{word} ") for line in self.lines), self.lines
        return [int(line.split()[1]) for line in list(self.lines)]

    def to_the_end(self):
        self.thread.join(world.HANG_GUARD_S)
        assert not self.thread.is_alive(), "somebody keeps the container's streams open"


class Pod:
    """A pod of a controller with one container: counts_aloud, or another program of tests/programs."""

    def __init__(self, node, *arguments, template="5d9c", slot="0", program="counts_aloud", opted_in=True, **annotations):
        self.node = node
        self.id = node.new_id()
        self.bundle = containers.Bundle(node.holdfast, node.programs, (program, *map(str, arguments)))
        self.pid_file = self.bundle.path / "pid"
        path = self.bundle.path / "config.json"
        config = json.loads(path.read_text())
        config["annotations"] = {
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.container-name": "main",
            "io.kubernetes.cri.sandbox-name": "train-0",
            "io.kubernetes.cri.sandbox-namespace": "ml",
            "io.kubernetes.cri.sandbox-uid": str(uuid.uuid4()),
            "holdfast.dev/owner-uid": node.owner,
            "holdfast.dev/template-hash": template,
            "holdfast.dev/slot": slot,
            **({"holdfast.dev/checkpoint": "true"} if opted_in else {}),
            **annotations,
        }
        self.uid = config["annotations"]["io.kubernetes.cri.sandbox-uid"]
        path.write_text(json.dumps(config))
        self.out, self.err = Lines(), Lines()
        self.pid = None

    def create_words(self):
        log = self.bundle.path / "log.json"
        return "--log", log, "--log-format", "json", "create", "--bundle", self.bundle.path, "--pid-file", self.pid_file, self.id

    def create(self):
        """Like the shim: its pipes are the container's from here on. The log's line about it."""
        done = self.node.runtime(*self.create_words(), stdout=self.out.write, stderr=self.err.write)
        self.close_writes()
        log = self.bundle.path / "log.json"
        assert done.returncode == 0, log.read_text() if log.exists() else done
        self.pid = int(self.pid_file.read_text())
        return self.node.decisions()[-1] if self.node.decisions() else None

    def start_create(self):
        process = self.node.start_runtime(*self.create_words(), stdout=self.out.write, stderr=self.err.write)
        self.close_writes()
        return process

    def close_writes(self):
        self.out.close_write()
        self.err.close_write()

    def verb(self, *words):
        return self.node.runtime(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ok(self, *words):
        done = self.verb(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}"
        return done.stdout

    def start(self):
        self.ok("start", self.id)
        return self

    def run(self):
        self.create()
        return self.start()

    def state(self):
        return json.loads(self.ok("state", self.id))["status"]

    def wait_counts(self, count=5):
        wait_until(lambda: len(self.out.lines) >= count and len(self.err.lines) >= count, lambda: f"{self.id} to count: {self.out.lines} {self.err.lines} {self.bad()}")
        return self.out.numbers("out")

    def bad(self):
        return [path.read_text() for path in self.bundle.work.glob("bad")]

    def rounds(self):
        """How often it has found itself right."""
        assert not self.bad()
        with contextlib.suppress(FileNotFoundError):
            words = (self.bundle.work / "verdict").read_text().split()
            return int(words[1]) if words[:1] == ["ok"] else 0
        return 0

    def kill(self, signal="TERM"):
        self.ok("kill", self.id, signal)
        return self.node.decisions()[-1]

    def exit_status(self):
        """As a shim learns it: from its child."""
        deadline = {}

        def ended():
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            deadline["status"] = status
            return pid == self.pid

        wait_until(ended, f"{self.id} to end")
        code = os.waitstatus_to_exitcode(deadline["status"])
        self.out.to_the_end()
        self.err.to_the_end()
        return 128 - code if code < 0 else code

    def delete(self):
        self.ok("delete", self.id)


class Node:
    def __init__(self, holdfast, programs, wrapper):
        self.holdfast, self.programs, self.wrapper = holdfast, programs, wrapper
        self.directory = holdfast.directory
        self.root = self.directory / "runc"
        self.log = self.directory / "log"
        self.owner = str(uuid.uuid4())
        self.ids = []
        self.configure()

    def configure(self, **settings):
        self.settings = {"runc": shutil.which("runc", path=containers.with_sbin()["PATH"]), "log": self.log, "store": self.holdfast.store, "holdfast": self.holdfast.binary, **settings}
        (self.directory / "runtime.conf").write_text("".join(f"{key} = {value}\n" for key, value in self.settings.items()))

    def new_id(self):
        self.ids.append(f"hf-test-{uuid.uuid4().hex[:10]}")
        return self.ids[-1]

    def command(self, words, program=None):
        environment = {**containers.with_sbin(), harness.MARK: self.holdfast.mark, "HOLDFAST_RUNTIME_CONF": str(self.directory / "runtime.conf")}
        return {"args": [program or self.wrapper, "--root", str(self.root), *map(str, words)], "stdin": subprocess.DEVNULL, "env": environment}

    def runtime(self, *words, program=None, **options):
        return subprocess.run(**self.command(words, program), timeout=world.HANG_GUARD_S, check=False, text=True, **options)

    def start_runtime(self, *words, **options):
        process = subprocess.Popen(**self.command(words), **options)
        self.holdfast.popens.append(process)
        return process

    def decisions(self):
        path = self.log / "decisions.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def lease_versions(self):
        """Of the one identity that there is, by number."""
        files = [path for path in (self.holdfast.store / "leases").rglob("*") if path.is_file() and path.name.isdigit()]
        assert len({path.parent for path in files}) == 1, files
        return sorted(files, key=lambda path: int(path.name))

    def lease(self):
        """Who wrote a version removes those before it."""
        while True:
            with contextlib.suppress(FileNotFoundError):
                return json.loads(self.lease_versions()[-1].read_text())

    def write_lease(self, record):
        newest = self.lease_versions()[-1]
        (newest.parent / f"{int(newest.name) + 1:020}").write_text(json.dumps(record))

    def keepers(self):
        return [pid for pid in self.holdfast.ours() if world.read_status(pid).name == "holdfast-keeper"]

    def snapshots(self):
        """Names of the manifests in the store."""
        return sorted(path.name for path in self.holdfast.store.rglob("*.manifest"))

    def remove_all(self):
        real = self.settings["runc"]
        for container in self.ids:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.runtime("delete", "--force", container, program=real, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for status in world.all_processes():  # our adopted children, which a shim would collect
            if status.parent == os.getpid() and status.zombie and not any(one.pid == status.pid for one in self.holdfast.popens):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(status.pid, 0)


@contextlib.contextmanager
def node(holdfast, programs):
    containers.require()
    wrapper = oci.find("holdfast-runtime")
    if not wrapper:
        pytest.skip("there is no holdfast-runtime: build it")
    made = Node(holdfast, programs, wrapper)
    subreaper(True)
    try:
        yield made
    finally:
        made.remove_all()
        subreaper(False)
