#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The ways round the NIC that moatd guards: an unlisted source gets no answer by any of them, a
# listed one connects, and so does the host to itself. What was dropped is counted once.
#
#   tests/e2e/backstop/backstop.sh BUILD
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"

second_nic=198.18.21.5
keeps_out() { same "$1 ($2), an unlisted source" silence "$(knock stranger "$2" "$3")"; }
lets_in() { same "$1 ($2), a listed source" AS "$(knock office "$2" "$3")"; }
is_open() { same "$1 ($2) leads to the listener" AS "$(knock stranger "$2" "$3")"; }

build_ways "$1"
says "^Backstop +on, cgroup /" moat_status || fail "status does not name the backstop"
holds "status says that the backstop is on, and where"

# --- New connections --------------------------------------------------------------------------------
keeps_out "the guarded NIC" "$database_host" 5432
lets_in "the guarded NIC" "$database_host" 5432
for_each lets_in "${ways[@]}" "${translations[@]}"
for_each keeps_out "${ways[@]}" "${ways6[@]}" "${translations[@]}" "${translations6[@]}"
for flags in A SA FPA; do
  same "flags '$flags' by a second NIC, an unlisted source" silence \
    "$(knock stranger --flags "$flags" "$second_nic" 5432)"
done
for option in mptcp fastopen; do
  same "a SYN that offers $option by a second NIC, an unlisted source" silence \
    "$(knock stranger --option "$option" "$second_nic" 5432)"
  same "a SYN that offers $option by a second NIC, a listed source" AS \
    "$(knock office --option "$option" "$second_nic" 5432)"
done
same "a SYN in two fragments by a second NIC, an unlisted source" silence \
  "$(knock stranger --fragments "$second_nic" 5432)"
same "a SYN in two fragments by a second NIC, a listed source" AS \
  "$(knock office --fragments "$second_nic" 5432)"
set_sysctl db-host net/ipv4/tcp_syncookies 2
keeps_out "a second NIC, where every SYN is answered with a cookie" "$second_nic" 5432
lets_in "a second NIC, where every SYN is answered with a cookie" "$second_nic" 5432
set_sysctl db-host net/ipv4/tcp_syncookies 1

# --- Counted once -------------------------------------------------------------------------------------
counted "of a listed source by the guarded NIC" "7 0 0 0 0" office "$database_host" 5432
counted "of a listed source by a second NIC" "7 0 0 0 0" office "$second_nic" 5432
counted "of an unlisted source by the guarded NIC" "0 7 0 0 0" stranger "$database_host" 5432
counted "of an unlisted source by a second NIC" "0 0 7 0 0" stranger "$second_nic" 5432
counted "of an unlisted source by VXLAN" "0 0 7 0 0" stranger 198.18.27.5 5432
counted "over IPv6 by a second NIC" "0 0 7 0 0" stranger fd00:21::5 5432
change_config 's/^interfaces: .*/interfaces: [eth0, eth2]/'
counted "of a listed source by a bridge over a guarded NIC" "7 0 0 0 0" office 198.18.22.5 5432
counted "of an unlisted source by a bridge over a guarded NIC" "0 7 0 0 0" \
  stranger 198.18.22.5 5432
change_config 's/^interfaces: .*/interfaces: [eth0]/'
counted "of a listed source by a bridge" "7 0 0 0 0" office 198.18.22.5 5432
change_config 's/^mode: .*/mode: monitor/'
counted "of an unlisted source in monitor mode" "0 0 0 7 0" stranger "$database_host" 5432
counted "of an unlisted source in monitor mode by a second NIC" "0 0 0 0 7" \
  stranger "$second_nic" 5432
change_config 's/^mode: .*/mode: enforce/'

# --- A namespace's veth on the host, as a container has, and the host itself ------------------------------
add_namespace container
ip -n "$prefix-db-host" link add inner type veth peer name eth0 netns "$prefix-container"
ip -n "$prefix-db-host" address add 10.99.9.1/24 dev inner
ip -n "$prefix-db-host" link set inner up
ip -n "$prefix-container" address add 10.99.9.2/24 dev eth0
ip -n "$prefix-container" link set eth0 up
same "a container" silence "$(knock container 10.99.9.1 5432)"
change_config 's/^trusted-interfaces: .*/trusted-interfaces: [lo, inner]/'
same "a container behind a trusted interface" AS "$(knock container 10.99.9.1 5432)"
change_config 's/^trusted-interfaces: .*/trusted-interfaces: []/'
same "a container behind an interface that is trusted no longer" silence \
  "$(knock container 10.99.9.1 5432)"
for address in 127.0.0.1 ::1 "$database_host" "$second_nic" fd00:21::5; do
  same "the host to itself at $address, though no interface is trusted" AS \
    "$(knock db-host "$address" 5432)"
done
start other container /usr/bin/python3 "$peers" serve 5432
await 5 "another namespace's database" answers db-host 10.99.9.2
holds "another namespace's database is left alone"

# --- A wholly private address, by a bridge ----------------------------------------------------------------
private=198.18.22.5
cat >"$scene/moat/databases.d/vault.yaml" <<YAML
database: vault
endpoint: {address: $private, ports: all}
rules: [{cidr: $listed_client/32}]
YAML
on db-host moat reload >"$scene/moat.log" 2>&1
# Another address there answers an echo for it.
ip -n "$prefix-db-host" address add 198.18.22.6/24 dev br0
ip -n "$prefix-db-host" rule add from 198.18.22.6 table 22
knock_private() { knock "$1" --neighbour 198.18.22.6 "${@:2}" "$private" 5432; }
same "TCP to a wholly private address, an unlisted source" silence "$(knock_private stranger)"
same "TCP to a wholly private address, a listed source" AS "$(knock_private office)"
# The listener reads them in the order in which they come.
for host in stranger office; do knock_private "$host" --udp >/dev/null; done
await 5 "the listed source's datagram" grep "^datagram $listed_client" "$scene/listener.log"
! grep "^datagram $unlisted_client" "$scene/listener.log" || fail "an unlisted datagram was received"
holds "UDP to a wholly private address: a listed source's is received, an unlisted one's not"

# --- What no socket receives --------------------------------------------------------------------------
before_sockets=$(moat_status_json | jq .backstop.before_sockets)
[[ $before_sockets == true ]] ||
  echo "NOT TRIED before sockets: this kernel has no place for a program there"
# shut WHAT FOUND [OPEN]: silence, where the backstop is before sockets; a limit elsewhere.
shut() {
  if [[ $before_sockets == true ]]; then
    same "$1" silence "$2"
  else
    echo "a limit of this kernel: $1: $2"
  fi
}
shut "a ping to a wholly private address, an unlisted source" "$(knock_private stranger --ping)"
same "a ping to a wholly private address, a listed source" echo "$(knock_private office --ping)"
rm "$scene/moat/databases.d/vault.yaml"
on db-host moat databases forget vault --yes >"$scene/moat.log" 2>&1
on db-host nft -f - <<'NFT'
table inet moat_reject {
  chain input { type filter hook input priority filter; tcp dport 5432 reject with tcp reset; }
}
NFT
shut "a rule of nft that rejects, by a second NIC" "$(knock stranger "$second_nic" 5432)"
same "a rule of nft that rejects, by a second NIC, a listed source" AR \
  "$(knock office "$second_nic" 5432)"
on db-host nft delete table inet moat_reject
stop listener
same "no listener, by the guarded NIC" silence "$(knock stranger "$database_host" 5432)"
no_listener() { shut "no listener, $1 ($2)" "$(knock stranger "$2" "$3")"; }
for_each no_listener "${ways[@]}" "${ways6[@]}" "${translations[@]}" "${translations6[@]}"
same "no listener, a listed source by a second NIC" AR "$(knock office "$second_nic" 5432)"
same "no listener, another port by a second NIC" AR "$(knock stranger "$second_nic" 5431)"
if [[ $before_sockets == true ]]; then
  counted "to no listener, of an unlisted source by a second NIC" "0 0 7 0 0" \
    stranger "$second_nic" 5432
  for family in ipv4 ipv6; do
    link=$(on db-host bpftool -j link show pinned "$scene/bpf/moat/input-link-$family" | jq .id)
    on db-host bpftool link detach id "$link"
  done
  same "no listener, once the program is taken off" AR "$(knock stranger "$second_nic" 5432)"
  says "taken off its place before sockets; mended" moat_status ||
    fail "status does not tell that the program had been taken off"
  keeps_out "no listener, once status has looked" "$second_nic" 5432
  keeps_out "no listener, once status has looked" fd00:21::5 5432
  for _ in 1 2; do
    stop moatd KILL
    keeps_out "no listener, and no moatd" "$second_nic" 5432
    start_moatd
    keeps_out "no listener, and another moatd" "$second_nic" 5432
  done
  # NAT changes the first packet of a connection, and those that follow it.
  flags=S
  counted "of a listed source by REDIRECT on the guarded NIC" "7 0 0 0 0" \
    office "$database_host" "$redirected"
  counted "of an unlisted source by REDIRECT on the guarded NIC" "0 0 7 0 0" \
    stranger "$database_host" "$redirected"
  change_config 's/^mode: .*/mode: monitor/'
  counted "of an unlisted source by REDIRECT in monitor mode" "0 0 0 0 7" \
    stranger "$database_host" "$redirected"
  change_config 's/^mode: .*/mode: enforce/'
  flags=R
fi

# --- Listeners to whom TPROXY hands what was for another port or address ----------------------------------
steer() {
  on db-host nft -f - <<NFT
table inet moat_steer {
  chain before { type filter hook prerouting priority mangle; $1 accept; }
}
NFT
}
serve_steered() { start listener db-host /usr/bin/python3 "$peers" serve --transparent "$@"; }
steered="tcp dport 15500 tproxy ip to $database_host:5432"
sed -i "s/^endpoint: .*/endpoint: {address: $database_host, port: 5432}/" \
  "$scene/moat/databases.d/orders.yaml"
on db-host moat reload >"$scene/moat.log" 2>&1
serve_steered --address "::ffff:$database_host" 5432
await 5 "the listener" answers db-host "$database_host"
steer "meta nfproto ipv4 $steered"
same "TPROXY from an unguarded address and port, an unlisted source" silence \
  "$(knock stranger "$second_nic" 15500)"
same "TPROXY from an unguarded address and port, a listed source" AS \
  "$(knock office "$second_nic" 15500)"
on db-host nft delete table inet moat_steer
stop listener
sed -i "s/^endpoint: .*/endpoint: {port: 5432}/" "$scene/moat/databases.d/orders.yaml"
on db-host moat reload >"$scene/moat.log" 2>&1
serve_steered 9999
await 5 "the listener" says '^AS$' knock db-host 127.0.0.1 9999
steer "iifname eth1 tcp dport 5432 tproxy to :9999"
same "TPROXY from a guarded port to another, an unlisted source" silence \
  "$(knock stranger "$second_nic" 5432)"
same "TPROXY from a guarded port to another, a listed source" AS "$(knock office "$second_nic" 5432)"
on db-host nft delete table inet moat_steer
stop listener
listen

# --- It was the backstop ---------------------------------------------------------------------------------
! grep "^accept $unlisted_client" "$scene/listener.log" || fail "an unlisted source was accepted"
holds "the listener has accepted no unlisted source"
change_config 's/^backstop: .*/backstop: false/'
same "flags 'A' by a second NIC" R "$(knock stranger --flags A "$second_nic" 5432)"
for_each is_open "${ways[@]}" "${ways6[@]}" "${translations[@]}" "${translations6[@]}"
echo "$passed passed, 0 failed"
