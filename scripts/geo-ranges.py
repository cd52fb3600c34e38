#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Turns countries into managed ranges: real input for tests and benchmarks.

    scripts/geo-ranges.py FOLDER [--geoip FILE] NAME...

NAME is a country's two letters (FR), EUROPE, ALL (every address that has a country), or EACH (every
country, as a managed range of its own). Writes FOLDER/geo.yaml and a text file of CIDRs beside it
for each range, as few CIDRs as hold exactly its addresses. FOLDER serves as `managed-ranges`.

The addresses are those of Debian's tor-geoipdb: one range a line, `first,last,CC`, as numbers.
"""
import argparse
import ipaddress
import pathlib
import sys

GEOIP = "/usr/share/tor/geoip"

# ISO 3166 codes of the countries that the United Nations count as Europe.
EUROPE = frozenset("""
    AD AL AT AX BA BE BG BY CH CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV
    MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK""".split())


def read_geoip(path):
    """Yields (first, last, country), last included."""
    with open(path, encoding="ascii") as lines:
        for line in lines:
            if not line.startswith("#") and line.strip():
                first, last, country = line.strip().split(",")
                yield int(first), int(last), country


def merge(spans):
    """Joins spans that touch or overlap."""
    merged = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return merged


def cidrs(first, last):
    """The fewest prefixes that hold exactly first to last, in order: each time the largest that
    begins at `first` and does not go beyond `last`."""
    while first <= last:
        aligned = (first & -first).bit_length() - 1 if first else 32
        fits = (last - first + 1).bit_length() - 1
        bits = min(aligned, fits)
        yield f"{ipaddress.IPv4Address(first)}/{32 - bits}"
        first += 1 << bits


def members(name, countries):
    """The countries that a NAME stands for, by the range that they go to."""
    if name == "EACH":
        return {country: [country] for country in sorted(countries)}
    if name == "EUROPE":
        return {name: sorted(EUROPE & countries.keys())}
    if name == "ALL":
        return {name: sorted(countries)}
    if name not in countries:
        sys.exit(f"geo-ranges: no country '{name}'; write two letters, EUROPE, ALL or EACH")
    return {name: [name]}


def main():
    parser = argparse.ArgumentParser(description="Turns countries into managed ranges.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="+", metavar="NAME", type=str.upper,
                        help="FR, EUROPE, ALL or EACH")
    parser.add_argument("--geoip", default=GEOIP, help="default: %(default)s")
    options = parser.parse_args()

    countries = {}
    try:
        for first, last, country in read_geoip(options.geoip):
            if country.isalpha():
                countries.setdefault(country, []).append((first, last))
    except OSError as error:
        sys.exit(f"geo-ranges: {error}; tor-geoipdb has it")

    wanted = {}
    for name in options.names:
        wanted.update(members(name, countries))
    options.folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, parts in wanted.items():
        spans = merge(span for country in parts for span in countries[country])
        lines = [cidr for first, last in spans for cidr in cidrs(first, last)]
        file = f"country-{name.lower()}.txt"
        (options.folder / file).write_text("\n".join(lines) + "\n", encoding="ascii")
        entries.append(f"- id: mr-country-{name.lower()}\n  cidrs-file: {file}\n")
        print(f"mr-country-{name.lower()}: {len(lines)} CIDRs")
    (options.folder / "geo.yaml").write_text("".join(entries), encoding="ascii")


if __name__ == "__main__":
    main()
