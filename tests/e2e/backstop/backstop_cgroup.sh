#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The backstop on a cgroup of one's own: not ready without, and whatever others do to it.
#
#   tests/e2e/backstop/backstop_cgroup.sh BUILD
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"

by_hand() { /usr/bin/python3 "$root/tests/e2e/daemon/by_hand.py" "$@"; }
link() { echo "$scene/bpf/moat/backstop-link"; }
keeps_out() { same "$1, an unlisted source" silence "$(knock stranger 198.18.21.5 5432)"; }
lets_in() { same "$1, a listed source" AS "$(knock office 198.18.21.5 5432)"; }

is_ready() { says '"ready": true' moat_status_json; }
# tells WHAT PATTERN: status, and the log without anybody asking
tells() {
  status_says "$2" || fail "status does not say: $2"
  says "$2" cat "$scene/moatd.log" || fail "the log does not say: $2"
  holds "$1: $2"
}
is_shut() { says '^silence$' knock stranger 198.18.21.5 5432; }

root_cgroup=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)
cgroup=$root_cgroup/moat-$$
other=$root_cgroup/moat-$$-other
remove_cgroups() {
  rmdir "$cgroup/child" "$cgroup" "$other" 2>/dev/null || true
}

# As the scene ends.
at_end() {
  stop listener || true
  remove_cgroups
}

begin() {
  add_peers
  add_nic eth1 to-eth1
  add_way "a second NIC" 21 eth1 to-eth1
  sed -i "s/reconcile: 30s/reconcile: 100ms/; \$abackstop-cgroup: $cgroup" "$scene/moat/moat.yaml"
}

listen_in() {
  start listener db-host sh -c "echo \$\$ >'$1/cgroup.procs' && exec /usr/bin/python3 '$peers' serve 5432"
  await 5 "the listener" answers db-host 127.0.0.1
}

begin_scene "$1"
begin

# --- Not ready without ------------------------------------------------------------------------------
launch_moatd
await 10 "moatd to give up on the backstop" logged "the backstop is OFF"
! is_ready || fail "ready without the backstop"
tells "without its cgroup it is not ready" "backstop is (OFF|off) at sockets: open cgroup $cgroup"
mkdir "$cgroup"
await 10 "moatd to be ready" logged "ready: generation 1"
status_says "^Backstop +on, cgroup $cgroup, not before sockets$" || fail "status does not name $cgroup"
holds "ready once the cgroup is there, and status names it"

# --- Other programs, below and on the same cgroup -----------------------------------------------------
listen_in "$cgroup"
keeps_out "a listener in the cgroup"
lets_in "a listener in the cgroup"
for kind in none override multi; do
  stop listener
  mkdir "$cgroup/child"
  by_hand attach "$cgroup/child" "$kind"
  listen_in "$cgroup/child"
  keeps_out "a cgroup below with a program of its own ($kind)"
  lets_in "a cgroup below with a program of its own ($kind)"
  stop listener
  rmdir "$cgroup/child"
done
listen_in "$cgroup"
by_hand attach "$cgroup" multi
keeps_out "another program beside the backstop's"
! by_hand attach "$cgroup" none 2>/dev/null || fail "a program that allows no other was attached"
holds "a program that allows no other beside it is refused by the kernel"

# --- A listener elsewhere ----------------------------------------------------------------------------
stop listener
mkdir "$other"
listen_in "$other"
same "a listener in another cgroup, an unlisted source" AS "$(knock stranger 198.18.21.5 5432)"
status_says "the backstop does NOT guard port 5432" || fail "the first sentence does not say so"
status_says "port 5432 is NOT GUARDED by the backstop: what listens there is in cgroup $other," ||
  fail "status does not name port and cgroup"
holds "a listener that the backstop's cgroup does not hold is named"
sed -i "s/^interfaces: .*/interfaces: []/" "$scene/moat/moat.yaml"
on db-host moat reload >"$scene/moat.log" 2>&1 || (($? == 1))
status_says "^NOT GUARDING port 5432: Moat's program is on no interface" ||
  fail "the first sentence claims a guard"
holds "without an interface, status does not claim that the port is guarded"
sed -i "s/^interfaces: .*/interfaces: [eth0]/" "$scene/moat/moat.yaml"
on db-host moat reload >"$scene/moat.log" 2>&1 || (($? == 1))
stop listener
rmdir "$other"
mkdir "$cgroup/child"
listen_in "$cgroup/child"
! status_says "NOT GUARDED by the backstop" || fail "status names a listener in a cgroup below"
holds "a listener in a cgroup below is not named"
stop listener
rmdir "$cgroup/child"
listen_in "$cgroup"

# --- Undone by hand -------------------------------------------------------------------------------------
bpftool link detach pinned "$(link)"
await 10 "the backstop to be back" is_shut
await 10 "it to be told" logged "taken off its cgroup; mended"
tells "detached by hand" "the backstop had been taken off its cgroup; mended"
by_hand replace "$(link)" cgroup
await 10 "the backstop's program to be back" is_shut
await 10 "it to be told" logged "ran another program than Moat's; mended"
tells "replaced by hand" "the backstop ran another program than Moat's; mended"
rm "$(link)"
await 10 "the pin to be made anew" test -e "$(link)"
holds "its pin, removed by hand, is made anew"

# --- The cgroup goes and comes, as a service's does ---------------------------------------------------------
stop listener
rmdir "$cgroup"
await 10 "it to be told" logged "not ready any more"
! is_ready || fail "ready without the cgroup"
mkdir "$cgroup"
await 10 "moatd to be ready" is_ready
listen_in "$cgroup"
keeps_out "the cgroup made anew"
stop listener
rmdir "$cgroup"
await 10 "it to be told" status_says "backstop is off at sockets"
mkdir "$cgroup"
stop moatd
rmdir "$cgroup"
mkdir "$cgroup"
by_hand attach "$cgroup" none
launch_moatd
await 10 "moatd to give up" logged "allows no other: see bpftool"
! is_ready || fail "ready though the cgroup is somebody else's"
tells "a cgroup whose program allows no other" "a program on it or above it allows no other"
echo "$passed passed, 0 failed"
