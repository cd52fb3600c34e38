#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs tests under other kernels: Debian's, fetched by package and booted in virtual machines
# without KVM, on what is built here. As root, on Debian. Installs no kernel.
#
#   scripts/kernels.sh [--suite NAME... | --compilers | --packages DIR] [--build DIR] [--at-once] [--write]
#                      [VERSION...]
#     VERSION       6.1: the newest of it that Debian has; or a release in full. Without any:
#                   6.1, 6.12, and the newest 7, where that is to be had
#     --suite NAME  these tests only, by their names in meson; without any, all that depend on the kernel
#     --compilers   loads the programs as other compilers make them, instead of tests
#     --packages DIR  installs what scripts/package.sh has made in DIR, instead of tests, and tries it
#     --build DIR   takes what is built in DIR; builds nothing
#     --at-once     all kernels at the same time, with one CPU each
#     --write       makes tests/kernels.md anew of the latest results of each kernel
#
# Results are kept in build/kernels/RELEASE/results. Ends with 1 if a test failed, and with 77 if none
# did but some were not tried, as their kernel cannot be had.
set -euo pipefail
# shellcheck source=lib/build.sh
. "$(dirname "$0")/lib/build.sh"
# shellcheck source=lib/debian-kernels.sh
. "$root/scripts/lib/debian-kernels.sh"
# shellcheck source=lib/guest.sh
. "$root/scripts/lib/guest.sh"
# shellcheck source=lib/compilers.sh
. "$root/scripts/lib/compilers.sh"

folder=$root/build/kernels
suites=() versions=() compilers_only=no packages=''
is_together=no write=no optional='' binaries=''
patience=${MOAT_TEST_PATIENCE:-10}

usage() {
  sed -n '/^#   scripts/,/^#$/s/^#   //p' "$0" >&2
  exit 2
}

while [[ $# -gt 0 ]]; do
  case $1 in
    --suite) suites+=("${2:?--suite needs a name}") && shift ;;
    --compilers) compilers_only=yes ;;
    --packages) packages=$(realpath "${2:?--packages needs a folder}") && shift ;;
    --build) binaries=$(realpath "${2:?--build needs a folder}") && shift ;;
    --at-once) is_together=yes ;;
    --write) write=yes ;;
    -*) usage ;;
    *) versions+=("$1") ;;
  esac
  shift
done
[[ $EUID -eq 0 ]] || {
  echo "kernels: run this as root: tests make network namespaces" >&2
  exit 2
}
if [[ ${#versions[@]} -eq 0 ]]; then versions=(6.1 6.12 7) optional=7; fi
if [[ -n $packages ]]; then
  suites=(packages)
elif [[ ${#suites[@]} -eq 0 ]]; then
  suites=(loading verdict "verdict report" "xdp as root" "host as root" e2e_demo e2e_backstop
    e2e_backstop_led e2e_backstop_sessions e2e_backstop_cgroup e2e_backstop_parts e2e_end_sessions e2e_nat e2e_nat_wire
    e2e_interfaces e2e_frames e2e_frames_generic)
fi

file_of() { echo "${1// /_}"; }

# The script for the guest: each test as meson would run it.
write_tests() {
  cat <<END
run() {
  local name=\$1 limit=\$2 dir=\$3 status=0 started=\$SECONDS verdict=FAILED
  shift 3
  (cd "\$dir" && exec timeout --kill-after=10 "\$limit" "\$@") >"/mnt/\$name.log" 2>&1 || status=\$?
  case \$status in 0) verdict=passed ;; 77) verdict=skipped ;; esac
  echo "\$status \$((SECONDS - started))" >"/mnt/\$name.status"
  echo "\$(uname -r): \$name \$verdict, \$((SECONDS - started)) s"
}
export MOAT_TEST_PATIENCE=$patience
END
  local suite
  [[ -z $packages ]] || {
    echo "run packages 900 / $root/tests/e2e/service/on_kernel.sh $packages"
    return
  }
  for suite in "${suites[@]}"; do
    [[ $compilers_only == no ]] || {
      echo "run $suite 600 / $binaries/tests/verdict/load $folder/objects/$suite/*.bpf.o"
      continue
    }
    meson introspect --tests "$binaries" |
      jq -er --arg name "$suite" --arg dir "$binaries" --argjson patience "$patience" '
        .[] | select(.name == $name) |
        ([.name | gsub(" "; "_")] + [.timeout * $patience, .workdir // $dir] + .cmd) | "run " + @sh' || {
      echo "kernels: no test '$suite' in $binaries" >&2
      return 1
    }
  done
}

# One kernel from its package to its results. Says what failed, and fails if it did not come to its end.
try_kernel() {
  local release=$1 cpus=$2 kernel=$folder/$1 suite name status=0
  local out=$kernel/results
  unpack_kernel "$release" "$kernel" || return 77
  mkdir -p "$out"
  for suite in "${suites[@]}"; do rm -f "$out/$(file_of "$suite")".{log,status}; done
  cp "$folder/tests" "$out/tests"
  run_in_guest "$kernel" "$release" "$out" "$((300 + 900 * ${#suites[@]}))" /mnt/tests "$cpus" || status=1
  for suite in "${suites[@]}"; do
    name=$out/$(file_of "$suite")
    case $compilers_only:$(cut -d' ' -f1 "$name.status" 2>/dev/null) in
      *:0 | *:77) ;;
      yes:1) ;;  # refused, and it is told in the table
      *)
        status=1
        echo "$release: $suite FAILED:"
        tail -n 20 "$name.log" 2>/dev/null | sed 's/^/  | /'
        ;;
    esac
  done
  return "$status"
}

# As meson's log has it, a program a line, for count-tests.py.
log_tests() {
  local release=$1 suite name result
  for suite in "${suites[@]}"; do
    name=$folder/$release/results/$(file_of "$suite")
    case $(cut -d' ' -f1 "$name.status" 2>/dev/null) in
      0) result=OK ;;
      77) result=SKIP ;;
      *) result=FAIL ;;
    esac
    [[ -e $name.log ]] || : >"$name.log"
    jq -nc --arg name "$suite on $release" --arg result "$result" --rawfile stdout "$name.log" \
      '$ARGS.named'
  done
}

# What cannot be tried is no success.
not_tried() {
  local suite
  printf '\n%s\n' "************************************************************************" \
    "NOT TRIED on kernel $1: $2" \
    "************************************************************************" >&2
  for suite in "${suites[@]}"; do
    jq -nc --arg name "$suite on $1" '{name: $name, result: "SKIP"}' >>"$folder/testlog.json"
  done
  missing=$((missing + 1))
}

cannot_be_had() {
  local version
  for version in "${versions[@]}"; do not_tried "$version" "$1"; done
  exit 77
}

missing=0 failed=0
mkdir -p "$folder"
: >"$folder/testlog.json"
[[ -z $packages ]] || "$root/scripts/setup.sh" test
if [[ -z $binaries && -z $packages ]]; then
  binaries=$root/build
  "$root/scripts/setup.sh" build test
  configure "$binaries"
  build "$binaries"
fi
"$root/scripts/setup.sh" kernels ||
  cannot_be_had "the packages of setup.sh's group 'kernels' cannot be installed"
if [[ $compilers_only == yes ]]; then
  open_apt "$folder/apt-compilers" bookworm trixie || cannot_be_had "no list of Debian's compilers can be had"
  made=$(make_objects "$folder/objects")
  mapfile -t suites <<<"$made"
fi
write_tests >"$folder/tests"
open_apt "$folder/apt" "${kernel_suites[@]}" || cannot_be_had "no list of Debian's kernels can be had"

releases=()
for version in "${versions[@]}"; do
  if release=$(release_of "$version"); then
    releases+=("$release")
  elif [[ $version == "$optional" ]]; then
    echo "kernels: there is no $version to be had; it is left out" >&2
  else
    not_tried "$version" "Debian's packages have none"
  fi
done

jobs=()
for release in "${releases[@]}"; do
  if [[ $is_together == yes ]]; then
    try_kernel "$release" 1 &
    jobs+=("$!")
  else
    jobs+=("")
  fi
done
for i in "${!releases[@]}"; do
  release=${releases[i]} status=0
  if [[ -n ${jobs[i]} ]]; then wait "${jobs[i]}" || status=$?; else try_kernel "$release" 2 || status=$?; fi
  if [[ $status -eq 77 ]]; then
    not_tried "$release" "its package cannot be fetched"
    continue
  fi
  log_tests "$release" >>"$folder/testlog.json"
  [[ $status -eq 0 ]] || failed=$((failed + 1))
done
[[ $write == no ]] || "$root/scripts/lib/kernels-table.py" "$folder" >"$root/tests/kernels.md"
((failed == 0)) || exit 1
((missing == 0)) || exit 77
