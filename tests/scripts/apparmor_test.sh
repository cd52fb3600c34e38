#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# AppArmor takes the profile of moatd, which allows no more capabilities than the unit. That moatd can work
# under it is tried where the kernel has AppArmor: scripts/kernels.sh --packages.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
profile=$root/config/apparmor/moatd

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

PATH=$PATH:/usr/sbin:/sbin
command -v apparmor_parser >/dev/null || fail "no apparmor_parser: scripts/setup.sh test brings it"
# A warning is of a rule that says something else than it looks like. Of what a kernel can, whether or not
# this one does.
said=$(apparmor_parser --skip-kernel-load --skip-cache --warn=all --Werror \
  --kernel-features=/etc/apparmor.d/abi/3.0 "$profile" 2>&1) || true
[[ -z $said ]] || fail "apparmor_parser says: $said"
echo "ok  apparmor_parser takes it"

capabilities() { tr '[:upper:] ' '[:lower:]\n' | sort | tr '\n' ' '; }
of_unit=$(sed -n 's/^CapabilityBoundingSet=//p' "$root/config/moatd.service.in" | sed 's/CAP_//g' | capabilities)
of_profile=$(sed -n 's/^  capability \(.*\),$/\1/p' "$profile" | capabilities)
[[ $of_unit == "$of_profile" ]] || fail "the unit has $of_unit, the profile $of_profile"
echo "ok  the capabilities of the unit: $of_profile"
! grep -qE '^ *[^#].* [a-zA-Z]*x[a-zA-Z]*,$' "$profile" || fail "it lets moatd run programs"
echo "ok  no program may be run"
[[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) == Y ]] ||
  echo "NOT LOADED: this kernel has no AppArmor; scripts/kernels.sh --packages loads it on Debian's" >&2
