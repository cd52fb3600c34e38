# SPDX-License-Identifier: BSD-2-Clause
# Sourced: the standard policy that tests and benchmarks share, made of real input. Two databases and
# 30 rules, of which two are managed ranges: France may reach the orders, all of Europe the bills.
#
#   write_standard_policy FOLDER     moat.yaml, databases.d/ and managed-ranges.d/, for eth0
# shellcheck shell=bash
# shellcheck disable=SC2154  # root is build.sh's

write_standard_policy() {
  mkdir -p "$1/databases.d"
  sed '/^  *#/d' "$root/config/moat.yaml" >"$1/moat.yaml"
  write_standard_database orders 5432 18 fr >"$1/databases.d/orders.yaml"
  write_standard_database bills 3306 19 europe >"$1/databases.d/bills.yaml"
  "$root/scripts/geo-ranges.py" "$1/managed-ranges.d" FR EUROPE
}

# write_standard_database ID PORT OCTET COUNTRY: 14 networks below 198.OCTET, and the country.
write_standard_database() {
  local number
  printf 'database: %s\nendpoint: {port: %s}\nrules:\n' "$1" "$2"
  for number in {100..113}; do printf '  - cidr: 198.%s.%s.0/24\n' "$3" "$number"; done
  printf '  - managed-range: mr-country-%s\n' "$4"
}
