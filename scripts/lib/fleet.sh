# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the scripts that run hosts of a fleet, each in a network namespace with a moatd and a moat-agent
# of its own. $binaries is a build, $home a folder that goes at the end, $prefix what the namespaces are
# called by.
#   fails WORDS...                      ends the script, with what the programs said last
#   await SECONDS WHAT COMMAND...       until COMMAND succeeds
#   make_host HOST FOLDER               namespace, folders and moat.yaml
#   launch_moatd HOST FOLDER            in the background: its pid is $!
#   launch_agent FOLDER                 the same, by FOLDER/agent.yaml
#   remove_host HOST FOLDER             what make_host made, but for the folders
# shellcheck shell=bash disable=SC2154

fails() {
  echo "$(basename "$0" .sh): $*" >&2
  find "$home" -name '*.log' -exec tail -n 3 {} + >&2 || true
  exit 1
}

await() {
  local seconds=$1 what=$2 deadline
  deadline=$((SECONDS + seconds * ${MOAT_TEST_PATIENCE:-1}))
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || fails "not within $seconds s: $what"
    sleep 0.1
  done
}

make_host() {
  local host=$1 folder=$2
  ip netns add "$prefix-$host"
  ip -n "$prefix-$host" link set lo up
  ip -n "$prefix-$host" link add eth0 type veth peer name eth0-peer
  ip -n "$prefix-$host" link set eth0 up
  mkdir -p "$folder/databases.d" "$folder/managed-ranges.d" "$folder/bpf"
  mount -t bpf bpf "$folder/bpf"
  printf 'interfaces: [eth0]\nbackstop: false\n' >"$folder/moat.yaml"
}

launch_moatd() {
  local host=$1 folder=$2
  nsenter "--net=/run/netns/$prefix-$host" "$binaries/control/daemon/moatd" --config "$folder/moat.yaml" \
    --bpffs "$folder/bpf/moat" --state "$folder/state" --socket "$folder/moatd.sock" 2>"$folder/moatd.log" &
}

launch_agent() {
  "$binaries/control/agent/moat-agent" --config "$1/agent.yaml" 2>"$1/agent.log" &
}

remove_host() {
  umount "$2/bpf" 2>/dev/null || true
  ip netns del "$prefix-$1" 2>/dev/null || true
}
