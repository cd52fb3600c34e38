# SPDX-License-Identifier: BSD-2-Clause
"""The IPv4 header: its lengths, its options, and what hides behind them."""

from scapy.all import GRE, ICMP, UDP, VXLAN, Dot1Q, IPOption, IPv6, Padding

from builder import A, HOST, MALFORMED, NOT_GUARDED, PORT, Case, data, ether, ip, raw, same, tcp

BROKEN = "drop malformed orders"  # found once the database is known
SOURCE_ROUTE = "drop source-route orders"
NOP = b"\x01"


def options(content, payload=tcp, **fields):
    """An IPv4 packet with these bytes as options, a multiple of four."""
    assert len(content) % 4 == 0 and len(content) <= 40
    return lambda source: ether() / ip(source, options=IPOption(content), **fields) / payload()


def header(**fields):
    """A SYN whose IPv4 header has these fields, right or wrong."""
    return lambda source: ether() / ip(source, **fields) / tcp()


def carrying(protocol, content=b""):
    return lambda source: ether() / ip(source, proto=protocol) / data(content + raw(tcp()))


def cut(build, length):
    return lambda source: raw(build(source))[:14 + length]


def option_cases():
    for ihl in range(6, 16):
        yield Case(f"ihl-{ihl}", "The TCP header begins where IHL says, whatever the options.",
                   options(NOP * (ihl - 5) * 4))
    yield Case("ihl-15-cut", "The frame ends within its options.",
               cut(options(NOP * 40), 56), **same(MALFORMED))
    yield Case("router-alert", "Router alert (RFC 2113).", options(bytes.fromhex("94040000")))
    yield Case("record-route", "Record route, with room for nine addresses.",
               options(bytes([7, 39, 4]) + bytes(36) + NOP))
    yield Case("timestamp", "Internet timestamp.", options(bytes([68, 12, 5, 0]) + bytes(8)))
    yield Case("security", "The basic security option (RFC 1108).",
               options(bytes([130, 11, 0xAB]) + bytes(8) + b"\x00"))
    yield Case("cipso", "A CIPSO label, which the kernel takes or refuses by its own rules.",
               options(bytes([134, 10]) + (1).to_bytes(4, "big") + bytes([1, 4, 0, 1]) + NOP * 2))
    yield Case("timestamp-given", "A timestamp option that names the hosts to fill it in.",
               options(bytes([68, 12, 5, 3, 10, 0, 0, 10]) + bytes(4)))
    yield Case("end-at-once", "Options that end with their first byte.", options(bytes(8)))
    yield Case("options-unknown", "An option nobody knows, whole.", options(bytes([222, 4, 1, 2])))
    yield Case("options-look-like-port", "Where a fixed offset takes the ports from, the options "
               "say 22; TCP behind them says 5432.",
               options(bytes([222, 8]) + (22).to_bytes(2, "big") + bytes(4)))
    yield Case("options-look-guarded", "The other way round: the options say 5432, TCP says 22.",
               options(bytes([222, 8]) + PORT.to_bytes(2, "big") + bytes(4),
                       lambda: tcp(dport=22)), **same(NOT_GUARDED))
    yield Case("lsrr", "Loose source route: the listed address need not be where it came from.",
               options(bytes([131, 7, 4, 10, 0, 0, 99]) + NOP), **same(SOURCE_ROUTE))
    yield Case("ssrr", "Strict source route.", options(bytes([137, 7, 4, 10, 0, 0, 99]) + NOP),
               **same(SOURCE_ROUTE))
    yield Case("lsrr-done", "A source route already travelled.",
               options(bytes([131, 7, 8, 10, 0, 0, 99]) + NOP), **same(SOURCE_ROUTE))
    yield Case("lsrr-after-nops", "A source route behind padding.",
               options(NOP * 29 + bytes([131, 11, 4]) + bytes(8)), **same(SOURCE_ROUTE))
    yield Case("lsrr-after-option", "A source route behind another option.",
               options(bytes([148, 4, 0, 0]) + bytes([131, 7, 4, 10, 0, 0, 99]) + NOP),
               **same(SOURCE_ROUTE))
    yield Case("lsrr-inside-option", "131 as another option's content is no source route.",
               options(bytes([222, 8, 131, 7, 4, 10, 0, 0])))
    yield Case("lsrr-after-end", "Behind the end of the options nobody reads on.",
               options(bytes([0, 131, 7, 4, 10, 0, 0, 99])))
    yield Case("lsrr-last-byte", "A source route cut down to its type.",
               options(NOP * 3 + bytes([131])), **same(SOURCE_ROUTE))
    yield Case("lsrr-twice", "Two source routes.",
               options(bytes([131, 7, 8, 10, 0, 0, 99]) + bytes([131, 7, 4, 10, 0, 0, 99]) + NOP * 2),
               **same(SOURCE_ROUTE))
    yield Case("lsrr-length-3", "A source route without an address.",
               options(bytes([131, 3, 4]) + NOP), **same(SOURCE_ROUTE))
    yield Case("ssrr-to-guarded", "To an address that is not guarded, and from there on to the one "
               "that is: the kernel puts the next one in the place of the destination.",
               options(bytes([137, 7, 4, 10, 0, 0, 20]) + NOP, dst="10.0.0.99"), policy="addresses",
               backstop="AB", **same(NOT_GUARDED))
    yield Case("lsrr-to-guarded", "The same with a loose source route.",
               options(bytes([131, 7, 4, 10, 0, 0, 20]) + NOP, dst="10.0.0.99"), policy="addresses",
               backstop="AB", **same(NOT_GUARDED))
    yield Case("lsrr-not-guarded", "Source routes matter on guarded ports alone.",
               options(bytes([131, 7, 4, 10, 0, 0, 99]) + NOP, lambda: tcp(dport=22)),
               **same(NOT_GUARDED))
    yield Case("option-length-0", "An option of length 0 would hold a careless walk for ever.",
               options(bytes([222, 0, 0, 0])), **same(BROKEN))
    yield Case("option-length-1", "An option shorter than its own head.",
               options(bytes([222, 1, 0, 0])), **same(BROKEN))
    yield Case("option-too-long", "An option that reaches into the TCP header.",
               options(bytes([222, 5, 0, 0])), **same(BROKEN))
    yield Case("option-255", "An option that claims 255 bytes.",
               options(NOP * 36 + bytes([222, 255, 0, 0])), **same(BROKEN))
    yield Case("option-without-length", "The last byte opens an option without a length.",
               options(NOP * 3 + bytes([222])), **same(BROKEN))
    yield Case("option-hides-lsrr", "A length made to step over the source route behind it.",
               options(bytes([222, 9, 131, 7, 4, 10, 0, 0])), **same(BROKEN))


def length_cases():
    for ihl in range(0, 5):
        yield Case(f"ihl-{ihl}", "A header shorter than IPv4's.", header(ihl=ihl),
                   **same(MALFORMED))
    for version in (0, 5, 6, 15):
        yield Case(f"version-{version}", "The EtherType says IPv4, the header does not.",
                   header(version=version), **same(MALFORMED))
    for total, why in ((0, "0 without 64 KiB of packet is no BIG TCP"), (1, "one byte"),
                       (19, "shorter than the header"), (41, "one byte beyond the frame"),
                       (1500, "far beyond the frame"), (0xFFFF, "the largest there is")):
        yield Case(f"total-{total}", f"Total length: {why}.", header(len=total), **same(MALFORMED))
    yield Case("total-no-tcp", "A packet that ends with its IP header; TCP follows as padding.",
               header(len=20), **same(MALFORMED))
    yield Case("total-half-tcp", "A packet that ends in the middle of the TCP header.",
               header(len=30), **same(MALFORMED))
    yield Case("total-39", "One byte short of a TCP header.", header(len=39), **same(MALFORMED))
    yield Case("total-options", "A packet that ends with its options; TCP follows as padding.",
               options(NOP * 20, len=40), **same(MALFORMED))
    yield Case("total-below-ihl", "Total length between 20 and what IHL claims.",
               lambda source: ether() / ip(source, ihl=10, len=24) / tcp() / data(bytes(40)),
               **same(MALFORMED))
    yield Case("total-cuts-options", "TCP options beyond total length, but within the frame.",
               lambda source: ether() / ip(source, len=40) / tcp(dataofs=8) / data(NOP * 12),
               **same(MALFORMED))
    yield Case("padding-like-tcp", "A UDP packet, behind it padding like a TCP header.",
               lambda source: ether() / ip(source, proto=17, len=28) / UDP(dport=PORT, len=8) /
               data(raw(tcp())), **same(NOT_GUARDED))
    yield Case("padding-like-port", "TCP to 22; the padding says 5432.",
               lambda source: ether() / ip(source, len=40) / tcp(dport=22) / Padding(raw(tcp())),
               **same(NOT_GUARDED))
    yield Case("padding", "Any padding behind a whole packet is nobody's.",
               lambda source: ether() / ip(source, len=40) / tcp() / Padding(b"\xff" * 20))
    yield Case("cut-19", "The frame ends within the IPv4 header.", cut(header(), 19),
               **same(MALFORMED))
    yield Case("cut-39", "The frame ends within the TCP header.", cut(header(), 39),
               **same(MALFORMED))


def field_cases():
    yield Case("reserved-flag", "The reserved flag (RFC 3514) is no fragment.", header(flags=4))
    yield Case("reserved-and-df", "Reserved flag and DF.", header(flags=6))
    yield Case("df", "DF, as most packets have it.", header(flags="DF"))
    yield Case("ttl-0", "TTL 0: judged like any other.", header(ttl=0))
    yield Case("ttl-1", "TTL 1.", header(ttl=1))
    yield Case("tos-255", "DSCP and ECN do not matter.", header(tos=255))
    yield Case("id-0", "An identification of 0.", header(id=0))
    yield Case("checksum-bad", "Checksums are for the kernel to check: judged the same.",
               header(chksum=0xDEAD))
    yield Case("checksum-0", "A checksum of zero.", header(chksum=0))


def protocol_cases():
    for number, name in ((0, "hop-by-hop's number"), (2, "IGMP"), (4, "IPv4 in IPv4"),
                         (41, "IPv6 in IPv4"), (47, "GRE"), (50, "ESP"), (51, "AH"), (89, "OSPF"),
                         (132, "SCTP"), (136, "UDP-Lite"), (255, "reserved")):
        yield Case(f"protocol-{number}", f"Not TCP ({name}): passes; what a tunnel unpacks meets "
                   "the backstop.", carrying(number), **same(NOT_GUARDED))
    # Behind a tag: between generic XDP and a tc program, which unpacks here, Linux 6.18 forgets how
    # long the header of an untagged frame is.
    tunnels = (("ipip", 4, lambda inner: inner), ("gre", 47, lambda inner: GRE() / inner),
               ("udp-vxlan", 17, lambda inner: UDP(sport=40000, dport=4789) / VXLAN(vni=7) /
                ether() / inner))
    for name, number, wrap in tunnels:
        yield Case(f"tunnel-{name}", "A SYN within a tunnel from a listed host: what unpacks it "
                   "hands it to the backstop.", lambda source, number=number, wrap=wrap: ether() /
                   Dot1Q(vlan=0) / ip(A, proto=number) / wrap(ip(source) / tcp()), backstop="B",
                   **same(NOT_GUARDED))
    yield Case("tunnel-6in4", "An IPv6 SYN within IPv4.",
               lambda source: ether() / ip(source, proto=41) /
               IPv6(src="2001:db8::25", dst="2001:db8:1::10") / tcp(), **same(NOT_GUARDED))
    yield Case("authentication", "An authentication header before TCP: not TCP to IPv4, whose "
               "kernel unpacks it or not, before the backstop.",
               carrying(51, bytes([6, 4]) + bytes(22)), **same(NOT_GUARDED))
    yield Case("esp", "ESP that hides nothing (RFC 2410).",
               lambda source: ether() / ip(source, proto=50) /
               data(bytes([0, 0, 0, 1, 0, 0, 0, 1]) + raw(tcp()) + bytes([1, 2, 2, 6])),
               **same(NOT_GUARDED))
    yield Case("udp", "UDP to the guarded port's number.",
               lambda source: ether() / ip(source) / UDP(sport=40000, dport=PORT),
               **same(NOT_GUARDED))
    yield Case("icmp-echo", "A ping.", lambda source: ether() / ip(source) / ICMP(),
               **same(NOT_GUARDED))
    yield Case("icmp-error", "An ICMP error that quotes a packet to the guarded port.",
               lambda source: ether() / ip(source) / ICMP(type=3, code=4) /
               ip(HOST, dst=source) / tcp(sport=PORT, dport=40000), **same(NOT_GUARDED))


def cases():
    yield from option_cases()
    yield from length_cases()
    yield from field_cases()
    yield from protocol_cases()
