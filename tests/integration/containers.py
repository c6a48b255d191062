"""Containers of runc, with programs of tests/programs in them: one root file system each, made of busybox, the program
and the libraries that it needs."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import uuid

import harness
import pytest
import world
from world import wait_until

BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "cat", "echo", "sleep", "ls", "true", "touch", "rm")


def require():
    if not shutil.which("runc", path=with_sbin()["PATH"]):
        pytest.skip("there is no runc")
    dynamic = subprocess.run(["ldd", BUSYBOX], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if not os.path.exists(BUSYBOX) or dynamic.returncode == 0:
        pytest.skip("there is no static busybox")


def libraries(program):
    lines = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    words = [word for line in lines for word in line.split() if word.startswith("/")]
    return [pathlib.Path(word) for word in words]


class Bundle:
    """A directory for `runc run --bundle`. The program finds DIRECTORY of its command line at /work."""

    def __init__(self, holdfast, programs, command, *, mounts=(), network="new", terminal=False, user=0, overlay=False):
        self.path = holdfast.directory / f"bundle-{uuid.uuid4().hex[:6]}"
        self.rootfs = self.path / "rootfs"
        self.work = self.rootfs / "work"
        self.rootfs.mkdir(parents=True)
        if overlay:
            for name in ("lower", "upper", "workdir"):
                (self.path / name).mkdir()
            layers = f"lowerdir={self.path}/lower,upperdir={self.path}/upper,workdir={self.path}/workdir"
            made = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.rootfs], check=False)
            if made.returncode != 0:
                pytest.skip("overlayfs cannot be mounted here")
            holdfast.cleanups.callback(subprocess.run, ["umount", self.rootfs], check=False)
        for name in ("bin", "proc", "dev", "sys", "tmp", "data", "host", "work"):
            (self.rootfs / name).mkdir()
        self.work.chmod(0o777)
        shutil.copy(BUSYBOX, self.rootfs / "bin/busybox")
        for applet in APPLETS:
            (self.rootfs / "bin" / applet).symlink_to("busybox")
        program = programs / command[0]
        if "/" not in command[0]:
            shutil.copy(program, self.rootfs / "bin" / command[0])
            for library in libraries(program):
                target = self.rootfs / str(library).lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, target)
            command = (f"/bin/{command[0]}", "/work", *command[1:])
        subprocess.run(["runc", "spec"], cwd=self.path, check=True, env=with_sbin())
        config = json.loads((self.path / "config.json").read_text())
        config["root"]["readonly"] = False
        config["process"]["terminal"] = terminal
        config["process"]["user"] = {"uid": user, "gid": user}
        config["process"]["args"] = [str(word) for word in command]
        config["process"]["env"] += [f"{harness.MARK}={holdfast.mark}"]
        config["mounts"] += [
            {"destination": inside, "source": str(outside), "type": "bind", "options": ["rbind", "rw"]}
            for outside, inside in mounts
        ]
        if network == "machine":
            config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "network"]
        (self.path / "config.json").write_text(json.dumps(config))


def with_sbin():
    return {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


class Runc:
    """runc with a state directory of the test's own."""

    def __init__(self, holdfast):
        self.holdfast = holdfast
        self.root = holdfast.directory / "runc"
        self.ids = []
        holdfast.cleanups.callback(self.remove_all)

    def run(self, *arguments, **options):
        return subprocess.run(
            ["runc", "--root", str(self.root), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            check=False,
            timeout=world.HANG_GUARD_S,
            env=with_sbin(),
            **options,
        )

    def ok(self, *arguments, **options):
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"runc {arguments}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stdout

    def new_id(self):
        self.ids.append(f"hf-test-{uuid.uuid4().hex[:10]}")
        return self.ids[-1]

    def start(self, bundle, container=None, output=None):
        """`runc run --detach` with /dev/null as its streams, or with this descriptor as stdout and stderr."""
        container = container or self.new_id()
        stream = subprocess.DEVNULL if output is None else output
        self.ok("run", "--detach", "--bundle", bundle.path, container, stdout=stream, stderr=stream)
        return container

    def state(self, container):
        return json.loads(self.ok("state", container))

    def names(self):
        return [one["id"] for one in json.loads(self.ok("list", "--format", "json")) or []]

    def kill(self, container):
        """To its end, and out of runc's list."""
        self.run("kill", container, "KILL")
        wait_until(lambda: self.state(container)["status"] == "stopped", f"{container} to end")
        self.ok("delete", container)

    def remove_all(self):
        for container in self.ids:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.run("delete", "--force", container)


class ContainerSubject(harness.Subject):
    """A program of tests/programs in a container."""

    def __init__(self, holdfast, runc, programs, *command, **options):
        self.holdfast, self.runc, self.programs = holdfast, runc, programs
        self.command, self.options = command, options
        self.name = f"{command[0]}-{uuid.uuid4().hex[:6]}"
        self.use(self.make_bundle())
        self.pid = self.supervisor = self.container = None

    def make_bundle(self):
        return Bundle(self.holdfast, self.programs, self.command, **self.options)

    def use(self, bundle):
        self.bundle = bundle
        self.directory = bundle.work

    def start(self, output=None):
        self.container = self.runc.start(self.bundle, output=output)
        self.pid = self.runc.state(self.container)["pid"]
        return self

    def spawn(self, output=None):
        self.start(output)
        self.wait_ready()
        return self

    def checkpoint(self, *options, **rest):
        target = ("--container", self.container, "--runc-root", self.runc.root)
        return self.holdfast.checkpoint(*target, "--name", self.name, *options, **rest)

    def kill(self):
        supervised = [self.supervisor] if self.supervisor else []
        self.runc.kill(self.container)
        wait_until(lambda: not any(map(world.is_alive, supervised)), "the supervisor to end")

    def resume(self, version=None, *options, bundle=None, **rest):
        """As a new container, with a new root file system."""
        self.use(bundle or self.make_bundle())
        self.container = self.runc.new_id()
        where = ("--container", self.container, "--bundle", self.bundle.path, "--runc-root", self.runc.root)
        report = self.holdfast.resume(f"{self.name}@{version}" if version else self.name, *where, *options, **rest)
        self.pid, self.supervisor = report["pid"], report["supervisor_pid"]
        return report

    def execute(self, *command):
        """`runc exec`: what it wrote."""
        return self.runc.ok("exec", self.container, *command)
