#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How many packets a second dpdk-testpmd forwards in its io mode from a pcap feed to a sink.

  testpmd.py [--rounds N] [--seconds N] [--cpu N] FEED

The same ports as dpdk_bench's "path", in a process that knows nothing of Moat. Prints the median as
a line of JSON.
"""
import argparse
import json
import re
import statistics
import subprocess
import sys
import time


def ask(process, command):
    process.stdin.write(command + "\n")
    process.stdin.flush()


def sent_a_second(process):
    """Since it was last asked."""
    ask(process, "show port stats 1")
    said = ""
    for line in process.stdout:
        said += line
        found = re.search(r"Tx-pps:\s+(\d+)", line)
        if found:
            return int(found[1])
    sys.exit(f"testpmd ended: {said}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("feed", help="a pcap file, which dpdk_bench --keep-feed leaves")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--cpu", type=int, default=1, help="forwards; CPU 0 takes commands")
    options = parser.parse_args()
    # Into a pipe it would say nothing before it ends.
    command = ["stdbuf", "-oL", "dpdk-testpmd", "-l", f"0,{options.cpu}", "--no-pci", "--no-telemetry",
               "--file-prefix=moat-testpmd", "--in-memory",
               f"--vdev=net_pcap0,infinite_rx=1,rx_pcap={options.feed}",
               "--vdev=net_null0,no-rx=1", "--", "-i", "--forward-mode=io", "--burst=64",
               "--no-flush-rx"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as process:
        ask(process, "start")
        sent_a_second(process)
        rates = []
        for _ in range(options.rounds):
            time.sleep(options.seconds)
            rates.append(sent_a_second(process))
        ask(process, "stop")
        ask(process, "quit")
        process.stdout.read()
    print(json.dumps({"suite": "dpdk-testpmd", "mpps": statistics.median(rates) / 1e6}))


main()
