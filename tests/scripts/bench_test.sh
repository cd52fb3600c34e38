#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The benchmarks that need a network, as short as can be: each runs to its end, checks its contenders,
# finds a figure, and leaves nothing behind; the report and the plots come of it. bench_test.sh BUILD
set -euo pipefail
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
place=$(mktemp -d)
chmod 711 "$place"  # PostgreSQL has its own user
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

measure() {
  local bench=$1
  shift
  "$root/bench/network/$bench.sh" "$@" "$build" >"$place/$bench.jsonl" || fail "$bench.sh does not run"
}

# The report has this line.
reports() { grep -qE -- "$1" "$place/result.md" || fail "the report has no $1"; }

measure wire --rounds 1 --seconds 0.05 --sizes 30 --only xdp-drop,moat,nft-ingress
measure flood --rounds 1 --seconds 1 --rates 0,50000 --cpus 1 --scale 1 --only moat
measure backstop --rounds 1
measure reload --sizes 40 --reloads 3 --starts 1 --beside 40 --changes 3 --idle 1

if [[ -x $build/bench/dpdk_bench ]]; then
  measure fastpath --rounds 1 --seconds 0.2
  "$build/bench/dpdk_bench" --sizes 30 --rounds 1 --seconds 0.05 --json "$place/dpdk.json" >/dev/null ||
    fail "dpdk_bench does not run"
else
  echo "NOT TRIED: the fast path, as Moat was built without DPDK" >&2
fi

/usr/bin/python3 -B "$root/bench/report/summary.py" "$place" "$place/result.json" >"$place/said"
reports '^\| xdp-drop .* [0-9.]+ '
reports '^\| moat +\| +[0-9.]+ '
reports '^\| 50 +\| +[0-9,]+ \|'
reports '^\| loopback +\| +[0-9,]+ \|'
reports '^\| 40 +\| +a rule \| +1ms \| +3 \|'
reports '^\| [0-9,]+ +\| +Europe, standard policy \| +1ms \|'
[[ ! -x $build/bench/dpdk_bench ]] || reports '^\| af_xdp, polling +\| +[0-9,]+ \|'
[[ ! -x $build/bench/dpdk_bench ]] || reports '^\| DPDK: look-ups, 30 prefixes, 0 % listed '
for plot in wire flood reload; do
  [[ -s $place/result-$plot.svg ]] || fail "no plot of $plot"
done
# The same figures again: nothing has moved.
/usr/bin/python3 -B "$root/bench/report/summary.py" "$place" "$place/again.json" "$place/result.json" >"$place/said"
grep -q ': 0 of [1-9]' "$place/said" || fail "a run differs from itself: $(<"$place/said")"
left=$(find "$place" -maxdepth 1 -name 'moat-scene.*')
[[ -z $left ]] || fail "left behind: $left"
echo "all of them run, and a report comes of it"
