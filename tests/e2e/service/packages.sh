#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The newcomer's way, with Debian packages and a systemd, on a host of namespaces with a PostgreSQL that
# runs already: install, watch, enforce, upgrade and downgrade under traffic, remove, purge.
#
#   packages.sh DIR TRAFFIC     DIR: what scripts/package.sh has made
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"
# shellcheck source=../lib/machine.sh
. "$root/tests/e2e/lib/machine.sh"

packages=$(cd "$1" && pwd)
# shellcheck disable=SC2034  # wall.sh's
traffic_program=$2
export PGHOST=$database_host PGUSER=postgres PGDATABASE=orders PGCONNECT_TIMEOUT=$((2 * patience))

moat() { in_machine moat "$@"; }
reaches() { on "$1" psql -Atc 'select 1' >/dev/null 2>&1; }
gets_in() { reaches "$1" || fail "$2: $1 is kept out"; holds "$2: $1 gets in"; }
is_kept_out() { ! reaches "$1" || fail "$2: $1 gets in"; holds "$2: $1 is kept out"; }

# apt WHAT COMMAND...: what it says is in $said.
apt() {
  local what=$1
  shift
  said=$(in_machine apt-get -y -o Dpkg::Use-Pty=0 "$@" 2>&1) || fail "$what: $said"
  holds "$what"
}
# said_by WHAT PATTERN
said_by() { grep -qE -- "$2" <<<"$said" || fail "$1 does not say '$2' but: $said"; holds "$1 says: $2"; }

# The same package as of a version before: what dpkg does with it is what it does with any other.
make_version_before() {
  local package=$1 place=$scene/before
  dpkg-deb --raw-extract "$package" "$place"
  sed -i 's/^Version: .*/Version: 0.0.9/' "$place/DEBIAN/control"
  dpkg-deb --root-owner-group --build "$place" "$scene/moat_0.0.9.deb" >/dev/null
}

# In the kernel, of the guard on the NIC and of the backstop at sockets. Before sockets each moatd makes
# its own, beside the one before: the kernel has no other program put on such a link.
link_ids() {
  # shellcheck disable=SC2016  # the inner shell's
  in_machine sh -c 'for pin in /sys/fs/bpf/moat/links/* /sys/fs/bpf/moat/backstop-link; do
    bpftool -j link show pinned "$pin"; done' | jq -r .id | sort
}

# shellcheck disable=SC2016  # dpkg's own
version() { in_machine dpkg-query --show --showformat '${Version}' moat; }

# --- The packages by themselves -----------------------------------------------------------------------
begin_scene
built=("$packages"/moat_*.deb)
[[ -e ${built[0]} ]] || fail "no package in $packages"
lintian --allow-root --fail-on error,warning "$packages"/moat*_*.deb >"$scene/lintian" 2>&1 ||
  fail "lintian: $(<"$scene/lintian")"
holds "lintian finds nothing wrong"
if dpkg-deb --ctrl-tarfile "${built[0]}" | tar -t | grep -qE '/(config|templates)$'; then
  fail "it asks questions"
fi
holds "nothing is asked"

# --- First installation -------------------------------------------------------------------------------
make_version_before "${built[0]}"
add_host db-host "$database_host" 198.18.0.1
add_host office "$listed_client" 198.51.100.1
add_host stranger "$unlisted_client" 198.19.0.1
start_machine db-host
start_postgres
into_machine "$scene/moat_0.0.9.deb" /tmp/packages
into_machine "${built[0]}" /tmp/packages
newer=/tmp/packages/${built[0]##*/}
apt "apt installs it" install /tmp/packages/moat_0.0.9.deb
said_by "the installation" "watches eth0 in monitor mode"
unit_is moatd ActiveState active || fail "moatd does not run"
unit_is moatd UnitFileState enabled || fail "moatd does not start with the host"
holds "moatd runs, and starts with the host"
said=$(moat status) || fail "something is wrong: $said"
said_by "moat status" eth0
said_by "moat status" "[Mm]onitor"
gets_in stranger "monitor mode"
await 10 "the counters to tell of it" says no-rule in_machine moat counters
holds "the counters tell of the stranger"

# --- Rules, and enforcing them ------------------------------------------------------------------------
for address in ${listed//,/ }; do
  moat rules add --database postgresql --cidr "$address/32" >"$scene/moat.log" 2>&1 ||
    fail "no rule for $address: $(<"$scene/moat.log")"
done
mkfifo "$scene/session"
exec {to_session}<>"$scene/session"
start session stranger psql -f "$scene/session"
echo "select 1;" >&"$to_session"
await 10 "the stranger's session" says "$unlisted_client" in_machine moat sessions
said=$(moat preflight 2>&1) || true
said_by "moat preflight" "$unlisted_client"
moat databases enforce postgresql --yes >"$scene/moat.log" 2>&1 || fail "not enforced: $(<"$scene/moat.log")"
echo "select 2;" >&"$to_session"
await 10 "the end of the stranger's session" is_gone session
holds "the stranger's session has ended"
gets_in office "enforced"
is_kept_out stranger "enforced"

# --- Upgrade and downgrade under traffic --------------------------------------------------------------
links=$(link_ids)
[[ -n $links ]] || fail "nothing is attached"
# shellcheck disable=SC2034  # wall.sh's
unlisted=198.51.100.24,198.51.100.26,192.0.2.9,192.0.2.11,203.0.112.255,203.0.114.0,10.41.255.255,10.43.0.0
start_traffic
same "the version before" 0.0.9 "$(version)"
apt "apt upgrades it" install "$newer"
expect drop
[[ $(version) != 0.0.9 ]] || fail "not upgraded"
same "the links after the upgrade" "$links" "$(link_ids)"
unit_is moatd ActiveState active || fail "moatd does not run after the upgrade"
apt "apt downgrades it" install --allow-downgrades /tmp/packages/moat_0.0.9.deb
expect drop
same "the links after the downgrade" "$links" "$(link_ids)"
end_traffic
((unlisted_passed == 0 && listed_lost == 0)) ||
  fail "$listed_lost listed frames dropped, $unlisted_passed unlisted ones let through"
holds "$sent frames, 0 misjudged"
said=$(moat status) || fail "something is wrong: $said"
gets_in office "upgraded and downgraded"
is_kept_out stranger "upgraded and downgraded"

# --- Without its configuration ------------------------------------------------------------------------
in_machine mv /etc/moat/moat.yaml /etc/moat/kept.yaml
in_machine ln -s /nowhere/moat.yaml /etc/moat/moat.yaml
apt "apt upgrades it without moat.yaml" install "$newer"
said_by "the upgrade" "moat.yaml is not there"
is_kept_out stranger "upgraded without moat.yaml"
gets_in office "upgraded without moat.yaml"
in_machine mv /etc/moat/kept.yaml /etc/moat/moat.yaml
in_machine systemctl restart moatd

# --- The fast path, while it has a NIC ----------------------------------------------------------------
for dpdk in "$packages"/moat-dpdk_*.deb; do
  into_machine "$dpdk" /tmp/packages
done
# Its drivers are here, what it only recommends is not, and the machine has no way to fetch it.
apt "apt installs the fast path" install --no-install-recommends "/tmp/packages/${dpdk##*/}"
in_machine sh -c 'mkdir -p /run/netns && : >/run/netns/moat-nic'
! said=$(in_machine apt-get -y purge moat 2>&1) || fail "purged while the fast path has its NIC: $said"
said_by "the purge" "still has its NIC"
is_kept_out stranger "not purged"
in_machine rm /run/netns/moat-nic
apt "apt removes the fast path" purge moat-dpdk

# --- Remove, purge ------------------------------------------------------------------------------------
apt "apt removes it" remove moat
said_by "the removal" "the rules stay enforced"
is_kept_out stranger "removed"
gets_in office "removed"
apt "apt purges it" purge moat
said_by "the purge" "THE GUARD HAS ENDED"
gets_in stranger "purged"
left=$(in_machine sh -c 'ls -d /etc/moat /var/lib/moat /sys/fs/bpf/moat /usr/sbin/moatd \
  /etc/apparmor.d/usr.sbin.moatd /etc/apparmor.d/local/usr.sbin.moatd 2>/dev/null || true')
same "what is left" "" "$left"

# A moatd that no systemd ends with its package puts its pins back: the purge does not say that all is open.
# shellcheck disable=SC2016  # the inner shell's
said=$(in_machine sh -c 'dpkg-deb --control "$0" /tmp/control && cp /bin/sleep /tmp/moatd && { /tmp/moatd 60 & } &&
  mkdir /sys/fs/bpf/moat && sh /tmp/control/postrm purge && kill "$!"' "$newer" 2>&1) || fail "postrm: $said"
said_by "the purge beside a moatd" "THE GUARD HAS NOT ENDED: moatd still runs"
echo "$passed steps passed"
