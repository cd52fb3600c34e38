#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What the backstop costs a database: pgbench (SELECT only, prepared, one client) against a real
# PostgreSQL on a scene of network namespaces, with the backstop on and off in turns within a round,
# over loopback and from a listed client over veth. As root.
#
#   bench/backstop_bench.sh BUILD [--rounds N] [--seconds S] [--json FILE]
#
# Figures are medians over the rounds; `ratio` is that of on to off within a round.
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
    *) sed -n '7,9s/^# \{0,1\}//p' "$0" && exit 2 ;;
  esac
  shift 2
done

# turn HOST true|false: one line "HOST STATE TPS"
turn() {
  local said
  if [[ $2 != "$backstop" ]]; then
    sed -i "s/^backstop: .*/backstop: $2/" "$scene/moat/moat.yaml"
    on db-host moat reload >"$scene/moat.log" 2>&1
    says "^Backstop +$([[ $2 == true ]] && echo on || echo off)" on db-host moat status
    backstop=$2
  fi
  said=$(on "$1" pgbench -n -S -M prepared -c 1 -j 1 -T "$seconds" -h "$database_host" -U postgres \
    orders 2>&1)
  awk -v host="$1" -v state="$2" '/^tps/ {tps = $3}
    END {if (!tps) exit 1; print host, state, tps}' <<<"$said"
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

for ((round = 0; round < rounds; round++)); do
  states=(true false)
  ((round % 2)) && states=(false true)
  for state in "${states[@]}"; do
    for host in db-host office; do turn "$host" "$state"; done
  done
done >"$scene/turns"
/usr/bin/python3 - "$scene/turns" "$json" <<'PYTHON'
import json, statistics, sys

turns = {}
for line in open(sys.argv[1]):
    host, state, tps = line.split()
    turns.setdefault((host, state == "true"), []).append(float(tps))

results = []
print("           tps on    off   ratio (quartiles)     us on   off")
for host, place in ("db-host", "loopback"), ("office", "veth"):
    on, off = turns[host, True], turns[host, False]
    low, middle, high = statistics.quantiles((a / b for a, b in zip(on, off)), n=4)
    tps_on, tps_off = statistics.median(on), statistics.median(off)
    found = {"place": place, "rounds": len(on), "tps_on": tps_on, "tps_off": tps_off,
             "ratio": middle, "ratio_quartiles": [low, high],
             "latency_us_on": 1e6 / tps_on, "latency_us_off": 1e6 / tps_off}  # one client
    results.append(found)
    print("{place:10}{tps_on:7.0f}{tps_off:7.0f}{ratio:8.3f}".format(**found),
          f"({low:.3f} to {high:.3f})",
          "{latency_us_on:7.1f}{latency_us_off:6.1f}".format(**found))
with open(sys.argv[2], "w") as file:
    json.dump({"backstop": results}, file, indent=1)
PYTHON
