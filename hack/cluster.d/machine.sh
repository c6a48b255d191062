# shellcheck shell=bash
# What the cluster needs of the machine: root, packages, cgroups, overlay mounts.

require_root() {
  [[ $(id -u) == 0 ]] || die "needs root, for namespaces, mounts and cgroups: sudo $0" "$EXIT_PERMISSION"
}

# How to tell that something is there | the distribution's package for it. Of containers, whatever containerd and runc the
# machine has will do.
readonly NEEDED=(
  'command -v etcd | etcd-server'
  'command -v containerd | containerd'
  'command -v runc | runc'
  'test -x /usr/lib/cni/bridge | containernetworking-plugins'
  'command -v iptables | iptables'
  'command -v ip | iproute2'
  'command -v nsenter | util-linux'
  'command -v openssl | openssl'
  'command -v gcc | gcc'
  'test -e /usr/include/stdlib.h | libc6-dev'
)

missing_packages() {
  local entry
  for entry in "${NEEDED[@]}"; do
    bash -c "${entry%|*}" >/dev/null 2>&1 || echo "${entry##*| }"
  done
}

# Without starting the services that some of them bring.
install_packages() {
  local -a missing
  mapfile -t missing < <(missing_packages)
  command -v apt-get >/dev/null || die "this system has no apt; install the equivalents of these yourself: ${missing[*]}" "$EXIT_UNSUPPORTED"
  without_services apt_install "${missing[@]}" || die "apt-get could not install ${missing[*]}; its messages are above"
  mapfile -t missing < <(missing_packages)
  [[ ${#missing[@]} == 0 ]] || die "the distribution's packages do not bring what is needed: ${missing[*]}"
}

examine_machine() {
  local trial controller root
  for controller in cpu cpuset memory pids; do
    has_controller "$controller" || die "/sys/fs/cgroup has no controller '$controller', which containers need" "$EXIT_UNSUPPORTED"
  done
  cgroup_roots | while read -r root; do
    mkdir -p "$root/$marked" || die "cgroups cannot be made in $root; in a container, it has to be a privileged one" "$EXIT_UNSUPPORTED"
  done
  mkdir -p "$CLUSTERS"
  trial=$(mktemp -d -p "$CLUSTERS")
  mkdir "$trial"/{lower,upper,work,merged}
  unshare --mount mount -t overlay -o "lowerdir=$trial/lower,upperdir=$trial/upper,workdir=$trial/work" overlay "$trial/merged" || {
    rm -rf "$trial"
    die "containers need overlay mounts, and there are none in $CLUSTERS ($(findmnt -no FSTYPE -T "$CLUSTERS")): mount an ext4 or xfs there" "$EXIT_UNSUPPORTED"
  }
  rm -rf "$trial"
}

has_one_hierarchy() { [[ $(stat -fc %T /sys/fs/cgroup) == cgroup2fs ]]; }

has_controller() {
  if has_one_hierarchy; then
    grep -qw "$1" /sys/fs/cgroup/cgroup.controllers
  else
    [[ -d /sys/fs/cgroup/$1 ]]
  fi
}

# The tops of the hierarchies that the kubelet wants its cgroup in: each of cgroup v1, or the one of v2.
cgroup_roots() {
  if has_one_hierarchy; then
    echo /sys/fs/cgroup
  else
    findmnt -rno TARGET -t cgroup | grep '^/sys/fs/cgroup/' || true
  fi
}

# The cluster's cgroups, wherever there are any: runc makes them in the v2 hierarchy beside v1's as well.
cgroup_folders() {
  local folder name
  while read -r name; do
    for folder in "/sys/fs/cgroup/$name" /sys/fs/cgroup/*/"$name"; do
      # On v1, /sys/fs/cgroup/cpu may be a link to cpu,cpuacct.
      if [[ -d $folder && ! -L ${folder%"/$name"} ]]; then echo "$folder"; fi
    done
  done < <(echo "$marked" && cat "$state/cgroups" 2>/dev/null)
}

# note_cgroups PID...: those of containers that were not made by Kubernetes: `ctr run` puts them into /k8s.io, its namespace.
note_cgroups() {
  local pid
  mkdir -p "$state"
  for pid in "$@"; do
    sed -n 's|^[^:]*:[^:]*:/\(k8s\.io/.*\)|\1|p' "/proc/$pid/cgroup" 2>/dev/null || true
  done | sort -u >>"$state/cgroups"
}

# The kubelet takes its cgroupRoot as it is: it has to exist, and to have all controllers.
create_cgroups() {
  local root node
  if has_one_hierarchy; then
    pass_controllers_on /sys/fs/cgroup
    mkdir -p "/sys/fs/cgroup/$marked"
    pass_controllers_on "/sys/fs/cgroup/$marked"
  fi
  cgroup_roots | while read -r root; do
    for node in "${NODES[@]}"; do
      mkdir -p "$root/$marked/node-$node"
    done
    # A cpuset of v1 takes no process before it has CPUs and memory nodes.
    if [[ -e $root/cpuset.cpus && -e $root/cpuset.mems ]] && ! has_one_hierarchy; then
      copy_cpuset "$root" "$root/$marked"
      for node in "${NODES[@]}"; do copy_cpuset "$root" "$root/$marked/node-$node"; done
    fi
  done
}

copy_cpuset() {
  cat "$1/cpuset.cpus" >"$2/cpuset.cpus"
  cat "$1/cpuset.mems" >"$2/cpuset.mems"
}

pass_controllers_on() {
  local controller
  for controller in $(<"$1/cgroup.controllers"); do
    echo "+$controller" >"$1/cgroup.subtree_control" || echo "$1 does not pass $controller on"
  done
}

remove_cgroups() {
  local attempt
  for ((attempt = 0; attempt < 50; attempt++)); do
    cgroup_folders | while read -r folder; do
      find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    [[ $(cgroup_folders) ]] || break
    sleep 0.1 # the kernel still takes a process out that has just ended
  done
  [[ ! $(cgroup_folders) ]] || die "cgroups that cannot be removed: $(cgroup_folders | tr '\n' ' ')"
  if [[ -s $state/cgroups ]]; then rmdir /sys/fs/cgroup/k8s.io /sys/fs/cgroup/*/k8s.io 2>/dev/null || true; fi # unless others use it
}
