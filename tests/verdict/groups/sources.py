# SPDX-License-Identifier: BSD-2-Clause
"""Sources: those that can be no client's, and the borders of every listed range."""

import ipaddress

from builder import HOST, NO_RULE, NOT_GUARDED, Case, both, ether, ip, same, tcp

MARTIAN = "drop martian orders"

# (listed half, an address of it, one of the unlisted half) of each martian block.
MARTIANS = (
    ("this-network", "0.0.0.0", "0.128.0.0"),
    ("this-network-last", "0.127.255.255", "0.255.255.255"),
    ("loopback", "127.0.0.1", "127.128.0.1"),
    ("loopback-last", "127.127.255.255", "127.255.255.255"),
    ("multicast", "224.0.0.1", "232.0.0.1"),
    ("multicast-last", "231.255.255.255", "239.255.255.255"),
    ("reserved", "240.0.0.0", "248.0.0.1"),
    ("broadcast", "247.255.255.255", "255.255.255.255"),
)

# The prefixes of policies/ranges, chosen so that borders fall on and beside those of the table's
# levels (/9, /17) and of its leaves; with the database's source that counts them.
RANGES = (
    ("1.0.0.0/9", "1.0.0.0/9"),
    ("5.0.0.0/8", "5.0.0.0/8"),
    ("9.64.0.0/10", "9.64.0.0/10"),
    ("11.0.128.0/17", "11.0.128.0/17"),
    ("11.2.0.0/18", "11.2.0.0/18"),
    ("20.7.0.0/16", "20.7.0.0/16"),
    ("64.0.0.0/3", "64.0.0.0/3"),
    ("192.0.2.10/32", "mr-offices"),
    ("192.0.2.64/27", "mr-offices"),
    ("198.51.100.25/32", "198.51.100.25/32"),
    ("198.51.100.28/31", "198.51.100.28/31"),
    ("198.51.100.32/30", "198.51.100.32/30"),
    ("203.0.113.0/24", "203.0.113.0/24"),
    ("10.42.0.0/16", "pcx-1"),
    ("223.255.255.255/32", "223.255.255.255/32"),
)


def plain(source):
    return ether() / both(source)


def borders():
    for text, counted in RANGES:
        network = ipaddress.ip_network(text)
        allowed = f"pass allowed orders {counted}"
        first, last = network[0], network[-1]
        label = text.replace("/", "-")
        yield Case(f"first-{label}", f"The first address of {text}, and the one before it.", plain,
                   a=allowed, sources=(str(first), str(first - 1)), policy="ranges",
                   b=outside(first - 1))
        yield Case(f"last-{label}", f"The last address of {text}, and the one after it.", plain,
                   a=allowed, sources=(str(last), str(last + 1)), policy="ranges",
                   b=outside(last + 1))


def outside(address):
    martian = address.is_multicast or address.is_loopback or int(address) >> 24 in (0, 127)
    return MARTIAN if martian else NO_RULE


def neighbours():
    """Where the martian blocks end: 0.0.0.0/0 is listed, so only martians are dropped."""
    everyone = "pass allowed orders 0.0.0.0/0"
    for name, good, bad in (("0-8", "1.0.0.0", "0.255.255.255"),
                            ("127-8-below", "126.255.255.255", "127.0.0.0"),
                            ("127-8-above", "128.0.0.0", "127.255.255.255"),
                            ("224-4", "223.255.255.255", "224.0.0.0")):
        yield Case(f"beside-{name}", "The last client address beside the first martian; everyone "
                   "is listed.", plain, a=everyone, b=MARTIAN, sources=(good, bad),
                   policy="everyone")
    yield Case("private", "Private and link-local sources are clients like others.", plain,
               a=everyone, b=everyone, sources=("192.168.0.1", "169.254.1.1"), policy="everyone")


def nested():
    for name, source, counted, why in (
            ("inner", "203.0.113.130", "203.0.113.128/25", "The most specific prefix has the hit"),
            ("outer", "203.0.113.5", "203.0.113.0/24", "Outside the inner prefix the outer counts"),
            ("innermost", "203.0.113.200", "203.0.113.200/32", "Three deep, the inmost one counts"),
            ("tie-cidr-range", "192.0.2.10", "192.0.2.10/32",
             "The same prefix as cidr, in a managed range and as a peering: the cidr counts"),
            ("tie-range-peering", "192.0.2.70", "mr-offices",
             "The same prefix in a managed range and as a peering: the range counts"),
            ("range-inside-cidr", "192.0.2.65", "mr-offices",
             "A managed range's prefix inside a wider cidr"),
            ("peering", "10.42.9.9", "pcx-2", "A net peering")):
        yield Case(f"nested-{name}", f"{why}.", plain, a=f"pass allowed orders {counted}",
                   sources=(source, "203.0.114.1"), policy="nested")
    yield Case("nested-registered", "A net peering that no rule lets in.", plain, a=NO_RULE,
               sources=("10.43.9.9", "203.0.114.1"), policy="nested")


def cases():
    for name, listed, unlisted in MARTIANS:
        yield Case(f"martian-{name}", "No client has such an address: dropped, listed or not.",
                   plain, sources=(listed, unlisted), policy="martians", **same(MARTIAN))
    yield Case("martian-unguarded", "A martian to a port that nobody guards is the kernel's.",
               lambda source: ether() / ip(source) / tcp(dport=22),
               sources=("127.0.0.1", "240.0.0.1"), **same(NOT_GUARDED))
    yield Case("land", "From the host's own address to itself (LAND): judged by the rules, and "
               "refused by the kernel.", plain, a="pass allowed orders 0.0.0.0/0",
               b="pass allowed orders 0.0.0.0/0", sources=(HOST, HOST), policy="everyone")
    yield Case("land-unlisted", "The same where the host is not in its own list.", plain,
               a=NO_RULE, sources=(HOST, HOST))
    for name, source, why in (
            ("own-address", "10.0.0.20", "another of the host's own addresses"),
            ("own-broadcast", "10.0.0.255", "its subnet's broadcast address"),
            ("own-network", "10.0.0.0", "its subnet's own address"),
            ("gateway", "10.0.0.1", "its gateway"),
            ("shared", "100.64.0.1", "shared address space (RFC 6598)"),
            ("benchmark", "198.18.0.1", "benchmarking addresses (RFC 2544)"),
            ("link-local", "169.254.1.1", "link-local addresses")):
        yield Case(f"unlisted-{name}", f"From {why}, and beside it: judged like any other.", plain,
                   a=NO_RULE, sources=(source, str(ipaddress.ip_address(source) + 1)))
    yield Case("swapped", "The listed address in the wrong byte order is another address.", plain,
               sources=("198.51.100.25", "25.100.51.198"))
    yield from neighbours()
    yield from borders()
    yield from nested()
