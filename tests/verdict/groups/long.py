# SPDX-License-Identifier: BSD-2-Clause
"""Long frames: jumbo frames, BIG TCP, and headers beyond a frame's first buffer."""

from scapy.all import UDP, Dot1Q, IPOption

from builder import (A6, B6, IPV6, IPV6_HOST, MALFORMED, NOT_GUARDED, Case, data, ether, ip, ip6,
                     raw, same, tcp)
from groups.ipv6 import OPTIONS, TCP, UDP_NUMBER, chain

SIX = {"sources": (A6, B6)}


def segment(payload, **fields):
    """A SYN with so many bytes of data."""
    return lambda source: ether() / ip(source, **fields) / tcp(flags="PA") / data(bytes(payload))


def six(payload, **fields):
    return lambda source: (ether() / ip6(source, **fields) / tcp(flags="PA") /
                           data(bytes(payload)))


def frame_of(length, total):
    """A whole frame of `length` bytes whose total length says `total`."""
    return segment(length - 54, len=total)


def cases():
    yield Case("jumbo-4k", "Just beyond one page.", segment(4096))
    yield Case("jumbo-9000", "A jumbo frame.", segment(8960))
    yield Case("jumbo-syn", "A jumbo frame that opens a connection.",
               lambda source: ether() / ip(source) / tcp() / data(bytes(8960)))
    yield Case("jumbo-syn-priority", "The same behind a priority tag.",
               lambda source: ether() / Dot1Q(vlan=0) / ip(source) / tcp() / data(bytes(8900)))
    yield Case("jumbo-syn-options", "The same with 40 bytes of IP options.",
               lambda source: ether() / ip(source, options=IPOption(b"\x01" * 40)) / tcp() /
               data(bytes(8900)))
    yield Case("jumbo-syn-64k", "The longest packet that opens a connection.",
               lambda source: ether() / ip(source) / tcp() / data(bytes(65535 - 40)))
    yield Case("jumbo-9000-vlan", "A jumbo frame with a tag.", lambda source: ether() /
               Dot1Q(vlan=9) / ip(source) / tcp() / data(bytes(8960)))
    yield Case("jumbo-udp", "UDP in a jumbo frame.", lambda source: ether() / ip(source) /
               UDP(dport=5432) / data(bytes(8000)), **same(NOT_GUARDED))
    yield Case("largest", "The longest packet that total length can say.", segment(65535 - 40))
    yield Case("largest-cut", "The same, one byte missing.",
               lambda source: raw(segment(65535 - 40)(source))[:-1], **same(MALFORMED))
    yield Case("tso", "A 32 KiB segment, as a local namespace sends it unsplit.", segment(32768))
    yield Case("big-tcp", "BIG TCP: over 64 KiB, total length 0.", frame_of(14 + 65536, 0))
    yield Case("big-tcp-more", "BIG TCP, larger.", frame_of(14 + 69000, 0))
    yield Case("big-tcp-options", "BIG TCP with data offset 15.", lambda source: ether() /
               ip(source, len=0) / tcp(dataofs=15) / data(bytes(66000)))
    yield Case("big-tcp-unguarded", "BIG TCP to another port.", lambda source: ether() /
               ip(source, len=0) / tcp(dport=22) / data(bytes(66000)), **same(NOT_GUARDED))
    yield Case("big-tcp-not-yet", "Total length 0 in 65,535 bytes, which it could have said.",
               frame_of(14 + 65535, 0), **same(MALFORMED))
    yield Case("big-tcp-short", "Over 64 KiB, but total length says 100: the rest is padding.",
               frame_of(14 + 66000, 100))
    yield Case("big-tcp-19", "Over 64 KiB, but total length says 19.", frame_of(14 + 66000, 19),
               **same(MALFORMED))
    yield Case("big-tcp-ipv6", "BIG TCP over IPv6: payload length 0.", six(66000, plen=0),
               **same(IPV6), **SIX)
    yield Case("jumbo-syn-ipv6", "A jumbo frame over IPv6 that opens a connection.",
               lambda source: ether() / ip6(source) / tcp() / data(bytes(8900)), **same(IPV6), **SIX)
    yield Case("jumbo-ipv6", "A jumbo frame over IPv6.", six(8900), **same(IPV6), **SIX)
    yield Case("ipv6-tcp-beyond-4k", "Two headers of 2 KiB: TCP begins beyond the first buffer.",
               chain(*[OPTIONS] * 2, length=2048), **same(IPV6), **SIX)
    yield Case("ipv6-other-beyond-4k", "The same to another port.",
               chain(*[OPTIONS] * 2, length=2048, payload=tcp(dport=22)), **same(NOT_GUARDED), **SIX)
    yield Case("ipv6-udp-beyond-4k", "The same with UDP.",
               chain(*[OPTIONS] * 2, length=2048, last=UDP_NUMBER, payload=UDP()),
               **same(NOT_GUARDED), **SIX)
    yield Case("ipv6-beyond-16k", "Eight headers of 2 KiB: as far as TCP can be.",
               chain(*[OPTIONS] * 8, length=2048), **same(IPV6), **SIX)
    yield Case("ipv6-other-beyond-16k", "As far, to another port.",
               chain(*[OPTIONS] * 8, length=2048, payload=tcp(dport=22)), **same(NOT_GUARDED), **SIX)
    yield Case("ipv6-9-beyond-18k", "Nine headers of 2 KiB.",
               chain(*[OPTIONS] * 9, length=2048), **same(IPV6_HOST), **SIX)
    yield Case("ipv6-tcp-3520", "TCP across the border of the usual first buffer.",
               chain(OPTIONS, OPTIONS, length=1728, last=TCP), **same(IPV6), **SIX)
