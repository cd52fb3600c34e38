#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Which sessions end when a rule goes, where the sockets on guarded ports do not tell: behind NAT, by
# an interface that is trusted, by MPTCP on a port that nobody guards.
#
#   tests/e2e/backstop/end_sessions.sh BUILD
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"
# shellcheck source=hold.sh
. "$(dirname "$0")/hold.sh"

second_address=198.20.0.9  # the stranger's, which no rule names

# A listed client opens a session and keeps it, beside those that are held.
keep() {
  mkfifo "$scene/keep"
  exec {keep}<>"$scene/keep"
  (exec setsid nsenter --net="/run/netns/$prefix-office" /usr/bin/python3 "$peers" hold \
    "kept=$1,$2" <"$scene/keep" >"$scene/keep.log" 2>&1) &
  pids[keeper]=$!
  await 20 "a listed client's session" grep -q ^open "$scene/keep.log"
}

kept_answers() {
  : >"$scene/keep.log"
  echo echo >&"$keep"
  await 20 "the listed client's session to answer" grep -q ^done "$scene/keep.log"
  grep -q '^kept answered' "$scene/keep.log" || fail "$1: $(cat "$scene/keep.log")"
  holds "$1"
}

listen_on() {
  is_running listener && stop listener
  : >"$scene/listener.log"
  start listener "$1" /usr/bin/python3 "$peers" serve "${@:2}"
  await 20 "the listener" says '^AS$' knock "$1" 127.0.0.1 "$2"
}

nat() {
  on db-host nft -f - <<NFT
table ip moat_test {
  chain before {
    type nat hook prerouting priority dstnat;
    $1
  }
}
NFT
}
no_nat() { on db-host nft delete table ip moat_test; }

unrelated_rule() { on db-host moat rules add --database orders --cidr "$1/32" >"$scene/moat.log" 2>&1; }
tracked() { on db-host grep -q "src=$unlisted_client .*dport=$1 " /proc/net/nf_conntrack; }
untracked() { ! tracked "$1"; }
joined() { says "$second_address" on db-host ss -tnH state established sport = :6000; }
parted() { ! joined; }

build_wall none "$1"
sed -i 's/^endpoint: .*/endpoint: {ports: [5432, 5400]}/' "$scene/moat/databases.d/orders.yaml"
on db-host moat reload >"$scene/moat.log" 2>&1
add_host office "$listed_client" 198.51.100.1
add_host stranger "$unlisted_client" 198.19.0.1

# --- REDIRECT to a port that nobody guards ----------------------------------------------------------
nat "tcp dport 5432 redirect to :6432"
listen_on db-host 6432
let_in
keep "$database_host" 5432
hold "$database_host 5432 REDIRECT"
keep_out
all_say "a session that REDIRECT led elsewhere, when its rule goes" state reset
kept_answers "that of a client with a rule goes on"
let_go
no_nat

# --- A trusted interface to which the routing table alone does not lead -----------------------------
add_nic eth1 to-eth1
ip -n "$prefix-router" address add 198.18.21.1/24 dev to-eth1
ip -n "$prefix-router" link set to-eth1 up
ip -n "$prefix-db-host" address add 198.18.21.5/24 dev eth1
ip -n "$prefix-db-host" rule add fwmark 21 table 21
ip -n "$prefix-db-host" route add default via 198.18.21.1 dev eth1 table 21
set_sysctl db-host net/ipv4/conf/all/rp_filter 0
set_sysctl db-host net/ipv4/conf/eth1/rp_filter 0
set_sysctl db-host net/ipv4/tcp_fwmark_accept 1
set_sysctl db-host net/ipv4/fwmark_reflect 1
on db-host nft -f - <<NFT
table ip moat_marks {
  chain before {
    type filter hook prerouting priority mangle;
    iifname "eth1" meta mark set 21
  }
}
NFT
change_config 's/^trusted-interfaces: .*/trusted-interfaces: [lo, eth1]/'
listen_on db-host 5432
hold "198.18.21.5 5432 a trusted interface"
unrelated_rule 203.0.113.9
all_say "a session by a trusted interface, when a rule of others has changed" echo answered
let_go
let_in
hold "$database_host 5432 the guarded one"
keep_out
all_say "one that is not by it, when its rule goes" state reset
let_go
# The program on an interface knows of no trust.
change_config 's/^trusted-interfaces: .*/trusted-interfaces: [lo, eth0]/'
let_in
hold "$database_host 5432 one that is guarded and trusted"
keep_out
all_say "one by an interface that is guarded and trusted, when its rule goes" state reset
let_go
change_config 's/^trusted-interfaces: .*/trusted-interfaces: [lo]/'

# --- DNAT into a container ------------------------------------------------------------------------
add_namespace container
ip -n "$prefix-db-host" link add to-container type veth peer name eth0 netns "$prefix-container"
ip -n "$prefix-db-host" address add 172.30.0.1/24 dev to-container
ip -n "$prefix-db-host" link set to-container up
ip -n "$prefix-container" address add 172.30.0.2/24 dev eth0
ip -n "$prefix-container" link set eth0 up
ip -n "$prefix-container" route add default via 172.30.0.1
set_sysctl db-host net/ipv4/ip_forward 1
nat "tcp dport 5400 dnat to 172.30.0.2:5432"
listen_on container 5432
let_in
hold "$database_host 5400 a container"
tracked 5400 || fail "not to be seen in /proc/net/nf_conntrack, so nothing is shown"
unrelated_rule 203.0.113.10
all_say "a session into a container" echo answered
keep_out
await 20 "the translation to go" untracked 5400
holds "its translation goes with its rule"
all_say "what its peer sends" send silence
let_go
no_nat

# --- MPTCP by a port of its own ---------------------------------------------------------------------
add_nic_of_stranger() {
  ip -n "$prefix-router" link add to-second type veth peer name eth1 netns "$prefix-stranger"
  ip -n "$prefix-router" address add 198.20.0.1/24 dev to-second
  ip -n "$prefix-router" link set to-second up
  ip -n "$prefix-stranger" address add "$second_address/24" dev eth1
  ip -n "$prefix-stranger" link set eth1 up
  ip -n "$prefix-stranger" rule add from "$second_address" table 9
  ip -n "$prefix-stranger" route add default via 198.20.0.1 table 9
}
add_nic_of_stranger
on db-host ip mptcp limits set subflow 2 add_addr_accepted 2
on stranger ip mptcp limits set subflow 2 add_addr_accepted 2
on db-host ip mptcp endpoint add "$database_host" port 6000 signal
on stranger ip mptcp endpoint add "$second_address" dev eth1 subflow fullmesh
says "MPTCP endpoint $database_host port 6000" moat_status ||
  fail "status does not tell of the endpoint: $(moat_status)"
says '"mptcp-open"' moat_status_json || fail "status does not tell of it by its code"
says "$database_host port 6000" on db-host moat check "$scene/moat" 2>"$scene/moat.log" ||
  fail "check does not tell of the endpoint"
holds "status and check tell of an MPTCP endpoint with a port that nobody guards"
listen_on db-host 5432 --mptcp
hold_options=--mptcp
let_in
hold "$database_host 5432 MPTCP"
all_say "an MPTCP session" echo answered
await 20 "the stranger to join by port 6000 from an address that no rule names" joined
keep_out
await 20 "the session to end by port 6000" parted
holds "it ends by that port, too, when its rule goes"
let_go
echo "$passed passed, 0 failed"
