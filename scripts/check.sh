#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2317  # the steps are called by name
# What a change must pass beside the tests: layout, shell, layers, lint, and the unit tests under
# ASan and UBSan.
#
#   scripts/check.sh [STEP...]      format, shell, layers, sanitize, tidy; without arguments all
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"
cd "$root"

sources() { find bpf control dataplane tests bench -name "*.[ch]" -o -name "*.cpp" | sort; }
scripts() { grep -rlE --exclude-dir=node_modules --exclude='*.py' '^#!/bin/(ba)?sh|^# shellcheck shell=' .ci bench debian scripts tests | sort; }

check_format() { sources | xargs clang-format-19 --dry-run -Werror; }

check_shell() { scripts | xargs shellcheck; }

# That no include points up, and that libraries stay in the folders that are theirs.
check_layers() { /usr/bin/python3 scripts/lib/layers.py; }

# The parsers, the table and the verdict run as ordinary code in the unit and verdict tests, and with
# libdpdk the verdict of moat-dpdk on frames that came by a port.
check_sanitize() {
  configure build-sanitize -Db_sanitize=address,undefined -Db_lundef=false -Dbench=false -Dwerror=true \
    -Dcpp_args=-fno-sanitize-recover=all
  build build-sanitize
  meson test -C build-sanitize --no-rebuild --print-errorlogs --suite unit --suite kernel \
    --suite verdict --suite fuzz
}

# Clang reads what the build knows; the warnings are g++'s business. libstdc++'s own algorithms use
# what it deprecates.
check_tidy() {
  configure build-tidy -Dunity=off
  build build-tidy generated
  /usr/bin/python3 -c '
import json
print(*sorted({entry["file"] for entry in json.load(open("build-tidy/compile_commands.json"))}))' |
    (cd build-tidy && xargs -P "$(nproc)" -n 1 clang-tidy-19 --quiet -p . \
      --extra-arg=-Wno-deprecated-declarations 2> >(grep -v 'warnings generated' >&2))
}

[[ $# -gt 0 ]] || set -- format shell layers sanitize tidy
"$root/scripts/setup.sh" build test check
status=0
for step in "$@"; do
  declare -F "check_$step" >/dev/null || { echo "check: no step '$step'" >&2; exit 2; }
  echo "== $step"
  "check_$step" || { echo "== $step FAILED"; status=1; }
done
exit "$status"
