# SPDX-License-Identifier: BSD-2-Clause
"""What the groups of cases are built from: addresses, frames, and what is expected of them."""

import logging

logging.getLogger("scapy").setLevel(logging.CRITICAL)

from scapy.all import IP, TCP, Ether, IPv6, Packet, Raw, raw  # noqa: E402

# The listed source, and an unlisted one right next to it.
A = "198.51.100.25"
B = "198.51.100.26"
HOST = "10.0.0.10"
A6 = "2001:db8::25"
B6 = "2001:db8::26"
HOST6 = "2001:db8:1::10"
PORT = 5432

# Expectations: what happens, the reason, whom it counts for, and for `allowed` the rule's source.
# "monitor" is a drop that monitor mode lets pass.
ALLOWED = "pass allowed orders 198.51.100.25/32"
NO_RULE = "drop no-rule orders"
MALFORMED = "drop malformed host"
FRAGMENT = "drop fragment host"
NOT_GUARDED = "pass not-guarded host"
NOT_IP = "pass not-ip host"
VLAN_DEPTH = "drop vlan-depth host"
IPV6 = "drop ipv6 orders"
IPV6_HOST = "drop ipv6 host"


def ether(ethertype=None):
    fields = {} if ethertype is None else {"type": ethertype}
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", **fields)


def ip(source, **fields):
    return IP(**{"src": source, "dst": HOST, **fields})


def ip6(source, **fields):
    return IPv6(**{"src": source, "dst": HOST6, **fields})


def tcp(**fields):
    return TCP(**{"sport": 40000, "dport": PORT, "flags": "S", "seq": 1, **fields})


def data(content):
    return Raw(load=content)


def both(source):
    """An ordinary SYN to the guarded port, as most cases carry it."""
    return ip(source) / tcp()


class Case:
    """One frame from a listed and from an unlisted source; `build` makes it for a source."""

    def __init__(self, name, why, build, a=ALLOWED, b=NO_RULE, **more):
        self.name = name
        self.why = why
        self.policy = more.pop("policy", "one-port")
        self.at = more.pop("at", None)  # wall-clock time, where rules expire
        sources = more.pop("sources", (A, B))
        earlier = more.pop("earlier", ())  # builds what is sent before it and meets the same
        self.backstop = more.pop("backstop", "")  # sides that it keeps out, though the NIC's pass
        assert not more, more
        self.sides = {"A": (a, build(sources[0])), "B": (b, build(sources[1]))}
        self.earlier = {"A": [each(sources[0]) for each in earlier],
                        "B": [each(sources[1]) for each in earlier]}

    def as_json(self):
        case = {"name": self.name, "why": self.why, "policy": self.policy}
        if self.at:
            case["at"] = self.at
        for side, (verdict, frame) in self.sides.items():
            case[side] = {"verdict": verdict, "frame": readable(frame)}
            if self.earlier[side]:
                case[side]["earlier"] = [readable(each) for each in self.earlier[side]]
            if side in self.backstop:
                case[side]["backstop"] = True
        return case


def same(verdict):
    """For frames whose source does not matter."""
    return {"a": verdict, "b": verdict}


def readable(frame):
    """The frame's bytes in hex, a line for each layer: "LAYER BYTES", "00*40" for 40 zeros."""
    if isinstance(frame, bytes):
        frame = data(frame)
    whole = raw(frame)
    lines, at, layer = [], 0, frame
    while isinstance(layer, Packet) and layer.name != "NoPayload":
        size = len(layer) - len(layer.payload)
        if size:
            lines.append(f"{type(layer).__name__} {hexadecimal(layer, whole[at:at + size])}")
        at += size
        layer = layer.payload
    assert at == len(whole), (at, len(whole), frame.summary())
    return lines


def hexadecimal(layer, content):
    if isinstance(layer, Ether):
        return " ".join(part.hex() for part in (content[:6], content[6:12], content[12:]))
    words, at = [], 0
    while at < len(content):
        run = at
        while run < len(content) and content[run] == content[at]:
            run += 1
        if run - at >= 16:
            words.append(f"{content[at]:02x}*{run - at}")
            at = run
        else:
            words.append(content[at:at + 4].hex())
            at += len(content[at:at + 4])
    return " ".join(words)
