"""The real containerd and its shim, with holdfast-runtime as the runtime of a container. containerd is the test's own: its
directories, its socket; Debian's service is not touched."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import oci
import pytest

SECONDS_MAX = 60
CONFIG = """version = 2
root = "{here}/root"
state = "{here}/state"
oom_score = 0
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{here}/containerd.sock"
"""


WITH_CRI = """version = 2
root = "{here}/root"
state = "{here}/state"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{here}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{here}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{here}/cni/bin"
    conf_dir = "{here}/cni"
"""


class Containerd:
    def __init__(self, directory, config=CONFIG, before_start=lambda path: None):
        self.directory = directory
        self.socket = directory / "containerd.sock"
        (directory / "config.toml").write_text(config.format(here=directory))
        before_start(directory / "config.toml")
        (directory / "runtime.conf").write_text(f"log = {directory}/decisions\n")
        # The shim hands its environment on to the runtime.
        environment = {**os.environ, "HOLDFAST_RUNTIME_CONF": str(directory / "runtime.conf")}
        with open(directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["containerd", "-c", str(directory / "config.toml")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        self.wait(lambda: self.ctr("version").returncode == 0, "containerd")

    def wait(self, condition, what):
        deadline = time.monotonic() + SECONDS_MAX
        while not condition():
            assert time.monotonic() < deadline, f"no {what} in {SECONDS_MAX} s"
            assert self.process.poll() is None, (self.directory / "log").read_text()
            time.sleep(0.05)

    def ctr(self, *arguments):
        command = ["ctr", "--address", str(self.socket), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX, stdin=subprocess.DEVNULL)

    def ok(self, *arguments):
        done = self.ctr(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def task(self, name):
        """Its state, "RUNNING" or "STOPPED"; None: there is none."""
        for line in self.ok("tasks", "list").splitlines()[1:]:
            if line.split()[0] == name:
                return line.split()[2]
        return None

    def shims(self):
        """The pids of ours: they have our socket in their arguments."""
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if str(self.socket).encode() in (process / "cmdline").read_bytes() and b"containerd-shim" in (process / "cmdline").read_bytes():
                    yield int(process.name)
            except OSError:
                pass

    def clean_up(self):
        for name in ("c1", "c2"):
            self.ctr("tasks", "kill", "--all", "--signal", "SIGKILL", name)
            self.ctr("tasks", "delete", "--force", name)
            self.ctr("containers", "delete", name)
        for pid in self.shims():
            os.kill(pid, signal.SIGKILL)
        self.process.terminate()
        self.process.wait(timeout=SECONDS_MAX)
        mounts = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
        for point in sorted((each for each in mounts if each.startswith(str(self.directory))), reverse=True):
            subprocess.run(["umount", point], check=False)


@pytest.fixture
def wrapper():
    if os.geteuid() != 0:
        pytest.skip("containers need root here")
    for program in ("containerd", "ctr", "runc", "busybox"):
        if not shutil.which(program):
            pytest.skip(f"there is no {program}")
    found = oci.find("holdfast-runtime")
    if not found:
        pytest.skip("there is no holdfast-runtime: build it")
    return found


@pytest.fixture
def containerd(wrapper):
    # For its root file system, and a directory on a disk: overlay needs one.
    bundles = oci.Containers(shutil.which("runc"))
    made = None
    try:
        made = Containerd(bundles.directory)
        made.rootfs = str(bundles.rootfs)
        yield made
    finally:
        if made:
            made.clean_up()
        bundles.clean_up()


def run(containerd, wrapper, name, script, *options):
    cgroup = f"/{containerd.directory.name}-{name}"
    containerd.ok(
        "run", "--detach", "--rootfs", "--runc-binary", wrapper, "--runc-root", f"{containerd.directory}/runc", "--cgroup", cgroup,
        *options, containerd.rootfs, name, "/bin/sh", "-c", script,
    )  # fmt: skip


def test_a_container_of_containerd(containerd, wrapper):
    run(containerd, wrapper, "c1", "trap 'exit 7' TERM; sleep 1000 & wait", "--annotation", "holdfast.dev/checkpoint=true")
    run(containerd, wrapper, "c2", "sleep 1000")
    assert containerd.task("c1") == containerd.task("c2") == "RUNNING"
    assert "hello" in containerd.ok("tasks", "exec", "--exec-id", "e", "c1", "/bin/echo", "hello")
    assert containerd.ctr("tasks", "exec", "--exec-id", "f", "c1", "/bin/sh", "-c", "exit 9").returncode == 9
    containerd.ok("tasks", "pause", "c2")
    assert containerd.task("c2") == "PAUSED"
    containerd.ok("tasks", "resume", "c2")
    containerd.ok("tasks", "kill", "--signal", "SIGTERM", "c1")
    containerd.wait(lambda: containerd.task("c1") == "STOPPED", "end of the container")
    assert "exit code 7" in containerd.ctr("tasks", "delete", "c1").stderr, "the exit status of the container"
    containerd.ok("containers", "delete", "c1")
    containerd.ok("tasks", "kill", "--signal", "SIGKILL", "c2")
    containerd.wait(lambda: containerd.task("c2") == "STOPPED", "end of the container")
    assert "exit code 137" in containerd.ctr("tasks", "delete", "c2").stderr
    lines = [json.loads(line) for line in (containerd.directory / "decisions/decisions.log").read_text().splitlines()]
    assert [(line["verb"], line["id"], line["verdict"]) for line in lines] == [("create", "c1", "takes"), ("kill", "c1", "takes")]


def test_a_create_that_fails_says_why(containerd, wrapper):
    """The engine finds the runtime's reason in the log that it named."""
    done = containerd.ctr("run", "--detach", "--rootfs", "--runc-binary", wrapper, "--cgroup", f"/{containerd.directory.name}", containerd.rootfs, "c1", "/no/such/program")
    assert done.returncode != 0 and "no such file or directory" in done.stderr


def test_it_starts_with_what_the_agent_installed(wrapper, tmp_path):
    """A CRI that does not like its configuration takes the node out of the cluster."""
    agent = oci.find("holdfast-agent")
    if not agent:
        pytest.skip("there is no holdfast-agent: build it")

    def install(path):
        subprocess.run([agent, "install", "--engine", "containerd", "--containerd-config", str(path), "--runtime", wrapper], check=True)

    made = Containerd(tmp_path, WITH_CRI, install)
    try:
        made.wait(lambda: "cri" in made.ok("plugins", "list"), "list of plugins")
        row = next(line.split() for line in made.ok("plugins", "list").splitlines() if line.split()[1:2] == ["cri"])
        assert row[-1] == "ok", (tmp_path / "log").read_text()
        log = (tmp_path / "log").read_text()
        assert wrapper in log and "pod_annotations" in log.replace("PodAnnotations", "pod_annotations"), "the CRI started without the handler"
    finally:
        made.clean_up()
