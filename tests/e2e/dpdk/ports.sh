#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The NIC and the kernel port stay alike; tables that do not hold are refused; and a port that goes
# ends the worker, with nothing let through.
#
#   ports.sh BUILD DRIVE
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

in_nic_netns() { nsenter --net="/run/netns/$prefix-nic" "$@"; }
set_moat0() { on db-host ip link set moat0 "$@"; }
moat0_says() { says "$1" on db-host ip link show moat0; }
nic_says() { says "$1" in_nic_netns ip -details link show eth0; }

build_fast_path "$1" "$2"
listen_at_port
start_worker af_packet
probe
publish "$app"
await 20 "the listed client to get in" gets_in app

echo "tables that do not hold"
for kind in abi magic damaged truncated unsealed; do
  drive fault "$kind" "$scene/orders.yaml" >"$scene/fault.log" || fail "$kind: $(<"$scene/fault.log")"
  sed "s/^/  $kind: /" "$scene/fault.log"
done
port_says 'generation=1' || fail "another generation is live"
gets_in app || fail "a refused table changed something"

echo "MTU, promiscuous mode, link state"
set_moat0 mtu 1400
await 10 "the NIC to have the MTU" nic_says 'mtu 1400'
set_moat0 mtu 9000
await 10 "an MTU without buffers to be refused" port_says 'nic.problem=MTU 9000 is more than .*'
await 10 "the kernel port to have the NIC's again" moat0_says 'mtu 1400'
set_moat0 mtu 1500
await 10 "the NIC to have it back" nic_says 'mtu 1500'
nic_says 'promiscuity 0' || fail "the NIC is promiscuous"
set_moat0 promisc on
await 10 "the NIC to be promiscuous" nic_says 'promiscuity 1'
set_moat0 promisc off
await 10 "the NIC to be so no more" nic_says 'promiscuity 0'
ip -n "$prefix-router" link set db-host down
await 10 "the kernel port to lose its link" moat0_says 'NO-CARRIER'
port_says 'nic.link=0' || fail "status has a link"
ip -n "$prefix-router" link set db-host up
await 10 "the kernel port to have its link" port_says 'kernel.link=1'
await 20 "the listed client to get in again" gets_in app

echo "the kernel port renamed"
on db-host ip link set moat0 name db0
await 10 "the new name" port_says 'kernel.interface=db0'
await 20 "the listed client to get in" gets_in app
hears_nothing "with the port renamed"
on db-host ip link set db0 name moat0
await 10 "the old name" port_says 'kernel.interface=moat0'

echo "moatd restarted a hundred times"
for ((i = 0; i < 100; i++)); do drive status >/dev/null; done
gets_in app || fail "moatd's restarts changed something"

echo "two lcores"
counted() { drive counters | awk '$1 == 1 {print $2}'; }
stop worker
lcores=0,1 nic_arguments=,qpairs=2
start_worker af_packet
publish "$app"
port_says 'lcores=2' || fail "it has other lcores"
before=$(counted)
((before > 0)) || fail "what the last worker counted is gone"
for ((i = 0; i < 20; i++)); do await 20 "the listed client to get in" gets_in app; done
(($(counted) >= before + 60)) || fail "not all of it was counted: $before, then $(counted)"
hears_nothing "with two lcores"
lcores=0 nic_arguments=''

echo "the NIC gone"
in_nic_netns ip link delete eth0
await 20 "moat-dpdk to end" is_gone worker
grep -q "the NIC's interface eth0 is gone" "$scene/worker.log" || fail "it does not say why"
hears_nothing "with the NIC gone"
launch_worker af_packet
await 20 "moat-dpdk to refuse" is_gone worker
grep -q 'no interface eth0, neither' "$scene/worker.log" || fail "it does not name the interface"

free=$(cat /sys/kernel/mm/hugepages/hugepages-*/free_hugepages | awk "{all += \$1} END {print all + 0}")
if ((free < 96)); then
  echo "hugepages missing"
  : >"$scene/worker.log"
  ip -n "$prefix-router" link add db-host type veth peer name eth0 netns "$prefix-db-host"
  hugepages=on
  launch_worker af_packet
  await 20 "moat-dpdk to refuse" is_gone worker
  grep -q 'hugepages are free.*sysctl vm.nr_hugepages' "$scene/worker.log" || fail "no such words"
else
  echo "NOT TRIED: hugepages missing, as $free are free here" >&2
fi
