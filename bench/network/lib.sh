# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the benchmarks that need a network: a scene, and a policy of any size for its moatd.
#
#   root                        the source tree
#   build                       the last argument of each
#   cpu                         the one to measure on
#   take_options NAME... -- ARGUMENT...   sets NAME for each --NAME VALUE that comes before the build
#   is_wanted NAME              whether --only names it, or nothing
#   write_policy FILE           the scene's moatd is to allow these prefixes, one a line
#   nft_set FILE                the same as a set for nft, named allowed
#   nft_ingress FILE            and a table that has the netdev hook drop all others
# shellcheck shell=bash

# shellcheck source=../../scripts/lib/build.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/build.sh"
# shellcheck source=../../scripts/lib/scene.sh
. "$root/scripts/lib/scene.sh"

build=$(realpath "${*: -1}")
# shellcheck disable=SC2034  # by those that source this
cpu=$(($(nproc) - 1))

take_options() {
  local names=" "
  while [[ $1 != -- ]]; do names+="$1 " && shift; done
  shift
  while (($# > 1)) && [[ $1 == --* && $names == *" ${1#--} "* ]]; do
    printf -v "${1#--}" %s "$2"
    shift 2
  done
  [[ $# -eq 1 && -d $1 ]] || { sed -n '3,/^set/s/^#[ ]\{0,1\}//p' "$0" >&2 && exit 2; }
}

is_wanted() { [[ -z ${only:-} || ,$only, == *",$1,"* ]]; }

# As rules where there are few enough, or else as a managed range. Each file is replaced at once.
write_policy() {
  local list=$1 moat=$scene/moat
  mkdir -p "$moat/databases.d" "$moat/managed-ranges.d"
  [[ -e $moat/moat.yaml ]] || write_settings 50ms
  {
    echo "database: orders"
    echo "endpoint: {port: 5432}"
    echo "rules:"
    if (($(wc -l <"$list") <= 30)); then
      sed 's/^/  - cidr: /' "$list"
    else
      cp "$list" "$moat/managed-ranges.d/.many"
      mv "$moat/managed-ranges.d/.many" "$moat/managed-ranges.d/many.txt"
      echo "- {id: mr-many, cidrs-file: many.txt}" >"$moat/managed-ranges.d/many.yaml"
      echo "  - managed-range: mr-many"
    fi
  } >"$moat/.orders"
  mv "$moat/.orders" "$moat/databases.d/orders.yaml"
}

write_settings() {
  cat >"$scene/moat/moat.yaml" <<YAML
interfaces: [eth0]
databases: databases.d
managed-ranges: managed-ranges.d
propagation: {bound: 120s, reconcile: 30s, settle: $1}
YAML
}

# As a set of ranges, which is how nft takes prefixes.
nft_set() {
  echo "set allowed { type ipv4_addr; flags interval; elements = {"
  paste -sd, "$1"
  echo "} }"
}

nft_ingress() {
  echo "table netdev wall {"
  nft_set "$1"
  cat <<'NFT'
  chain ingress {
    type filter hook ingress device eth0 priority 0;
    ip daddr 198.18.0.5 tcp dport 5432 ip saddr != @allowed drop
  }
}
NFT
}
