"""A cluster of hack/cluster as its user sees it, and what the machine has of it."""
import dataclasses
import json
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HANG_GUARD_S = 180  # the only time limit there is: for what would otherwise never end
UP_GUARD_S = 600
EXIT_INTERRUPTED = 130
CANNOT = {69, 77}  # exit statuses of hack/cluster: the machine lacks something, or root is needed


def wait_until(condition, what, seconds=HANG_GUARD_S):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what() if callable(what) else what}"
        time.sleep(0.2)


class Cluster:
    def __init__(self, name):
        self.name = name
        self.marked = f"{name}-cluster"
        self.state = pathlib.Path("/var/lib/holdfast-clusters", name)
        self.environment = {**os.environ, "HOLDFAST_CLUSTER": name}

    def start(self, *arguments, **options):
        return subprocess.Popen(
            [ROOT / "hack/cluster", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *arguments, stdin="", seconds=HANG_GUARD_S):
        """The finished command, whatever its exit status; stdout and stderr apart."""
        return subprocess.run(
            [ROOT / "hack/cluster", *map(str, arguments)],
            env=self.environment, input=stdin, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip

    def ok(self, *arguments, **options):
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"hack/cluster {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def kubectl(self, *arguments, **options):
        return self.ok("kubectl", *arguments, **options)

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *objects):
        for each in objects:
            self.kubectl("apply", "-f", "-", stdin=json.dumps(each))

    def status(self):
        return json.loads(self.run("status", "--json").stdout)

    def processes(self):
        """Name and pid of the cluster's daemons that run."""
        return {each["name"]: each["pid"] for each in self.status()["processes"] if each["running"]}

    def is_ready(self, node):
        return condition(self.get("node", node), "Ready") == "True"

    def pods(self, label):
        return self.get("pods", "-l", f"app={label}")["items"]

    def running_pods(self, label, count=1):
        """Waits until exactly so many pods of the label are there, and ready."""

        def all_ready():
            pods = self.pods(label)
            ready = [pod for pod in pods if condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]]
            return pods if len(pods) == len(ready) == count else None

        return wait_until(all_ready, lambda: f"{count} pods {label}; there is:\n{self.kubectl('describe', 'pods', '-l', f'app={label}')}")

    def logs(self):
        """Name and end of each daemon's log."""
        for path in sorted(self.state.glob("logs/*.log")):
            yield path.name, "\n".join(path.read_text(errors="replace").splitlines()[-20:])


def condition(thing, kind):
    for each in thing["status"].get("conditions", []):
        if each["type"] == kind:
            return each["status"]
    return None


def deployment(name, command, replicas=1, image="localhost/busybox:1", annotations=None, container=None, **pod):
    """Of one container; each of its pods on another node if that can be."""
    labels = {"app": name}
    spread = {
        "labelSelector": {"matchLabels": labels},
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
    }
    containers = [{"name": "main", "image": image, "command": command, **(container or {})}]
    spec = {"terminationGracePeriodSeconds": 1, "dnsPolicy": "Default", "topologySpreadConstraints": [spread], "containers": containers}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": annotations or {}}, "spec": {**spec, **pod}},
        },
    }


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    start_ticks: str
    name: str = dataclasses.field(compare=False)  # which exec changes


def process(pid):
    """None for a zombie, which has ended."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else Process(int(pid), fields[19], text[text.index("(") + 1 : text.rindex(")")])


def namespaces(cluster):
    """What /proc calls the network and mount namespaces of the cluster's daemons."""
    found = set()
    for name, pid in cluster.processes().items():
        kinds = ("net",) if "-" not in name or name == "controller-manager" else ("net", "mnt")
        found |= {os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds}
    return found


def processes_of(cluster, namespaces_of_it):
    """All processes that are in its namespaces or cgroups, pods and whatever was started beside them."""
    found = set()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            inside = {os.readlink(folder / "ns/net"), os.readlink(folder / "ns/mnt")} & namespaces_of_it
            inside = inside or f"/{cluster.marked}" in (folder / "cgroup").read_text()
        except OSError:  # it has ended, or is the kernel's or hidden
            continue
        if inside and process(folder.name):
            found.add(process(folder.name))
    return found


def mounts_with(text):
    """Of all mount namespaces that a process is in."""
    found = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            found |= {f"{path}: {line}" for line in path.read_text().splitlines() if text in line}
        except (OSError, ValueError):
            continue
    return found


def remains(cluster):
    """Files of any kind that a cluster has and that are not its own business alone."""
    found = [path for path in (cluster.state, cluster.state.with_suffix(".lock"), *pathlib.Path("/run/netns").glob(f"{cluster.marked}-*")) if path.exists()]
    found += [path for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/*") for path in pathlib.Path("/").glob(f"{top[1:]}/{cluster.marked}")]
    found += pathlib.Path("/sys/fs/cgroup").glob(f"**/k8s.io/{cluster.name}")
    return found


SYSCTLS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes")


def sysctls():
    return {name: pathlib.Path("/proc/sys", name).read_text() for name in SYSCTLS}
