#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Builds Moat in build/ and runs its tests on Debian 12: installs what is missing, and makes network
# namespaces and bpf objects of its own, which it removes. The suite `unit` needs neither, and where
# nothing is missing anyone can run it; the others are for root.
#
#   scripts/test.sh [SUITE...]      unit, kernel, verdict, fuzz, e2e, scripts; without arguments all
#
# The fast path's process is built and tested where libdpdk is: `scripts/setup.sh dpdk` installs it.
# The console is tested where there is a browser: `scripts/setup.sh console`.
# With MOAT_TEST_PATIENCE=N in the environment all waiting takes up to N times as long until it has failed.
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"

"$root/scripts/setup.sh" build test
echo "Building ..."
configure "$root/build" -Dwerror=true
build "$root/build"
# Also where it was configured before libdpdk came.
has_dpdk() { [[ -x $root/build/control/daemon/moat-dpdk ]]; }
if ! has_dpdk && pkg-config --exists libdpdk; then
  meson setup --reconfigure "$root/build" >/dev/null
  build "$root/build"
fi

suites=()
for suite in "$@"; do suites+=(--suite "$suite"); done
status=0
meson test -C "$root/build" --no-rebuild --print-errorlogs \
  --timeout-multiplier "${MOAT_TEST_PATIENCE:-1}" "${suites[@]}" || status=$?
# Meson counts programs; a program of GoogleTest's holds many tests.
/usr/bin/python3 "$root/scripts/lib/count-tests.py" "$root/build/meson-logs/testlog.json" || status=1
has_dpdk || echo "NOT BUILT, NOT TESTED: moat-dpdk, as libdpdk is missing (scripts/setup.sh dpdk)"
[[ -e $root/tests/e2e/console/node_modules/installed.json ]] ||
  echo "NOT TESTED: the console in a browser, as that is missing (scripts/setup.sh console)"
exit "$status"
