#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Transactions under a flood: pgbench from a listed client against PostgreSQL, while SYNs from random
# unlisted sources come in at a fixed rate, with one firewall after the other. One line of JSON a
# sample, on stdout.
#
#   bench/flood.sh [--rounds N] [--seconds S] [--rates N,N] [--only NAME,NAME] BUILD
#
#   client -+                           The flood is sent before all other tasks of the last CPU, and
#           +- router - eth0: firewall - PostgreSQL     received there too, as by a NIC whose queue
#   flood --+                           is bound to one CPU. All else may run on every CPU.
#
# A flood that cannot be received at its rate is sent as fast as it can: "rate" is what was aimed at.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

rounds=5 seconds=5 rates=0,100000,500000,1000000,2000000 only=
while (($# > 1)); do
  case $1 in
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    --rates) rates=$2 ;;
    --only) only=,$2, ;;
    *) usage "$0" ;;
  esac
  shift 2
done
(($# == 1)) || usage "$0"

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

set_nft-ingress() {
  { echo "table netdev wall {"; nft_set "$scene/prefixes"; cat <<'NFT'
  chain ingress {
    type filter hook ingress device eth0 priority 0;
    ip daddr 198.18.0.5 tcp dport 5432 ip saddr != @allowed drop
  }
}
NFT
  } | on db-host nft -f -
}
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

sample() {
  local name=$1 rate=$2 round=$3 tps p50 p99 flood='{}'
  if ((rate > 0)); then
    start flood router "$build/bench/feed" --netns "/run/netns/$prefix-router" --interface db-host \
      --mac "$mac" --address "$database_host" --prefixes "$scene/prefixes" --hits 0 \
      --seconds 1000 --rate "$rate" --cpu "$cpu" --first
    await 20 "the flood" is_flooded
  fi
  read -r tps p50 p99 < <(transact)
  if ((rate > 0)); then
    stop flood
    flood=$(<"$scene/flood.log")
    rm "$scene/flood.log"
  fi
  jq -c --arg name "$name" --argjson rate "$rate" --argjson round "$round" \
    --argjson tps "$tps" --argjson p50 "$p50" --argjson p99 "$p99" \
    '{suite: "flood", contender: $name, rate: $rate, round: $round, tps: $tps, p50_us: $p50,
      p99_us: $p99, flood: .}' <<<"$flood"
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
add_host db-host "$database_host" 198.18.0.1
add_host client "$client" 198.51.100.1
# Without XDP a veth takes redirected frames only with this.
on db-host ethtool -K eth0 gro on
mac=$(ip -n "$prefix-db-host" -j link show dev eth0 | jq -r '.[0].address')
# Answers to sources that nobody has go out as to any other, and end there.
ip -n "$prefix-router" route add blackhole default
{ echo "$client/32"; "$build/bench/prefixes" 29; } >"$scene/prefixes"
write_policy "$scene/prefixes"
start_postgres
pgbench --initialize --scale=10 --quiet >"$scene/pgbench.log" 2>&1 ||
  fail "$(<"$scene/pgbench.log")"
for ((round = 0; round < rounds; round++)); do
  for name in "${all[@]}"; do
    [[ -z $only || $only == *",$name,"* ]] || continue
    "set_$name"
    for rate in ${rates//,/ }; do sample "$name" "$rate" "$round"; done
    "end_$name"
  done
done
