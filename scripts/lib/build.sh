# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the scripts that build Moat.
#   root                              the source tree
#   configure DIR [MESON OPTION...]   makes DIR a build folder, or sets its options
#   build DIR [TARGET...]             builds, all of it without TARGET; shows how far it is on a
#                                     terminal, and only what fails elsewhere
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

configure() {
  local dir=$1 said
  local how=(setup "$dir" "$root")
  shift
  [[ ! -e $dir/build.ninja ]] || how=(configure "$dir")
  [[ $# -gt 0 || ${how[0]} == setup ]] || return 0
  said=$(meson "${how[@]}" "$@" 2>&1) || {
    echo "$said" >&2
    return 1
  }
}

build() {
  local dir=$1
  shift
  local how=(--quiet)
  [[ ! -t 1 ]] || how=()
  ninja -C "$dir" "${how[@]}" "$@"
}
