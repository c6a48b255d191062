"""--files DIR: all that is in a directory belongs to the snapshots. The subject changes its directory at random and compares
it with what it has in memory after each change, so whatever does not fit to its memory is found at once.
"""
import os
import pathlib
import shutil
import subprocess

import pytest
import world
from cycling import Cycles, Program
from test_real_programs import PYTHON, SUBJECTS


@pytest.fixture
def keeper(holdfast, seed):
    job = Program(holdfast, "keeper", [PYTHON, SUBJECTS / "directory_keeper.py"], seed)
    job.kept = job.directory / "kept"
    job.kept.mkdir()
    return job


def said_of(report, path):
    return [sentence for sentence in report["files_put_back"] if sentence.startswith(f"{path}: ")]


def test_directory_goes_with_the_memory(keeper, holdfast, seed):
    keeper.run("--files", keeper.kept)

    def somebody_breaks_it():
        for path in sorted(keeper.kept.rglob("*"), reverse=True)[::2]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (keeper.kept / "hot-journal").write_text("replayed into an older database")
        (keeper.kept / "log").write_text("overwritten")

    for cycle in Cycles(3, seed):
        keeper.cycle(cycle, somebody_breaks_it)
        assert not (keeper.kept / "hot-journal").exists()
    keeper.kill()
    oldest = holdfast.ok("snapshots", keeper.name)[0]["snapshot"]
    report = keeper.resume(int(oldest.split("@")[1]))
    keeper.assert_alright()
    assert report["files_put_back"]
    keeper.kill()
    (keeper.kept / "came later").write_text("x")
    report = keeper.resume()
    assert said_of(report, keeper.kept / "came later") == [
        f"{keeper.kept / 'came later'}: removed; it came after the snapshot"
    ], report
    keeper.assert_alright()
    holdfast.verify()


def test_directory_that_is_gone(keeper, seed):
    keeper.run("--files", keeper.kept)
    keeper.wait_rounds(20)
    for cycle in Cycles(1, seed):
        keeper.cycle(cycle, lambda: shutil.rmtree(keeper.kept))


def test_rollback_keeps_what_it_leaves(keeper, holdfast):
    """What is rolled back from is a snapshot, too, with the directory as it was then."""
    keeper.run("--files", keeper.kept)
    keeper.wait_rounds(10)
    keeper.checkpoint()
    keeper.wait_rounds(10)
    for version in (1, 2):
        report = holdfast.ok("rollback", f"{keeper.name}@{version}", "--detach")
        keeper.pid, keeper.supervisor = report["pid"], report["supervisor_pid"]
        keeper.assert_alright()


def test_clone_has_a_directory_of_its_own(keeper, holdfast):
    """Both work under the same paths at the same time, and both find what they have in memory: either would report a bad
    directory into a file that they share."""
    keeper.run("--files", keeper.kept)
    keeper.wait_rounds(10)
    keeper.checkpoint()
    holdfast.ok("clone", f"{keeper.name}@1", "--name", "branch")
    own = holdfast.store / "jobs/branch/files" / str(keeper.kept)[1:]
    keeper.wait_rounds(20)

    def contents(directory):
        return {path.name for path in pathlib.Path(directory).rglob("checkpoint*")}

    holdfast.checkpoint("branch")
    keeper.wait_rounds(40)
    assert contents(own) != contents(keeper.kept)
    assert [tree["path"] for tree in holdfast.ok("inspect", "branch")["file_trees"]] == [str(keeper.kept)]
    holdfast.ok("rollback", "branch@1", "--detach")
    keeper.wait_rounds(20)
    assert all(world.is_alive(holdfast.row(name)["pid"]) for name in (keeper.name, "branch"))
    keeper.assert_good()


def test_remembered_and_changed(subject, holdfast):
    job = subject("open_file", "rewrite")
    one, other = (holdfast.directory / name for name in ("one", "other"))
    for directory in (one, other):
        directory.mkdir()
        (directory / "file").write_text("content")

    def trees():
        return [tree["path"] for tree in holdfast.ok("inspect", job.name)["file_trees"]]

    (one / "inner").mkdir()
    job.run("--files", one, "--files", one / "inner")
    job.checkpoint()
    assert trees() == [str(one)]
    job.checkpoint("--files", other)
    assert trees() == [str(other)]
    job.checkpoint()
    assert trees() == [str(other)]
    job.kill()
    job.resume(None, "--files", one, "--files", other)
    job.checkpoint()
    assert trees() == [str(one), str(other)]
    kept = {file["path"]: file["kept_by"] for file in holdfast.ok("inspect", job.name)["files"]}
    assert kept[str(one / "file")] == "unchanged", kept
    job.kill()
    job.resume(None, "--files", "off")
    job.checkpoint()
    assert trees() == []


def test_what_cannot_be_named(holdfast):
    holdfast.run("run", "--name", "first", "--", "/bin/true")
    for kind, directory in (
        ("not-found", holdfast.directory / "missing"),
        ("usage", holdfast.directory),  # the store is in it
        ("usage", holdfast.store / "jobs"),
        ("usage", "/"),
        ("usage", "/proc/self"),
    ):
        holdfast.fails(kind, "run", "--detach", "--name", "second", "--files", directory, "--", "/bin/sleep", "1000")
        assert "second" not in [row["name"] for row in holdfast.ok("ps")]


def test_long_lists_are_cut_for_people(subject, holdfast):
    many = holdfast.directory / "many"
    many.mkdir()
    for number in range(60):
        (many / f"{number:03}").write_text("content")
    job = subject("open_file", "rewrite").run("--files", many)
    job.checkpoint()
    shown = holdfast.run("inspect", job.name).out
    assert " more; --all lists them" in shown and f"all that was in {many} (60 names)" in shown, shown
    assert f"{many}/059" in holdfast.run("inspect", job.name, "--all").out
    job.kill()
    for number in range(60):
        os.truncate(many / f"{number:03}", 3)
    answer = holdfast.run("resume", job.name, "--detach")
    assert answer.status == 0, str(answer)
    lines = [line for line in answer.err.splitlines() if "put back: " in line]
    assert len(lines) == 21 and lines[-1].endswith("more; --json lists them all"), answer.err


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_reflinks(kind, holdfast):
    """A large file that is rewritten in place, on a file system in a file."""
    image, mount = holdfast.directory / "image", holdfast.directory / "mount"
    mount.mkdir()
    with open(image, "wb") as file:
        file.truncate(400 << 20)
    if not shutil.which(f"mkfs.{kind}"):
        pytest.skip(f"there is no mkfs.{kind} (scripts/install-test-subjects)")
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, mount], check=False).returncode != 0:
        pytest.skip(f"{kind} cannot be mounted from a file here")
    holdfast.cleanups.callback(subprocess.run, ["umount", "-l", mount], check=True)
    job = Program(holdfast, "mount/job", [PYTHON, SUBJECTS / "page_writer.py"], 32)
    job.name = "writer"
    job.run()
    path = job.directory / "data"
    for _ in range(2):
        job.wait_rounds(3)
        job.checkpoint()
        kept = {file["path"]: file["kept_by"] for file in holdfast.ok("inspect", job.name)["files"]}
        assert kept[str(path)] == "reflink", kept
        job.wait_rounds(3)
        job.kill()
        with open(path, "r+b") as file:
            file.write(os.urandom(1 << 20))
        assert any(str(path) in sentence for sentence in job.resume()["files_put_back"])
    job.wait_rounds(3)
    assert sorted(name for name in os.listdir(job.directory) if name not in ("ready", "verdict")) == ["data"]


# Makes a file in a directory for each turn: NAMES DIRECTORY
NAMES = """
import os, sys, time
for turn in range(10**9):
    open(os.path.join(sys.argv[1], f"{turn:09}"), "w").close()
    time.sleep(0.01)
"""


class NameMaker:
    """A job that fills `kept`, and clones of it."""

    def __init__(self, holdfast):
        self.holdfast = holdfast
        self.kept = holdfast.directory / "kept"
        self.kept.mkdir()

    def run(self, *options):
        started = self.holdfast.run_detached("maker", PYTHON, "-c", NAMES, self.kept, options=options)
        self.wait_for_more(self.kept)
        self.holdfast.checkpoint("maker")
        return started

    def own(self, name):
        return self.holdfast.store / "jobs" / name / "files" / str(self.kept)[1:]

    @staticmethod
    def kill(job):
        world.kill_tree(job["pid"], also=[job["supervisor_pid"]])

    @staticmethod
    def wait_for_more(directory):
        at = len(os.listdir(directory))
        world.wait_until(lambda: len(os.listdir(directory)) > at + 3, lambda: f"nothing is made in {directory}")


@pytest.fixture
def maker(holdfast):
    return NameMaker(holdfast)


def test_clone_does_not_give_up_its_directory(maker, holdfast):
    """It would go on in the original's."""
    maker.kill(maker.run("--files", maker.kept))
    before = sorted(os.listdir(maker.kept))
    (clone,) = holdfast.ok("clone", "maker", "--name", "branch")
    other = holdfast.directory / "other"
    other.mkdir()
    for files in ("off", other, holdfast.directory.parent):
        error = holdfast.fails("usage" if files == holdfast.directory.parent else "unsupported", "checkpoint", "branch", "--files", files)
        assert files == holdfast.directory.parent or str(maker.kept) in str(error), error
    holdfast.checkpoint("branch", "--files", other, "--files", maker.kept)
    maker.wait_for_more(maker.own("branch"))
    maker.kill(clone)
    holdfast.fails("unsupported", "resume", "branch", "--detach", "--files", "off")
    holdfast.resume("branch")
    maker.wait_for_more(maker.own("branch"))
    assert sorted(os.listdir(maker.kept)) == before


def test_clone_keeps_its_directory_when_it_is_rolled_back(maker, holdfast):
    """To a snapshot that is older than the directory's being its own."""
    maker.kill(maker.run())
    (clone,) = holdfast.ok("clone", "maker", "--name", "branch")
    maker.wait_for_more(maker.kept)  # what belongs to no snapshot is shared
    holdfast.checkpoint("branch", "--files", maker.kept)
    maker.kill(clone)
    holdfast.resume("branch")
    maker.wait_for_more(maker.own("branch"))
    before = sorted(os.listdir(maker.kept))
    for version in (1, 2):
        clone = holdfast.ok("rollback", f"branch@{version}", "--detach")
        maker.wait_for_more(maker.own("branch"))
        assert sorted(os.listdir(maker.kept)) == before
    maker.kill(clone)
    (maker.own("branch") / "later").write_text("x")
    shutil.rmtree(maker.kept)
    holdfast.resume("branch@1")
    maker.wait_for_more(maker.own("branch"))
    assert not os.listdir(maker.kept)


@pytest.mark.parametrize("stop", [False, True], ids=["killed", "stopped"])
def test_remembered_after_the_end(stop, subject, holdfast):
    """By the supervisor, which writes down how the job ended."""
    one, other = (holdfast.directory / name for name in ("one", "other"))
    for directory in (one, other):
        directory.mkdir()
    job = subject("open_file", "rewrite").run("--files", one)
    job.checkpoint("--files", other, *["--stop"] * stop)
    if not stop:
        world.kill_tree(job.pid)
    world.wait_until(lambda: not world.is_alive(job.supervisor), "its supervisor to be gone")
    assert holdfast.row(job.name)["state"] == ("checkpointed" if stop else "exited")
    job.resume()
    job.checkpoint()
    assert [tree["path"] for tree in holdfast.ok("inspect", job.name)["file_trees"]] == [str(other)]


def test_clone_has_the_directories_of_its_snapshot(maker, holdfast):
    """Not those that its original was given later."""
    maker.run()
    holdfast.checkpoint("maker", "--files", maker.kept)
    for version, trees in ((1, []), (2, [str(maker.kept)])):
        holdfast.ok("clone", f"maker@{version}", "--name", f"branch-{version}")
        holdfast.checkpoint(f"branch-{version}")
        assert [tree["path"] for tree in holdfast.ok("inspect", f"branch-{version}")["file_trees"]] == trees
