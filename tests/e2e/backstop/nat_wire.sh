#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# NAT on the database host: a packet is judged as it was on the wire as well as by what NAT made of
# it, whatever NIC it came by and whether the backstop has its program before sockets or not. And
# what reaches a guarded NIC behind its program is counted.
#
#   tests/e2e/backstop/nat_wire.sh BUILD
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"

second_nic=198.18.21.5 pooler=6432 unlisted_address=10.77.0.1
keeps_out() { same "$1 ($2), an unlisted source" silence "$(knock stranger "$2" 5432)"; }
# The whole of a session, its replies included.
lets_in() { same "$1 ($2), a listed source" whole "$(session office "$2" 5432)"; }
session() { on "$1" /usr/bin/python3 "$peers" transfer 1 "$2" "$3"; }

# translate FAMILY HOOK RULE: instead of what was translated before.
translate() {
  on db-host nft -f - <<NFT
flush ruleset
table $1 moat_test {
  chain translate { type nat hook $2 priority $([[ $2 == prerouting ]] && echo dstnat || echo 100); $3; }
}
NFT
}
translate_nothing() { on db-host nft flush ruleset; }

endpoint() {
  sed -i "s/^endpoint: .*/endpoint: {$1}/" "$scene/moat/databases.d/orders.yaml"
  on db-host moat reload >"$scene/moat.log" 2>&1
}

# serve LABEL HOST PORT
serve() {
  start "$1" "$2" /usr/bin/python3 "$peers" serve "$3"
  await 10 "a listener on port $3" says '^AS$' knock "$2" 127.0.0.1 "$3"
}

begin() {
  add_host db-host "$database_host" 198.18.0.1
  add_host office "$listed_client" 198.51.100.1
  add_host stranger "$unlisted_client" 198.19.0.1
  set_sysctl router net/ipv6/conf/all/forwarding 1
  ip -n "$prefix-router" address add fd00:99::1/64 dev stranger nodad
  ip -n "$prefix-stranger" address add fd00:99::2/64 dev eth0 nodad
  ip -n "$prefix-stranger" -6 route add default via fd00:99::1
  add_nic eth1 to-eth1
  add_way "a second NIC" 21 eth1 to-eth1
  ip -n "$prefix-db-host" address add "$unlisted_address/32" dev lo
  set_sysctl db-host net/ipv4/conf/all/route_localnet 1
  cp -r "$root"/config/{moat.yaml,databases.d,managed-ranges.d} "$scene/moat"
  sed -i '/expires:/d' "$scene/moat/databases.d/orders.yaml"
  start_moatd
  listen
  serve pooler db-host "$pooler"
}

# What the guarded port is turned into.
try_redirects() {
  local way
  translate inet prerouting "tcp dport 5432 redirect to :$pooler"
  for way in "$database_host" "$second_nic"; do
    keeps_out "$1: REDIRECT to a pooler" "$way"
    lets_in "$1: REDIRECT to a pooler" "$way"
  done
  keeps_out "$1: REDIRECT to a pooler" fd00:21::5
  set_sysctl db-host net/ipv4/tcp_syncookies 2
  keeps_out "$1: REDIRECT to a pooler, a SYN cookie for each" "$second_nic"
  lets_in "$1: REDIRECT to a pooler, a SYN cookie for each" "$second_nic"
  set_sysctl db-host net/ipv4/tcp_syncookies 1
  endpoint "address: $second_nic, port: 5432"
  translate ip prerouting "ip daddr $second_nic tcp dport 5432 dnat to 127.0.0.1:5432"
  keeps_out "$1: an endpoint with an address, DNAT to 127.0.0.1" "$second_nic"
  lets_in "$1: an endpoint with an address, DNAT to 127.0.0.1" "$second_nic"
  endpoint "port: 5432"
}

# What the source is turned into, in the input hook: last of all.
try_sources() {
  local way
  translate ip input "tcp dport 5432 snat to $unlisted_address"
  for way in "$database_host" "$second_nic"; do
    lets_in "$1: SNAT to an unlisted address" "$way"
    keeps_out "$1: SNAT to an unlisted address" "$way"
  done
  translate ip input "tcp dport 5432 snat to $listed_client"
  for way in "$database_host" "$second_nic"; do
    keeps_out "$1: SNAT to a listed address" "$way"
  done
}

# A connection that the host opens by a NIC without rules, from a port that NAT makes 5432. To a port
# of its own each time: the last one's addresses and ports are still taken.
far_port=7000
try_replies() {
  translate ip postrouting "oifname eth1 tcp dport $far_port snat to $second_nic:5432"
  serve "far-$far_port" router "$far_port"
  same "$1: replies to what NAT sent from the guarded port" whole \
    "$(session db-host 198.18.21.1 "$far_port")"
  far_port=$((far_port + 1))
  translate_nothing
}

try_all() {
  try_redirects "$1"
  try_sources "$1"
  try_replies "$1"
}

backstop_fact() { moat_status_json | jq -r ".backstop.$1"; }

begin_scene "$1"
begin
judged_as_left="packets are judged as NAT left them"
limit() { moat_status | grep "$judged_as_left"; }
if limit >"$scene/limit"; then
  echo "NOT TRIED, for a limit of this kernel, as status says:" "$(<"$scene/limit")"
  exit 77
fi

if [[ $(backstop_fact before_sockets) == true ]]; then
  try_all "before sockets"
  stop pooler
  flags=S
  translate inet prerouting "tcp dport 5432 redirect to :$pooler"
  counted "of a listed source by the guarded NIC and REDIRECT" "7 0 0 0 0" office "$database_host" 5432
  counted "of an unlisted source by a second NIC and REDIRECT" "0 0 7 0 0" stranger "$second_nic" 5432
  change_config 's/^mode: .*/mode: monitor/'
  counted "of an unlisted source by the guarded NIC and REDIRECT in monitor mode" "0 0 0 7 0" \
    stranger "$database_host" 5432
  change_config 's/^mode: .*/mode: enforce/'
  translate_nothing
  serve pooler db-host "$pooler"
else
  echo "not tried, as this kernel has no place for it: a program before sockets"
fi

# --- Without a program before sockets ------------------------------------------------------------------
change_config "\$abackstop-cgroup: $(findmnt -n -t cgroup2 -o TARGET | head -n 1)"
[[ $(backstop_fact before_sockets) == false ]] || fail "before sockets, though kept to a cgroup"
if ! limit >"$scene/limit"; then
  try_all "at sockets"
  translate inet prerouting "tcp dport 5432 redirect to :$pooler"
  read -r before _ < <(counts)
  lets_in "at sockets, to be counted" "$second_nic"
  read -r after _ < <(counts)
  ((after > before)) || fail "a listed source by a second NIC and REDIRECT is not counted"
  holds "at sockets, a listed source by a second NIC and REDIRECT is counted"
  stop moatd KILL
  keeps_out "at sockets: REDIRECT to a pooler, and no moatd" "$second_nic"
  start_moatd
  keeps_out "at sockets: REDIRECT to a pooler, and another moatd" "$second_nic"
  translate_nothing
else
  echo "NOT TRIED, for a limit of this kernel, as status says:" "$(<"$scene/limit")"
fi
change_config '/^backstop-cgroup/d'

# --- What reaches a guarded NIC behind its program --------------------------------------------------------
flags=R
add_tc_redirect() {
  on db-host tc qdisc add dev eth1 ingress
  on db-host tc filter add dev eth1 parent ffff: protocol ip u32 match ip dst "$second_nic/32" \
    match ip protocol 6 0xff action mirred ingress redirect dev eth0
}
add_ipsec() {
  local aes=0x0123456789abcdef0123456789abcdef out="src 198.18.0.1 dst $database_host" host
  for host in router db-host; do
    # shellcheck disable=SC2086  # words
    ip -n "$prefix-$host" xfrm state add $out proto esp spi 0x100 mode tunnel \
      enc "cbc(aes)" $aes auth-trunc "hmac(sha256)" "${aes}${aes#0x}" 128 || return
  done
  # shellcheck disable=SC2086
  ip -n "$prefix-router" xfrm policy add dst 198.18.50.5/32 dir out tmpl $out proto esp mode tunnel
  # shellcheck disable=SC2086
  ip -n "$prefix-db-host" xfrm policy add dst 198.18.50.5/32 dir in tmpl $out proto esp mode tunnel
  ip -n "$prefix-db-host" address add 198.18.50.5/32 dev lo
  ip -n "$prefix-router" route add 198.18.50.5/32 via "$database_host" dev db-host
}

add_tc_redirect
counted "of a listed source that tc redirects to the guarded NIC" "7 0 0 0 0" \
  office "$second_nic" 5432
counted "of an unlisted source that tc redirects to the guarded NIC" "0 0 7 0 0" \
  stranger "$second_nic" 5432
ip -n "$prefix-router" address add fd00::1/64 dev db-host nodad
ip -n "$prefix-db-host" address add fd00::5/64 dev eth0 nodad
add_segment_routing
counted "of a listed source by segment routing" "7 0 0 0 0" office 198.18.40.5 5432
if said=$(add_ipsec 2>&1); then
  counted "of a listed source by IPsec" "7 0 0 0 0" office 198.18.50.5 5432
  counted "of an unlisted source by IPsec" "0 0 7 0 0" stranger 198.18.50.5 5432
else
  echo "NOT TRIED, as this kernel has no IPsec: counting what comes by it: $said"
fi
counted "of a listed source by the guarded NIC" "7 0 0 0 0" office "$database_host" 5432
echo "$passed passed, 0 failed"
