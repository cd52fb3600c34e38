# SPDX-License-Identifier: BSD-2-Clause
"""IPv6 has no rules: a guarded port is closed to all of it, whatever headers stand before TCP."""

from scapy.all import (ESP, UDP, Dot1Q, ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6MLReport2,
                       ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6PacketTooBig, IPv6,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, RouterAlert)

from builder import (A, A6, B, B6, HOST6, IPV6, IPV6_HOST, NOT_GUARDED, PORT, Case, data, ether,
                     ip6, raw, same, tcp)

SIX = {"sources": (A6, B6)}
HOP, ROUTING, FRAGMENT, AUTHENTICATION, NONE, OPTIONS = 0, 43, 44, 51, 59, 60
MOBILITY, HIP, SHIM6 = 135, 139, 140
TCP, UDP_NUMBER, ICMP6 = 6, 17, 58


def packet(*layers, **fields):
    """An IPv6 packet of these layers."""
    def build(source):
        frame = ether() / ip6(source, **fields)
        for layer in layers:
            frame = frame / layer
        return frame
    return build


def extension(next_header, length=8):
    """`length` bytes of a header of the common form, filled with Pad1 options."""
    return bytes([next_header, length // 8 - 1]) + bytes(length - 2)


def chain(*numbers, last=TCP, payload=None, length=8):
    """Extension headers of these numbers in a row, then `last`."""
    content = b""
    for following in (*numbers[1:], last):
        content += extension(following, length)
    payload = raw(tcp() if payload is None else payload)
    return packet(data(content + payload), nh=numbers[0])


def fragment(offset, more, next_header, content):
    word = offset // 8 << 3 | more
    return packet(data(bytes([next_header, 0]) + word.to_bytes(2, "big") + bytes([0, 0, 0, 9]) +
                       content), nh=FRAGMENT)


def chain_to_fragment(count):
    """So many headers before a later fragment of UDP."""
    return chain(*[OPTIONS] * count, last=FRAGMENT,
                 payload=data(bytes([UDP_NUMBER, 0, 0, 8, 0, 0, 0, 9]) + b"x" * 16))


def closed(name, why, build, verdict=IPV6, **more):
    return Case(name, why, build, **{**same(verdict), **SIX, **more})


def passes(name, why, build, **more):
    return closed(name, why, build, NOT_GUARDED, **more)


def cut(build, length):
    return lambda source: raw(build(source))[:14 + length]


def plain_cases():
    yield closed("plain", "A SYN to the guarded port.", packet(tcp()))
    yield closed("ack", "A bare ACK.", packet(tcp(flags="A")))
    yield closed("link-local", "From the same link.", packet(tcp(), dst="fe80::10"),
                 sources=("fe80::1", "fe80::2"))
    yield closed("mapped", "v4-mapped: the listed IPv4 address inside an IPv6 one is not listed.",
                 packet(tcp(), dst="::ffff:10.0.0.10"), sources=(f"::ffff:{A}", f"::ffff:{B}"))
    yield closed("6to4", "6to4 with the listed address inside.", packet(tcp()),
                 sources=("2002:c633:6419::1", "2002:c633:641a::1"))
    yield closed("loopback-source", "From ::1.", packet(tcp()), sources=("::1", "::"))
    yield closed("multicast", "To a multicast address.", packet(tcp(), dst="ff02::1"))
    yield closed("vlan", "In a VLAN.", lambda source: ether() / Dot1Q(vlan=4) / ip6(source) / tcp())
    yield closed("vlan-4", "Behind four tags.", lambda source: ether() / Dot1Q() / Dot1Q() /
                 Dot1Q() / Dot1Q() / ip6(source) / tcp())
    yield passes("other-port", "Another port is not guarded.", packet(tcp(dport=22)))
    yield passes("port-0", "Port 0.", packet(tcp(dport=0)))
    yield passes("source-port", "The guarded port as source port: a reply.",
                 packet(tcp(sport=PORT, dport=40000, flags="SA")))
    yield passes("udp", "UDP to the guarded port's number.", packet(UDP(dport=PORT)))
    yield passes("no-next", "No next header; what follows is nobody's.",
                 packet(data(raw(tcp())), nh=NONE))
    yield passes("esp", "ESP: what it decrypts meets the backstop.",
                 packet(ESP(spi=1, data=raw(tcp()))))
    for number, name in ((4, "IPv4 in IPv6"), (41, "IPv6 in IPv6"), (47, "GRE"), (132, "SCTP"),
                         (253, "an experiment"), (255, "reserved")):
        yield passes(f"next-{number}", f"Not TCP: {name}.", packet(data(raw(tcp())), nh=number))


def neighbour_cases():
    yield passes("nd-ns", "Neighbour solicitation must pass.", packet(ICMPv6ND_NS(tgt=HOST6)))
    yield passes("nd-na", "Neighbour advertisement.", packet(ICMPv6ND_NA(tgt=HOST6)))
    yield passes("nd-rs", "Router solicitation.", packet(ICMPv6ND_RS()))
    yield passes("nd-ra", "Router advertisement.", packet(ICMPv6ND_RA()))
    yield passes("mld", "MLD, behind a hop-by-hop header with router alert.",
                 packet(IPv6ExtHdrHopByHop(options=[RouterAlert()]), ICMPv6MLReport2()))
    yield passes("too-big", "Packet too big: path MTU discovery.",
                 packet(ICMPv6PacketTooBig(mtu=1280), data(raw(IPv6() / tcp(sport=PORT)))))
    yield passes("unreachable", "Destination unreachable.",
                 packet(ICMPv6DestUnreach(), data(raw(IPv6() / tcp()))))
    yield passes("echo", "A ping.", packet(ICMPv6EchoRequest()))


def header_cases():
    yield closed("hop-by-hop", "Behind a hop-by-hop header.",
                 packet(IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]), tcp()))
    yield closed("destination-options", "Behind destination options.",
                 packet(IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))]), tcp()))
    yield closed("routing-0", "Behind a type 0 routing header.",
                 packet(IPv6ExtHdrRouting(addresses=[B6]), tcp()))
    for kind in (2, 3, 4):
        yield closed(f"routing-{kind}", f"Behind a type {kind} routing header.",
                     packet(IPv6ExtHdrRouting(type=kind, addresses=[B6]), tcp()))
    yield closed("authentication", "Behind an authentication header, whose length counts in fours.",
                 packet(data(bytes([TCP, 4]) + bytes(22) + raw(tcp())), nh=AUTHENTICATION))
    yield closed("authentication-short", "The shortest authentication header.",
                 packet(data(bytes([TCP, 1]) + bytes(10) + raw(tcp())), nh=AUTHENTICATION))
    yield closed("mobility", "Behind a mobility header.", chain(MOBILITY))
    yield closed("hip", "Behind a HIP header.", chain(HIP))
    yield closed("shim6", "Behind a shim6 header.", chain(SHIM6))
    yield closed("hop-by-hop-late", "Hop-by-hop anywhere but first: not legal, walked all the "
                 "same.", chain(OPTIONS, HOP))
    yield passes("headers-other-port", "Another port behind headers.",
                 chain(HOP, OPTIONS, payload=tcp(dport=22)))
    yield passes("headers-udp", "UDP behind headers.", chain(HOP, OPTIONS, last=UDP_NUMBER,
                                                            payload=UDP(dport=PORT)))
    yield closed("long-header", "A header of 2048 bytes, the longest.", chain(OPTIONS, length=2048))
    for count in (2, 4, 7, 8):
        yield closed(f"chain-{count}", f"{count} headers.", chain(*[OPTIONS] * count))
    yield passes("chain-8-other", "Eight headers are walked: another port passes.",
                 chain(*[OPTIONS] * 8, payload=tcp(dport=22)))
    yield passes("chain-8-udp", "Eight headers, then UDP.",
                 chain(*[OPTIONS] * 8, last=UDP_NUMBER, payload=UDP()))
    for count in (9, 10, 30):
        yield closed(f"chain-{count}", f"{count} headers: more than are walked.",
                     chain(*[OPTIONS] * count), IPV6_HOST)
    yield closed("chain-9-udp", "Nine headers: nobody can say that it is UDP.",
                 chain(*[OPTIONS] * 9, last=UDP_NUMBER, payload=UDP()), IPV6_HOST)
    yield closed("chain-9-other", "Nine headers, then another port.",
                 chain(*[OPTIONS] * 9, payload=tcp(dport=22)), IPV6_HOST)
    yield closed("chain-mixed", "One of each kind.",
                 chain(HOP, OPTIONS, ROUTING, OPTIONS, MOBILITY, HIP, SHIM6))
    yield closed("chain-cut", "The packet ends within a header.",
                 cut(chain(HOP, OPTIONS), 40 + 12), IPV6_HOST)
    yield closed("chain-cut-first", "The packet ends with the IPv6 header, which promises more.",
                 cut(chain(HOP), 40), IPV6_HOST)
    yield closed("chain-beyond", "A header that claims to end beyond the packet.",
                 packet(data(bytes([TCP, 255]) + bytes(6) + raw(tcp())), nh=OPTIONS), IPV6_HOST)
    yield passes("chain-beyond-udp", "The same before UDP, which is not read.",
                 packet(data(bytes([UDP_NUMBER, 255]) + bytes(6)), nh=OPTIONS))


def fragment_cases():
    syn = raw(tcp())
    other = raw(tcp(dport=22))
    yield closed("atomic", "An atomic fragment is a whole packet.", fragment(0, 0, TCP, syn))
    yield passes("atomic-other", "An atomic fragment to another port.", fragment(0, 0, TCP, other))
    yield closed("atomic-reserved", "With its reserved bits set.",
                 packet(data(bytes([TCP, 255, 0, 6]) + bytes(4) + syn), nh=FRAGMENT))
    yield closed("first", "A first TCP fragment.", fragment(0, 1, TCP, syn), IPV6_HOST)
    yield closed("first-8", "A first fragment of 8 bytes.", fragment(0, 1, TCP, syn[:8]), IPV6_HOST)
    yield closed("first-other", "A first TCP fragment to another port: the stated limit.",
                 fragment(0, 1, TCP, other), IPV6_HOST)
    yield closed("later", "A later TCP fragment.", fragment(24, 0, TCP, b"x" * 16), IPV6_HOST)
    yield closed("later-options", "A later fragment of a chain: what it is part of only the first "
                 "one shows.", fragment(24, 0, OPTIONS, b"x" * 16), IPV6_HOST)
    yield closed("later-fragment", "A later fragment that holds a fragment.",
                 fragment(8, 0, FRAGMENT, b"x" * 16), IPV6_HOST)
    yield closed("first-options", "A first fragment with options before TCP.",
                 fragment(0, 1, OPTIONS, extension(TCP) + syn), IPV6_HOST)
    yield closed("first-options-only", "A first fragment that ends before TCP begins.",
                 fragment(0, 1, OPTIONS, extension(TCP)), IPV6_HOST)
    yield closed("first-options-cut", "A first fragment that ends within its options.",
                 fragment(0, 1, OPTIONS, extension(TCP)[:4]), IPV6_HOST)
    yield closed("nested", "An atomic fragment within a first fragment.",
                 fragment(0, 1, FRAGMENT, bytes([TCP, 0, 0, 0, 0, 0, 0, 1]) + syn), IPV6_HOST)
    yield closed("nested-atomic", "Two atomic fragment headers.",
                 fragment(0, 0, FRAGMENT, bytes([TCP, 0, 0, 0, 0, 0, 0, 1]) + syn))
    yield closed("behind-hop-by-hop", "A TCP fragment behind a hop-by-hop header.",
                 packet(data(extension(FRAGMENT) + bytes([TCP, 0, 0, 1, 0, 0, 0, 9]) + syn),
                        nh=HOP), IPV6_HOST)
    yield closed("fragment-cut", "The packet ends within the fragment header.",
                 cut(fragment(0, 1, TCP, syn), 44), IPV6_HOST)
    yield passes("chain-7-later", "Seven headers, the eighth a later UDP fragment.",
                 chain_to_fragment(7))
    yield closed("chain-8-later", "The later UDP fragment as a ninth header: one too many.",
                 chain_to_fragment(8), IPV6_HOST)
    yield passes("udp-first", "UDP fragments pass: first.",
                 fragment(0, 1, UDP_NUMBER, raw(UDP(dport=PORT)) + b"x" * 8))
    yield passes("udp-later", "UDP fragments pass: later, looking like a SYN.",
                 fragment(8, 0, UDP_NUMBER, syn))
    yield passes("icmp-later", "ICMPv6 fragments pass.", fragment(8, 0, ICMP6, b"x" * 8))


def length_cases():
    yield closed("cut-8", "The frame ends within the IPv6 header.", cut(packet(tcp()), 8), IPV6_HOST)
    yield closed("cut-39", "One byte short of an IPv6 header.", cut(packet(tcp()), 39), IPV6_HOST)
    yield closed("cut-40", "Only the IPv6 header, which promises TCP.", cut(packet(tcp()), 40),
                 IPV6_HOST)
    yield closed("cut-43", "The frame ends within the destination port.", cut(packet(tcp()), 43),
                 IPV6_HOST)
    yield closed("cut-44", "Just the ports are there.", cut(packet(tcp()), 44))
    yield passes("cut-44-other", "Just the ports of another service.",
                 cut(packet(tcp(dport=22)), 44))
    for version in (0, 4, 5, 15):
        yield closed(f"version-{version}", "The EtherType says IPv6, the header does not.",
                     packet(tcp(), version=version), IPV6_HOST)
    yield closed("payload-0", "Payload length 0 without a jumbo option.", packet(tcp(), plen=0))
    yield closed("payload-3", "A payload that ends within the ports.", packet(tcp(), plen=3),
                 IPV6_HOST)
    yield closed("payload-4", "A payload of just the ports.", packet(tcp(), plen=4))
    yield closed("payload-long", "A payload longer than the frame.", packet(tcp(), plen=9000))
    yield passes("padding", "UDP, behind it padding like a SYN.",
                 packet(UDP(dport=53, len=8), data(raw(tcp())), plen=8))
    yield closed("jumbogram", "A jumbo payload option, though the packet is small.",
                 packet(data(bytes([TCP, 0, 0xC2, 4, 0, 1, 0, 0]) + raw(tcp())), nh=HOP, plen=0))


def policy_cases():
    yield closed("address", "An endpoint with an IPv4 address guards its ports on every IPv6 "
                 "address; as two databases have the port, neither counts it.", packet(tcp()),
                 IPV6_HOST, policy="addresses")
    yield closed("address-one", "A port that one database has.", packet(tcp(dport=6432)),
                 "drop ipv6 ledger", policy="addresses")
    yield closed("mixed", "A port with an endpoint for any address and one for an address.",
                 packet(tcp()), IPV6_HOST, policy="mixed")
    yield passes("all-only", "`ports: all` means nothing for IPv6.", packet(tcp()),
                 policy="all-only")
    yield passes("all-only-chain", "Nor need a chain be walked then.",
                 chain(*[OPTIONS] * 9), policy="all-only")
    yield closed("all-and-port", "Beside it a port is guarded as ever.", packet(tcp()),
                 policy="all-ports")
    yield passes("nothing", "No database: IPv6 is open.", packet(tcp()), policy="nothing")
    yield passes("nothing-broken", "And nothing is malformed.", cut(packet(tcp()), 20),
                 policy="nothing")
    yield closed("everyone", "0.0.0.0/0 lists no IPv6.", packet(tcp()), policy="everyone")


def cases():
    yield from plain_cases()
    yield from neighbour_cases()
    yield from header_cases()
    yield from fragment_cases()
    yield from length_cases()
    yield from policy_cases()
