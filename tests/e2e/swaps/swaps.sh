#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Many policy swaps under traffic: every frame of every source gets the verdict that it must, before,
# during and after each, and the counters agree with the judge frame by frame.
#
#   swaps.sh TRAFFIC BUILD [SWAPS]
set -euo pipefail
# shellcheck source=../lib/wall.sh
. "$(dirname "$0")/../lib/wall.sh"

swaps=${3:-1000}

# Most swaps are by command, every tenth pair by hand; every twenty-fifth pair brings in and takes
# out a whole continent, which moves the table to a larger size tier and back.
one_pair() {
  local in=let_in out=keep_out
  if (($1 % 10 == 5)); then in=let_in_by_hand out=keep_out_by_hand; fi
  if (($1 % 25 == 0)); then
    on db-host moat rules add --database orders --managed-range mr-country-europe --yes >/dev/null 2>&1
    expect drop
    on db-host moat rules remove --database orders "$(europe_id)" --yes >/dev/null 2>&1
    expect drop
    return
  fi
  expect either
  $in || fail "$in: $(<"$scene/moat.log")"
  expect pass
  expect either
  $out || fail "$out: $(<"$scene/moat.log")"
  expect drop
}

europe_id() {
  on db-host moat rules list --database orders | awk 'index($0, "mr-country-europe") {print $1}'
}

build_wall "$1" "$2"
"$root/scripts/geo-ranges.py" "$scene/moat/managed-ranges.d" EUROPE >/dev/null
on db-host moat reload >/dev/null 2>&1
read -r allowed_before dropped_before late_before < <(counted)
start_traffic
for ((pair = 0; pair < swaps / 2; pair++)); do one_pair "$pair"; done
end_traffic
read -r allowed dropped late < <(counted)
allowed=$((allowed - allowed_before)) dropped=$((dropped - dropped_before))
late=$((late - late_before))
echo "$swaps swaps, generation $(generation): $sent frames sent, $received came through," \
  "$allowed counted as allowed, $dropped as dropped, $late of them on their way further up;" \
  "of listed sources not seen: $listed_lost; of unlisted ones let through: $unlisted_passed"
((unlisted_passed == 0)) || fail "an unlisted source got through"
# A frame that was allowed and still not seen was lost behind the verdict, not misjudged. One that the
# NIC's program lets in just before its rule goes meets the backstop just after.
((allowed + dropped - late == sent)) || fail "some frames met no verdict, or more than one"
((listed_lost <= allowed - received)) || fail "a listed source was dropped"
((sent > 100 * swaps)) || fail "too little traffic to prove anything"
