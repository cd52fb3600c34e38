#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The ways round the NIC that moatd guards: a second NIC without a program, a namespace's own veth,
# a redirect from an unguarded port, a tunnel, IPv6. An unlisted source gets no answer by any of
# them; a listed one connects, and so does the host to itself.
#
#   tests/e2e/backstop.sh BUILD
set -euo pipefail
# shellcheck source=wall.sh
. "$(dirname "$0")/wall.sh"

listed_client=198.51.100.25
unlisted_client=198.19.0.66
unguarded_port=15432

passed=0
holds() {
  passed=$((passed + 1))
  echo "ok  $1"
}

# answers HOST ADDRESS [PORT]: whether a TCP connection is accepted there within a second.
answers() {
  on "$1" /usr/bin/python3 -c '
import socket, sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()
except ConnectionRefusedError: sys.exit(3)
except OSError: sys.exit(4)' "$2" "${3:-5432}"
}

lets_in() { answers "${@:2}" || fail "$1: no answer"; holds "$1: a listed source connects"; }

# Not even a refusal: 4 is silence.
keeps_out() {
  local code=0
  answers "${@:2}" || code=$?
  ((code == 4)) || fail "$1: an unlisted source was answered ($code)"
  holds "$1: an unlisted source gets no answer"
}

listen() {
  # All addresses, IPv4 and IPv6.
  start listener db-host /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET6); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0); s.bind(("::", 5432)); s.listen(64)
while True: s.accept()[0].close()'
  await 5 "the listener" answers db-host 127.0.0.1
}

build_wall none "$1"
add_host office "$listed_client" 198.51.100.1
add_host stranger "$unlisted_client" 198.19.0.1
listen

says "^Backstop +on, cgroup" on db-host moat status || fail "status does not name the backstop"
holds "status says that the backstop is on, and where"
lets_in "the guarded NIC" office "$database_host"
keeps_out "the guarded NIC" stranger "$database_host"

# --- A second NIC, which moat.yaml does not name ------------------------------------------------
ip -n "$prefix-router" link add second type veth peer name eth1 netns "$prefix-db-host"
ip -n "$prefix-router" address add 198.18.1.1/24 dev second
ip -n "$prefix-router" link set second up
ip -n "$prefix-db-host" address add 198.18.1.5/24 dev eth1
ip -n "$prefix-db-host" link set eth1 up
ip -n "$prefix-db-host" rule add from 198.18.1.5 table 100
ip -n "$prefix-db-host" route add default via 198.18.1.1 table 100
lets_in "a second NIC" office 198.18.1.5
keeps_out "a second NIC" stranger 198.18.1.5

# --- A redirect from a port that nobody guards ---------------------------------------------------
on db-host nft -f - <<NFT
table ip moat_test {
  chain before {
    type nat hook prerouting priority dstnat;
    tcp dport $unguarded_port redirect to :5432
  }
}
NFT
lets_in "a redirect" office "$database_host" "$unguarded_port"
keeps_out "a redirect" stranger "$database_host" "$unguarded_port"

# --- A tunnel ------------------------------------------------------------------------------------
# The far ends of the tunnels have addresses of their own inside: a listed and an unlisted one.
tunnel() {
  local name=$1 number=$2 outer=$3 far=$4 near=$5
  ip -n "$prefix-$name" link add vx0 type vxlan id "$number" remote "$database_host" dstport 4789 \
    dev eth0
  ip -n "$prefix-$name" address add "$far/24" dev vx0
  ip -n "$prefix-$name" link set vx0 up
  ip -n "$prefix-db-host" link add "vx$number" type vxlan id "$number" remote "$outer" dstport 4789 \
    dev eth0
  ip -n "$prefix-db-host" address add "$near/24" dev "vx$number"
  ip -n "$prefix-db-host" link set "vx$number" up
}
tunnel office 7 "$listed_client" 10.42.7.2 10.42.7.1
tunnel stranger 8 "$unlisted_client" 10.99.8.2 10.99.8.1
lets_in "VXLAN" office 10.42.7.1
keeps_out "VXLAN" stranger 10.99.8.1

# --- A namespace's veth on the host, as a container has ------------------------------------------
ip netns add "$prefix-container"
hosts+=(container)
ip -n "$prefix-db-host" link add inner type veth peer name eth0 netns "$prefix-container"
ip -n "$prefix-db-host" address add 10.99.9.1/24 dev inner
ip -n "$prefix-db-host" link set inner up
ip -n "$prefix-container" address add 10.99.9.2/24 dev eth0
ip -n "$prefix-container" link set eth0 up
keeps_out "a container's veth" container 10.99.9.1

# --- IPv6 ----------------------------------------------------------------------------------------
ip -n "$prefix-router" address add fd00::1/64 dev second nodad
ip -n "$prefix-db-host" address add fd00::5/64 dev eth1 nodad
keeps_out "IPv6 by a second NIC" router fd00::5

# --- The host itself, and other namespaces ---------------------------------------------------------
for address in 127.0.0.1 ::1 "$database_host" 198.18.1.5 fd00::5; do
  lets_in "the host to itself at $address" db-host "$address"
done
start other container /usr/bin/python3 -c '
import socket
s = socket.create_server(("0.0.0.0", 5432))
while True: s.accept()[0].close()'
await 5 "another namespace's database is none of moatd's business" answers db-host 10.99.9.2
holds "another namespace's database is left alone"

says backstop on db-host moat counters || fail "the backstop counted nothing"
holds "what the backstop dropped is counted"

sed -i 's/^backstop: true/backstop: false/' "$scene/moat/moat.yaml"
await 10 "the backstop to be off" answers container 10.99.9.1
holds "without the backstop the container gets in: it was the backstop that kept it out"
echo "$passed passed, 0 failed"
