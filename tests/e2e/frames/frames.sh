#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Every frame of tests/verdict on a real wire: a database host with listeners, without moatd and then
# behind it under each of the policies, and the far end, which sends the frames raw and watches what
# comes back. The host's kernel is as forgiving as settings make it, takes off all tags and unpacks
# tunnels (unpack.bpf.c), so that it answers what it can.
#
#   tests/e2e/frames/frames.sh [--write] [--random N] [--seed N] FRAMES BUILD native|generic
#
# FRAMES: the program of frames.cpp. --write makes tests/verdict/wire.json anew. --random: so many
# random frames for each policy.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=../../../scripts/lib/build.sh
. "$here/../../../scripts/lib/build.sh"
# shellcheck source=../../../scripts/lib/scene.sh
. "$root/scripts/lib/scene.sh"

options=()
while [[ $1 == --* ]]; do
  options+=("$1")
  if [[ $1 != --write ]]; then
    options+=("$2")
    shift
  fi
  shift
done
program=$(realpath "$1") build=$(realpath "$2") attach=$3
cd "$root"
far_mac=02:00:00:00:00:01 host_mac=02:00:00:00:00:02

in_host() { ip -n "$prefix-db-host" "$@"; }

# For interfaces that are there and those to come.
allow() {
  # shellcheck disable=SC2016  # for the shell over there
  on db-host sh -c 'for name in /proc/sys/net/$1/conf/*/; do echo "$3" >"$name$2"; done' - "$@"
}

be_forgiving() {
  local setting
  # A new network has this machine's settings. What was forwarded would come back, and look like an answer.
  on db-host sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
  for setting in accept_local route_localnet accept_source_route; do
    allow ipv4 "$setting" 1
  done
  for setting in accept_source_route seg6_enabled; do allow ipv6 "$setting" 1; done
  for setting in rp_filter log_martians; do allow ipv4 "$setting" 0; done
  for setting in accept_dad accept_ra router_solicitations autoconf; do
    allow ipv6 "$setting" 0
  done
  allow ipv6 addr_gen_mode 1
  # Nothing is left out because there was much of it, and no fragment is given up while this runs.
  on db-host sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 \
    net.ipv4.icmp_msgs_per_sec=1000000 \
    net.ipv4.icmp_msgs_burst=1000000 net.ipv6.max_dst_opts_number=1000 \
    net.ipv6.max_hbh_opts_number=1000 net.ipv4.tcp_invalid_ratelimit=0 \
    net.ipv4.tcp_syncookies=0 net.ipv4.tcp_fastopen=1027 \
    net.ipv4.ipfrag_time=3600 net.ipv6.ip6frag_time=3600 \
    net.ipv4.ipfrag_high_thresh=1000000000 net.ipv6.ip6frag_high_thresh=1000000000
}

# Addresses as the frames have them. The far end has none: its kernel keeps out of this.
build_wire() {
  local address
  add_namespace db-host
  be_forgiving
  on router sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.disable_ipv6=1 \
    net.ipv6.conf.default.disable_ipv6=1
  ip -n "$prefix-router" link add wire address "$far_mac" mtu 65535 type veth \
    peer name eth0 address "$host_mac" mtu 65535 netns "$prefix-db-host"
  ip -n "$prefix-router" link set wire arp off up
  be_forgiving
  for address in 10.0.0.10 10.0.0.20 10.0.0.21 10.0.0.30 10.0.0.99; do
    in_host address add "$address/24" dev eth0
  done
  # No other IPv6 neighbours than the gateways: all else is theirs to find.
  for address in 2001:db8:1::10 fe80::10; do in_host address add "$address/128" dev eth0; done
  in_host link set eth0 up
  in_host -6 route flush fe80::/64 dev eth0
  for address in fe80::1 fe80::2; do in_host -6 route add "$address" dev eth0; done
  for address in 10.0.0.{0..9} 10.0.0.{11..19} 10.0.0.{22..29} 10.0.0.{31..98} 10.0.0.{100..254} \
    fe80::1 fe80::2 2001:db8::25 2001:db8::26; do
    echo "neighbour add $address lladdr $far_mac dev eth0 nud permanent"
  done | in_host -batch -
  in_host route add default via 10.0.0.1
  in_host -6 route add default via fe80::1 dev eth0
}

# Port 15432 is handed to whoever listens on 5432, its packets as they are. For that the kernel
# gathers IPv6 fragments in another place, with settings of its own: those that never come to a whole
# would be answered after a minute.
steer() {
  on db-host nft -f - <<'NFT'
table inet moat_test {
  chain before {
    type filter hook prerouting priority mangle;
    tcp dport 15432 tproxy to :5432 accept
  }
}
NFT
  on db-host sysctl -qw net.netfilter.nf_conntrack_frag6_timeout=3600 \
    net.netfilter.nf_conntrack_frag6_high_thresh=1000000000
}

# TIME, were it now when it was AT.
as_if() { date -u -d "@$(($(date -d "$1" +%s) - $2 + $3))" +%Y-%m-%dT%H:%M:%Sz; }

# moatd under the policy of that name. Where rules expire, they do so as if it were TIME now.
guard() {
  local policy=tests/verdict/policies/$1 at=$2 now when
  rm -rf "$scene"/{moat,state}
  mkdir -m 700 "$scene/state"
  cp -r "$policy" "$scene/moat"
  mkdir -p "$scene/moat/databases.d" "$scene/moat/managed-ranges.d"
  [[ -e $scene/moat/moat.yaml ]] || echo "interfaces: [eth0]" >"$scene/moat/moat.yaml"
  printf 'attach: %s\nbackstop: true\n' "$attach" >>"$scene/moat/moat.yaml"
  if [[ $at != - ]]; then
    now=$(date +%s)
    # Lower case marks what is done: the same time may be there several times.
    while read -r when; do
      sed -i "s/expires: $when/expires: $(as_if "$when" "$at" "$now")/" "$scene"/moat/databases.d/*
    done < <(sed -n 's/^ *expires: //p' "$scene"/moat/databases.d/* | sort -u)
    sed -i 's/^\( *expires: .*\)z$/\1Z/' "$scene"/moat/databases.d/*
  fi
  start_moatd
}

unguard() {
  on db-host moat detach --yes >"$scene/moat.log" 2>&1
  await 10 "moatd to end" is_gone moatd
  unset "pids[moatd]"
}

begin_scene "$build"
build_wire
steer

coproc frames {
  exec "$program" --far "/run/netns/$prefix-router" --interface wire \
    --host "/run/netns/$prefix-db-host" --made-on "Linux $(uname -r | cut -d. -f1,2)" \
    "${options[@]}" tests/verdict/wire.json
}
# shellcheck disable=SC2034,SC2154  # pids is the scene's; coproc sets frames_PID
pids[frames]=$frames_PID program_pid=$frames_PID
exec {from}<&"${frames[0]}" {to}>&"${frames[1]}"
while read -r policy at <&"$from"; do
  ! is_running moatd || unguard
  guard "$policy" "$at" >&2
  echo ready >&"$to"
done
wait "$program_pid"
echo "frames: $attach: ok"
