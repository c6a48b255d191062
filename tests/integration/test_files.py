"""Files that the job has open for writing belong to its snapshot: after a restart they are what they were at the freeze,
whatever happened to them meanwhile, and what was put back is said.
"""
import os
import pathlib
import shutil
import stat

import pytest


@pytest.fixture
def stopped(subject, holdfast):
    """stopped(kind): a job with an open file, one snapshot, killed; the job and the file."""

    def make(program, kind=None, file="data"):
        job = subject(program, *([kind] if kind else [])).run()
        job.wait_rounds(3)
        job.checkpoint()
        job.wait_rounds(5)
        job.kill()
        return job, job.directory / file

    return make


def said_of(report, path):
    return [sentence for sentence in report["files_put_back"] if str(path) in sentence]


def test_file_that_grew(stopped):
    job, path = stopped("open_file", "grow")
    with open(path, "ab") as file:
        file.write(b"x" * 100000)
    report = job.resume()
    assert said_of(report, path), report
    job.wait_rounds(5)


def test_log_that_grew_is_cut(stopped):
    job, path = stopped("append_log", file="log")
    size = path.stat().st_size
    report = job.resume()
    assert said_of(report, path), report
    job.wait_rounds(5)
    lines = path.read_text().splitlines()
    assert lines == [f"line {number:010}" for number in range(len(lines))]
    assert size


@pytest.mark.parametrize("kind", ["rewrite", "grow"])
@pytest.mark.parametrize("harm", ["overwritten", "truncated", "deleted", "mode", "owner", "replaced"])
def test_harm_is_undone(kind, harm, stopped):
    job, path = stopped("open_file", kind)
    before = path.stat()
    if harm == "overwritten":
        with open(path, "r+b") as file:
            file.write(os.urandom(before.st_size))
    elif harm == "truncated":
        os.truncate(path, 1000)
    elif harm == "deleted":
        path.unlink()
    elif harm == "mode":
        path.chmod(0o604)
    elif harm == "owner":
        os.chown(path, 65534, 65534)
    elif harm == "replaced":
        path.unlink()
        path.write_bytes(b"something else")
    report = job.resume()
    assert said_of(report, path), report
    job.wait_rounds(5)
    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640 and (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_shared_mapping_without_descriptor(stopped):
    job, path = stopped("shared_file_mapping", file="mapped")
    with open(path, "r+b") as file:
        file.write(b"\0" * 100000)
    report = job.resume()
    assert said_of(report, path), report
    job.wait_rounds(5)


@pytest.mark.parametrize("mebibytes", [3, 64])
def test_deleted_file_goes_with_the_memory(mebibytes, subject):
    """Every version has its own content of a file that is open and has no name."""
    job = subject("deleted_file", mebibytes).run()
    for _ in range(2):
        job.wait_rounds(3)
        job.checkpoint()
    for version in (1, 2):
        job.wait_rounds(2)
        job.kill()
        job.resume(version)
    job.wait_rounds(3)


def test_named_shared_memory_counts_as_a_file(subject):
    job = subject("shared_memory", "named").run()
    path = pathlib.Path(job.said("object-name"))
    try:
        job.checkpoint()
        job.wait_rounds(2)
        job.kill()
        path.unlink()
        job.resume()
        job.wait_rounds(3)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("where", ["the file", "its directory"])
def test_symlink_in_its_place_is_not_followed(where, stopped, holdfast):
    job, path = stopped("open_file", "rewrite")
    precious = holdfast.directory / "precious"
    if where == "the file":
        precious.write_text("precious")
        path.unlink()
        path.symlink_to(precious)
    else:
        precious.mkdir()
        (precious / "data").write_text("precious")
        (precious / "data").chmod(0o600)
        shutil.move(job.directory, holdfast.directory / "moved")
        job.directory.symlink_to(precious)
    answer = holdfast.run("resume", job.name, "--detach", "--json")
    assert answer.status != 0, str(answer)
    assert answer.error["message"] and answer.error["kind"] != "internal", answer.error
    content = precious if where == "the file" else precious / "data"
    assert content.read_text() == "precious" and stat.S_IMODE(content.stat().st_mode) in (0o600, 0o644)
    assert not holdfast.ours()


def test_directory_or_pipe_in_its_place(stopped, holdfast):
    job, path = stopped("open_file", "rewrite")
    path.unlink()
    os.mkfifo(path)
    answer = holdfast.run("resume", job.name, "--detach", "--json")
    assert answer.status != 0 and answer.error["message"], str(answer)
    assert stat.S_ISFIFO(path.stat().st_mode)
    path.unlink()
    path.mkdir()
    answer = holdfast.run("resume", job.name, "--detach", "--json")
    assert answer.status != 0 and answer.error["message"], str(answer)
    path.rmdir()
    job.resume()
    job.wait_rounds(3)


def test_every_version_has_its_own_content(subject, holdfast):
    """Back and forth between versions, the file with them."""
    job = subject("open_file", "rewrite").run()
    for _ in range(3):
        job.wait_rounds(4)
        job.checkpoint()
    for version in (1, 3, 2):
        job.kill()
        job.resume(version)
        job.wait_rounds(4)


def test_file_whose_directory_is_gone(stopped):
    job, path = stopped("open_file", "rewrite")
    shutil.rmtree(job.directory)
    job.resume()
    job.wait_rounds(3)
    assert path.exists()


def test_nothing_to_put_back_is_nothing_said(subject, holdfast):
    job = subject("dontfork_region").run()
    job.checkpoint()
    job.kill()
    report = job.resume()
    assert [sentence for sentence in report["files_put_back"] if str(job.directory) in sentence and "verdict" not in sentence] == []
    inside = holdfast.ok("inspect", job.name, "--all")
    logs = [file["path"] for file in inside["files"]]
    assert any(path.endswith("stdout.log") for path in logs), logs


def test_inspect_shows_the_files(stopped, holdfast):
    job, path = stopped("open_file", "rewrite")
    files = {file["path"]: file for file in holdfast.ok("inspect", job.name, "--all")["files"]}
    entry = files[str(path)]
    assert entry["bytes"] == 256 * 512 and entry["content_kept"] is True
    assert int(str(entry["mode"]), 8 if isinstance(entry["mode"], str) else 10) & 0o777 == 0o640 or entry["mode"] == 0o640
