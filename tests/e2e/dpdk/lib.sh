# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the tests of the fast path: a database host whose NIC moat-dpdk takes, and moatd, or `drive`
# which speaks for it.
#
#   build_fast_path BUILD DRIVE        begins the scene: db-host, and the clients app and stranger
#   start_worker DRIVER [OPTION...]    af_packet or af_xdp; returns once moatd could speak to it. On the
#                                      CPUs of $lcores, with $nic_arguments and $hugepages,
#                                      asleep for $idle microseconds
#   write_settings DRIVER              moat.yaml, with XDP on $xdp_interfaces, and $more_settings
#   drive WORD...                      see drive.cpp
#   counted_by_worker                  packets that passed, and that were dropped
#   publish [SOURCE...]                lets these in and nobody else
#   listen_at_port                     a listener on 5432 of db-host, in place of PostgreSQL
#   probe, hears_nothing               `stranger` tries all the time from then on, and has never had
#                                      an answer
# shellcheck shell=bash

# shellcheck source=../../../scripts/lib/build.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib/build.sh"
# shellcheck source=../../../scripts/lib/scene.sh
. "$root/scripts/lib/scene.sh"

app=192.0.2.10
stranger=198.19.0.66
here=$(dirname "${BASH_SOURCE[0]}")
lcores=$(($(nproc) - 1)) nic_arguments='' hugepages=auto idle=50
xdp_interfaces='' more_settings=''

build_fast_path() {
  worker_program=$1/control/daemon/moat-dpdk drive_program=$2
  begin_scene "$1"
  add_host db-host "$database_host" 198.18.0.1
  add_host app "$app" 192.0.2.1
  add_host stranger "$stranger" 198.19.0.1
  hosts+=(nic)  # moat-dpdk makes it
  # A NIC's frames have whole checksums. A veth leaves them to whoever receives.
  on router ethtool -K db-host tx off >/dev/null
}

fail() {
  echo "FAILED: $*" >&2
  tail -n 20 "$scene"/worker.log >&2
  [[ ! -e $scene/moatd.log ]] || tail -n 20 "$scene/moatd.log" >&2
  exit 1
}

drive() { "$drive_program" "$scene/dpdk/socket" "$@"; }

# Packets that rules let pass, and those dropped as no rule of the first database did. By slot, see
# bpf/abi.h: MOAT_OUTCOME_SLOT(1, 0, MOAT_NO_RULE) is 4096 + 2 * 16 + 9.
counted_by_worker() {
  drive counters | awk '$1 > 0 && $1 < 4096 {passed += $2} $1 == 4137 {dropped += $2}
    END {print passed + 0, dropped + 0}'
}

launch_worker() {
  local driver=$1
  shift
  write_settings "$driver"
  start worker db-host "$worker_program" --config "$scene/moat/moat.yaml" --folder "$scene/dpdk" \
    --netns "$prefix-nic" --idle "$idle" --force "$@"
}

write_settings() {
  cat >"$scene/new.yaml" <<END
interfaces: [$xdp_interfaces]
$more_settings
fast-path:
  nic: "net_${1}0,iface=eth0$nic_arguments"
  lcores: [$lcores]
  hugepages: $hugepages
END
  cmp -s "$scene/new.yaml" "$scene/moat/moat.yaml" || mv "$scene/new.yaml" "$scene/moat/moat.yaml"
}

start_worker() {
  launch_worker "$@"
  await 60 "moat-dpdk to answer" "${worker_is_up:-worker_answers_or_is_gone}"
  is_running worker || fail "moat-dpdk ended"
}

worker_answers_or_is_gone() { is_gone worker || drive status; }

publish() {
  local source
  {
    printf 'database: orders\nendpoint: {port: 5432}\nrules:\n'
    for source in "$@"; do printf '  - cidr: %s/32\n' "$source"; done
    (($# > 0)) || echo '  []'
  } >"$scene/orders.yaml"
  drive publish "$scene/orders.yaml"
}

port_says() { says "^$1\$" drive status; }

listen_at_port() {
  start listener db-host /usr/bin/python3 "$here/listener.py" 5432
  await 10 "the listener" says ':5432' on db-host ss -Hltn
}

# Whether a host gets an answer from the port, be it that nobody listens.
gets_in() { on "$1" /usr/bin/python3 "$here/prober.py" once "$database_host" 5432; }
is_silent() { ! gets_in "$1"; }

probe() { start prober stranger /usr/bin/python3 "$here/prober.py" on "$database_host" 5432; }
tries() { grep -c tried "$scene/prober.log" || true; }
has_tried_again() { (($(tries) >= $1 + 3)); }
# Not before it has tried a few times more.
hears_nothing() {
  await 30 "the stranger to try again" has_tried_again "$(tries)"
  ! grep answer "$scene/prober.log" || fail "an unlisted client had an answer: $1"
}
