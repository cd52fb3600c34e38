# SPDX-License-Identifier: BSD-2-Clause
"""TCP: not only SYNs are judged, and only the destination port says what is guarded."""

from builder import MALFORMED, NOT_GUARDED, PORT, Case, data, ether, ip, raw, same, tcp


def segment(content=b"", **fields):
    """A TCP segment with these fields and data."""
    def build(source):
        frame = ether() / ip(source) / tcp(**fields)
        return frame / data(content) if content else frame
    return build


def cut(tcp_bytes):
    """A TCP header of which only so many bytes are there; total length agrees."""
    return lambda source: ether() / ip(source, proto=6) / data(raw(tcp())[:tcp_bytes])


FLAGS = (
    ("syn-fin", "SF", "SYN and FIN, to slip past filters for SYN alone."),
    ("null", "", "No flags."),
    ("xmas", "FPU", "FIN, PSH and URG."),
    ("all-flags", "FSRPAUECN", "All nine flags."),
    ("ack", "A", "A bare ACK of a connection that was never seen."),
    ("rst", "R", "An RST, which could end somebody else's connection."),
    ("rst-ack", "RA", "An RST with ACK."),
    ("fin", "F", "A FIN."),
    ("fin-ack", "FA", "A FIN with ACK."),
    ("syn-ack", "SA", "A SYN-ACK that nobody asked for."),
    ("syn-rst", "SR", "SYN and RST."),
    ("psh-ack", "PA", "Data of an established connection."),
    ("urg", "U", "Urgent alone."),
    ("syn-ecn", "SEC", "A SYN that offers ECN."),
)

PORTS = (
    ("port-0", 0, "Port 0 is never guarded."),
    ("port-below", PORT - 1, "The port below."),
    ("port-above", PORT + 1, "The port above."),
    ("port-swapped", 0x3815, "5432 in the wrong byte order."),
    ("port-low-byte", PORT & 0xFF, "The same low byte."),
    ("port-page", (PORT & 0xFF00), "The first port of the same 256."),
    ("port-65535", 65535, "The last port."),
    ("port-22", 22, "SSH: never Moat's business."),
)


def cases():
    for name, flags, why in FLAGS:
        yield Case(name, why, segment(flags=flags))
    yield Case("syn-data", "A SYN with data.", segment(b"x" * 40))
    yield Case("syn-fastopen", "A SYN with a TCP Fast Open cookie and data.",
               segment(b"x" * 8, options=[("NOP", None), ("NOP", None), (34, bytes(8))]))
    yield Case("syn-fastopen-request", "A SYN that asks for a Fast Open cookie.",
               segment(options=[(34, b""), ("NOP", None), ("NOP", None)]))
    yield Case("syn-multipath", "A SYN that offers multipath TCP.",
               segment(options=[(30, bytes([1, 0x81])), ("MSS", 1460)]))
    yield Case("syn-join", "A SYN that would join a multipath connection.",
               segment(options=[(30, bytes([0x10, 1]) + bytes(8))]))
    yield Case("syn-signed", "A SYN with an MD5 signature (RFC 2385).",
               segment(options=[(19, bytes(16)), ("NOP", None), ("NOP", None)]))
    yield Case("syn-authenticated", "A SYN with a TCP-AO option (RFC 5925).",
               segment(options=[(29, bytes([1, 1]) + bytes(12))]))
    yield Case("syn-push", "SYN and PSH.", segment(flags="SP"))
    yield Case("syn-urgent", "SYN and URG.", segment(flags="SU", urgptr=1))
    yield Case("ack-data", "Data in a segment without SYN.", segment(b"x" * 100, flags="PA"))
    yield Case("urgent-pointer", "An urgent pointer beyond the data.", segment(flags="UA",
                                                                              urgptr=65535))
    yield Case("window-0", "A window of 0.", segment(window=0))
    yield Case("sequence-0", "Sequence and acknowledgement 0.", segment(seq=0, ack=0))
    yield Case("checksum-bad", "TCP's checksum is for the kernel to check.",
               segment(chksum=0xBEEF))

    for offset in range(0, 5):
        yield Case(f"offset-{offset}", "A TCP header shorter than there is.",
                   segment(dataofs=offset), **same(MALFORMED))
    yield Case("offset-6-beyond", "A header that ends beyond the packet, by 4 bytes.",
               segment(dataofs=6), **same(MALFORMED))
    yield Case("offset-15-beyond", "The largest header, none of its options there.",
               segment(dataofs=15), **same(MALFORMED))
    yield Case("offset-15-short", "The largest header, one byte missing.",
               segment(b"\x01" * 39, dataofs=15), **same(MALFORMED))
    yield Case("offset-15", "The largest header, whole.", segment(b"\x01" * 40, dataofs=15))
    yield Case("offset-6", "A header that ends with the packet.", segment(b"\x01" * 4, dataofs=6))
    yield Case("offset-reserved", "The reserved bits beside the offset.", segment(reserved=7))
    yield Case("options-broken", "Broken TCP options are for the kernel.",
               segment(b"\x02\x00\x00\x00", dataofs=6))
    yield Case("options-beyond", "A TCP option that claims to end beyond the header.",
               segment(b"\x02\xff\x05\xb4", dataofs=6))
    yield Case("options-usual", "What a Linux client sends.",
               segment(options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)),
                                ("NOP", None), ("WScale", 7)]))
    for length in (0, 1, 4, 13, 14, 19):
        yield Case(f"header-{length}", f"{length} bytes of TCP header.", cut(length),
                   **same(MALFORMED))
    yield Case("unguarded-malformed", "To port 22 but with an impossible offset: what cannot be "
               "read is not passed.", segment(dport=22, dataofs=3), **same(MALFORMED))

    for name, port, why in PORTS:
        yield Case(name, why, segment(dport=port), **same(NOT_GUARDED))
    yield Case("source-port-guarded", "Replies from somebody else's PostgreSQL: the guarded port as "
               "source port.", segment(sport=PORT, dport=40000, flags="SA"), **same(NOT_GUARDED))
    yield Case("source-port-both", "The guarded port on both ends.", segment(sport=PORT))
    yield Case("source-port-0", "Source port 0.", segment(sport=0))
    yield Case("source-port-22", "From port 22, as if it were a reply.",
               segment(sport=22, flags="SA"))
