# SPDX-License-Identifier: BSD-2-Clause
"""IPv4 fragments: nothing that could be put together to a connection gets through."""

from scapy.all import ICMP, UDP, IPOption

from builder import (FRAGMENT, NOT_GUARDED, PORT, Case, data, ether, ip, raw, same, tcp)


def fragment(content, offset=0, more=True, **fields):
    """`content` as a fragment of a TCP packet, at `offset` bytes; `fields` of the IPv4 header."""
    usual = {"proto": 6, "flags": "MF" if more else 0, "frag": offset // 8, "id": 7}
    return lambda source: ether() / ip(source, **{**usual, **fields}) / data(content)


def tcp_flags(flags):
    """All but the first 8 bytes of a TCP header with these flags."""
    return raw(tcp(flags=flags))[8:]


SYN = raw(tcp())
UNGUARDED = raw(tcp(dport=22))
LONG = SYN + b"x" * 12


def cases():
    yield Case("first-8", "The smallest first fragment: ports, but no flags.",
               fragment(LONG[:8]), **same(FRAGMENT))
    yield Case("first-16", "A first fragment that ends before the checksum.",
               fragment(LONG[:16]), **same(FRAGMENT))
    yield Case("first-whole", "A first fragment with the whole TCP header.",
               fragment(LONG[:24]), **same(FRAGMENT))
    yield Case("first-empty", "A first fragment of nothing.", fragment(b""), **same(FRAGMENT))
    yield Case("middle", "A middle fragment.", fragment(LONG[8:16], 8), **same(FRAGMENT))
    yield Case("last", "A last fragment.", fragment(LONG[16:], 16, False), **same(FRAGMENT))
    yield Case("last-reversed", "The last fragment sent first: each is judged alone.",
               fragment(LONG[8:], 8, False), **same(FRAGMENT))
    yield Case("first-reversed", "The first fragment sent last.", fragment(LONG[:8]),
               **same(FRAGMENT))
    yield Case("duplicate", "The same fragment again.", fragment(LONG[:8]), **same(FRAGMENT))
    yield Case("overlap-ports", "At offset 8, but to be written over by one at offset 0 with "
               "another port.", fragment(UNGUARDED[:8]), **same(FRAGMENT))
    yield Case("overlap-flags", "A second fragment that writes over the TCP flags.",
               fragment(tcp_flags("A"), 8, False), **same(FRAGMENT))
    yield Case("later-like-tcp", "A later fragment that looks like a TCP header to port 22.",
               fragment(UNGUARDED, 24, False), **same(FRAGMENT))
    yield Case("later-like-guarded", "A later fragment that looks like a SYN to the guarded port.",
               fragment(SYN, 24, False), **same(FRAGMENT))
    yield Case("offset-8-only", "Offset 1, no first fragment will ever come.",
               fragment(SYN, 8, False), **same(FRAGMENT))
    yield Case("offset-largest", "The largest offset: the ping of death.",
               fragment(b"x" * 32, 0x1FFF * 8, False), **same(FRAGMENT))
    yield Case("offset-largest-more", "The same, with more to come.",
               fragment(b"x" * 32, 0x1FFF * 8), **same(FRAGMENT))
    yield Case("df-and-mf", "DF and MF at once.", fragment(LONG[:8], flags="MF+DF"),
               **same(FRAGMENT))
    yield Case("reserved-and-mf", "The reserved flag beside MF.", fragment(LONG[:8], flags=5),
               **same(FRAGMENT))
    yield Case("all-flags", "All three flags and an offset.", fragment(SYN, 8, flags=7),
               **same(FRAGMENT))
    yield Case("options", "A first fragment with IP options.",
               fragment(LONG[:8], options=IPOption(b"\x01" * 8)), **same(FRAGMENT))
    yield Case("options-later", "A later fragment with options that look like ports.",
               fragment(LONG[8:16], 8, options=IPOption(bytes([222, 4]) + PORT.to_bytes(2, "big"))),
               **same(FRAGMENT))
    yield Case("source-routed", "A fragment with a source route: the fragment comes first.",
               fragment(LONG[:8], options=IPOption(bytes([131, 7, 4, 10, 0, 0, 9, 1]))),
               **same(FRAGMENT))
    yield Case("unguarded-port", "A stated limit: TCP fragments to any port are dropped, as later "
               "ones show no port.", fragment(UNGUARDED), **same(FRAGMENT))
    yield Case("martian", "A fragment from 127.0.0.1.",
               lambda source: fragment(LONG[:8])("127.0.0.1"), **same(FRAGMENT))
    yield Case("udp-first", "UDP fragments pass: first.", fragment(raw(UDP(dport=PORT)) + b"x" * 8,
                                                                  proto=17), **same(NOT_GUARDED))
    yield Case("udp-later", "UDP fragments pass: later, looking like a SYN.",
               fragment(SYN, 8, False, proto=17), **same(NOT_GUARDED))
    yield Case("icmp-first", "ICMP fragments pass: first.", fragment(raw(ICMP()) + b"x" * 8,
                                                                    proto=1), **same(NOT_GUARDED))
    yield Case("icmp-later", "ICMP fragments pass: later.", fragment(b"x" * 8, 16, False, proto=1),
               **same(NOT_GUARDED))
    yield Case("other-address", "TCP fragments to an address that nobody guards.",
               fragment(LONG[:8]), policy="addresses", **same(NOT_GUARDED))

