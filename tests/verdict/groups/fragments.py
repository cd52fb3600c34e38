# SPDX-License-Identifier: BSD-2-Clause
"""IPv4 fragments: nothing that could be put together to a connection gets through."""

import zlib

from scapy.all import ICMP, UDP, Dot1Q, IPOption

from builder import (FRAGMENT, NOT_GUARDED, PORT, Case, data, ether, ip, raw, same, tcp)

NOP = b"\x01"


def part(start, end=None, proto=6, **fields):
    """These bytes of a TCP packet of 32 whose checksum holds, as they are put on the wire."""
    def content(source, dst):
        whole = raw(ip(source, dst=dst) / tcp(**fields) / data(b"x" * 12))[20:]
        return whole[start:end]
    return content


def whole_of(layer):
    """A packet of this layer, for protocols other than TCP."""
    return lambda source, dst: raw(ip(source, dst=dst) / layer)[20:]


def fragment(content, offset=0, more=True, dst="10.0.0.10", tags=(), **fields):
    """`content` as a fragment at `offset` bytes of a TCP packet; `fields` of the IPv4 header."""
    usual = {"proto": 6, "flags": "MF" if more else 0, "frag": offset // 8}

    def build(number):
        def frame(source):
            link = ether()
            for tag in tags:
                link = link / tag
            body = content if isinstance(content, bytes) else content(source, dst)
            return link / ip(source, dst=dst, id=number, **{**usual, **fields}) / data(body)
        return frame
    return build


def pieces(name, why, *fragments, verdict=FRAGMENT, **more):
    """A case of one or several fragments, the last of which is what it is called after. Each case
    has an identification of its own, so that no kernel puts together what does not belong so."""
    number = zlib.crc32(name.encode()) & 0xFFFF
    builds = [build(number) for build in fragments]
    return Case(name, why, builds[-1], earlier=builds[:-1], **same(verdict), **more)


def single_cases():
    yield pieces("first-8", "The smallest first fragment: ports, but no flags.",
                 fragment(part(0, 8)))
    yield pieces("first-16", "A first fragment that ends before the checksum.",
                 fragment(part(0, 16)))
    yield pieces("first-whole", "A first fragment with the whole TCP header.",
                 fragment(part(0, 24)))
    yield pieces("first-empty", "A first fragment of nothing.", fragment(b""))
    yield pieces("middle", "A middle fragment.", fragment(part(8, 16), 8))
    yield pieces("last", "A last fragment.", fragment(part(16), 16, False))
    yield pieces("later-like-tcp", "A later fragment that looks like a TCP header to port 22.",
                 fragment(part(0, 20, dport=22), 24, False))
    yield pieces("later-like-guarded", "A later fragment that looks like a SYN to the guarded port.",
                 fragment(part(0, 20), 24, False))
    yield pieces("offset-8-only", "Offset 1, no first fragment will ever come.",
                 fragment(part(0, 20), 8, False))
    yield pieces("offset-largest", "The largest offset: the ping of death.",
                 fragment(b"x" * 32, 0x1FFF * 8, False))
    yield pieces("offset-largest-more", "The same, with more to come.",
                 fragment(b"x" * 32, 0x1FFF * 8))
    yield pieces("df-and-mf", "DF and MF at once.", fragment(part(0, 8), flags="MF+DF"))
    yield pieces("reserved-and-mf", "The reserved flag beside MF.", fragment(part(0, 8), flags=5))
    yield pieces("all-flags", "All three flags and an offset.", fragment(part(0, 20), 8, flags=7))
    yield pieces("options", "A first fragment with IP options.",
                 fragment(part(0, 8), options=IPOption(NOP * 8)))
    yield pieces("options-later", "A later fragment with options that look like ports.",
                 fragment(part(8, 16), 8,
                          options=IPOption(bytes([222, 4]) + PORT.to_bytes(2, "big"))))
    yield pieces("source-routed", "A fragment with a source route: the fragment comes first.",
                 fragment(part(0, 8), options=IPOption(bytes([131, 7, 4, 10, 0, 0, 9, 1]))))
    yield pieces("unguarded-port", "A stated limit: TCP fragments to any port are dropped, as later "
                 "ones show no port.", fragment(part(0, 24, dport=22)))
    yield pieces("martian", "A fragment from 127.0.0.1.", fragment(part(0, 8)),
                 sources=("127.0.0.1", "127.0.0.1"))


def sequence_cases():
    head, tail = fragment(part(0, 24)), fragment(part(24), 24, False)
    yield pieces("two", "A SYN in two pieces, in order.", head, tail)
    yield pieces("two-reversed", "The last piece first: the first one completes it.", tail, head)
    yield pieces("two-duplicate", "The first piece twice.", head, head, tail)
    yield pieces("four", "A SYN in pieces of 8 bytes.", fragment(part(0, 8)),
                 fragment(part(8, 16), 8), fragment(part(16, 24), 16), tail)
    yield pieces("four-shuffled", "The same in another order.", fragment(part(16, 24), 16), tail,
                 fragment(part(0, 8)), fragment(part(8, 16), 8))
    yield pieces("two-options", "Options in the first piece alone.",
                 fragment(part(0, 24), options=IPOption(NOP * 8)), tail)
    yield pieces("two-different-options", "Options in the second piece alone.", head,
                 fragment(part(24), 24, False, options=IPOption(NOP * 40)))
    yield pieces("two-priority", "In two pieces behind a priority tag.",
                 fragment(part(0, 24), tags=[Dot1Q(vlan=0)]),
                 fragment(part(24), 24, False, tags=[Dot1Q(vlan=0)]))
    yield pieces("two-vlans", "Each piece behind another tag, none and a priority.", head,
                 fragment(part(24), 24, False, tags=[Dot1Q(vlan=0)]))
    yield pieces("overlap-ports", "To port 22, and written over by a second first piece to 5432.",
                 fragment(part(0, 24, dport=22)), head, tail)
    yield pieces("overlap-flags", "A second piece that writes over the TCP flags.",
                 fragment(part(0, 16, flags="A")), fragment(part(8, 24), 8), tail)
    yield pieces("overlap-tail", "The last piece reaches back over the first.", head,
                 fragment(part(16), 16, False))
    yield pieces("overlap-inside", "A piece inside another.", head, fragment(part(8, 16), 8), tail)
    yield pieces("two-last", "Two last pieces of different ends.", tail,
                 fragment(part(24, 28), 24, False), head)
    yield pieces("two-unguarded", "A SYN to port 22 in two pieces: the stated limit.",
                 fragment(part(0, 24, dport=22)), fragment(part(24, dport=22), 24, False))


def other_cases():
    passes = {"verdict": NOT_GUARDED}
    udp = whole_of(UDP(sport=40000, dport=PORT) / data(b"x" * 24))

    def udp_part(start, end=None):
        return lambda source, dst: udp(source, dst)[start:end]

    yield pieces("udp-first", "UDP fragments pass: first.", fragment(udp_part(0, 16), proto=17),
                 **passes)
    yield pieces("udp-later", "UDP fragments pass: later, looking like a SYN.",
                 fragment(part(0, 20), 8, False, proto=17), **passes)
    yield pieces("udp-two", "UDP in two pieces is put together and answered.",
                 fragment(udp_part(0, 16), proto=17), fragment(udp_part(16), 16, False, proto=17),
                 **passes)
    yield pieces("icmp-first", "ICMP fragments pass: first.",
                 fragment(raw(ICMP()) + b"x" * 8, proto=1), **passes)
    yield pieces("icmp-later", "ICMP fragments pass: later.", fragment(b"x" * 8, 16, False, proto=1),
                 **passes)
    elsewhere = {"dst": "10.0.0.99"}
    yield pieces("other-address", "TCP fragments to an address that nobody guards.",
                 fragment(part(0, 8), **elsewhere), policy="addresses", **passes)
    yield pieces("other-address-two", "Such an address has its connections in pieces.",
                 fragment(part(0, 24), **elsewhere), fragment(part(24), 24, False, **elsewhere),
                 policy="addresses", **passes)


def cases():
    yield from single_cases()
    yield from sequence_cases()
    yield from other_cases()
