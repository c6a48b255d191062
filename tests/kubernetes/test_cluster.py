"""hack/cluster makes what a cluster is, two stand beside each other, and nothing is left of one that was."""
import os
import pathlib
import signal
import subprocess

import pytest
from cluster import (
    EXIT_INTERRUPTED,
    ROOT,
    UP_GUARD_S,
    condition,
    deployment,
    mounts_with,
    namespaces,
    process,
    processes_of,
    remains,
    sysctls,
    wait_until,
)

DAEMONS = {"etcd", "apiserver", "controller-manager", "scheduler", "containerd-a", "containerd-b", "kubelet-a", "kubelet-b"}
SAYS_AND_SLEEPS = ["sh", "-c", "echo node $HOSTNAME speaks; exec sleep 100000"]


@pytest.fixture
def deployed(kubernetes):
    """deployed(NAME, COMMAND, ...): a Deployment for one test."""
    made = []

    def deploy(name, *arguments, **options):
        made.append(name)
        kubernetes.apply(deployment(name, *arguments, **options))

    yield deploy
    for name in made:
        kubernetes.kubectl("delete", "deployment", name, "--cascade=foreground", "--timeout=120s")


def assert_gone(processes):
    # Not by their namespaces: the numbers of these may be others' by now.
    assert not [each for each in processes if process(each.pid) == each]


def node_of(pod):
    return pod["spec"]["nodeName"]


def test_both_nodes_are_ready(kubernetes):
    nodes = kubernetes.get("nodes")["items"]
    assert {node["metadata"]["name"] for node in nodes} == {"node-a", "node-b"}
    for node in nodes:
        assert condition(node, "Ready") == "True", node
        assert node["status"]["nodeInfo"]["kubeletVersion"] == kubernetes.kubectl("version", "-o", "json").split('"gitVersion": "')[1].split('"')[0]
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")


def test_status_tells_what_runs(kubernetes):
    status = kubernetes.status()
    assert (status["name"], status["up"]) == (kubernetes.name, True)
    assert {each["name"] for each in status["processes"]} == DAEMONS
    for each in status["processes"]:
        assert each["running"] and process(each["pid"]) and pathlib.Path(each["log"]).exists(), each
    assert [(node["name"], node["ready"]) for node in status["nodes"]] == [("node-a", True), ("node-b", True)]
    assert f"cluster {kubernetes.name} is up" in kubernetes.ok("status")
    # The kubeconfig is of use to any client in the network.
    assert "node-b" in kubernetes.ok("on", "control", "kubectl", "--kubeconfig", status["kubeconfig"], "get", "nodes")


def test_pods_run_on_each_node_and_reach_each_other(kubernetes, deployed):
    deployed("pair", ["sh", "-c", "mkdir /www; hostname >/www/name; exec httpd -f -p 8080 -h /www"], replicas=2)
    pods = kubernetes.running_pods("pair", 2)
    assert {node_of(pod) for pod in pods} == {"node-a", "node-b"}
    for asking, asked in (pods, pods[::-1]):
        name, address = asked["metadata"]["name"], asked["status"]["podIP"]
        wait = f"until wget -q -O - http://{address}:8080/name; do sleep 0.2; done"
        assert kubernetes.kubectl("exec", asking["metadata"]["name"], "--", "sh", "-c", wait).strip() == name


def test_a_pod_reaches_the_api_as_its_environment_says(kubernetes, deployed):
    deployed("asks", ["sleep", "100000"])
    (pod,) = kubernetes.running_pods("asks")
    kubernetes.kubectl("exec", pod["metadata"]["name"], "--", "sh", "-c", "nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null")


def test_logs_and_exec(kubernetes, deployed):
    deployed("talks", SAYS_AND_SLEEPS, replicas=2)
    for pod in kubernetes.running_pods("talks", 2):
        name = pod["metadata"]["name"]
        assert kubernetes.kubectl("logs", name) == f"node {name} speaks\n"
        assert kubernetes.kubectl("exec", name, "--", "sh", "-c", "echo $((6 * 7)); ps | grep -c '[s]leep'") == "42\n1\n"
        failed = kubernetes.run("kubectl", "exec", name, "--", "sh", "-c", "exit 3")
        assert failed.returncode == 3, failed


def test_a_pod_of_the_runtime_class_runs(kubernetes, deployed):
    deployed("special", SAYS_AND_SLEEPS, runtimeClassName="holdfast")
    (pod,) = kubernetes.running_pods("special")
    node = node_of(pod).removeprefix("node-")
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    assert "holdfast" in kubernetes.ok("on", node, "grep", "-A4", "runtimes.holdfast", "/etc/containerd/config.toml")
    assert container in kubernetes.ok("ctr", node, "tasks", "ls")


def test_a_drained_node_moves_its_pods(kubernetes, deployed):
    deployed("moves", SAYS_AND_SLEEPS)
    (before,) = kubernetes.running_pods("moves")
    try:
        kubernetes.kubectl("drain", node_of(before), "--ignore-daemonsets", "--delete-emptydir-data", "--force")
        (after,) = kubernetes.running_pods("moves")
        assert node_of(after) != node_of(before)
    finally:
        kubernetes.kubectl("uncordon", node_of(before))


def test_a_node_that_is_cut_off_is_seen(kubernetes):
    port = ["ip", "-n", kubernetes.status()["networks"]["control"], "link", "set", "port-b"]
    subprocess.run([*port, "down"], check=True)
    try:
        wait_until(lambda: condition(kubernetes.get("node", "node-b"), "Ready") == "Unknown", "node-b seems reachable")
        assert kubernetes.is_ready("node-a")
        assert kubernetes.run("status").returncode == 1
        assert [(node["name"], node["ready"]) for node in kubernetes.status()["nodes"]] == [("node-a", True), ("node-b", False)]
    finally:
        subprocess.run([*port, "up"], check=True)
    wait_until(lambda: kubernetes.is_ready("node-b"), "node-b does not come back")


def test_a_node_has_files_of_its_own(kubernetes):
    path = f"/etc/containerd/conf.d/{kubernetes.name}"
    kubernetes.ok("on", "a", "sh", "-c", f"mkdir -p /etc/containerd/conf.d && touch {path}")
    assert kubernetes.run("on", "b", "test", "-e", path).returncode == 1
    assert not os.path.exists(path)
    kubernetes.ok("on", "a", "rm", path)


def test_an_image_of_ones_own(kubernetes, deployed, tmp_path):
    (tmp_path / "greeting").write_text("good morning\n")
    archives = [tmp_path / "first.tar", tmp_path / "second.tar"]
    for archive in archives:
        make = [ROOT / "hack/make-image", "--file", "/bin/busybox:/bin/sh", "--file", f"{tmp_path}/greeting:/etc/greeting"]
        make += ["--env", 'WHO="me"', "localhost/greets:1", archive, "--", "/bin/sh", "-c", "read line </etc/greeting; echo $line, $WHO; sleep 100000"]
        subprocess.run(make, check=True)
    assert archives[0].read_bytes() == archives[1].read_bytes()
    kubernetes.ok("load", archives[0])
    own = deployment("greets", [], replicas=2)
    del own["spec"]["template"]["spec"]["containers"][0]["command"]
    own["spec"]["template"]["spec"]["containers"][0]["image"] = "localhost/greets:1"
    deployed("greets", [], replicas=0)  # which the next replaces
    kubernetes.apply(own)
    for pod in kubernetes.running_pods("greets", 2):
        assert kubernetes.kubectl("logs", pod["metadata"]["name"]) == 'good morning, "me"\n'


def test_up_again_changes_nothing(kubernetes):
    before = kubernetes.processes(), kubernetes.get("node", "node-a")["metadata"]["uid"]
    kubernetes.ok("up", seconds=UP_GUARD_S)
    assert (kubernetes.processes(), kubernetes.get("node", "node-a")["metadata"]["uid"]) == before


def test_up_mends_what_has_ended(kubernetes, deployed):
    deployed("stays", SAYS_AND_SLEEPS)
    (before,) = kubernetes.running_pods("stays")
    pids = kubernetes.processes()
    for name in ("kubelet-a", "scheduler"):
        os.kill(pids[name], signal.SIGKILL)
    wait_until(lambda: DAEMONS - set(kubernetes.processes()) == {"kubelet-a", "scheduler"}, "they still run")
    assert kubernetes.run("status").returncode == 1
    kubernetes.ok("up", seconds=UP_GUARD_S)
    again = kubernetes.processes()
    assert {name for name in DAEMONS if again[name] != pids[name]} == {"kubelet-a", "scheduler"}
    (after,) = kubernetes.running_pods("stays")
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]


def test_two_stand_beside_each_other_and_nothing_is_left_of_one(kubernetes, another):
    ups = [another.start("up"), another.start("up")]  # at once: they take turns
    for up in ups:
        output, _ = up.communicate(timeout=UP_GUARD_S)
        assert up.returncode == 0, output
    assert sysctls() == another.sysctls_before, "the machine's settings have changed"
    another.apply(deployment("pair", SAYS_AND_SLEEPS, replicas=2))
    another.running_pods("pair", 2)
    assert kubernetes.pods("pair") == []
    shell = another.start("on", "a", "sh", "-c", "sleep 100000 & wait")  # whoever is in a node goes with it
    inside = namespaces(another)
    wait_until(lambda: any(each.pid == shell.pid for each in processes_of(another, inside)), "the shell is not in the node")
    before = processes_of(another, inside)
    assert DAEMONS & {name for name in another.processes()} == DAEMONS
    another.ok("ctr", "b", "run", "--detach", "localhost/busybox:1", another.name, "sleep", "100000")  # not by Kubernetes
    before |= {process(another.ok("ctr", "b", "tasks", "ls").split(another.name)[1].split()[0])}
    assert len([each for each in before if each.name == "sleep"]) >= 4, before
    assert mounts_with(another.name) and remains(another)

    another.ok("down")
    assert_gone(before)
    assert not mounts_with(another.name)
    assert not remains(another)
    assert sysctls() == another.sysctls_before
    shell.communicate()
    assert another.run("status").stdout == f"cluster {another.name} is down\n"
    assert another.run("kubectl", "get", "nodes").returncode == 1
    another.ok("down")  # which is no error
    assert kubernetes.status()["up"], "the other one suffered"


def test_down_cleans_up_after_an_interrupted_up(another):
    up = another.start("up", start_new_session=True)
    wait_until(lambda: (another.state / "processes/apiserver").exists(), "there is no API server")
    inside = namespaces(another)
    os.killpg(up.pid, signal.SIGINT)
    output, _ = up.communicate()
    assert up.returncode == EXIT_INTERRUPTED, output
    assert another.run("kubectl", "get", "nodes").returncode == 1
    before = processes_of(another, inside)
    assert before
    another.ok("down")
    assert_gone(before)
    assert not mounts_with(another.name)
    assert not remains(another)


def test_what_is_wrong_is_refused(kubernetes):
    for arguments in ((), ("rise",), ("up", "now"), ("status", "--yaml"), ("on", "c", "true"), ("on", "a"), ("ctr", "control", "version")):
        assert kubernetes.run(*arguments).returncode == 64, arguments
    environment = {**os.environ, "HOLDFAST_CLUSTER": "../etc"}
    refused = subprocess.run([ROOT / "hack/cluster", "down"], env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 64 and "name" in refused.stderr
