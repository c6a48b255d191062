"""Holdfast as its user runs it: one command, timed from outside, and the figures that it reports itself."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import time

import processes
from processes import Failed

JOB = "bench"


def find():
    program = os.environ.get("HOLDFAST") or shutil.which("holdfast")
    if not program or not os.access(program, os.X_OK):
        raise Failed("there is no holdfast in PATH, and HOLDFAST names none; ./quickstart.sh installs it")
    return program


class Holdfast:
    """Requires: `directory` is the bench's own; stores are made and removed in it."""

    def __init__(self, program, directory):
        self.program, self.directory = program, pathlib.Path(directory)
        self.version = self.run("--version")[0].split()[-1]
        # What every command takes before it does anything: no part of a drain.
        self.startup_ms = statistics.median(self.run("--version")[1] for _ in range(5))

    def run(self, *arguments, store=None):
        """(stdout, wall ms)"""
        environment = dict(os.environ)
        if store:
            environment["HOLDFAST_STORE"] = str(store)
        start = time.monotonic()
        result = subprocess.run(
            [self.program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
        wall_ms = (time.monotonic() - start) * 1000
        if result.returncode != 0:
            raise Failed(f"holdfast {' '.join(arguments)}: {(result.stdout + result.stderr).strip()[-2000:]}")
        return result.stdout, wall_ms

    def ask(self, *arguments, store=None):
        """(JSON, wall ms)"""
        out, wall_ms = self.run(*arguments, "--json", store=store)
        return json.loads(out), wall_ms

    def criu_path(self):
        path = self.ask("doctor")[0]["criu"]["path"]
        if not path:
            raise Failed("holdfast doctor finds no CRIU")
        return path

    def new_store(self, name):
        store = self.directory / f"store-{name}"
        shutil.rmtree(store, ignore_errors=True)
        return store

    def checkpoint(self, pid, store):
        """The figures of one checkpoint into a new store, and what they leave out: the way to the commit."""
        report, wall_ms = self.ask("checkpoint", "--pid", str(pid), "--name", JOB, store=store)
        return {
            "freeze_ms": report["freeze_ms"],
            "drain_ms": report["drain_ms"],
            # All of the command but the freeze: memory is stored before it, or after it, or both.
            "drain_commit_ms": wall_ms - self.startup_ms - report["freeze_ms"],
            "total_ms": report["total_ms"],
            "wall_ms": wall_ms,
            "bytes_captured": report["bytes_captured"],
            "bytes_stored": report["bytes_stored"],
            "capture": report["capture"],
        }

    def resume(self, store, memory="--eager"):
        """`memory`: all of it before the job runs (--eager), or while it does (--lazy)."""
        report, wall_ms = self.ask("resume", JOB, "--detach", memory, store=store)
        return {"wall_ms": wall_ms, "restart_ms": report["restart_ms"], "pid": report["pid"]}, report["supervisor_pid"]

    @staticmethod
    def is_filled(store):
        record = pathlib.Path(store, "jobs", JOB, "filling")
        return not record.exists() or record.read_text() == "filled\n"

    @staticmethod
    def await_end(supervisor):
        """A supervisor sees that its job was killed, and ends; we have inherited it."""
        processes.wait_until(lambda: processes.reap(supervisor) or not processes.is_there(supervisor), "the supervisor's end")

    @staticmethod
    def remove_store(store):
        shutil.rmtree(store, ignore_errors=True)
