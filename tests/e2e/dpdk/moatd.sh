#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# moatd, moat-dpdk and PostgreSQL: a change is enforced when XDP and the fast path both have it, and not
# before, whatever becomes of the worker. The host has two NICs: the fast path's, and eth1 with XDP.
#
#   moatd.sh BUILD DRIVE
set -euo pipefail
# shellcheck source=moatd_lib.sh
. "$(dirname "$0")/moatd_lib.sh"

export PGUSER=postgres PGDATABASE=orders PGCONNECT_TIMEOUT=$((2 * patience))
by_xdp=198.18.1.5

greets() { [[ $(on "$1" psql -h "$2" -Atc "select 'hello'") == hello ]]; }
gets_in_by_worker() { greets "$1" "$database_host"; }
gets_in_by_xdp() { greets "$1" "$by_xdp"; }
is_out() { ! on "$1" psql -h "$2" -Atc 'select 1' >/dev/null 2>&1; }
moat() { on db-host moat "$@"; }
add_stranger() { moat rules add --database orders --cidr "$stranger/32"; }
remove_stranger() {
  local id
  id=$(rule_id "$stranger/32")
  moat rules remove --database orders "$id" --yes "$@"
}
# What takes as long as it takes; its words are in change.log.
begin() {
  "$@" >"$scene/change.log" 2>&1 &
  change=$!
}
is_still_waiting() { kill -0 "$change" 2>/dev/null || fail "$1: $(<"$scene/change.log")"; }
end_well() { wait "$change" || fail "$1: $(<"$scene/change.log")"; }

add_second_nic() {
  ip -n "$prefix-router" link add db-host-1 type veth peer name eth1 netns "$prefix-db-host"
  ip -n "$prefix-router" address add 198.18.1.1/24 dev db-host-1
  ip -n "$prefix-router" link set db-host-1 up
  ip -n "$prefix-db-host" address add "$by_xdp/24" dev eth1
  ip -n "$prefix-db-host" link set eth1 up
  # Each answers by the NIC that it was asked by.
  ip -n "$prefix-db-host" rule add from "$by_xdp" lookup 100
  ip -n "$prefix-db-host" route add default via 198.18.1.1 table 100
}

begin_moatd() {
  mkdir "$scene/moat/databases.d" "$scene/moat/managed-ranges.d"
  printf 'database: orders\nendpoint: {port: 5432}\nrules:\n  - cidr: %s/32\n' "$app" \
    >"$scene/moat/databases.d/orders.yaml"
  # Without the backstop what a socket gets has passed the worker's verdict, or XDP's, and no other.
  xdp_interfaces=eth1 more_settings='backstop: false'
  write_settings af_packet
  start_moatd
}

build_fast_path "$1" "$2"
add_second_nic
database_listens='*' start_postgres
begin_moatd

echo "without a worker"
says 'fast path.*not reached' moat_status || fail "status does not miss the worker"
says 'start moat-dpdk' moat_status || fail "it names no remedy"
moat status >/dev/null && fail "status is content"
gets_in_by_xdp app || fail "XDP does not let the listed client in"
begin add_stranger
await 10 "the change to be live by XDP" gets_in_by_xdp stranger
is_still_waiting "a change was called enforced that the fast path does not have"
start_worker af_packet
end_well "the fast path has the change, and it is not enforced"
gets_in_by_worker stranger || fail "what is enforced is not"
gets_in_by_worker app || fail "the listed client does not get in"
moat status >/dev/null || fail "status is not content: $(moat_status)"
says 'net_af_packet0' moat_status || fail "status does not show the port"
says 'Guarding 1 database on eth1, moat0' moat_status || fail "$(moat_status)"

echo "rules come and go"
start session stranger psql -h "$database_host" -c 'begin' -c 'select pg_sleep(600)'
await 10 "the stranger's session" says 'pg_sleep' as_postgres "$postgres_bin/psql" -h "$scene/postgres" \
  -Atc "select query from pg_stat_activity where client_addr = '$stranger'"
remove_stranger >"$scene/change.log" 2>&1 || fail "remove: $(<"$scene/change.log")"
sed 's/^/  /' "$scene/change.log"
is_out stranger "$database_host" || fail "a removed rule still lets in by the worker"
is_out stranger "$by_xdp" || fail "a removed rule still lets in by XDP"
await 10 "the stranger's session to end" is_gone session
for ((round = 0; round < 10; round++)); do
  add_stranger >"$scene/change.log" 2>&1 || fail "add: $(<"$scene/change.log")"
  gets_in_by_worker stranger || fail "round $round: what is enforced is not"
  remove_stranger >"$scene/change.log" 2>&1 || fail "remove: $(<"$scene/change.log")"
  gets_in stranger && fail "round $round: what is removed gets in"
done

echo "the worker is stopped"
kill -STOP "${pids[worker]}"
begin add_stranger
await 10 "the fast path to be behind" is_behind
await 10 "the change to be live by XDP" gets_in_by_xdp stranger
is_still_waiting "a change was called enforced that a stopped worker does not have"
await 30 "status to tell" says 'moat-dpdk does not answer' moat_status
kill -CONT "${pids[worker]}"
end_well "the worker goes on, and the change is not enforced"
gets_in_by_worker stranger || fail "what is enforced is not"
kill -STOP "${pids[worker]}"
remove_stranger --no-wait >"$scene/change.log" 2>&1 || fail "$(<"$scene/change.log")"
grep -q 'not enforced yet' "$scene/change.log" || fail "no such words: $(<"$scene/change.log")"
is_out stranger "$by_xdp" || fail "XDP waits for the worker"
kill -CONT "${pids[worker]}"
await 10 "the fast path to follow" has_followed
is_out stranger "$database_host" || fail "a removed rule still lets in"

echo "the worker is killed"
add_stranger >"$scene/change.log" 2>&1 || fail "add: $(<"$scene/change.log")"
stop worker KILL
await 10 "moatd to miss it" is_not_reached
is_out app "$database_host" || fail "a dead worker lets in"
begin remove_stranger
await 10 "the change to be live by XDP" is_out stranger "$by_xdp"
is_still_waiting "a change was called enforced that a dead worker does not have"
start_worker af_packet
end_well "the worker is back, and the change is not enforced"
is_out stranger "$database_host" || fail "the next worker has an old table"
await 10 "the listed client to get in" gets_in_by_worker app

echo "moatd is killed"
stop moatd KILL
gets_in_by_worker app || fail "the worker does not go on without moatd"
is_out stranger "$database_host" || fail "without moatd the stranger gets in"
before=$(grep -c 'is live' "$scene/worker.log")
start_moatd
await 10 "the fast path to follow" has_followed
(($(grep -c 'is live' "$scene/worker.log") == before)) || fail "the next moatd sent what was there"

echo "the same face"
is_out stranger "$database_host" || fail "the stranger gets in"
moat drops --json | jq -e ".drops[] | select(.source == \"$stranger\" and .interface == \"moat0\" and
  .reason == \"no-rule\")" >/dev/null || fail "the worker's drops are not shown: $(moat drops)"
moat why "$stranger" >"$scene/why.log" || true
grep -q no-rule "$scene/why.log" || fail "why: $(<"$scene/why.log")"
on db-host curl -s --unix-socket "$scene/moatd.sock" http://moat/metrics >"$scene/metrics"
grep -q '^moat_fast_path_connected 1' "$scene/metrics" || fail "no metrics: $(<"$scene/metrics")"
grep -q '^moat_fast_path_packets_total{.*received.*} [1-9]' "$scene/metrics" || fail "no packets"

# The backstop looks at what comes by the kernel port, and does not count again what the worker has.
echo "with the backstop"
more_settings='backstop: true'
write_settings af_packet
await 20 "the backstop" says '"at_sockets": true' moat_status_json
allowed() { moat counters --json | jq '.totals[0].allowed.packets'; }
allowed_by_worker() { drive counters | awk '$1 > 0 && $1 < 4096 {all += $2} END {print all + 0}'; }
worker_counts() {
  stop moatd
  counted_by_worker=$(allowed_by_worker)
  start_moatd
  await 10 "the fast path to follow" has_followed
  counted=$(allowed)
}
worker_counts
worker_before=$counted_by_worker before=$counted
for ((i = 0; i < 5; i++)); do gets_in_by_worker app || fail "the listed client is out"; done
worker_counts
echo "  $((counted - before)) packets counted, $((counted_by_worker - worker_before)) of them by the worker"
((counted_by_worker > worker_before + 20)) || fail "the worker has counted too few"
((counted - before == counted_by_worker - worker_before)) || fail "packets were counted twice"

echo "detach"
is_out stranger "$database_host" || fail "the stranger gets in"
moat detach --yes >/dev/null || fail "detach is refused"
await 10 "moatd to end" is_gone moatd
await 10 "the stranger to get in, as the guard has ended" gets_in_by_worker stranger
