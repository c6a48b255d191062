# shellcheck shell=bash
# Three network namespaces with a switch between them. Nothing leaves them: the machine's own network is as it was, and a node
# is cut off by taking its port down (ip -n NAME-cluster-control link set port-a down).
#
# There is no kube-proxy. Pods reach each other by routes; the API's service address is one of the control plane's.

create_networks() {
  local control=$marked-control node other
  ip netns add "$control"
  ip -n "$control" link set lo up
  ip -n "$control" link add switch type bridge
  ip -n "$control" address add "$CONTROL_ADDRESS/$NODE_NETWORK_BITS" dev switch
  ip -n "$control" address add "$SERVICE_ADDRESS/32" dev lo
  ip -n "$control" link set switch up
  for node in "${NODES[@]}"; do
    ip netns add "$marked-$node"
    ip -n "$marked-$node" link set lo up
    ip -n "$control" link add "port-$node" type veth peer name eth0 netns "$marked-$node"
    ip -n "$control" link set "port-$node" master switch up
    ip -n "$marked-$node" address add "$(node_address "$node")/$NODE_NETWORK_BITS" dev eth0
    ip -n "$marked-$node" link set eth0 up
    ip -n "$marked-$node" route add default via "$CONTROL_ADDRESS"
    nsenter --net="/run/netns/$marked-$node" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' # of that namespace only
  done
  for node in "${NODES[@]}"; do
    for other in control "${NODES[@]}"; do
      [[ $other == "$node" ]] || ip -n "$marked-$other" route add "$(pod_range "$node")" via "$(node_address "$node")"
    done
  done
}

remove_networks() {
  local place
  for place in control "${NODES[@]}"; do
    if [[ -e /run/netns/$marked-$place ]]; then ip netns delete "$marked-$place"; fi
  done
}

# enter_place a|b|control: sets the array `enter` to the command line that comes before one that shall run
# there. nsenter executes it, so that the pid stays; `ip netns exec` would mount a /sys of its own, without cgroups.
enter_place() {
  enter=(nsenter "--net=/run/netns/$marked-$1")
  if [[ $1 != control ]]; then enter+=("--mount=$namespaces/$1"); fi
}

require_up() {
  [[ -e $state/whole && -e /run/netns/$marked-control ]] || die "cluster $cluster is not up: hack/cluster up"
}
