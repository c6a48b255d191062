#!/usr/bin/env bash
# Runs all tests of Holdfast, after installing and building what they need. The last line it prints is
#   N passed, N failed, N skipped
# and its exit status is 0 only when nothing failed.
#
#   ./test.sh                  everything: unit tests (plain and under sanitizers), layers, style, integration, Kubernetes
#   ./test.sh --quick          unit tests and layers only
#   ./test.sh --only PATTERN   only tests whose name contains PATTERN (also with --quick)
#
# Builds in ${HOLDFAST_CACHE:-~/.cache/holdfast}/build-*, one folder for each checkout; logs and results are there too.
# Needs root: it installs packages, and checkpointing a process needs it.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
. scripts/lib.sh

# Longest time for all integration tests together; a hang must not look like a long test.
readonly INTEGRATION_MINUTES_MAX=60
readonly INTEGRATION_WORKERS=2 # so many of them at a time
readonly KUBERNETES_MINUTES_MAX=20
readonly PYTHON=/usr/bin/python3 # not a pyenv's: the test libraries are the distribution's
# Sanitizers of GCC 12 cannot map their shadow memory under the address randomization of newer kernels.
readonly STEADY_ADDRESSES=(setarch "$(uname -m)" -R)

quick=false
only=
while [[ $# -gt 0 ]]; do
  case $1 in
    --quick) quick=true ;;
    --only)
      [[ -n ${2:-} ]] || {
        echo "test.sh: --only needs a pattern" >&2
        exit 64
      }
      only=$2
      shift
      ;;
    -h | --help)
      sed -n '2,11s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *)
      echo "test.sh: what is '$1'? --help lists the options" >&2
      exit 64
      ;;
  esac
  shift
done

started=$(date +%s)
export PYTHONDONTWRITEBYTECODE=1 CTEST_COLOR_OUTPUT=0
prepare_build_root
readonly results=$build_root/results logs=$build_root/logs
rm -rf "$results" "$logs"
mkdir -p "$results" "$logs"
result_files=()

# A step that is no test of its own counts as a failed one when it fails.
must() {
  local name=$1 title=$2
  shift 2
  step "$title" "$logs/$name.log" "$@" && return
  result_files+=("$results/$name.xml") # which is never written
  return 1
}

# unit PRESET [ctest options...]
unit() {
  local preset=$1 launcher=()
  shift
  [[ $preset == release ]] || launcher=("${STEADY_ADDRESSES[@]}")
  echo "==> unit tests, $preset"
  result_files+=("$results/unit-$preset.xml")
  "${launcher[@]}" ctest --test-dir "$build_root/$preset" --parallel "$(nproc)" --output-on-failure --timeout 300 \
    --output-junit "$results/unit-$preset.xml" ${only:+-R "$only"} "$@" >"$logs/unit-$preset.log" 2>&1 </dev/null
  grep -E '\*\*\*|tests passed|No tests' "$logs/unit-$preset.log" | sed 's/^/    /'
  grep -q '\*\*\*Failed\|\*\*\*Exception\|\*\*\*Timeout' "$logs/unit-$preset.log" && show_failures "$logs/unit-$preset.log"
  return 0
}

show_failures() {
  sed -n '/\*\*\*Failed\|\*\*\*Exception\|\*\*\*Timeout/,/^ *Start\|^ *[0-9]*\/[0-9]* Test/p' "$1" | head -n 200 |
    sed 's/^/    | /'
}

# python_tests NAME MINUTES FOLDER_OR_OPTION...: shows each test as it goes.
python_tests() {
  local name=$1 minutes=$2
  shift 2
  echo "==> $name"
  result_files+=("$results/$name.xml")
  timeout --kill-after=30 "${minutes}m" "$PYTHON" -m pytest -v -s -p no:cacheprovider --tb=short \
    --junitxml="$results/$name.xml" ${only:+-k "$only"} "$@" </dev/null 2>&1 | tee "$logs/$name.log"
  local status=${PIPESTATUS[0]}
  if [[ $status == 124 ]]; then
    echo "    $name did not end within $minutes minutes"
    rm -f "$results/$name.xml"
  elif [[ $status == 5 && -n $only ]]; then
    echo "    none of them matches $only"
  fi
}

# The programs that threads share data in. In the random ones it is the threads of a forked process, which
# ThreadSanitizer cannot follow.
threaded_tests() {
  local source
  for source in tests/unit/{store,lease,memory,base_parallel}_*test.cc; do
    [[ -e $source && $source != *_random_test.cc ]] && basename "$source" .cc
  done
}

finish() {
  echo
  echo "in $(seconds_since "$started") s; logs and results are in $build_root"
  "$PYTHON" scripts/summarize-tests "${result_files[@]}"
  exit
}

# Without these, all others would only fail as well.
must dependencies "installing dependencies" scripts/install-dependencies --training || finish
must release "building release" build release || finish
unit release
export HOLDFAST_BUILD=$build_root/release HOLDFAST=$build_root/stage/bin/holdfast

if $quick; then
  python_tests layers 5 tests/layers tests/scripts
else
  must asan "building with AddressSanitizer and UndefinedBehaviorSanitizer" build asan && unit asan
  mapfile -t threaded < <(threaded_tests)
  if [[ ${#threaded[@]} -gt 0 ]]; then
    must tsan "building ${#threaded[@]} threaded tests with ThreadSanitizer" build tsan "${threaded[@]}" &&
      unit tsan -E '_NOT_BUILT$|_random_test'
  fi
  python_tests style 30 tests/layers tests/scripts tests/style
  must stage "installing Holdfast into a stage" cmake --install "$build_root/release" --prefix "$build_root/stage"
  must criu "installing CRIU" scripts/install-criu
  must subjects "installing the programs that are checkpointed in the tests (the first time: some minutes)" \
    scripts/install-test-subjects
  python_tests integration "$INTEGRATION_MINUTES_MAX" tests/integration -n "$INTEGRATION_WORKERS"
  must cluster "installing what a cluster needs, building Kubernetes (the first time: some minutes)" hack/cluster build &&
    python_tests kubernetes "$KUBERNETES_MINUTES_MAX" tests/kubernetes
fi

finish
