"""programs/dirtier.c under `holdfast run`: a job of which a share is written to when told."""
import json
import os
import pathlib
import shutil
import subprocess

import holdfast_run
import machine
import processes

RUN_BYTES = 64 << 10
SOURCE = pathlib.Path(__file__).resolve().parent / "programs" / "dirtier.c"


class Dirtier:
    """The supervisor goes on tracking its writes between two checkpoints."""

    def __init__(self, holdfast, directory, mebibytes, kind="private"):
        self.holdfast, self.store, self.bytes = holdfast, holdfast.new_store("dirtier"), mebibytes * machine.MIB
        program, self.fifo, self.shift = directory / "dirtier", directory / "fifo", 0
        subprocess.run(["cc", "-O2", "-o", program, SOURCE], check=True)
        self.fifo.unlink(missing_ok=True)  # of one before
        os.mkfifo(self.fifo)
        command = ("--", str(program), str(mebibytes), str(self.fifo), kind)
        out, _ = holdfast.run("run", "--json", "--detach", "--name", holdfast_run.JOB, *command, store=self.store)
        self.pid = json.loads(out)["pid"]
        self.log = self.store / "jobs" / holdfast_run.JOB / "stdout.log"
        self.answers = 0
        self.await_answer()

    def await_answer(self):
        self.answers += 1
        processes.wait_until(lambda: self.log.exists() and self.log.stat().st_size >= self.answers, "the program's answer")

    def write(self, share):
        self.shift += 17
        self.fifo.write_text(f"{int(self.bytes * share) // RUN_BYTES} {self.shift}\n")
        self.await_answer()

    def checkpoint(self):
        report, wall_ms = self.holdfast.ask("checkpoint", holdfast_run.JOB, store=self.store)
        return report | {"wall_ms": wall_ms}

    def kill(self):
        os.kill(self.pid, 9)
        processes.wait_until(lambda: not processes.is_there(self.pid), "its end, and its memory's")
        shutil.rmtree(self.store, ignore_errors=True)
