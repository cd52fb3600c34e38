#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Packets a second on a veth: Moat beside programs that decide nothing and the other firewalls, each
# behind a NIC of its own, with the same list, in turn. One line of JSON a sample, on stdout.
#
#   bench/network/wire.sh [--rounds N] [--seconds S] [--sizes N,N] [--only NAME,NAME] BUILD
#
#   feed -> router: veth -> eth0: firewall -> sink        all of it on one CPU (see feed.cpp)
#
# Dropped: sources that are not listed. Passed: listed ones, up to a sink in nft's prerouting, the
# same for all, which counts and drops. What was sent is received, and what was received is dropped
# or passed: a sample says sent, received and passed.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

rounds=9 seconds=0.5 sizes=30,100000 only=
take_options rounds seconds sizes only -- "$@"

# Of each: how it is told of a list (set_NAME FILE), what it can do, and with which size.
all=(xdp-drop xdp-pass moat nft-ingress nft-prerouting ipset iptables xdp-filter)
declare -A does=([xdp-drop]=drop [xdp-pass]=pass)
declare -A at_most=([iptables]=30 [xdp-filter]=30)
mac=02:00:00:00:00:02

add_contender() {
  local name=$1
  local netns; netns=$(netns_of "$name")
  add_namespace "$netns"
  # Not more than one queue: what is received on another CPU would be measured there.
  ip -n "$prefix-router" link add "$name" numtxqueues 1 numrxqueues 1 type veth \
    peer name eth0 numtxqueues 1 numrxqueues 1 address "$mac" netns "$prefix-$netns"
  # Nobody else's frames are to be counted.
  quiet router "$name"
  quiet "$netns" eth0
  ip -n "$prefix-$netns" address add "$database_host/24" dev eth0
  # Without a program of its own, a veth takes redirected frames only with this.
  on "$netns" ethtool -K eth0 gro on
  ip -n "$prefix-router" link set "$name" up
  ip -n "$prefix-$netns" link set eth0 up
  on "$netns" nft -f - <<'NFT'
table ip sink {
  counter passed {}
  chain before { type filter hook prerouting priority -100; counter name passed drop; }
}
NFT
}

# start_moatd wants its own to be called so.
netns_of() { if [[ $1 == moat ]]; then echo db-host; else echo "$1"; fi; }

quiet() { on "$1" sh -c "echo 1 >/proc/sys/net/ipv6/conf/$2/disable_ipv6"; }

# --- The contenders -------------------------------------------------------------------------------

set_xdp-drop() { attach_bare xdp-drop bare_drop; }
set_xdp-pass() { attach_bare xdp-pass bare_pass; }
attach_bare() {
  ip -n "$prefix-$1" -force link set dev eth0 xdpdrv object "$build/bench/feed.bpf.o" program "$2"
}

set_moat() {
  write_policy "$1"
  is_running moatd || start_moatd
  await 20 "moatd to enforce the list" has_prefixes "$(wc -l <"$1")"
}
has_prefixes() { (($(moat_status_json | jq .prefixes) == $1)); }

set_nft-ingress() {
  nft_ingress "$1" >"$scene/nft"
  on nft-ingress nft "delete table netdev wall" 2>/dev/null || true
  on nft-ingress nft -f "$scene/nft"
}

set_nft-prerouting() {
  { echo "table ip wall {"; nft_set "$1"; cat <<'NFT'
  chain raw {
    type filter hook prerouting priority raw;
    ip daddr 198.18.0.5 tcp dport 5432 ip saddr != @allowed drop
  }
}
NFT
  } >"$scene/nft"
  on nft-prerouting nft "delete table ip wall" 2>/dev/null || true
  on nft-prerouting nft -f "$scene/nft"
}

set_ipset() {
  on ipset iptables -t raw -F
  on ipset ipset destroy allowed 2>/dev/null || true
  { echo "create allowed hash:net maxelem 1000000"; sed 's/^/add allowed /' "$1"; } |
    on ipset ipset restore
  on ipset iptables -t raw -A PREROUTING -d "$database_host" -p tcp --dport 5432 \
    -m set ! --match-set allowed src -j DROP
}

set_iptables() {
  {
    echo "*raw"
    sed "s|.*|-A PREROUTING -s & -d $database_host/32 -p tcp --dport 5432 -j ACCEPT|" "$1"
    echo "-A PREROUTING -d $database_host/32 -p tcp --dport 5432 -j DROP"
    echo COMMIT
  } | on iptables iptables-restore
}

# It knows single addresses only, no prefixes, and pins what it has at one place.
set_xdp-filter() {
  local address
  sed 's|/.*|/32|' "$1" >"$scene/addresses"
  filter load --mode native --policy deny --features ipv4 eth0
  while read -r address; do filter ip --mode src "${address%/32}"; done <"$scene/addresses"
}
filter() {
  # The folder is mounted over in a mount namespace that ends with the command.
  mkdir -p "$scene/bpf/filter"
  # shellcheck disable=SC2016  # the inner shell's
  nsenter --net="/run/netns/$prefix-xdp-filter" unshare --mount sh -c \
    'mount --bind "$0" /sys/fs/bpf && exec xdp-filter "$@"' "$scene/bpf/filter" "$@" \
    </dev/null >"$scene/filter.log"
}

# --- Measuring ------------------------------------------------------------------------------------

passed_at() {
  local said
  said=$(on "$1" nft list counter ip sink passed)
  [[ $said =~ packets\ ([0-9]+) ]] && echo "${BASH_REMATCH[1]}"
}

# Frames that the NIC has taken from its peer.
received_at() {
  ip -n "$prefix-$1" -s -j link show dev eth0 | jq '.[0].stats64.rx.packets'
}

list_of() {
  if [[ $1 == xdp-filter ]]; then echo "$scene/addresses"; else echo "$scene/prefixes"; fi
}

# Sets said, what feed printed, and sent, received, passed.
sample() {
  local name=$1 hits=$2 length=$3 netns received_before passed_before
  netns=$(netns_of "$name")
  received_before=$(received_at "$netns") passed_before=$(passed_at "$netns")
  said=$("$build/bench/feed" --netns "/run/netns/$prefix-router" --interface "$name" --mac "$mac" \
    --address "$database_host" --prefixes "$(list_of "$name")" --hits "$hits" \
    --seconds "$length" --cpu "$cpu")
  sent=$(jq .sent <<<"$said")
  received=$(($(received_at "$netns") - received_before))
  passed=$(($(passed_at "$netns") - passed_before))
}

report() {
  jq -c --arg name "$1" --argjson size "$2" --arg case "$3" --argjson round "$4" \
    --argjson received "$received" --argjson passed "$passed" \
    '{suite: "wire", contender: $name, prefixes: $size, case: $case, round: $round} + . +
     {received: $received, passed: $passed}' <<<"$said"
}

can() { [[ -z ${does[$1]:-} || ${does[$1]} == "$2" ]]; }
hits_of() { if [[ $1 == pass ]]; then echo 100; else echo 0; fi; }

# Whoever drops a listed source or passes one that is not has no figure.
check() {
  local name=$1 case
  for case in drop pass; do
    can "$name" "$case" || continue
    sample "$name" "$(hits_of "$case")" 0
    if [[ $case == drop ]]; then ((passed == 0)); else ((passed == received)); fi ||
      fail "$name: $passed of $sent passed, where all should $case"
    ((received > 0)) || fail "$name: nothing is received"
  done
}

fail() {
  echo "wire: $*" >&2
  exit 1
}

begin_scene "$build"
names=()
for name in "${all[@]}"; do
  is_wanted "$name" || continue
  if [[ $name == xdp-filter ]] && ! command -v xdp-filter >/dev/null; then
    echo "wire: no xdp-filter here" >&2
    continue
  fi
  add_contender "$name"
  names+=("$name")
done
for size in ${sizes//,/ }; do
  "$build/bench/prefixes" "$size" >"$scene/prefixes"
  taking_part=()
  for name in "${names[@]}"; do
    ((size <= ${at_most[$name]:-size})) || continue
    "set_$name" "$scene/prefixes"
    check "$name"
    taking_part+=("$name")
  done
  for ((round = 0; round < rounds; round++)); do
    for case in drop pass; do
      for name in "${taking_part[@]}"; do
        can "$name" "$case" || continue
        sample "$name" "$(hits_of "$case")" "$seconds"
        report "$name" "$size" "$case" "$round"
      done
    done
  done
done
