#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Three database hosts follow one push, each in a network namespace with a moatd and a moat-agent of its
# own; the store is an etcd on loopback. As root. Takes everything away at its end.
#
#   scripts/fleet-demo.sh [--build DIR]      DIR: a build; build/ unless given
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"
# shellcheck source=lib/fleet.sh
. "$(dirname "$0")/lib/fleet.sh"

binaries=$root/build
[[ ${1:-} != --build ]] || binaries=$2
for program in control/daemon/moatd control/cli/moat control/agent/moat-agent; do
  [[ -x $binaries/$program ]] || {
    configure "$binaries"
    build "$binaries" "$program"
  }
done

home=$(mktemp -d "${TMPDIR:-/tmp}/moat-fleet-demo.XXXXXX")
prefix=moat-fleet-$$
pids=()
end() {
  local host
  [[ ${#pids[@]} -eq 0 ]] || kill "${pids[@]}" 2>/dev/null || true
  wait
  for host in db1 db2 db3; do
    remove_host "$host" "$home/$host"
  done
  rm -rf "$home"
}
trap end EXIT

step() { printf '\n== %s\n' "$*"; }
moat() { "$binaries/control/cli/moat" "$@"; }
on() { moat --socket "$home/$1/moatd.sock" "${@:2}"; }

start_host() {
  local host=$1
  make_host "$host" "$home/$host"
  echo "fleet: {name: demo, host: $host, etcd: [$etcd], socket: $home/$host/moatd.sock, reconcile: 2s,
  max-age: 10s}" >"$home/$host/agent.yaml"
  launch_agent "$home/$host"
  pids+=($!)
  await 20 "$host has its rules" test -e "$home/$host/databases.d/orders.yaml"
  launch_moatd "$host" "$home/$host"
  pids+=($!)
  await 30 "$host enforces its rules" on "$host" databases list
}

verdicts() {
  local host
  for host in db1 db2 db3; do printf '   %s: ' "$host"; on "$host" why "$1" | head -n 1 || true; done
}

step "The fleet is a folder, and an etcd."
port=$((24000 + $$ % 4000))
etcd=http://127.0.0.1:$port
mkdir -p "$home/etcd" "$home/fleet/databases.d"
etcd --data-dir "$home/etcd/data" --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
  --listen-peer-urls "http://127.0.0.1:$((port + 4000))" --logger zap >"$home/etcd/etcd.log" 2>&1 &
pids+=($!)
await 20 "etcd" curl -fs "$etcd/health"
cat >"$home/fleet/databases.d/orders.yaml" <<'END'
database: orders
endpoint: {port: 5432}
rules:
  - cidr: 198.18.1.0/24
    label: The office
END
echo "fleet: {name: demo, etcd: [$etcd]}" >"$home/pusher.yaml"
fleet() { moat fleet "$@" --config "$home/pusher.yaml"; }
fleet push "$home/fleet" --no-wait --message "the first rules"

step "Three hosts follow it."
for host in db1 db2 db3; do start_host "$host"; done
await 20 "three receipts" fleet status
fleet status | sed 's/^/   /'

step "198.18.7.9 gets in nowhere."
verdicts 198.18.7.9

step "One push lets it in, first on one host, then on all."
echo "  - {cidr: 198.18.7.0/24, label: The app servers}" >>"$home/fleet/databases.d/orders.yaml"
fleet push "$home/fleet" --canary 1%,100% --message "the app servers" | sed 's/^/   /'
verdicts 198.18.7.9

step "And back."
fleet rollback 1 | sed 's/^/   /'
verdicts 198.18.7.9
fleet history | sed 's/^/   /'
