# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the end-to-end tests that hold the wall under fire: a database host on a scene, moatd on
# it, and raw traffic at its guarded port from listed sources, their unlisted neighbours, and one
# source that the test lets in and out. Without PostgreSQL: the judge sits behind the XDP program.
#
#   build_wall TRAFFIC BUILD    begins the scene; TRAFFIC: the program of traffic.cpp
#   prepare_wall TRAFFIC BUILD  the same, but moatd is not started yet
#   start_traffic / expect pass|drop|either / sum_traffic / end_traffic
#   let_in, keep_out            the toggled source, by command; both return once it is enforced
# shellcheck shell=bash

# shellcheck source=../../../scripts/lib/build.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib/build.sh"
# shellcheck source=../../../scripts/lib/scene.sh
. "$root/scripts/lib/scene.sh"

# Those that config/ lists, and addresses beside them that it does not.
listed=198.51.100.25,192.0.2.10,192.0.2.64,192.0.2.95,203.0.113.0,10.42.255.255
unlisted=198.51.100.24,198.51.100.26,192.0.2.9,192.0.2.11,192.0.2.63,192.0.2.96,203.0.112.255,203.0.114.0,10.41.255.255,10.43.0.0
toggled=198.19.0.66
# What sum_traffic finds out, in frames.
# shellcheck disable=SC2034  # by those that source this
sent=0 received=0 listed_lost=0 unlisted_passed=0

build_wall() {
  prepare_wall "$@"
  start_moatd
}

# The same without moatd: for whoever changes the rule files first.
prepare_wall() {
  traffic_program=$1
  begin_scene "$2"
  add_host db-host "$database_host" 198.18.0.1
  cp -r "$root"/config/{moat.yaml,databases.d,managed-ranges.d} "$scene/moat"
  # Whatever the date: the example's rule for 203.0.113.0/24 ends one day.
  sed -i '/expires:/d' "$scene/moat/databases.d/orders.yaml"
}

start_traffic() {
  coproc traffic {
    exec "$traffic_program" --from "/run/netns/$prefix-router" --from-interface db-host \
      --to "/run/netns/$prefix-db-host" --to-interface "${judge_interface:-eth0}" --address "$database_host" \
      --port "${traffic_port:-5432}" --listed "$listed" --unlisted "$unlisted" --toggled "$toggled" \
      2>"$scene/traffic.log"
  }
  # shellcheck disable=SC2034,SC2154  # pids is the scene's; coproc sets traffic_PID
  pids[traffic]=$traffic_PID
  expect drop
}

# What the toggled source is to get from now on. Returns after a burst that was judged so.
expect() {
  local answer=
  echo "$1" >&"${traffic[1]}"
  read -r -t "$((30 * patience))" answer <&"${traffic[0]}" || true
  [[ $answer == "$1" ]] || fail "traffic says '$answer' for '$1'"
}

# Sets sent, received, listed_lost and unlisted_passed, and holds the traffic until the next word.
sum_traffic() {
  local sums
  echo sums >&"${traffic[1]}"
  read -r -t "$((30 * patience))" -a sums <&"${traffic[0]}" || fail "traffic has nothing to say"
  declare -g "${sums[@]}"
}

end_traffic() {
  sum_traffic
  echo quit >&"${traffic[1]}"
  head -n 20 "$scene/traffic.log" >&2
}

fail() {
  echo "FAILED: $*" >&2
  tail -n 20 "$scene/moatd.log" >&2
  exit 1
}

let_in() { on db-host moat rules add --database orders --cidr "$toggled/32" --yes >"$scene/moat.log" 2>&1; }
keep_out() {
  local id
  id=$(rule_id)
  on db-host moat rules remove --database orders "$id" --yes >"$scene/moat.log" 2>&1
}

rule_id() {
  on db-host moat rules list --database orders | awk -v cidr="$toggled/32" 'index($0, cidr) {print $1}'
}

# The same, by editing the file as a person would; return when status has a later generation.
let_in_by_hand() { edit "$adding"; }
keep_out_by_hand() { edit "$removing"; }
adding="/^rules:/a\\  - cidr: $toggled/32"
removing="\\|cidr: $toggled/32|d"
edit() {
  local before
  before=$(generation)
  edit_only "$1"
  await 10 "the edited file to be enforced" is_later_than "$before"
}
edit_only() { sed -i "$1" "$scene/moat/databases.d/orders.yaml"; }
generation() { moat_status_json | sed -n 's/^  "generation": \([0-9]*\).*/\1/p'; }
is_later_than() { (($(generation) > $1)); }

# "ALLOWED DROPPED LATE", in frames, of the orders database since it was first guarded; LATE are those
# of the dropped that the backstop dropped.
counted() {
  on db-host moat counters --database orders --json | /usr/bin/python3 -c '
import json, sys
counters = json.load(sys.stdin)
total = counters["totals"][0]
print(total["allowed"]["packets"], total["dropped"]["packets"],
      sum(entry["counts"]["packets"] for entry in counters["reasons"]
          if entry["reason"] == "backstop"))'
}
