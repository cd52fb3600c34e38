#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# scripts/install.sh into a folder: what comes, what stays, what goes. install_test.sh BUILD
set -euo pipefail
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
usr=$place/usr/local

moat_install() {
  "$root/scripts/install.sh" --destdir "$place" "$@" >"$place/log" 2>&1
}
fail() {
  echo "FAILED: $*" >&2
  cat "$place/log" >&2
  exit 1
}

! moat_install --build "$build" || fail "an interface is not asked for"
! moat_install --build "$build" --interface 'lo]' || fail "what is no interface's name is taken"
! moat_install --build "$build" --interface lo || fail "lo is taken"
! "$root/scripts/install.sh" --prefix "$usr" --build "$build" --interface moat-none0 \
  >"$place/log" 2>&1 || fail "an interface that this host lacks is taken"
grep -q "no interface 'moat-none0'" "$place/log" || fail "not refused for its interface"
! moat_install --build "$build" --interface eth0 --start || fail "starts what is not on this host"
grep -q -- "--destdir leaves it alone" "$place/log" || fail "not refused for --start"
[[ ! -e $usr ]] || fail "a refusal installs something"

# For another host, into a folder that is not there yet.
moat_install --destdir "$place/other/host" --build "$build" --interface moat-none0 ||
  fail "does not install for another host"
moat_install --destdir "$place/other/host" --uninstall || fail "does not uninstall at once"
[[ -e $place/other/host/etc/moat/moat.yaml ]] || fail "the configuration is gone"
left=$(find "$place/other/host" -mindepth 1 -not -path "$place/other/host/etc*")
[[ -z $left ]] || fail "left behind after one installation: $left"

mkdir -p "$usr/share/man" "$usr/lib"
moat_install --build "$build" --interface eth0 || fail "does not install"
grep -q "set up for eth0 in monitor mode" "$place/log" || fail "does not tell of monitor mode"
[[ $(sed '1,/Next:$/d;/^$/d' "$place/log" | wc -l) == 3 ]] || fail "does not say what is next in three lines"
[[ -x $usr/bin/moat && -x $usr/sbin/moatd ]] || fail "a program is missing"
grep -q '^mode: monitor  .*drops nothing\. Change to enforce to start dropping$' "$place/etc/moat/moat.yaml" ||
  fail "does not say how to leave monitor mode"
grep -q '^interfaces: \[eth0\]' "$place/etc/moat/moat.yaml" || fail "not on the interface"
"$usr/bin/moat" check "$place/etc/moat" >"$place/log" 2>&1 || fail "the configuration does not hold"

unit=$usr/lib/systemd/system/moatd.service
grep -q "^ExecStart=/usr/local/sbin/moatd$" "$unit" || fail "the unit starts something else"
if command -v systemd-analyze >/dev/null; then
  # As on the host, where the program is at its place.
  sed "s|=/usr/local/|=$usr/|" "$unit" >"$place/moatd.service"
  said=$(systemd-analyze verify --man=no "$place/moatd.service" 2>&1 | grep moatd || true)
  [[ -z $said ]] || fail "systemd says: $said"
fi

echo "# mine" >>"$place/etc/moat/moat.yaml"
rm "$place/etc/moat/databases.d/postgresql.yaml"
moat_install --build "$build" --interface eth7 || fail "does not install again"
! grep -q "monitor mode" "$place/log" || fail "says of a kept configuration what it may not say"
grep -q "eth7 was not written" "$place/log" || fail "does not tell that the interface is not written"
grep -q '^# mine' "$place/etc/moat/moat.yaml" || fail "the operator's configuration is overwritten"
[[ -z $(ls "$place/etc/moat/databases.d") ]] || fail "a database that was taken out is back"

touch "$usr/bin/another"
moat_install --uninstall || fail "does not uninstall"
[[ -e $place/etc/moat/moat.yaml ]] || fail "the configuration is gone"
left=$(cd "$usr" && find . -mindepth 1 | sort | tr '\n' ' ')
[[ $left == "./bin ./bin/another ./lib ./share ./share/man " ]] ||
  fail "left behind, or taken with it: $left"
echo "installs, keeps what is the operator's, and uninstalls"
