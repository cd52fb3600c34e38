#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The ways round the NIC that moatd guards: an unlisted source gets no answer by any of them, a
# listed one connects, and so does the host to itself. What was dropped is counted once.
#
#   tests/e2e/backstop.sh BUILD
set -euo pipefail
# shellcheck source=ways.sh
. "$(dirname "$0")/ways.sh"

keeps_out() { same "$1 ($2), an unlisted source" silence "$(knock stranger "$2" "$3")"; }
lets_in() { same "$1, a listed source" AS "$(knock office "$2" "$3")"; }
is_open() { same "$1 leads to the listener without the backstop" AS "$(knock stranger "$2" "$3")"; }

build_ways "$1"
keeps_out "the guarded NIC" "$database_host" 5432
lets_in "the guarded NIC" "$database_host" 5432
for_each lets_in "${ways[@]}" "${translations[@]}"
for_each keeps_out "${ways[@]}" "${ways6[@]}" "${translations[@]}" "${translations6[@]}"
sed -i 's/^backstop: true/backstop: false/' "$scene/moat/moat.yaml"
await 10 "the backstop to be off" says '^AS$' knock stranger 198.18.21.5 5432
for_each is_open "${ways[@]}" "${ways6[@]}" "${translations[@]}" "${translations6[@]}"
printf 'not tried, as this kernel has it not: %s\n' "${missing[@]}"
echo "$passed passed, 0 failed"
