#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# moatd as a service: what install.sh installs, started by a systemd under all that the unit restricts.
# It guards, edits, ends sessions, writes to the journal, and is started anew when it hangs. Beside it
# moat-agent and, where it was built, moat-dpdk.
#
#   service.sh BUILD
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"
# shellcheck source=../backstop/hold.sh
. "$root/tests/e2e/backstop/hold.sh"
# shellcheck source=../lib/machine.sh
. "$root/tests/e2e/lib/machine.sh"

build=$1
# What the units leave open, by systemd's own count in tenths; less is better.
declare -A most_exposed=([moatd]=23 [moat-agent]=12 [moat-dpdk]=53)

moat() { in_machine moat "$@"; }
# journal_has EVENT PATTERN: a message of that kind whose fields, as JSON, match.
journal_has() {
  local id
  id=$(sed -n "s/.*EventId{LogEvent::$1, \"\([0-9a-f]*\)\".*/\1/p" "$root/control/os/log.h")
  says "$2" in_machine journalctl --quiet --output json "MESSAGE_ID=$id" _SYSTEMD_UNIT=moatd.service
}
main_pid() { in_machine systemctl show --property MainPID --value "${1:-moatd}"; }
mount_namespace() { in_machine readlink "/proc/$1/ns/mnt"; }
has_restarted() { unit_is moatd NRestarts 1 && unit_is moatd ActiveState active; }

begin_scene
add_host db-host "$database_host" 198.18.0.1
add_host office "$listed_client" 198.51.100.1
add_host stranger "$unlisted_client" 198.19.0.1
start_machine db-host
start listener db-host /usr/bin/python3 "$peers" serve 5432

in_machine "$root/scripts/install.sh" --build "$build" --interface eth0 --start >"$scene/install.log" 2>&1 ||
  fail "not installed and started: $(<"$scene/install.log")"
unit_is moatd ActiveState active || fail "install.sh --start does not start it"
holds "install.sh installs it and has systemd start it"

for unit in moatd moat-agent moat-dpdk; do
  [[ -e $build/config/$unit.service ]] || continue
  in_machine systemd-analyze security --offline=true --no-pager --threshold="${most_exposed[$unit]}" \
    "$unit.service" >"$scene/security" ||
    fail "the unit leaves more open than ${most_exposed[$unit]}: $(tail -n 1 "$scene/security")"
  holds "$(tail -n 1 "$scene/security")"
done

status=$(moat status) || fail "something is wrong: $status"
same "monitor mode, an unlisted source" AS "$(knock stranger "$database_host" 5432)"
moat rules add --database postgresql --cidr "$listed_client/32" >"$scene/moat.log" 2>&1 ||
  fail "a rule is not added: $(<"$scene/moat.log")"
same "an edited rule file" "644 root:root" \
  "$(in_machine stat --format '%a %U:%G' /etc/moat/databases.d/postgresql.yaml)"
moat databases enforce postgresql --yes >"$scene/moat.log" 2>&1 ||
  fail "not enforced: $(<"$scene/moat.log")"
same "enforced, an unlisted source" silence "$(knock stranger "$database_host" 5432)"
same "enforced, a listed source" AS "$(knock office "$database_host" 5432)"
same "the control socket" "660 root:moat" "$(in_machine stat --format '%a %U:%G' /run/moat/moatd.sock)"

# shellcheck disable=SC2034  # hold.sh's
hold_from=office
hold "$database_host 5432 eth0"
moat rules remove --database postgresql --cidr "$listed_client/32" --yes >"$scene/moat.log" 2>&1 ||
  fail "a rule is not removed: $(<"$scene/moat.log")"
all_say "a session whose rule goes" state reset
let_go
moat rules add --database postgresql --cidr "$listed_client/32" >"$scene/moat.log" 2>&1
echo "metrics: 127.0.0.1:9723" | in_machine tee --append /etc/moat/moat.yaml >/dev/null
in_machine systemctl reload moatd || fail "it is not reloaded"
holds "systemd reloads it"
says '^moat_build_info' in_machine curl --silent --noproxy '*' http://127.0.0.1:9723/metrics ||
  fail "no metrics on loopback"
holds "metrics on loopback"

await 5 "the journal" journal_has ready '"MOAT_GENERATION":"[0-9]+"'
holds "the journal has the kind of event and the generation"
journal_has enforced 'rule added, by root' || fail "the journal does not have who changed what"
holds "the journal has who changed what"

# --- The agent, by a list of the host's own ------------------------------------------------------------
if [[ -e $build/config/moat-agent.service ]]; then
  printf '203.0.113.0/24\n198.51.100.128/25\n' >"$scene/own.txt"
  echo "managed-ranges: [{id: mr-own, file: /srv/own.txt}]" >"$scene/agent.yaml"
  into_machine "$scene/own.txt" /srv
  into_machine "$scene/agent.yaml" /etc/moat
  in_machine chgrp moat-agent /etc/moat/managed-ranges.d
  in_machine chmod 1775 /etc/moat/managed-ranges.d
  in_machine systemctl start moat-agent || fail "moat-agent does not start"
  await 20 "the agent's managed range" says mr-own moat managed-ranges list ||
    fail "$(in_machine journalctl --quiet --unit moat-agent --no-pager)"
  says '^moat-agent$' in_machine ps -o user= -C moat-agent || fail "moat-agent is not its own user"
  holds "moat-agent keeps a managed range, as a user of its own"
else
  echo "NOT TRIED: moat-agent, as it was not built" >&2
fi

# --- The fast path, by a second NIC --------------------------------------------------------------------
by_fast_path=198.18.50.5
dpdk_journal() { in_machine journalctl --quiet --unit moat-dpdk --no-pager; }
has_followed() { { moat status --json || (($? == 1)); } | jq -e '.fast_path | .connected and (.behind | not)'; }

add_second_nic() {
  ip -n "$prefix-router" link add db-host-1 type veth peer name nic1 netns "$prefix-db-host"
  ip -n "$prefix-router" address add 198.18.50.1/24 dev db-host-1
  ip -n "$prefix-router" link set db-host-1 up
  # A NIC's frames have whole checksums. A veth leaves them to whoever receives.
  on router ethtool -K db-host-1 tx off >/dev/null
  ip -n "$prefix-db-host" address add "$by_fast_path/24" dev nic1
  ip -n "$prefix-db-host" link set nic1 up
}

# $1: DPDK's driver. The NIC is where the one before has left it.
try_fast_path() {
  in_machine sed -i '/^fast-path:/d' /etc/moat/moat.yaml
  echo "fast-path: {nic: \"net_${1}0,iface=nic1\", lcores: [$(($(nproc) - 1))]}" |
    in_machine tee --append /etc/moat/moat.yaml >/dev/null
  in_machine systemctl start moat-dpdk || fail "moat-dpdk does not start: $(dpdk_journal)"
  in_machine systemctl restart moatd
  await 60 "moat-dpdk to have the rules" has_followed || fail "$1: $(dpdk_journal)"
  same "by $1, an unlisted source" silence "$(knock stranger "$by_fast_path" 5432)"
  same "by $1, a listed source" AS "$(knock office "$by_fast_path" 5432)"
  # Or the NIC's namespace, and the guard with it, would end when it does.
  same "moat-dpdk's mount namespace" "$(mount_namespace 1)" "$(mount_namespace "$(main_pid moat-dpdk)")"
  # Of libxdp's ways to put a program on a NIC a kernel may refuse the first; it takes the next.
  ! dpdk_journal | grep -vE 'libbpf|libxdp' | grep -iE 'not permitted|denied' ||
    fail "the unit forbids what moat-dpdk needs"
  in_machine systemctl stop moat-dpdk
  same "how it ended" success "$(in_machine systemctl show --property Result --value moat-dpdk)"
  ip -n "$prefix-router" neighbour flush dev db-host-1  # or it would send where the NIC was, unheard
  same "moat-dpdk stopped, a listed source" unreachable "$(knock office "$by_fast_path" 5432)"
}

if [[ -e $build/config/moat-dpdk.service ]]; then
  add_second_nic
  echo 'MOAT_DPDK="--idle 50"' >"$scene/moat-dpdk"
  into_machine "$scene/moat-dpdk" /etc/default
  for driver in af_packet af_xdp; do try_fast_path "$driver"; done
  in_machine sed -i '/^fast-path:/d' /etc/moat/moat.yaml
  in_machine systemctl restart moatd
else
  echo "NOT TRIED: moat-dpdk, as it was not built" >&2
fi

# --- Hanging, and stopping ------------------------------------------------------------------------------
# Stopped by somebody, as one that hangs in the kernel would be: it hears no SIGABRT either.
in_machine mkdir -p /run/systemd/system/moatd.service.d
printf '[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\n' >"$scene/soon.conf"
into_machine "$scene/soon.conf" /run/systemd/system/moatd.service.d
in_machine systemctl daemon-reload
in_machine systemctl restart moatd
in_machine kill -STOP "$(main_pid)"
await 20 "systemd to start moatd anew" has_restarted
same "after a restart by the watchdog, an unlisted source" silence "$(knock stranger "$database_host" 5432)"
same "after a restart by the watchdog, a listed source" AS "$(knock office "$database_host" 5432)"
status=$(moat status) || fail "something is wrong after the restart: $status"
in_machine systemctl stop moatd
same "stopped, an unlisted source" silence "$(knock stranger "$database_host" 5432)"
in_machine rm -r /sys/fs/bpf/moat
same "its pins removed, an unlisted source" AS "$(knock stranger "$database_host" 5432)"
echo "$passed steps passed"
