# shellcheck shell=bash
# The cluster's processes: how they are started, told from others, and ended. Also how a stage is shown.

die() {
  echo "hack/cluster: $1" >&2
  exit "${2:-1}"
}

# stage NAME TITLE FUNCTION...: shows what is done and how long it took; its output goes to a log and is shown when it
# fails. Not to be called where its status is asked for: bash would not stop the function at its first error.
stage() {
  local name=$1 title=$2 log start status
  shift 2
  start=$(date +%s)
  log=$cache/logs/cluster-$cluster-$name.log
  mkdir -p "$cache/logs"
  echo "==> $title"
  set +e
  (
    trap - INT TERM
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  status=$?
  set -e
  if [[ $status == 0 ]]; then
    echo "    done ($(seconds_since "$start") s)"
    return
  fi
  tail -n 20 "$log" | sed 's/^/    | /'
  echo "    FAILED after $(seconds_since "$start") s. All of its log is $log; those of the cluster's processes are in $logs.
    hack/cluster up tries again, hack/cluster down removes what there is." >&2
  exit "$status"
}

interrupted() {
  echo "interrupted. hack/cluster up begins anew, hack/cluster down removes what there is." >&2
  exit 130
}

# Ticks since boot at which a process began, which tell it from a later one with the same pid. Nothing for a zombie, which
# has ended and only waits for its parent (and answers to kill -0).
start_ticks() {
  local text fields
  { read -r text <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${text##*) }"
  [[ ${fields[0]} != [ZX] ]] && echo "${fields[19]}"
}

# daemon_pid NAME: prints it when the process runs.
daemon_pid() {
  local pid ticks
  { read -r pid ticks <"$state/processes/$1"; } 2>/dev/null || return 1
  [[ -n $ticks && $(start_ticks "$pid") == "$ticks" ]] && echo "$pid"
}

# start NAME PLACE COMMAND...: a daemon, unless it runs. It outlives us: with a session of its own, and without our
# descriptors (the lock's above all).
start() {
  local name=$1 place=$2 pid
  local -a enter
  shift 2
  daemon_pid "$name" >/dev/null && return
  mkdir -p "$state/processes"
  enter_place "$place"
  (
    trap - INT TERM
    cd /
    close_descriptors
    exec setsid "${enter[@]}" env -i PATH="$node_path" HOME=/root LANG=C.UTF-8 "$@"
  ) >>"$logs/$name.log" 2>&1 </dev/null &
  pid=$!
  echo "$pid $(start_ticks "$pid" || true)" >"$state/processes/$name"
}

close_descriptors() {
  local path descriptor
  for path in "/proc/$BASHPID/fd/"*; do
    descriptor=${path##*/}
    if ((descriptor > 2 && descriptor != 255)); then exec {descriptor}>&-; fi # 255: bash's own, which no program inherits
  done
}

# wait_for SECONDS DAEMON WHAT COMMAND...: until COMMAND succeeds; not longer than DAEMON runs.
wait_for() {
  local seconds=$1 daemon=$2 what=$3 end
  shift 3
  end=$(($(date +%s) + seconds))
  until must_run "$daemon" && "$@" >/dev/null 2>&1; do
    (($(date +%s) < end)) || {
      tail -n 10 "$logs/$daemon.log"
      die "$what did not come about within $seconds s, see $logs/$daemon.log"
    }
    sleep 0.1
  done
}

must_run() {
  daemon_pid "$1" >/dev/null || {
    tail -n 10 "$logs/$1.log"
    die "$1 has ended, see $logs/$1.log"
  }
}

# Ends all that is in the cluster, whoever started it: our daemons, what is in one of its namespaces (containerd's shims; a
# shell by `hack/cluster on`), what is in its cgroups (pods), and what those have started (containers by `ctr run`).
kill_all_inside() {
  local attempt pids
  for ((attempt = 0; attempt < 300; attempt++)); do
    mapfile -t pids < <(processes_inside | with_descendants)
    [[ ${#pids[@]} != 0 ]] || return 0
    note_cgroups "${pids[@]}"
    # One that has ended since is no error; none can have its number yet, as the search took a moment only.
    kill -KILL "${pids[@]}" 2>/dev/null || true
    sleep 0.1
  done
  die "these processes do not end: ${pids[*]}; see /proc/PID/stack for what they wait for"
}

# Reads pids, prints those and the ones below them.
with_descendants() {
  {
    sed 's/^/inside /'
    grep -sH '^PPid:' /proc/[0-9]*/status | sed 's|^/proc/\([0-9]*\)/status:PPid:|process \1 |'
  } | awk '
    $1 == "inside" { inside[$2] }
    $1 == "process" { parent[$2] = $3 }
    END { for (pid in parent) for (above = pid; above > 1; above = parent[above]) if (above in inside) { print pid; break } }'
}

processes_inside() {
  local file name namespace
  local -a wanted=()
  for file in "$state"/processes/*; do
    if [[ -e $file ]]; then daemon_pid "${file##*/}" || true; fi
  done
  for name in control "${NODES[@]}"; do
    if namespace=$(namespace_number "/run/netns/$marked-$name"); then wanted+=(-o -lname "net:\[$namespace\]"); fi
  done
  for name in "${NODES[@]}"; do
    if namespace=$(namespace_number "$namespaces/$name"); then wanted+=(-o -lname "mnt:\[$namespace\]"); fi
  done
  if [[ ${#wanted[@]} != 0 ]]; then
    find /proc/[0-9]*/ns/net /proc/[0-9]*/ns/mnt \( "${wanted[@]:1}" \) 2>/dev/null | cut -d / -f 3 | grep -vx "$$" || true
  fi
  cgroup_folders | while read -r name; do
    find "$name" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done
}

# namespace_number FILE: by which /proc names the namespace that is mounted there. Of a file without one (of an `up` that was
# interrupted; before a boot) nothing.
namespace_number() {
  [[ $(stat -fc %T "$1" 2>/dev/null) == nsfs ]] && stat -c %i "$1"
}
