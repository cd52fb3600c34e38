# SPDX-License-Identifier: BSD-2-Clause
"""IPv6 has no rules: a guarded port is closed to all of it, whatever headers stand before TCP."""

import socket

from scapy.all import (ESP, UDP, Dot1Q, ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6MLReport2,
                       ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6PacketTooBig, IPv6,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, RouterAlert)

from builder import (A, A6, B, B6, HOST6, IPV6, IPV6_HOST, NOT_GUARDED, PORT, Case, data, ether,
                     ip, ip6, raw, same, tcp)

SIX = {"sources": (A6, B6)}
HOP, ROUTING, FRAGMENT, AUTHENTICATION, NONE, OPTIONS = 0, 43, 44, 51, 59, 60
MOBILITY, HIP, SHIM6 = 135, 139, 140
TCP, UDP_NUMBER, ICMP6, IPV4, IPV6_NUMBER = 6, 17, 58, 4, 41


def inet6(address):
    return socket.inet_pton(socket.AF_INET6, address)


def packet(*layers, **fields):
    """An IPv6 packet of these layers."""
    def build(source):
        frame = ether() / ip6(source, **fields)
        for layer in layers:
            frame = frame / layer
        return frame
    return build


def extension(next_header, length=8):
    """`length` bytes of a header of the common form, filled with options that nobody knows and
    everybody skips; Linux takes no more than 7 bytes of padding in a row."""
    options, room = b"", length - 2
    while room > 0:
        content = min(room - 2, 255)
        if room - 2 - content == 1:
            content -= 1  # a single byte would have no room for an option's length
        options += bytes([0x1E, content]) + bytes(content)
        room = length - 2 - len(options)
    return bytes([next_header, length // 8 - 1]) + options


def of(layer, dst=HOST6):
    """A layer's bytes, its checksum right for the packet that it goes in."""
    return lambda source: raw(IPv6(src=source, dst=dst) / layer)[40:]


def behind(number, *parts, **fields):
    """An IPv6 packet whose first header has this number; parts are bytes, or made for a source."""
    def build(source):
        content = b"".join(each if isinstance(each, bytes) else each(source) for each in parts)
        return ether() / ip6(source, nh=number, **fields) / data(content)
    return build


def chain(*numbers, last=TCP, payload=None, length=8):
    """Extension headers of these numbers in a row, then `last`."""
    headers = [extension(following, length) for following in (*numbers[1:], last)]
    return behind(numbers[0], *headers, of(tcp() if payload is None else payload))


def fragment(offset, more, next_header, *parts, number=9):
    word = offset // 8 << 3 | more
    return behind(FRAGMENT, bytes([next_header, 0]) + word.to_bytes(2, "big") +
                  number.to_bytes(4, "big"), *parts)


def piece(start, end=None, layer=None):
    """These bytes of a SYN of 32 bytes, or of another layer."""
    whole = of(layer or tcp() / data(b"x" * 12))
    return lambda source: whole(source)[start:end]


def chain_to_fragment(count):
    """So many headers before a later fragment of UDP."""
    return chain(*[OPTIONS] * count, last=FRAGMENT,
                 payload=data(bytes([UDP_NUMBER, 0, 0, 8, 0, 0, 0, 50 + count]) + b"x" * 16))


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
    yield closed("anycast", "To the subnet routers' anycast address, which is a router's own.",
                 packet(tcp(), dst="2001:db8:1::"))
    yield closed("compatible", "To the guarded address as an IPv4-compatible one.",
                 packet(tcp(), dst="::10.0.0.10"), sources=(f"::{A}", f"::{B}"))
    yield closed("loopback", "To ::1, from the wire.", packet(tcp(), dst="::1"))
    yield closed("own-source", "From the host's own address, and from a multicast one.",
                 packet(tcp()), sources=(HOST6, "ff02::1"))
    yield closed("mapped-loopback", "From 127.0.0.1 as a v4-mapped address.", packet(tcp()),
                 sources=("::ffff:127.0.0.1", "::ffff:0.0.0.0"))
    yield closed("flow-label", "With a flow label and a traffic class.",
                 packet(tcp(), fl=0xFFFFF, tc=255))
    yield closed("hop-limit-0", "A hop limit of 0.", packet(tcp(), hlim=0))
    yield closed("priority", "Behind a priority tag, which the kernel strips.",
                 lambda source: ether() / Dot1Q(vlan=0) / ip6(source) / tcp())
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
                 packet(IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]), tcp()))
    yield closed("destination-options-padded", "With more padding than Linux takes.",
                 packet(IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))]), tcp()))
    yield closed("home-address", "A home address option, which puts another source in the place of "
                 "the packet's.", behind(OPTIONS, bytes([TCP, 2, 1, 2, 0, 0, 201, 16]) +
                                         inet6(A6), of(tcp())))
    yield closed("tunnel-limit", "A tunnel encapsulation limit.",
                 behind(OPTIONS, bytes([TCP, 0, 4, 1, 0, 1, 1, 0]), of(tcp())))
    yield closed("option-beyond", "An option that claims to end beyond its header.",
                 behind(OPTIONS, bytes([TCP, 0, 0x1E, 200]) + bytes(4), of(tcp())))
    yield closed("option-refused", "An option whose number asks for an answer where it is unknown.",
                 behind(OPTIONS, bytes([TCP, 0, 0xDE, 4]) + bytes(4), of(tcp())))
    yield closed("router-alert", "A router alert before TCP.",
                 behind(HOP, bytes([TCP, 0, 5, 2, 0, 0, 1, 0]), of(tcp())))
    yield closed("routing-0", "Behind a type 0 routing header.",
                 packet(IPv6ExtHdrRouting(addresses=[B6]), tcp()))
    for kind in (2, 3, 4):
        yield closed(f"routing-{kind}", f"Behind a type {kind} routing header.",
                     packet(IPv6ExtHdrRouting(type=kind, addresses=[B6]), tcp()))
    for kind in (0, 2, 3, 4, 5, 253):
        yield closed(f"routing-{kind}-done", f"Behind a routing header of type {kind}, no segments "
                     "left.", behind(ROUTING, bytes([TCP, 2, kind, 0]) + bytes(4) + inet6(HOST6),
                                     of(tcp())))
    yield closed("routing-4-self", "A segment list whose last segment is the host once more.",
                 behind(ROUTING, bytes([TCP, 4, 4, 1, 1, 0, 0, 0]) + inet6(HOST6) * 2, of(tcp())))
    yield closed("routing-empty", "A routing header of 8 bytes, without an address.",
                 behind(ROUTING, bytes([TCP, 0, 0, 0]) + bytes(4), of(tcp())))
    yield closed("authentication", "Behind an authentication header, whose length counts in fours.",
                 behind(AUTHENTICATION, bytes([TCP, 4]) + bytes(22), of(tcp())))
    yield closed("authentication-short", "The shortest authentication header.",
                 behind(AUTHENTICATION, bytes([TCP, 1]) + bytes(10), of(tcp())))
    yield passes("authentication-esp", "An authentication header, then ESP: what they hide meets "
                 "the backstop.", behind(AUTHENTICATION, bytes([50, 4]) + bytes(22), bytes(8),
                                         of(tcp())))
    yield closed("mobility", "Behind a mobility header.", chain(MOBILITY))
    yield closed("hip", "Behind a HIP header.", chain(HIP))
    yield closed("shim6", "Behind a shim6 header.", chain(SHIM6))
    yield closed("hop-by-hop-late", "Hop-by-hop anywhere but first: not legal, walked all the "
                 "same.", chain(OPTIONS, HOP))
    yield closed("hop-by-hop-twice", "Hop-by-hop twice.", chain(HOP, HOP))
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
                 behind(OPTIONS, bytes([TCP, 255]) + bytes(6), of(tcp())), IPV6_HOST)
    yield passes("chain-beyond-udp", "The same before UDP, which is not read.",
                 packet(data(bytes([UDP_NUMBER, 255]) + bytes(6)), nh=OPTIONS))


def fragment_cases():
    syn = of(tcp())
    other = of(tcp(dport=22))
    again = bytes([TCP, 0, 0, 0, 0, 0, 0, 1])  # a fragment header that makes no fragment
    yield closed("atomic", "An atomic fragment is a whole packet.", fragment(0, 0, TCP, syn))
    yield passes("atomic-other", "An atomic fragment to another port.", fragment(0, 0, TCP, other))
    yield closed("atomic-reserved", "With its reserved bits set.",
                 behind(FRAGMENT, bytes([TCP, 255, 0, 6]) + bytes(4), syn))
    yield closed("atomic-options", "An atomic fragment with options behind it.",
                 fragment(0, 0, OPTIONS, extension(TCP), syn))
    yield closed("first", "A first TCP fragment.", fragment(0, 1, TCP, piece(0, 24), number=21),
                 IPV6_HOST)
    yield closed("first-8", "A first fragment of 8 bytes.",
                 fragment(0, 1, TCP, piece(0, 8), number=22), IPV6_HOST)
    yield closed("first-other", "A first TCP fragment to another port: the stated limit.",
                 fragment(0, 1, TCP, piece(0, 16, tcp(dport=22)), number=23), IPV6_HOST)
    yield closed("later", "A later TCP fragment.", fragment(24, 0, TCP, b"x" * 16, number=24),
                 IPV6_HOST)
    yield closed("later-options", "A later fragment of a chain: what it is part of only the first "
                 "one shows.", fragment(24, 0, OPTIONS, b"x" * 16, number=25), IPV6_HOST)
    yield closed("later-fragment", "A later fragment that holds a fragment.",
                 fragment(8, 0, FRAGMENT, b"x" * 16, number=26), IPV6_HOST)
    yield closed("first-options", "A first fragment with options before TCP.",
                 fragment(0, 1, OPTIONS, extension(TCP), piece(0, 24), number=27), IPV6_HOST)
    yield closed("first-options-only", "A first fragment that ends before TCP begins.",
                 fragment(0, 1, OPTIONS, extension(TCP), number=28), IPV6_HOST)
    yield closed("first-options-cut", "A first fragment that ends within its options.",
                 fragment(0, 1, OPTIONS, extension(TCP)[:4], number=29), IPV6_HOST)
    yield closed("nested", "An atomic fragment within a first fragment.",
                 fragment(0, 1, FRAGMENT, again, piece(0, 24), number=30), IPV6_HOST)
    yield closed("nested-atomic", "Two atomic fragment headers.",
                 fragment(0, 0, FRAGMENT, again, syn))
    yield closed("behind-hop-by-hop", "A TCP fragment behind a hop-by-hop header.",
                 behind(HOP, extension(FRAGMENT), bytes([TCP, 0, 0, 1, 0, 0, 0, 31]),
                        piece(0, 24)), IPV6_HOST)
    yield closed("fragment-cut", "The packet ends within the fragment header.",
                 cut(fragment(0, 1, TCP, syn, number=32), 44), IPV6_HOST)
    yield passes("chain-7-later", "Seven headers, the eighth a later UDP fragment.",
                 chain_to_fragment(7))
    yield closed("chain-8-later", "The later UDP fragment as a ninth header: one too many.",
                 chain_to_fragment(8), IPV6_HOST)
    yield passes("udp-first", "UDP fragments pass: first.",
                 fragment(0, 1, UDP_NUMBER, raw(UDP(dport=PORT)) + b"x" * 8, number=33))
    yield passes("udp-later", "UDP fragments pass: later, looking like a SYN.",
                 fragment(8, 0, UDP_NUMBER, syn, number=34))
    yield passes("icmp-later", "ICMPv6 fragments pass.",
                 fragment(8, 0, ICMP6, b"x" * 8, number=35))


def sequence_cases():
    """Fragments that a kernel puts together, each case with an identification of its own."""
    def two(number, protocol=TCP, layer=None):
        return (fragment(0, 1, protocol, piece(0, 24, layer), number=number),
                fragment(24, 0, protocol, piece(24, None, layer), number=number))

    def in_order(name, why, frames, verdict=IPV6_HOST):
        return closed(name, why, frames[-1], verdict, earlier=frames[:-1])

    yield in_order("two", "A SYN in two pieces.", two(41))
    yield in_order("two-reversed", "The last piece first.", two(42)[::-1])
    yield in_order("two-overlap", "To port 22, and written over by a second first piece.",
                   (fragment(0, 1, TCP, piece(0, 24, tcp(dport=22) / data(b"x" * 12)), number=43),
                    *two(43)))
    yield in_order("two-udp", "UDP in two pieces is put together and answered.",
                   two(45, UDP_NUMBER, UDP(sport=40000, dport=PORT) / data(b"x" * 24)), NOT_GUARDED)
    yield in_order("two-options", "Options in the first piece, TCP in the second.",
                   (fragment(0, 1, OPTIONS, extension(TCP, 24), number=46),
                    fragment(24, 0, OPTIONS, of(tcp()), number=46)))


def decapsulated_cases():
    """What a host with segment routing on unpacks at once, and hands to itself as a new packet."""
    def inside(number, layer):
        header = bytes([number, 2, 4, 0, 0, 0, 0, 0]) + inet6(HOST6)
        return lambda source: (ether() / IPv6(src=B6, dst=HOST6, nh=ROUTING) /
                               data(header + raw(layer(source))))

    yield Case("segments-ipv4", "The end of a segment list, and in it an IPv4 packet to the guarded "
               "port: what guards the NIC passes it, as it passes all tunnels.",
               inside(IPV4, lambda source: ip(source) / tcp()), backstop="B", **same(NOT_GUARDED))
    yield Case("segments-ipv6", "The same with an IPv6 packet inside.",
               inside(IPV6_NUMBER, lambda source: ip6(source) / tcp()), backstop="AB",
               **same(NOT_GUARDED), **SIX)
    yield Case("segments-other", "The same to another port.",
               inside(IPV4, lambda source: ip(source) / tcp(dport=22)), **same(NOT_GUARDED))


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
                 behind(HOP, bytes([TCP, 0, 0xC2, 4, 0, 1, 0, 0]), of(tcp()), plen=0))
    yield closed("jumbogram-true", "A jumbo payload option that says what is there.",
                 behind(HOP, bytes([TCP, 0, 0xC2, 4, 0, 0, 0, 28]), of(tcp()), plen=0))
    yield closed("jumbogram-and-length", "A jumbo payload option beside a payload length.",
                 behind(HOP, bytes([TCP, 0, 0xC2, 4, 0, 1, 0, 0]), of(tcp())))


def all_closed_cases():
    yield closed("all-closed", "`ports: all` with `ipv6: closed` closes every TCP port.",
                 packet(tcp(dport=22)), "drop ipv6 vault", policy="all-closed")
    yield closed("all-closed-reply", "Replies to connections that the host opened among them.",
                 packet(tcp(sport=443, dport=40000, flags="SA")), "drop ipv6 vault",
                 policy="all-closed")
    yield closed("all-closed-port", "A port that another database guards as well: neither counts "
                 "it.", packet(tcp()), IPV6_HOST, policy="all-closed")
    yield closed("all-closed-chain", "A chain without end.", chain(*[OPTIONS] * 9), IPV6_HOST,
                 policy="all-closed")
    yield passes("all-closed-udp", "UDP is as open as ever.", packet(UDP(dport=22)),
                 policy="all-closed")
    yield passes("all-closed-icmp", "And ICMPv6.", packet(ICMPv6EchoRequest()),
                 policy="all-closed")
    yield closed("all-closed-monitor", "In monitor mode it is counted and passes.",
                 packet(tcp(dport=22)), "monitor ipv6 vault", policy="all-closed-monitor")
    yield closed("all-closed-monitor-port", "Not so a port that another database guards and "
                 "enforces.", packet(tcp()), IPV6_HOST, policy="all-closed-monitor")


def policy_cases():
    yield closed("address", "An endpoint with an IPv4 address guards its ports on every IPv6 "
                 "address; as two databases have the port, neither counts it.", packet(tcp()),
                 IPV6_HOST, policy="addresses")
    yield closed("address-one", "A port that one database has.", packet(tcp(dport=6432)),
                 "drop ipv6 ledger", policy="addresses")
    yield closed("mixed", "A port with an endpoint for any address and one for an address.",
                 packet(tcp()), IPV6_HOST, policy="mixed")
    yield passes("all-only", "`ports: all` alone means nothing for IPv6.", packet(tcp()),
                 policy="all-only")
    yield passes("all-only-chain", "Nor need a chain be walked then.",
                 chain(*[OPTIONS] * 9), policy="all-only")
    yield closed("all-and-port", "Beside it a port is guarded as ever.", packet(tcp()),
                 policy="all-ports")
    yield from all_closed_cases()
    yield passes("nothing", "No database: IPv6 is open.", packet(tcp()), policy="nothing")
    yield passes("nothing-broken", "And nothing is malformed.", cut(packet(tcp()), 20),
                 policy="nothing")
    yield closed("everyone", "0.0.0.0/0 lists no IPv6.", packet(tcp()), policy="everyone")


def cases():
    yield from plain_cases()
    yield from neighbour_cases()
    yield from header_cases()
    yield from fragment_cases()
    yield from sequence_cases()
    yield from decapsulated_cases()
    yield from length_cases()
    yield from policy_cases()
