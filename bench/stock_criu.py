"""Stock CRIU on the same program: the same binary that Holdfast uses, without Holdfast's plugin and library."""
import pathlib
import shutil
import subprocess
import time

import criu_stats
import processes
from processes import Failed


def listens(name):
    """Whether somebody accepts connections on a Unix socket that was bound by this relative name."""
    accepts = "00010000"  # __SO_ACCEPTCON
    rows = (line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:])
    return any(len(row) == 8 and row[7] == name and row[3] == accepts for row in rows)


class StockCriu:
    def __init__(self, program, directory):
        self.program, self.images = program, pathlib.Path(directory, "stock-images")
        out = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        self.version = next((line.split()[-1] for line in out.splitlines() if line.startswith("Version")), "?")

    def run(self, action, *arguments):
        """Wall ms."""
        command = [self.program, action, "--images-dir", str(self.images), "--log-file", "criu.log", "-v1", *arguments]
        start = time.monotonic()
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        wall_ms = (time.monotonic() - start) * 1000
        if result.returncode != 0:
            log = pathlib.Path(self.images, "criu.log").read_text(errors="replace")
            raise Failed(f"criu {action} failed:\n" + "\n".join(log.splitlines()[-5:]))
        return wall_ms

    def dump(self, pid):
        """Into fresh images; the tree runs on."""
        self.remove_images()
        self.images.mkdir()
        wall_ms = self.run("dump", "--tree", str(pid), "--leave-running")
        stats = criu_stats.read(self.images / "stats-dump")
        return {
            "freeze_ms": stats["freezing_ms"] + stats["frozen_ms"],
            "wall_ms": wall_ms,
            "bytes_stored": sum(path.stat().st_size for path in self.images.glob("*.img")),
        }

    def restore(self):
        return {"wall_ms": self.run("restore", "--restore-detached")}

    def restore_lazily(self):
        """With its own daemon, which serves the pages from the images and ends when it has served all."""
        arguments = ["--images-dir", str(self.images), "--log-file", "lazy-pages.log", "-v1"]
        pathlib.Path(self.images, "lazy-pages.socket").unlink(missing_ok=True)
        start = time.monotonic()
        daemon = subprocess.Popen(
            [self.program, "lazy-pages", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            processes.wait_until(lambda: daemon.poll() is not None or listens("lazy-pages.socket"), "criu lazy-pages")
            self.run("restore", "--restore-detached", "--lazy-pages")
        except Failed as error:
            daemon.kill()
            daemon.wait()
            log = pathlib.Path(self.images, "lazy-pages.log")
            raise Failed(f"{error}; its lazy-pages daemon: {log.read_text(errors='replace')[-500:] if log.exists() else ''}") from None
        return {"wall_ms": (time.monotonic() - start) * 1000}, daemon

    def remove_images(self):
        shutil.rmtree(self.images, ignore_errors=True)
