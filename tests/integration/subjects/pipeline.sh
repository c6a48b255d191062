#!/usr/bin/env bash
# Shell loops, filters, pipes, a named pipe and thousands of short-lived processes: pipeline.sh LINES SORT_BUFFER, in a directory of
# its own. Says on stderr how far it is, and at the end what has come of it on stdout.
set -euo pipefail
export LC_ALL=C TMPDIR=$PWD
mkfifo copy
wc <copy >counted &
seq "$1" | while read -r number; do
  sum=$(md5sum <<<"line $number")
  echo "$number ${sum%% *}"
  ((number % 20)) || echo "$number lines" >&2
done | awk '{ total += $1; print substr($2, 1, 8), length($2), $1, total }' | tee copy | sort -S "$2" -k1,1 -k3,3n | gzip -n >sorted.gz
wait
echo "$(cat counted) $(md5sum <sorted.gz)"
