#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# PostgreSQL behind the fast path keeps its ordinary sockets: psql, a large result and pgbench over
# both kinds of port, with and without hugepages.
#
#   postgres.sh BUILD DRIVE
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

reserve=/proc/sys/vm/nr_hugepages
earlier=$(<"$reserve")
export PGUSER=postgres PGDATABASE=orders PGCONNECT_TIMEOUT=$((2 * patience))

from() { on "$1" psql -h "$database_host" -Atc "$2"; }
greets() { [[ $(from app "select 'hello ' || host(inet_client_addr())") == "hello $app" ]]; }
is_kept_out() { ! from stranger 'select 1' 2>/dev/null; }

try() {
  local driver=$1 size
  hugepages=$2
  start_worker "$driver"
  port_says "hugepages=$([[ $hugepages == on ]] && echo 1 || echo 0)" ||
    fail "not with hugepages $hugepages"
  publish "$app"
  await 20 "psql to get in" greets
  is_kept_out || fail "the stranger got in"
  size=$(from app "select repeat('x', 20000000)" | wc -c)
  ((size == 20000001)) || fail "of 20 MB came $size bytes"
  on app pgbench -h "$database_host" -n -S -c 4 -t 250 >"$scene/pgbench.log" 2>&1 ||
    fail "pgbench: $(<"$scene/pgbench.log")"
  sed -n "s/^tps = \\([0-9]*\\).*/$driver, hugepages $hugepages: \\1 transactions a second/p" \
    "$scene/pgbench.log"
  stop worker
}

build_fast_path "$1" "$2"
start_postgres
as_postgres "$postgres_bin/pgbench" -h "$scene/postgres" -i -q orders >"$scene/pgbench.log" 2>&1
for driver in af_packet af_xdp; do try "$driver" off; done
trap 'status=$?; set +e; echo "$earlier" >"$reserve"; (exit "$status"); end_scene' EXIT
echo $((earlier + 128)) >"$reserve"
if (($(<"$reserve") < earlier + 128)); then
  echo "NOT TRIED: hugepages, as this machine has no room for 128 of them" >&2
else
  for driver in af_packet af_xdp; do try "$driver" on; done
fi
