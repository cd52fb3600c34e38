#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What the backstop costs a database: a packet, by running the program in the kernel a million times;
# and pgbench (SELECT only, prepared, one client) against a real PostgreSQL on a scene of network
# namespaces, with the backstop on and off in turns within a round, over loopback and from a listed
# client over veth. One line of JSON a sample, on stdout.
#
#   bench/network/backstop.sh [--rounds N] [--seconds S] BUILD
#
# CPU time is that of pgbench and its backend for each transaction: it moves less than the rest when
# others use the machine.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

rounds=21 seconds=1
take_options rounds seconds -- "$@"

# CPU time of the backends that have ended, in ms.
backends_ms() {
  awk -v hz="$(getconf CLK_TCK)" '{print ($16 + $17) * 1000 / hz}' "/proc/${pids[postgres]}/stat"
}

# turn HOST true|false ROUND
turn() {
  local said before TIMEFORMAT="cpu %U %S"
  if [[ $2 != "$backstop" ]]; then
    sed -i "s/^backstop: .*/backstop: $2/" "$scene/moat/moat.yaml"
    on db-host moat reload >"$scene/moat.log" 2>&1
    says "^Backstop +$([[ $2 == true ]] && echo on || echo off)" moat_status
    backstop=$2
  fi
  before=$(backends_ms)
  said=$({ time on "$1" pgbench -n -S -M prepared -c 1 -j 1 -T "$seconds" -h "$database_host" \
    -U postgres orders; } 2>&1)
  awk -v host="$1" -v on="$2" -v round="$3" -v before="$before" -v after="$(backends_ms)" '
    /^tps/ {tps = $3}
    /^cpu/ {cpu = ($2 + $3) * 1e6}
    /^number of transactions actually/ {count = $6}
    END {
      if (!tps) exit 1
      printf "{\"suite\": \"backstop\", \"place\": \"%s\", \"on\": %s, \"round\": %d, ",
        host == "db-host" ? "loopback" : "veth", on, round
      printf "\"tps\": %.1f, \"cpu_us\": %.3f}\n", tps, (cpu + (after - before) * 1e3) / count
    }' <<<"$said"
}

# packet WHAT PROGRAM SOURCE INTERFACE: five runs with an ACK from there.
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
      awk -v what="$1" '/average/ {
        printf "{\"suite\": \"backstop-packet\", \"what\": \"%s\", \"ns\": %d}\n", what, $NF}'
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
for host in db-host office; do turn "$host" true 0 >"$scene/warm"; done
/usr/bin/python3 "$root/tests/e2e/daemon/by_hand.py" pin "$scene/bpf/empty" cgroup
packet empty empty 198.51.100.25 eth0
packet loopback moat/backstop 127.0.0.1 lo
packet listed moat/backstop 198.51.100.25 eth0
packet unlisted moat/backstop 198.51.100.26 eth0
for ((round = 0; round < rounds; round++)); do
  states=(true false)
  ((round % 2)) && states=(false true)
  for state in "${states[@]}"; do
    for host in db-host office; do turn "$host" "$state" "$round"; done
  done
done
