#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The fast path is closed by construction: whatever becomes of moat-dpdk, a client that is not listed
# gets no answer, and one that is has its connection again once it runs.
#
#   holes.sh BUILD DRIVE af_packet|af_xdp
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
driver=$3

moat0_has() { says "$2" on db-host ip -oneline "$1" show dev moat0; }
has_settings() {
  moat0_has address "$database_host/24" || fail "moat0 has not the NIC's address"
  says 'default via 198.18.0.1 dev moat0' on db-host ip route || fail "nor its default route"
}

build_fast_path "$1" "$2"
listen_at_port
await 10 "the stranger to get in, as nothing guards the port" gets_in stranger
# The host's way out is not taken by mistake.
write_settings "$driver"
! on db-host "$worker_program" --config "$scene/moat/moat.yaml" --folder "$scene/dpdk" \
  --netns "$prefix-nic" >"$scene/refused.log" 2>&1 || fail "the NIC of the default route was taken"
grep -q 'default route leads by eth0' "$scene/refused.log" || fail "$(<"$scene/refused.log")"
# Nor is it put where the kernel's copies of frames would find an address.
! on db-host "$worker_program" --config "$scene/moat/moat.yaml" --folder "$scene/dpdk" --force \
  --netns "$prefix-app" >"$scene/refused.log" 2>&1 || fail "a namespace with addresses was taken"
grep -q 'has an address, on eth0' "$scene/refused.log" || fail "$(<"$scene/refused.log")"
on db-host ip link show eth0 >/dev/null || fail "the NIC went although it was refused"

echo "closed until there is a table"
start_worker "$driver"
probe
hears_nothing "before the first table"
is_silent app || fail "a client got in before the first table"
says '^closed=[1-9]' drive status || fail "nothing was dropped for want of a table"
has_settings

echo "alive, and with moatd gone"
publish "$app"
await 20 "the listed client to get in" gets_in app
hears_nothing "while the worker runs"
says "$stranger port 5432 no-rule" drive drops 1 || fail "its drop was not reported"

echo "stopped"
on db-host ip neighbour replace 198.18.0.9 lladdr 02:00:00:00:00:09 dev moat0 nud permanent
await 10 "the settings to be kept" grep -q -a $'\x02\x00\x00\x00\x00\x09' "$scene/dpdk/port"
kill -STOP "${pids[worker]}"
hears_nothing "while the worker is stopped"
is_silent app || fail "somebody got through a stopped worker"
kill -CONT "${pids[worker]}"
await 20 "the listed client to get in again" gets_in app
hears_nothing "after it went on"

for round in 1 2; do
  echo "killed, round $round"
  stop worker KILL
  hears_nothing "while the worker is dead"
  is_silent app || fail "somebody got through a dead worker"
  start_worker "$driver"
  hears_nothing "after the restart, without a table"
  is_silent app || fail "somebody got in after the restart, without a table"
  publish "$app"
  await 20 "the listed client to get in after the restart" gets_in app
  hears_nothing "after the restart"
  has_settings
  moat0_has neighbour '198.18.0.9.*PERMANENT' || fail "moat0 has not its neighbour again"
done
echo "killed and started at once"
kill -KILL "${pids[worker]}"
start_worker "$driver"
publish "$app"
await 20 "the listed client to get in after it" gets_in app
hears_nothing "after a restart at once"
has_settings
echo "$(tries) tries of the stranger's, none answered"
