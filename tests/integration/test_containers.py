"""Containers of runc: checkpointed while they run, and made again as new containers that runc knows as its own."""
import os
import random
import signal
import time

import containers
import pytest
import world
from world import wait_until

MEBIBYTE = 1 << 20


def names_of(pids):
    return {status.name for status in map(world.read_status, pids) if status}


@pytest.fixture
def runc(holdfast):
    containers.require()
    return containers.Runc(holdfast)


@pytest.fixture
def contained(holdfast, runc, programs):
    """contained("name of the program", arguments...)"""

    def make(*command, **options):
        return containers.ContainerSubject(holdfast, runc, programs, *command, **options)

    return make


def test_a_checkpoint_leaves_it_as_it_was_and_the_next_one_stores_what_changed(holdfast, contained):
    subject = contained("random_memory", 48).spawn()
    before = world.tree(subject.pid)
    first = subject.checkpoint()
    subject.wait_rounds()
    second = subject.checkpoint()
    subject.wait_rounds()
    assert world.tree(subject.pid) == before
    holdfast.assert_nothing_left(subject.pid)
    assert first["bytes_stored"] >= 48 * MEBIBYTE
    assert len(first["warnings"]) == 1 and "--files" in first["warnings"][0]  # nothing is mounted from outside
    assert second["bytes_stored"] < MEBIBYTE
    state = subject.runc.state(subject.container)
    assert (state["status"], state["pid"]) == ("running", subject.pid)
    holdfast.verify()


@pytest.mark.parametrize("memory", ["--eager", "--lazy"])
def test_it_goes_on_as_another_container(holdfast, contained, memory):
    subject = contained("random_memory", 48).spawn()
    subject.checkpoint()
    seen = subject.wait_rounds()
    old = subject.container
    subject.kill()
    report = subject.resume(None, memory)
    subject.wait_rounds(10)
    assert subject.round > 0 and seen > 0
    assert report["bytes_restored"] >= 48 * MEBIBYTE
    state = subject.runc.state(subject.container)
    assert (state["status"], state["pid"]) == ("running", subject.pid)
    assert subject.container != old and state["bundle"] == str(subject.bundle.path)
    assert subject.execute("cat", "/proc/1/comm").strip() == "random_memory"
    row = holdfast.row(subject.name)
    assert row["state"] == "running" and row["container"]["id"] == subject.container
    subject.runc.ok("kill", subject.container, "KILL")
    wait_until(lambda: subject.runc.state(subject.container)["status"] == "stopped", "the container to end")
    subject.runc.ok("delete", subject.container)
    wait_until(lambda: holdfast.row(subject.name)["exit_status"] == 128 + signal.SIGKILL, "its exit status")


def test_five_times_there_and_back(holdfast, contained):
    subject = contained("memory_churn", "all", 32).spawn()
    for cycle in range(1, 6):
        subject.wait_rounds()
        assert subject.checkpoint()["snapshot"] == f"{subject.name}@{cycle}"
        subject.wait_rounds()
        subject.kill()
        subject.resume()
        subject.wait_rounds()
        assert subject.execute("echo", "there").strip() == "there"
    holdfast.verify()


@pytest.mark.parametrize("command", ["process_tree 8 4", "tcp_loopback", "shared_memory anonymous 8", "many_threads 8"])
def test_all_of_its_processes_go_on(holdfast, contained, command):
    subject = contained(*command.split()).spawn()
    processes = len(world.tree(subject.pid))
    subject.checkpoint()
    subject.wait_rounds()
    subject.kill()
    subject.resume()
    subject.wait_rounds()
    assert len(world.tree(subject.pid)) >= processes
    subject.checkpoint()
    subject.wait_rounds()
    holdfast.assert_nothing_left(subject.pid, subject.supervisor)


def test_its_connections_come_back_closed_when_that_is_wanted(contained):
    subject = contained("tcp_loopback").spawn()
    subject.checkpoint()
    subject.wait_rounds()
    subject.kill()
    subject.resume(None, "--close-connections")
    wait_until(lambda: subject.said("bad"), "it to find its connection closed")
    assert "recv" in subject.said("bad") or "send" in subject.said("bad")


def test_a_twin_leaves_no_trace_in_the_container(holdfast, contained):
    subject = contained("random_memory", 32).spawn()
    report = subject.checkpoint("--capture", "twin")
    assert report["capture"] == "twin", report
    subject.wait_rounds()
    wait_until(lambda: subject.execute("ls", "/proc").split().count("2") == 0, "the twin to be gone")
    subject.kill()
    subject.resume()
    subject.wait_rounds()


def test_one_over_an_overlay_and_one_of_another_user(holdfast, contained):
    for options in ({"overlay": True}, {"user": 1000}, {"network": "machine"}):
        subject = contained("random_memory", 16, **options).spawn()
        subject.checkpoint()
        subject.wait_rounds()
        subject.kill()
        subject.resume()
        subject.wait_rounds()
        subject.checkpoint()
        subject.wait_rounds()
        subject.kill()


def test_who_is_in_it_by_exec_goes_on_and_is_in_no_snapshot(holdfast, contained, runc):
    subject = contained("random_memory", 4).spawn()
    entered = holdfast.spawn("runc", "--root", runc.root, "exec", subject.container, "/bin/sleep", "600",
                             env={"PATH": containers.with_sbin()["PATH"]})
    wait_until(lambda: subject.execute("ls", "/proc").split().count("1"), "exec to work")
    subject.checkpoint()
    subject.wait_rounds()
    assert entered.poll() is None
    assert len(holdfast.ok("inspect", subject.name)["processes"]) == 1
    subject.kill()
    entered.wait(world.HANG_GUARD_S)
    subject.resume()
    subject.wait_rounds()


def test_a_checkpoint_killed_at_random_moments_leaves_the_container_as_it_was(holdfast, contained, seed):
    chance = random.Random(seed)
    subject = contained("random_memory", 32).spawn()
    seconds = []
    for _ in range(2):
        began = time.monotonic()
        subject.checkpoint()
        seconds.append(time.monotonic() - began)
    for _ in range(8):
        process = holdfast.start("checkpoint", subject.name)
        time.sleep(chance.uniform(0, max(seconds)))
        process.kill()
        process.wait(world.HANG_GUARD_S)
        wait_until(lambda: not holdfast.strangers(subject.pid), "what was started to end")
        subject.wait_rounds()
        assert subject.runc.state(subject.container)["status"] == "running"
    subject.checkpoint()
    subject.wait_rounds()
    holdfast.assert_nothing_left(subject.pid)
    holdfast.verify()


def test_a_restart_killed_at_random_moments_leaves_no_half_container(holdfast, contained, runc, seed):
    chance = random.Random(seed)
    subject = contained("random_memory", 32).spawn()
    subject.checkpoint()
    subject.kill()
    began = time.monotonic()
    subject.resume(None, "--eager")
    seconds = time.monotonic() - began
    subject.wait_rounds()
    subject.kill()
    for _ in range(6):
        bundle, container = subject.make_bundle(), runc.new_id()
        where = ("--container", container, "--bundle", bundle.path, "--runc-root", runc.root)
        process = holdfast.start("resume", subject.name, "--eager", *where)
        time.sleep(chance.uniform(0, seconds))
        process.kill()
        process.wait(world.HANG_GUARD_S)
        wait_until(lambda: "runc" not in names_of(holdfast.ours()), "runc to end")
        if container in runc.names() and runc.state(container)["status"] == "running":
            subject.use(bundle)  # it was there already
            subject.wait_rounds()
        runc.run("delete", "--force", container)
        wait_until(lambda: not holdfast.ours(), "what was started to end")
    subject.resume()
    subject.wait_rounds()


def test_stopped_after_a_snapshot_it_loses_nothing(holdfast, contained):
    subject = contained("random_memory", 8).spawn()
    subject.checkpoint("--stop")
    wait_until(lambda: subject.runc.state(subject.container)["status"] == "stopped", "the container to end")
    assert holdfast.row(subject.name)["state"] == "checkpointed"
    subject.runc.ok("delete", subject.container)
    subject.resume()
    subject.wait_rounds()


def test_its_supervisor_takes_snapshots_of_the_container(holdfast, contained):
    subject = contained("slow_writer", 64).spawn()
    subject.checkpoint()
    subject.kill()
    subject.resume(None, "--every", "0.5s")
    wait_until(lambda: holdfast.row(subject.name)["snapshots"] >= 3, "snapshots by its supervisor")
    subject.wait_rounds()
    manifest = holdfast.ok("inspect", subject.name)
    assert any(image["name"] == "descriptors.json" for image in manifest["images"])


def test_a_directory_and_open_files_go_along(holdfast, runc, programs):
    """What is open for writing, and what --files names; nothing of what others mount into it."""
    script = "exec 3>>/data/log; echo one >&3; mkdir -p /data/sub; echo kept >/data/sub/file; echo ready >/work/ready; " \
             "while sleep 0.05; do echo line >>/host/log; done"
    host = holdfast.directory / "host"
    host.mkdir()

    def bundle():
        return containers.Bundle(holdfast, programs, ("/bin/sh", "-c", script), mounts=[(host, "/host")])

    first = bundle()
    (first.rootfs / "bin/mkdir").symlink_to("busybox")
    container = runc.start(first)
    wait_until((first.work / "ready").exists, "the container to be ready")
    where = ("--container", container, "--runc-root", runc.root)
    holdfast.fails("usage", "checkpoint", *where, "--files", "/host")
    holdfast.fails("not-found", "checkpoint", *where, "--files", "/nowhere")
    holdfast.fails("usage", "checkpoint", *where, "--files", "/proc")
    report = holdfast.checkpoint(*where, "--name", "files", "--files", "/data")
    assert any("/host" in warning for warning in report["warnings"])
    (first.rootfs / "data/log").write_text("one\ntwo\n")
    (first.rootfs / "data/sub/file").write_text("changed")
    runc.kill(container)
    on_host = (host / "log").read_bytes()

    second = bundle()
    again = runc.new_id()
    (second.rootfs / "data/stranger").write_text("came later")
    holdfast.resume("files", "--container", again, "--bundle", second.path, "--runc-root", runc.root)
    assert (second.rootfs / "data/log").read_text() == "one\n"
    assert (second.rootfs / "data/sub/file").read_text() == "kept\n"
    assert not (second.rootfs / "data/stranger").exists()
    assert (first.rootfs / "data/sub/file").read_text() == "changed"
    wait_until(lambda: (host / "log").stat().st_size > len(on_host), "the container to go on writing")
    assert (host / "log").read_bytes().startswith(on_host)
    assert not (second.rootfs / "host/log").exists()


def test_a_symbolic_link_in_the_root_file_system_leads_nowhere_else(holdfast, runc, programs):
    script = "exec 3>>/data/log; echo one >&3; echo ready >/work/ready; while sleep 0.05; do :; done"
    first = containers.Bundle(holdfast, programs, ("/bin/sh", "-c", script))
    container = runc.start(first)
    wait_until((first.work / "ready").exists, "the container to be ready")
    holdfast.checkpoint("--container", container, "--runc-root", runc.root, "--name", "linked")
    runc.kill(container)
    second = containers.Bundle(holdfast, programs, ("/bin/sh", "-c", script))
    outside = holdfast.directory / "outside"
    outside.mkdir()
    (second.rootfs / "data").rmdir()
    (second.rootfs / "data").symlink_to(outside)
    where = ("--container", runc.new_id(), "--bundle", second.path, "--runc-root", runc.root)
    holdfast.fails("unsupported", "resume", "linked", "--detach", *where)
    assert os.listdir(outside) == [] and runc.names() == []


def test_what_it_writes_is_logged_and_its_exit_status_is_told(holdfast, runc, programs):
    script = "i=0; while [ ! -e /work/end ]; do echo line $i; i=$((i+1)); sleep 0.05; done; echo last; exit 7"
    first = containers.Bundle(holdfast, programs, ("/bin/sh", "-c", script))
    reader, writer = os.pipe()
    container = runc.start(first, output=writer)
    os.close(writer)
    with os.fdopen(reader) as lines:
        assert lines.readline() == "line 0\n"
        holdfast.checkpoint("--container", container, "--runc-root", runc.root, "--name", "talks")
        runc.kill(container)
    second = containers.Bundle(holdfast, programs, ("/bin/sh", "-c", script))
    where = ("--container", runc.new_id(), "--bundle", second.path, "--runc-root", runc.root)
    process = holdfast.start("resume", "talks", *where, output="talks.out")
    wait_until(lambda: process.output.read_text().count("line") >= 3, "its output")
    # Once more: its streams are pipes, which can be checkpointed.
    holdfast.checkpoint("talks")
    (second.work / "end").touch()
    assert process.wait(world.HANG_GUARD_S) == 7
    assert process.output.read_text().splitlines()[-1] == "last"


def test_a_container_of_runcs_default_place_is_found(holdfast, contained, runc):
    runc.root = "/run/runc"
    subject = contained("random_memory", 4).spawn()
    report = holdfast.checkpoint("--container", subject.container)
    assert report["snapshot"] == f"{subject.container}@1"
    assert holdfast.row(subject.container)["state"] == "unsupervised"
    assert holdfast.checkpoint(subject.container)["snapshot"] == f"{subject.container}@2"


def test_what_cannot_be_is_said(holdfast, contained, runc, subject):
    target = contained("random_memory", 4).spawn()
    where = ("--runc-root", runc.root)
    holdfast.fails("not-found", "checkpoint", "--container", "hf-test-nobody")
    holdfast.fails("not-found", "checkpoint", "--container", "hf-test-nobody", *where)
    holdfast.fails("usage", "checkpoint", "--container", "../x", *where)
    holdfast.fails("usage", "checkpoint", "--container", "x", "--pid", 1)
    runc.ok("pause", target.container)
    holdfast.fails("unsupported", "checkpoint", "--container", target.container, *where)
    runc.ok("resume", target.container)
    target.checkpoint()
    target.wait_rounds()

    place = ("--container", runc.new_id(), "--bundle", target.make_bundle().path, *where)
    holdfast.fails("exists", "resume", target.name, *place)  # it runs
    holdfast.fails("unsupported", "rollback", f"{target.name}@1")
    holdfast.fails("unsupported", "clone", f"{target.name}@1", "--name", "twice")
    target.wait_rounds()
    target.kill()
    holdfast.fails("usage", "resume", target.name)
    holdfast.fails("usage", "resume", target.name, "--container", "x")
    holdfast.fails("not-found", "resume", target.name, "--container", "x", "--bundle", "/nowhere")
    other = contained("random_memory", 4).spawn()
    taken = ("--container", other.container, "--bundle", target.make_bundle().path, *where)
    holdfast.fails("exists", "resume", target.name, *taken)
    other.wait_rounds()  # and is none the worse for it
    job = subject("random_memory", 4).run()
    job.checkpoint()
    job.kill()
    holdfast.fails("usage", "resume", job.name, *place)


def test_a_damaged_store_makes_no_container(holdfast, contained, runc):
    subject = contained("random_memory", 16).spawn()
    subject.checkpoint()
    subject.kill()
    for segment in (holdfast.store / "segments").iterdir():
        with open(segment, "r+b") as file:
            middle = segment.stat().st_size // 2
            file.seek(middle)
            byte = file.read(1)
            file.seek(middle)
            file.write(bytes([byte[0] ^ 0xFF]))
    place = ("--container", runc.new_id(), "--bundle", subject.make_bundle().path, "--runc-root", runc.root)
    holdfast.fails("corrupt", "resume", subject.name, "--detach", "--eager", *place)
    assert runc.names() == []
    assert not holdfast.ours()


def test_a_process_is_found_by_its_name(holdfast, subject):
    one = subject("random_memory", 4)
    name = f"hf{one.name[-6:]}"
    os.symlink(one.command[0], holdfast.directory / name)
    one.command[0] = str(holdfast.directory / name)
    one.spawn()
    holdfast.fails("not-found", "checkpoint", "--name-match", "hf-no-such")
    assert holdfast.checkpoint("--name-match", name, "--name", "found")["snapshot"] == "found@1"
    one.wait_rounds()
    two = subject("random_memory", 4)
    two.command[0] = one.command[0]
    two.spawn()
    message = holdfast.fails("exists", "checkpoint", "--name-match", name)["message"]
    assert str(one.pid) in message and str(two.pid) in message
