#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Interfaces that come, go, change and are meddled with. What rtnetlink tells is mended with a
# reconcile an hour away; what it does not tell, by a reconcile that comes often.
#
#   tests/e2e/backstop/interfaces.sh BUILD
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"

second_nic=198.18.21.5
by_hand() { /usr/bin/python3 "$root/tests/e2e/daemon/by_hand.py" "$@"; }
keeps_out() { same "$1, an unlisted source" silence "$(knock stranger "$2" 5432)"; }
lets_in() { same "$1, a listed source" AS "$(knock office "$2" 5432)"; }
is_shut() { says '^silence$' knock stranger "$1" 5432; }
is_there() { says '^AS$' knock office "$1" 5432; }
# Times that the log has it.
times_logged() { grep -cE "$1" "$scene/moatd.log" || true; }
is_logged_again() { (($(times_logged "$1") > $2)); }
# on_event WHAT LOG-PATTERN COMMAND...: the log has it once more after the command.
on_event() {
  local before
  before=$(times_logged "$2")
  "${@:3}"
  await 10 "the log to say: $2" is_logged_again "$2" "$before"
  holds "$1 is told: $2"
}
db_link() { ip -n "$prefix-db-host" link "$@"; }
make_second() {
  add_nic eth1 to-eth1
  add_way "a second NIC" 21 eth1 to-eth1
}
forget_second() {
  db_link del eth1
  ip -n "$prefix-db-host" rule del from "$second_nic" table 21
  ip -n "$prefix-db-host" -6 rule del from fd00:21::5 table 21
}

begin_scene "$1"
add_peers
# The backstop would hide what is missing here. No reconcile comes before the test has ended.
sed -i 's/^interfaces: .*/interfaces: [eth0, eth1]/; s/^backstop: .*/backstop: false/
  s/reconcile: 30s/reconcile: 1h/' "$scene/moat/moat.yaml"
start_moatd
listen

# --- Names -----------------------------------------------------------------------------------------------
check() { on db-host moat check "$scene/moat" 2>&1; }
status_says "without the backstop .*an interface that appears is open" ||
  fail "status does not tell of interfaces that appear"
says 'moat.yaml:[0-9]+:[0-9]+: warning: without the backstop' check ||
  fail "check does not tell of interfaces that appear"
holds "that a new interface is open without the backstop is told"
says 'eth1" \(check the name|eth1" \(did you mean' check || fail "check does not name eth1"
db_link add docker0 type bridge
change_config 's/^trusted-interfaces: .*/trusted-interfaces: [lo, docker00]/'
status_says "trusted-interfaces: the host has no interface docker00" ||
  fail "status does not name docker00"
status_says "-> did you mean docker0\?" || fail "status does not say what helps"
says 'moat.yaml:[0-9]+:[0-9]+: warning: this host has no such interface.*docker00" \(did you mean docker0\?' \
  check || fail "check does not name docker00"
holds "a mistyped name in trusted-interfaces is told"
change_config 's/^trusted-interfaces: .*/trusted-interfaces: [lo, docker0]/'
! status_says "trusted-interfaces:" || fail "status names an interface that is there"
db_link property add dev lo altname local0
for name in lo local0; do
  change_config "s/^interfaces: .*/interfaces: [eth0, eth1, $name]/" && fail "$name was taken"
  status_says "held back: .*moat.yaml" || fail "moat.yaml is not held back"
  status_says "moat.yaml:[0-9]+:26: error: .*\"$name\"" || fail "status does not name $name"
  ! check >"$scene/moat.log" 2>&1 || fail "check takes $name"
  same "$name in interfaces, the host itself" AS "$(knock db-host 127.0.0.1 5432)"
  keeps_out "$name in interfaces" "$database_host"
done
change_config 's/^interfaces: .*/interfaces: [eth0, eth1]/'
! status_says "held back" || fail "moat.yaml is still held back"

# --- Told by rtnetlink ---------------------------------------------------------------------------------
status_says "eth1: the host has no such interface" || fail "status does not name eth1"
on_event "an interface that appears later" "interface eth1 is guarded in native mode" make_second
keeps_out "an interface that appeared" "$second_nic"
lets_in "an interface that appeared" "$second_nic"
on_event "an interface that goes" "interface eth1 is not there" forget_second
on_event "an interface that comes back" "interface eth1 is guarded in native mode" make_second
keeps_out "an interface that came back" "$second_nic"
db_link set eth1 down
db_link set eth1 up
ip -n "$prefix-db-host" route replace default via 198.18.21.1 table 21
keeps_out "an interface that was down" "$second_nic"
lets_in "an interface that was down" "$second_nic"
rename() { db_link set eth1 down && db_link set eth1 name lan1 && db_link set lan1 up; }
on_event "another name" "interface lan1 is guarded" rename
ip -n "$prefix-db-host" route replace default via 198.18.21.1 table 21
status_says "lan1 .*native" || fail "status does not name lan1"
keeps_out "a renamed interface" "$second_nic"
rename_back() { db_link set lan1 down && db_link set lan1 name eth1 && db_link set eth1 up; }
on_event "its old name" "interface eth1 is guarded" rename_back
await 5 "the pin to follow the name" test -e "$scene/bpf/moat/links/eth1"
ip -n "$prefix-db-host" route replace default via 198.18.21.1 table 21
# An event of any interface is reason to look at all of them, and some of the new name may be yet to come.
detach_by_hand() { bpftool link detach pinned "$scene/bpf/moat/links/eth1"; }
detach_and_touch() { detach_by_hand && db_link set lo alias anything; }
on_event "a link detached by hand" "interface eth1 had lost Moat's program; mended" detach_and_touch
keeps_out "a link that had been detached" "$second_nic"

# --- Told by status, which looks -------------------------------------------------------------------------
detach_by_hand
is_there "$second_nic"
status_says "interface eth1 had lost Moat's program; mended at .*, the latest of 2 times" ||
  fail "status does not tell of the link"
keeps_out "a link detached by hand, once status was asked" "$second_nic"
by_hand replace "$scene/bpf/moat/links/eth1" xdp
status_says "interface eth1 ran another program than Moat's; mended" ||
  fail "status does not tell of the program"
keeps_out "a program replaced by hand, once status was asked" "$second_nic"

# --- Somebody else's program --------------------------------------------------------------------------------
by_hand pin "$scene/bpf/foreign" xdp
put_on() { db_link set dev eth1 xdpgeneric pinned "$scene/bpf/foreign"; }
! put_on 2>/dev/null || fail "another program was attached over Moat's"
! db_link set dev eth1 xdp off 2>/dev/null || fail "Moat's program was taken off"
holds "what has Moat's program takes no other, and keeps it"
change_config 's/^interfaces: .*/interfaces: [eth0]/'
put_on
change_config 's/^interfaces: .*/interfaces: [eth0, eth1]/'
status_says "eth1 is NOT GUARDED: somebody else's XDP program" || fail "status does not name it"
! says '"ready": true' moat_status_json || fail "ready though eth1 is not guarded"
same "another's program is left alone" AS "$(knock stranger "$second_nic" 5432)"
on_event "that it has gone" "interface eth1 is guarded" db_link set dev eth1 xdpgeneric off
keeps_out "an interface that is ours again" "$second_nic"

# --- More news than the socket of rtnetlink can hold -----------------------------------------------------------
kill -STOP "${pids[moatd]}"
forget_second
printf 'link set lo down\nlink set lo up\n%.0s' {1..2000} | ip -n "$prefix-db-host" -batch -
make_second
is_there "$second_nic"
same "a new interface while moatd is held up" AS "$(knock stranger "$second_nic" 5432)"
kill -CONT "${pids[moatd]}"
await 10 "the new interface to be guarded" is_shut "$second_nic"
holds "it is guarded though its news was lost"

# --- Told by nobody: the reconcile ---------------------------------------------------------------------------------
change_config 's/reconcile: 1h/reconcile: 100ms/'
detach_by_hand
await 10 "the link to be mended" is_shut "$second_nic"
by_hand replace "$scene/bpf/moat/links/eth1" xdp
await 10 "the program to be mended" is_shut "$second_nic"
holds "a link detached and a program replaced by hand are mended with nobody asking"

# --- The filesystem that the pins are on -----------------------------------------------------------------------------
umount --lazy "$scene/bpf"  # moatd keeps it busy
await 10 "it to be told" logged "nothing can be pinned"
status_says "the guard ends when moatd ends" || fail "status does not tell of the pins"
keeps_out "no bpf filesystem" "$second_nic"
lets_in "no bpf filesystem" "$second_nic"
mount -t bpf bpf "$scene/bpf"
await 10 "the pins to be made anew" test -e "$scene/bpf/moat/links/eth1"
stop moatd KILL
keeps_out "moatd killed, pins made anew" "$second_nic"
lets_in "moatd killed, pins made anew" "$second_nic"

# --- Large frames, in both modes ----------------------------------------------------------------------------------------
# A namespace on the host itself, whose sends come in whole, up to 64 KiB at once.
add_namespace local
db_link add inner type veth peer name eth0 netns "$prefix-local"
ip -n "$prefix-local" link set eth0 up
ip -n "$prefix-local" address add 10.42.0.2/24 dev eth0
ip -n "$prefix-local" address add 10.99.0.2/24 dev eth0
db_link set inner up
ip -n "$prefix-db-host" address add 10.42.0.1/24 dev inner
ip -n "$prefix-db-host" address add 10.99.0.1/24 dev inner

# Bytes in a frame that came in by an interface since the last call, on average.
frames_before=0 bytes_before=0
frame_size() {
  local frames bytes
  read -r frames bytes < <(ip -n "$prefix-db-host" -j -s link show "$1" | /usr/bin/python3 -c '
import json, sys
rx = json.load(sys.stdin)[0]["stats64"]["rx"]
print(rx["packets"], rx["bytes"])')
  average=$(((bytes - bytes_before) / (frames - frames_before)))
  frames_before=$frames bytes_before=$bytes
}
# transfers WHAT HOST ADDRESS INTERFACE FLOOR: the same bytes come back, in frames over FLOOR bytes
transfers() {
  frames_before=0 bytes_before=0
  frame_size "$4"
  same "$1: 16 MB and back" whole "$(on "$2" /usr/bin/python3 "$peers" transfer 16 "$3" 5432)"
  frame_size "$4"
  ((average > $5)) || fail "$1: frames of $average bytes are no test"
  holds "$1: frames of $average bytes on average"
}
for place in office:eth0 router:office router:db-host db-host:eth0; do
  ip -n "$prefix-${place%:*}" link set "${place#*:}" mtu 9000
done
sed -i 's/^interfaces: .*/interfaces: [eth0, eth1, inner]/' "$scene/moat/moat.yaml"
for mode in native generic; do
  sed -i "s/^attach: .*/attach: $mode/" "$scene/moat/moat.yaml"
  [[ $mode == native ]] || on db-host moat detach --yes >"$scene/moat.log" 2>&1
  [[ $mode == native ]] || await 10 "moatd to end" is_gone moatd
  start_moatd
  status_says "inner +$mode" || fail "not attached in mode $mode"
  transfers "$mode mode, jumbo frames" office "$database_host" eth0 4096
  keeps_out "$mode mode" "$database_host"
  keeps_out "$mode mode" "$second_nic"
  floor=1400
  [[ $mode == native ]] || floor=9014
  transfers "$mode mode, a namespace on the host" local 10.42.0.1 inner "$floor"
  same "$mode mode, an unlisted source on the host" silence \
    "$(knock local 10.99.0.1 5432)"
done
echo "$passed passed, 0 failed"
