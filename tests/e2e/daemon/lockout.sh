#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The lockout drill, over a real sshd: an operator's change cuts off her own SSH and database sessions,
# and nobody is left to take it back. With --confirm both are back after its time, and so are the rule
# files, though moatd is killed in between.
#
#   lockout.sh BUILD
set -euo pipefail
# shellcheck source=../../../scripts/lib/build.sh
. "$(dirname "$0")/../../../scripts/lib/build.sh"
# shellcheck source=../../../scripts/lib/scene.sh
. "$root/scripts/lib/scene.sh"

office=198.51.100.25
sshd=/usr/sbin/sshd

fail() {
  echo "FAILED: $*" >&2
  tail -n 20 "$scene"/{moatd,sshd,change}.log >&2
  exit 1
}

# --- An SSH server and a database on the host, an operator in the office ------------------------

# The server wants a folder below /run, and no locked account: it has both in a mount namespace of its own.
start_sshd() {
  mkdir -m 700 "$scene/ssh"
  ssh-keygen -q -t ed25519 -N '' -f "$scene/ssh/host_key"
  ssh-keygen -q -t ed25519 -N '' -f "$scene/ssh/operator"
  cat >"$scene/ssh/sshd_config" <<END
ListenAddress $database_host
HostKey $scene/ssh/host_key
AuthorizedKeysFile $scene/ssh/operator.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PidFile none
END
  (umask 077 && sed 's/^root:[^:]*:/root:*:/' /etc/shadow >"$scene/ssh/shadow")
  # shellcheck disable=SC2016  # of the inner shell
  start sshd db-host unshare --mount sh -c 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd &&
    mount --bind "$1/shadow" /etc/shadow && exec "$0" -D -e -f "$1/sshd_config"' "$sshd" "$scene/ssh"
}

ssh_to_host=(ssh -F none -i "@" -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR
  -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o "ConnectTimeout=$patience" "root@$database_host")
query=(psql -h "$database_host" -U postgres -d orders -Atc)

reaches_ssh() { on office "${ssh_to_host[@]}" true; }
reaches_database() { on office "${query[@]}" 'select 1'; }
# Her shell on the host, and what she types there.
types() { on office "${ssh_to_host[@]}" "$@"; }

open_sessions() {
  start ssh-session office "${ssh_to_host[@]}" -N
  start database-session office "${query[@]}" 'select pg_sleep(600)'
  await 10 "her query to run" has_query
}
has_query() { says sleep on db-host psql -h "$scene/postgres" -U postgres -Atc \
  "select query from pg_stat_activity where client_addr = '$office'" orders; }

is_cut_off() { is_gone ssh-session && is_gone database-session; }
must_be_cut_off() {
  await 10 "her sessions to end" is_cut_off || fail "her sessions go on"
  ! reaches_ssh 2>/dev/null || fail "she still has SSH"
  ! reaches_database 2>/dev/null || fail "she still reaches the database"
}

# The rule files are as they were, to the byte. One that was new is kept under a name that nothing reads.
has_files_back() { diff -r -x '.*.undone' "$scene/before" "$scene/moat" >"$scene/diff" 2>&1; }
must_be_back() {
  await "$1" "SSH to be back" reaches_ssh || fail "she is locked out"
  await 5 "the database to be back" reaches_database || fail "she does not reach the database"
  await 5 "the rule files to be back" has_files_back || fail "$(<"$scene/diff")"
  says 'undone, as nobody confirmed it' on db-host moat history || fail "the history does not tell"
  stop ssh-session
  stop database-session
}

# --- The drill ----------------------------------------------------------------------------------

export PGCONNECT_TIMEOUT=$((2 * patience))
begin_scene "$1"
[[ -x $sshd ]] || fail "there is no $sshd: scripts/setup.sh test installs it"
ssh_to_host[4]=$scene/ssh/operator
add_host db-host "$database_host" 198.18.0.1
add_host office "$office" 198.51.100.1
ip -n "$prefix-db-host" address add 198.18.0.6/24 dev eth0
cp -r "$root/config/moat.yaml" "$scene/moat"
mkdir "$scene"/moat/{databases.d,managed-ranges.d}
printf '# Orders.\ndatabase: orders\nendpoint: {port: 5432}\nrules:\n  - cidr: 203.0.113.0/24  # old office\n' \
  >"$scene/moat/databases.d/orders.yaml"
start_postgres
start_sshd
start_moatd
await 10 "sshd to answer" reaches_ssh || fail "no SSH to begin with"
! reaches_database 2>/dev/null || fail "the database is not guarded"
types "$scene/bin/moat" rules add --me --label Me 2>/dev/null >/dev/null || fail "rules add --me"
grep -q "cidr: $office/32" "$scene/moat/databases.d/orders.yaml" || fail "--me was not her address"
reaches_database >/dev/null || fail "--me does not let her in"
cp -r "$scene/moat" "$scene/before"

echo "1. A command whose files guard port 22 and leave her out; moatd is killed, and restarted at once."
open_sessions
mkdir -p "$scene"/candidate/{databases.d,managed-ranges.d}
sed "/cidr: ${office//./\\.}/,\$d" "$scene/moat/databases.d/orders.yaml" >"$scene/candidate/databases.d/orders.yaml"
printf 'database: ssh\nendpoint: {ports: [22]}\nrules:\n  - cidr: 203.0.113.0/24\n' >"$scene/candidate/databases.d/ssh.yaml"
start change office "${ssh_to_host[@]}" "$scene/bin/moat" apply "$scene/candidate" --yes --confirm 20s
must_be_cut_off
stop moatd KILL
! reaches_ssh 2>/dev/null || fail "the wall fell with moatd"
start_moatd
says '"left_ms"' moat_status_json || fail "the new moatd does not know that the change waits"
must_be_back 30

echo "2. By hand, an endpoint that guards the whole address; moatd is killed, and restarted when the time is over."
open_sessions
types "$scene/bin/moat trial 6s && sed -i -e 's/{port: 5432}/{address: $database_host, ports: all}/' \
  -e '/cidr: $office/,\$d' $scene/moat/databases.d/orders.yaml" >/dev/null 2>&1 || true  # cut off before it can say
must_be_cut_off
stop moatd KILL
time_of_death=$SECONDS
is_over() { ((SECONDS > time_of_death + 6)); }
await 20 "her time to pass" is_over
! reaches_ssh 2>/dev/null || fail "the wall fell with moatd"
start_moatd
must_be_back 10
echo "both are back, and the rule files too"
