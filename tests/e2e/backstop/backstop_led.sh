#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Packets that do not look like what they are where a socket gets them: TCP behind a header of UDP
# (fou, gue), and what the host leads to lo or to a trusted interface. An unlisted source gets no
# answer; a listed one connects; and the host connects to itself, whatever its address.
#
#   tests/e2e/backstop/backstop_led.sh BUILD
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"
# shellcheck source=hold.sh
. "$(dirname "$0")/hold.sh"

second_nic=198.18.21.5 second_nic6=fd00:21::5
not_tried() { echo "NOT TRIED: $1: $(head -n 1 <<<"${2#*Error: }")"; }

knock_options=()  # of peers.py
# answer HOST ADDRESS: where a packet and its copy are both answered, the one.
answer() {
  local found
  found=$(knock "$1" "${knock_options[@]}" "$2" 5432)
  [[ $found != "AS AS" ]] || found=AS
  echo "$found"
}

# keeps_out NAME ADDRESS ADDRESS6: either may be empty.
keeps_out() {
  if [[ -n $2 ]]; then
    same "$1, an unlisted source" silence "$(answer stranger "$2")"
    same "$1, a listed source" AS "$(answer office "$2")"
  fi
  [[ -z $3 ]] || same "$1, over IPv6" silence "$(answer stranger "$3")"
}

# Every way has to be one, or silence shows nothing.
is_open() {
  [[ -z $2 ]] || same "$1 leads to the listener" AS "$(answer stranger "$2")"
  [[ -z $3 ]] || same "$1 leads to the listener, over IPv6" AS "$(answer stranger "$3")"
}

# --- TCP in UDP ---------------------------------------------------------------------------------------
inside=()  # "KIND,PORT FAMILY" each
add_inside() {
  local said kind=$1 port=$2 family name
  shift 2
  for family in '' -6; do
    name="$kind${family:+ over IPv6}"
    # shellcheck disable=SC2086  # none or one
    if said=$(ip -n "$prefix-db-host" fou add port "$port" "$@" $family 2>&1); then
      inside+=("$kind,$port ${family:-4}")
    else
      not_tried "TCP in $name" "$said"
    fi
  done
}
# for_each_inside FUNCTION: calls FUNCTION NAME ADDRESS ADDRESS6 for each.
for_each_inside() {
  local each how family
  for each in "${inside[@]}"; do
    read -r how family <<<"$each"
    knock_options=(--inside "$how")
    if [[ $family == 4 ]]; then
      "$1" "TCP in UDP, ${how%,*}" "$database_host" ''
    else
      "$1" "TCP in UDP, ${how%,*}" '' fd00::5
    fi
  done
  knock_options=()
}

# --- To lo, and to a trusted interface --------------------------------------------------------------------
nft_rules() { on db-host nft -f - 2>&1; }
no_rules() { on db-host nft flush ruleset; }

# for_each_led FUNCTION: lays one way after the other, calls FUNCTION NAME ADDRESS ADDRESS6, and
# takes it away.
for_each_led() {
  local said to to6
  if said=$(add_mpls); then
    "$1" "MPLS, a label that leads to lo" 198.18.60.5 fd00:60::5
  else
    not_tried "MPLS, a label that leads to lo" "$said"
  fi
  for to in "127.0.0.1 ::1" "$database_host fd00::5"; do
    read -r to to6 <<<"$to"
    if said=$(nft_rules <<<"
      table ip moat_led { chain before { type filter hook prerouting priority raw
        iifname eth1 tcp dport 5432 dup to $to
      }
      }
      table ip6 moat_led { chain before { type filter hook prerouting priority raw
        iifname eth1 tcp dport 5432 dup to $to6
      }
      }"); then
      "$1" "nft's dup to $to and $to6" "$second_nic" "$second_nic6"
      no_rules
    else
      not_tried "nft's dup to $to" "$said"
    fi
  done
  if said=$(tee_all); then
    "$1" "iptables' TEE to 127.0.0.1 and ::1" "$second_nic" "$second_nic6"
    no_rules
  else
    not_tried "iptables' TEE" "$said"
  fi
  if said=$(nft_rules <<<"table netdev moat_led { chain before { type filter hook ingress device eth1 priority 0
      ip protocol tcp fwd ip to 127.0.0.1 device lo
      ip6 nexthdr tcp fwd ip6 to ::1 device lo
    }
}"); then
    "$1" "nft's fwd to lo" "$second_nic" "$second_nic6"
    no_rules
  else
    not_tried "nft's fwd to lo" "$said"
  fi
  for to in lo trusted0; do
    if said=$(redirect_to "$to"); then
      "$1" "what tc redirects to $to" "$second_nic" "$second_nic6"
    else
      not_tried "what tc redirects to $to" "$said"
    fi
    on db-host tc qdisc del dev eth1 ingress 2>"$scene/tc.log" || true
  done
}

add_mpls() {
  local host
  [[ -d /proc/sys/net/mpls ]] || modprobe -q -a mpls_router mpls_iptunnel || true
  for host in router db-host; do
    [[ -e /proc/sys/net/mpls ]] || { echo "no MPLS in this kernel"; return 1; }
    set_sysctl "$host" net/mpls/platform_labels 1000
  done
  set_sysctl db-host net/mpls/conf/eth0/input 1
  {
    ip -n "$prefix-db-host" -f mpls route replace 100 dev lo &&
      ip -n "$prefix-router" route replace 198.18.60.5/32 encap mpls 100 via "$database_host" dev db-host &&
      ip -n "$prefix-router" -6 route replace fd00:60::5/128 encap mpls 100 via fd00::5 dev db-host
  } 2>&1
}

tee_all() {
  on db-host iptables -t mangle -A PREROUTING -i eth1 -p tcp -j TEE --gateway 127.0.0.1 2>&1 &&
    on db-host ip6tables -t mangle -A PREROUTING -i eth1 -p tcp -j TEE --gateway ::1 2>&1
}

redirect_to() {
  {
    on db-host tc qdisc add dev eth1 ingress &&
      on db-host tc filter add dev eth1 parent ffff: protocol ip u32 match ip protocol 6 0xff \
        action mirred ingress redirect dev "$1" &&
      on db-host tc filter add dev eth1 parent ffff: protocol ipv6 u32 match ip6 protocol 6 0xff \
        action mirred ingress redirect dev "$1"
  } 2>&1
}

# --- The host to itself ------------------------------------------------------------------------------------
session() { on db-host /usr/bin/python3 "$peers" transfer "$@"; }
reaches_itself() { same "the host to itself, $1" whole "$(session "${@:2}")"; }
sees_reset() { says "^end $1 [0-9]* ConnectionResetError" cat "$scene/listener.log"; }
resets_itself() {
  on db-host /usr/bin/python3 "$peers" abort --source "$2" "$3" 5432
  await 10 "the listener to see a reset, $1" sees_reset "$2"
  holds "the host to itself, $1: a reset arrives"
}

build_wall none "$1"
add_host office "$listed_client" 198.51.100.1
add_host stranger "$unlisted_client" 198.19.0.1
set_sysctl router net/ipv6/conf/all/forwarding 1
for each in router db-host; do
  set_sysctl "$each" net/ipv4/conf/all/rp_filter 0
  set_sysctl "$each" net/ipv4/conf/lo/rp_filter 0
done
set_sysctl db-host net/ipv4/conf/eth0/rp_filter 0
ip -n "$prefix-router" address add fd00::1/64 dev db-host nodad
ip -n "$prefix-db-host" address add fd00::5/64 dev eth0 nodad
ip -n "$prefix-db-host" -6 route add default via fd00::1
ip -n "$prefix-router" address add fd00:99::1/64 dev stranger nodad
ip -n "$prefix-stranger" address add fd00:99::2/64 dev eth0 nodad
ip -n "$prefix-stranger" -6 route add default via fd00:99::1
add_nic eth1 to-eth1
add_way "a second NIC" 21 eth1 to-eth1
set_sysctl db-host net/ipv4/conf/eth1/rp_filter 0
ip -n "$prefix-db-host" address add 198.18.60.5/32 dev lo
ip -n "$prefix-db-host" address add fd00:60::5/128 dev lo
ip -n "$prefix-db-host" link add trusted0 type veth peer name trusted1
ip -n "$prefix-db-host" link set trusted0 up
ip -n "$prefix-db-host" link set trusted1 up
change_config 's/^trusted-interfaces: .*/trusted-interfaces: [lo, trusted0]/'
listen

add_inside fou 5555 ipproto 6
add_inside gue 6080 gue
for_each_inside keeps_out
for_each_led keeps_out

# Its own, none of whose addresses any rule names.
reaches_itself "by 127.0.0.1" 1 127.0.0.1 5432
reaches_itself "by ::1" 1 ::1 5432
reaches_itself "by its address" 1 "$database_host" 5432
reaches_itself "by its IPv6 address" 1 fd00::5 5432
reaches_itself "from another of its addresses" --source "$second_nic" 1 "$database_host" 5432
reaches_itself "from another of its IPv6 addresses" --source "$second_nic6" 1 fd00::5 5432
resets_itself "from another of its addresses" "$second_nic" "$database_host"
resets_itself "from another of its IPv6 addresses" "$second_nic6" fd00::5
ip -n "$prefix-db-host" route add local 192.0.2.128/25 dev lo
reaches_itself "from an address that only a local route names" --source 192.0.2.200 1 "$database_host" 5432
ip -n "$prefix-db-host" rule add from "$database_host" to 203.0.113.200 lookup 77
ip -n "$prefix-db-host" route add local default dev lo table 77
reaches_itself "in a client's name (IP_TRANSPARENT)" --source 203.0.113.200 --transparent \
  1 "$database_host" 5432
on db-host nft -f - <<NFT
table inet moat_own {
  chain out { type nat hook output priority -100
    tcp dport 15432 redirect to :5432
  }
  chain post { type nat hook postrouting priority 100
    meta nfproto ipv4 oif lo tcp sport 1024-65535 ip saddr 127.0.0.1 snat to $second_nic
  }
}
NFT
reaches_itself "by REDIRECT" 1 "$database_host" 15432
reaches_itself "by REDIRECT, from another address" --source "$second_nic" 1 "$database_host" 15432
reaches_itself "by REDIRECT over IPv6" 1 fd00::5 15432
reaches_itself "by 127.0.0.1, with SNAT" 1 127.0.0.1 5432
on db-host nft delete table inet moat_own

# --- Sessions, when their rule goes ------------------------------------------------------------------------
if said=$(redirect_to lo); then
  let_in
  hold "$second_nic 5432 tc to lo"
  all_say "a session that tc leads to lo" echo answered
  keep_out
  all_say "a session that tc leads to lo, when its rule goes" state reset
  let_go
  on db-host tc qdisc del dev eth1 ingress
else
  not_tried "a session that tc leads to lo" "$said"
fi

hold_from=db-host hold_options="--source 192.0.2.200"
hold "$database_host 5432 an address that only a local route names"
let_in
keep_out
all_say "the host's session with itself, when a rule goes" echo answered
let_go

# --- It was the backstop ---------------------------------------------------------------------------------
change_config 's/^backstop: .*/backstop: false/'
for_each_inside is_open
for_each_led is_open
echo "$passed passed, 0 failed"
