#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Shows what Moat does, on a small network of namespaces with a real PostgreSQL behind it. As root,
# on Debian 12: installs what is missing, builds, runs, checks each claim, and leaves nothing behind.
#
#   scripts/demo.sh [--keep [--console]] [--build DIR] [--fast-path dpdk]
#     --keep            leaves the scene up, and tells how to enter and how to end it
#     --console         opens the console on it, and prints the link for a browser
#     --build DIR       takes the binaries from DIR; installs and builds nothing
#     --fast-path dpdk  has moat-dpdk judge what comes in, in place of the XDP program
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"
# shellcheck source=lib/scene.sh
. "$(dirname "$0")/lib/scene.sh"

office=198.51.100.25
app=192.0.2.10
stranger=198.19.0.66

# --- How it talks -----------------------------------------------------------------------------

bold='' faint='' green='' red='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' faint=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi
steps=0

step() {
  steps=$((steps + 1))
  printf '\n%s%d. %s%s\n' "$bold" "$steps" "$1" "$plain"
}

holds() { printf '   %sok%s  %s\n' "$green" "$plain" "$1"; }

fails() {
  printf '   %sFAILED%s  %s\n' "$red" "$plain" "$1" >&2
  tail -n 15 "$scene/moatd.log" | sed 's/^/   moatd: /' >&2
  [[ -z $fast_path ]] || tail -n 15 "$scene/moat-dpdk.log" | sed 's/^/   moat-dpdk: /' >&2
  exit 1
}

# As one would type it.
quoted() {
  local word
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./:=,@+-]*) [[ $word == *\'* ]] && printf ' "%s"' "$word" || printf " '%s'" "$word" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
}

# run HOST COMMAND...: shows the command and what it says. Its exit code is in $exit_code and its
# words in $said; the demo goes on.
run() {
  local host=$1
  shift
  printf '   %s%s#%s%s\n' "$faint" "$host" "$plain" "$(quoted "$@")"
  exit_code=0
  said=$(on "$host" "$@" 2>&1) || exit_code=$?
  [[ -z $said ]] || printf '%s\n' "$said" | sed 's/^/   | /'
}

# check WHAT COMMAND...: a claim, and the command whose success proves it.
check() {
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then holds "$what"; else fails "$what"; fi
}

# --- What is asked ----------------------------------------------------------------------------

export PGHOST=$database_host PGUSER=postgres PGDATABASE=orders PGCONNECT_TIMEOUT=$((2 * patience))
hello="select 'hello ' || host(inet_client_addr())"
who_is_here="select client_addr, state, query from pg_stat_activity where client_addr is not null"

reaches() { on "$1" psql -Atc 'select 1'; }
is_kept_out() { ! reaches "$1"; }
in_database() { on db-host psql -h "$scene/postgres" -Atc "$1"; }
states_of() { in_database "select state from pg_stat_activity where client_addr = '$1'"; }
is_in_transaction() { says 'in transaction' states_of "$1"; }
has_no_backend() { [[ -z $(states_of "$1") ]]; }
lists() { says "\"${1//./\\.}\"" on db-host moat rules list --json; }
is_held_back() { says '"held[_-]back"' moat_status_json; }
is_nothing_held_back() { ! is_held_back; }
last_change() { moat_status | grep '^Last change' | sed 's/^/   | /'; }
milliseconds_since() { echo $(((${EPOCHREALTIME/./} - $1) / 1000)); }

# A session of the stranger's that stays open, and takes what is written to $to_session.
open_session() {
  mkfifo "$scene/session"
  exec {to_session}<>"$scene/session"
  start session stranger psql -f "$scene/session"
  echo "$1" >&"$to_session"
}

# --- The scene --------------------------------------------------------------------------------

set_the_scene() {
  begin_scene "$binaries"
  add_host db-host "$database_host" 198.18.0.1
  add_host office "$office" 198.51.100.1
  add_host app "$app" 192.0.2.1
  add_host stranger "$stranger" 198.19.0.1
  cat <<END

   office    $office --.
   app       $app ----- router --- eth0 [Moat] db-host $database_host, PostgreSQL on 5432
   stranger  $stranger ---'
END
  cp -r "$root"/config/{moat.yaml,databases.d,managed-ranges.d} "$scene/moat"
  cd "$scene/moat"
  [[ -z $fast_path ]] || set_the_fast_path
  start_postgres
}

# A NIC's frames have whole checksums. A veth leaves them to whoever receives.
set_the_fast_path() {
  on router ethtool -K db-host tx off >/dev/null
  hosts+=(nic)  # moat-dpdk makes it
  sed -i "s|^interfaces: .*|interfaces: []|" moat.yaml
  cat >>moat.yaml <<END
fast-path: {nic: "net_af_packet0,iface=eth0", lcores: [$(($(nproc) - 1))], hugepages: auto}
END
}

# Asleep when nothing comes, as the CPU has other things to do here; and forced, as the only NIC has the
# default route.
start_fast_path() {
  start moat-dpdk db-host "$binaries/control/daemon/moat-dpdk" --config moat.yaml --folder "$scene/dpdk" \
    --netns "$prefix-nic" --idle 50 --force
  await 60 "moat-dpdk to have the rules" has_followed || fails "the fast path does not run"
}
has_followed() { moat_status_json | jq -e '.fast_path.connected and (.fast_path.behind | not)'; }

the_fast_path_takes_over() {
  step "moat-dpdk takes the NIC, and judges what comes in by it."
  start_fast_path
  run db-host ip -brief address
  run db-host moat status
  check "the rules are in force there" grep -q 'Guarding 1 database on moat0' <<<"$said"
}

the_fast_path_dies() {
  step "moat-dpdk is killed. Nobody gets in, until it is back."
  run db-host kill -9 "${pids[moat-dpdk]}"
  await 5 "the end of moat-dpdk" is_gone moat-dpdk
  check "the stranger is kept out" is_kept_out stranger
  check "so is the office" is_kept_out office
  stop moat-dpdk
  start_fast_path
  check "the office gets in again" reaches office
  check "the stranger does not" is_kept_out stranger
}

the_wall_goes_up() {
  step "PostgreSQL listens, without passwords. Until moatd starts, everybody gets in."
  run stranger psql -Atc "$hello"
  check "the stranger gets in while there is no wall" test "$exit_code" -eq 0
  run db-host cat databases.d/orders.yaml
  start_moatd
  run db-host moat status
  check "moatd is ready" grep -q Guarding <<<"$said"
}

who_gets_in() {
  step "The stranger gets nothing, not even a refusal."
  run stranger psql -Atc "$hello"
  check "the stranger waited in vain" grep -q 'timeout expired' <<<"$said"

  step "The office gets in by its CIDR, the app by the managed range of its region."
  run office psql -Atc "$hello"
  check "the office gets in" grep -q "hello $office" <<<"$said"
  run app psql -Atc "$hello"
  check "the app gets in" grep -q "hello $app" <<<"$said"
}

rules_change() {
  step "A rule lets the stranger in, at once."
  run db-host moat rules add --database orders --cidr "$stranger/32" --label "On call"
  check "the rule is enforced when the command returns" reaches stranger
  open_session "begin; create table orders (id int);"
  await 5 "the stranger's transaction" is_in_transaction "$stranger"
  run db-host psql -h "$scene/postgres" -Atc "$who_is_here"
  check "the stranger is in the middle of a transaction, with locks" is_in_transaction "$stranger"

  step "Removing the rule cuts the stranger off in mid-session."
  local id started
  id=$(on db-host moat rules list --database orders | awk -v cidr="$stranger/32" '$0 ~ cidr {print $1}')
  run db-host moat rules remove --database orders "$id" --yes
  started=${EPOCHREALTIME/./}
  check "the command says that it is enforced" test "$exit_code" -eq 0
  await 2 "the end of the stranger's backend" has_no_backend "$stranger" ||
    fails "PostgreSQL still serves the stranger"
  holds "its PostgreSQL backend was gone $(milliseconds_since "$started") ms later"
  echo "commit;" >&"$to_session"
  await 2 "the end of the stranger's psql" is_gone session || fails "the stranger still waits"
  sed -n 's/^psql.*error: /   | stranger: /p' "$scene/session.log"
  check "the stranger is kept out again" is_kept_out stranger
}

files_change() {
  local file=databases.d/orders.yaml
  step "A rule file edited by hand takes effect as well."
  run db-host sed -i "s|$office/32|$stranger/32|" "$file"
  await 5 "the new rule" lists "$stranger/32"
  last_change
  check "the stranger gets in" reaches stranger
  check "the office does not" is_kept_out office
  run db-host sed -i "s|$stranger/32|$office/32|" "$file"
  await 5 "the old rule" lists "$office/32"
  check "the office gets in again" reaches office
  check "the stranger does not" is_kept_out stranger

  step "An edit with errors changes nothing, and is explained."
  run db-host sed -i "s|$office/32|$office/24|; s|mr-scalingo|mr-scalngo|" "$file"
  await 5 "the file to be held back" is_held_back
  run db-host moat check .
  check "moat check exits with 1" test "$exit_code" -eq 1
  check "it names both faults" grep -q "2 errors" <<<"$said"
  run db-host moat status
  check "the office still gets in" reaches office
  check "the app still gets in" reaches app
  check "the stranger still does not" is_kept_out stranger
  run db-host sed -i "s|$office/24|$office/32|; s|mr-scalngo|mr-scalingo|" "$file"
  await 5 "the mended file" is_nothing_held_back
}

the_daemon_dies() {
  step "The daemon is killed. The wall stands."
  run db-host kill -9 "${pids[moatd]}"
  await 5 "the end of moatd" is_gone moatd
  check "the stranger is kept out" is_kept_out stranger
  check "the office gets in" reaches office

  step "The next daemon takes over what it finds, without a gap."
  stop moatd
  start_moatd
  run db-host moat status
  check "the office gets in" reaches office
  check "the stranger is kept out" is_kept_out stranger
}

what_it_tells() {
  step "Who may, who came, and why."
  run db-host moat rules list
  run db-host moat counters
  run db-host moat why "$stranger"
  check "the stranger would be dropped" grep -qi 'drop\|not allowed\|no rule' <<<"$said"
  run db-host moat why "$app"
  check "the app is let in by its managed range" grep -q mr-scalingo-osc-fr1 <<<"$said"
}

# In the namespace of whoever runs this, where their browser is. It ends with the scene.
open_console() {
  setsid "$scene/bin/moat" console --pages "$root/control/console" \
    >"$scene/console.link" 2>"$scene/console.log" </dev/null &
  console_pid=$!
  disown
  if ! await 10 "the console" grep -q ^http "$scene/console.link"; then
    cat "$scene/console.log" >&2
    return 1
  fi
  printf '\nThe console, for a browser on this machine:\n\n   %s\n' "$(<"$scene/console.link")"
}

tell_how_to_enter() {
  keep_scene=yes
  cat >"$scene/enter" <<END
#!/bin/bash
# enter HOST [COMMAND...]: db-host, office, app, stranger or router
cd "$scene/moat" || exit
export PATH="$scene/bin:$postgres_bin:\$PATH" PGHOST=$database_host PGUSER=postgres \\
  PGDATABASE=orders PGCONNECT_TIMEOUT=$PGCONNECT_TIMEOUT
host=\$1
shift
[ \$# -gt 0 ] || set -- bash --norc
PS1="\$host# " exec nsenter --net="/run/netns/$prefix-\$host" "\$@"
END
  # By namespace: moatd may have been started anew since, or ended.
  cat >"$scene/end" <<END
#!/bin/bash
cd /
[ -z "$console_pid" ] || kill "$console_pid"
pids() { for host in ${hosts[*]}; do ip netns pids "$prefix-\$host"; done | grep -vx \$\$; }
pids | xargs --no-run-if-empty kill -INT
for ((n = 0; n < 50; n++)); do [[ -n \$(pids) ]] && sleep 0.1; done
pids | xargs --no-run-if-empty kill -KILL
for host in ${hosts[*]}; do ip netns delete "$prefix-\$host"; done
umount "$scene/bpf" && rm -rf "$scene"
END
  chmod +x "$scene"/{enter,end}
  cat <<END

The scene stays. A shell in it, with moat, psql and the rule files at hand:

   $scene/enter db-host          (or office, app, stranger)
   $scene/enter stranger psql

It ends with

   $scene/end
END
}

usage() {
  sed -n '/^#   scripts/,/^set/s/^#   //p' "$0" >&2
  exit 2
}

keep=no console='' console_pid='' binaries='' fast_path=''
while [[ $# -gt 0 ]]; do
  case $1 in
    --keep) keep=yes ;;
    --console) console=yes ;;
    --fast-path)
      [[ ${2:-} == dpdk ]] || usage
      fast_path=$2 && shift
      ;;
    --build) binaries=${2:?--build needs a folder} && shift ;;
    *) usage ;;
  esac
  shift
done
[[ -z $console || $keep == yes ]] || usage
[[ $EUID -eq 0 ]] || { echo "demo: run this as root: it makes network namespaces" >&2; exit 2; }
if [[ -z $binaries ]]; then
  "$root/scripts/setup.sh" build demo ${fast_path:+"$fast_path"} ${console:+cockpit}
  # What is to be installed takes nearly twice as long to build as what is only to be looked at. The
  # XDP program is the same in both.
  binaries=$root/build-install quick=()
  if [[ ! -e $binaries/build.ninja ]]; then
    binaries=$root/build-demo quick=(-Doptimization=0 -Ddebug=false)
  fi
  echo "Building Moat in $binaries ..."
  configure "$binaries" "${release_options[@]}" "${quick[@]}" ${fast_path:+-Ddpdk=enabled}
  build "$binaries" control/daemon/moatd control/cli/moat ${fast_path:+control/daemon/moat-dpdk}
fi
binaries=$(cd "$binaries" && pwd)

set_the_scene
the_wall_goes_up
[[ -z $fast_path ]] || the_fast_path_takes_over
who_gets_in
rules_change
files_change
the_daemon_dies
[[ -z $fast_path ]] || the_fast_path_dies
what_it_tells
printf '\n%sAll of it held.%s\n' "$green" "$plain"
[[ -z $console ]] || open_console
[[ $keep == no ]] || tell_how_to_enter
