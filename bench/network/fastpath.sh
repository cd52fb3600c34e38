#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# One request after the other over TCP (a byte there, a byte back) to a database host: with nothing on
# its NIC, behind Moat's XDP program, and through moat-dpdk, which polls all the time or sleeps 50 us
# when nothing comes. JSON lines, the times in microseconds.
#
#   fastpath.sh [--rounds N] [--seconds S] BUILD
set -euo pipefail
# shellcheck source=../../tests/e2e/dpdk/lib.sh
. "$(dirname "$0")/../../tests/e2e/dpdk/lib.sh"

rounds=5 seconds=3
while (($# > 1)); do
  case $1 in
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    *) echo "fastpath: what is $1?" >&2 && exit 2 ;;
  esac
  shift 2
done
requests=$root/bench/network/requests.py

measure() {
  on app /usr/bin/python3 "$requests" ask "$database_host" 5432 "$seconds" "$1"
}

with_worker() {
  local name=$1 driver=$2
  idle=$3
  start_worker "$driver" >&2
  publish "$app"
  await 20 "the client to get in" gets_in app
  measure "$name"
  stop worker KILL
}

build_fast_path "$1" "$1/tests/e2e/drive"
install -m 755 "$1/control/daemon/moatd" "$scene/bin/moatd"
install -m 755 "$1/control/cli/moat" "$scene/bin/moat.real"
cp "$root/config/moat.yaml" "$scene/moat"
mkdir "$scene/moat/databases.d" "$scene/moat/managed-ranges.d"
printf 'database: orders\nendpoint: {port: 5432}\nrules:\n  - cidr: %s/32\n' "$app" \
  >"$scene/moat/databases.d/orders.yaml"
start answerer db-host /usr/bin/python3 "$requests" answer 5432
await 10 "the answerer" says ':5432' on db-host ss -Hltn
for ((round = 0; round < rounds; round++)); do measure nothing; done
start_moatd >&2
for ((round = 0; round < rounds; round++)); do measure xdp; done
on db-host moat detach --yes >/dev/null
await 10 "moatd to end" is_gone moatd
for ((round = 0; round < rounds; round++)); do
  for driver in af_packet af_xdp; do
    with_worker "$driver, polling" "$driver" 0
    with_worker "$driver, sleeping" "$driver" 50
  done
done
