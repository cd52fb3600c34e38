#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Transactions under a flood: pgbench from a listed client against PostgreSQL, while SYNs from random
# unlisted sources come in at a fixed rate, with one firewall after the other. One line of JSON a
# sample, on stdout.
#
#   bench/network/flood.sh [--rounds N] [--seconds S] [--rates N,N] [--cpus N,N] [--scale N]
#                  [--only NAME,NAME] BUILD
#
#   client -+
#           +- router - eth0: firewall - PostgreSQL
#   flood --+
#
# The flood is sent before all other tasks of a CPU, and received there too, as a NIC would have it:
# on one CPU, the last, as by a NIC with one queue, or on several, each with its share of the rate.
# pgbench and PostgreSQL may run on all. A flood that cannot be received at its rate is sent as fast
# as it can be: "rate" is what was aimed at, "flooded" what came.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

rounds=3 seconds=4 scale=10 rates=0,100000,500000,1000000,2000000 cpus=1,$(nproc) only=
take_options rounds seconds rates cpus scale only -- "$@"

all=(nothing moat nft-ingress nft-input)
clients=4
client=198.51.100.25

set_nothing() { :; }
end_nothing() { :; }

set_moat() { start_moatd; }
end_moat() {
  on db-host moat detach --yes >/dev/null 2>&1
  await 10 "moatd to end" is_gone moatd
  stop moatd
  rm -rf "$scene/state/"*
}

set_nft-ingress() { nft_ingress "$scene/prefixes" | on db-host nft -f -; }
end_nft-ingress() { on db-host nft delete table netdev wall; }

set_nft-input() {
  { echo "table ip wall {"; nft_set "$scene/prefixes"; cat <<'NFT'
  chain input {
    type filter hook input priority filter;
    tcp dport 5432 ip saddr != @allowed drop
  }
}
NFT
  } | on db-host nft -f -
}
end_nft-input() { on db-host nft delete table ip wall; }

pgbench() { on client pgbench -h "$database_host" -U postgres "$@" orders; }

# One line: tps, and the latency that 99 of 100 transactions keep within, in us.
transact() {
  local logs=$scene/transactions
  rm -rf "$logs"
  mkdir "$logs"
  pgbench --select-only --protocol=prepared --no-vacuum --client="$clients" --jobs=1 \
    --time="$seconds" --log --log-prefix="$logs/t" >"$scene/pgbench.log" 2>&1 ||
    fail "pgbench: $(tail -n 3 "$scene/pgbench.log")"
  cat "$logs"/t* | awk '{print $3}' | sort -n | awk -v seconds="$seconds" '
    {took[NR] = $1}
    END {printf "%.0f %d %d\n", NR / seconds, took[int(NR * 0.5) + 1], took[int(NR * 0.99) + 1]}'
}

# begin_flood RATE CPUS / end_flood, which prints what came, a second.
begin_flood() {
  local queue
  for ((queue = 0; queue < $2; queue++)); do
    start "flood$queue" router "$build/bench/feed" --netns "/run/netns/$prefix-router" \
      --interface db-host --mac "$mac" --address "$database_host" --prefixes "$scene/prefixes" \
      --hits 0 --seconds $((seconds + 20)) --rate $(($1 / $2)) --cpu $(($(nproc) - 1 - queue)) --first
  done
  await 20 "the flood" is_flooded
}

end_flood() {
  local queue
  for ((queue = 0; queue < $1; queue++)); do stop "flood$queue" >&2; done
  cat "$scene"/flood*.log | jq -s 'map(.sent / .seconds) | add | floor'
  rm "$scene"/flood*.log
}

# TCP segments that the two ends have sent again, as they were lost.
resent_so_far() {
  { on client cat /proc/net/snmp; on db-host cat /proc/net/snmp; } |
    awk '/^Tcp: [0-9]/ {sum += $13} END {print sum}'
}

sample() {
  local name=$1 rate=$2 queues=$3 round=$4 tps p50 p99 resent flooded=0
  if ((rate > 0)); then begin_flood "$rate" "$queues"; fi
  resent=$(resent_so_far)
  read -r tps p50 p99 < <(transact)
  resent=$(($(resent_so_far) - resent))
  if ((rate > 0)); then flooded=$(end_flood "$queues"); fi
  jq -nc --arg name "$name" --argjson rate "$rate" --argjson cpus "$queues" \
    --argjson round "$round" --argjson tps "$tps" --argjson p50 "$p50" --argjson p99 "$p99" \
    --argjson flooded "$flooded" --argjson resent "$resent" \
    '{suite: "flood", contender: $name, rate: $rate, cpus: $cpus, round: $round, tps: $tps,
      p50_us: $p50, p99_us: $p99, resent: $resent, flooded: $flooded}'
}

# As add_host does, with queues to receive by: frames that are redirected take the one of their CPU's
# number, so half of them are the flood's, and the others are left to pgbench. One queue of a veth
# for both would hold 256 frames, be emptied on whichever CPU asked first, and lose pgbench's frames
# where a NIC would not.
add_database_host() {
  local cpus queue queues
  cpus=$(nproc) queues=$((cpus * 2))
  add_namespace db-host
  ip -n "$prefix-router" link add db-host numtxqueues "$queues" numrxqueues "$queues" type veth \
    peer name eth0 numtxqueues "$queues" numrxqueues "$queues" netns "$prefix-db-host"
  ip -n "$prefix-router" address add 198.18.0.1/24 dev db-host
  ip -n "$prefix-db-host" address add "$database_host/24" dev eth0
  # Without XDP a veth takes redirected frames only with this.
  on db-host ethtool -K eth0 gro on
  ip -n "$prefix-router" link set db-host up
  ip -n "$prefix-db-host" link set eth0 up
  ip -n "$prefix-db-host" route add default via 198.18.0.1
  for ((queue = 0; queue < queues; queue++)); do
    # /sys there is the namespace's own.
    printf '%x' $((queue < cpus ? 0 : 1 << (queue - cpus))) | ip netns exec "$prefix-router" \
      tee "/sys/class/net/db-host/queues/tx-$queue/xps_cpus" >"$scene/xps"
  done
}

# The flood goes out 500 times a second, and the kernel waits for RCU after each time.
hurry_rcu() {
  # shellcheck disable=SC2016  # the inner shell's
  start rcu router sh -c 'was=$(cat "$0"); trap "echo $was >$0; exit" TERM; echo 1 >"$0"
    while :; do sleep 1; done' /sys/kernel/rcu_expedited
  await 5 "RCU to make haste" grep -q 1 /sys/kernel/rcu_expedited
}

received() { ip -n "$prefix-db-host" -s -j link show dev eth0 | jq '.[0].stats64.rx.packets'; }
is_flooded() { local before; before=$(received) && sleep 0.05 && (($(received) > before + 1000)); }

fail() {
  echo "flood: $*" >&2
  exit 1
}

begin_scene "$build"
hurry_rcu
add_database_host
add_host client "$client" 198.51.100.1
mac=$(ip -n "$prefix-db-host" -j link show dev eth0 | jq -r '.[0].address')
# Answers to sources that nobody has go out as to any other, and end there.
ip -n "$prefix-router" route add blackhole default
{ echo "$client/32"; "$build/bench/prefixes" 29; } >"$scene/prefixes"
write_policy "$scene/prefixes"
start_postgres
pgbench --initialize --scale="$scale" --quiet >"$scene/pgbench.log" 2>&1 ||
  fail "$(<"$scene/pgbench.log")"
for ((round = 0; round < rounds; round++)); do
  for name in "${all[@]}"; do
    is_wanted "$name" || continue
    "set_$name"
    for rate in ${rates//,/ }; do
      for queues in ${cpus//,/ }; do
        # Without a flood there is nothing to spread.
        ((rate > 0)) || queues=0
        sample "$name" "$rate" "$queues" "$round"
        ((rate > 0)) || break
      done
    done
    "end_$name"
  done
done
