#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2317  # the steps are called by name
# Moat under random use for as long as you like: edits by hand and by command, bad files, rollbacks,
# changes that nobody confirms, kills and restarts of moatd, while pgbench works, a stranger tries to
# get in, and every verdict on raw traffic is checked. Ends with an error at the first thing that is
# not as it must be. As root, on Debian 12.
#
#   scripts/soak.sh [--seed N] [--build DIR] MINUTES
#     --seed N      the same steps in the same order as the run that printed N
#     --build DIR   takes the binaries from DIR; installs and builds nothing
#
# In the first half moatd is killed and restarted as well. In the second one the same process lives on,
# so that what it does not give back shows: its memory, file descriptors and BPF maps are sampled after
# each step, and the last quarter is compared with the one before.
set -euo pipefail
# shellcheck source=../tests/e2e/lib/wall.sh
. "$(dirname "$0")/../tests/e2e/lib/wall.sh"

# How much higher the highest sample of the last quarter may be than that of the third.
max_growth_kib=2048 max_growth_fds=4 max_growth_maps=0

office=192.0.2.70  # in a managed range of config/, and none of the sources that traffic speaks for
stranger=198.19.0.67
guarded_without_listener=6432  # raw traffic goes there: it is to load Moat, not PostgreSQL

usage() {
  sed -n '4,/^set -/{/^# \{0,1\}/s///p}' "$0" >&2
  exit 2
}

seed=$$ binaries=
while [[ ${1:-} == --* ]]; do
  case $1 in
    --seed) seed=${2:-} ;;
    --build) binaries=${2:-} ;;
    *) usage ;;
  esac
  shift 2 || usage
done
[[ ${1:-} =~ ^[1-9][0-9]*$ && $# == 1 && $seed =~ ^[0-9]+$ ]] || usage
minutes=$1

# --- The scene ---------------------------------------------------------------------------------

build_scene() {
  if [[ -z $binaries ]]; then
    "$root/scripts/setup.sh" build test
    binaries=$root/build
    configure "$binaries"
    build "$binaries" control/daemon/moatd control/cli/moat tests/e2e/traffic
  fi
  traffic_port=$guarded_without_listener
  prepare_wall "$binaries/tests/e2e/traffic" "$binaries"
  sed -i "s|^endpoint: .*|endpoint: {ports: [5432, $guarded_without_listener]}|" "$(file_of orders)"
  "$root/scripts/geo-ranges.py" "$scene/moat/managed-ranges.d" EUROPE >/dev/null
  add_host office "$office" 192.0.2.1
  add_host stranger "$stranger" 198.19.0.1
  start_postgres
  on db-host pgbench -h "$scene/postgres" -U postgres --initialize --quiet orders 2>"$scene/pgbench-init.log"
  start_moatd
}

start_clients() {
  local bench=(pgbench -h "$database_host" -U postgres -T "$((minutes * 60 + 86400))" -P 1 -n)
  start pgbench office "${bench[@]}" -c 4 -R 200 orders
  start pgbench-new office "${bench[@]}" -c 1 -C -S -R 20 orders  # a connection for each transaction
  start prober stranger /usr/bin/python3 "$root/tests/e2e/dpdk/prober.py" on "$database_host" 5432
}

check_clients() {
  local client
  for client in pgbench pgbench-new; do
    ! is_gone "$client" || fail "$client has ended: $(tail -n 3 "$scene/$client.log")"
    ! grep -iE -m 1 'error|abort|fatal|lost' "$scene/$client.log" || fail "$client had an error"
  done
  ! grep -q answer "$scene/prober.log" || fail "the stranger: $(grep -m 1 answer "$scene/prober.log")"
}

# --- What is asked -----------------------------------------------------------------------------

file_of() { echo "$scene/moat/databases.d/$1.yaml"; }
is_in_file() { grep -q "cidr: $toggled/32" "$(file_of orders)"; }
coin() { ((RANDOM % 2)); }
moat() { on db-host moat "$@" >"$scene/moat.log" 2>&1; }
must() { "$@" || fail "$*: $(<"$scene/moat.log")"; }
is_status() { moat_status_json | jq -e "$1"; }
is_held_back() { is_status ".files[] | select(.path | endswith(\"$1\")).state == \"held-back\""; }
is_at_rest() { is_status '.ready and .trial == null and .pending == [] and all(.files[]; .state == "active")'; }
is_vanished() { on db-host moat databases list --json | jq -e ".databases[] | select(.id == \"$1\").state == \"vanished\""; }

# What the toggled source gets, by the steps so far: pass or drop. Each step that changes it says so.
wanted=drop
other() { if [[ $wanted == pass ]]; then echo drop; else echo pass; fi; }

# Moat is done, and the file and the verdicts are as they must be.
must_be() {
  wanted=$1
  await 20 "rest" is_at_rest || fail "not at rest: $(moat_status)"
  if is_in_file; then [[ $wanted == pass ]]; else [[ $wanted == drop ]]; fi || fail "the file is not for '$wanted'"
  expect "$wanted"
}

# shellcheck disable=SC2154  # of wall.sh
edit_in_file() { if [[ $wanted == pass ]]; then echo "$removing"; else echo "$adding"; fi; }
toggle_by_command() {
  local change=add
  if [[ $wanted == pass ]]; then change=remove; fi
  moat rules "$change" --database orders --cidr "$toggled/32" --yes "$@"
}

# The wall has to stand without moatd as well.
restart() {
  stop moatd "$1"
  expect "${2:-$wanted}"
  start_moatd
  restarts=$((restarts + 1))
}
maybe_kill() { if may_kill && coin; then restart KILL "$@"; fi; }
may_kill() { ((SECONDS < half_time)); }

# --- The steps ---------------------------------------------------------------------------------

step_by_command() {
  expect either
  must toggle_by_command
  must_be "$(other)"
}

step_by_hand() {
  expect either
  edit "$(edit_in_file)"
  must_be "$(other)"
}

step_label() { must moat rules set --database orders --cidr 198.51.100.25/32 --label "Label $RANDOM"; }

# By rename, as editors do, or in place.
write_file() { if coin; then cp "$1" "$2.new" && mv "$2.new" "$2"; else cat "$1" >"$2"; fi; }

# shellcheck disable=SC2016  # a $ of sed's
faults=('s|^rules:|rulez:|' '$a\  - cidr: 300.1.2.3/32' '$a\  - cidr: 10.1.2.3/8' '1s|^|\xff|' '$a\  - managed-range: mr-none'
  '/^endpoint/s|5432|543210|' '$a\database: twice' '/^rules:/a\  - cidr: [' 's|^database:|# database:|' '$a\  - cidr: &a 10.0.0.0/8')
step_bad_file() {
  local file
  file=$(file_of orders)
  cp "$file" "$scene/kept"
  sed "${faults[RANDOM % ${#faults[@]}]}" "$file" >"$scene/spoilt"
  write_file "$scene/spoilt" "$file"
  await 20 "the bad file to be held back" is_held_back orders.yaml || fail "$(moat_status)"
  expect "$wanted"
  if moat rules add --database orders --cidr 10.77.0.0/16; then fail "an edit of a bad file was accepted"; fi
  maybe_kill
  write_file "$scene/kept" "$file"
  must_be "$wanted"
}

step_vanished_file() {
  mv "$(file_of orders)" "$scene/kept"
  await 20 "the file to be missed" is_vanished orders || fail "$(moat_status)"
  expect "$wanted"
  maybe_kill
  mv "$scene/kept" "$(file_of orders)"
  must_be "$wanted"
}

step_bad_settings() {
  local settings=$scene/moat/moat.yaml
  cp "$settings" "$scene/kept"
  sed "s|^mode: enforce|mode: none|" "$settings" >"$scene/spoilt"
  write_file "$scene/spoilt" "$settings"
  await 20 "the bad settings to be held back" is_held_back moat.yaml || fail "$(moat_status)"
  maybe_kill
  write_file "$scene/kept" "$settings"
  must_be "$wanted"
}

step_bad_ranges() {
  local file=$scene/moat/managed-ranges.d/scalingo.yaml
  cp "$file" "$scene/kept"
  sed 's|192.0.2.10/32|192.0.2.10/33|' "$file" >"$scene/spoilt"
  write_file "$scene/spoilt" "$file"
  await 20 "the bad ranges to be held back" is_held_back scalingo.yaml || fail "$(moat_status)"
  maybe_kill
  write_file "$scene/kept" "$file"
  must_be "$wanted"
}

had_let_in() {
  on db-host moat history "$1" --json | jq -e "any(.files[]; .text | contains(\"cidr: $toggled/32\"))" >/dev/null
}
step_rollback() {
  local -a generations
  local generation verdict=drop
  mapfile -t generations < <(on db-host moat history --json | jq '.generations[].generation')
  generation=${generations[RANDOM % ${#generations[@]}]}
  if had_let_in "$generation"; then verdict=pass; fi
  expect either
  moat rollback "$generation" --yes || grep -q 'say what they said' "$scene/moat.log" || fail "rollback: $(<"$scene/moat.log")"
  must_be "$verdict"
}

step_lapsed_trial() {
  expect either
  must toggle_by_command --confirm 1s
  maybe_kill either
  must_be "$wanted"
}

step_confirmed_trial() {
  expect either
  must toggle_by_command --confirm 5m
  expect "$(other)"
  maybe_kill "$(other)"
  must moat confirm
  must_be "$(other)"
}

step_undone_trial() {
  must moat trial 5m
  expect either
  edit "$(edit_in_file)"
  expect "$(other)"
  expect either
  must moat undo
  must_be "$wanted"
}

step_apply() {
  rm -rf "$scene/candidate"
  cp -r "$scene/moat" "$scene/candidate"
  sed -i "$(edit_in_file)" "$scene/candidate/databases.d/orders.yaml"
  expect either
  must moat apply "$scene/candidate" --yes
  must_be "$(other)"
}

step_other_database() {
  local file
  file=$(file_of shop)
  if [[ -e $file ]]; then
    rm "$file"
    await 20 "the shop's file to be missed" is_vanished shop
    must moat databases forget shop --yes
  else
    printf 'database: shop\nendpoint: {port: 3306}\nrules: []\n' >"$file"
  fi
  must_be "$wanted"
}

# A continent is a larger size tier of the table.
step_continent() {
  if grep -q mr-country-europe "$(file_of orders)"; then
    must moat rules remove --database orders --managed-range mr-country-europe --yes
  else
    must moat rules add --database orders --managed-range mr-country-europe --yes
  fi
  must_be "$wanted"
}

step_reload() { must moat reload; }

step_lost_pin() {
  local -a pins
  mapfile -t pins < <(find "$scene/bpf/moat" -type f | sort)
  rm "${pins[RANDOM % ${#pins[@]}]}"
  must_be "$wanted"  # which asks for the status, and that mends it
}

step_stopped() {
  kill -STOP "${pids[moatd]}"
  expect "$wanted"
  kill -CONT "${pids[moatd]}"
  must_be "$wanted"
}

# At any moment of a change.
step_killed() {
  local change
  expect either
  if coin; then edit_only "$(edit_in_file)" & else toggle_by_command --no-wait & fi
  change=$!
  sleep "$(printf '0.%06d' $(((RANDOM * 32768 + RANDOM) % 80000)))"
  stop moatd KILL
  wait "$change" || true
  expect either
  start_moatd
  restarts=$((restarts + 1))
  if is_in_file; then must_be pass; else must_be drop; fi
}

step_restarted() { restart TERM; }

steps=(by_command by_hand label bad_file vanished_file bad_settings bad_ranges rollback lapsed_trial confirmed_trial
  undone_trial apply other_database continent reload lost_pin stopped)
deadly=(killed killed restarted)

# --- What is measured --------------------------------------------------------------------------

# "KIB FDS MAPS" of moatd. Maps: those that it has open or that are pinned.
measure() {
  local pid=${pids[moatd]}
  echo "$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")" "$(find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l)" "$({
    grep -h '^map_id' /proc/"$pid"/fdinfo/* 2>/dev/null | awk '{print $2}'
    find "$scene/bpf/moat" -type f -exec bpftool -j map show pinned {} ';' 2>/dev/null | jq '.id // empty'
  } | sort -u | wc -l)"
}

# When the connections of the commands before are closed.
sample() {
  echo "$SECONDS $(measure)" >>"$scene/samples"
}

report_samples() {
  awk -v half="$half_time" -v last="$((half_time + minutes * 15))" -v kib="$max_growth_kib" -v fds="$max_growth_fds" \
    -v maps="$max_growth_maps" '
    {
      for (i = 2; i <= 4; i++) {
        if (NR == 1) first[i] = $i
        if ($i > max[i]) max[i] = $i
        if ($1 >= half && $1 < last && $i > third[i]) third[i] = $i
        if ($1 >= last && $i > fourth[i]) fourth[i] = $i
        final[i] = $i
      }
    }
    END {
      split("x RSS/KiB fds maps", name); bound[2] = kib; bound[3] = fds; bound[4] = maps
      for (i = 2; i <= 4; i++) {
        grown = fourth[i] - third[i]
        printf "%-8s first %d, last %d, max %d; highest in the third quarter %d, in the fourth %d (%+d, at most %+d)\n",
          name[i], first[i], final[i], max[i], third[i], fourth[i], grown, bound[i]
        if (grown > bound[i]) bad = 1
      }
      if (!third[2] || !fourth[2]) { print "a quarter without a sample"; bad = 1 }
      exit bad
    }' "$scene/samples"
}

lowest_rate() { awk '/^progress/ {n = $4; if (lowest == "" || n < lowest) lowest = n} END {print lowest}' "$scene/$1.log"; }

# --- It ----------------------------------------------------------------------------------------

RANDOM=$seed
echo "seed $seed, $minutes min"
build_scene
start_traffic
start_clients
declare -A done_of=()
restarts=0 number=0
SECONDS=0
half_time=$((minutes * 30))
while ((SECONDS < minutes * 60)); do
  if may_kill; then choice=("${steps[@]}" "${deadly[@]}"); else choice=("${steps[@]}"); fi
  step=${choice[RANDOM % ${#choice[@]}]}
  number=$((number + 1))
  echo "$SECONDS s: step $number: $step" >>"$scene/steps"
  "step_$step" || fail "step $number, $step (seed $seed)"
  done_of[$step]=$((${done_of[$step]:-0} + 1))
  check_clients
  sample
done
must_be "$wanted"
end_traffic
check_clients
generation=$(generation)
stop pgbench INT
stop pgbench-new INT

for step in "${!done_of[@]}"; do echo "  ${done_of[$step]} $step"; done | sort -k 2
echo "$number steps, $restarts ends of moatd, generation $generation: $sent frames sent, $received came through; misjudged:" \
  "$listed_lost of listed sources, $unlisted_passed of unlisted ones"
echo "pgbench: no error; at least $(lowest_rate pgbench) transactions/s of 200, $(lowest_rate pgbench-new) connections/s of 20;" \
  "the stranger tried $(grep -c tried "$scene/prober.log") times, and had no answer"
grown=0
report_samples || grown=1
((unlisted_passed == 0)) || fail "an unlisted source got through (seed $seed)"
((listed_lost == 0)) || fail "a listed source was dropped (seed $seed)"
((grown == 0)) || fail "moatd grows (seed $seed)"
tables=("$scene"/bpf/moat/table-*)
((${#tables[@]} == 1)) || fail "tables left behind: ${tables[*]}"
left=$(find "$scene/moat" -name '*.tmp*' -o -name '.*.new' | head -n 5)
[[ -z $left ]] || fail "files left behind: $left"
