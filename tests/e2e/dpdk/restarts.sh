#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# moatd is killed in the middle of changes, again and again, under traffic by the fast path: moat-dpdk
# goes on with the table that it has, and the next moatd has it follow the file. Every frame of every
# source gets the verdict that it must.
#
#   restarts.sh TRAFFIC BUILD DRIVE [RESTARTS]
set -euo pipefail
# shellcheck source=../lib/wall.sh
. "$(dirname "$0")/../lib/wall.sh"
# shellcheck source=moatd_lib.sh
. "$(dirname "$0")/moatd_lib.sh"

traffic_program=$1
restarts=${4:-100}
longest_wait_us=120000
# shellcheck disable=SC2034  # wall.sh's
judge_interface=moat0

is_in_file() { grep -q "$toggled/32" "$scene/moat/databases.d/orders.yaml"; }
add_toggled() { on db-host moat rules add --database orders --cidr "$toggled/32" --yes; }
remove_toggled() {
  local id
  id=$(rule_id "$toggled/32")
  on db-host moat rules remove --database orders "$id" --yes
}

# Begins a change, by command or by hand, and ends moatd at a moment of it that is left to chance.
interrupt_a_change() {
  local command=add_toggled by_hand=$adding signal=KILL change
  if is_in_file; then command=remove_toggled by_hand=$removing; fi
  if (($1 % 10 == 0)); then signal=TERM; fi
  if (($1 % 2 == 0)); then edit_only "$by_hand" & else "$command" >>"$scene/moat.log" 2>&1 & fi
  change=$!
  sleep "$(printf '0.%06d' $(((RANDOM * 32768 + RANDOM) % longest_wait_us)))"
  stop moatd "$signal"
  wait "$change" || true  # it may well have lost its daemon
}

build_fast_path "$2" "$3"
mkdir "$scene/moat/databases.d" "$scene/moat/managed-ranges.d"
{
  printf 'database: orders\nendpoint: {port: 5432}\nrules:\n'
  IFS=, read -ra sources <<<"$listed"
  printf '  - cidr: %s/32\n' "${sources[@]}"
} >"$scene/moat/databases.d/orders.yaml"
more_settings='backstop: false'
write_settings af_packet
start_moatd
start_worker af_packet
RANDOM=${MOAT_SEED:-$$}
echo "seed $RANDOM"
start_traffic
for ((restart = 1; restart <= restarts; restart++)); do
  expect either
  interrupt_a_change "$restart"
  expect either  # a whole burst, judged with no moatd
  start_moatd
  await 20 "the fast path to follow" has_followed
  if is_in_file; then expect pass; else expect drop; fi
done
end_traffic
generation=$(generation)
stop moatd
read -r allowed dropped < <(counted_by_worker)
echo "$restarts restarts, generation $generation: $sent frames sent, $received came through, $allowed" \
  "counted as allowed, $dropped as dropped; of listed sources not seen: $listed_lost; of unlisted ones let through: $unlisted_passed"
((unlisted_passed == 0)) || fail "an unlisted source got through"
((dropped > 0 && allowed + dropped <= sent)) || fail "some frames met more than one verdict"
# A frame that was allowed and still not seen was lost behind the verdict, or before it, not misjudged.
((listed_lost <= sent - dropped - received)) || fail "a listed source was dropped"
((sent > 100 * restarts)) || fail "too little traffic to prove anything"
