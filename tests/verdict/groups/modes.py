# SPDX-License-Identifier: BSD-2-Clause
"""Monitor mode, and rules that expire."""

from scapy.all import Dot1Q, IPOption, IPv6ExtHdrDestOpt

from builder import A, A6, B, B6, NO_RULE, NOT_GUARDED, Case, both, ether, ip, ip6, same, tcp


def to(port=5432, **fields):
    return lambda source: ether() / ip(source, **fields) / tcp(dport=port)


def tags(count):
    def build(source):
        frame = ether()
        for vlan in range(count):
            frame = frame / Dot1Q(vlan=vlan)
        return frame / both(source)
    return build


def chain(source):
    source6 = {A: A6, B: B6}[source]
    headers = ether() / ip6(source6)
    for _ in range(9):
        headers = headers / IPv6ExtHdrDestOpt()
    return headers / tcp()


def monitor_cases():
    host = {"policy": "monitor-host"}
    every = {"policy": "monitor-all"}
    one = {"policy": "monitor-database"}
    yield Case("all-no-rule", "The host monitors, and so do all databases.", to(),
               b="monitor no-rule orders", **every)
    yield Case("all-malformed", "Then what is dropped before the database is known passes, too.",
               to(ihl=4), **same("monitor malformed host"), **every)
    yield Case("all-vlan-depth", "So do tags too deep.", tags(5),
               **same("monitor vlan-depth host"), **every)
    yield Case("all-fragment", "So do fragments.", to(flags="MF"),
               **same("monitor fragment host"), **every)
    yield Case("all-chain", "So does an IPv6 chain that is not walked to its end.", chain,
               **same("monitor ipv6 host"), **every)
    yield Case("host-no-rule", "The host monitors: counted as a drop, and passed.", to(),
               b="monitor no-rule orders", **host)
    yield Case("host-malformed", "A drop before the database is known: it may be for the one that "
               "enforces.", to(ihl=4), **same("drop malformed host"), **host)
    yield Case("host-vlan-depth", "So may tags too deep.", tags(5),
               **same("drop vlan-depth host"), **host)
    yield Case("host-fragment", "So may a fragment.", to(flags="MF"),
               **same("drop fragment host"), **host)
    yield Case("host-chain", "So may what is behind an IPv6 chain that is not walked to its end.",
               chain, **same("drop ipv6 host"), **host)
    yield Case("host-ipv6", "So does IPv6 of a monitored database.",
               lambda source: ether() / ip6("2001:db8::1") / tcp(),
               **same("monitor ipv6 orders"), **host)
    yield Case("host-enforced-database", "A database that enforces under a host that monitors.",
               to(6432), a="pass allowed billing 198.51.100.25/32", b="drop no-rule billing", **host)
    yield Case("host-enforced-options", "Broken options are found once the database is known.",
               to(6432, options=IPOption(bytes([222, 0, 0, 0]))),
               **same("drop malformed billing"), **host)
    yield Case("host-unguarded", "Nothing to monitor on other ports.", to(22), **same(NOT_GUARDED),
               **host)
    yield Case("database-no-rule", "A database that monitors under a host that enforces.", to(),
               b="monitor no-rule orders", **one)
    yield Case("database-martian", "Its martians pass too.", lambda source: to()("127.0.0.1"),
               **same("monitor martian orders"), **one)
    yield Case("database-source-route", "And its source routes.",
               to(options=IPOption(bytes([131, 7, 4, 10, 0, 0, 9, 1]))),
               **same("monitor source-route orders"), **one)
    yield Case("database-ipv6", "And its IPv6.",
               lambda source: ether() / ip6("2001:db8::1") / tcp(),
               **same("monitor ipv6 orders"), **one)
    yield Case("database-malformed", "But what is malformed is nobody's yet.", to(ihl=4),
               **same("drop malformed host"), **one)
    yield Case("database-fragment", "And so is a fragment.", to(flags="MF"),
               **same("drop fragment host"), **one)
    yield Case("database-other", "The other database enforces.", to(6432),
               a="pass allowed billing 198.51.100.25/32", b="drop no-rule billing", **one)


def expiring(name, why, source, at, counted, other="198.51.100.99"):
    verdict = f"pass allowed orders {counted}" if counted else NO_RULE
    return Case(name, why, to(), a=verdict, sources=(source, other), policy="expiry",
                at=f"2027-01-31T{at}Z")


def expiry_cases():
    lone, chain = "198.51.100.25", "203.0.113.7"
    yield expiring("before", "A rule that will expire.", lone, "17:00:00", "198.51.100.25/32")
    yield expiring("at", "At its very time it no longer matches.", lone, "18:00:00", None)
    yield expiring("after", "Nor after it.", lone, "19:00:00", None)
    yield expiring("chain-all", "Three rules around a source: the inmost counts.", chain,
                   "17:00:00", "203.0.113.7/32")
    yield expiring("chain-one", "When it has expired, the one around it takes over.", chain,
                   "18:00:00", "203.0.113.0/28")
    yield expiring("chain-two", "Both have expired while the table stood: the widest is left.",
                   chain, "18:00:05", "203.0.113.0/24")
    yield expiring("chain-new-table", "The same in a table made later.", chain, "20:00:00",
                   "203.0.113.0/24")
    yield expiring("outer-first", "The outer rule expires first: the inner one still counts.",
                   "192.0.2.9", "18:00:00", "192.0.2.9/32")
    yield expiring("outer-gone", "Beside it the expired outer rule lets nobody in.", "192.0.2.8",
                   "18:00:00", None)
    yield expiring("outer-before", "Until then it did.", "192.0.2.8", "17:00:00", "192.0.2.0/24")
    yield expiring("range-before", "An expiring managed range.", "192.0.2.200", "17:00:00",
                   "mr-guests")
    yield expiring("range-after", "All of it expires at once.", "192.0.2.200", "18:00:00", None)
    yield expiring("permanent", "A rule without an end beside them.", "198.51.100.40", "20:00:00",
                   "198.51.100.40/32")


def cases():
    yield from monitor_cases()
    yield from expiry_cases()
