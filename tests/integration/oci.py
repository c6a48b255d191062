"""Bundles of a busybox container, and OCI runtimes to run them with: each test has a --root and cgroups of its own, and
what it leaves is killed and deleted by the real runtime."""
import array
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import uuid

import harness

NAMESPACES = ("pid", "ipc", "uts", "mount", "network")
SECONDS_MAX = 60
# crun 1.8 refuses cgroup v1 where a v2 hierarchy beside it has controllers (libcrun's cgroup-utils.c): for it, that is not
# mounted. Each of these becomes the next one by exec, so that the process stays the one that was started.
APART = ("unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified; exec "$@"', "sh")


def is_hybrid():
    controllers = pathlib.Path("/sys/fs/cgroup/unified/cgroup.controllers")
    return controllers.exists() and controllers.read_text().strip() != ""


def find(program):
    """One of the programs that are installed beside holdfast, or built in $HOLDFAST_BUILD."""
    candidates = []
    if harness.find_binary():
        candidates.append(pathlib.Path(harness.find_binary()).parent / program)
    if os.environ.get("HOLDFAST_BUILD"):
        candidates += pathlib.Path(os.environ["HOLDFAST_BUILD"]).glob(f"src/*/{program}")
    return next((str(path) for path in candidates if path.exists()), None)


class Answer:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __eq__(self, other):
        return self.shown() == other.shown()

    def shown(self):
        return self.status, without_chance(self.out), without_chance(self.err)

    def __repr__(self):
        return repr(self.shown())


def without_chance(text):
    """What two runs of the same need not have in common: times, process ids, the width of columns."""
    text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z|[+-][\d:]+)?( [+-]\d{4} UTC)?", "TIME", text)
    text = re.sub(r'"pid": ?\d+', '"pid": PID', text)
    text = re.sub(r" {2,}", "  ", text)  # columns are as wide as they need to be
    return re.sub(r"\b\d{2,7}\b", "N", text)


class Containers:
    """A directory with a root file system, a state root, and the runtimes' ids."""

    def __init__(self, real):
        self.real = real
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-test-oci-", dir=os.environ.get("HOLDFAST_TEST_DIRECTORY", "/var/tmp")))
        self.state = self.directory / "state"
        self.name = f"holdfast-test-{uuid.uuid4().hex[:12]}"
        self.ids = set()
        self.before = APART if os.path.basename(real) == "crun" and is_hybrid() else ()
        self.rootfs = self.directory / "rootfs"
        for folder in ("bin", "proc", "dev", "sys", "tmp"):
            (self.rootfs / folder).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), self.rootfs / "bin/busybox")
        for applet in ("sh", "sleep", "cat", "echo", "kill", "true", "tty", "env"):
            (self.rootfs / "bin" / applet).symlink_to("busybox")

    def bundle(self, script, annotations=None, terminal=False, name="bundle"):
        folder = self.directory / name
        folder.mkdir(exist_ok=True)
        config = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": terminal,
                "user": {"uid": 0, "gid": 0},
                "args": ["/bin/sh", "-c", script],
                "env": ["PATH=/bin", "TERM=dumb"],
                "cwd": "/",
            },
            "root": {"path": str(self.rootfs), "readonly": True},
            "hostname": "box",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            ],
            "annotations": annotations or {},
            "linux": {"cgroupsPath": f"/{self.name}", "namespaces": [{"type": each} for each in NAMESPACES]},
        }
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder)

    def command(self, program, *verb):
        return [*self.before, program, "--root", str(self.state), *verb]

    def run(self, program, *verb, env=None, stdin=subprocess.DEVNULL):
        """Output through files: a container that is created goes on holding them."""
        if "create" in verb or "run" in verb:
            self.ids.add(verb[-1])
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.run(
                self.command(program, *verb), stdin=stdin, stdout=out, stderr=err, env=env, timeout=SECONDS_MAX, check=False,
            )
            answers = []
            for file in (out, err):
                file.seek(0)
                answers.append(file.read().decode(errors="replace"))
        return Answer(process.returncode, *answers)

    def clean_up(self):
        for container in self.ids:
            subprocess.run(self.command(self.real, "delete", "--force", container), capture_output=True, check=False, timeout=SECONDS_MAX)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def console(directory):
    """A console socket, and the list in which the terminal's descriptor will be (runc's docs/terminals.md)."""
    path = os.path.join(directory, "console")
    received = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen(1)
        server.settimeout(SECONDS_MAX)

        def accept():
            connection, _ = server.accept()
            with connection:
                _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_LEN(array.array("i").itemsize))
                for _, _, data in ancillary:
                    received.extend(array.array("i", data[: array.array("i").itemsize]))

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield path, received, thread
        finally:
            thread.join()
            for descriptor in received:
                os.close(descriptor)
            os.unlink(path)
