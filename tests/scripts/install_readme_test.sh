#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2154  # root and scene are those of the sourced files
# The command that README gives for an installation, from a clean checkout into a root of its own;
# moatd guards a host from there, and uninstalling leaves that root as it was. What is installed is what
# the other tests have tried: install_readme_test.sh BUILD
set -euo pipefail
# shellcheck source=../e2e/lib/ways.sh
. "$(dirname "$0")/../e2e/lib/ways.sh"

build=$1
begin_scene
checkout=$scene/checkout tree=$scene/root usr=$scene/root/usr/local

# What a clone has, changes that are not committed included.
make_checkout() {
  mkdir "$checkout"
  tar -C "$root" --exclude-vcs --exclude='./build*' --exclude=__pycache__ -c . |
    tar -C "$checkout" -x
}

# shellcheck disable=SC2016  # these backticks are those of README
command_of_readme() {
  sed -n '/^## Install it/,/^## First rules$/{/^ *```sh$/,/^ *```$/s/^ *\(scripts.*\)/\1/p}' \
    "$checkout/README.md"
}

in_checkout() {
  (cd "$checkout" && eval "$1 --destdir $(printf %q "$tree")") >"$scene/install.log" 2>&1 || {
    tail -n 50 "$scene/install.log" >&2
    echo "FAILED: $1" >&2
    exit 1
  }
  holds "$1"
}

# Every file and folder, with owner, mode and content.
all_of_tree() {
  (
    cd "$tree"
    find . -printf '%p %y %m %u:%g %l\n' | sort
    find . -type f -exec sha256sum {} + | sort
  )
}

# has WHAT PATTERN READELF-ARGUMENT...
has() { says "$2" readelf -W "${@:3}" || fail "${*: -1} lacks $1"; }

is_hardened() {
  has "PIE" "Flags:.* PIE" --dynamic "$1"
  has "BIND_NOW" "BIND_NOW" --dynamic "$1"
  has "RELRO" "GNU_RELRO" --segments "$1"
  has "a stack that is not executable" "GNU_STACK .* RW " --segments "$1"
  has "the stack protector" "__stack_chk_fail" --dyn-syms "$1"
  has "FORTIFY_SOURCE" "__(memcpy|snprintf)_chk" --dyn-syms "$1"
  holds "${1#"$tree"} is hardened"
}

# is_what_was_tested FILE BUILT-FILE: but for what is stripped.
is_what_was_tested() {
  # The build's id is of its debug information as well, which strip takes off.
  objcopy --strip-all --remove-section=.note.gnu.build-id "$2" "$scene/tested"
  objcopy --strip-all --remove-section=.note.gnu.build-id "$1" "$scene/installed"
  cmp "$scene/tested" "$scene/installed" >&2 || fail "${1#"$tree"} is not what the tests have run"
  holds "${1#"$tree"} is what the tests have run"
}

counts_show() { says "$1" on db-host moat counters; }

add_host db-host "$database_host" 198.18.0.1
add_host office "$listed_client" 198.51.100.1
add_host stranger "$unlisted_client" 198.19.0.1
make_checkout
# Warnings are errors here, too; and ccache knows by its options what was compiled before.
(. "$checkout/scripts/lib/build.sh" && configure "$checkout/build-install" "${release_options[@]}" -Dwerror=true)
command=$(command_of_readme)
[[ $command =~ ^scripts/install\.sh\ --interface\ eth0\ --start$ ]] || fail "README's command is '$command'"
# Nothing is started of what is installed for another root.
command=${command% --start}
# Some of the folders are there already, and one has a file of somebody else's.
mkdir -p "$usr/bin" "$usr/share/man"
echo mine >"$usr/bin/another"
tree_before=$(all_of_tree)

in_checkout "$command"
is_hardened "$usr/bin/moat"
is_hardened "$usr/sbin/moatd"
is_what_was_tested "$usr/bin/moat" "$build/control/cli/moat"
is_what_was_tested "$usr/sbin/moatd" "$build/control/daemon/moatd"

ln -s "$usr/sbin/moatd" "$scene/bin/moatd"
ln -s "$usr/bin/moat" "$scene/bin/moat.real"
rmdir "$scene/moat"
ln -s "$tree/etc/moat" "$scene/moat"
start_moatd
listen
status=$(on db-host moat status) || true
[[ $status == *eth0* ]] || fail "moat status says: $status"
holds "moat status answers: ${status%%$'\n'*}"
same "monitor mode, an unlisted source" AS "$(knock stranger "$database_host" 5432)"
await 10 "the counters to tell of it" counts_show 'no-rule'
on db-host moat rules add --database postgresql --cidr "$listed_client/32" >"$scene/moat.log" 2>&1 ||
  fail "a rule is not added: $(cat "$scene/moat.log")"
sed -i 's/^mode: monitor/mode: enforce/' "$tree/etc/moat/moat.yaml"
on db-host moat reload >"$scene/moat.log" 2>&1 || fail "no reload: $(cat "$scene/moat.log")"
same "enforced, an unlisted source" silence "$(knock stranger "$database_host" 5432)"
same "enforced, a listed source" AS "$(knock office "$database_host" 5432)"
stop moatd

in_checkout "scripts/install.sh --uninstall"
[[ -e $tree/etc/moat/moat.yaml ]] || fail "the configuration is gone"
rm -r "${tree:?}/etc"
diff <(echo "$tree_before") <(all_of_tree) >&2 || fail "the root is not as it was before"
holds "uninstalled: the root is as it was before"
