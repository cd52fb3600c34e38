#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The standard policy on real input: France, then all of Europe, then all that have a country, as
# managed ranges that change while they are enforced.
#
#   tests/e2e/swaps/world.sh BUILD
set -euo pipefail
# shellcheck source=../../../scripts/lib/build.sh
. "$(dirname "$0")/../../../scripts/lib/build.sh"
# shellcheck source=../../../scripts/lib/scene.sh
. "$root/scripts/lib/scene.sh"
# shellcheck source=../../../scripts/lib/standard.sh
. "$root/scripts/lib/standard.sh"

fail() {
  echo "FAILED: $*" >&2
  tail -n 20 "$scene/moatd.log" >&2
  exit 1
}

lets_in() { on db-host /usr/bin/python3 "$root/tests/e2e/daemon/countries.py" moat "$@" || fail "$*"; }
lists() { says "$1 +.*active" on db-host moat managed-ranges list; }
last_change() { moat_status | grep '^Last change'; }

begin_scene "$1"
add_host db-host "$database_host" 198.18.0.1
write_standard_policy "$scene/moat"
# Lists that double and shrink are meant here, and nothing of them is to stay.
sed -i 's/^managed-range-updates:.*/managed-range-updates: {guard: off, hold-down: 0}/' "$scene/moat/moat.yaml"
start_moatd
says '^Guarding 2 databases on eth0; all rules enforced' moat_status ||
  fail "$(moat_status)"
[[ $(on db-host moat rules list | grep -c ' active ') == 30 ]] || fail "not 30 rules active"
lets_in orders FR
lets_in bills EUROPE

ranges=$scene/moat/managed-ranges.d
is_for_all() { says '"allowed": true' on db-host moat why 8.8.8.8 --database bills --json; }
"$root/scripts/geo-ranges.py" "$scene/all" ALL
cp "$scene/all/country-all.txt" "$ranges/country-europe.txt"
await 20 "all countries to be let in" is_for_all
last_change
lets_in bills ALL
lets_in orders FR

"$root/scripts/geo-ranges.py" "$ranges" FR EUROPE >/dev/null
await 20 "Europe alone to be let in" eval '! is_for_all'
last_change
lets_in bills EUROPE
