#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The console in a real browser: Cockpit on the database host, signed in by PAM as users of the test's
# own. They are in a copy of /etc that only moatd and Cockpit see. console_test.js drives Chromium, and
# this script carries out what it orders on the network around.
#
#   console.sh BUILD [PICTURE]    leaves pictures of all pages in BUILD/console; README's in PICTURE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
# shellcheck source=../../../scripts/lib/scene.sh
. "$root/scripts/lib/scene.sh"
build=$1 picture=${2:-}
office=198.51.100.25
stranger=198.19.0.66
etc=()  # how a command comes to see the scene's /etc

needs=(/usr/lib/cockpit/cockpit-ws /usr/bin/chromium "$here/node_modules/installed.json")
for need in "${needs[@]}"; do
  [[ -e $need ]] || {
    echo "NOT TESTED: $need is missing; scripts/setup.sh console installs it" >&2
    exit 77
  }
done

# ---- The scene ----

make_etc() {
  cp -a /etc "$scene/etc"
  # shellcheck disable=SC2016  # for the shell in there
  unshare --mount --propagation private sh -c 'mount --bind "$1" /etc && echo ready && exec sleep infinity' \
    sh "$scene/etc" >"$scene/etc.log" &
  pids[etc]=$!
  disown
  await 5 "a private /etc" grep -q ready "$scene/etc.log"
  etc=(nsenter "--mount=/proc/${pids[etc]}/ns/mnt")
}

# add_user NAME GROUP...: with its name as password, and the pages as a package of its own.
add_user() {
  local name=$1 group
  shift
  "${etc[@]}" useradd --create-home --home-dir "$scene/home/$name" --shell /bin/bash "$name"
  "${etc[@]}" chpasswd <<<"$name:$name"
  for group in "$@"; do
    "${etc[@]}" groupadd --force "$group"
    "${etc[@]}" usermod --append --groups "$group" "$name"
  done
  "${etc[@]}" install -d -o "$name" -g "$name" "$scene/home/$name/.local/share/cockpit"
  ln -s "$pages" "$scene/home/$name/.local/share/cockpit/moat"
}

# As they would be installed: a file that meson.build forgets is missing here too.
install_pages() {
  DESTDIR=$scene/installed meson install -C "$build" --no-rebuild --tags cockpit >"$scene/install.log"
  pages=$(find "$scene/installed" -type d -path '*/cockpit/moat')
}

set_the_scene() {
  begin_scene "$build"
  add_host db-host "$database_host" 198.18.0.1
  add_host office "$office" 198.51.100.1
  add_host app 192.0.2.10 192.0.2.1
  add_host stranger "$stranger" 198.19.0.1
  cp -r "$root"/config/{moat.yaml,databases.d,managed-ranges.d} "$scene/moat"
  echo "socket-readers: moat-readers" >>"$scene/moat/moat.yaml"
  install_pages
  make_etc
  mkdir -m 755 "$scene/home"
  add_user moat-ada moat
  add_user moat-ben moat-readers
  add_user moat-eve
  mkdir -p "$scene/etc/cockpit"
  printf '{"config": {"socket": "%s"}}\n' "$scene/moatd.sock" >"$scene/etc/cockpit/moat.override.json"
  start_postgres
  start_moatd
  start cockpit db-host "${etc[@]}" /usr/lib/cockpit/cockpit-ws --no-tls --port 9090 --address 127.0.0.1
  await 10 "Cockpit to listen" on db-host bash -c ': </dev/tcp/127.0.0.1/9090'
}

# With groups as the scene's /etc has them, and in the group that the socket is for, as in the unit.
launch_moatd() {
  start moatd db-host "${etc[@]}" setpriv --regid=moat --groups=root --inh-caps=-all --bounding-set=-all,+net_admin,+perfmon,+bpf \
    moatd --config "$scene/moat/moat.yaml" --bpffs "$scene/bpf/moat" --state "$scene/state" \
    --socket "$scene/moatd.sock" --fast-path "$scene/dpdk"
}

# ---- What the test orders ----

# A session of the stranger's that stays open; `session_ended` is answered when its psql is gone.
open_session() {
  mkfifo "$scene/session"
  exec {to_session}<>"$scene/session"
  start session stranger psql -h "$database_host" -U postgres -d orders -f "$scene/session"
  echo "begin; create table t (id int);" >&"$to_session"
  await 5 "the stranger's transaction" \
    says 'in transaction' on db-host psql -h "$scene/postgres" -U postgres -d orders -Atc \
    "select state from pg_stat_activity where client_addr = '$stranger'"
}
session_ended() {
  echo "commit;" >&"$to_session"
  await 5 "the end of the stranger's psql" is_gone session
}

# connects HOST: whether psql does.
connects() {
  on "$1" env PGCONNECT_TIMEOUT=$((2 * patience)) psql -h "$database_host" -U postgres -d orders -Atc 'select 1'
}
is_kept_out() { ! connects "$1"; }

start_flood() {
  start flood router /usr/bin/python3 "$here/flood.py" db-host "$database_host" 5000
  await 10 "drops" says '"reason": "no-rule"' on db-host moat drops --json
}
stop_flood() { stop flood; }

stop_daemon() { stop moatd; }
start_daemon() { start_moatd; }

moat_says() { on db-host moat "$@"; }
take_file_away() { mv "$scene/moat/databases.d/orders.yaml" "$scene/orders.yaml"; }
bring_file_back() { mv "$scene/orders.yaml" "$scene/moat/databases.d/"; }
edit_file() { sed -i "$1" "$scene/moat/databases.d/orders.yaml"; }
edit_range() { sed -i "$1" "$scene/moat/managed-ranges.d/country-fr.txt"; }

# The link is the answer.
open_console() {
  start console db-host moat console --pages "$pages"
  await 10 "the link of moat console" grep '^http' "$scene/console.log"
  grep '^http' "$scene/console.log"
}
close_console() { stop console; }

# An order a line; its answer is "ok" and the last line of what was said, or "no" and that.
carry_out_orders() {
  local words answer
  while read -r -u "$orders" -a words; do
    case ${words[0]} in
      open_session | session_ended | connects | is_kept_out | start_flood | stop_flood | stop_daemon | \
        start_daemon | moat_says | edit_file | \
        edit_range | take_file_away | bring_file_back | open_console | close_console) ;;
      *) echo "no such order: ${words[*]}" >&2 && return 1 ;;
    esac
    if "${words[@]}" >"$scene/order.log" 2>&1; then answer=ok; else answer=no; fi
    echo "$answer $(tail -n 1 "$scene/order.log")" >&"$answers"
  done
}

set_the_scene
rm -rf "$build/console"
mkdir "$build/console"
coproc browser {
  export HOME=$scene TMPDIR=$scene
  on db-host node "$here/console_test.js" "$build/console" "$patience" "$picture"
}
# shellcheck disable=SC2154  # coproc sets it
browser_pid=$browser_PID
# Those of the coprocess go when it ends.
exec {orders}<&"${browser[0]}" {answers}>&"${browser[1]}"
carry_out_orders || true
wait "$browser_pid"
