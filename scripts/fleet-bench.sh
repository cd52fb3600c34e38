#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Measures how fast a push reaches the hosts of a fleet. The store is a real etcd. Most hosts are
# simulated in one process by the agent's own code, each with files and receipts of its own; ten more
# have a moat-agent and a moatd in a network namespace. From the push being sent to the file being
# written, and to moatd having it enforced; bytes on the wire, CPU and memory. As root. All of it is in a
# network namespace of its own, and what it leaves is a line for each size.
#
#   scripts/fleet-bench.sh [SIZE...]      numbers of hosts; 100 1000 10000 unless given
#
#   --tls          TLS with client certificates; else plaintext
#   --members N    of the cluster; 1 unless given
#   --pushes N     5 unless given
#   --real N       hosts with a moatd; 10 unless given
#   --build DIR    what to measure; build/ unless given
#   --write        the lines replace those of the same kind and size in docs/fleet.md
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"
# shellcheck source=lib/fleet.sh
. "$(dirname "$0")/lib/fleet.sh"

arguments=("$@")
members=1 pushes=5 real=10 kind=plaintext binaries=$root/build writes='' sizes=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --tls) kind=TLS ;;
    --members) members=$2; shift ;;
    --pushes) pushes=$2; shift ;;
    --real) real=$2; shift ;;
    --build) binaries=$2; shift ;;
    --write) writes=yes ;;
    *) sizes+=("$1") ;;
  esac
  shift
done
[[ ${#sizes[@]} -gt 0 ]] || sizes=(100 1000 10000)
page=$root/docs/fleet.md

programs=(bench/fleet_sim control/agent/moat-agent control/daemon/moatd control/cli/moat)
for program in "${programs[@]}"; do
  [[ -x $binaries/$program ]] || {
    "$root/scripts/setup.sh" build test bench
    configure "$binaries" -Dbench=true
    build "$binaries" "${programs[@]}"
  }
done
# Its own loopback, so that its bytes are those of the fleet alone.
[[ -n ${MOAT_FLEET_BENCH:-} ]] || MOAT_FLEET_BENCH=inside exec unshare --net "$0" "${arguments[@]}"
ip link set lo up

home=$(mktemp -d /dev/shm/moat-fleet-bench-XXXXXX)
prefix=moat-fleet-bench-$$
etcds=() hosts=()
end_all() {
  local pid host
  for pid in "$@"; do kill "$pid" 2>/dev/null || true; done
  for pid in "$@"; do wait "$pid" 2>/dev/null || true; done
  for ((host = 0; host < real; host++)); do
    remove_host "$host" "$home/real-$host"
  done
}
end() {
  end_all "${hosts[@]}" "${etcds[@]}"
  rm -rf "$home"
}
trap end EXIT
ulimit -n "$(ulimit -Hn)"

make_certificates() {
  local name
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$home/ca.key" \
    -out "$home/ca.pem" -days 2 -subj /O=moat 2>/dev/null
  for name in server client; do
    # Without a CommonName, which etcd's gateway refuses of clients.
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$home/$name.key" \
      -out "$home/$name.csr" -subj "/O=moat/OU=$name" 2>/dev/null
    openssl x509 -req -in "$home/$name.csr" -CA "$home/ca.pem" -CAkey "$home/ca.key" -CAcreateserial \
      -out "$home/$name.pem" -days 2 -extfile <(echo "subjectAltName=IP:127.0.0.1") 2>/dev/null
  done
}

scheme=http server_arguments=() client_arguments=() client_settings=''
if [[ $kind == TLS ]]; then
  make_certificates
  scheme=https
  server_arguments=(--cert-file "$home/server.pem" --key-file "$home/server.key"
    --trusted-ca-file "$home/ca.pem" --client-cert-auth)
  client_arguments=(--ca "$home/ca.pem" --certificate "$home/client.pem" --key "$home/client.key")
  client_settings=", ca: $home/ca.pem, certificate: $home/client.pem, key: $home/client.key"
fi

client_url() { echo "$scheme://127.0.0.1:$((23400 + 10 * $1))"; }
peer_url() { echo "http://127.0.0.1:$((23401 + 10 * $1))"; }
metrics_url() { echo "http://127.0.0.1:$((23402 + 10 * $1))"; }
is_healthy() { curl -fs "$(metrics_url "$1")/health" | grep -q true; }

start_cluster() {
  local i cluster=''
  for ((i = 0; i < members; i++)); do cluster+="${cluster:+,}m$i=$(peer_url "$i")"; done
  for ((i = 0; i < members; i++)); do
    etcd --name "m$i" --data-dir "$home/etcd-$i" --logger zap --initial-cluster "$cluster" \
      --listen-client-urls "$(client_url "$i")" --advertise-client-urls "$(client_url "$i")" \
      --listen-peer-urls "$(peer_url "$i")" --initial-advertise-peer-urls "$(peer_url "$i")" \
      --listen-metrics-urls "$(metrics_url "$i")" "${server_arguments[@]}" >"$home/etcd-$i.log" 2>&1 &
    etcds+=($!)
  done
  for ((i = 0; i < members; i++)); do await 30 "etcd $i" is_healthy "$i"; done
}

# A moatd in a namespace, and an agent that follows the fleet.
start_host() {
  local host=$1 folder=$home/real-$1 i endpoints=''
  for ((i = 0; i < members; i++)); do endpoints+="${endpoints:+, }\"$(client_url "$i")\""; done
  make_host "$host" "$folder"
  printf 'database: orders\nendpoint: {port: 5432}\nrules: []\n' >"$folder/databases.d/first.yaml"
  echo "fleet: {name: bench, host: real-$host, etcd: [$endpoints], socket: $folder/moatd.sock$client_settings}" \
    >"$folder/agent.yaml"
  launch_moatd "$host" "$folder"
  hosts+=($!)
  await 30 "moatd $host" "$binaries/control/cli/moat" --socket "$folder/moatd.sock" databases list
  rm "$folder/databases.d/first.yaml"
  launch_agent "$folder"
  hosts+=($!)
}

# Of all members: the sum of one metric.
metric() {
  local i
  for ((i = 0; i < members; i++)); do curl -fs "$(metrics_url "$i")/metrics"; done |
    awk -v name="$1" '$1 == name { sum += $2 } END { printf "%.3f", sum }'
}
bytes() { awk '$1 == "lo:" { print $10 }' /proc/net/dev; }

# | hosts | cluster | received: p50 p99 p99.9 max | enforced: p50 max | KiB, CPU of host and etcd | memory |
line_of() {
  /usr/bin/python3 - "$1" "$members" "$kind" "$2" "$3" "$4" <<'END'
import json
import sys

told, members, kind = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
sent, cpu, memory = (float(text) for text in sys.argv[4:7])
updates = told["hosts"] * (told["pushes"] + 1)
seconds = lambda part, names: " | ".join(f"{part[name]:.2f}" for name in names)
if told["missing"]:
    print(f"fleet-bench: {told['missing']} receipts of real hosts are missing", file=sys.stderr)
enforced = seconds(told["enforced"], ("p50", "max")) if told["enforced"]["count"] else "- | -"
print(f"| {told['hosts']:,} | {members} | {kind} | {seconds(told['received'], ('p50', 'p99', 'p999', 'max'))} | "
      f"{enforced} | {sent / updates / 1024:.1f} | {told['cpu_ms']:.2f} | {cpu * 1000 / updates:.2f} | "
      f"{told['rss_mb'] * 1024 / told['hosts']:.0f} | {memory / 2**20:.0f} |")
END
}

# In the page, in the place of the line about the same.
write_line() {
  /usr/bin/python3 - "$page" "$1" <<'END'
import sys

path, line = sys.argv[1:3]
with open(path, encoding="utf-8") as file:
    lines = file.read().splitlines()
first, last = lines.index("<!-- fleet-bench -->") + 3, lines.index("<!-- end -->")
key = lambda row: [cell.strip() for cell in row.split("|")[1:4]]
rows = [row for row in lines[first:last] if key(row) != key(line)] + [line]
rows.sort(key=lambda row: (key(row)[2], int(key(row)[1]), int(key(row)[0].replace(",", ""))))
with open(path, "w", encoding="utf-8") as file:
    file.write("\n".join(lines[:first] + rows + lines[last:]) + "\n")
END
}

for size in "${sizes[@]}"; do
  echo "== $size hosts, $members member(s), $kind, $real of them with a moatd" >&2
  start_cluster
  endpoints=()
  for ((i = 0; i < members; i++)); do endpoints+=(--etcd "$(client_url "$i")"); done
  for ((i = 0; i < real; i++)); do start_host "$i"; done
  mkdir "$home/hosts"
  cpu=$(metric process_cpu_seconds_total) before=$(bytes)
  told=$("$binaries/bench/fleet_sim" "${endpoints[@]}" --folder "$home/hosts" --hosts "$size" --real "$real" \
    --pushes "$pushes" --spread "$((10000 + 6 * size))" "${client_arguments[@]}")
  line=$(line_of "$told" $(($(bytes) - before)) \
    "$(awk -v a="$cpu" -v b="$(metric process_cpu_seconds_total)" 'BEGIN { print b - a }')" \
    "$(metric process_resident_memory_bytes)")
  echo "$line"
  [[ -z $writes ]] || write_line "$line"
  end_all "${hosts[@]}" "${etcds[@]}"
  etcds=() hosts=()
  rm -rf "$home"/etcd-* "$home"/hosts "$home"/real-*
done
