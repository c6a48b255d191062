# shellcheck shell=bash
# What of the cluster runs, as a table or as one JSON object:
#   {"name", "up", "kubernetes", "state", "kubeconfig", "networks": {"control", "a", "b"},
#    "nodes": [{"name", "ready", "address", "pods"}], "processes": [{"name", "running", "pid", "log"}]}
# "up" is true when all processes run and all nodes are ready. The kubeconfig is of use in one of the networks only:
# nsenter --net=/run/netns/NETWORK.

# In the order in which they are started.
readonly DAEMONS=(etcd apiserver controller-manager scheduler containerd-a containerd-b kubelet-a kubelet-b)

status() {
  local up=true node daemon pid
  local -a nodes=() processes=()
  local -A ready=()
  for daemon in "${DAEMONS[@]}"; do
    if pid=$(daemon_pid "$daemon"); then
      processes+=("{\"name\":\"$daemon\",\"running\":true,\"pid\":$pid,\"log\":\"$logs/$daemon.log\"}")
    else
      up=false
      processes+=("{\"name\":\"$daemon\",\"running\":false,\"pid\":null,\"log\":\"$logs/$daemon.log\"}")
    fi
  done
  for node in "${NODES[@]}"; do
    ready[$node]=false
    # Nobody answers for an API server that does not run.
    if daemon_pid apiserver >/dev/null && node_is_ready "$node" 2>/dev/null; then ready[$node]=true; fi
    ${ready[$node]} || up=false
    nodes+=("{\"name\":\"node-$node\",\"ready\":${ready[$node]},\"address\":\"$(node_address "$node")\",\"pods\":\"$(pod_range "$node")\"}")
  done
  if [[ ${1:-} == --json ]]; then
    printf '{"name":"%s","up":%s,"kubernetes":"%s","state":"%s","kubeconfig":"%s","networks":{"control":"%s","a":"%s","b":"%s"},"nodes":[%s],"processes":[%s]}\n' \
      "$cluster" "$up" "$KUBERNETES_VERSION" "$state" "$certificates/admin.conf" "$marked-control" "$marked-a" "$marked-b" \
      "$(joined "${nodes[@]}")" "$(joined "${processes[@]}")"
  else
    print_status
  fi
  $up
}

joined() {
  local IFS=,
  echo "$*"
}

# Of what status() has found out.
print_status() {
  local daemon pid node
  if [[ ! -d $state ]]; then
    echo "cluster $cluster is down"
    return
  fi
  if $up; then echo "cluster $cluster is up"; else echo "cluster $cluster is not whole; hack/cluster up mends it"; fi
  for daemon in "${DAEMONS[@]}"; do
    pid=$(daemon_pid "$daemon") || pid="not running, see $logs/$daemon.log"
    printf '  %-20s %s\n' "$daemon" "$pid"
  done
  for node in "${NODES[@]}"; do
    if ${ready[$node]}; then
      printf '  %-20s ready, pods %s\n' "node-$node" "$(pod_range "$node")"
    else
      printf '  %-20s not ready, see %s\n' "node-$node" "$logs/kubelet-$node.log"
    fi
  done
}
