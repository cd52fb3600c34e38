#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends SYNs from many sources out of an interface, until it is ended:
flood.py INTERFACE DESTINATION PACKETS-A-SECOND"""

import itertools
import socket
import struct
import sys
import time

SOURCES = 4000
PORT = 5432
BATCH = 50


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source, destination):
    tcp = struct.pack("!HHIIBBHHH", 40000, PORT, 1, 0, 5 << 4, 2, 65535, 0, 0)
    pseudo = source + destination + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, source, destination)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + tcp


def main():
    interface, destination, rate = sys.argv[1], socket.inet_aton(sys.argv[2]), int(sys.argv[3])
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    packets = [packet(struct.pack("!I", (100 << 24) + (64 << 16) + number), destination)
               for number in range(SOURCES)]
    sent, started = 0, time.monotonic()
    for frame in itertools.cycle(packets):
        out.sendto(frame, (sys.argv[2], 0))
        sent += 1
        if sent % BATCH == 0:
            time.sleep(max(0, started + sent / rate - time.monotonic()))


if __name__ == "__main__":
    main()
