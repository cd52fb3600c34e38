# SPDX-License-Identifier: BSD-2-Clause
# Sourced, after ways.sh, by the end-to-end tests of what becomes of sessions when a rule goes.
#
#   hold WAY...                  the stranger (or hold_from) opens a session by each of them;
#                                hold_options: of peers.py
#   all_say WHAT COMMAND ANSWER  every session that is held, see peers.py
#   let_go                       the stranger ends them
#   have_ended                   whether the listener has seen the end of all that it accepted
# shellcheck shell=bash
# shellcheck disable=SC2154  # scene, pids and peers are set by what is sourced before

hold_options=
hold_from=stranger
hold() {
  local -a targets=()
  for_each target "$@"
  # shellcheck disable=SC2086  # none or one
  coproc holder {
    on "$hold_from" /usr/bin/python3 "$peers" hold $hold_options "${targets[@]}" 2>>"$scene/hold.log"
  }
  # shellcheck disable=SC2034,SC2154  # pids is the scene's; coproc sets holder_PID
  pids[holder]=$holder_PID
  local answer=
  read -r -t "$((60 * patience))" answer <&"${holder[0]}" || true
  [[ $answer == open ]] || fail "no sessions: $(tail -n 3 "$scene/hold.log")"
}

target() { targets+=("${1// /-}=$2,$3"); }

all_say() {
  local answers='' line
  echo "$2" >&"${holder[1]}"
  while read -r -t "$((60 * patience))" line <&"${holder[0]}" && [[ $line != "done" ]]; do
    [[ $line == *" $3" ]] || answers+="$line, "
  done
  [[ $line == "done" && -z $answers ]] || fail "$1: not '$3' but $answers$(tail -n 1 "$scene/hold.log")"
  holds "$1: $3"
}

let_go() {
  local ended=$holder_PID
  eval "exec ${holder[1]}>&-"
  wait "$ended" || true
  unset "pids[holder]"
}

have_ended() { (($(grep -c ^end "$scene/listener.log") == $(grep -c ^accept "$scene/listener.log"))); }
