#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Measures how fast a push reaches the hosts of a fleet: a real etcd, and hosts that are simulated in one
# process by the agent's own code, each with files and receipts of its own. From the push being sent to
# the file being written; bytes that etcd sends, and CPU.
#
#   scripts/fleet-bench.sh [SIZE...]      numbers of hosts; 100 1000 10000 unless given
#
#   --tls          TLS with client certificates; else plaintext
#   --members N    of the cluster; 1 unless given
#   --pushes N     5 unless given
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"

members=1 pushes=5 kind=plaintext sizes=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --tls) kind=TLS ;;
    --members) members=$2; shift ;;
    --pushes) pushes=$2; shift ;;
    *) sizes+=("$1") ;;
  esac
  shift
done
[[ ${#sizes[@]} -gt 0 ]] || sizes=(100 1000 10000)

"$root/scripts/setup.sh" build test bench
sim=$root/build/bench/fleet_sim
[[ -x $sim ]] || { configure "$root/build" -Dwerror=true; build "$root/build" bench/fleet_sim; }
home=$(mktemp -d /dev/shm/moat-fleet-bench-XXXXXX)
pids=()
trap '[[ ${#pids[@]} -eq 0 ]] || kill "${pids[@]}"; wait; rm -rf "$home"' EXIT
ulimit -n "$(ulimit -Hn)"

make_certificates() {
  local name
  cd "$home"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem \
    -days 2 -subj /O=moat 2>/dev/null
  for name in server client; do
    # Without a CommonName, which etcd's gateway refuses of clients.
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $name.key -out $name.csr \
      -subj "/O=moat/OU=$name" 2>/dev/null
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem -days 2 \
      -extfile <(echo "subjectAltName=IP:127.0.0.1") 2>/dev/null
  done
  cd - >/dev/null
}

scheme=http server_arguments=() client_arguments=()
if [[ $kind == TLS ]]; then
  make_certificates
  scheme=https
  server_arguments=(--cert-file "$home/server.pem" --key-file "$home/server.key"
    --trusted-ca-file "$home/ca.pem" --client-cert-auth)
  client_arguments=(--ca "$home/ca.pem" --certificate "$home/client.pem" --key "$home/client.key")
fi

# Ports are the test's own luck: loopback, high.
port_of() { echo $((23400 + 10 * $1 + $2)); }

start_cluster() {
  local i cluster=''
  for ((i = 0; i < members; i++)); do cluster+="${cluster:+,}m$i=http://127.0.0.1:$(port_of "$i" 1)"; done
  for ((i = 0; i < members; i++)); do
    etcd --name "m$i" --data-dir "$home/etcd-$i" --logger zap --initial-cluster "$cluster" \
      --listen-client-urls "$scheme://127.0.0.1:$(port_of "$i" 0)" \
      --advertise-client-urls "$scheme://127.0.0.1:$(port_of "$i" 0)" \
      --listen-peer-urls "http://127.0.0.1:$(port_of "$i" 1)" \
      --initial-advertise-peer-urls "http://127.0.0.1:$(port_of "$i" 1)" \
      --listen-metrics-urls "http://127.0.0.1:$(port_of "$i" 2)" \
      "${server_arguments[@]}" >"$home/etcd-$i.log" 2>&1 &
    pids+=($!)
  done
  for ((i = 0; i < members; i++)); do
    timeout 30 bash -c "until curl -fs http://127.0.0.1:$(port_of "$i" 2)/health | grep -q true; do sleep 0.1; done"
  done
}

stop_cluster() {
  kill "${pids[@]}"
  wait "${pids[@]}" 2>/dev/null || true
  pids=()
  rm -rf "$home"/etcd-* "$home"/hosts
}

# Of all members: the sum of one metric.
metric() {
  local i
  for ((i = 0; i < members; i++)); do curl -fs "http://127.0.0.1:$(port_of "$i" 2)/metrics"; done |
    awk -v name="$1" '$1 == name { sum += $2 } END { printf "%.3f", sum }'
}

for size in "${sizes[@]}"; do
  echo "== $size hosts, $members member(s), $kind"
  start_cluster
  endpoints=()
  for ((i = 0; i < members; i++)); do endpoints+=(--etcd "$scheme://127.0.0.1:$(port_of "$i" 0)"); done
  mkdir "$home/hosts"
  cpu=$(metric process_cpu_seconds_total)
  "$sim" "${endpoints[@]}" --folder "$home/hosts" --hosts "$size" --pushes "$pushes" \
    "${client_arguments[@]}"
  awk -v cpu="$cpu" -v after="$(metric process_cpu_seconds_total)" -v memory="$(metric process_resident_memory_bytes)" \
    -v hosts="$size" -v pushes="$pushes" 'BEGIN {
      printf "etcd: %.1f s CPU in all (%.2f ms a host and push), %.0f MiB\n", after - cpu,
        (after - cpu) * 1000 / hosts / (pushes + 1), memory / 1048576 }'
  stop_cluster
done
