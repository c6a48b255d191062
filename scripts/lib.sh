# shellcheck shell=bash
# What quickstart.sh and test.sh share: where things are built, how a step is shown. To be sourced.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/holdfast}

# Every checkout has build folders of its own, outside of it.
build_root=$cache/build-$(printf '%s' "$checkout" | sha256sum | cut -c1-12)

# The sources are compiled through a link inside of the build folder, and ccache takes paths as relative to that folder:
# so what one checkout has compiled serves the next one.
export CCACHE_BASEDIR=$build_root CCACHE_NOHASHDIR=1

prepare_build_root() {
  mkdir -p "$build_root"
  ln -sfn "$checkout" "$build_root/source"
  echo "$checkout" >"$build_root/checkout"
  # Checkouts come and go (every clone of a CI is one); what nobody has built in for two weeks goes.
  find "$cache" -mindepth 2 -maxdepth 2 -name checkout -path '*/build-*' -mtime +14 -printf '%h\0' 2>/dev/null |
    xargs -0 -r rm -rf
}

seconds_since() { echo "$(($(date +%s) - $1))"; }

# step TITLE LOG COMMAND...: one line for the title, one for the outcome; the command's own output goes to LOG and is
# shown from its end when it fails.
step() {
  local title=$1 log=$2 start status=0
  shift 2
  start=$(date +%s)
  echo "==> $title"
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [[ $status == 0 ]]; then
    echo "    done ($(seconds_since "$start") s)"
  else
    echo "    FAILED with status $status after $(seconds_since "$start") s; the end of $log:"
    tail -n 40 "$log" | sed 's/^/    | /'
  fi
  return "$status"
}

# build PRESET [TARGET...]: configures and builds in $build_root/PRESET.
build() {
  local preset=$1
  shift
  cmake -S "$build_root/source" --preset "$preset" -B "$build_root/$preset" || return
  cmake --build "$build_root/$preset" --parallel "$(nproc)" ${1:+--target "$@"}
}
