# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the tests of what is installed: a machine in namespaces with a systemd of its own, on this
# one's files. What it changes is in memory, and gone with it. Its network is that of a host of the scene.
#
#   start_machine HOST     boots it on the network of HOST, and waits until it is up; the source tree and
#                          $build, if set, are those of here
#   in_machine COMMAND...
#   into_machine FILE DIR  copies a file there
#   stop_machine           and all that runs in it; done at the scene's end, too
#   unit_is UNIT PROPERTY VALUE
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # scene, prefix, pids and root are of those that source this

machine_pid=
at_end() { stop_machine; }

fail() {
  echo "FAILED: $*" >&2
  [[ -z $machine_pid ]] || in_machine journalctl --quiet --unit moatd --lines 20 --no-pager >&2
  exit 1
}

# In the namespaces of the machine, before its first process: its files, and what a container has of
# /dev. By pivot_root, as systemd makes units' namespaces of /.
write_boot() {
  cat >"$scene/boot" <<'END'
#!/bin/bash
set -e
place=$1
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$place"
mkdir "$place"/{changes,work,root}
mount -t overlay -o "lowerdir=/,upperdir=$place/changes,workdir=$place/work" overlay "$place/root"
cd "$place/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t bpf -o mode=700 bpf sys/fs/bpf
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/{net,pts,shm}
for node in null zero full random urandom tty net/tun; do
  [[ ! -e /dev/$node ]] || { touch "dev/$node" && mount --bind "/dev/$node" "dev/$node"; }
done
ln -s /proc/self/fd dev/fd
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
# Of this machine's services none but the journal; and whoever forbids services to start is not there.
rm -f usr/sbin/policy-rc.d
# Nobody gives the scene's interfaces other MAC addresses, as udev would once something wants a network.
for unit in udevd networkd; do ln -sf /dev/null "etc/systemd/system/systemd-$unit.service"; done
# The tree and what is built of it may be on another disk.
for folder in "${@:2}"; do mkdir -p ".$folder" && mount --bind "$folder" ".$folder"; done
: >etc/machine-id
printf '[Unit]\nWants=systemd-journald.service\n' >etc/systemd/system/test-machine.target
pivot_root . mnt
cd /
umount -l /mnt
exec env -i container=moat-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --unit=test-machine.target --log-target=journal --show-status=no
END
  chmod +x "$scene/boot"
}

# A cgroup of its own, below which systemd makes those of its units. In the host's cgroup namespace, as
# Moat's backstop is on the root of all.
machine_cgroup() { echo "$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/$prefix"; }

start_machine() {
  local parent cgroup
  write_boot
  cgroup=$(machine_cgroup)
  mkdir -p "$scene/machine" "$cgroup"
  # shellcheck disable=SC2016  # the inner shell's
  (exec setsid nsenter --net="/run/netns/$prefix-$1" sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' \
    "$cgroup" unshare --pid --mount --uts --ipc --fork --kill-child \
    "$scene/boot" "$scene/machine" "$root" "${build:-$root}") </dev/null >"$scene/machine.log" 2>&1 &
  parent=$!
  pids[machine]=$parent
  disown
  await 10 "the machine's first process" has_child "$parent"
  machine_pid=$(child_of "$parent")
  await 20 "the machine to be up" in_machine systemctl is-active --quiet test-machine.target
}
# That shell has no child but unshare's.
child_of() { tr -d ' ' <"/proc/$1/task/$1/children"; }
has_child() { [[ -n $(child_of "$1") ]]; }

in_machine() {
  nsenter --target "$machine_pid" --mount --uts --ipc --net --pid --root --wd \
    env -i PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "$@"
}

into_machine() {
  # shellcheck disable=SC2016  # the inner shell's
  in_machine sh -c 'mkdir -p "$1" && cat >"$1/$0"' "${1##*/}" "$2" <"$1"
}

unit_is() { [[ $(in_machine systemctl show --property "$2" --value "$1") == "$3" ]]; }

stop_machine() {
  local cgroup
  [[ -n $machine_pid ]] || return 0
  kill -KILL "$machine_pid" 2>/dev/null || true
  await 10 "the machine's end" is_gone machine
  unset "pids[machine]"
  machine_pid=
  cgroup=$(machine_cgroup)
  await 10 "the machine's cgroups to empty" remove_cgroup "$cgroup"
}
remove_cgroup() { find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || [[ ! -e $1 ]]; }
