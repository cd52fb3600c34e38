#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Sessions that came in by the ways round the guarded NIC while a rule let them, after the rule went:
# they are ended, and what their peers still send gets no answer. With `drop-sessions: false` they
# are not ended, and get no answer either: that is the backstop's doing alone.
#
#   tests/e2e/backstop/backstop_sessions.sh BUILD
set -euo pipefail
# shellcheck source=../lib/ways.sh
. "$(dirname "$0")/../lib/ways.sh"
# shellcheck source=hold.sh
. "$(dirname "$0")/hold.sh"

build_ways "$1"

# --- Ended ----------------------------------------------------------------------------------------
let_in
hold "${ways[@]}" "${translations[@]}"
all_say "sessions by all ways while a rule lets them" echo answered
keep_out
await 5 "the sessions to end" have_ended
all_say "the rule goes, and the listener's side ends all; the peers'" state reset
let_go
let_in
hold "${ways[@]}"
keep_out
await 5 "the sessions to end" have_ended
# Translated ones are not asked: their packets are for a port that nobody guards now.
all_say "what the peers of ended sessions send" knock silence
let_go

# --- Silenced by the backstop alone -----------------------------------------------------------------
change_config 's/^drop-sessions: .*/drop-sessions: false/'
let_in
hold "${ways[@]}" "${translations[@]}"
keep_out
all_say "sessions that are not dropped, what their peers send" send silence
all_say "they" state open
! have_ended || fail "they have ended"
change_config 's/^drop-sessions: .*/drop-sessions: true/'
await 5 "the sessions to end" have_ended
holds "with drop-sessions they end"
let_go

# --- IPv6, which only monitor mode lets in ------------------------------------------------------------
change_config 's/^mode: .*/mode: monitor/'
hold "${ways6[@]}"
all_say "IPv6 sessions by all ways in monitor mode" echo answered
change_config 's/^mode: .*/mode: enforce/'
await 5 "the sessions to end" have_ended
all_say "IPv6 sessions in enforce mode" knock silence
let_go

# --- What is left of a session that had ended before the rule went --------------------------------------
# A socket in TIME_WAIT answers a stray packet. At most twice a second, and until the peer's RST
# ends it, unless told otherwise.
set_sysctl db-host net/ipv4/tcp_rfc1337 1
set_sysctl db-host net/ipv4/tcp_invalid_ratelimit 0
let_in
hold "${ways[@]}"
all_say "sessions that the listener closes" quit closed
all_say "what their peers send while the rule is there" knock A
keep_out
all_say "and when it is gone" knock silence
let_go

# --- MPTCP -----------------------------------------------------------------------------------------------
# Its subflows end at once, which the listener sees when net.mptcp.close_timeout has passed.
stop listener
start listener db-host /usr/bin/python3 "$peers" serve 5432 --mptcp
await 5 "the listener" answers db-host 127.0.0.1
hold_options=--mptcp
let_in
hold "${ways[@]}"
all_say "MPTCP sessions while a rule lets them" echo answered
keep_out
all_say "what their peers send when it is gone" knock silence
let_go
echo "$passed passed, 0 failed"
