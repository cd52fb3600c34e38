#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A network for reload.py: moatd in db-host, a listed client, and the router between them. What it
# finds is on stdout, one line of JSON each; see there.
#
#   bench/network/reload.sh [ARGUMENT OF reload.py...] BUILD
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck source=../../scripts/lib/standard.sh
. "$root/scripts/lib/standard.sh"

take_options -- "$build"  # the others are reload.py's
begin_scene "$build"
write_standard_policy "$scene/standard" >&2
add_host db-host "$database_host" 198.18.0.1
add_host client 198.51.100.25 198.51.100.1
(exec nsenter --net="/run/netns/$prefix-db-host" setpriv --pdeathsig TERM \
  /usr/bin/python3 "$(dirname "$(realpath "$0")")/reload.py" --scene "$scene" --build "$build" \
  --standard "$scene/standard" --client "/run/netns/$prefix-client" --address "$database_host" "${@:1:$#-1}") &
# shellcheck disable=SC2154  # pids is the scene's: whatever ends this script ends it too
pids[reload]=$!
wait "${pids[reload]}"
