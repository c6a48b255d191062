"""holdfast-runtime with a store: the container of a pod that is stopped goes on in the pod that replaces it."""
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import uuid

import pods
import pytest
import world
from pods import KILLED, Pod
from world import wait_until

CYCLES = 5
ENDED_BY_TERM = 7  # counts_aloud's own


@pytest.fixture
def node(holdfast, programs):
    with pods.node(holdfast, programs) as made:
        yield made


def stopped(pid):
    status = world.read_status(pid)
    return status is not None and status.state == "T"


def stop_with_snapshot(pod):
    """TERM; the last number it counted."""
    said = pod.kill()
    assert (said["did"], said["verdict"]) == ("done", "takes"), said
    assert pod.exit_status() == KILLED
    pod.delete()
    counted, also = pod.out.numbers("out"), pod.err.numbers("err")
    assert counted in (also, [*also, counted[-1]]) and not pod.bad()  # it may be stopped between the two
    return counted[-1]


def test_a_replacement_goes_on_where_it_stood(node):
    pod = Pod(node)
    said = pod.create()
    assert (said["did"], said["detail"]) == ("passed through", "no snapshot was published for its identity yet")
    pod.start().wait_counts()
    assert pod.out.numbers("out")[0] == 1
    for cycle in range(CYCLES):
        last = stop_with_snapshot(pod)
        lease = node.lease()
        assert lease["state"] == "free" and lease["snapshot"].endswith(f"@{cycle + 1}"), lease
        pod = Pod(node)
        said = pod.create()
        assert said["did"] == "done" and lease["snapshot"] in said["detail"], said
        assert stopped(pod.pid) and pod.out.lines == [], "it runs before it is started"
        lease = node.lease()
        assert lease["state"] == "held" and pod.id in lease["holder"] and lease["snapshot"] == "", lease
        pod.start()
        counted = pod.wait_counts()
        assert counted[0] == last + 1, "it did not go on where it stood"
        assert pod.state() == "running"
        assert pod.ok("exec", pod.id, "/bin/echo", "it", "answers") == "it answers\n"
        assert pod.verb("start", pod.id).returncode != 0, "it is started already"
    assert pod.kill("KILL")["did"] == "passed through"
    assert pod.exit_status() == KILLED
    pod.delete()
    assert pod.verb("state", pod.id).returncode != 0
    assert node.lease()["state"] == "free"
    last = Pod(node).run()
    assert last.wait_counts()[0] == 1, "it went on with what another one has gone on with"
    last.kill("KILL")
    last.exit_status()
    last.delete()
    node.holdfast.verify()
    node.holdfast.assert_nothing_left(0, at_once=False)


def test_a_restart_within_its_pod_is_a_fresh_start(node):
    """The kubelet asks a container that does not answer its probes to stop, as it does one whose pod is deleted."""
    first = Pod(node).run()
    first.wait_counts()
    stop_with_snapshot(first)
    again = Pod(node, **{"io.kubernetes.cri.sandbox-uid": first.uid})
    said = again.create()
    assert said["did"] == "passed through" and "in this very pod" in said["detail"], said
    assert again.start().wait_counts()[0] == 1
    last = stop_with_snapshot(again)
    assert Pod(node).run().wait_counts()[0] == last + 1


def test_it_exits_with_its_own_status(node):
    pod = Pod(node).run()
    pod.wait_counts()
    stop_with_snapshot(pod)
    pod = Pod(node).run()
    pod.wait_counts()
    os.kill(pod.pid, 15)
    assert pod.exit_status() == ENDED_BY_TERM


def test_a_large_one_goes_on_before_its_memory_is_back(node):
    pod = Pod(node, 200).run()
    pod.wait_counts()
    for _ in range(2):
        last = stop_with_snapshot(pod)
        pod = Pod(node, 200).run()
        assert pod.wait_counts()[0] == last + 1


@pytest.mark.parametrize("command", ["many_threads 16", "process_tree 4 2", "memory_churn all 48", "slow_writer 64", "signal_state"])
def test_whatever_runs_in_it_goes_on(node, command):
    """Threads, children and writes: all of it stands still at once, and goes on at once."""
    program, *arguments = command.split()
    pod = Pod(node, *arguments, program=program).run()
    wait_until(lambda: pod.rounds() >= 3, "some rounds")
    for _ in range(3):
        said = pod.kill()
        assert said["did"] == "done", said
        assert pod.exit_status() == KILLED
        pod.delete()
        reached = pod.rounds()
        pod = Pod(node, *arguments, program=program).run()
        wait_until(lambda: pod.rounds() >= reached + 3, lambda: f"rounds after {reached}: {pod.rounds()}")


def test_a_checkpoint_that_is_cut_off_lets_it_go_on(node):
    """Its container stands still by then: it must hear the signal all the same."""
    cut = 0
    for _ in range(12):
        pod = Pod(node, 30).run()
        pod.wait_counts()
        killing = node.start_runtime("kill", pod.id, "TERM")
        wait_until(lambda: stopped(pod.pid) or killing.poll() is not None, "the container to stand still", interval=0.001)
        for pid in node.holdfast.ours():
            if world.read_status(pid).name == "holdfast" and b"kill" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGTERM)
        assert killing.wait(world.HANG_GUARD_S) == 0
        said = node.decisions()[-1]
        assert pod.exit_status() == (KILLED if said["did"] == "done" else ENDED_BY_TERM), said
        cut += said["did"] == "passed through"
        pod.delete()
        if cut == 2:
            return
    if not cut:
        pytest.skip("every checkpoint was too quick to be cut off")


def test_a_create_waits_for_the_last_snapshot_of_its_predecessor(node):
    first = Pod(node, 300).run()
    first.wait_counts()
    killing = threading.Thread(target=first.kill)
    killing.start()
    wait_until(lambda: node.lease()["token"] >= 2, "the kill to have begun")
    second = Pod(node, 300)
    said = second.create()
    killing.join()
    assert first.exit_status() == KILLED
    assert said["did"] == "done", said
    last = first.out.numbers("out")[-1]
    assert second.start().wait_counts()[0] == last + 1
    first.delete()
    assert node.lease()["state"] == "held", "the first one's delete took the second one's identity"


def test_a_delete_waits_for_the_snapshot_to_be_published(node):
    """A shim deletes a container as soon as it has ended, and `kill` may not have returned by then."""
    for _ in range(3):
        pod = Pod(node).run()
        pod.wait_counts()
        killing = threading.Thread(target=pod.kill)
        killing.start()
        assert pod.exit_status() == KILLED
        pod.delete()
        killing.join()
        assert node.lease()["state"] == "free" and node.lease()["snapshot"], node.decisions()


def test_a_kill_goes_on_without_its_engine(node):
    """A shim that is killed takes the runtime with it; what that has begun is completed."""
    pod = Pod(node, 200).run()
    pod.wait_counts()
    killing = node.start_runtime("kill", pod.id, "TERM")
    wait_until(lambda: node.lease()["token"] >= 2, "the kill to have begun")
    killing.kill()
    killing.wait()
    assert pod.exit_status() == KILLED
    wait_until(lambda: node.lease()["state"] == "free", "the snapshot to be published")
    pod.delete()
    assert Pod(node, 200).run().wait_counts()[0] == pod.out.numbers("out")[-1] + 1


def test_a_create_that_is_killed_leaves_nothing_and_the_next_one_goes_on(node):
    """The kubelet waits two minutes for a create, and tries again with another id."""
    pod = Pod(node, 200).run()
    pod.wait_counts()
    last = stop_with_snapshot(pod)
    for _ in range(3):
        cut = Pod(node, 200)
        creating = cut.start_create()
        wait_until(lambda: cut.id in node.lease()["holder"] or creating.poll() is not None, "the identity to be taken")
        creating.kill()
        creating.wait()
        wait_until(lambda: not any(world.read_status(pid).name == "holdfast" for pid in node.holdfast.ours()), "the helper to end")
        node.runtime("delete", "--force", cut.id, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pod = Pod(node, 200).run()
    assert pod.wait_counts()[0] == last + 1, node.decisions()


def test_two_never_run_from_one_snapshot(node):
    """Who waits in vain starts cold, and its memory is nobody's."""
    node.configure(wait=1)
    pod = Pod(node).run()
    pod.wait_counts()
    stop_with_snapshot(pod)
    first, second = Pod(node).run(), Pod(node)
    first.wait_counts()
    said = second.create()
    assert said["did"] == "passed through" and first.id in said["detail"], said
    assert second.start().wait_counts()[0] == 1
    said = second.kill()
    assert said["did"] == "passed through" and "does not hold its identity" in said["detail"], said
    assert second.exit_status() == ENDED_BY_TERM
    second.delete()
    assert first.id in node.lease()["holder"] and node.lease()["state"] == "held"
    last = stop_with_snapshot(first)
    assert Pod(node).run().wait_counts()[0] == last + 1
    assert len(node.snapshots()) == 2


def test_another_template_starts_cold(node):
    pod = Pod(node).run()
    pod.wait_counts()
    last = stop_with_snapshot(pod)
    assert Pod(node, template="7b21").run().wait_counts()[0] == 1
    assert Pod(node, slot="1").run().wait_counts()[0] == 1
    assert Pod(node).run().wait_counts()[0] == last + 1


def damage_segments(store):
    for path in store.rglob("*"):
        if path.is_file() and path.parent.name != "snapshots" and "segment" in str(path.relative_to(store)):
            size = path.stat().st_size
            with open(path, "r+b") as file:
                file.seek(size // 4)
                file.write(bytes(size // 2))


def damage_manifests(store):
    for path in store.rglob("*.manifest"):
        os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [damage_segments, damage_manifests])
def test_a_damaged_snapshot_is_left_and_it_starts_cold(node, damage):
    pod = Pod(node).run()
    pod.wait_counts()
    stop_with_snapshot(pod)
    newest = node.lease()["snapshot"]
    damage(node.holdfast.store)
    pod = Pod(node)
    said = pod.create()
    assert said["did"] == "passed through" and f"not restarted from {newest}: " in said["detail"], said
    assert pod.start().wait_counts()[0] == 1
    assert node.lease()["snapshot"] == newest and pod.id in node.lease()["holder"]
    assert not pod.bad()


def check_signal_arrives(node, pod, why):
    said = pod.kill()
    assert said["did"] == "passed through" and why in said["detail"], said
    assert pod.exit_status() == ENDED_BY_TERM
    pod.delete()
    assert node.lease()["state"] == "free"
    assert node.snapshots() == []


def test_a_checkpoint_that_is_too_late_lets_the_signal_through(node):
    pod = Pod(node).run()
    pod.wait_counts()
    node.configure(deadline=0)
    check_signal_arrives(node, pod, "within the deadline")


def test_a_checkpoint_that_fails_lets_the_signal_through(node):
    pod = Pod(node).run()
    pod.wait_counts()
    full = node.holdfast.store / "snapshots"
    shutil.rmtree(full, ignore_errors=True)
    full.write_text("no directory")
    try:
        said = pod.kill()
    finally:
        full.unlink()
    assert said["did"] == "passed through", said
    assert pod.exit_status() == ENDED_BY_TERM


@pytest.mark.parametrize("program", ["/bin/false", "/no/such/program", "/bin/cat"])
def test_a_holdfast_that_does_not_work_changes_nothing(node, program):
    node.configure(holdfast=program)
    pod = Pod(node)
    said = pod.create()
    assert said["did"] == "passed through" and "without an answer" in said["detail"], said
    pod.start().wait_counts()
    assert pod.kill()["did"] == "passed through"
    assert pod.exit_status() == ENDED_BY_TERM
    pod.delete()


def test_one_that_was_never_started_leaves_the_snapshot(node):
    pod = Pod(node).run()
    pod.wait_counts()
    last = stop_with_snapshot(pod)
    newest = node.lease()["snapshot"]
    pod = Pod(node)
    pod.create()
    assert pod.kill()["did"] == "done"
    assert pod.exit_status() == KILLED and pod.out.lines == []
    pod.delete()
    assert node.lease()["state"] == "free" and node.lease()["snapshot"] == newest
    assert Pod(node).run().wait_counts()[0] == last + 1


def test_a_holder_that_just_vanished_is_not_waited_for(node):
    """Its node's runtime was told nothing: killed, and its state removed behind everybody's back."""
    pod = Pod(node).run()
    pod.wait_counts()
    os.kill(pod.pid, 9)
    assert pod.exit_status() == KILLED
    assert node.lease()["state"] == "held"
    said = Pod(node).create()
    assert said["detail"] == "no snapshot was published for its identity yet"


def test_the_holder_of_a_lost_node_is_waited_for_and_then_replaced(node):
    pod = Pod(node).run()
    pod.wait_counts()
    wait_until(lambda: node.lease()["beat"] >= 1, "the lease to be renewed")
    for keeper in node.keepers():
        os.kill(keeper, signal.SIGKILL)
    # As if it were on another machine, which nobody hears of any more.
    lease = node.lease()
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    node.write_lease({**lease, "node": "elsewhere", "holder": lease["holder"].replace(boot, str(uuid.uuid4())), "time_to_live_ms": 2000})
    second = Pod(node)
    assert second.create()["detail"] == "no snapshot was published for its identity yet"
    assert second.id in node.lease()["holder"] and node.lease()["token"] > lease["token"]
    said = pod.kill()
    assert said["did"] == "passed through" and "does not hold its identity" in said["detail"], said
    assert pod.exit_status() == ENDED_BY_TERM
    second.start().wait_counts()
    stop_with_snapshot(second)
    wait_until(lambda: not node.keepers(), "the keepers to end")


def test_delete_by_force_frees_the_identity(node):
    pod = Pod(node).run()
    pod.wait_counts()
    pod.ok("delete", "--force", pod.id)
    assert pod.exit_status() == KILLED
    assert node.lease()["state"] == "free"


def test_files_that_the_pod_names_go_along(node):
    pod = Pod(node, **{"holdfast.dev/files": "/data"}).run()
    pod.wait_counts()
    pod.ok("exec", pod.id, "/bin/sh", "-c", "echo kept >/data/file")
    stop_with_snapshot(pod)
    pod = Pod(node, **{"holdfast.dev/files": "/data"}).run()
    assert pod.ok("exec", pod.id, "/bin/cat", "/data/file") == "kept\n"


@pytest.mark.parametrize("missing", ["holdfast.dev/owner-uid", "holdfast.dev/template-hash", "holdfast.dev/slot"])
def test_a_pod_without_an_identity_is_only_passed_through(node, missing):
    pod = Pod(node)
    config = pathlib.Path(pod.bundle.path, "config.json")
    config.write_text(config.read_text().replace(missing, "other/key"))
    said = pod.create()
    assert (said["did"], said["detail"]) == ("passed through", f"{missing} is missing")
    pod.start().wait_counts()
    assert pod.kill()["detail"] == f"{missing} is missing"
    assert pod.exit_status() == ENDED_BY_TERM
    assert not node.holdfast.store.exists()


def test_one_that_did_not_ask_costs_nothing(node):
    pod = Pod(node, opted_in=False)
    assert pod.create() is None
    pod.start().wait_counts()
    pod.ok("kill", pod.id, "TERM")
    assert pod.exit_status() == ENDED_BY_TERM
    pod.delete()
    assert not node.holdfast.store.exists() and not node.log.exists()


def test_without_a_store_nothing_is_taken(node):
    node.configure(store="")
    pod = Pod(node).run()
    pod.wait_counts()
    assert pod.kill()["did"] == "passed through"
    assert pod.exit_status() == ENDED_BY_TERM
    assert not node.holdfast.store.exists()
