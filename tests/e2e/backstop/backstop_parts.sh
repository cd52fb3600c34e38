#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What the backstop rests on, a part of it at a time: no cgroup2, a part of it only, more interfaces than anyone has,
# trusted interfaces that go and whose number another one gets, and what somebody writes into its map.
#
#   tests/e2e/backstop/backstop_parts.sh BUILD
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"

second_nic=198.18.21.5
third_nic=198.18.41.5
many=1040
keeps_out() { same "$1, an unlisted source" silence "$(knock stranger "${2:-$second_nic}" 5432)"; }
is_open() { same "$1, an unlisted source" AS "$(knock stranger "${2:-$second_nic}" 5432)"; }
lets_in() { same "$1, a listed source" AS "$(knock office "${2:-$second_nic}" 5432)"; }
db_link() { ip -n "$prefix-db-host" link "$@"; }
number() { db_link show "$1" | sed -n '1s/:.*//p'; }
# tells WHAT PATTERN
tells() {
  status_says "$2" || fail "status does not say: $2"
  holds "$1: $2"
}
# trust INTERFACE...: and no others; returns when it is in force.
trust() {
  local IFS=,
  sed -i "s/^trusted-interfaces: .*/trusted-interfaces: [$*]/" "$scene/moat/moat.yaml"
  ! is_running moatd || on db-host moat reload >"$scene/moat.log" 2>&1
}

# --- No cgroup2 ---------------------------------------------------------------------------------------
# moatd alone does not see it: its mounts are its own.
launch_without_cgroup2() {
  # shellcheck disable=SC2016  # for that shell
  start moatd db-host unshare --mount sh -c '
    for folder in $(findmnt -n -t cgroup2 -o TARGET); do umount --lazy "$folder"; done
    exec setpriv --inh-caps=-all --bounding-set=-all,+net_admin,+perfmon,+bpf "$@"' sh \
    moatd --config "$scene/moat/moat.yaml" --bpffs "$scene/bpf/moat" --state "$scene/state" \
    --socket "$scene/moatd.sock"
}

without_cgroup2() {
  launch_without_cgroup2
  await 30 "moatd to give up on the program at sockets" logged "backstop is OFF at sockets: no cgroup2"
  ! says '"ready": true' moat_status_json || fail "ready without the program at sockets"
  tells "without cgroup2" "the backstop is off at sockets: no cgroup2 .*mount -t cgroup2"
  if says '"before_sockets": true' moat_status_json; then
    status_says "^Backstop +OFF at sockets, on before sockets$" || fail "status does not name both parts"
    keeps_out "no cgroup2"
    lets_in "no cgroup2"
  else
    echo "NOT TRIED, as this kernel has no place for it: before sockets without cgroup2"
  fi
  stop moatd
}

# --- A cgroup namespace -------------------------------------------------------------------------------
# As a container has: what is mounted there looks like the root of all cgroups, and is not.
launch_in_a_cgroup() {
  # shellcheck disable=SC2016  # for those shells
  start moatd db-host sh -c '
    echo $$ >"$1/cgroup.procs"
    shift
    exec unshare --cgroup --mount sh -c "$@"' sh "$own_cgroup" '
    for folder in $(findmnt -n -t cgroup2 -o TARGET); do umount --lazy "$folder"; done
    mkdir -p "$scene/cgroup" && mount -t cgroup2 none "$scene/cgroup"
    exec setpriv --inh-caps=-all --bounding-set=-all,+net_admin,+perfmon,+bpf "$@"' sh \
    moatd --config "$scene/moat/moat.yaml" --bpffs "$scene/bpf/moat" --state "$scene/state" \
    --socket "$scene/moatd.sock"
}

with_a_cgroup_namespace() {
  own_cgroup=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)/$prefix
  mkdir "$own_cgroup"
  export scene
  launch_in_a_cgroup
  await 30 "moatd to tell of its cgroup namespace" status_says "moatd is in a cgroup namespace"
  ! says '"ready": true' on db-host moat status --json || fail "ready, and not at all sockets"
  tells "in a cgroup namespace" "the backstop is off at sockets: it judges for sockets in $scene/cgroup"
  stop moatd
  await 10 "the cgroup to be empty" rmdir "$own_cgroup"

  # One that is on the root already stays there.
  start_moatd
  stop moatd
  mkdir "$own_cgroup"
  launch_in_a_cgroup
  await 30 "moatd to be ready" is_moatd_ready_or_gone
  keeps_out "a daemon in a cgroup namespace after one outside"
  lets_in "a daemon in a cgroup namespace after one outside"
  stop moatd
  await 10 "the cgroup to be empty" rmdir "$own_cgroup"
}

# --- More interfaces than anyone has ------------------------------------------------------------------
with_many() {
  local -a names=()
  local i
  for ((i = 0; i < many; i++)); do names+=("many$i"); done
  printf 'link add %s type ifb\n' "${names[@]}" | ip -n "$prefix-db-host" -batch -
  trust lo "${names[@]}"
  start_moatd
  status_says "^Backstop +on, " || fail "the backstop is off"
  keeps_out "$many trusted interfaces"
  lets_in "$many trusted interfaces"
  local begun=$EPOCHREALTIME
  moat_status >/dev/null
  echo "one status took $(((${EPOCHREALTIME/./} - ${begun/./}) / 1000)) ms"
  trust lo
  printf 'link del %s\n' "${names[@]}" | ip -n "$prefix-db-host" -batch -
}

# --- Trusted interfaces come and go -------------------------------------------------------------------
make_docker0() {
  db_link add docker0 type veth peer name eth0 netns "$prefix-container"
  ip -n "$prefix-db-host" address add 10.99.9.1/24 dev docker0
  db_link set docker0 up
  ip -n "$prefix-container" address add 10.99.9.2/24 dev eth0
  ip -n "$prefix-container" link set eth0 up
}
container() { same "a container, $1" "$2" "$(knock container 10.99.9.1 5432)"; }

# Each namespace counts for itself, so a NIC that comes from another one brings its number.
take_over_number() {
  local taken
  taken=$(number docker0)
  ip -n "$prefix-elsewhere" link add eth2 index "$taken" type veth peer name to-eth2 \
    netns "$prefix-router"
  db_link del docker0
  ip -n "$prefix-elsewhere" link set eth2 netns "$prefix-db-host"
  give_addresses 41 eth2 to-eth2
  same "the number of a NIC that came" "$taken" "$(number eth2)"
}

with_trust() {
  add_namespace container
  add_namespace elsewhere
  make_docker0
  trust lo docker0
  container "trusted" AS
  # What of a longer name the kernel leaves behind a shorter one is no part of it.
  db_link set docker0 down
  db_link set docker0 name br1
  db_link set br1 up
  container "behind a trusted interface that was renamed" silence
  trust lo br1
  container "behind the new name, trusted" AS
  db_link set br1 down
  db_link set br1 name docker0
  db_link set docker0 up
  trust lo docker0
  container "behind the old name, trusted" AS
  stop moatd KILL
  container "with moatd dead" AS
  db_link del docker0
  make_docker0
  container "behind an interface made anew while moatd is dead" silence
  start_moatd
  container "once moatd is back" AS
  stop moatd
  take_over_number
  keeps_out "a NIC with the number of a trusted interface, no moatd" "$third_nic"
  lets_in "a NIC with the number of a trusted interface, no moatd" "$third_nic"
  start_moatd
  keeps_out "a NIC with the number of a trusted interface, once moatd is back" "$third_nic"
}

# --- Trust by hand ------------------------------------------------------------------------------------
# write_trust INTERFACE: as moatd does, the name as well.
write_trust() {
  local -a value
  read -ra value < <(printf '%s' "$1" | od -An -v -t u1 -w16)
  while ((${#value[@]} < 16)); do value+=(0); done
  bpftool map update pinned "$scene/bpf/moat/interfaces" key "$(number "$1")" 0 0 0 \
    value 1 0 0 0 "${value[@]}"
}

with_a_hand() {
  ! status_says "map of interfaces had been" || fail "a mend is told of what moatd itself wrote"
  write_trust eth1
  is_open "a second NIC that was made trusted by hand"
  tells "made trusted by hand" "map of interfaces had been made to trust eth1; mended"
  says "map of interfaces had been made to trust eth1; mended" cat "$scene/moatd.log" ||
    fail "the log does not tell it"
  keeps_out "a second NIC, once status was asked"
}

begin_scene "$1"
add_peers
add_nic eth1 to-eth1
add_way "a second NIC" 21 eth1 to-eth1
listen
without_cgroup2
with_a_cgroup_namespace
with_many
with_trust
with_a_hand
echo "$passed passed, 0 failed"
