#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# moatd is killed at any moment of a swap, again and again, under traffic: the pinned program goes on
# judging, and the next moatd takes over, with the rules as the file has them. Every tenth time it is
# told to stop instead, as for an upgrade.
#
#   kills.sh TRAFFIC BUILD [KILLS]
set -euo pipefail
# shellcheck source=../lib/wall.sh
. "$(dirname "$0")/../lib/wall.sh"

kills=${3:-100}
# A swap takes 20 to 60 ms from the command's start.
longest_wait_us=80000
interrupted=0

is_in_file() { grep -q "$toggled/32" "$scene/moat/databases.d/orders.yaml"; }

# Begins a change, by command or by hand, and ends moatd at a moment of it that is left to chance.
interrupt_a_change() {
  local command=let_in by_hand=$adding signal=KILL change
  if is_in_file; then command=keep_out by_hand=$removing; fi
  if (($1 % 10 == 0)); then signal=TERM; fi
  if (($1 % 3 == 0)); then edit_only "$by_hand" & else "$command" 2>>"$scene/moat.log" & fi
  change=$!
  sleep "$(printf '0.%06d' $(((RANDOM * 32768 + RANDOM) % longest_wait_us)))"
  stop moatd "$signal"
  # The command may well have lost its daemon.
  wait "$change" || interrupted=$((interrupted + 1))
}

build_wall "$1" "$2"
RANDOM=${MOAT_SEED:-$$}
echo "seed $RANDOM"
start_traffic
for ((kill = 1; kill <= kills; kill++)); do
  expect either
  interrupt_a_change "$kill"
  expect either  # a whole burst, judged with no daemon alive
  start_moatd
  if is_in_file; then
    [[ -n $(rule_id) ]] || fail "kill $kill: the rule of the file is not enforced"
    expect pass
  else
    [[ -z $(rule_id) ]] || fail "kill $kill: the rule taken out is still there"
    expect drop
  fi
done
end_traffic
echo "$kills kills, $interrupted of them before the command had its answer: $sent frames sent, $received came through;" \
  "of listed sources not seen: $listed_lost; of unlisted ones let through: $unlisted_passed"
((unlisted_passed == 0)) || fail "an unlisted source got through"
((listed_lost == 0)) || fail "a listed source was dropped"
((sent > 1000 * kills)) || fail "too little traffic to prove anything"
tables=("$scene"/bpf/moat/table-*)
((${#tables[@]} == 1)) || fail "tables left behind: ${tables[*]}"
