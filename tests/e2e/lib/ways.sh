# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the end-to-end tests of the backstop: every way to the database host's port 5432 that
# this kernel can make, beside the NIC that moatd guards.
#
#                     .--- eth0, guarded ------------------------------.
#   office, stranger -+--- router --- one veth, tunnel or tap a way ---+- db-host
#                                     198.18.N.1        198.18.N.5
#
#   build_ways BUILD            the wall, its clients, a listener on all addresses, and the ways
#   add_peers                   the hosts without the rest, and rules that do not expire
#   change_config SED           changes moat.yaml, and has it read; SED has to change something
#   ways, ways6                 "ADDRESS PORT NAME" each
#   translations, translations6 the same, of ports that nobody guards and that become 5432
#   missing                     what this kernel cannot make, and why; build_ways prints it
#   knock HOST [OPTIONS] ADDRESS [PORT]   what comes back, see peers.py
#   counts, counted             what was counted; what seven knocks add to it
# shellcheck shell=bash

# shellcheck source=wall.sh
. "$(dirname "${BASH_SOURCE[0]}")/wall.sh"

peers="$root/tests/e2e/lib/peers.py"
listed_client=198.51.100.25
unlisted_client=$toggled
redirected=15432 elsewhere=15433 to_loopback=15434 by_iptables=15435
# shellcheck disable=SC2034  # by those that source this
ways=() ways6=() translations=() translations6=() missing=()
passed=0

holds() {
  passed=$((passed + 1))
  echo "ok  $1"
}

# same WHAT EXPECTED FOUND
same() {
  [[ $3 == "$2" ]] || fail "$1: '$3', not '$2'"
  holds "$1: $2"
}

add_peers() {
  add_host db-host "$database_host" 198.18.0.1
  add_host office "$listed_client" 198.51.100.1
  add_host stranger "$unlisted_client" 198.19.0.1
  cp -r "$root"/config/{moat.yaml,databases.d,managed-ranges.d} "$scene/moat"
  sed -i '/expires:/d' "$scene/moat/databases.d/orders.yaml"
}

change_config() {
  local before
  before=$(md5sum <"$scene/moat/moat.yaml")
  sed -i "$1" "$scene/moat/moat.yaml"
  [[ $(md5sum <"$scene/moat/moat.yaml") != "$before" ]] || fail "nothing to change: $1"
  on db-host moat reload >"$scene/moat.log" 2>&1 || is_whole_but_for_interfaces
}
# That an interface is not there, or is somebody else's, is no failure of the change.
is_whole_but_for_interfaces() {
  says 'enforced, but NOT on' cat "$scene/moat.log" && ! says 'held back|NOT GUARDED:' cat "$scene/moat.log"
}

status_says() { says "$1" moat_status; }
logged() { says "$1" cat "$scene/moatd.log"; }

knock() { on "$1" /usr/bin/python3 "$peers" knock "${@:2}"; }

# Packets allowed, dropped for want of a rule, dropped by the backstop; the same that monitor mode
# let pass.
counts() {
  on db-host moat counters --json | /usr/bin/python3 -c '
import json, sys
counters = json.load(sys.stdin)
def packets(reason, monitored):
    return sum(entry["counts"]["packets"] for entry in counters["reasons"]
               if entry["reason"] == reason and entry["monitored"] == monitored)
print(sum(total["allowed"]["packets"] for total in counters["totals"]),
      *(packets(reason, monitored) for monitored in (False, True)
        for reason in ("no-rule", "backstop")))'
}

# counted WHAT EXPECTED KNOCK...: what seven of them add to counts(). RSTs, as no one answers them.
flags=R
counted() {
  local -a before after
  local i
  read -ra before < <(counts)
  knock "$3" --count 7 --flags "$flags" "${@:4}" >/dev/null
  read -ra after < <(counts)
  for i in "${!after[@]}"; do after[i]=$((after[i] - before[i])); done
  same "seven packets $1 count as allowed, no-rule, backstop; monitored" "$2" "${after[*]}"
}

set_sysctl() { on "$1" sh -c "echo $3 >/proc/sys/$2"; }

listen() {
  start listener db-host /usr/bin/python3 "$peers" serve 5432
  await 5 "the listener" answers db-host 127.0.0.1
}

# Whether a listener is there.
answers() { says '^AS$' knock "$1" "$2" 5432; }

# What comes in by an address goes out by it.
give_addresses() {
  local number=$1 device=$2 far=$3
  ip -n "$prefix-router" address add "198.18.$number.1/24" dev "$far"
  ip -n "$prefix-router" link set "$far" up
  ip -n "$prefix-db-host" address add "198.18.$number.5/24" dev "$device"
  ip -n "$prefix-db-host" link set "$device" up
  ip -n "$prefix-db-host" rule add from "198.18.$number.5" table "$number"
  ip -n "$prefix-db-host" route add default via "198.18.$number.1" table "$number"
}

give_addresses6() {
  local number=$1 device=$2 far=$3
  ip -n "$prefix-router" address add "fd00:$number::1/64" dev "$far" nodad
  ip -n "$prefix-db-host" address add "fd00:$number::5/64" dev "$device" nodad
  ip -n "$prefix-db-host" -6 rule add from "fd00:$number::5" table "$number"
  ip -n "$prefix-db-host" -6 route add default via "fd00:$number::1" table "$number"
}

# add_way NAME NUMBER DEVICE FAR-DEVICE [ipv4]: both are there. With ipv4 they carry nothing else.
add_way() {
  give_addresses "$2" "$3" "$4"
  ways+=("198.18.$2.5 5432 $1")
  [[ ${5:-} != ipv4 ]] || return 0
  give_addresses6 "$2" "$3" "$4"
  ways6+=("fd00:$2::5 5432 $1")
}

add_nic() {
  ip -n "$prefix-router" link add "$2" type veth peer name "$1" netns "$prefix-db-host"
  ip -n "$prefix-db-host" link set "$1" up
}

add_devices() {
  add_nic eth1 to-eth1
  add_way "a second NIC" 21 eth1 to-eth1
  add_nic eth2 to-eth2
  ip -n "$prefix-db-host" link add br0 type bridge
  ip -n "$prefix-db-host" link set eth2 master br0
  add_way "a bridge" 22 br0 to-eth2
  add_nic eth3 to-eth3
  ip -n "$prefix-db-host" link add mv0 link eth3 type macvlan
  add_way "macvlan" 23 mv0 to-eth3
  local kind number=24
  for kind in tap tun; do
    start "relay-$kind" db-host /usr/bin/python3 "$peers" relay "$kind" "${kind}0" \
      "/run/netns/$prefix-router"
    await 5 "a $kind device" ip -n "$prefix-router" link show "${kind}0"
    add_way "a tunnel in user space ($kind)" "$number" "${kind}0" "${kind}0"
    number=$((number + 1))
  done
  add_nic eth4 to-eth4
  ip -n "$prefix-router" link set to-eth4 up
  add_pair "VLAN 100 on a NIC" 26 "link to-eth4 type vlan id 100" "link eth4 type vlan id 100"
}

# make HOST COMMAND...: of ip. Fails where the kernel cannot, and `said` is why.
make() {
  said=$(ip -n "$prefix-$1" "${@:2}" 2>&1) || {
    said=$(head -n 1 <<<"${said#*Error: }")
    return 1
  }
}

# add_pair NAME NUMBER FAR NEAR [ipv4]: two ends named alike, of the router and of the database host.
add_pair() {
  local name=$1 device=pair$2 said
  local -a at_router at_host
  read -ra at_router <<<"$3"
  read -ra at_host <<<"$4"
  if make router link add "$device" "${at_router[@]}" &&
    make db-host link add "$device" "${at_host[@]}"; then
    add_way "$name" "$2" "$device" "$device" "${5:-}"
  else
    missing+=("$name: $said")
  fi
}

# Tunnels end at the router; their outer packets come by the guarded NIC.
add_tunnels() {
  local far=198.18.0.1 near=$database_host far6=fd00::1 near6=fd00::5 kind number=35
  ip -n "$prefix-router" address add "$far6/64" dev db-host nodad
  ip -n "$prefix-db-host" address add "$near6/64" dev eth0 nodad
  add_pair VXLAN 27 "type vxlan id 7 remote $near local $far dstport 4789 dev db-host" \
    "type vxlan id 7 remote $far local $near dstport 4789 dev eth0"
  add_pair "VXLAN over IPv6" 28 "type vxlan id 8 remote $near6 local $far6 dstport 4790 dev db-host" \
    "type vxlan id 8 remote $far6 local $near6 dstport 4790 dev eth0"
  add_pair geneve 29 "type geneve id 9 remote $near" "type geneve id 9 remote $far"
  add_pair gre 30 "type gre local $far remote $near" "type gre local $near remote $far"
  add_pair gretap 31 "type gretap local $far remote $near" "type gretap local $near remote $far"
  add_pair ipip 32 "type ipip local $far remote $near" "type ipip local $near remote $far" ipv4
  # Of its own accord it carries IPv6 only.
  add_pair sit 33 "type sit mode any local $far remote $near" \
    "type sit mode any local $near remote $far"
  add_fou 34
  for kind in ip6tnl ip6gre ip6gretap; do
    add_pair "$kind" "$number" "type $kind local $far6 remote $near6" \
      "type $kind local $near6 remote $far6"
    number=$((number + 1))
  done
  add_wireguard 38
}

# A tunnel's packets in UDP. Its key sets it apart from the other tunnel of its kind.
add_fou() {
  local said host
  for host in router db-host; do
    make "$host" fou add port 5555 ipproto 47 || {
      missing+=("fou: $said")
      return 0
    }
  done
  add_pair fou "$1" \
    "type gre key $1 local $far remote $near encap fou encap-sport auto encap-dport 5555" \
    "type gre key $1 local $near remote $far encap fou encap-sport auto encap-dport 5555"
}

# Each end knows the other by its key, and takes everything from it.
add_wireguard() {
  local router_key host_key
  router_key=$(wg genkey) host_key=$(wg genkey)
  add_pair wireguard "$1" "type wireguard" "type wireguard"
  [[ ${missing[*]-} != *wireguard* ]] || return 0
  on router wg set "pair$1" listen-port 51820 private-key <(echo "$router_key") \
    peer "$(wg pubkey <<<"$host_key")" allowed-ips 0.0.0.0/0,::/0 endpoint "$near:51820"
  on db-host wg set "pair$1" listen-port 51820 private-key <(echo "$host_key") \
    peer "$(wg pubkey <<<"$router_key")" allowed-ips 0.0.0.0/0,::/0 endpoint "$far:51820"
}

# Segment routing hands the inner packet on as if the outer one's NIC had brought it.
add_segment_routing() {
  local -a to=(ip -n "$prefix-db-host")
  set_sysctl db-host net/ipv6/conf/all/forwarding 1
  set_sysctl db-host net/ipv6/conf/all/seg6_enabled 1
  set_sysctl db-host net/ipv6/conf/eth0/seg6_enabled 1
  "${to[@]}" address add 198.18.40.5/32 dev lo
  ip -n "$prefix-router" -6 route add fd00:40::/64 via fd00::5 dev db-host
  ip -n "$prefix-router" route add 198.18.40.5/32 encap seg6 mode encap segs fd00:40::1 dev db-host
  "${to[@]}" -6 route add fd00:40::1/128 encap seg6local action End.DX4 nh4 0.0.0.0 dev eth0
  ways+=("198.18.40.5 5432 segment routing")
}

# Ports that nobody guards, and what makes 5432 of them.
add_translations() {
  on db-host nft -f - <<NFT
table inet moat_test {
  chain before {
    type nat hook prerouting priority dstnat;
    tcp dport $redirected redirect to :5432
    meta nfproto ipv4 tcp dport $elsewhere dnat ip to 198.18.21.5:5432
    meta nfproto ipv4 tcp dport $to_loopback dnat ip to 127.0.0.1:5432
    meta nfproto ipv6 tcp dport $elsewhere dnat ip6 to [fd00:21::5]:5432
  }
}
NFT
  set_sysctl db-host net/ipv4/conf/all/route_localnet 1
  translations+=("$database_host $redirected REDIRECT" "$database_host $elsewhere DNAT"
    "$database_host $to_loopback DNAT to 127.0.0.1"
    "198.18.21.5 $redirected REDIRECT by a second NIC")
  translations6+=("fd00:21::5 $redirected REDIRECT" "fd00:22::5 $elsewhere DNAT")
  local said
  if said=$(on db-host iptables -t nat -A PREROUTING -p tcp --dport "$by_iptables" -j DNAT \
    --to-destination "198.18.21.5:5432" 2>&1); then
    translations+=("$database_host $by_iptables DNAT by iptables")
  else
    missing+=("DNAT by iptables: $said")
  fi
}

build_ways() {
  build_wall none "$1"
  add_host office "$listed_client" 198.51.100.1
  add_host stranger "$unlisted_client" 198.19.0.1
  set_sysctl router net/ipv6/conf/all/forwarding 1
  # Each address answers where it is, or a macvlan's lower NIC would speak for it.
  set_sysctl db-host net/ipv4/conf/all/arp_ignore 1
  ip -n "$prefix-router" address add fd00:99::1/64 dev stranger nodad
  ip -n "$prefix-stranger" address add fd00:99::2/64 dev eth0 nodad
  ip -n "$prefix-stranger" -6 route add default via fd00:99::1
  listen
  add_devices
  add_tunnels
  add_segment_routing
  add_translations
  printf 'ways that this kernel has: %s\n' "${ways[@]#* * }"
  printf 'NOT TRIED: %s\n' "${missing[@]}"
}

# for_each FUNCTION WAY...: FUNCTION NAME ADDRESS PORT
for_each() {
  local address port name way
  for way in "${@:2}"; do
    read -r address port name <<<"$way"
    "$1" "$name" "$address" "$port"
  done
}
