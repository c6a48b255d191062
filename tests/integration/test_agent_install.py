"""holdfast-agent puts its handler into containerd's configuration and takes it out again: the real containerd says what it
makes of the file before and after. CRI-O is in no distribution that the tests run on: its file is read by Python's tomllib."""
import os
import pathlib
import re
import shutil
import subprocess
import tomllib

import oci
import pytest

CRI = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime"}

DEBIAN = """version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd/opt"
"""
KUBEADM = """version = 2
root = "/var/lib/containerd" # no table yet
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.example.org/pause:3.9"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "ordinary"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.ordinary]
      runtime_type = "io.containerd.runc.v2"
      base_runtime_spec = "/etc/containerd/base.json"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.ordinary.options]
        SystemdCgroup = true
        BinaryName = "/usr/local/sbin/runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
        BinaryName = "/usr/bin/nvidia-container-runtime"
        SystemdCgroup = true"""  # and no end of line
ONLY_VERSION = "version = 2"
VERSION_3 = """version = 3
imports = ["no/such.toml"]
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = true
"""


def find_containerd(major):
    named = os.environ.get("HOLDFAST_TEST_CONTAINERD_2") if major == 2 else None
    found = named or shutil.which("containerd")
    if not found:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"\bv?(\d+)\.\d+", said)
    return found if version and int(version[1]) == major else None


@pytest.fixture(params=[1, 2])
def containerd(request):
    found = find_containerd(request.param)
    if not found:
        pytest.skip(f"there is no containerd {request.param}.x")
    return found


class Node:
    """A directory with a configuration, and the agent that is let loose on it."""

    def __init__(self, agent, runtime, containerd, directory):
        self.agent, self.runtime, self.containerd, self.directory = agent, runtime, containerd, directory
        self.config = directory / "etc/config.toml"
        self.config.parent.mkdir()

    def call(self, verb, *arguments, status=0):
        options = ["--engine", "containerd", "--containerd-config", str(self.config), "--containerd", self.containerd]
        if verb == "install":
            options += ["--runtime", self.runtime]
        done = subprocess.run([self.agent, verb, *options, *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def dump(self):
        what = ["-c", str(self.config), "config", "dump"] if self.config.exists() else ["config", "default"]
        if "dump" in what and find_containerd(2) == self.containerd and "version = 2" in self.config.read_text():
            what[-1] = "migrate"  # its dump shows a file of version 2 as it is written, not as it is taken
        done = subprocess.run([self.containerd, *what], capture_output=True, text=True, check=True)
        return tomllib.loads(done.stdout)

    def files(self):
        found = {}
        for path in sorted(self.directory.rglob("*")):
            status = path.lstat()
            found[str(path)] = (oct(status.st_mode), status.st_uid, status.st_gid, path.read_bytes() if path.is_file() else None)
        return found


@pytest.fixture
def node(containerd, tmp_path):
    agent, runtime = oci.find("holdfast-agent"), oci.find("holdfast-runtime")
    if not agent or not runtime:
        pytest.skip("there is no holdfast-agent: build it")
    return Node(agent, runtime, containerd, tmp_path)


def runtimes(dump):
    for section in (CRI[3], CRI[2]):
        if section in dump["plugins"]:
            found = dump["plugins"][section].get("containerd", {}).get("runtimes")
            if found:
                return found
    return {}


def check_install(node, imported=None):
    """Installs, twice, and uninstalls, twice; containerd must see the handler and no other difference."""
    before, files = node.dump(), node.files()
    said = node.call("install", "--dry-run")
    assert node.files() == files, "a dry run changed something"
    assert "would" in said and "holdfast-runtime" in said
    assert "restarted" in node.call("install")
    after, installed = node.dump(), node.files()
    handler = runtimes(after).pop("holdfast")
    assert handler["runtime_type"] == "io.containerd.runc.v2"
    assert handler["pod_annotations"] == ["holdfast.dev/*"]
    assert handler["options"]["BinaryName"] == node.runtime
    for dump in (before, after):
        dump.pop("imports")
    assert after == before
    assert "already" in node.call("install")
    assert node.files() == installed
    where = node.call("status")
    assert str(imported or node.config) in where
    node.call("uninstall")
    assert node.files() == files
    assert "no handler" in node.call("uninstall")
    node.call("status", status=2)
    return handler


CONFIGURATIONS = {"debian": DEBIAN, "kubeadm": KUBEADM, "only a version": ONLY_VERSION, "version 3": VERSION_3, "empty": "", "a comment": "# nothing\n\n"}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_installs_and_uninstalls(node, name):
    node.config.write_text(CONFIGURATIONS[name])
    node.config.chmod(0o640)
    if name == "version 3" and find_containerd(1) == node.containerd:
        files = node.files()
        assert "would not have the handler" in node.call("install", status=1)
        assert node.files() == files
        return
    check_install(node)


def test_what_the_default_handler_has_is_taken_over(node):
    """Without its cgroup driver no pod would start where the kubelet uses systemd's."""
    node.config.write_text(KUBEADM)
    said = node.call("install", "--dry-run")
    assert "/usr/local/sbin/runc" in said and "runtime.conf" in said, "the default handler's own runc is not told of"
    handler = check_install(node)
    assert handler["options"]["SystemdCgroup"] is True
    assert handler["base_runtime_spec"] == "/etc/containerd/base.json"


def test_no_configuration_at_all(node):
    check_install(node)
    node.config.parent.rmdir()
    node.call("install")
    assert "holdfast" in runtimes(node.dump())
    node.call("uninstall")
    assert list(node.directory.iterdir()) == []


def test_a_directory_of_imported_files(node):
    """containerd 2 merges them; what 1.x would make of the rest of the configuration must not happen."""
    merges = find_containerd(2) == node.containerd
    imported = node.config.parent / "conf.d/90-holdfast.toml"
    node.config.write_text('imports = ["conf.d/*.toml"]\n' + DEBIAN)
    check_install(node, imported if merges else None)
    (node.config.parent / "conf.d").mkdir()
    (node.config.parent / "conf.d/50-other.toml").write_text('version = 2\n[plugins."io.containerd.internal.v1.opt"]\npath = "/other"\n')
    check_install(node, imported if merges else None)


def test_a_change_by_others_meanwhile_stays(node):
    node.config.write_text(DEBIAN)
    node.call("install")
    node.config.write_text("# mine\n" + node.config.read_text() + "\n[debug]\nlevel = \"info\"\n")
    said = node.call("uninstall")
    assert node.config.read_text() == "# mine\n" + DEBIAN + "\n[debug]\nlevel = \"info\"\n"
    assert "before-holdfast" in said


def test_a_secret_configuration_stays_secret(node):
    node.config.write_text(DEBIAN)
    node.config.chmod(0o600)
    node.call("install")
    backups = list(node.config.parent.glob("*.before-holdfast"))
    assert [each.stat().st_mode & 0o777 for each in [node.config, *backups]] == [0o600, 0o600]
    node.call("uninstall")
    assert node.config.stat().st_mode & 0o777 == 0o600


def test_a_moved_runtime_is_put_right(node, tmp_path):
    node.config.write_text(DEBIAN)
    node.call("install")
    moved = tmp_path / 'a "quoted\\ name'
    shutil.copy(node.runtime, moved)
    node.runtime = str(moved)
    node.call("install")
    assert runtimes(node.dump())["holdfast"]["options"]["BinaryName"] == str(moved)
    assert node.config.read_text().count(">>> holdfast-agent") == 1
    node.call("uninstall")
    assert node.config.read_text() == DEBIAN


def test_a_configuration_behind_a_link(node):
    real = node.directory / "real.toml"
    real.write_text(DEBIAN)
    node.config.symlink_to(real)
    check_install(node)
    assert node.config.is_symlink()


REFUSED = {
    "another's handler": (DEBIAN + '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.holdfast]\nruntime_type = "io.containerd.runc.v2"\n', "already"),
    "version 1": ('root = "/x"\n[plugins.cri]\n', "version 1"),
    "no TOML": ("version = 2\n[plugins\n", "containerd cannot read"),
    "no value": ("version = \n", "not understood"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_and_changes_nothing(node, name):
    node.config.write_text(REFUSED[name][0])
    files = node.files()
    said = node.call("install", status=1)
    assert REFUSED[name][1] in said
    assert node.files() == files


def test_another_name(node):
    node.config.write_text(REFUSED["another's handler"][0])
    node.call("install", "--handler", "hot-restart")
    assert {"holdfast", "hot-restart"} <= set(runtimes(node.dump()))
    node.call("install", "--handler", "Not A Name", status=64)


def test_cri_that_is_turned_off_is_told(node):
    node.config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    assert "CRI off" in node.call("install", status=1)


def test_no_containerd_to_ask(node):
    node.config.write_text(DEBIAN)
    node.containerd = "/no/such/containerd"
    node.call("install", status=1)
    assert node.config.read_text() == DEBIAN


def test_crio(node):
    directory = node.directory / "crio/crio.conf.d"

    def call(verb, *arguments, status=0):
        runtime = ["--runtime", node.runtime] if verb == "install" else []
        done = subprocess.run(
            [node.agent, verb, "--engine", "crio", "--crio-directory", str(directory), *runtime, *arguments],
            capture_output=True, text=True, check=False, timeout=60,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    (node.directory / "crio").mkdir()
    files = node.files()
    call("install", "--dry-run")
    assert node.files() == files
    call("install")
    handler = tomllib.loads((directory / "90-holdfast.conf").read_text())["crio"]["runtime"]["runtimes"]["holdfast"]
    assert handler["runtime_path"] == node.runtime and handler["runtime_type"] == "oci"
    assert "already" in call("install")
    assert "90-holdfast.conf" in call("status")
    call("uninstall")
    assert node.files() == files
    directory.mkdir()
    (directory / "90-holdfast.conf").write_text("# somebody else's\n")
    assert "not ours" in call("install", status=1)


def test_it_says_how_it_is_used():
    agent = oci.find("holdfast-agent")
    if not agent:
        pytest.skip("there is no holdfast-agent: build it")
    done = subprocess.run([agent, "install", "--help"], capture_output=True, text=True, check=True)
    assert "--dry-run" in done.stdout and "--containerd-config" in done.stdout
    assert subprocess.run([agent], capture_output=True, check=False).returncode == 64
    assert subprocess.run([agent, "frobnicate"], capture_output=True, check=False).returncode == 64
    assert pathlib.Path(agent).name in subprocess.run([agent, "--version"], capture_output=True, text=True, check=True).stdout
