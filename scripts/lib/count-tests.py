#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sums up test runs: count-tests.py TESTLOG.JSON..., as meson writes them, one program a line.

A program that uses GoogleTest counts for as many tests as it ran, any other for one; one that ended
badly without a failed test, as by a signal, for a failed one more. Ends with 1 if any failed, or if
none passed.
"""
import json
import re
import sys

PASSED = re.compile(r"^\[ +OK +\] ", re.MULTILINE)
FAILED = re.compile(r"^\[ +FAILED +\] \S+ \(", re.MULTILINE)
SKIPPED = re.compile(r"^\[ +SKIPPED +\] \S+ \(", re.MULTILINE)
RAN = re.compile(r"^\[==========\] Running ", re.MULTILINE)


def count(program):
    """(passed, failed, skipped) of one program."""
    result, output = program["result"], program.get("stdout") or ""
    if result == "SKIP":
        return 0, 0, 1
    ended_well = result in ("OK", "EXPECTEDFAIL")
    if not RAN.search(output):
        return int(ended_well), int(not ended_well), 0
    failed = len(FAILED.findall(output))
    if not ended_well and not failed:
        failed = 1
    return len(PASSED.findall(output)), failed, len(SKIPPED.findall(output))


def main():
    counts = []
    for name in sys.argv[1:]:
        with open(name, encoding="utf-8") as log:
            counts += [count(json.loads(line)) for line in log if line.strip()]
    passed, failed, skipped = map(sum, zip(*counts)) if counts else (0, 0, 0)
    print(f"\n{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
