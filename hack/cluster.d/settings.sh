# shellcheck shell=bash
# Names, places and addresses. Two clusters differ in their name only: each has networks, files and cgroups of its own, so
# the same addresses do for both.
# shellcheck disable=SC2034 # used by the other files

readonly KUBERNETES_VERSION=1.34.1 # the last minor version whose kubelet runs on cgroup v1 as it comes
readonly GO_VERSION_MIN=1.24       # what that version's go.mod asks for
readonly NODES=(a b)
readonly CONTROL_ADDRESS=10.77.0.1
readonly NODE_NETWORK_BITS=24
readonly SERVICE_RANGE=10.96.0.0/16
readonly SERVICE_ADDRESS=10.96.0.1 # of the API, the first of the range
readonly CLUSTERS=/var/lib/holdfast-clusters
readonly BOOT_ID=/proc/sys/kernel/random/boot_id
readonly EXIT_UNSUPPORTED=69 EXIT_PERMISSION=77

readonly cluster=${HOLDFAST_CLUSTER:-holdfast}
[[ $cluster =~ ^[a-z][a-z0-9-]{0,30}$ ]] || {
  echo "hack/cluster: HOLDFAST_CLUSTER is '$cluster'; a name has lower case letters, digits and -, at most 31" >&2
  exit 64
}

readonly marked=$cluster-cluster # begins the names of its network namespaces; the name of its cgroup
readonly state=$CLUSTERS/$cluster
readonly logs=$state/logs certificates=$state/certificates namespaces=$state/namespaces
readonly kubernetes=$cache/kubernetes-$KUBERNETES_VERSION
readonly go_prefix=$cache/go-$GO_VERSION_MIN
readonly node_path=$kubernetes:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Places: the two nodes, and "control", where the control plane is.
is_place() { [[ $1 == a || $1 == b || $1 == control ]]; }

node_address() {
  case $1 in
    a) echo 10.77.0.11 ;;
    b) echo 10.77.0.12 ;;
  esac
}

pod_range() {
  case $1 in
    a) echo 10.88.1.0/24 ;;
    b) echo 10.88.2.0/24 ;;
  esac
}
