#!/usr/bin/env bash
# From a fresh Debian 12 to a training that survives kill -9: installs what is needed, builds Holdfast, puts `holdfast`
# into /usr/local/bin and shows it at work.
#
#   ./quickstart.sh               a PyTorch training: run, killed in mid-epoch, resumed, compared bit for bit
#   ./quickstart.sh -- CMD...     the same with a command of yours: run, killed, resumed
#
# Safe to repeat. HOLDFAST_STORE=DIR keeps the snapshots in DIR; otherwise they are gone at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
calling_folder=$OLDPWD
. scripts/lib.sh

case ${1:-} in
  '') ;;
  --) [[ $# -gt 1 ]] || {
    echo "quickstart.sh: which command? ./quickstart.sh -- CMD..." >&2
    exit 64
  } ;;
  -h | --help)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *)
    echo "quickstart.sh: what is '$1'? A command of yours goes after --" >&2
    exit 64
    ;;
esac

[[ $(id -u) == 0 ]] || {
  echo "quickstart.sh: needs root, to install packages and to checkpoint processes: sudo $0 $*" >&2
  exit 77
}

prepare_build_root
step "Installing the compiler, the libraries and PyTorch (the first time: some minutes)" \
  "$build_root/logs/dependencies.log" scripts/install-dependencies --training
step "Installing CRIU" "$build_root/logs/criu.log" scripts/install-criu
step "Building Holdfast" "$build_root/logs/release.log" build release holdfast holdfast_criu_plugin holdfast_pages
step "Installing holdfast into /usr/local" "$build_root/logs/install.log" cmake --install "$build_root/release" --prefix /usr/local

export HOLDFAST=/usr/local/bin/holdfast
demo=$checkout/scripts/quickstart-demo
cd "$calling_folder" # a command of the user's knows its files from there
exec "$demo" "$@"
