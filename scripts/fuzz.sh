#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Feeds Moat's readers and its verdict with inputs that change at random, and stops at the first one
# that breaks a promise. Run scripts/setup.sh first.
#
#   scripts/fuzz.sh SECONDS [TARGET...]   all targets share the time; a minute serves for a commit
#   scripts/fuzz.sh --keep TARGET...      takes what the runs found worth keeping into the corpus
#
# Targets:
#   differential   the same frames through native function, XDP program and model; needs root
#   burst          the fast path's bursts under sanitizers, against the native function
#   verdict        the native function under sanitizers, against the model
#   database, config, ranges, cidr   the readers of rule files and of single values
#   edit           edits of database files
#   import         rules of other firewalls
#   api            requests to the daemon
#
# Inputs live in tests/fuzz/corpus/TARGET, new ones in build-fuzz/corpus/TARGET; one that breaks
# something is build-fuzz/broken/TARGET-*, and is run again by build-fuzz/tests/fuzz/TARGET_fuzz FILE.
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"

all=(differential verdict burst database config ranges cidr edit import api)
dir=$root/build-fuzz

usage() {
  sed -n '3,/^set -/{/^# \{0,1\}/s///p}' "$0" >&2
  exit 2
}

is_target() {
  local target
  for target in "${all[@]}"; do [[ $target != "$1" ]] || return 0; done
  return 1
}

build_targets() {
  local target fuzzers=()
  for target in "$@"; do
    if [[ $target == differential ]]; then
      configure "$root/build"
      build "$root/build" tests/fuzz/differential
    else
      fuzzers+=("tests/fuzz/${target}_fuzz")
    fi
    [[ $target != verdict ]] || fuzzers+=(tests/fuzz/verdict_seeds)
  done
  [[ ${#fuzzers[@]} -gt 0 ]] || return 0
  configure_fuzzers
  build "$dir" "${fuzzers[@]}"
}

configure_fuzzers() {
  [[ -e $dir/build.ninja ]] || CC=clang-19 CXX=clang++-19 configure "$dir" \
    -Dfuzzers=true -Dbench=false -Db_lundef=false \
    -Db_sanitize=address,undefined \
    -Dc_args=-fsanitize=fuzzer-no-link \
    -Dcpp_args='-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined'
}

# fuzz TARGET SECONDS
fuzz() {
  local corpus=$dir/corpus/$1 seeds=("$root/tests/fuzz/corpus/$1") words=()
  mkdir -p "$corpus" "$dir/broken" "${seeds[0]}"
  if [[ $1 == verdict ]]; then
    (cd "$root" && "$dir/tests/fuzz/verdict_seeds" "$dir/corpus/case-table")
    seeds+=("$dir/corpus/case-table")
  fi
  case $1 in database | config | ranges | edit) words=(-dict="$root/tests/fuzz/yaml.dict") ;; esac
  if ! (cd "$root" && "$dir/tests/fuzz/${1}_fuzz" "${words[@]}" -max_total_time="$2" \
    -max_len=4096 -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
    -artifact_prefix="$dir/broken/$1-" "$corpus" "${seeds[@]}") >"$dir/$1.log" 2>&1; then
    tail -n 40 "$dir/$1.log" >&2
    return 1
  fi
  sed -n 's/^stat::number_of_executed_units: */  inputs: /p' "$dir/$1.log"
}

differential() {
  (cd "$root" && "$root/build/tests/fuzz/differential" --seconds "$1")
}

keep() {
  local target
  for target in "$@"; do
    mkdir -p "$root/tests/fuzz/corpus/$target"
    "$dir/tests/fuzz/${target}_fuzz" -set_cover_merge=1 -use_counters=0 -max_len=256 \
      "$root/tests/fuzz/corpus/$target" "$dir/corpus/$target"
  done
}

[[ $# -gt 0 ]] || usage
first=$1
shift
targets=("$@")
for target in "${targets[@]}"; do is_target "$target" || usage; done
if [[ $first == --keep ]]; then
  [[ ${#targets[@]} -gt 0 ]] || usage
  keep "${targets[@]}"
  exit
fi
[[ $first =~ ^[1-9][0-9]*$ ]] || usage
[[ ${#targets[@]} -gt 0 ]] || targets=("${all[@]}")
each=$(((first + ${#targets[@]} - 1) / ${#targets[@]}))

build_targets "${targets[@]}"
for target in "${targets[@]}"; do
  echo "$target: $each s"
  if [[ $target == differential ]]; then differential "$each"; else fuzz "$target" "$each"; fi
done
