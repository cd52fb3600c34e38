# SPDX-License-Identifier: BSD-2-Clause
# Sourced by scripts/kernels.sh: the BPF objects as other compilers make them.
#
#   make_objects DIR     DIR/clang-16-v2/xdp.bpf.o and so on, for each compiler that Debian has and
#                        each -mcpu that it knows; prints the folders' names
# shellcheck shell=bash
# shellcheck disable=SC2154  # root, folder and binaries are of those that source this

compilers=(16 17 18 19)
instruction_sets=(v2 v3 v4)

# The command that makes an object in that build, a word a line, without its first and last four:
# the compiler, -c and the two files.
flags_of() {
  meson introspect --targets "$1" |
    jq -r --arg name "$2" '.[] | select(.name == $name).target_sources[0].compiler[1:-4][]'
}

# compiler CLANG OPTION...: from standard input to standard output; the one that is installed here, or
# else as unpack_program has left it.
compiler() {
  local -a command=(chroot "$folder/$1" "/usr/bin/$1")
  ! command -v "$1" >/dev/null || command=("$1")
  "${command[@]}" --target=bpf -g -O2 -std=gnu17 -w "${@:2}" -c - -o -
}

knows() { compiler "$1" "-mcpu=$2" -x c </dev/null >/dev/null 2>&1; }

# Macros are expanded by the compiler that is here, with the headers that are here.
make_object() {
  local clang=$1 set=$2 source=$3 object=$4
  local -a flags
  mapfile -t flags < <(flags_of "$binaries" "$(basename "$object")" | grep -v '^-mcpu')
  clang-19 "${flags[@]}" "-mcpu=$set" -E "$source" | compiler "$clang" "-mcpu=$set" -x cpp-output >"$object"
}

make_objects() {
  local dir=$1 number set source clang objects
  rm -rf "$dir"
  for number in "${compilers[@]}"; do
    clang=clang-$number
    command -v "$clang" >/dev/null || unpack_program "$clang" "$folder/$clang" || {
      echo "NOT TRIED: $clang, as it cannot be had" >&2
      continue
    }
    for set in "${instruction_sets[@]}"; do
      knows "$clang" "$set" || continue
      objects=$dir/$clang-$set
      mkdir -p "$objects"
      for source in "$root"/bpf/*.bpf.c; do
        make_object "$clang" "$set" "$source" "$objects/$(basename "${source%.c}").o" || return 1
      done
      echo "$clang-$set"
    done
  done
}
