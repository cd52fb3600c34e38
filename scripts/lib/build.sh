# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the scripts that build Moat.
#   root                              the source tree
#   release_options                   options of a build that is for use: no tests, no benchmarks
#   configure DIR [-DNAME=VALUE...]   makes DIR a build folder, or sets its options
#   build DIR [TARGET...]             builds, all of it without TARGET; shows how far it is on a
#                                     terminal, and only what fails elsewhere
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# shellcheck disable=SC2034  # by those that source this
release_options=(-Dtests=false -Dbench=false)

# Of a folder's files some are compiled as one, which takes less than half of the time for all. For work
# on the code, where one file is compiled again and again: meson configure build -Dunity=off
at_once=(-Dunity=on -Dunity_size=16)

configure() {
  local dir=$1 said option how changed=()
  shift
  if [[ -e $dir/build.ninja ]]; then
    # Meson looks at everything anew when it is told an option, even one that is so already.
    for option in "${@#-D}"; do
      grep -qxF -- "${option/=/ = }" "$dir/meson-private/cmd_line.txt" || changed+=("-D$option")
    done
    [[ ${#changed[@]} -gt 0 ]] || return 0
    how=(configure "$dir" "${changed[@]}")
  else
    how=(setup "$dir" "$root" "${at_once[@]}" "$@")
  fi
  said=$(meson "${how[@]}" 2>&1) || {
    echo "$said" >&2
    return 1
  }
}

build() {
  local dir=$1
  shift
  local how=(--quiet)
  [[ ! -t 1 ]] || how=()
  # With ccache what was compiled in one folder is found in every other.
  CCACHE_BASEDIR=$root ninja -C "$dir" "${how[@]}" "$@"
}
