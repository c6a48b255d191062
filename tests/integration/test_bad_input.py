"""Bad input gets a clear error of the documented kind, and harms nothing."""
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess

import pytest
import world
from harness import EXIT


@pytest.fixture
def snapshot(subject, holdfast):
    """A job that has one snapshot, and lives."""
    job = subject("process_tree", 2, 4, label="train").run()
    job.checkpoint()
    return job


# What is not a job


def test_pid_that_is_gone(holdfast):
    process = subprocess.Popen(["true"])
    process.wait()
    error = holdfast.fails("not-found", "checkpoint", "--pid", process.pid)
    assert str(process.pid) in error["message"]


def test_pid_of_a_zombie(holdfast):
    process = holdfast.spawn("true")
    world.wait_until(lambda: world.read_status(process.pid).zombie, "it to end")
    error = holdfast.fails("not-found", "checkpoint", "--pid", process.pid)
    assert str(process.pid) in error["message"]


def test_kernel_thread(holdfast):
    if not pathlib.Path("/proc/2/comm").read_text().startswith("kthreadd"):
        pytest.skip("no kernel threads in this pid namespace")
    error = holdfast.fails("unsupported", "checkpoint", "--pid", 2)
    assert "kernel" in error["message"]


def test_itself_and_what_runs_it(holdfast):
    """A shell that asks to be checkpointed by its own child."""
    answer = holdfast.spawn(
        "bash", "-c", f"{holdfast.binary} checkpoint --pid $$ --json; echo status $?", stdout=subprocess.PIPE
    )
    out, _ = answer.communicate(timeout=world.HANG_GUARD_S)
    document, _, status = out.decode().rpartition("status ")
    assert int(status) == EXIT["usage"], out
    assert json.loads(document)["error"]["message"]


@pytest.mark.parametrize("pid", ["0", "-1", "x", "99999999999", "1.5", ""])
def test_what_is_no_pid(pid, holdfast):
    answer = holdfast.run("checkpoint", "--pid", pid, "--json")
    assert answer.status in (EXIT["usage"], EXIT["not-found"]), str(answer)
    assert answer.error["message"]


def test_first_process_of_the_machine(holdfast):
    answer = holdfast.run("checkpoint", "--pid", "1", "--json")
    assert answer.status in (EXIT["usage"], EXIT["unsupported"]), str(answer)
    assert world.is_alive(1)


def test_process_in_another_pid_namespace(holdfast):
    process = holdfast.spawn("unshare", "--pid", "--fork", "--mount-proc", "bash", "-c", "sleep 1000 & wait")
    deep = world.wait_until(lambda: world.tree(process.pid)[2:], "the namespace's processes")[0]
    error = holdfast.fails("unsupported", "checkpoint", "--pid", deep)
    assert "namespace" in error["message"]
    assert world.is_alive(deep)


# What cannot be checkpointed: said per process, before anything happens


def check_refusal(holdfast, job, word):
    answer = holdfast.run("checkpoint", "--pid", job.pid, "--json")
    assert answer.status == EXIT["unsupported"], str(answer)
    text = answer.error["message"] + answer.error.get("hint", "")
    assert word in text and (str(job.pid_inside) in text), text
    job.assert_untouched()
    assert holdfast.ok("ps") == [] or not holdfast.ok("ps")[0]["snapshots"]


def test_io_uring(subject, holdfast):
    check_refusal(holdfast, subject("io_uring_user").spawn(), "io_uring")


@pytest.mark.parametrize("device", ["/dev/kvm", "/dev/fuse", "/dev/loop-control", "/dev/vhost-net", "/dev/mem"])
def test_device(device, subject, holdfast):
    if not os.path.exists(device):
        pytest.skip(f"there is no {device}")
    check_refusal(holdfast, subject("holds_file", device).spawn(), device)


def test_system_v_memory_outside_of_a_namespace(subject, holdfast):
    job = subject("sysv_ipc", "shared").spawn()
    answer = holdfast.run("checkpoint", "--pid", job.pid, "--json")
    if answer.status == 0:
        job.assert_untouched()
        job.kill()
        return
    assert answer.status == EXIT["unsupported"], str(answer)
    assert "ipc" in str(answer.error).lower() or "system v" in str(answer.error).lower(), answer.error
    job.assert_untouched()


def test_traced_process(subject, holdfast):
    if not shutil.which("strace"):
        pytest.skip("there is no strace")
    job = subject("dontfork_region").spawn()
    tracer = holdfast.spawn("strace", "-f", "-o", "/dev/null", "-p", job.pid)
    world.wait_until(lambda: world.tracers([job.pid]), "strace to attach")
    answer = holdfast.run("checkpoint", "--pid", job.pid, "--json")
    assert answer.status in (EXIT["unsupported"], EXIT["busy"], EXIT["criu"]), str(answer)
    assert "trace" in str(answer.error).lower() or "strace" in str(answer.error), answer.error
    assert world.tracers([job.pid]), "strace has lost it"
    world.kill_and_wait([tracer.pid], keep_status=[tracer.pid])
    job.wait_rounds(2)


def test_without_root(subject, holdfast):
    if not shutil.which("setpriv"):
        pytest.skip("there is no setpriv")
    holdfast.store.mkdir()
    holdfast.directory.chmod(0o777)
    store = holdfast.directory / "nobodys"
    job = subject("dontfork_region").spawn()
    process = holdfast.spawn(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", holdfast.binary,
        "checkpoint", "--pid", job.pid, "--json", "--store", store, stdout=subprocess.PIPE,
    )  # fmt: skip
    out, _ = process.communicate(timeout=world.HANG_GUARD_S)
    assert process.returncode == EXIT["permission"], out
    assert json.loads(out)["error"]["kind"] == "permission"
    job.assert_untouched()


# Names


def test_unknown_name_suggests_near_ones(snapshot, holdfast):
    for command in (["checkpoint", "trian"], ["resume", "trian"], ["snapshots", "trian"], ["logs", "trian"], ["rm", "trian"]):
        error = holdfast.fails("not-found", *command)
        assert "trian" in error["message"]
        assert "train" in error["hint"], error
    assert "train" not in holdfast.fails("not-found", "snapshots", "zzzzzzzz").get("hint", "")


def test_unknown_version(snapshot, holdfast):
    for command in ("resume", "inspect", "rm"):
        error = holdfast.fails("not-found", command, "train@7")
        assert "train@7" in error["message"]


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", "a@1", "x" * 300, "a\nb", "-x", "a b"])
def test_names_that_are_none(name, holdfast):
    answer = holdfast.run("run", "--detach", f"--name={name}", "--json", "--", "sleep", "1000")
    if name == "" and answer.status == 0:
        return  # no name: one is made
    assert answer.status == EXIT["usage"], str(answer)
    assert not holdfast.ours()
    assert sorted(path.name for path in holdfast.directory.iterdir()) in ([], ["store"])


def test_name_that_is_taken(snapshot, holdfast):
    error = holdfast.fails("exists", "run", "--detach", "--name", "train", "--", "sleep", "1000")
    assert "train" in error["message"]
    snapshot.assert_untouched()


def test_resume_of_a_job_that_runs(snapshot, holdfast):
    answer = holdfast.run("resume", "train", "--detach", "--json")
    assert answer.status in (EXIT["busy"], EXIT["exists"]), str(answer)
    snapshot.assert_untouched()


def test_program_that_is_not_there(holdfast):
    answer = holdfast.run("run", "--name", "x", "--", "/no/such/program")
    assert answer.status in (127, EXIT["not-found"]), str(answer)
    assert "/no/such/program" in answer.err


def test_wrong_usage(holdfast):
    for words in (["--no-such-option"], ["chekpoint"], ["run"], ["checkpoint"], ["resume"], ["ps", "more"], []):
        error = holdfast.fails("usage", *words)
        assert error["message"]
    assert "checkpoint" in holdfast.fails("usage", "chekpoint")["hint"]


def test_store_that_is_not_there(holdfast):
    answer = holdfast.run("ps", "--json")
    assert answer.status == 0 and answer.json == [] or answer.status == EXIT["not-found"], str(answer)
    assert not holdfast.store.exists(), "a command that only reads has made a store"
    file = holdfast.directory / "file"
    file.write_text("x")
    answer = holdfast.run("run", "--store", file, "--json", "--", "true")
    assert answer.status in EXIT.values() and answer.status != EXIT["internal"], str(answer)
    assert file.read_text() == "x"


# Damage


def stored_files(store, folder):
    return sorted(path for path in (store / folder).rglob("*") if path.is_file() and path.suffix != ".committed")


def test_truth_about_the_store(snapshot, holdfast):
    """Memory holds secrets: nobody else may read any of it."""
    for path in [holdfast.store, *holdfast.store.rglob("*")]:
        mode = path.lstat().st_mode & 0o7777
        assert mode & 0o077 == 0, f"{path} has mode {mode:o}"
        assert path.lstat().st_uid == os.geteuid()


def in_index(segment, at):
    """docs/store-format.md: the trailer, the last 56 bytes, has the index's offset 24 bytes from its start."""
    trailer = len(segment) - 56
    return struct.unpack_from("<Q", segment, trailer + 24)[0] <= at < trailer


@pytest.mark.parametrize("folder", ["segments", "snapshots"])
@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped", "longer", "gone", "symlink", "other-version"])
def test_damage_is_found(folder, damage, snapshot, holdfast, seed):
    """verify says so, resume refuses, nothing starts, nothing crashes."""
    snapshot.kill()
    files = [path for path in stored_files(holdfast.store, folder) if path.stat().st_size]
    assert files, f"nothing in {folder}"
    victim = max(files, key=lambda path: path.stat().st_size)
    whole = victim.read_bytes()
    chance = random.Random(seed)
    if damage == "truncated":
        victim.write_bytes(whole[: chance.randrange(1, len(whole))])
    elif damage == "emptied":
        victim.write_bytes(b"")
    elif damage == "flipped":
        at = chance.randrange(len(whole))
        victim.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
    elif damage == "longer":
        victim.write_bytes(whole + b"\0" * 100)
    elif damage == "gone":
        victim.unlink()
    elif damage == "symlink":
        elsewhere = holdfast.directory / "elsewhere"
        elsewhere.write_bytes(whole)
        victim.unlink()
        victim.symlink_to(elsewhere)
    elif damage == "other-version":
        # The version follows the magic: the first bytes are changed one at a time.
        at = chance.randrange(8, 12)
        victim.write_bytes(whole[:at] + bytes([whole[at] + 1 & 255]) + whole[at + 1 :])
    if damage == "longer" and folder == "segments" and holdfast.run("verify", "--read-data", "--json").status == 0:
        pytest.skip("bytes after the end of a segment are of no consequence")

    answer = holdfast.run("verify", "--read-data", "--json")
    assert answer.status == EXIT["corrupt"], str(answer)
    assert answer.json["ok"] is False and answer.json["problems"], str(answer)
    assert any(victim.name in problem or "train" in problem for problem in answer.json["problems"]), answer.json
    if damage == "flipped" and folder == "segments" and in_index(whole, at):
        snapshot.resume()  # a restart has no use for it, and what it reads is whole
        snapshot.wait_rounds(3)
        return
    answer = holdfast.run("resume", "train", "--detach", "--json")
    assert answer.status in (EXIT["corrupt"], EXIT["not-found"]), str(answer)
    assert not holdfast.ours(), "a damaged job was started"


@pytest.mark.slow
def test_many_flipped_bits(subject, holdfast, seed):
    """Wherever one bit is wrong: found, or of no consequence; never a crash, never a wrong job."""
    job = subject("random_memory", 2, label="train").run()
    job.checkpoint()
    job.kill()
    chance = random.Random(seed)
    files = [*stored_files(holdfast.store, "segments"), *stored_files(holdfast.store, "snapshots")]
    found = 0
    for _ in range(24):
        victim = chance.choice(files)
        whole = victim.read_bytes()
        at, bit = chance.randrange(len(whole)), chance.randrange(8)
        victim.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        holdfast.transcript.append(f"bit {bit} of byte {at} of {victim.name}, which has {len(whole)}")
        answer = holdfast.run("verify", "--read-data", "--json")
        assert answer.status in (0, EXIT["corrupt"]), str(answer)
        found += answer.status != 0
        for command in (["inspect", "train@1", "--all"], ["snapshots", "train"]):
            assert holdfast.run(*command, "--json").status in (0, EXIT["corrupt"]), command
        answer = holdfast.run("resume", "train", "--detach", "--json")
        assert answer.status in (0, EXIT["corrupt"]), str(answer)
        if answer.status == 0:
            job.pid, job.supervisor = answer.json["pid"], answer.json["supervisor_pid"]
            job.wait_rounds(9)  # all of its memory
            job.kill()
        victim.write_bytes(whole)
    assert found > 20, f"only {found} of 24 were found"
    holdfast.verify()


def test_damage_elsewhere_leaves_other_jobs_alone(snapshot, subject, holdfast):
    other = subject("dontfork_region", label="other").run()
    other.checkpoint()
    snapshot.kill()
    for manifest in stored_files(holdfast.store, "snapshots"):
        if "train" in str(manifest.relative_to(holdfast.store)):
            manifest.write_bytes(b"nonsense")
    assert holdfast.run("verify", "--json").status == EXIT["corrupt"]
    other.checkpoint()
    other.kill()
    other.resume()
    other.wait_rounds(2)


def test_damaged_job_record(snapshot, holdfast):
    record = holdfast.store / "jobs/train/job.json"
    for text in ("", "{", "[]", "null", '{"format": 999}', "\0" * 100, "[" * 100000):
        record.write_text(text)
        answer = holdfast.run("ps", "--json")
        assert answer.status in (0, EXIT["corrupt"]), str(answer)[:2000]
        answer = holdfast.run("checkpoint", "train", "--json")
        assert answer.status in (EXIT["corrupt"], EXIT["not-found"]), str(answer)[:2000]
    snapshot.assert_untouched()


def test_restart_with_the_program_gone(subject, holdfast, programs):
    """The executable itself has been replaced: refused with its name, nothing started."""
    folder = holdfast.directory / "bin"
    folder.mkdir()
    shutil.copy(programs / "dontfork_region", folder)
    job = subject("dontfork_region")
    job.command[0] = str(folder / "dontfork_region")
    job.run()
    job.checkpoint()
    job.kill()
    (folder / "dontfork_region").unlink()
    answer = holdfast.run("resume", job.name, "--detach", "--json")
    assert answer.status in EXIT.values() and answer.status not in (EXIT["internal"], 0), str(answer)
    assert "dontfork_region" in answer.error["message"], answer.error
    assert not holdfast.ours()
    shutil.copy(programs / "dontfork_region", folder)
