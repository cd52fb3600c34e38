#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Whether a TCP port answers, with a connection or with a refusal:

prober.py once ADDRESS PORT     one try; ends with 0 if it answers
prober.py on ADDRESS PORT       tries without end, and says "tried" or "answer" for each
"""

import errno
import socket
import sys

SECONDS = 1.0


def answer(address, port):
    """None if there is none. What a router says of the host is not the host's."""
    with socket.socket() as client:
        client.settimeout(SECONDS)
        try:
            client.connect((address, port))
            return "connected"
        except OSError as error:
            refused = error.errno in (errno.ECONNREFUSED, errno.ECONNRESET)
            return str(error) if refused else None


def main():
    how, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if how == "once":
        return 0 if answer(address, port) else 1
    while True:
        got = answer(address, port)
        print(f"answer: {got}" if got else "tried", flush=True)


sys.exit(main())
