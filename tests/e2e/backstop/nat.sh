#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What a host's NAT and routes do to guarded ports, and that status and check name it: containers
# published by nft, iptables and its older kind, source ports that NAT chooses, routed guests.
#
#   tests/e2e/backstop/nat.sh BUILD
#
#   office, stranger --- router --- eth0, guarded - db-host - guests --- container 172.30.0.2:5432
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"

container=172.30.0.2
# endpoint TEXT: what the database is reached at, from now on
endpoint() {
  sed -i "s/^endpoint: .*/endpoint: $1/" "$scene/moat/databases.d/orders.yaml"
  on db-host moat reload >"$scene/moat.log" 2>&1
}
nat_rules() { on db-host nft -f -; }
check() { on db-host moat check "$scene/moat" 2>&1; }
# By status and check. Status has the remedy, here in parentheses, on a line of its own.
named() {
  says "${2%% \\(*}" moat_status || fail "$1: status does not say: $2"
  says "$2" check || fail "$1: check does not say: $2"
  holds "$1 is named: $2"
}
not_named() {
  ! says "$2" moat_status || fail "$1: status says: $2"
  ! says "$2" check || fail "$1: check says: $2"
  holds "$1 is not named"
}
reaches() { same "$1" AS "$(knock "${@:2}")"; }
is_dropped() { same "$1" silence "$(knock "${@:2}")"; }

begin_scene "$1"
add_peers
add_namespace container
ip -n "$prefix-db-host" link add guests type veth peer name eth0 netns "$prefix-container"
ip -n "$prefix-db-host" address add 172.30.0.1/24 dev guests
ip -n "$prefix-db-host" link set guests up
ip -n "$prefix-container" address add "$container/24" dev eth0
ip -n "$prefix-container" link set eth0 up
ip -n "$prefix-container" route add default via 172.30.0.1
set_sysctl db-host net/ipv4/ip_forward 1
start published container /usr/bin/python3 "$peers" serve 5432
await 5 "the container's listener" answers container 127.0.0.1
start_moatd
not_named "a host without NAT" "NAT leads|NAT takes|not looked at|not understood"

# --- Published on a port that nobody guards --------------------------------------------------------------
rules='chain p { type nat hook prerouting priority dstnat
  tcp dport 5400 dnat to 172.30.0.2:5432
}'
nat_rules <<<"table ip t { $rules
}"
reaches "published on 5400, an unlisted source" stranger "$database_host" 5400
named "a container published by nft" \
  "NAT leads port 5400 to port 5432 of $container, .*no database guards.*: table ip t, chain p, handle [0-9]+ \(add 5400 to the ports of database orders\)"
says 'NAT leads port 5400' moat_status_json || fail "status --json does not say it"
endpoint '{ports: [5400, 5432]}'
is_dropped "published on 5400 and guarded there, an unlisted source" stranger "$database_host" 5400
reaches "published on 5400 and guarded there, a listed source" office "$database_host" 5400
not_named "a published port that is guarded" "NAT leads"
endpoint '{port: 5432}'
nat_rules <<<"flush ruleset"

for kind in nft legacy; do
  publish=(-t nat -A PREROUTING -p tcp --dport 5401 -j DNAT --to-destination "$container:5432")
  on db-host "iptables-$kind" "${publish[@]}"
  reaches "published by iptables-$kind, an unlisted source" stranger "$database_host" 5401
  named "a container published by iptables-$kind" \
    "NAT leads port 5401 to port 5432 of $container.*: iptables -t nat -A PREROUTING -p tcp .*--dport 5401"
  on db-host "iptables-$kind" -t nat -F
done

# --- To this host, without the backstop --------------------------------------------------------------------
nat_rules <<<"table ip t { chain p { type nat hook prerouting priority dstnat
  tcp dport 5402 redirect to :5432
}
}"
not_named "a redirect that the backstop sees" "NAT leads"
change_config 's/^backstop: .*/backstop: false/'
named "a redirect without the backstop" "NAT leads port 5402 to port 5432 of this host.*no backstop"
named "what a new interface is without the backstop" "an interface that appears .*is open until"
change_config 's/^backstop: .*/backstop: true/'
nat_rules <<<"flush ruleset"

# --- Rules that cannot be read ------------------------------------------------------------------------------
check_as_nobody() {
  on db-host setpriv --reuid=65534 --regid=65534 --clear-groups \
    "$scene/bin/moat.real" check "$root/config" 2>&1
}
says 'NAT rules were not looked at: only root can read them' check_as_nobody ||
  fail "check does not say that it may not read the rules"
holds "what may not be read is told"

# --- Source ports -------------------------------------------------------------------------------------------
start web stranger /usr/bin/python3 "$peers" serve 80
await 5 "the web server" says '^AS$' knock stranger 127.0.0.1 80
masquerade() {
  nat_rules <<<"flush ruleset
table ip t { chain o { type nat hook postrouting priority srcnat
  $1
}
}"
}
outgoing='oifname "eth0" ip saddr 172.30.0.0/24'
masquerade "$outgoing masquerade"
reaches "a container to a web server" container "$unlisted_client" 80
says 'NAT takes another from 1024 to 65535.*\(port 5432\).*masquerade to :5433-65535' check ||
  fail "check does not name a masquerade that may take the port"
holds "a masquerade that may take a guarded port is named"
masquerade "$outgoing meta l4proto tcp masquerade to :5432-5432"
is_dropped "the reply to a connection whose source port is 5432" container "$unlisted_client" 80
says 'NAT takes source ports .*from 5432 to 5432.*masquerade to :5433-65535' check ||
  fail "check does not name the range"
holds "a range that has a guarded port is named"
masquerade "$outgoing meta l4proto tcp masquerade to :5433-65535
  $outgoing masquerade"
reaches "with the remedy that check names" container "$unlisted_client" 80
not_named "a masquerade with that remedy before it" "NAT takes"
nat_rules <<<"flush ruleset"

# --- Routed guests --------------------------------------------------------------------------------------------
ip -n "$prefix-router" route add 172.30.0.0/24 via "$database_host"
is_dropped "a routed guest's port, an unlisted source" stranger "$container" 5432
says 'this host forwards packets.*: "5432" \(.*name the address.*198.18.0.5' check ||
  fail "check does not tell of what is forwarded"
holds "that a guest's port is closed too is named"
endpoint "{port: 5432, address: $database_host}"
reaches "a routed guest's port, once the endpoint has an address" stranger "$container" 5432
! says 'this host forwards packets' check || fail "check tells of what is forwarded"
echo "$passed passed, 0 failed"
