#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Whether moatd lets in exactly whom it should, on real input: countries.py MOAT DATABASE NAME...

Asks `MOAT why` about the first and the last address of address ranges drawn from Debian's
tor-geoipdb, and about the addresses beside them, and looks up in that same file whether they are
in one of the countries: not by way of the CIDRs that geo-ranges.py makes of it. The daemon says
for each whether the live table agrees with its rules.
"""
import bisect
import importlib.util
import ipaddress
import json
import pathlib
import random
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "scripts/geo-ranges.py"
RANGES = 15


def geo():
    spec = importlib.util.spec_from_file_location("geo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module


def is_client(address):
    return 1 <= address >> 24 < 224 and address >> 24 != 127


def main():
    moat, database, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    script = geo()
    lines = sorted(script.read_geoip(script.GEOIP))
    firsts = [first for first, _, _ in lines]
    known = {country for _, _, country in lines if country.isalpha()}
    wanted = set()
    for name in names:
        wanted |= {"EUROPE": script.EUROPE, "ALL": known}.get(name, {name})

    def is_wanted(address):
        first, last, country = lines[max(bisect.bisect_right(firsts, address) - 1, 0)]
        return first <= address <= last and country in wanted

    inside = [line for line in lines if line[2] in wanted]
    addresses = set()
    for first, last, _ in random.sample(inside, RANGES) + random.sample(lines, RANGES):
        addresses |= {first - 1, first, last, last + 1}
    allowed = 0
    for address in filter(is_client, sorted(addresses)):
        text = str(ipaddress.IPv4Address(address))
        said = subprocess.run([moat, "why", text, "--database", database, "--json"], check=True,
                              capture_output=True, text=True).stdout
        answer = json.loads(said)["answers"][0]
        if answer["allowed"] != is_wanted(address) or answer["table_agrees"] is not True:
            sys.exit(f"{text} should be {'in' if is_wanted(address) else 'out'}: {said}")
        allowed += answer["allowed"]
    if not 0 < allowed < len(addresses) and "ALL" not in names:
        sys.exit("all of them got the same answer")
    print(f"{database}: {len(addresses)} addresses, {allowed} of them allowed, each rightly")


if __name__ == "__main__":
    main()
