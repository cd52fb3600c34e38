#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# From a rule file written to its being enforced, as the daemon itself tells: with the standard policy
# (two databases, 30 rules, two countries' ranges), in namespaces, as root.
#
#   bench/propagation.sh BUILD [ROUNDS] [JSON]
set -euo pipefail
# shellcheck source=../scripts/lib/build.sh
. "$(dirname "$0")/../scripts/lib/build.sh"
# shellcheck source=../scripts/lib/scene.sh
. "$root/scripts/lib/scene.sh"
# shellcheck source=../scripts/lib/standard.sh
. "$root/scripts/lib/standard.sh"

rounds=${2:-50} json=${3:-/dev/null}

begin_scene "$1"
add_host db-host "$database_host" 198.18.0.1

# measure CASE FILE SED-TO SED-BACK: changes the file in turn.
measure() { on db-host /usr/bin/python3 - "$1" "$rounds" "$json" "$scene/moat/$2" "$3" "$4" <<'PYTHON'
import datetime, json, pathlib, statistics, subprocess, sys, time

case, rounds, into, path = sys.argv[1], int(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4])
texts = (path.read_text().replace(sys.argv[5], sys.argv[6], 1), path.read_text())

def status():
    return json.loads(subprocess.run(["moat", "status", "--json"], check=True, capture_output=True).stdout)

def milliseconds(change):
    written, enforced = (datetime.datetime.fromisoformat(change[key]) for key in ("written", "enforced"))
    return (enforced - written).total_seconds() * 1000

samples = []
for i in range(rounds):
    before = status()["generation"]
    path.write_text(texts[i % 2])
    while (now := status())["generation"] == before:
        time.sleep(0.02)
    samples.append(milliseconds(now["last"]))
samples.sort()
row = {"suite": "propagation", "case": case, "prefixes": now["prefixes"],
       "p50_ms": statistics.median(samples), "p99_ms": samples[(len(samples) * 99) // 100],
       "max_ms": samples[-1]}
print(f"{case:<28}{row['prefixes']:>9} prefixes   p50 {row['p50_ms']:.0f}   p99 {row['p99_ms']:.0f}"
      f"   max {row['max_ms']:.0f} ms")
with open(into, "a", encoding="ascii") as file:
    file.write(json.dumps(row) + "\n")
PYTHON
}

for settle in 50ms 1ms; do
  write_standard_policy "$scene/moat" >/dev/null
  sed -i "s/settle: [0-9]*ms/settle: $settle/" "$scene/moat/moat.yaml"
  start_moatd
  measure "a rule, settle $settle" databases.d/orders.yaml 198.18.113.0/24 198.18.213.0/24
  measure "a country, settle $settle" managed-ranges.d/country-europe.txt $'\n' $'\n192.0.2.0/24\n'
  stop moatd
done
