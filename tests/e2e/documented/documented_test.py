#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs every documented command as it is written: documented_test.py MOATD MOAT

Taken from code blocks of README.md, of docs/ and the man pages, and from the examples of `moat COMMAND
--help`. In a network and a mount namespace of its own, where /etc/moat, /run, /var/lib, /sys/fs/bpf
and the folder that it is run in are made for it, a real moatd guards the database orders, and beside it
postgresql where a block names that. Before each block the files are as they were; the commands of one
are run in their order.
"""

import glob
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from expected import ENDLESS, EXPECTED, YES  # noqa: E402

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
PAGES = ["README.md"] + sorted(os.path.relpath(path, ROOT)
                               for kind in ("docs/**/*.md", "**/*.scd")
                               for path in glob.glob(os.path.join(ROOT, kind), recursive=True))
LONG = 30 * int(os.environ.get("MOAT_TEST_PATIENCE", "1"))  # seconds, for what must come
A_WHILE = 1  # second, for what goes on until it is interrupted

MOAT_YAML = "interfaces: [eth0]\npropagation: {settle: 10ms}\n"
RANGES = "- id: mr-scalingo-osc-fr1\n  name: Scalingo\n  cidrs: [192.0.2.10/32, 192.0.2.64/27]\n"
ORDERS = """\
database: orders
endpoint: {port: 5432}
rules:
  - {id: r-1a2b3c4d, cidr: 198.51.100.77/32, label: LABEL}
"""
# As an installation makes it, on another port.
POSTGRESQL = "database: postgresql\nendpoint: {port: 5433}\nmode: monitor\nrules: []\n"
POSTGRESQL_FILE = "/etc/moat/databases.d/postgresql.yaml"
PEERING = "net-peerings:\n  - {id: pcx-123456789, cidr: 10.42.0.0/16}\n"
WORKSTATION = "  - {cidr: 198.51.100.25/32, label: Workstation}\n"


def commands_of(text):
    """Lines that are commands, without comments."""
    lines = (re.sub(r"\s+#.*$", "", line.strip()) for line in text.splitlines())
    return [line for line in lines
            if re.match(r"(moat|curl) \S", line) or re.match(r"[a-z].* \| moat \S", line)]


def blocks_of_page(path):
    """The commands of each code block: fenced, or indented by four in Markdown."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    if path.endswith(".md"):
        blocks += re.findall(r"(?:^ {4}\S.*\n)+", text, re.MULTILINE)
    return [(path, commands) for commands in map(commands_of, blocks) if commands]


def names_of(*words):
    listed = subprocess.run(["moat", "complete", *words, ""], check=True, capture_output=True,
                            text=True).stdout
    return [line.split("\t")[0] for line in listed.splitlines()]


def help_of(*words):
    return subprocess.run(["moat", *words, "--help"], check=True, capture_output=True,
                          text=True).stdout


def blocks_of_help():
    """The examples of each command, and of those of each group."""
    rows = []
    for name in names_of():
        rows.append((name,))
        if re.search(r"^Usage: .*SUBCOMMAND", help_of(name), re.MULTILINE):
            rows += [(name, each) for each in names_of(name)]
    blocks = []
    for row in rows:
        examples = re.search(r"^Examples?:\n((?:  .*\n)+)", help_of(*row), re.MULTILINE)
        if examples:
            blocks.append((f"moat {' '.join(row)} --help", commands_of(examples[1])))
    return blocks


def make_host(home):
    """What a host has that Moat needs, for this mount and network namespace alone."""
    def run(*command):
        subprocess.run(command, check=True, capture_output=True)

    run("mount", "--make-rprivate", "/")
    shutil.copytree("/etc", os.path.join(home, "etc"), symlinks=True,
                    ignore=lambda *_: ["ssl", "alternatives", "moat"])
    # What the examples of `moat import` name.
    for name, path in (("user.rules", "etc/ufw"), ("pg_hba.conf", "etc/postgresql/15/main")):
        os.makedirs(os.path.join(home, path), exist_ok=True)
        shutil.copy(os.path.join(ROOT, "tests/unit/cli/import", name), os.path.join(home, path))
    run("mount", "--bind", os.path.join(home, "etc"), "/etc")
    for folder in ("/run", "/var/lib"):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    run("mount", "-t", "bpf", "-o", "mode=700", "bpf", "/sys/fs/bpf")
    run("ip", "link", "set", "lo", "up")
    # Until this process, which is the first of its PID namespace, ends.
    other_end = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo && exec sleep infinity"],
                                 stdout=subprocess.PIPE)
    other_end.stdout.readline()  # by then it is in a network namespace of its own
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", str(other_end.pid))


class Host:
    def __init__(self, moatd, folder):
        self.folder = folder
        self.failures = 0
        os.makedirs("/etc/moat/databases.d")
        os.makedirs("/etc/moat/managed-ranges.d")
        self.write("/etc/moat/moat.yaml", MOAT_YAML)
        self.write("/etc/moat/managed-ranges.d/scalingo.yaml", RANGES)
        self.write("/etc/moat/databases.d/orders.yaml", ORDERS)
        self.log = open(os.path.join(folder, "moatd.log"), "wb")
        self.moatd = moatd
        self.start()
        # So many that the generations of the examples are there.
        for number in range(20):
            subprocess.run(["moat", "rules", "set", "r-1a2b3c4d", "--label", f"Number {number}"],
                           check=True, capture_output=True)

    def start(self):
        self.daemon = subprocess.Popen([self.moatd], stderr=self.log)
        deadline = time.monotonic() + LONG
        while subprocess.run(["moat", "status", "--json"], check=False,
                             capture_output=True).returncode not in (0, 1):
            assert self.daemon.poll() is None and time.monotonic() < deadline, "moatd does not start"
            time.sleep(0.02)

    @staticmethod
    def write(path, text):
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def reset(self, commands):
        """The files as they were; without what one of the commands is to add."""
        def have(*words):
            return any(all(word in command for word in words) for command in commands)

        orders = ORDERS + ("" if have("add", "198.51.100.25") else WORKSTATION)
        is_added = have("net-peerings add")
        if (have("--net-peering pcx") or have("net-peerings remove")) and not is_added:
            orders += PEERING
        subprocess.run(["moat", "confirm"], check=False, capture_output=True)
        self.write("/etc/moat/databases.d/orders.yaml", orders)
        is_second = any(re.search(r" postgresql\b", command) for command in commands)
        if is_second:
            self.write(POSTGRESQL_FILE, POSTGRESQL)
        elif os.path.exists(POSTGRESQL_FILE):
            os.remove(POSTGRESQL_FILE)
            subprocess.run(["moat", "reload"], check=False, capture_output=True)
            subprocess.run(["moat", "databases", "forget", "postgresql", "--yes"], check=True,
                           capture_output=True)
        subprocess.run(["moat", "reload"], check=True, capture_output=True)
        shutil.rmtree(os.path.join(self.folder, "config"), ignore_errors=True)
        shutil.copytree("/etc/moat", os.path.join(self.folder, "config"))

    def run(self, command, expected):
        """What is wrong with how it ends; empty: nothing."""
        master, slave = pty.openpty()
        with subprocess.Popen(["bash", "-c", command], cwd=self.folder, stdin=slave,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              start_new_session=True) as process:
            os.close(slave)
            if expected == YES:
                os.write(master, b"yes\n")
            try:
                said, _ = process.communicate(timeout=A_WHILE if expected == ENDLESS else LONG)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGINT)
                said, _ = process.communicate()
                return "" if expected == ENDLESS else f"does not end\n{said}"
            finally:
                os.close(master)
        wanted = 0 if expected == YES else expected
        return "" if process.returncode == wanted else \
            f"ended with {process.returncode}, not {wanted}\n{said}"

    def run_block(self, where, commands):
        self.reset(commands)
        for command in commands:
            wrong = self.run(command, EXPECTED[command]) if command in EXPECTED else \
                "is not in tests/e2e/documented/expected.py"
            print(f"{'FAILED' if wrong else 'ok'}: {where}: {command}")
            if wrong:
                self.failures += 1
                print(wrong)
        if "moat detach" in commands:
            self.daemon.wait(LONG)
            self.start()


def main():
    moatd, moat = map(os.path.abspath, sys.argv[1:3])
    if os.geteuid() != 0:
        print("needs root: NOTHING was run")
        sys.exit(77)
    if len(sys.argv) == 3:
        sys.exit(subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
                                 sys.executable, __file__, moatd, moat, "inside"],
                                check=False).returncode)
    home = tempfile.mkdtemp(prefix="moat-documented-")
    try:
        os.environ["PATH"] = f"{os.path.dirname(moat)}:{os.environ['PATH']}"
        os.environ.pop("MOAT_DATABASE", None)
        make_host(home)
        host = Host(moatd, home)
        blocks = [block for page in PAGES for block in blocks_of_page(page)] + blocks_of_help()
        for where, commands in blocks:
            host.run_block(where, commands)
        documented = {command for _, commands in blocks for command in commands}
        for command in sorted(set(EXPECTED) - documented):
            host.failures += 1
            print(f"FAILED: documented nowhere any more: {command}")
        print(f"{len(documented)} commands, {host.failures} failed")
        sys.exit(0 if host.failures == 0 else 1)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
