# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the demo and the end-to-end tests: a small network of namespaces around a database host.
#
#              router
#       .--------+--------.----------.
#   db-host   office     app      stranger      each has one NIC, eth0, one veth away from the router
#
# A scene owns a folder, its namespaces, a bpf filesystem and the processes that it started, and takes
# all of them down when the script that began it ends, however it ends. A function `at_end` of the
# script's, if there is one, is called first.
#
#   scene               its folder:  bin/  moat/ (the configuration)  state/  bpf/  postgres/  *.log
#   begin_scene [DIR]   DIR: a build with moatd and moat; without, bin/moatd and bin/moat.real are the
#                       script's own affair
#   add_host NAME ADDRESS GATEWAY
#   on NAME COMMAND...  in that namespace; `moat` and PostgreSQL's own commands are on the PATH
#   says PATTERN COMMAND...
#   start LABEL NAME COMMAND... / stop LABEL [SIGNAL] / is_running LABEL
#   await SECONDS WHAT COMMAND...   until COMMAND succeeds; fails with WHAT after SECONDS, or so many
#                                   times as long as the environment's MOAT_TEST_PATIENCE says
#   start_moatd, start_postgres     launch_moatd: without waiting for it to be ready
# shellcheck shell=bash

postgres_bin=/usr/lib/postgresql/15/bin
database_host=198.18.0.5
patience=${MOAT_TEST_PATIENCE:-1}
declare -A pids=()
hosts=()
scene=
keep_scene=

begin_scene() {
  local build=${1:-}
  scene=$(mktemp -d "${TMPDIR:-/tmp}/moat-scene.XXXXXX")
  trap end_scene EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  prefix=moat-$$
  # Others than root live here too: PostgreSQL refuses to run as root.
  chmod 711 "$scene"
  mkdir "$scene"/{bin,moat,bpf}
  mkdir -m 700 "$scene/state"
  # Copies, as moatd will not have the capability to read through everybody's folders.
  if [[ -n $build ]]; then
    install -m 755 "$build/control/daemon/moatd" "$scene/bin/moatd"
    install -m 755 "$build/control/cli/moat" "$scene/bin/moat.real"
  fi
  printf '#!/bin/sh\nexec %q --socket %q "$@"\n' "$scene/bin/moat.real" "$scene/moatd.sock" \
    >"$scene/bin/moat"
  chmod 755 "$scene/bin/moat"
  mount -t bpf bpf "$scene/bpf"
  add_namespace router
  on router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

add_namespace() {
  hosts+=("$1")
  ip netns add "$prefix-$1"
  on "$1" ip link set lo up
}

add_host() {
  local name=$1 address=$2 gateway=$3
  add_namespace "$name"
  ip -n "$prefix-router" link add "$name" type veth peer name eth0 netns "$prefix-$name"
  ip -n "$prefix-router" address add "$gateway/24" dev "$name"
  ip -n "$prefix-router" link set "$name" up
  ip -n "$prefix-$name" address add "$address/24" dev eth0
  ip -n "$prefix-$name" link set eth0 up
  ip -n "$prefix-$name" route add default via "$gateway"
}

# Only the network changes: `ip netns exec` would mount another /sys, without bpf and cgroups.
on() {
  local name=$1
  shift
  nsenter --net="/run/netns/$prefix-$name" env PATH="$scene/bin:$postgres_bin:$PATH" "$@"
}

# Whether the command succeeds and prints a line that matches PATTERN. Not `COMMAND | grep -q`: grep
# stops reading at the first match, and the command that still writes is killed for it.
says() {
  local pattern=$1 said
  shift
  said=$("$@") && grep -qE -- "$pattern" <<<"$said"
}

# What it says on the database host. That something is wrong there is no failure of the scene's.
moat_status() { on db-host moat status || [[ $? == 1 ]]; }
moat_status_json() { on db-host moat status --json || [[ $? == 1 ]]; }

start() {
  local label=$1 name=$2
  shift 2
  (exec setsid nsenter --net="/run/netns/$prefix-$name" \
    env PATH="$scene/bin:$postgres_bin:$PATH" "$@") </dev/null >>"$scene/$label.log" 2>&1 &
  pids[$label]=$!
  disown  # or the shell tells of each one that is killed
}

is_running() {
  [[ -n ${pids[$1]:-} ]] && kill -0 "${pids[$1]}" 2>/dev/null
}

# Waits for the end, and after 10 s brings it about.
stop() {
  local label=$1 signal=${2:-TERM}
  is_running "$label" || return 0
  kill "-$signal" "${pids[$label]}"
  await 10 "$label to end" is_gone "$label" || kill -KILL "${pids[$label]}"
  unset "pids[$label]"
}

is_gone() {
  local state
  state=$(ps -o stat= -p "${pids[$1]}") || return 0
  [[ $state == Z* ]]
}

await() {
  local seconds=$(($1 * patience)) what=$2
  shift 2
  local deadline=$((${EPOCHREALTIME/./} + seconds * 1000000))
  until "$@" >/dev/null 2>&1; do
    if ((${EPOCHREALTIME/./} > deadline)); then
      echo "waited $seconds s in vain for $what" >&2
      return 1
    fi
    sleep 0.02
  done
}

# As on a real host: root, with three capabilities and no others.
launch_moatd() {
  start moatd db-host setpriv --inh-caps=-all --bounding-set=-all,+net_admin,+perfmon,+bpf \
    moatd --config "$scene/moat/moat.yaml" --bpffs "$scene/bpf/moat" --state "$scene/state" \
    --socket "$scene/moatd.sock" --fast-path "$scene/dpdk"
}

start_moatd() {
  launch_moatd
  await 20 "moatd to be ready" is_moatd_ready_or_gone
  is_running moatd || {
    tail -n 20 "$scene/moatd.log" >&2
    return 1
  }
}

is_moatd_ready_or_gone() {
  is_gone moatd || says '"ready": true' moat_status_json
}

# A cluster of the scene's own that lets everybody in: nobody but Moat keeps anyone out.
start_postgres() {
  local data=$scene/postgres/data
  install -d -m 755 -o postgres -g postgres "$scene/postgres"
  as_postgres "$postgres_bin/initdb" --pgdata "$data" --auth trust --no-sync >"$scene/initdb.log"
  echo "host all all 0.0.0.0/0 trust" >>"$data/pg_hba.conf"
  start postgres db-host setpriv --reuid=postgres --regid=postgres --init-groups \
    postgres -D "$data" -c listen_addresses="${database_listens:-$database_host}" -c fsync=off \
    -c unix_socket_directories="$scene/postgres" -c logging_collector=off
  await 20 "PostgreSQL to answer" on db-host pg_isready --quiet -h "$scene/postgres"
  as_postgres "$postgres_bin/createdb" -h "$scene/postgres" orders
}

as_postgres() {
  (cd / && setpriv --reuid=postgres --regid=postgres --init-groups "$@")
}

end_scene() {
  local status=$? label name
  trap - EXIT INT TERM HUP
  [[ -z $keep_scene ]] || exit "$status"
  ! declare -F at_end >/dev/null || at_end || status=1
  for label in "${!pids[@]}"; do
    if [[ $label == postgres ]]; then stop "$label" QUIT; else stop "$label"; fi
  done
  for name in "${hosts[@]}"; do ip netns delete "$prefix-$name" 2>/dev/null || true; done
  ! mountpoint --quiet "$scene/bpf" || umount "$scene/bpf"
  rm -rf "$scene"
  exit "$status"
}
