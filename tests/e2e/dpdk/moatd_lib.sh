# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the tests of moatd and moat-dpdk together.
#
#   has_followed       status says that the fast path judges by what is live
#   is_behind, is_not_reached
#   generation
# shellcheck shell=bash

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# `drive` would be a second moatd.
# shellcheck disable=SC2034  # lib.sh's
worker_is_up=has_followed_or_is_gone

fast_path_of_status() { moat_status_json | jq -e "$1"; }
has_followed() {
  fast_path_of_status '.fast_path.connected and (.fast_path.behind | not) and
    .fast_path.generation == .generation and (.fast_path.ports | length) == 2'
}
is_behind() { fast_path_of_status '.fast_path.behind'; }
is_not_reached() { fast_path_of_status '.fast_path.connected | not'; }
has_followed_or_is_gone() { is_gone worker || has_followed; }
generation() { moat_status_json | jq .generation; }

# $1: a CIDR
rule_id() {
  on db-host moat rules list --database orders | awk -v cidr="$1" 'index($0, cidr) {print $1}'
}
