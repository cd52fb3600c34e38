#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the case table, cases/*.json, from groups/*.py; with --check compares them instead.

Needs scapy (Debian: python3-scapy, which is for /usr/bin/python3). The table is checked in, so that
neither reading nor running the cases needs it.
"""

import importlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
GROUPS = ["tags", "ipv4", "fragments", "tcp", "sources", "endpoints", "modes", "ipv6", "long"]
SKIPPED = 77  # what the test runner takes for "not run"


def table(group):
    cases = [case.as_json() for case in importlib.import_module(f"groups.{group}").cases()]
    names = [case["name"] for case in cases]
    assert len(set(names)) == len(names), f"{group}: a name twice"
    # A case a line, for whoever reads a change.
    return "[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n"


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(f"usage: {sys.argv[0]} [--check]")
    try:
        import scapy  # noqa: F401
    except ImportError:
        print("scapy is missing: install python3-scapy, and run this with /usr/bin/python3")
        sys.exit(SKIPPED if check else 1)

    different = []
    for group in GROUPS:
        path = HERE / "cases" / f"{group}.json"
        made = table(group)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(made)
        elif not path.exists() or path.read_text() != made:
            different.append(path.name)
    stray = {path.stem for path in (HERE / "cases").glob("*.json")} - set(GROUPS)
    different += [f"{name}.json" for name in sorted(stray)]
    if different:
        sys.exit(f"not what frames.py makes: {', '.join(different)}; run {sys.argv[0]}")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
