# SPDX-License-Identifier: BSD-2-Clause
"""What is guarded: one address, any address, several databases, every port of an address."""

from scapy.all import BOOTP, DHCP, ICMP, UDP, IPOption, checksum

from builder import MALFORMED, NO_RULE, NOT_GUARDED, Case, data, ether, ip, raw, same, tcp

VAULT = "10.0.0.30"
VAULT_ALLOWED = "pass allowed vault 198.51.100.25/32"
VAULT_DROP = "drop no-rule vault"
VAULT_EXEMPT = "pass exempt vault"


def to(address, **fields):
    return lambda source: ether() / ip(source, dst=address) / tcp(**fields)


def address_cases():
    yield Case("address", "The one address that is guarded.", to("10.0.0.20"), policy="addresses")
    yield Case("address-other", "Another address of the host: its port is not guarded.",
               to("10.0.0.99"), policy="addresses", **same(NOT_GUARDED))
    yield Case("address-swapped", "The guarded address in the wrong byte order.",
               to("20.0.0.10"), policy="addresses", **same(NOT_GUARDED))
    yield Case("address-zero", "To 0.0.0.0, which no empty place of the hash may match.",
               to("0.0.0.0"), policy="addresses", **same(NOT_GUARDED))
    yield Case("address-other-port", "The guarded address, another port.",
               to("10.0.0.20", dport=6432), policy="addresses", **same(NOT_GUARDED))
    yield Case("two-databases", "The same port of another address is another database, with other "
               "rules: there B is listed and A is not.", to("10.0.0.21"), policy="addresses",
               a="drop no-rule ledger", b="pass allowed ledger 198.51.100.26/32")
    yield Case("second-port", "A database's second port.", to("10.0.0.21", dport=6432),
               policy="addresses", a="drop no-rule ledger",
               b="pass allowed ledger 198.51.100.26/32")
    yield Case("martian-address", "A martian to a guarded address.",
               lambda source: to("10.0.0.20")("127.0.0.1"), policy="addresses",
               **same("drop martian orders"))
    yield Case("wins", "An endpoint with address wins over one without on the same port.",
               to("10.0.0.20"), policy="mixed", a="drop no-rule billing",
               b="pass allowed billing 198.51.100.26/32")
    yield Case("any", "Every other destination belongs to the endpoint without address.",
               to("10.0.0.99"), policy="mixed")
    yield Case("any-subnet-broadcast", "A destination that is no unicast address of the host.",
               to("10.0.0.255"), policy="mixed")
    yield Case("any-multicast", "A multicast destination.", to("224.0.0.5"), policy="mixed")
    yield Case("any-broadcast", "The broadcast address as destination.", to("255.255.255.255"),
               policy="mixed")
    yield Case("any-loopback", "127.0.0.1 as destination, from the wire: a host that routes it "
               "takes it for its own.", to("127.0.0.1"), policy="mixed")
    yield Case("any-own-network", "The network's own address, an old form of broadcast.",
               to("10.0.0.0"), policy="mixed")
    yield Case("address-loopback", "Where one address is guarded, 127.0.0.1 is another.",
               to("127.0.0.1"), policy="addresses", **same(NOT_GUARDED))
    yield Case("steered", "A port that TPROXY hands to the guarded port's socket: the packet does "
               "not show it, and the backstop asks the socket.", to("10.0.0.10", dport=15432),
               policy="one-port", backstop="B", **same(NOT_GUARDED))
    yield Case("any-zero", "0.0.0.0 as destination.", to("0.0.0.0"), policy="mixed")
    yield Case("inherited", "A guarded address is also guarded by what guards every address.",
               to("10.0.0.20", dport=7000), policy="mixed")
    yield Case("own-port", "A port that only the address guards.", to("10.0.0.20", dport=6432),
               policy="mixed", a="drop no-rule billing", b="pass allowed billing 198.51.100.26/32")
    yield Case("own-port-elsewhere", "The same port on another address is open.",
               to("10.0.0.99", dport=6432), policy="mixed", **same(NOT_GUARDED))
    yield Case("no-policy", "No database at all: nothing is guarded.", to("10.0.0.10"),
               policy="nothing", **same(NOT_GUARDED))
    yield Case("nobody", "`rules: []` is nobody, not everybody.", to("10.0.0.10"), policy="nobody",
               a=NO_RULE)


def vault(payload):
    return lambda source: ether() / ip(source, dst=VAULT) / payload


def by_source(name, why, build, **more):
    return Case(name, why, build, **{"a": VAULT_ALLOWED, "b": VAULT_DROP, "policy": "all-ports",
                                     **more})


def exempt(name, why, build):
    return Case(name, why, build, policy="all-ports", **same(VAULT_EXEMPT))


def fragment(proto, content, **fields):
    return lambda source: ether() / ip(source, dst=VAULT, proto=proto, **fields) / data(content)


def icmp(kind):
    """Not by scapy's own layer, which puts the time of day into some kinds."""
    message = bytes([kind]) + bytes(19)
    return message[:2] + checksum(message).to_bytes(2, "big") + message[4:]


DHCP_REPLY = UDP(sport=67, dport=68) / BOOTP(op=2, yiaddr=VAULT) / DHCP(
    options=[("message-type", "ack"), "end"])


def all_cases():
    yield by_source("all-tcp", "`ports: all`: any TCP port is decided by the source.",
                    vault(tcp(dport=22)))
    yield by_source("all-tcp-guarded", "A port that elsewhere belongs to another database.",
                    vault(tcp()))
    yield by_source("all-reply", "Not even replies to connections it opened get in.",
                    vault(tcp(sport=443, dport=40000, flags="SA")))
    yield by_source("all-tcp-malformed", "Half a TCP header: the source decides, TCP is not read.",
                    fragment(6, raw(tcp())[:7]))
    yield by_source("all-udp", "UDP.", vault(UDP(sport=53, dport=5353)))
    yield by_source("all-fragment-first", "A first TCP fragment.",
                    fragment(6, raw(tcp())[:8], flags="MF"))
    yield by_source("all-fragment-later", "A later fragment.",
                    fragment(17, b"x" * 16, frag=2))
    for number, name in ((2, "IGMP"), (47, "GRE"), (50, "ESP"), (132, "SCTP"), (255, "reserved")):
        yield by_source(f"all-protocol-{number}", f"{name}.", fragment(number, b"x" * 20))
    for number, name in ((0, "echo reply"), (4, "source quench"), (5, "redirect"), (8, "echo"),
                         (9, "router advertisement"), (13, "timestamp")):
        yield by_source(f"all-icmp-{number}", f"ICMP {name}: the source decides.",
                        fragment(1, icmp(number)))
    for number, name in ((3, "unreachable"), (11, "time exceeded"), (12, "parameter problem")):
        yield exempt(f"all-icmp-{number}", f"ICMP {name} passes from anyone: path MTU discovery "
                     "needs it.", vault(ICMP(type=number) / raw(ip(VAULT) / tcp())))
    yield exempt("all-icmp-first", "The first fragment of an ICMP error shows its type.",
                 fragment(1, raw(ICMP(type=3)) + b"x" * 8, flags="MF"))
    yield by_source("all-icmp-later", "A later fragment looks like an ICMP error but need not be "
                    "one.", fragment(1, raw(ICMP(type=3)) + b"x" * 8, frag=3))
    yield by_source("all-icmp-empty", "ICMP without a byte.", fragment(1, b""))
    yield exempt("all-dhcp", "A DHCP answer passes from anyone.", vault(DHCP_REPLY))
    yield by_source("all-dhcp-request", "DHCP the other way, to a server.",
                    vault(UDP(sport=68, dport=67)))
    yield by_source("all-dhcp-like", "From port 67, but not to 68.", vault(UDP(sport=67, dport=69)))
    yield by_source("all-dhcp-tcp", "67 to 68, but TCP.", vault(tcp(sport=67, dport=68)))
    yield by_source("all-dhcp-later", "67 to 68 in a later fragment.",
                    fragment(17, raw(UDP(sport=67, dport=68)), frag=1))
    yield by_source("all-dhcp-cut", "A UDP packet that ends within its ports.",
                    fragment(17, raw(UDP(sport=67, dport=68))[:3]))
    yield Case("all-dhcp-options", "A DHCP answer behind IP options.",
               lambda source: ether() / ip(source, dst=VAULT, options=IPOption(b"\x01" * 8)) /
               DHCP_REPLY, policy="all-ports", **same(VAULT_EXEMPT))
    yield Case("all-source-route", "A source route to such an address.",
               lambda source: ether() / ip(source, dst=VAULT, options=IPOption(
                   bytes([131, 7, 4, 10, 0, 0, 9, 1]))) / ICMP(type=3), policy="all-ports",
               **same("drop source-route vault"))
    yield Case("all-options-broken", "Broken options to such an address.",
               lambda source: ether() / ip(source, dst=VAULT, options=IPOption(
                   bytes([222, 0, 0, 0]))) / UDP(), policy="all-ports",
               **same("drop malformed vault"))
    yield Case("all-martian", "Not even an exempt packet from a martian.",
               lambda source: vault(ICMP(type=3))("127.0.0.1"), policy="all-ports",
               **same("drop martian vault"))
    yield Case("all-other-address", "Beside it the rest of the host is as usual.",
               to("10.0.0.10"), policy="all-ports")
    yield Case("all-other-unguarded", "And its other ports are open.", to("10.0.0.10", dport=22),
               policy="all-ports", **same(NOT_GUARDED))
    yield Case("all-only-other", "Where nothing else is guarded, other addresses are open.",
               to("10.0.0.10"), policy="all-only", **same(NOT_GUARDED))
    yield by_source("all-only", "`ports: all` as the only endpoint.", vault(tcp()),
                    policy="all-only")
    yield Case("all-malformed", "A broken IP header has no destination yet.",
               lambda source: ether() / ip(source, dst=VAULT, ihl=4) / UDP(), policy="all-ports",
               **same(MALFORMED))


def cases():
    yield from address_cases()
    yield from all_cases()
