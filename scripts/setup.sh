#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Installs what Moat is built and tested with, on Debian 12, as root. Says nothing and changes
# nothing where all of it is there.
#
#   scripts/setup.sh [GROUP...]     build, demo and test (with build), dpdk (with build: the fast path),
#                                   package (with build and dpdk), kernels, bench and check (with build
#                                   and test), cockpit (for moat console), console (with test: Cockpit
#                                   and a browser); without arguments all of them
set -euo pipefail

declare -A packages=(
  [build]="g++ meson ninja-build pkg-config clang-19 llvm-19 bpftool libbpf-dev libc6-dev
    linux-libc-dev libyaml-cpp-dev libfmt-dev libspdlog-dev libcli11-dev nlohmann-json3-dev
    libmicrohttpd-dev libcurl4-openssl-dev libc-ares-dev libsystemd-dev libsmartcols-dev libmnl-dev
    libxxhash-dev prometheus-cpp-dev scdoc"
  [demo]="postgresql-15 iproute2 ethtool jq mount procps util-linux"
  [test]="apparmor ccache libbenchmark-dev libgtest-dev librapidcheck-dev python3 python3-jsonschema
    python3-prometheus-client python3-scapy python3-yaml prometheus curl postgresql-15 tor-geoipdb
    iproute2 iptables nftables wireguard-tools ethtool jq less zsh fish gnuplot-nox mount procps systemd
    util-linux libclang-rt-19-dev openssh-client openssh-server openssl etcd-server etcd-client"
  [dpdk]="libdpdk-dev"
  [package]="debhelper dh-apparmor dpkg-dev fakeroot lintian"
  [kernels]="qemu-system-x86 qemu-system-common busybox-static cpio kmod xz-utils jq"
  [bench]="dpdk-dev ipset xdp-tools"
  [check]="clang-format-19 clang-tidy-19 shellcheck python3"
  [cockpit]="cockpit-ws cockpit-bridge"
  [console]="cockpit-ws cockpit-bridge cockpit-system chromium nodejs"
)

die() {
  echo "setup: $*" >&2
  exit 1
}

missing_of() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      echo "$package"
  done
}

# apt-get is talkative: what it says is shown only when it fails.
apt() {
  local said
  said=$(DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Use-Pty=0 \
    -o DPkg::Lock::Timeout=300 "$@" 2>&1 </dev/null) || {
    echo "$said" >&2
    return 1
  }
}

# Debian's package makes a database cluster and starts it; a host that installs this only to run
# tests did not ask for one. The setting is as it was when this is done.
without_new_cluster() {
  local setting=/etc/postgresql-common/createcluster.conf
  [[ -e $setting ]] || apt install --no-install-recommends postgresql-common
  cp -p "$setting" "$setting.moat"
  trap 'mv "$setting.moat" "$setting"; trap - RETURN' RETURN
  echo "create_main_cluster = false" >>"$setting"
  "$@"
}

# The services that packages would start: a host that has none did not ask for one.
declare -A services=([openssh-server]=ssh.service [etcd-server]=etcd.service
  [prometheus]=prometheus.service [cockpit-ws]=cockpit.socket)

# without_new_service UNIT COMMAND...: says no to whoever starts a service meanwhile, and takes the unit
# out of those that start at boot.
without_new_service() {
  local unit=$1 policy=/usr/sbin/policy-rc.d
  shift
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm "$policy"; trap - RETURN' RETURN
  fi
  "$@" || return
  ! command -v systemctl >/dev/null || systemctl --quiet disable "$unit" 2>/dev/null || true
}

# Lists that are absent or too old fail the first try.
install_packages() {
  [[ $EUID -eq 0 ]] || die "missing ${missing[*]}; run this as root to install them"
  echo "setup: installing ${#missing[@]} packages: ${missing[*]}"
  local install=(apt install --no-install-recommends "${missing[@]}")
  local package
  for package in "${!services[@]}"; do
    [[ " ${missing[*]} " != *" $package "* ]] ||
      install=(without_new_service "${services[$package]}" "${install[@]}")
  done
  [[ " ${missing[*]} " != *" postgresql-15 "* ]] || install=(without_new_cluster "${install[@]}")
  if [[ -z $(find /var/lib/apt/lists -name '*Packages*' -print -quit 2>/dev/null) ]] ||
    ! "${install[@]}" 2>/dev/null; then
    apt update
    "${install[@]}"
  fi
  mapfile -t missing < <(missing_of "${wanted[@]}")
  [[ ${#missing[@]} -eq 0 ]] || die "still missing: ${missing[*]}"
}

# What drives the browser, as package-lock.json has it: each by version and digest.
install_modules() {
  local folder said
  folder=$(cd "$(dirname "$0")/../tests/e2e/console" && pwd)
  ! cmp --silent "$folder/package-lock.json" "$folder/node_modules/installed.json" || return 0
  echo "setup: installing Node.js modules for the tests of the console"
  said=$(npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund 2>&1 </dev/null) || {
    echo "$said" >&2
    return 1
  }
  cp "$folder/package-lock.json" "$folder/node_modules/installed.json"
}

[[ $# -gt 0 ]] || set -- build demo test dpdk package kernels bench check cockpit console
wanted=()
for group in "$@"; do
  [[ -n ${packages[$group]:-} ]] || die "no group '$group'; there are: ${!packages[*]}"
  read -ra names -d '' <<<"${packages[$group]}" || true
  wanted+=("${names[@]}")
  # Node.js from elsewhere than Debian brings it along.
  [[ $group != console ]] || command -v npm >/dev/null || wanted+=(npm)
done
command -v dpkg-query >/dev/null ||
  die "no Debian here; install what the lists in this file and meson.build name, by other means"
mapfile -t missing < <(missing_of "${wanted[@]}" | sort -u)
[[ ${#missing[@]} -eq 0 ]] || install_packages
[[ " $* " != *" console "* ]] || install_modules
