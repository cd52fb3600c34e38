#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Builds Moat in build/, runs its benchmarks and prints what they found, as root: verdicts in the
# kernel, lookups, compiling, publishing; in network namespaces of its own, packets a second beside
# other firewalls, transactions under a flood and with the backstop, changes of the rules. Best on a
# machine that does nothing else; all of it takes about half an hour.
#
#   scripts/bench.sh [--quick] [--name NAME] [--designs]
#
#   --quick      under three minutes: fewer sizes, contenders and rounds
#   --name NAME  of the results; without it, the host's name and the date
#   --designs    the source table beside other designs as well (bench/designs.md); takes long
#
# Writes bench/results/NAME.json, NAME.md and NAME-*.svg. `--name reference` writes what is committed.
# Ratios that differ from bench/results/reference.json by more than 10 % are printed last. They are
# ratios to a neighbour in the same run, so that another machine can be compared with at all.
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"

quick=false name="$(hostname)-$(date +%Y%m%d-%H%M%S)" designs=false
while (($#)); do
  case $1 in
    --quick) quick=true ;;
    --name) name=${2:?--name needs a name} && shift ;;
    --designs) designs=true ;;
    *) sed -n '3,17s/^# \{0,1\}//p' "$0" && exit 2 ;;
  esac
  shift
done
[[ $EUID -eq 0 ]] || { echo "bench: BPF programs are loaded as root" >&2 && exit 1; }

"$root/scripts/setup.sh" build test bench
echo "Building ..."
configure "$root/build"
build "$root/build" benchmarks

parts=$(mktemp -d)
running=
hugepages=/proc/sys/vm/nr_hugepages hugepages_before=
give_hugepages_back() {
  [[ -z $hugepages_before ]] || echo "$hugepages_before" >"$hugepages"
  hugepages_before=
}
finish() {
  give_hugepages_back
  [[ -z $running ]] || { kill "$running" && wait "$running"; } 2>/dev/null || true
  rm -rf "$parts"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
bin=$root/build/bench
cpu=$(($(nproc) - 1))

# One that fails takes no other with it.
failed=()
google() {
  local bench=$1
  shift
  taskset -c "$cpu" "$bin/${bench}_bench" --benchmark_out="$parts/$bench.json" \
    --benchmark_out_format=json --benchmark_enable_random_interleaving=true \
    --benchmark_report_aggregates_only=true "$@" >"$parts/$bench.log" 2>&1 ||
    { cat "$parts/$bench.log" >&2 && failed+=("$bench"); }
}

# With the capabilities that moatd has on a host: the verifier asks more of those with less.
kernel() {
  local bench=$1
  shift
  setpriv --inh-caps=-all --bounding-set=-all,+net_admin,+perfmon,+bpf \
    "$bin/${bench}_bench" --cpu "$cpu" --json "$parts/$bench.json" "$@" >"$parts/$bench.log" ||
    failed+=("$bench")
}

# In the background and waited for: when this script is told to end, so is the benchmark, at once, and
# takes down its network.
network() {
  local bench=$1
  shift
  "$root/bench/network/$bench.sh" "$@" "$root/build" >"$parts/$bench.jsonl" &
  running=$!
  wait "$running" || failed+=("$bench")
  running=
}

# With hugepages for as long as it takes, as where the fast path is used.
fast_path() {
  hugepages_before=$(<"$hugepages")
  echo $((hugepages_before + 512)) >"$hugepages"
  taskset -c "$cpu" "$bin/dpdk_bench" --json "$parts/dpdk.json" --keep-feed "$parts/feed.pcap" "$@" \
    >"$parts/dpdk.log" 2>&1 || { cat "$parts/dpdk.log" >&2 && failed+=(dpdk); }
  /usr/bin/python3 -B "$root/bench/dpdk/testpmd.py" --cpu "$cpu" "$parts/feed.pcap" \
    >"$parts/testpmd.jsonl" || failed+=(testpmd)
  give_hugepages_back
}

if $quick; then
  echo "Verdicts in the kernel ..."
  kernel verdict --quick --sizes 30,1000,100000 --hits 0,50 --rounds 15 --repeat 50000
  echo "Lookups, compiling, publishing ..."
  google lookup --benchmark_min_time=0.02 --benchmark_repetitions=3 \
    --benchmark_filter='prefixes:(30|100000)/'
  google compile --benchmark_min_time=0.02 --benchmark_repetitions=3
  "$bin/publish_bench" --rounds 20 --json "$parts/publish.json" >/dev/null
  echo "Packets a second ..."
  network wire --rounds 5 --seconds 0.2 --sizes 30 --only xdp-drop,xdp-pass,moat,nft-ingress,ipset
  echo "Transactions under a flood ..."
  network flood --rounds 1 --seconds 2 --rates 0,1000000 --only nothing,moat,nft-ingress
  echo "The backstop ..."
  network backstop --rounds 5
  echo "The fast path ..."
  [[ ! -x $bin/dpdk_bench ]] || fast_path --sizes 30,100000 --rounds 11 --seconds 0.5
  [[ ! -x $bin/dpdk_bench ]] || network fastpath --rounds 1 --seconds 1
  echo "Changes of the rules ..."
  network reload --sizes 30,100000 --reloads 40 --starts 1 --beside 30 --changes 30 --idle 0
else
  echo "Verdicts in the kernel ..."
  kernel verdict --rounds 21 --repeat 200000
  echo "Lookups, compiling, publishing ..."
  google lookup --benchmark_min_time=0.05 --benchmark_repetitions=9
  google compile --benchmark_min_time=0.1 --benchmark_repetitions=9
  "$bin/publish_bench" --rounds 200 --json "$parts/publish.json" >/dev/null
  echo "Packets a second ..."
  network wire
  echo "Transactions under a flood ..."
  network flood
  echo "The backstop ..."
  network backstop
  echo "The fast path ..."
  [[ ! -x $bin/dpdk_bench ]] || fast_path
  [[ ! -x $bin/dpdk_bench ]] || network fastpath
  echo "Changes of the rules ..."
  network reload
fi
echo "Telling of drops ..."
kernel drops
if $designs; then
  echo "Designs of the source table ..."
  quickly=()
  ! $quick || quickly=(--quick)
  kernel designs "${quickly[@]}"
fi

mkdir -p "$root/bench/results"
/usr/bin/python3 -B "$root/bench/report/summary.py" "$parts" "$root/bench/results/$name.json" \
  "$root/bench/results/reference.json"
[[ ${#failed[@]} -eq 0 ]] || { echo "bench: failed: ${failed[*]}" >&2 && exit 1; }
