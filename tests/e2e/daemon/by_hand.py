#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What others with capabilities may do to Moat's programs, and `ip` and `bpftool` have no command for.

  by_hand.py replace LINK xdp|cgroup            the pinned link runs a program that passes everything
  by_hand.py pin PATH xdp|cgroup                a program that passes everything
  by_hand.py attach CGROUP none|override|multi  a program that passes everything, on ingress
"""

import ctypes
import os
import platform
import struct
import sys

BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
PROG_LOAD, OBJ_PIN, OBJ_GET, PROG_ATTACH, LINK_UPDATE = 5, 6, 7, 8, 29
CGROUP_SKB, XDP = 8, 6
INET_INGRESS, XDP_ATTACH = 0, 37
KINDS = {"xdp": XDP, "cgroup": CGROUP_SKB}
PASS = {CGROUP_SKB: 1, XDP: 2}
HAS_FRAGS = 1 << 5

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(BPF, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def load(kind):
    code = struct.pack("<BBhiBBhi", 0xB7, 0, 0, PASS[kind], 0x95, 0, 0, 0)  # r0 = PASS; exit
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, struct.pack(
        "<IIQQIIQII16sII", kind, 2, ctypes.addressof(instructions), ctypes.addressof(licence), 0, 0,
        0, 0, HAS_FRAGS if kind == XDP else 0, b"by_hand", 0,
        XDP_ATTACH if kind == XDP else INET_INGRESS))


def replace(path, kind):
    name = ctypes.create_string_buffer(path.encode())
    link = bpf(OBJ_GET, struct.pack("<QII", ctypes.addressof(name), 0, 0))
    bpf(LINK_UPDATE, struct.pack("<III", link, load(KINDS[kind]), 0))


def pin(path, kind):
    name = ctypes.create_string_buffer(path.encode())
    bpf(OBJ_PIN, struct.pack("<QII", ctypes.addressof(name), load(KINDS[kind]), 0))


def attach(cgroup, kind):
    folder = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    flags = {"none": 0, "override": 1, "multi": 2}[kind]
    bpf(PROG_ATTACH, struct.pack("<IIII", folder, load(CGROUP_SKB), INET_INGRESS, flags))


{"replace": replace, "pin": pin, "attach": attach}[sys.argv[1]](*sys.argv[2:])
