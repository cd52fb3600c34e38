#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Installs Moat on a host, in monitor mode: nothing is dropped until the operator says so. What is in
# /etc/moat already stays as it is.
#
#   scripts/install.sh --interface NAME [--start] [--prefix DIR] [--destdir DIR] [--build DIR]
#   scripts/install.sh --uninstall      [--prefix DIR] [--destdir DIR]
#
#     --interface NAME  where clients come in, as in `ip link`; with --destdir one that this host
#                       need not have
#     --start           starts what it has installed, now and with the host
#     --prefix DIR      default /usr/local
#     --destdir DIR     installs below DIR, as for a package, and leaves this host alone
#     --build DIR       takes what DIR was built with that prefix; installs and builds nothing else
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"

die() {
  echo "install: $*" >&2
  exit 1
}

usage() {
  sed -n '/^#   scripts/,/^set/{/^set/d;s/^#  \{0,1\}//p}' "$0" >&2
  exit 2
}

# What was installed, files and the folders made for them, so that it can be taken away without the
# build.
manifest() { echo "$destdir$prefix/share/moat/installed-files"; }

install_files() {
  if [[ -z $built ]]; then
    "$root/scripts/setup.sh" build
    built=$root/build-install
    echo "Building Moat ..."
    configure "$built" "${release_options[@]}" -Dprefix="$prefix"
    build "$built"
  fi
  # Meson's log has the folders that it makes, and those above --destdir are none of Moat's.
  mkdir -p "$destdir/"
  DESTDIR=$destdir meson install -C "$built" --no-rebuild --strip --quiet
  write_manifest
}

# An earlier installation made folders that this one found.
write_manifest() {
  local line list
  list=$(manifest)
  install -d "${list%/*}"
  touch "$list"
  {
    cat "$list"
    grep -v '^#' "$built/meson-logs/install-log.txt" |
      while read -r line; do echo "${line#"$destdir"}"; done
    echo "$prefix/share/moat"
  } | LC_ALL=C sort -u >"$list.new"
  mv "$list.new" "$list"
}

# To begin with; what the operator made of it is kept, and says nothing of $interface.
write_configuration() {
  local etc=$destdir/etc/moat
  install -d -m 755 "$etc"
  # A link that leads nowhere now, and a guard whose file was lost, are the operator's as well: one in
  # monitor mode would open the ports.
  if [[ -e $etc/moat.yaml || -L $etc/moat.yaml || (-z $destdir && -e /sys/fs/bpf/moat) ]]; then
    kept=$etc
    return
  fi
  install -d -m 755 "$etc/databases.d" "$etc/managed-ranges.d"
  sed -e "s|^interfaces: .*|interfaces: [$interface]|" \
    -e 's|^mode: .*|mode: monitor                # monitor: drops nothing. Change to enforce to start dropping|' \
    "$root/config/moat.yaml" >"$etc/moat.yaml"
  [[ -n $(ls -A "$etc/databases.d") ]] ||
    install -m 644 "$root/config/first-database.yaml" "$etc/databases.d/postgresql.yaml"
}

make_known_to_the_host() {
  local users=$prefix/lib/sysusers.d/moat-agent.conf
  getent group moat >/dev/null || groupadd --system moat
  [[ ! -e $users ]] || ! command -v systemd-sysusers >/dev/null || systemd-sysusers "$users"
  [[ -d /run/systemd/system ]] || return 0
  case $prefix in
    /usr | /usr/local) ;;
    *) systemctl link "$prefix"/lib/systemd/system/moat*.service ;;
  esac
  systemctl daemon-reload
  journalctl --update-catalog
  [[ -z $start ]] || start_it
}

# A moatd of before goes; what is enforced stays so meanwhile.
start_it() {
  systemctl enable --quiet moatd
  systemctl restart moatd || {
    journalctl --quiet --unit moatd --lines 20 --no-pager >&2
    die "moatd does not start, see above; it is installed, and enabled"
  }
}

tell_what_next() {
  local settings="set up for $interface in monitor mode" state="not started"
  local -a first=("systemctl enable --now moatd" "start it: packets are judged and counted, none is dropped")
  if [[ -n $kept ]]; then
    settings="with $kept kept as it is: $interface was not written to it"
    first=("moat check && systemctl restart moatd" "this version; what is enforced stays enforced meanwhile")
  fi
  if [[ -n $start ]]; then
    state=running
    first=("moat status" "what is guarded, and what is wrong")
  fi
  printf '\nMoat is installed below %s, %s, and %s. Next:\n\n' "$destdir$prefix" "$settings" "$state"
  printf '   %-38s %s\n' "${first[@]}" \
    "moat rules add; moat preflight" "say who may; see whom that would keep out" \
    "moat databases enforce postgresql" "drop what the rules do not allow"
}

uninstall() {
  local path paths units
  [[ -e $(manifest) ]] || die "nothing of Moat below $destdir$prefix"
  if [[ -z $destdir ]]; then
    [[ ! -e /sys/fs/bpf/moat ]] ||
      die "the guard is still up; end it with \`moat detach\`, then come again"
    [[ ! -e /run/netns/moat-nic ]] ||
      die "the fast path still has its NIC; give it back as moat-dpdk(8) says, then come again"
    mapfile -t units < <(grep -oE '[^/]+\.service$' "$(manifest)")
    [[ ! -d /run/systemd/system ]] || systemctl disable --now "${units[@]}" || true
  fi
  # What is in a folder comes before it.
  mapfile -t paths < <(LC_ALL=C sort -r "$(manifest)")
  for path in "${paths[@]}"; do
    [[ -d $destdir$path ]] || rm -f "$destdir$path"
  done
  rm "$(manifest)"
  # Only folders that the installation made: an empty /usr/local/bin is somebody else's.
  for path in "${paths[@]}"; do
    [[ ! -d $destdir$path ]] || rmdir --ignore-fail-on-non-empty "$destdir$path"
  done
  [[ -n $destdir || ! -d /run/systemd/system ]] || systemctl daemon-reload
  echo "Moat is gone. Kept: $destdir/etc/moat, and $destdir/var/lib/moat if it ran here."
}

interface='' prefix=/usr/local destdir='' built='' kept='' start='' task=install
while [[ $# -gt 0 ]]; do
  case $1 in
    --uninstall) task=uninstall && shift && continue ;;
    --start) start=yes && shift && continue ;;
    --interface | --prefix | --destdir | --build) [[ -n ${2:-} ]] || usage ;;
    *) usage ;;
  esac
  case $1 in
    --interface) interface=$2 ;;
    --prefix) prefix=$(realpath --canonicalize-missing "$2") ;;
    --destdir) destdir=$(realpath --canonicalize-missing "$2") ;;
    --build) built=$2 ;;
  esac
  shift 2
done
[[ -n $destdir || $EUID -eq 0 ]] || die "run this as root, or with --destdir"
if [[ $task == uninstall ]]; then
  uninstall
  exit
fi
[[ -n $interface ]] || usage
[[ -z $start || -z $destdir ]] || die "--start starts what is on this host, and --destdir leaves it alone"
[[ -z $start || -d /run/systemd/system ]] ||
  die "--start needs systemd, which does not run here; leave it out, and start moatd as this host starts services"
[[ $interface =~ ^[[:alnum:]_-][[:alnum:]_.-]{0,14}$ ]] ||
  die "'$interface' is no interface's name: up to 15 letters, digits, '.', '_' and '-'"
[[ $interface != lo ]] || die "no client comes in by lo; name the interface that they come in by"
[[ -n $destdir || -e /sys/class/net/$interface ]] ||
  die "this host has no interface '$interface'; it has: $(ls /sys/class/net)"
install_files
write_configuration
if [[ -z $destdir ]]; then make_known_to_the_host; fi
tell_what_next
