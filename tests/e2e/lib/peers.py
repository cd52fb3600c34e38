#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The two ends of a way to a database, for the end-to-end tests.

  peers.py serve PORT [--mptcp]
      echoes, and prints a line when a peer is accepted, is read from, and how it ends; a "q" has
      this side end it. Datagrams to the port are noted, too
  peers.py knock [--count N] [--flags SA] [--option mptcp|fastopen]
                 [--udp | --fragments | --inside fou|gue,PORT] ADDRESS PORT
      raw TCP segments (whole, in two fragments, or in UDP for another port) or UDP datagrams; prints
      the flags of what came back, or "silence"; "unreachable" where a router says that nobody is there
  peers.py hold [--mptcp] [--source ADDRESS] NAME=ADDRESS,PORT...
      opens a session by each way, prints "open", then does what standard input says, and prints
      "NAME ANSWER" for each session and "done":
        send   a byte on each session              knock   a raw ACK in the session's name
        echo   a byte, and waits for it to return  state   open, reset or closed
        quit   has the server close, then closes
  peers.py transfer [--source ADDRESS] [--transparent] MB ADDRESS PORT
      has that much echoed; prints "whole" if the same bytes come back
  peers.py abort [--source ADDRESS] ADDRESS PORT
      ends a session with bytes unread, so that its peer gets a reset
  peers.py relay tun|tap NAME NETNS
      joins an interface of that name here with one there, frame by frame, as a tunnel in user space

Silence is what is heard between a packet and the answer to an echo request that followed it. All
that a packet meets on its way through veth pairs happens on the CPU that sent it and in order, so
an answer to the first would have come before the answer to the second.
"""

import argparse
import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import sys
import threading
import time

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}
OPTIONS = {
    None: b"",
    # MP_CAPABLE of version 1, without a key as in a SYN; Fast Open, asking for a cookie.
    "mptcp": bytes([30, 4, 0x01, 0x01]),
    "fastopen": bytes([34, 2, 1, 1]),
}
IPPROTO_MPTCP = 262
IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75
# What stands before a segment in a datagram: nothing; version 0, no options, and that TCP follows.
INSIDE = {"fou": b"", "gue": struct.pack("!BBH", 0, socket.IPPROTO_TCP, 0)}
# Seconds until a test has failed; nothing waits that long otherwise.
PATIENCE = 30 * int(os.environ.get("MOAT_TEST_PATIENCE", "1"))
CLONE_NEWNET = 0x40000000


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def segment(source, sport, target, dport, flags, sequence=1, options=b""):
    """A TCP header with its checksum."""
    family = family_of(target)
    bits = sum(FLAGS[flag] for flag in flags)
    size = 20 + len(options)
    header = struct.pack("!HHIIBBHHH", sport, dport, sequence, 1 if "A" in flags else 0,
                         size // 4 << 4, bits, 64240, 0, 0) + options
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, target)
    pseudo = ends + struct.pack("!II", size, socket.IPPROTO_TCP)
    return header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]


class Unreachable(OSError):
    """A router's word that nobody has the address: no answer is to come."""


class Wire:
    """Raw packets out, and a look at all that comes in."""

    def __init__(self, neighbour=None):
        self.neighbour = neighbour  # an address on the target's NIC, where itself may not answer
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        self.capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.echoes = 0

    @staticmethod
    def own_address(target):
        with socket.socket(family_of(target), socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return probe.getsockname()[0]

    @staticmethod
    def send(target, protocol, packet):
        with socket.socket(family_of(target), socket.SOCK_RAW, protocol) as raw:
            raw.sendto(packet, (target, 0))

    @classmethod
    def send_in_two(cls, source, target, protocol, packet):
        """IPv4 fragments: eight bytes, and the rest."""
        ends = socket.inet_aton(source) + socket.inet_aton(target)
        for place, part in ((0x2000, packet[:8]), (1, packet[8:])):
            header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(part), 0x6D6F, place, 64, protocol, 0)
            cls.send(target, socket.IPPROTO_RAW, header + ends + part)

    @staticmethod
    def send_inside(target, how, packet):
        """By the kernel's UDP: over IPv6 it needs its checksum."""
        kind, port = how.split(",")
        with socket.socket(family_of(target), socket.SOCK_DGRAM) as datagrams:
            datagrams.sendto(INSIDE[kind] + packet, (target, int(port)))

    def forget(self):
        """What has come in so far is no answer to anything later."""
        while select.select([self.capture], [], [], 0)[0]:
            self.capture.recv(65536)

    def ask_for_echo(self, target):
        """What the answer will bear."""
        self.echoes += 1
        mark = struct.pack("!IHH", 0x6D6F6174, os.getpid() & 0xFFFF, self.echoes)
        if family_of(target) == socket.AF_INET6:
            self.send(target, socket.IPPROTO_ICMPV6, struct.pack("!BBHI", 128, 0, 0, 1) + mark)
        else:
            echo = struct.pack("!BBHI", 8, 0, 0, 1) + mark
            echo = echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:]
            self.send(target, socket.IPPROTO_ICMP, echo)
        return mark

    def heard(self, target):
        """Packets (protocol, payload) that came from the target before it answered an echo, or its
        neighbour did."""
        neighbour = self.neighbour or target
        mark = self.ask_for_echo(neighbour)
        packets = []
        wanted = 0x86DD if family_of(target) == socket.AF_INET6 else 0x0800
        end = time.monotonic() + PATIENCE
        while True:
            left = end - time.monotonic()
            if not select.select([self.capture], [], [], max(left, 0))[0]:
                raise TimeoutError(f"{neighbour} answered no echo request in {PATIENCE} s")
            packet, (_, ethertype, direction, *_) = self.capture.recvfrom(65536)
            if direction == socket.PACKET_OUTGOING or ethertype != wanted:
                continue
            if packet[0] >> 4 == 6:
                source, protocol, payload = packet[8:24], packet[6], packet[40:]
            else:
                source, protocol = packet[12:16], packet[9]
                payload = packet[(packet[0] & 15) * 4:struct.unpack("!H", packet[2:4])[0]]
            source = socket.inet_ntop(family_of(target), source)
            if protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6):
                if source == neighbour and payload[0] in (0, 129) and payload[8:16] == mark:
                    return packets
                if payload[0] == (3 if wanted == 0x0800 else 1) and mark in payload[8:]:
                    raise Unreachable(neighbour)
            if source == target:
                packets.append((protocol, payload))

    def answers(self, target, own_port):
        """What the target had to say to that port of ours, or "silence"."""
        words = []
        for protocol, payload in self.heard(target):
            if protocol == socket.IPPROTO_TCP and payload[2:4] == struct.pack("!H", own_port):
                flags = [name for name, bit in FLAGS.items() if payload[13] & bit]
                words.append("".join(sorted(flags)))
            if protocol == socket.IPPROTO_ICMP and payload[0] == 0:
                words.append("echo")
        return " ".join(words) or "silence"


def knock(options):
    try:
        print(knocked(Wire(options.neighbour), options))
    except Unreachable:
        print("unreachable")


def knocked(wire, options):
    target, port = options.address, options.port
    own, own_port = wire.own_address(target), 20000 + os.getpid() % 10000
    wire.heard(target)  # packets that wait for a neighbour to be found may overtake each other
    for turn in range(options.count):
        if options.ping:
            wire.ask_for_echo(target)
            continue
        if options.udp:
            packet = struct.pack("!HHHH", own_port, port, 9, 0) + b"?"
            wire.send(target, socket.IPPROTO_UDP, packet)
            continue
        packet = segment(own, own_port, target, port, options.flags, 1 + turn,
                         OPTIONS[options.option])
        if options.fragments:
            wire.send_in_two(own, target, socket.IPPROTO_TCP, packet)
        elif options.inside:
            wire.send_inside(target, options.inside, packet)
        else:
            wire.send(target, socket.IPPROTO_TCP, packet)
    return wire.answers(target, own_port)


def serve(options):
    protocol = IPPROTO_MPTCP if options.mptcp else 0
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, protocol)
    if options.transparent:
        listener.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((options.address, options.port))
    listener.listen(64)

    def note(*words):
        os.write(1, (" ".join(words) + "\n").encode())  # whole lines, whichever thread writes

    def echo(session, name):
        how = "end"
        try:
            while data := session.recv(1 << 20):
                note("data", name)
                if data == b"q":
                    how = "quit"
                    break
                session.sendall(data)
            session.close()
        except OSError as error:
            how = type(error).__name__
        note("end", name, how)

    def receive_datagrams():
        datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        datagrams.bind(("::", options.port))
        while True:
            note("datagram", datagrams.recvfrom(2048)[1][0].removeprefix("::ffff:"))

    threading.Thread(target=receive_datagrams, daemon=True).start()
    while True:
        session, peer = listener.accept()
        name = f"{peer[0].removeprefix('::ffff:')} {peer[1]}"
        note("accept", name)
        threading.Thread(target=echo, args=(session, name), daemon=True).start()


class Session:
    def __init__(self, wire, word, mptcp, source):
        self.wire = wire
        self.name, _, target = word.partition("=")
        self.target, port = target.split(",")
        self.port = int(port)
        self.socket = socket.socket(family_of(self.target), socket.SOCK_STREAM,
                                    IPPROTO_MPTCP if mptcp else 0)
        self.socket.settimeout(PATIENCE)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect((self.target, self.port))
        self.own, self.own_port = self.socket.getsockname()[:2]
        assert self.echo() == "answered", self.name

    def echo(self):
        self.socket.sendall(b"?")
        # Or what the other side sends again for want of an ACK would be taken for an answer.
        with contextlib.suppress(OSError):  # MPTCP knows it not
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return "answered" if self.socket.recv(1) == b"?" else "closed"

    def send(self):
        self.wire.forget()
        self.socket.send(b"!")
        return self.wire.answers(self.target, self.own_port)

    def knock(self):
        self.wire.forget()
        self.wire.send(self.target, socket.IPPROTO_TCP,
                       segment(self.own, self.own_port, self.target, self.port, "A"))
        return self.wire.answers(self.target, self.own_port)

    def quit(self):
        self.socket.sendall(b"q")
        ended = self.socket.recv(1) == b""
        self.socket.close()
        return "closed" if ended else "open"

    def state(self):
        self.wire.heard(self.target)
        try:
            self.socket.setblocking(False)
            return "closed" if self.socket.recv(1) == b"" else "open"
        except BlockingIOError:
            return "open"
        except OSError:
            return "reset"
        finally:
            self.socket.settimeout(PATIENCE)


def hold(options):
    wire = Wire()
    sessions = [Session(wire, word, options.mptcp, options.source) for word in options.session]
    print("open", flush=True)
    for line in sys.stdin:
        for session in sessions:
            try:
                print(session.name, getattr(session, line.strip())(), flush=True)
            except OSError as error:
                print(session.name, type(error).__name__, flush=True)
        print("done", flush=True)


def connect(options):
    session = socket.socket(family_of(options.address))
    session.settimeout(PATIENCE)
    if options.transparent:
        session.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    if options.source:
        session.bind((options.source, 0))
    session.connect((options.address, options.port))
    return session


def abort(options):
    session = connect(options)
    session.sendall(b"?")
    select.select([session], [], [], PATIENCE)
    session.close()


def transfer(options):
    session = connect(options)
    sent = os.urandom(1 << 20) * options.megabytes

    def send():
        session.sendall(sent)
        session.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    received = bytearray()
    while data := session.recv(1 << 20):
        received += data
    sender.join()
    print("whole" if received == sent else f"{len(received)} of {len(sent)} bytes")


def tunnel(kind, name):
    device = os.open("/dev/net/tun", os.O_RDWR)
    flags = {"tun": 1, "tap": 2}[kind] | 0x1000  # without a header before each frame
    fcntl.ioctl(device, 0x400454CA, struct.pack("16sH22x", name.encode(), flags))
    return device


def relay(options):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    here = tunnel(options.kind, options.name)
    with open(options.netns, "rb") as namespace:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    there = tunnel(options.kind, options.name)
    other = {here: there, there: here}
    while True:
        for device in select.select([here, there], [], [])[0]:
            frame = os.read(device, 65536)
            try:
                os.write(other[device], frame)
            except OSError:  # the other one is not up yet
                pass


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("knock")
    command.set_defaults(run=knock)
    command.add_argument("--count", type=int, default=1)
    command.add_argument("--flags", default="S")
    command.add_argument("--option", choices=["mptcp", "fastopen"])
    command.add_argument("--udp", action="store_true")
    command.add_argument("--ping", action="store_true")
    command.add_argument("--fragments", action="store_true")
    command.add_argument("--inside")
    command.add_argument("--neighbour")
    command.add_argument("address")
    command.add_argument("port", type=int)
    command = commands.add_parser("serve")
    command.set_defaults(run=serve)
    command.add_argument("--address", default="::", help="IPv6, or ::ffff:IPv4")
    command.add_argument("--transparent", action="store_true", help="takes what TPROXY hands it")
    command.add_argument("port", type=int)
    command.add_argument("--mptcp", action="store_true")
    command = commands.add_parser("hold")
    command.set_defaults(run=hold)
    command.add_argument("--mptcp", action="store_true")
    command.add_argument("--source")
    command.add_argument("session", nargs="+")
    for name, run in (("transfer", transfer), ("abort", abort)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("--source")
        command.add_argument("--transparent", action="store_true")
        if run is transfer:
            command.add_argument("megabytes", type=int)
        command.add_argument("address")
        command.add_argument("port", type=int)
    command = commands.add_parser("relay")
    command.set_defaults(run=relay)
    command.add_argument("kind", choices=["tun", "tap"])
    command.add_argument("name")
    command.add_argument("netns")
    options = parser.parse_args()
    options.run(options)


main()
