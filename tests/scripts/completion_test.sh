#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016  # what the other shells are to expand
# The completion of each shell, sourced as a shell would, against the command that was built:
#
#   tests/scripts/completion_test.sh MOAT
set -euo pipefail
folder=$(cd "$(dirname "$0")/../../control/cli/completion" && pwd)
moat=$(realpath "$1")
PATH=$(dirname "$moat"):$PATH
failures=0

# same WHAT WANTED GOT
same() {
  if [[ $2 == "$3" ]]; then
    echo "ok: $1"
  else
    echo "FAILED: $1: \"$3\" in place of \"$2\""
    failures=$((failures + 1))
  fi
}

# bash_completes WORD...: what bash has for the last word
bash_completes() {
  bash --norc -c '
    . "$1/moat.bash"
    complete -p moat >/dev/null || exit 1
    shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    compopt() { COMPREPLY=(files); }
    _moat
    echo "${COMPREPLY[*]}"' bash "$folder" "$@"
}

zsh_completes() {
  zsh -f -c '
    folder=$1
    shift
    words=("$@") CURRENT=$#
    _files() { candidates=(files) }
    _describe() { candidates=("${(@)candidates%%:*}") }
    local -a candidates
    . $folder/_moat
    echo "${candidates[*]}"' zsh "$folder" "$@"
}

fish_completes() {
  fish --no-config -c '
    source $argv[1]/moat.fish
    complete --do-complete "$argv[2..-1]" | string split --fields 1 \t | string join " "' \
    "$folder" "$@"
}

for shell in bash zsh fish; do
  if ! command -v "$shell" >/dev/null; then
    echo "FAILED: $shell is not installed: scripts/setup.sh test brings it"
    failures=$((failures + 1))
    continue
  fi
  same "$shell, a command of a group" "list monitor enforce forget" \
    "$("${shell}_completes" moat databases "")"
  same "$shell, a command that is begun" "reload" "$("${shell}_completes" moat rel)"
  same "$shell, an option" "--cidr" "$("${shell}_completes" moat rules add --ci)"
  same "$shell, what nothing can follow" "" "$("${shell}_completes" moat undo "")"
done
same "bash, a file" "files" "$(bash_completes moat check "")"
same "zsh, a file" "files" "$(zsh_completes moat check "")"
((failures == 0))
