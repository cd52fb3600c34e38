#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Many tables swapped under traffic: every frame of every source gets the verdict that it must.
#
#   swaps.sh TRAFFIC BUILD DRIVE [SWAPS]
set -euo pipefail
# shellcheck source=../lib/wall.sh
. "$(dirname "$0")/../lib/wall.sh"
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

traffic_program=$1
swaps=${4:-1000}
# shellcheck disable=SC2034  # wall.sh's
judge_interface=moat0
IFS=, read -ra sources <<<"$listed"

build_fast_path "$2" "$3"
start_worker af_packet
publish "${sources[@]}"
start_traffic
for ((pair = 0; pair < swaps / 2; pair++)); do
  expect either
  publish "${sources[@]}" "$toggled"
  expect pass
  expect either
  publish "${sources[@]}"
  expect drop
done
end_traffic
read -r allowed dropped < <(counted_by_worker)
echo "$swaps swaps: $sent frames sent, $received came through, $allowed counted as allowed, $dropped" \
  "as dropped; of listed sources not seen: $listed_lost; of unlisted ones let through: $unlisted_passed"
((unlisted_passed == 0)) || fail "an unlisted source got through"
# A frame that was allowed and still not seen was lost behind the verdict, or before it, not misjudged.
((allowed + dropped <= sent)) || fail "some frames met more than one verdict"
((listed_lost <= sent - dropped - received)) || fail "a listed source was dropped"
((sent > 100 * swaps)) || fail "too little traffic to prove anything"
