# shellcheck shell=bash
# A node: a network namespace, and a mount namespace in which the folders that a node has are its own. So everything is
# where it is on other nodes, an installer finds and changes what it would there, and with the last process all mounts go.

# Each is bound from $state/node-X. (On the machine they remain, empty, where they were not there.)
readonly NODE_FOLDERS=(
  /etc/cni/net.d /etc/containerd /etc/holdfast /etc/kubernetes
  /opt/cni/bin /opt/holdfast
  /run/containerd /run/holdfast
  /var/lib/cni /var/lib/containerd /var/lib/kubelet
  /var/log/containers /var/log/pods
)

# The kubelet sets these for the whole machine (k8s.io/kubernetes/pkg/kubelet/cm, setupKernelTunables). On a node it finds
# files in their place which say that it is done, so that the machine's are as they were.
readonly KUBELET_SYSCTLS=(
  vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000
)

create_node() {
  local node=$1 root=$state/node-$1 setting
  for folder in "${NODE_FOLDERS[@]}"; do mkdir -p "$root$folder" "$folder"; done
  for setting in "${KUBELET_SYSCTLS[@]}"; do
    mkdir -p "$(dirname "$root/proc/sys/$setting")"
    echo "${setting#*=}" >"$root/proc/sys/${setting%=*}"
  done
  ln -s /usr/lib/cni/* "$root/opt/cni/bin/"
  write_network_configuration "$node" >"$root/etc/cni/net.d/10-pods.conflist"
  write_containerd_configuration >"$root/etc/containerd/config.toml"
  write_kubelet_configuration "$node" >"$root/var/lib/kubelet/config.yaml"
  : >"$root/var/lib/kubelet/resolv.conf" # there is no DNS
  cp "$certificates/node-$node.conf" "$root/etc/kubernetes/kubelet.conf"
  cp "$certificates/ca.crt" "$root/etc/kubernetes/ca.crt"
  install -D -m 600 -t "$root/var/lib/kubelet/pki" "$certificates/node-$node".{crt,key}
  create_mount_namespace "$node"
}

create_mount_namespace() {
  local node=$1 cpu
  mkdir -p "$namespaces"
  # A mount that holds a namespace may not spread into the namespaces of other mounts: mount_namespaces(7).
  mountpoint -q "$namespaces" || mount --bind --make-private "$namespaces" "$namespaces"
  : >"$namespaces/$node"
  # A namespace may be held in an older one only (fs/namespace.c, mnt_ns_loop), and Linux 6.18 tells the age by a number that
  # grows on each CPU by itself: in a namespace other than the machine's first it refuses new ones of some CPUs, never of the
  # CPU on which the old one was made.
  for ((cpu = 0; cpu < $(nproc --all); cpu++)); do
    if unshare_mounts "$node" taskset --cpu-list "$cpu"; then return; fi
  done
  die "no mount namespace for node-$node: see above"
}

# unshare_mounts NODE COMMAND...: run by COMMAND.
#
# The folders are bound first and shared afterwards: bound from a shared mount, a folder and its origin would get each other's
# mounts. Shared at all, since the kubelet mounts volumes that running containers shall see. A slave of the machine's, so
# that what is unmounted there is not kept here.
unshare_mounts() {
  local node=$1
  shift
  "$@" unshare --mount="$namespaces/$node" --propagation slave bash -euc '
    root=$1 folders=$2
    shift 2
    for folder in $folders; do mount --bind "$root$folder" "$folder"; done
    for setting; do mount --bind "$root/proc/sys/${setting%=*}" "/proc/sys/${setting%=*}"; done
    mount --make-rshared /
  ' bash "$state/node-$node" "${NODE_FOLDERS[*]}" "${KUBELET_SYSCTLS[@]}"
}

remove_nodes() {
  local node
  for node in "${NODES[@]}"; do
    if namespace_number "$namespaces/$node" >/dev/null; then umount "$namespaces/$node"; fi
  done
  if mountpoint -q "$namespaces"; then umount "$namespaces"; fi
}

start_nodes() {
  local node daemon
  for node in "${NODES[@]}"; do start "containerd-$node" "$node" containerd; done
  for node in "${NODES[@]}"; do wait_for 30 "containerd-$node" "containerd's socket" on_node "$node" ctr version; done
  load_images "$(images_folder)"/*.tar
  for node in "${NODES[@]}"; do
    start "kubelet-$node" "$node" kubelet --config=/var/lib/kubelet/config.yaml --kubeconfig=/etc/kubernetes/kubelet.conf \
      --hostname-override="node-$node" --node-ip="$(node_address "$node")"
  done
  for node in "${NODES[@]}"; do wait_for 60 "kubelet-$node" "node-$node Ready" node_is_ready "$node"; done
  wait_for 30 controller-manager "the default service account" admin get serviceaccount default
  for daemon in "${DAEMONS[@]}"; do must_run "$daemon"; done # whom nobody has waited for above, too
}

on_node() {
  local -a enter
  enter_place "$1"
  shift
  "${enter[@]}" "$@"
}

node_is_ready() {
  [[ $(admin get node "node-$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}

# What the RuntimeClass holdfast runs.
holdfast_runtime() {
  echo "${HOLDFAST_RUNTIME:-$(command -v holdfast-runtime || command -v runc)}"
}

write_network_configuration() {
  cat <<END
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$(pod_range "$1")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}},
  {"type": "loopback"}
]}
END
}

# For containerd 1.6 and later. restrict_oom_score_adj: where root may not lower it, as in a container.
# netns_mounts_under_state_dir: not beside the machine's own in /run/netns.
write_containerd_configuration() {
  cat <<END
version = 2
imports = ["/etc/containerd/conf.d/*.toml"]

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

# The RuntimeClass holdfast. pod_annotations brings those of a pod into the configuration that the runtime gets.
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.holdfast]
  runtime_type = "io.containerd.runc.v2"
  pod_annotations = ["holdfast.dev/*"]
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.holdfast.options]
    BinaryName = "$(holdfast_runtime)"
END
}

# enforceNodeAllocatable, oomScoreAdj, failSwapOn: neither is the machine the cluster's to divide.
# localStorageCapacityIsolation: without it the eviction manager finds no file system and fails every 10 s.
# nodeLeaseDurationSeconds: signs of life come four times as often.
write_kubelet_configuration() {
  cat <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/kubernetes/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: /var/lib/kubelet/pki/node-$1.crt
tlsPrivateKeyFile: /var/lib/kubelet/pki/node-$1.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$marked/node-$1
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
localStorageCapacityIsolation: true
makeIPTablesUtilChains: false
resolvConf: /var/lib/kubelet/resolv.conf
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi}
nodeLeaseDurationSeconds: 10
nodeStatusUpdateFrequency: 2s
nodeStatusReportFrequency: 10s
END
}
