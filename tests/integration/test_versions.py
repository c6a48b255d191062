"""Versions of a job: which snapshot is its present, rolling back, branches, and what the job says of itself."""
import pathlib
import re

import pytest
import world
from harness import EXIT, LinesOf


def names(rows):
    return [row["snapshot"].split("@")[1] for row in rows]


def parents(holdfast, name):
    return {row["snapshot"]: row["parent"] for row in holdfast.ok("snapshots", name)}


def present(holdfast, name):
    rows = [row["snapshot"] for row in holdfast.ok("snapshots", name) if row["present"]]
    assert len(rows) == 1, rows
    return rows[0]


def roll_back(holdfast, job, version, *options):
    report = holdfast.ok("rollback", f"{job.name}@{version}", "--detach", *options)
    job.pid, job.supervisor, job.process = report["pid"], report["supervisor_pid"], None
    return report


@pytest.fixture
def three(subject):
    """A job that runs and has three snapshots, and the round that it was in at each."""
    job = subject("random_memory", 16).run()
    job.rounds = []
    for _ in range(3):
        job.rounds.append(job.wait_rounds(3))
        job.checkpoint()
    job.wait_rounds(2)
    return job


def test_rollback_of_a_job_that_runs(three, holdfast):
    """What it had reached is saved first; the earlier one is the present; both go on from there."""
    name = three.name
    first_supervisor = three.supervisor
    assert roll_back(holdfast, three, 1)["snapshot"] == f"{name}@1"
    assert not world.is_alive(first_supervisor)
    three.wait_rounds(2)
    assert present(holdfast, name) == f"{name}@1"
    assert parents(holdfast, name)[f"{name}@4"] == f"{name}@3"
    three.checkpoint()
    assert parents(holdfast, name)[f"{name}@5"] == f"{name}@1"
    assert present(holdfast, name) == f"{name}@5"
    three.kill()
    assert three.resume()["snapshot"] == f"{name}@5"
    three.wait_rounds(2)
    # What came after it is still there, and can be the present again.
    assert roll_back(holdfast, three, 4)["snapshot"] == f"{name}@4"
    three.wait_rounds(2)
    assert present(holdfast, name) == f"{name}@4"
    holdfast.verify()


def test_graph(three, holdfast):
    name = three.name
    roll_back(holdfast, three, 2)
    three.checkpoint()
    lines = [line.split()[:-1] for line in holdfast.run("snapshots", name, "--graph").out.splitlines()]
    drawn = [line[: next(i for i, word in enumerate(line) if "@" in word) + 1] for line in lines]
    assert drawn == [
        ["*", f"{name}@1"],
        ["*", f"{name}@2"],
        ["|-*", f"{name}@3"],
        ["|", "*", f"{name}@4"],
        ["*", f"{name}@5"],
    ]
    assert [row["snapshot"] for row in holdfast.ok("snapshots", name, "--graph") if row["present"]] == [f"{name}@5"]


def test_rollback_that_discards(three, holdfast):
    roll_back(holdfast, three, 2, "--discard")
    three.wait_rounds(2)
    assert names(holdfast.ok("snapshots", three.name)) == ["1", "2", "3"]


def test_rollback_of_a_job_that_does_not_run(three, holdfast):
    three.kill()
    roll_back(holdfast, three, 2)
    three.wait_rounds(2)
    assert names(holdfast.ok("snapshots", three.name)) == ["1", "2", "3"]


def test_a_bad_rollback_stops_nothing(three, holdfast):
    error = holdfast.fails("not-found", "rollback", f"{three.name}@9")
    assert "1, 2, 3" in error["hint"], error
    holdfast.fails("usage", "rollback", three.name)
    holdfast.fails("not-found", "rollback", "nobody@1")
    three.assert_untouched()
    assert names(holdfast.ok("snapshots", three.name)) == ["1", "2", "3"]


def test_the_present_outlives_the_job(three, holdfast):
    """Killed before its next snapshot, a job goes on from the one that it was restarted from, not from a later one."""
    three.kill()
    three.resume(1)
    three.wait_rounds(2)
    three.kill()
    assert three.resume()["snapshot"] == f"{three.name}@1"
    three.kill()
    # It stays however few are kept.
    holdfast.ok("prune", "--keep", 1, three.name)
    assert names(holdfast.ok("snapshots", three.name)) == ["1", "3"]
    # Removed, it leaves the newest.
    holdfast.ok("rm", f"{three.name}@1")
    assert three.resume()["snapshot"] == f"{three.name}@3"
    three.wait_rounds(2)
    holdfast.verify()


def test_a_damaged_present_is_said(three, holdfast):
    three.kill()
    three.resume(1)
    three.kill()
    file = pathlib.Path(holdfast.store) / "snapshots" / three.name / "present"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text('{"version": ')
    error = holdfast.fails("corrupt", "resume", three.name, "--detach")
    assert f"{three.name}@N" in error["hint"], error
    answer = holdfast.run("verify", "--json")
    assert answer.status != 0 and "present" in str(answer.json["problems"]), str(answer)
    three.resume(2)
    three.wait_rounds(2)
    holdfast.verify()


def test_notes_are_of_the_instant(subject, holdfast):
    """A snapshot's annotations say where the job stood when it was frozen; it can be found by them."""
    job = subject("notes_epochs").run()
    epochs = []
    for _ in range(3):
        job.wait_rounds(5)
        job.checkpoint("--tag", "by=test")
        row = holdfast.ok("snapshots", job.name)[-1]
        assert row["annotations"]["by"] == "test", row
        epochs.append(int(row["annotations"]["epoch"]))
        assert float(row["annotations"]["loss"]) == pytest.approx(100 / epochs[-1], abs=0.001)
    assert epochs == sorted(set(epochs)), epochs
    job.kill()

    rows = holdfast.ok("snapshots", job.name, "--where", f"epoch>={epochs[1]}", "--where", f"epoch<{epochs[2]}")
    assert names(rows) == ["2"]
    log = pathlib.Path(job.directory, "epochs")
    before = len(log.read_text().splitlines())
    report = job.resume(None, "--where", f"epoch={epochs[1]}")
    assert report["snapshot"] == f"{job.name}@2"
    job.wait_rounds(2)
    first = re.match(r"epoch=(\d+) ", log.read_text().splitlines()[before])
    # It may have been between its note and its line, or on the way to its next note.
    assert epochs[1] <= int(first.group(1)) <= epochs[1] + 1, (first, epochs)

    error = holdfast.fails("not-found", "resume", job.name, "--where", "epoch=1000000")
    assert "epoch, loss" in error["hint"], error
    holdfast.fails("usage", "resume", f"{job.name}@1", "--where", "epoch=1")
    holdfast.fails("usage", "snapshots", job.name, "--where", "epoch")


# Takes its time between emptying its notes and writing them: every other freeze falls in between.
SLOW_NOTES = """
import os, time
for epoch in range(1, 10**9):
    with open(os.environ["HOLDFAST_NOTE"], "w") as notes:
        time.sleep(0.03)
        notes.write(f"epoch={epoch}\\n")
    with open("epochs", "a") as log:
        log.write(f"{epoch}\\n")
    time.sleep(0.03)
"""


def test_notes_in_the_making(holdfast):
    """While a job writes them anew it stands by what it said last, not by what it said when the checkpoint began."""
    folder = holdfast.directory / "noting"
    folder.mkdir()
    (folder / "job.py").write_text(SLOW_NOTES)
    log = LinesOf(folder / "epochs")
    job = holdfast.run_detached("noting", "/usr/bin/python3", "job.py", cwd=folder)
    noted = []
    for _ in range(6):
        log.wait_for(len(log.lines()) + 3)
        holdfast.checkpoint("noting")
        noted.append(int(holdfast.ok("snapshots", "noting")[-1]["annotations"]["epoch"]))
    for version, epoch in enumerate(noted, 1):
        world.kill_tree(job["pid"], also=[job["supervisor_pid"]])
        before = len(log.lines())
        job = holdfast.resume(f"noting@{version}")
        first = int(log.wait_for(before + 1)[before])
        assert epoch <= first <= epoch + 1, (version, noted, first)


def test_note_command(holdfast):
    """Inside of a job; a value with spaces, a plain text, a later value, and one that is taken back."""
    script = """
        set -e
        holdfast note epoch=3 loss=0.5 'stage=warm up' of=4
        holdfast note loss=0.25 of=
        holdfast note all is well
        printf 'last=1 more=2\\nbad\\001key=\\377\\n' >> "$HOLDFAST_NOTE"
        touch noted
        exec sleep 1000
    """
    folder = holdfast.directory / "noted"
    folder.mkdir()
    path = {"PATH": f"{pathlib.Path(holdfast.binary).parent}:/usr/bin:/bin"}
    started = holdfast.run_detached("noted", "bash", "-c", script, env=path, cwd=folder)
    world.wait_until(lambda: (folder / "noted").exists(), "the job to note")
    holdfast.checkpoint("noted")
    row = holdfast.ok("snapshots", "noted")[-1]
    assert row["annotations"] == {
        "epoch": "3",
        "loss": "0.25",
        "stage": "warm up",
        "last": "1",
        "more": "2",
        "note": "bad key=?",
    }
    world.kill_tree(started["pid"], also=[started["supervisor_pid"]])
    answer = holdfast.run("note", "epoch=3", "--json")
    assert answer.status == EXIT["usage"] and "annotate" in answer.error["hint"], str(answer)


def test_prune_by_rules(three, holdfast):
    """The newest of the day, what is marked, and the present: whichever came first."""
    name = three.name
    holdfast.ok("annotate", f"{name}@1", "stage=best")
    would = holdfast.ok("prune", name, "--daily", 1, "--keep-where", "stage=best", "--dry-run")
    assert would["removed"] == [f"{name}@2"], would
    assert names(holdfast.ok("snapshots", name)) == ["1", "2", "3"]
    holdfast.ok("prune", "--daily", 1, "--keep-where", "stage=best", name)  # an option takes one value
    assert names(holdfast.ok("snapshots", name)) == ["1", "3"]
    holdfast.fails("usage", "prune", name)
    holdfast.fails("usage", "prune", name, "--keep-where", "stage")
    three.kill()
    three.resume(1)
    three.wait_rounds(2)
    holdfast.verify()


def test_note_that_is_being_written_anew(holdfast):
    """Frozen between emptying its file and writing it, a job stands by what it said before."""
    notes = holdfast.store / "jobs/noted/notes"
    real_criu = holdfast.ok("doctor")["criu"]["path"]
    started = holdfast.run_detached("noted", "bash", "-c", 'echo epoch=7 > "$HOLDFAST_NOTE"; exec sleep 1000')
    world.wait_until(notes.read_text, "the note")
    emptier = holdfast.directory / "emptier"
    emptier.write_text(f'#!/bin/sh\ncase "$*" in *dump*) : > {notes};; esac\nexec {real_criu} "$@"\n')
    emptier.chmod(0o755)
    holdfast.checkpoint("noted", env={"HOLDFAST_CRIU": str(emptier)})
    assert notes.read_text() == ""
    assert holdfast.ok("snapshots", "noted")[-1]["annotations"] == {"epoch": "7"}
    holdfast.checkpoint("noted")
    assert holdfast.ok("snapshots", "noted")[-1]["annotations"] == {}
    world.kill_tree(started["pid"], also=[started["supervisor_pid"]])
