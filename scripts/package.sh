#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Makes Moat's Debian packages, on Debian 12; as root it installs what is missing for that. Two runs, in
# whatever folders, give the same bytes.
#
#   scripts/package.sh [--output DIR] [--twice] [--test]
#
#     --output DIR  build-packages/ unless given
#     --twice       makes them once more, in a folder of another name and without ccache, and compares
#     --test        does that, and goes the newcomer's whole way with them, in namespaces of this host: install,
#                   monitor, preflight, enforce, upgrade and downgrade under traffic, remove, purge
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"

output=$root/build-packages twice='' tested=''
while (($#)); do
  case $1 in
    --output) output=${2:?--output needs a folder} && shift ;;
    --twice) twice=yes ;;
    --test) twice=yes tested=yes ;;
    *) sed -n '/^#   scripts/,/^set/{/^set/d;s/^#  \{0,1\}//p}' "$0" >&2 && exit 2 ;;
  esac
  shift
done
"$root/scripts/setup.sh" build dpdk package

# debhelper gives HOME another place.
! command -v ccache >/dev/null || CCACHE_DIR=$(ccache --get-config cache_dir)
export CCACHE_DIR MOAT_BUILD_OPTIONS=-Dwerror=true
version=$(sed -n "s/^ *version: '\(.*\)',$/\1/p" "$root/meson.build")
[[ $(dpkg-parsechangelog -l "$root/debian/changelog" -S Version) == "$version" ]] || {
  echo "package: debian/changelog is of another version than meson.build, which says $version" >&2
  exit 1
}

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
# debhelper builds in the source tree, so in a copy of it.
mkdir "$place/moat"
tar -C "$root" --exclude-vcs --exclude='./build*' --exclude=__pycache__ -c . | tar -C "$place/moat" -x
echo "Making packages ..."
(cd "$place/moat" && DEB_BUILD_OPTIONS=noautodbgsym dpkg-buildpackage --build=binary --no-sign --jobs="$(nproc)") >"$place/log" 2>&1 || {
  tail -n 50 "$place/log" >&2
  exit 1
}
mkdir -p "$output"
rm -f "$output"/moat*.deb
cp "$place"/*.deb "$output"
(cd "$output" && ls -- *.deb)
[[ -n $twice ]] || exit 0

echo "Making them once more ..."
mkdir "$place/in-another-folder"
CCACHE_DISABLE=1 TMPDIR=$place/in-another-folder "$0" --output "$place/again" >"$place/log"
for package in "$output"/moat*.deb; do
  cmp "$package" "$place/again/${package##*/}"
done
echo "Both times the same bytes."
[[ -n $tested ]] || exit 0

echo "Going the newcomer's way ..."
"$root/scripts/setup.sh" test
configure "$root/build" -Dwerror=true
build "$root/build" tests/e2e/traffic
"$root/tests/e2e/service/packages.sh" "$output" "$root/build/tests/e2e/traffic"
