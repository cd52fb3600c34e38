#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What the backstop costs a database: a packet, by running the program in the kernel a million times;
# and pgbench (SELECT only, prepared, one client) against a real PostgreSQL on a scene of network
# namespaces, with the backstop on and off in turns within a round, over loopback and from a listed
# client over veth. As root.
#
#   bench/backstop_bench.sh BUILD [--rounds N] [--seconds S] [--json FILE]
#
# Figures are medians over the rounds; `ratio` is that of on to off within a round. CPU time is that
# of pgbench and its backend for each transaction: it moves less than the rest when others use the
# machine.
set -euo pipefail
# shellcheck source=../scripts/lib/build.sh
. "$(dirname "$0")/../scripts/lib/build.sh"
# shellcheck source=../scripts/lib/scene.sh
. "$root/scripts/lib/scene.sh"

build=${1:?which build?} rounds=31 seconds=1 json=/dev/null
shift
while (($#)); do
  case $1 in
    --rounds) rounds=${2:?} ;;
    --seconds) seconds=${2:?} ;;
    --json) json=$(realpath "${2:?}") ;;
    *) sed -n '8,12s/^# \{0,1\}//p' "$0" && exit 2 ;;
  esac
  shift 2
done

# CPU time of the backends that have ended, in ms.
backends_ms() {
  awk -v hz="$(getconf CLK_TCK)" '{print ($16 + $17) * 1000 / hz}' "/proc/${pids[postgres]}/stat"
}

# turn HOST true|false: one line "HOST STATE TPS CPU-US"
turn() {
  local said before TIMEFORMAT="cpu %U %S"
  if [[ $2 != "$backstop" ]]; then
    sed -i "s/^backstop: .*/backstop: $2/" "$scene/moat/moat.yaml"
    on db-host moat reload >"$scene/moat.log" 2>&1
    says "^Backstop +$([[ $2 == true ]] && echo on || echo off)" on db-host moat status
    backstop=$2
  fi
  before=$(backends_ms)
  said=$({ time on "$1" pgbench -n -S -M prepared -c 1 -j 1 -T "$seconds" -h "$database_host" \
    -U postgres orders; } 2>&1)
  awk -v host="$1" -v state="$2" -v before="$before" -v after="$(backends_ms)" '
    /^tps/ {tps = $3}
    /^cpu/ {cpu = ($2 + $3) * 1e6}
    /^number of transactions actually/ {count = $6}
    END {if (!tps) exit 1; print host, state, tps, (cpu + (after - before) * 1e3) / count}' \
    <<<"$said"
}

# packet WHAT PROGRAM SOURCE INTERFACE: "WHAT NS" for each of five runs with an ACK from there.
packet() {
  on db-host /usr/bin/python3 - "$3" "$database_host" "$4" "$scene/packet" <<'PYTHON'
import socket, struct, sys
source, target = map(socket.inet_aton, sys.argv[1:3])
header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, socket.IPPROTO_TCP, 0) + source + target
segment = struct.pack("!HHIIBBHHH", 40000, 5432, 1, 1, 0x50, 16, 64240, 0, 0)
with open(sys.argv[4], "wb") as file:
    file.write(b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + header + segment)
with open(sys.argv[4] + ".context", "wb") as file:  # struct __sk_buff: the ifindex alone
    file.write((bytes(40) + struct.pack("I", socket.if_nametoindex(sys.argv[3]))).ljust(192, b"\0"))
PYTHON
  for _ in {1..5}; do
    on db-host bpftool prog run pinned "$scene/bpf/$2" data_in "$scene/packet" \
      ctx_in "$scene/packet.context" repeat 1000000 |
      awk -v what="$1" '/average/ {print what, $NF + 0}'
  done
}

begin_scene "$build"
add_host db-host "$database_host" 198.18.0.1
add_host office 198.51.100.25 198.51.100.1
cp -r "$root"/config/{moat.yaml,databases.d,managed-ranges.d} "$scene/moat"
start_postgres
start_moatd
backstop=true
on db-host pgbench -i -q -s 1 -h "$database_host" -U postgres orders >"$scene/pgbench.log" 2>&1
for host in db-host office; do turn "$host" true >/dev/null; done  # warm
/usr/bin/python3 "$root/tests/e2e/by_hand.py" pin "$scene/bpf/empty" cgroup
{
  packet empty empty 198.51.100.25 eth0
  packet loopback moat/backstop 127.0.0.1 lo
  packet listed moat/backstop 198.51.100.25 eth0
  packet unlisted moat/backstop 198.51.100.26 eth0
} >"$scene/packets"

for ((round = 0; round < rounds; round++)); do
  states=(true false)
  ((round % 2)) && states=(false true)
  for state in "${states[@]}"; do
    for host in db-host office; do turn "$host" "$state"; done
  done
done >"$scene/turns"
/usr/bin/python3 - "$scene/turns" "$scene/packets" "$json" <<'PYTHON'
import json, statistics, sys

turns = {}
for line in open(sys.argv[1]):
    host, state, tps, cpu = line.split()
    turns.setdefault((host, state == "true"), []).append((float(tps), float(cpu)))

def quartiles(on, off, column):
    return statistics.quantiles((a[column] / b[column] for a, b in zip(on, off)), n=4,
                                method="inclusive")

def median(runs, column):
    return statistics.median(run[column] for run in runs)

packets = {}
for line in open(sys.argv[2]):
    what, ns = line.split()
    packets.setdefault(what, []).append(float(ns))
packets = {what: statistics.median(runs) for what, runs in packets.items()}
print("ns a packet:", ", ".join(f"{what} {ns:.0f}" for what, ns in packets.items()), "\n")

results = []
print("           tps on    off  ratio (quartiles)     CPU us on   off  ratio (quartiles)")
for host, place in ("db-host", "loopback"), ("office", "veth"):
    on, off = turns[host, True], turns[host, False]
    found = {"place": place, "rounds": len(on)}
    for column, name in enumerate(["tps", "cpu_us"]):
        low, middle, high = quartiles(on, off, column)
        found |= {f"{name}_on": median(on, column), f"{name}_off": median(off, column),
                  f"{name}_ratio": middle, f"{name}_ratio_quartiles": [low, high]}
    found["latency_us_on"] = 1e6 / found["tps_on"]  # there is one client
    found["latency_us_off"] = 1e6 / found["tps_off"]
    results.append(found)
    spread = "({:.3f} to {:.3f})".format
    print("{place:10}{tps_on:7.0f}{tps_off:7.0f}{tps_ratio:7.3f}".format(**found),
          spread(*found["tps_ratio_quartiles"]),
          "{cpu_us_on:9.2f}{cpu_us_off:7.2f}{cpu_us_ratio:7.3f}".format(**found),
          spread(*found["cpu_us_ratio_quartiles"]))
with open(sys.argv[3], "w") as file:
    json.dump({"packet_ns": packets, "pgbench": results}, file, indent=1)
PYTHON
