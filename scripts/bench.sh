#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Builds Moat in build/, runs its benchmarks and prints what they found, as root: verdicts in the
# kernel, lookups, compiling, publishing. Writes bench/results/NAME.json, with the machine in front.
#
#   scripts/bench.sh [--quick] [--name NAME] [--designs]
#
#   --quick      under three minutes: fewer sizes and rounds
#   --name NAME  of the results; without it, the host's name and the date
#   --designs    the source table beside other designs as well (bench/designs.md); takes long
#
# Ratios that differ from bench/results/reference.json by more than 10 % are printed last. They are
# ratios to a neighbour in the same run, so that another machine can be compared with at all.
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"

quick=() name="$(hostname)-$(date +%Y%m%d-%H%M%S)" designs=false
while (($#)); do
  case $1 in
    --quick) quick=(--quick) ;;
    --name) name=${2:?--name needs a name} && shift ;;
    --designs) designs=true ;;
    *) sed -n '3,13s/^# \{0,1\}//p' "$0" && exit 2 ;;
  esac
  shift
done
[[ $EUID -eq 0 ]] || { echo "bench: BPF programs are loaded as root" >&2 && exit 1; }

"$root/scripts/setup.sh" build bench
echo "Building ..."
configure "$root/build"
build "$root/build"

parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
bin=$root/build/bench
cpu=$(($(nproc) - 1))

# Nothing is left of an earlier run if this one ends early.
google() {
  local bench=$1
  shift
  taskset -c "$cpu" "$bin/${bench}_bench" --benchmark_out="$parts/$bench.json" \
    --benchmark_out_format=json "$@" >"$parts/$bench.log" 2>&1 || cat "$parts/$bench.log" >&2
}

echo "Verdicts in the kernel ..."
if [[ ${#quick[@]} -gt 0 ]]; then
  "$bin/verdict_bench" --quick --cpu "$cpu" --sizes 30,1000,100000 --hits 0,50 --rounds 15 \
    --repeat 50000 --json "$parts/verdict.json" >"$parts/verdict.log"
  echo "Lookups, compiling, publishing ..."
  google lookup --benchmark_min_time=0.05 --benchmark_filter='prefixes:(30|100000)/'
  google compile --benchmark_min_time=0.1
  "$bin/publish_bench" --rounds 20 --json "$parts/publish.json" >/dev/null
  "$root/bench/propagation.sh" "$root/build" 20 "$parts/propagation.json" >/dev/null
else
  "$bin/verdict_bench" --cpu "$cpu" --rounds 31 --repeat 100000 --json "$parts/verdict.json" \
    >"$parts/verdict.log"
  echo "Lookups, compiling, publishing ..."
  google lookup --benchmark_min_time=0.3
  google compile --benchmark_min_time=1
  "$bin/publish_bench" --rounds 200 --json "$parts/publish.json" >/dev/null
  "$root/bench/propagation.sh" "$root/build" 200 "$parts/propagation.json" >/dev/null
fi
echo "Telling of drops ..."
"$bin/drops_bench" --cpu "$cpu" --json "$parts/drops.json" >"$parts/drops.log"
if $designs; then
  echo "Designs of the source table ..."
  "$bin/designs_bench" "${quick[@]}" --cpu "$cpu" --json "$parts/designs.json" >"$parts/designs.log"
fi

mkdir -p "$root/bench/results"
/usr/bin/python3 "$root/bench/summary.py" "$parts" "$root/bench/results/$name.json" \
  "$root/bench/results/reference.json"
