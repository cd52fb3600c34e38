# SPDX-License-Identifier: BSD-2-Clause
# Sourced by scripts/kernels.sh: kernels and compilers of Debian's, by package, from the mirrors that
# this machine's apt uses, by way of an apt folder of their own. Nothing is installed, and the
# machine's sources stay as they are.
#
#   open_apt DIR SUITE...    makes or renews such a folder; the others read the one made last
#   release_of VERSION       the newest of a version: 6.1 -> 6.1.0-56-cloud-amd64, also in full
#   unpack_kernel RELEASE DIR
#   unpack_program PACKAGE DIR   with all that it depends on: a root to chroot to
#
# Debian's flavour for virtual machines has every module that is needed here at a third of the size.
# shellcheck shell=bash

# shellcheck disable=SC2034  # by those that source this
kernel_suites=(bookworm bookworm-security trixie-backports)
kernel_flavour=cloud-amd64
apt_folder=

# "URI SUITE" for each of the suites, by the machine's own mirrors: of the archive, or of security.
mirrors_of() {
  local uri suite kind wanted
  # shellcheck disable=SC2016  # apt's own variables
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort -u |
    while read -r uri suite; do
      case $suite in
        bookworm | trixie) kind=archive ;;
        bookworm-security | trixie-security) kind=security ;;
        *) continue ;;
      esac
      for wanted in "$@"; do
        case $kind:$wanted in
          security:*-security) echo "$uri $wanted" ;;
          archive:*-security | security:*) ;;
          *) echo "$uri $wanted" ;;
        esac
      done
    done
}

open_apt() {
  local uri suite mirrors said dir=$1
  mirrors=$(mirrors_of "${@:2}")
  [[ -n $mirrors ]] || {
    echo "apt's sources on this machine name no mirror of Debian's" >&2
    return 1
  }
  mkdir -p "$dir"/{state/lists/partial,cache/archives/partial}
  apt_folder=$(cd "$dir" && pwd)
  : >"$apt_folder/status"
  while read -r uri suite; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main"
  done <<<"$mirrors" >"$apt_folder/sources.list"
  cat >"$apt_folder/apt.conf" <<END
Dir::State "$apt_folder/state";
Dir::State::status "$apt_folder/status";
Dir::Cache "$apt_folder/cache";
Dir::Etc::sourcelist "$apt_folder/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Sandbox::User "root";
END
  # A source that is not there is no failure to apt unless told so.
  said=$(private_apt get -o APT::Update::Error-Mode=any update 2>&1) || {
    echo "$said" >&2
    return 1
  }
}

private_apt() { APT_CONFIG=$apt_folder/apt.conf "apt-$1" -q "${@:2}"; }

release_of() {
  local names
  names=$(private_apt cache pkgnames linux-image-) || return 1
  names=$(grep -xE "linux-image-(${1//./\\.}|${1//./\\.}[.-].*-$kernel_flavour)" <<<"$names" |
    grep -vE -- '-(rt|unsigned)-|-unsigned' | grep '[0-9]\.[0-9]*\.' | sort -V | tail -n 1)
  [[ -n $names ]] || {
    echo "no kernel $1 in Debian's packages" >&2
    return 1
  }
  echo "${names#linux-image-}"
}

# From Linux 7 on Debian's image package only asks for three others.
unpack_kernel() {
  local release=$1 dir=$2 names deb
  [[ ! -e $dir/unpacked ]] || return 0
  rm -rf "$dir"
  mkdir -p "$dir/packages"
  names=$(private_apt cache pkgnames linux-) || return 1
  mapfile -t names < <(grep -xE "linux-(image|binary|modules|base)-${release//[+.]/.}" <<<"$names")
  (cd "$dir/packages" && private_apt get download "${names[@]}") >"$dir/log" 2>&1 || {
    cat "$dir/log" >&2
    return 1
  }
  for deb in "$dir"/packages/*.deb; do dpkg-deb -x "$deb" "$dir" || return 1; done
  rm -r "$dir/packages"
  [[ -d $dir/lib/modules ]] || ln -s usr/lib "$dir/lib"
  depmod -b "$dir" "$release" && touch "$dir/unpacked"
}

unpack_program() {
  local package=$1 dir=$2 deb
  [[ ! -e $dir/unpacked ]] || return 0
  rm -rf "$dir" "$apt_folder"/cache/archives/*.deb
  mkdir -p "$dir"
  # Nothing is installed where it is looked up, so that all of it is fetched.
  private_apt get -y --download-only --no-install-recommends install "$package" >"$dir/log" 2>&1 || {
    cat "$dir/log" >&2
    return 1
  }
  # As on a system whose /bin, /lib and /sbin are parts of /usr.
  mkdir -p "$dir"/usr/{bin,lib,lib64,sbin}
  ln -s usr/bin usr/lib usr/lib64 usr/sbin "$dir"
  for deb in "$apt_folder"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$dir" || return 1
  done
  touch "$dir/unpacked"
}
