# SPDX-License-Identifier: BSD-2-Clause
# Sourced by scripts/kernels.sh: another kernel, in a virtual machine without KVM, on this machine's
# files. What it writes goes nowhere but to one folder.
#
#   run_in_guest KERNEL-DIR RELEASE OUT SECONDS SCRIPT [CPUS]
#       boots the kernel that unpack_kernel made a folder of, and runs SCRIPT there with bash, as
#       root, with OUT as its /mnt; prints what it prints. Fails where it does not come to its end.
# shellcheck shell=bash

virtiofsd=/usr/lib/qemu/virtiofsd
guest_memory=4096

# Module files that NAME needs, itself last, as modules.dep has them.
modules_for() {
  local name=$1 modules=$2 file needs
  file=$(grep -oE "^[^:]*/$name\.ko[^:]*:" "$modules/modules.dep" | head -n 1)
  [[ -n $file ]] || return 0  # it is part of the kernel
  read -ra needs < <(sed -n "s|^$file||p" "$modules/modules.dep")
  # modules.dep has what is nearest first.
  printf '%s\n' "${needs[@]}" | tac
  echo "${file%:}"
}

# Busybox, and the modules that lead to the root.
make_initramfs() {
  local modules=$1 image=$2 dir name file
  dir=$(mktemp -d)
  mkdir -p "$dir"/{bin,dev,lib,mnt,new,proc,sys,up}
  cp /bin/busybox "$dir/bin/"
  for name in virtio_pci virtiofs overlay; do modules_for "$name" "$modules"; done |
    awk 'NF && !seen[$0]++' >"$dir/files"
  while read -r file; do
    name=$(basename "${file%.xz}")
    if [[ $file == *.xz ]]; then xz -dc "$modules/$file"; else cat "$modules/$file"; fi >"$dir/lib/$name"
    echo "$name"
  done <"$dir/files" >"$dir/order"
  cat >"$dir/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
fail() { echo "guest: $1"; poweroff -f; }
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev
while read -r module; do insmod /lib/$module || fail "insmod $module"; done </order
mount -t virtiofs -o ro root /mnt || fail "no root"
mount -t tmpfs tmpfs /up && mkdir /up/files /up/work
mount -t overlay -o lowerdir=/mnt,upperdir=/up/files,workdir=/up/work overlay /new || fail "no overlay"
mkdir -p /new/mnt /new/proc /new/sys /new/dev /new/run
mount -t virtiofs out /new/mnt || fail "no folder for results"
mount -t proc proc /new/proc && mount -t sysfs sys /new/sys && mount -t devtmpfs dev /new/dev
mount -t tmpfs tmpfs /new/run
# No chroot, in which AppArmor sees other paths than the profiles name.
exec switch_root /new /bin/bash /mnt/start
END
  chmod +x "$dir/init"
  (cd "$dir" && find . | cpio --quiet -o -H newc | gzip -1) >"$image"
  rm -r "$dir"
}

# What a system has that its init made.
write_start() {
  local modules=$1 script=$2
  cat <<END
export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb
mkdir -p /usr/lib/modules /dev/pts /dev/shm /dev/net
mount --bind '$modules' /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
ln -sfn /proc/self/fd /dev/fd
for n in 0 1 2; do ln -sfn /proc/self/fd/\$n /dev/\$(cut -d' ' -f\$((n + 1)) <<<'stdin stdout stderr'); done
# Those that the kernel does not load of its own accord when they are asked for.
modprobe -a tun fou
[[ -e /dev/net/tun ]] || mknod /dev/net/tun c 10 200
ip link set lo up
bash '$script' </dev/null
dmesg >/mnt/dmesg
touch /mnt/ended
sync
busybox poweroff -f
END
}

run_in_guest() {
  local kernel=$1 release=$2 out=$3 seconds=$4 script=$5 cpus=${6:-2}
  local modules=$kernel/lib/modules/$release sockets tag
  local -a servers=() devices=() share=()
  mkdir -p "$out"
  rm -f "$out/ended"
  make_initramfs "$modules" "$kernel/initramfs"
  write_start "$kernel/lib/modules" "$script" >"$out/start"
  sockets=$(mktemp -d)
  for tag in root out; do
    # Without a cache a program takes ten times as long to start.
    share=(-o source=/ -o cache=always)
    [[ $tag == root ]] || share=(-o source="$out")
    "$virtiofsd" --socket-path="$sockets/$tag" "${share[@]}" -o sandbox=chroot -o xattr \
      >"$out/virtiofsd-$tag.log" 2>&1 &
    servers+=("$!")
    devices+=(-chardev "socket,id=$tag,path=$sockets/$tag"
      -device "vhost-user-fs-pci,chardev=$tag,tag=$tag")
    until [[ -S $sockets/$tag ]] || ! kill -0 "$!" 2>/dev/null; do sleep 0.02; done
  done
  timeout --kill-after=10 "$seconds" qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp "$cpus" \
    -m "$guest_memory" -object "memory-backend-memfd,id=memory,size=${guest_memory}M,share=on" \
    -numa node,memdev=memory "${devices[@]}" \
    -kernel "$(find "$kernel/" -name 'vmlinu[xz]*' -type f | head -n 1)" -initrd "$kernel/initramfs" \
    -append "console=ttyS0 quiet loglevel=0 panic=-1 mitigations=off" \
    -nodefaults -display none -serial stdio -no-reboot </dev/null | sed -u 's/\r//g; s/\x1b[^ ]*//g' || true
  # They end with the machine.
  kill "${servers[@]}" 2>/dev/null || true
  wait "${servers[@]}" || true
  rm -rf "$sockets"
  [[ -e $out/ended ]]
}
