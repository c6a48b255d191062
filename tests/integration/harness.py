"""Holdfast as its user sees it, and the programs that it is tried on."""
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import uuid

import world
from world import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARK = "HOLDFAST_TEST_MARK"  # in the environment of everything that a test starts

EXIT = {
    "usage": 64, "corrupt": 65, "not-found": 66, "unsupported": 69, "internal": 70, "criu": 71, "no-space": 72,
    "exists": 73, "io": 74, "busy": 76, "permission": 77, "interrupted": 130,
}  # fmt: skip
EXIT_CHECKPOINTED = 75

# Of tests/programs, those whose memory has something to say, with their arguments.
MEMORY_PROGRAMS = """
slow_writer 64
memory_churn all 48
memory_churn mremap 32
memory_churn dontneed 32
memory_churn fixed 32
memory_churn free 32
memory_churn all 32 8
random_memory 32
sparse_memory
huge_pages
brk_shrink
deep_stack
growsdown_mapping
dontfork_region
wipeonfork_region
guard_pages
locked_memory
prot_none_region
private_file_mapping
shared_file_mapping
many_mappings
shared_memory anonymous 8
shared_random anonymous 16
shared_random memfd 16
fork_storm
exec_storm
many_threads 16
process_tree 8 4
registers_hold
rseq_counters
syscalls_hold
signal_state
timers_go_on
seccomp_filter
other_user
""".strip().splitlines()


def find_binary():
    for variable in ("HOLDFAST_BINARY", "HOLDFAST"):
        if os.environ.get(variable):
            return os.environ[variable]
    cache = pathlib.Path(os.environ.get("HOLDFAST_CACHE") or pathlib.Path.home() / ".cache/holdfast")
    for checkout in cache.glob("build-*/checkout"):
        binary = checkout.parent / "stage/bin/holdfast"
        if checkout.read_text().strip() == str(ROOT) and binary.exists():
            return str(binary)
    return shutil.which("holdfast")


def with_json(arguments):
    """--json where it is Holdfast's: what comes after "--" is the job's."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return (*arguments[:at], "--json", *arguments[at:])


class Answer:
    """What a command of Holdfast left behind."""

    def __init__(self, command, status, out, err):
        self.command, self.status, self.out, self.err = command, status, out, err

    @property
    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise AssertionError(f"not one JSON document on stdout: {self}") from None

    @property
    def error(self):
        return self.json["error"]

    def __str__(self):
        return f"{' '.join(map(str, self.command))}\n  status {self.status}\n  stdout {self.out!r}\n  stderr {self.err!r}"


class Holdfast:
    """One store and everything that is started for one test."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.directory = pathlib.Path(directory)
        self.store = self.directory / "store"
        self.mark = uuid.uuid4().hex
        self.transcript = []
        self.popens = []
        self.cleanups = contextlib.ExitStack()
        self.environment = {key: value for key, value in os.environ.items() if key != "HOLDFAST_STORE"}
        self.environment[MARK] = self.mark
        self.environment["HOLDFAST_STORE"] = str(self.store)

    # Commands

    def run(self, *arguments, seconds=world.HANG_GUARD_S, env=None, **options):
        """A command to its end, whatever that is. Output goes through files: who inherits a descriptor of ours
        must not keep us waiting."""
        command = [self.binary, *map(str, arguments)]
        with open(self.directory / f"out-{uuid.uuid4().hex}", "w+b") as out, open(
            self.directory / f"err-{uuid.uuid4().hex}", "w+b"
        ) as err:
            process = subprocess.Popen(
                command,
                stdin=options.pop("stdin", subprocess.DEVNULL),
                stdout=out,
                stderr=err,
                env={**self.environment, **(env or {})},
                cwd=options.pop("cwd", self.directory),
                **options,
            )
            self.popens.append(process)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                world.kill_and_wait([process.pid], keep_status=[process.pid])
                process.wait()
                status = "none, killed after a hang"
            self.popens.remove(process)
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace"))
                os.unlink(stream.name)
        answer = Answer(["holdfast", *command[1:]], status, *texts)
        self.transcript.append(str(answer))
        return answer

    def ok(self, *arguments, **options):
        """A command that must succeed; its JSON."""
        answer = self.run(*with_json(arguments), **options)
        assert answer.status == 0, str(answer)
        return answer.json

    def fails(self, kind, *arguments, **options):
        """A command that must fail with this kind of error, said alike to a script and to a person; its error object."""
        answer = self.run(*with_json(arguments), **options)
        assert answer.status == EXIT[kind], str(answer)
        assert answer.error["kind"] == kind, str(answer)
        assert answer.error["message"] and not answer.error["message"].endswith("."), str(answer)
        return answer.error

    def start(self, *arguments, env=None, output=None, **options):
        """A command that goes on, in a session of its own; its Popen."""
        stream = open(self.directory / (output or f"started-{len(self.transcript)}"), "ab")
        process = subprocess.Popen(
            [self.binary, *map(str, arguments)],
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", stream),
            stderr=options.pop("stderr", stream),
            env={**self.environment, **(env or {})},
            cwd=options.pop("cwd", self.directory),
            start_new_session=options.pop("start_new_session", True),
            **options,
        )
        stream.close()
        process.output = pathlib.Path(stream.name)
        self.transcript.append(f"holdfast {' '.join(map(str, arguments))} & (pid {process.pid}, output in {stream.name})")
        self.popens.append(process)
        return process

    def spawn(self, *command, env=None, **options):
        """Any other program, in a session of its own."""
        stream = open(self.directory / "spawned.log", "ab")
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", stream),
            stderr=options.pop("stderr", stream),
            env={**self.environment, **(env or {})},
            cwd=options.pop("cwd", self.directory),
            start_new_session=True,
            **options,
        )
        stream.close()
        self.transcript.append(f"{' '.join(map(str, command))} & (pid {process.pid})")
        self.popens.append(process)
        return process

    # Things that most tests do

    def row(self, name):
        rows = [row for row in self.ok("ps") if row["name"] == name]
        assert len(rows) == 1, f"{name} has {len(rows)} rows in ps"
        return rows[0]

    def checkpoint(self, *arguments, **options):
        report = self.ok("checkpoint", *arguments, **options)
        assert report["snapshot"] and report["bytes_stored"] > 0 and report["freeze_ms"] > 0, report
        return report

    def run_detached(self, name, *command, options=(), env=None, **rest):
        return self.ok("run", "--detach", "--name", name, *options, "--", *command, env=env, **rest)

    def resume(self, snapshot, *options, **rest):
        """Detached. When a stranger has got one of the pids meanwhile (there are only 32,768), waits for it to go."""
        for _ in range(5):
            answer = self.run("resume", snapshot, "--detach", *options, "--json", **rest)
            if answer.status != EXIT["exists"]:
                break
            taken = [int(pid) for pid in re.findall(r"\b\d+\b", answer.out) if world.is_alive(pid)]
            if not taken or any(self.is_ours(pid) for pid in taken):
                break
            wait_until(lambda: not any(map(world.is_alive, taken)), f"{taken} hold a pid that is needed")
        assert answer.status == 0, str(answer)
        return answer.json

    def verify(self, *options):
        report = self.ok("verify", "--read-data", *options)
        assert report["ok"] is True and report["problems"] == [], report
        return report

    # The processes of this test

    def is_ours(self, pid):
        return f"{MARK}={self.mark}".encode() in world.environment(pid)

    def ours(self):
        return [status.pid for status in world.all_processes() if self.is_ours(status.pid)]

    def strangers(self, *roots):
        """Living processes with our mark that are in none of these trees: twins, helpers, tracers, CRIUs."""
        known = {pid for root in roots for pid in world.tree(root)}
        known.update(process.pid for process in self.popens)
        return [status for status in map(world.read_status, self.ours()) if status and status.pid not in known]

    def assert_nothing_left(self, root, supervisor=None, at_once=True):
        """No twin, no helper, no tracer, no corpse."""
        roots = [pid for pid in (root, supervisor) if pid]

        def left():
            members = world.tree(root)
            corpses = [
                status
                for status in map(world.read_status, members)
                if status and status.zombie and status.name != "zombie_child" and status.pid != root
            ]
            return self.strangers(*roots) + world.tracers(members) + corpses

        if at_once:
            # A child that the job itself has just made, or is about to wait for, goes its way; what is left stays.
            stayed = left()
            end = time.monotonic() + 10
            while stayed and time.monotonic() < end:
                time.sleep(0.02)
                remaining = left()
                stayed = [one for one in stayed if one in remaining]
            assert not stayed, f"left behind: {stayed}"
        else:
            wait_until(lambda: not left(), lambda: f"left behind: {left()}", seconds=30)

    def clean_up(self):
        with self.cleanups:
            pass
        for _ in range(20):  # something may have been on its way
            pids = self.ours()
            for process in self.popens:
                if process.poll() is None:
                    pids.append(process.pid)
            if not pids:
                break
            world.kill_and_wait(pids, keep_status=[process.pid for process in self.popens])
            for process in self.popens:
                process.poll()
        for process in self.popens:
            process.wait(world.HANG_GUARD_S)

    def logs(self):
        """For the report of a failed test."""
        sections = [("what was run", "\n".join(self.transcript))]
        for path in sorted(self.directory.rglob("*")):
            interesting = path.suffix == ".log" or path.name.startswith(("started-", "bad", "verdict", "skip"))
            with contextlib.suppress(OSError):
                if interesting and path.is_file() and path.stat().st_size:
                    text = path.read_bytes()[-4000:].decode(errors="replace")
                    sections.append((str(path.relative_to(self.directory)), re.sub(" +\n", "\n", text)))
        return sections


class Subject:
    """A program of tests/programs (or one that reports alike) with its directory."""

    def __init__(self, holdfast, build, program, *arguments, label=None):
        self.holdfast = holdfast
        self.directory = holdfast.directory / (label or f"{program}-{uuid.uuid4().hex[:6]}")
        self.directory.mkdir()
        self.directory.chmod(0o777)
        self.command = [str(build / program), str(self.directory), *map(str, arguments)]
        self.name = self.directory.name
        self.pid = self.supervisor = None

    # What it says

    def said(self, what):
        try:
            return (self.directory / what).read_text(errors="replace").strip()
        except FileNotFoundError:
            return None

    @property
    def round(self):
        verdict = self.said("verdict")
        return int(verdict.split()[1]) if verdict and verdict.startswith("ok ") else 0

    def assert_good(self):
        assert self.said("bad") is None, f"{self.name}: {self.said('bad')}"

    def _look(self):
        import pytest

        self.assert_good()
        if self.said("skip"):
            pytest.skip(self.said("skip"))

    def wait_ready(self):
        def ready():
            self._look()
            return self.said("ready")

        self.pid_inside = int(wait_until(ready, f"{self.name} to be ready"))
        return self

    def wait_rounds(self, rounds=2):
        """Waits until it has found itself right so many times from now on."""
        first = self.round

        def enough():
            self._look()
            return self.round >= first + rounds

        wait_until(enough, f"{rounds} rounds of {self.name} after {first}: {self.said('verdict')}")
        return self.round

    # Its life

    def run(self, *options, env=None):
        """Under `holdfast run`."""
        started = self.holdfast.run_detached(self.name, *self.command, options=options, env=env)
        self.pid, self.supervisor = started["pid"], started["supervisor_pid"]
        self.wait_ready()
        return self

    def spawn(self, **options):
        """By itself, as something that Holdfast did not start."""
        self.process = self.holdfast.spawn(*self.command, **options)
        self.pid, self.supervisor = self.process.pid, None
        self.wait_ready()
        return self

    def checkpoint(self, *options, **rest):
        report = self.holdfast.checkpoint(self.name, *options, **rest)
        return report

    def checkpoint_by_pid(self, *options, **rest):
        return self.holdfast.checkpoint("--pid", self.pid, "--name", self.name, *options, **rest)

    def kill(self):
        """kill -9 for the whole tree and its supervisor."""
        world.kill_tree(self.pid, also=[self.supervisor] if self.supervisor else [])
        if self.supervisor is None and getattr(self, "process", None):
            self.process.wait(world.HANG_GUARD_S)

    def resume(self, version=None, *options, **rest):
        with contextlib.suppress(FileNotFoundError):
            (self.directory / "verdict").unlink()
        snapshot = f"{self.name}@{version}" if version else self.name
        started = time.monotonic()
        report = self.holdfast.resume(snapshot, *options, **rest)
        self.resume_seconds = time.monotonic() - started
        self.pid, self.supervisor = report["pid"], report["supervisor_pid"]
        self.process = None
        return report

    def assert_untouched(self):
        """After a checkpoint, whatever came of it: it lives, is right, and nothing is left in it or beside it."""
        assert world.is_alive(self.pid), f"{self.name} is dead: {world.read_status(self.pid)}"
        self.holdfast.assert_nothing_left(self.pid, self.supervisor)
        self.wait_rounds(2)


class LinesOf:
    """A growing text file, read line by line."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def lines(self):
        with contextlib.suppress(FileNotFoundError):
            return self.path.read_text(errors="replace").split("\n")[:-1]
        return []

    def wait_for(self, count, process=None):
        def there():
            if process is not None and process.poll() is not None:
                raise AssertionError(f"it ended with {process.returncode} after {len(self.lines())} lines: {self.lines()[-5:]}")
            return len(self.lines()) >= count

        wait_until(there, lambda: f"{count} lines in {self.path}, which has {self.lines()[-3:]}", interval=0.02)
        return self.lines()


def duration_report(items):
    """The slowest tests and the sum, for the end of a run."""
    total = sum(seconds for _, seconds in items)
    by_file = collections.Counter()
    for name, seconds in items:
        by_file[name.split("::")[0]] += seconds
    lines = [f"{seconds:7.1f} s  {name}" for name, seconds in sorted(items, key=lambda item: -item[1])[:15]]
    lines += [f"{seconds:7.1f} s  {name} in all" for name, seconds in by_file.most_common()]
    return lines + [f"{total:7.1f} s  all together"]


def now_ms():
    return time.time() * 1000
