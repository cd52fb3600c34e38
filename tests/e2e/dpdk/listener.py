#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Greets whoever connects, on every address:  listener.py PORT"""

import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])), backlog=64)
while True:
    client, _ = listener.accept()
    client.sendall(b"hello")
    client.close()
