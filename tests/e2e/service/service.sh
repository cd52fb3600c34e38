#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# moatd as a service: what install.sh installs, started by a systemd under all that the unit restricts.
# It guards, edits, ends sessions, writes to the journal, and is started anew when it hangs.
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
# What the unit leaves open, by systemd's own count; less is better.
most_exposed=25

moat() { in_machine moat "$@"; }
# journal_has EVENT PATTERN: a message of that kind whose fields, as JSON, match.
journal_has() {
  local id
  id=$(sed -n "s/.*EventId{LogEvent::$1, \"\([0-9a-f]*\)\".*/\1/p" "$root/control/os/log.h")
  says "$2" in_machine journalctl --quiet --output json "MESSAGE_ID=$id" _SYSTEMD_UNIT=moatd.service
}
main_pid() { in_machine systemctl show --property MainPID --value moatd; }
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

in_machine systemd-analyze security --offline=true --no-pager --threshold="$most_exposed" moatd.service \
  >"$scene/security" || fail "the unit leaves more open: $(tail -n 1 "$scene/security")"
holds "$(tail -n 1 "$scene/security")"

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
