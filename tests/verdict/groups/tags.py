# SPDX-License-Identifier: BSD-2-Clause
"""Ethernet and its tags: nothing in front of the IP header may hide it."""

from scapy.all import ARP, Dot1AD, Dot1Q, LLC, SNAP, Dot3

from builder import (HOST, IPV6_HOST, MALFORMED, NOT_IP, VLAN_DEPTH, Case, both, data, ether, raw,
                     same)


def tagged(*vlans, kind=Dot1Q):
    """A SYN behind these tags, outermost first."""
    def build(source):
        frame = ether()
        for vlan in vlans:
            frame = frame / (vlan if not isinstance(vlan, int) else kind(vlan=vlan))
        return frame / both(source)
    return build


def arp(*vlans):
    def build(source):
        frame = ether()
        for vlan in vlans:
            frame = frame / Dot1Q(vlan=vlan)
        return frame / ARP(psrc=source, pdst=HOST, hwsrc="02:00:00:00:00:01")
    return build


def cut(build, length):
    return lambda source: raw(build(source))[:length]


def of_type(ethertype, content=b""):
    """A frame of an EtherType that is not IP, carrying what looks like an IPv4 packet."""
    return lambda source: ether(ethertype) / data(content + raw(both(source)))


def cases():
    yield Case("plain", "An ordinary SYN: what all others are to be compared with.", tagged())
    yield Case("vlan", "A tag must not hide the packet behind it.", tagged(100))
    yield Case("vlan-0", "VID 0 is only a priority: the kernel takes the frame as untagged.",
               tagged(0))
    yield Case("vlan-0-0", "Stacked priority tags: the kernel strips them one after the other.",
               tagged(0, 0))
    yield Case("vlan-4095", "Reserved VID with all bits of the TCI set.",
               tagged(Dot1Q(prio=7, id=1, vlan=4095)))
    yield Case("vlan-ad", "802.1ad (0x88a8) as the only tag.", tagged(10, kind=Dot1AD))
    yield Case("vlan-ad-q", "802.1ad with 802.1Q inside, as providers stack them.",
               tagged(Dot1AD(vlan=10), Dot1Q(vlan=20)))
    yield Case("vlan-q-ad", "The other way round.", tagged(Dot1Q(vlan=10), Dot1AD(vlan=20)))
    yield Case("vlan-ad-ad", "802.1ad twice.", tagged(10, 20, kind=Dot1AD))
    yield Case("vlan-3", "Three tags.", tagged(1, 2, 3))
    yield Case("vlan-4", "Four tags, the most that are walked.", tagged(1, 2, 3, 4))
    yield Case("vlan-4-zero", "Four priority tags.", tagged(0, 0, 0, 0))
    yield Case("vlan-5", "A fifth tag: nobody nests so deep, so it is not walked but dropped.",
               tagged(1, 2, 3, 4, 5), **same(VLAN_DEPTH))
    yield Case("vlan-5-zero", "Five priority tags, which the kernel would strip.",
               tagged(0, 0, 0, 0, 0), **same(VLAN_DEPTH))
    yield Case("vlan-8", "Eight tags.", tagged(1, 2, 3, 4, 5, 6, 7, 8), **same(VLAN_DEPTH))
    yield Case("vlan-arp", "ARP in a VLAN must pass.", arp(7), **same(NOT_IP))
    yield Case("vlan-4-arp", "ARP behind the most tags that are walked.", arp(1, 2, 3, 4),
               **same(NOT_IP))
    yield Case("vlan-5-arp", "Too deep to see that it is ARP.", arp(1, 2, 3, 4, 5),
               **same(VLAN_DEPTH))
    yield Case("vlan-0-ad", "A priority tag of 802.1ad.", tagged(0, kind=Dot1AD))
    yield Case("vlan-0-ad-q", "Priority tags of both kinds.", tagged(Dot1AD(vlan=0), Dot1Q(vlan=0)))
    yield Case("vlan-0-q-ad", "The other way round.", tagged(Dot1Q(vlan=0), Dot1AD(vlan=0)))
    yield Case("vlan-0-priority", "A priority tag with priority 7 and the drop-eligible bit.",
               tagged(Dot1Q(vlan=0, prio=7, id=1)))
    yield Case("vlan-0-inside", "A priority tag within a VLAN.", tagged(100, 0))
    yield Case("vlan-inside-0", "A VLAN within a priority tag.", tagged(0, 100))
    yield Case("vlan-0-9100", "A priority tag before the old tag.",
               lambda source: ether() / Dot1Q(vlan=0, type=0x9100) /
               data(bytes.fromhex("00000800")) / both(source), **same(NOT_IP))
    yield Case("vlan-cut", "The frame ends within its tag.", cut(tagged(5), 16), **same(MALFORMED))
    yield Case("vlan-cut-4", "The frame ends within its fourth tag.", cut(tagged(1, 2, 3, 4), 29),
               **same(MALFORMED))
    yield Case("vlan-cut-after", "The frame ends behind its tag, which announces IPv4.",
               cut(tagged(5), 18), **same(MALFORMED))
    for kind in (0x9100, 0x9200, 0x9300):
        for vlan in (0, 5):
            yield Case(f"vlan-{kind:x}-{vlan}", f"0x{kind:x}, an old way to stack tags that Linux "
                       "does not strip: not IP.",
                       of_type(kind, vlan.to_bytes(2, "big") + b"\x08\x00"), **same(NOT_IP))

    yield Case("arp", "ARP must pass, or nothing works.", arp(), **same(NOT_IP))
    yield Case("lldp", "LLDP must pass.", of_type(0x88CC), **same(NOT_IP))
    yield Case("eapol", "802.1X must pass.", of_type(0x888E), **same(NOT_IP))
    for name, ethertype, header, what in (
            ("mpls", 0x8847, "00010140", "MPLS"), ("mpls-multicast", 0x8848, "00010140",
                                                   "MPLS for multicast"),
            ("pppoe", 0x8864, "11000001002a0021", "A PPPoE session"),
            ("pppoe-discovery", 0x8863, "110900000000", "PPPoE discovery"),
            ("macsec", 0x88E5, "", "MACsec"), ("hsr", 0x892F, "003000010800", "HSR"),
            ("prp", 0x88FB, "003000010800", "PRP supervision"),
            ("batman", 0x4305, "400f3200", "B.A.T.M.A.N."), ("nsh", 0x894F, "0fc6010100000100",
                                                           "NSH"),
            ("trill", 0x22F3, "003f00010002", "TRILL"),
            ("teb", 0x6558, "02000000000202000000000108" + "00", "Bridged Ethernet"),
            ("pbb", 0x88E7, "0000000102000000000202000000000108" + "00", "802.1ah"),
            ("tipc", 0x88CA, "", "TIPC"), ("arp-like", 0x0806, "", "ARP that holds an IP packet"),
            ("rarp", 0x8035, "", "RARP"), ("ip-trailer", 0x1000, "", "Berkeley trailers"),
            ("dsa", 0xDADA, "00000800", "A switch's own tag")):
        yield Case(name, f"{what}: what a device made for it unpacks meets the backstop.",
                   of_type(ethertype, bytes.fromhex(header)), **same(NOT_IP))
    yield Case("loop", "0x9000, looped back by switches.", of_type(0x9000), **same(NOT_IP))
    yield Case("type-ffff", "The last EtherType.", of_type(0xFFFF), **same(NOT_IP))
    yield Case("type-swapped", "0x0008: IPv4 to a parser with the wrong byte order.",
               of_type(0x0008), **same(NOT_IP))
    yield Case("llc-snap", "LLC/SNAP with IPv4 inside: Linux has no receiver for it.",
               lambda source: Dot3(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / LLC() /
               SNAP(code=0x0800) / both(source), **same(NOT_IP))
    yield Case("llc-ip", "LLC with the old SAP for IP, 6.",
               lambda source: Dot3(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") /
               LLC(dsap=6, ssap=6, ctrl=3) / both(source), **same(NOT_IP))
    yield Case("llc-raw", "802.3 without LLC, IP at once.",
               lambda source: Dot3(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") /
               data(raw(both(source))), **same(NOT_IP))
    yield Case("llc-novell", "802.3 with ff ff, as IPX had it.",
               lambda source: Dot3(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") /
               data(b"\xff\xff" + raw(both(source))), **same(NOT_IP))
    yield Case("llc-snap-priority", "LLC/SNAP behind a priority tag.",
               lambda source: ether() / Dot1Q(vlan=0, type=48) /
               data(bytes.fromhex("aaaa030000000800")) / both(source), **same(NOT_IP))
    yield Case("llc-snap-tag", "A tag announced by LLC/SNAP.",
               lambda source: Dot3(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / LLC() /
               SNAP(code=0x8100) / Dot1Q(vlan=0) / both(source), **same(NOT_IP))
    yield Case("llc-snap-vlan", "LLC/SNAP in a VLAN.",
               lambda source: ether() / Dot1Q(vlan=3, type=48) /
               data(bytes.fromhex("aaaa030000000800")) / both(source), **same(NOT_IP))
    yield Case("8023-length-long", "An 802.3 length beyond the frame.", of_type(1500),
               **same(NOT_IP))
    yield Case("8023-length-0", "An 802.3 length of nothing.", of_type(0), **same(NOT_IP))
    yield Case("8023-length-1535", "The last number below the EtherTypes.", of_type(0x05FF),
               **same(NOT_IP))
    yield Case("padded", "Padding to the shortest Ethernet frame belongs to no packet.",
               lambda source: ether() / both(source) / data(bytes(6)))
    yield Case("mac-multicast", "To a multicast address of Ethernet.",
               lambda source: ether_to("01:00:5e:00:00:05") / both(source))
    yield Case("mac-other", "To somebody else's Ethernet address.",
               lambda source: ether_to("02:00:00:00:00:99") / both(source))
    yield Case("mac-broadcast", "Sent to everyone: the address of the frame does not matter.",
               lambda source: ether_to("ff:ff:ff:ff:ff:ff") / both(source))

    yield Case("empty", "No bytes at all.", lambda source: b"", **same(MALFORMED))
    yield Case("runt-1", "A single byte.", lambda source: b"\x02", **same(MALFORMED))
    yield Case("runt-13", "One byte short of an Ethernet header.", cut(tagged(), 13),
               **same(MALFORMED))
    yield Case("only-ethernet-ipv4", "IPv4 announced, nothing there.", cut(tagged(), 14),
               **same(MALFORMED))
    yield Case("only-ethernet-ipv6", "IPv6 announced, nothing there.",
               lambda source: raw(ether(0x86DD)), **same(IPV6_HOST))
    yield Case("only-ethernet-tag", "A tag announced, nothing there.",
               lambda source: raw(ether(0x8100)), **same(MALFORMED))
    yield Case("only-ethernet-other", "Fourteen bytes of something else.",
               lambda source: raw(ether(0x88CC)), **same(NOT_IP))


def ether_to(destination):
    frame = ether()
    frame.dst = destination
    return frame
