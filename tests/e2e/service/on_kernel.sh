#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The package moat on another kernel, in a virtual machine of scripts/kernels.sh: installed by dpkg, watched,
# enforced, and moatd killed. Where the kernel has AppArmor, moatd is confined by the package's profile.
#
#   on_kernel.sh DIR     DIR: what scripts/package.sh has made
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"

# It installs, and writes to /etc: nothing for a machine that stays.
[[ -e /mnt/start ]] || {
  echo "on_kernel: only in a virtual machine that scripts/kernels.sh has started" >&2
  exit 2
}
package=$(ls "$1"/moat_*.deb)
capabilities=-all,+net_admin,+perfmon,+bpf
moat() { on db-host moat "$@"; }
is_ready() { says '"ready": true' status_json; }
status_json() { moat status --json || [[ $? == 1 ]]; }

# With the groups and streams that its unit gives it: none of files that its profile does not know.
start_packaged_moatd() {
  # shellcheck disable=SC2016  # the inner shell's
  start moatd db-host bash -c 'exec setpriv --regid=moat --groups=0 --inh-caps=-all "--bounding-set=$0" /usr/sbin/moatd \
    > >(cat) 2>&1' "$capabilities"
  await 20 "moatd to be ready" is_ready || {
    dmesg | grep 'apparmor="DENIED"' >&2 || true
    fail "moatd is not ready"
  }
}

is_confined() {
  local profile denied
  [[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) == Y ]] || {
    echo "NOT TRIED: the AppArmor profile, as this kernel has no AppArmor" >&2
    return 0
  }
  profile=$(cat "/proc/${pids[moatd]}/attr/current")
  same "moatd is confined by" "moatd (complain)" "$profile"
  denied=$(dmesg | grep -E 'apparmor="(ALLOWED|DENIED)".*profile="moatd"' || true)
  same "what AppArmor would deny it" "" "$denied"
}

mountpoint --quiet /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
begin_scene
# Of the host, as the package has it.
rm "$scene/bin/moat"
mkdir -p /run/moat
add_host db-host "$database_host" 198.18.0.1
add_host office "$listed_client" 198.51.100.1
add_host stranger "$unlisted_client" 198.19.0.1
rm -rf /etc/moat
# What it depends on is installed here, but not all of it by dpkg. Without triggers: the index of man pages
# would open more files than the machine's file server can.
said=$(on db-host dpkg --force-depends --no-triggers --install "$package" 2>&1) || fail "not installed: $said"
grep -q "watches eth0 in monitor mode" <<<"$said" || fail "the installation says: $said"
holds "dpkg installs it on $(uname -r)"
printf '%s\n' "$said" | sed 's/^/  | /'
start_packaged_moatd
start listener db-host /usr/bin/python3 "$peers" serve 5432
await 10 "the listener" answers db-host 127.0.0.1
{ moat status || [[ $? == 1 ]]; } | sed 's/^/  | /'
same "monitor mode, an unlisted source" AS "$(knock stranger "$database_host" 5432)"
moat rules add --database postgresql --cidr "$listed_client/32" >"$scene/moat.log" 2>&1 ||
  fail "a rule is not added: $(<"$scene/moat.log")"
moat databases enforce postgresql --yes >"$scene/moat.log" 2>&1 ||
  fail "not enforced: $(<"$scene/moat.log")"
same "enforced, an unlisted source" silence "$(knock stranger "$database_host" 5432)"
same "enforced, a listed source" AS "$(knock office "$database_host" 5432)"
is_confined
stop moatd KILL
same "moatd killed, an unlisted source" silence "$(knock stranger "$database_host" 5432)"
start_packaged_moatd
same "moatd anew, a listed source" AS "$(knock office "$database_host" 5432)"
is_confined
echo "$passed steps passed"
