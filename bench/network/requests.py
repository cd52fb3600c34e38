#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""One request after the other over TCP, a byte there and a byte back:

requests.py answer PORT
requests.py ask ADDRESS PORT SECONDS PATH     a JSON line: how long each took, in microseconds
"""

import json
import socket
import statistics
import sys
import threading
import time


def answer(port):
    listener = socket.create_server(("", port), backlog=16)
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=echo, args=(client,), daemon=True).start()


def echo(client):
    with client:
        try:
            while byte := client.recv(1):
                client.sendall(byte)
        except OSError:
            pass  # it is gone


def ask(address, port, seconds, path):
    took = []
    with socket.create_connection((address, port), timeout=10) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.perf_counter() + seconds
        while (begin := time.perf_counter()) < end:
            server.sendall(b"?")
            server.recv(1)
            took.append((time.perf_counter() - begin) * 1e6)
    cuts = statistics.quantiles(took, n=100)
    print(json.dumps({"suite": "dpdk-latency", "path": path, "requests": len(took),
                      "p50_us": round(cuts[49], 1), "p99_us": round(cuts[98], 1)}), flush=True)


if sys.argv[1] == "answer":
    answer(int(sys.argv[2]))
else:
    ask(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
