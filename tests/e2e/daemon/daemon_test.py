#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""moatd as a whole, in network namespaces of its own:
  daemon_test.py MOATD CLOCK_SHIM MOAT [--part N/PARTS | TEST...]

A database host and a peer, joined by one veth pair; a server that echoes stands for the database.
The peer has two addresses: one that the rule file lists, and a stranger's.
"""

import contextlib
import datetime
import fcntl
import http.client
import json
import mmap
import os
import pathlib
import pty
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from waiting import LONG, PATIENCE, wait_until  # noqa: E402

MOATD = ""
CLOCK_SHIM = ""
MOAT = ""
HOST, LISTED, STRANGER = "198.18.0.5", "198.18.0.9", "198.18.7.9"
CLONE_NEWNET = 0x40000000
BY_HAND = os.path.join(os.path.dirname(os.path.abspath(__file__)), "by_hand.py")
PREFIX = f"moat-daemon-{os.getpid()}"

SHORT = 0.5 * PATIENCE  # seconds, after which what has not come is taken for dropped
BOUND = f"bound: {10 * PATIENCE}s"
CONFIG = f"""\
interfaces: [eth0]
backstop: false
propagation: {{{BOUND}, reconcile: %s, settle: 20ms}}
"""
ORDERS = """\
# Who may reach the orders.
database: orders
endpoint: {port: 5432}
rules:
  - cidr: 198.18.0.0/24   # the office
"""


# Stands for an SSH server: accepts one client, and runs a command as if the client had typed it.
SSH_SERVER = """
import os, socket, subprocess, sys
os.environ["SSH_CONNECTION"] = "203.0.113.1 1 203.0.113.2 22"
listener = socket.create_server((sys.argv[1], 22))
print("listens", flush=True)
session, _ = listener.accept()
listener.close()
with open("/proc/self/comm", "w") as name:
    name.write("sshd")
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""


def texts(problems):
    """What status tells of problems or notices, as people read it."""
    return [f"{problem['message']} ({problem['remedy']})" for problem in problems]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def in_seconds(seconds):
    """The time then, as a rule's `expires` has it."""
    time_then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return time_then.strftime("%Y-%m-%dT%H:%M:%SZ")


def enter(namespace):
    """This thread's sockets are of that namespace from now on."""
    with open(f"/run/netns/{PREFIX}-{namespace}", "rb") as file:
        if sys.version_info >= (3, 12):
            os.setns(file.fileno(), CLONE_NEWNET)
        else:
            import ctypes

            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")


def within(namespace, function):
    """The function's result, called in that namespace."""
    result = []

    def call():
        enter(namespace)
        result.append(function())

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return result[0]


class Server:
    """Echoes on a port, and notes how its sessions end: "end" or the error's name."""

    def __init__(self, port):
        self.ends = {}  # by the peer's address
        self.listener = within("host", self._listen(port))
        threading.Thread(target=self._accept, daemon=True).start()

    @staticmethod
    def _listen(port):
        return lambda: socket.create_server(("0.0.0.0", port))

    def _accept(self):
        while True:
            try:
                session, peer = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(session, peer[0]), daemon=True).start()

    def _echo(self, session, peer):
        try:
            while data := session.recv(100):
                session.sendall(data)
            self.ends[peer] = "end"
        except OSError as error:
            self.ends[peer] = type(error).__name__

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def connect(source, port=5432):
    """A session of the peer's that has answered once, or None where its packets are dropped."""

    def attempt():
        client = socket.socket()
        client.settimeout(SHORT)
        client.bind((source, 0))
        try:
            client.connect((HOST, port))
            client.settimeout(LONG)
            client.sendall(b"?")
            if client.recv(1) == b"?":
                return client
        except OSError:
            pass
        client.close()
        return None

    return within("peer", attempt)


def as_stranger(*command):
    """Whether the command succeeds for another user of the host."""
    return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command],
                          check=False, capture_output=True).returncode == 0


def reaches(source, port=5432):
    session = connect(source, port)
    if session:
        session.close()
    return session is not None


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=LONG)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LONG)
        self.sock.connect(self.path)


class DaemonTest(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="moat-daemon-")
        self.addCleanup(shutil.rmtree, self.home)
        os.makedirs(self.path("etc/databases.d"))
        os.makedirs(self.path("etc/managed-ranges.d"))
        self.write("etc/moat.yaml", CONFIG % "30s")
        self.write("etc/databases.d/orders.yaml", ORDERS)
        self.make_network()
        os.mkdir(self.path("bpf"))
        run("mount", "-t", "bpf", "bpf", self.path("bpf"))
        self.addCleanup(run, "umount", self.path("bpf"))
        self.server = Server(5432)
        self.addCleanup(self.server.close)
        self.daemon = None
        self.addCleanup(self.stop)

    def make_network(self):
        for name in ("host", "peer"):
            run("ip", "netns", "add", f"{PREFIX}-{name}")
            self.addCleanup(run, "ip", "netns", "del", f"{PREFIX}-{name}")
        self.make_link()
        run("ip", "-n", f"{PREFIX}-host", "link", "set", "lo", "up")

    def make_link(self):
        host, peer = f"{PREFIX}-host", f"{PREFIX}-peer"
        run("ip", "-n", host, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", peer)
        for name, addresses in ((host, [HOST]), (peer, [LISTED, STRANGER])):
            for address in addresses:
                run("ip", "-n", name, "address", "add", address + "/16", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")

    def path(self, name):
        return os.path.join(self.home, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def edit(self, name, old, new):
        with open(self.path(name), encoding="utf-8") as file:
            text = file.read()
        self.assertIn(old, text)
        self.write(name + ".new", text.replace(old, new))
        os.rename(self.path(name + ".new"), self.path(name))

    def arguments(self):
        return [MOATD, "--config", self.path("etc/moat.yaml"), "--bpffs", self.path("bpf/moat"),
                "--state", self.path("state"), "--socket", self.path("moatd.sock")]

    def launch(self, environment=None, through=()):
        log = open(self.path("log"), "ab")
        with log:
            return subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{PREFIX}-host", *through] + self.arguments(),
                stderr=log, env={**os.environ, **(environment or {})})

    def start(self, environment=None, through=()):
        self.daemon = self.launch(environment, through)
        return wait_until(self.ready_status, "ready: " + self.path("log"))

    def ready_status(self):
        self.assertIsNone(self.daemon.poll(), self.log())
        try:
            status = self.get("/v1/status")
        except OSError:
            return None
        return status if status["ready"] else None

    def stop(self, how=signal.SIGTERM):
        if self.daemon is None:
            return
        self.daemon.send_signal(how)
        self.daemon.wait(LONG)
        self.daemon = None

    def log(self):
        with open(self.path("log"), encoding="utf-8") as file:
            return file.read()

    def request(self, method, path, body=None):
        connection = UnixConnection(self.path("moatd.sock"))
        connection.request(method, path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer

    def get(self, path):
        status, answer = self.request("GET", path)
        self.assertEqual(status, 200, answer)
        return answer

    def metrics(self):
        connection = UnixConnection(self.path("moatd.sock"))
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def moat(self, *arguments):
        """The command, as root types it on the host."""
        return subprocess.run(
            ["nsenter", f"--net=/run/netns/{PREFIX}-host", MOAT, *arguments, "--socket",
             self.path("moatd.sock")], check=False, capture_output=True, text=True, timeout=LONG)

    def status(self):
        return self.get("/v1/status")

    def problem(self, code):
        """What status tells of that code, a problem or a notice; empty: nothing."""
        status = self.status()
        return "; ".join(texts(each for each in status["problems"] + status["notices"]
                               if each["code"] == code))

    def rules(self):
        return self.get("/v1/rules?database=orders")["rules"]

    def wait_for_generation(self, number):
        return wait_until(lambda: self.status()["generation"] >= number and self.status(),
                          f"generation {number}: {self.log()}")

    def assert_session(self, source, why="let in"):
        """A session of that source's; of what a busy machine was slow with, another attempt."""
        return wait_until(lambda: connect(source), f"{source}: {why}")

    def assert_reaches(self, source, why="let in"):
        self.assert_session(source, why).close()

    # What a first start, and every later one, must do.

    def test_first_start_guards(self):
        self.assert_reaches(STRANGER)
        status = self.start()
        self.assertEqual(status["generation"], 1)
        self.assertEqual([(i["name"], i["mode"]) for i in status["interfaces"]],
                         [("eth0", "native")])
        self.assert_reaches(LISTED)
        self.assertFalse(reaches(STRANGER))

    def test_start_cuts_who_may_not_stay(self):
        kept, session = self.assert_session(LISTED), self.assert_session(STRANGER)
        self.start()
        wait_until(lambda: self.server.ends.get(STRANGER), "the stranger's session ends")
        self.assertEqual(self.server.ends[STRANGER], "ConnectionAbortedError")
        session.close()
        kept.sendall(b"!")
        self.assertEqual(kept.recv(1), b"!")

    def test_restart_changes_nothing(self):
        before = self.start()
        for how in (signal.SIGTERM, signal.SIGKILL):
            self.stop(how)
            self.assert_reaches(LISTED)
            self.assertFalse(reaches(STRANGER), "the wall stands with no daemon")
            after = self.start()
            self.assertEqual(after["generation"], before["generation"])
            self.assertEqual(after["interfaces"], before["interfaces"])

    def test_restart_enforces_what_changed_meanwhile(self):
        self.start()
        self.stop()
        self.edit("etc/databases.d/orders.yaml", "198.18.0.0/24", "198.18.7.0/24")
        self.assertEqual(self.start()["generation"], 2)
        self.assertFalse(reaches(LISTED))
        self.assert_reaches(STRANGER)

    def test_bad_configuration_at_start_is_refused(self):
        self.write("etc/moat.yaml", "interfaces: [eth0]\nmodus: enforce\n")
        self.assertEqual(self.launch().wait(LONG), 1)
        self.assertIn("moat.yaml:2:1", self.log())

    def test_bad_configuration_after_a_reboot_is_held_back(self):
        self.start()
        self.stop()
        run("umount", self.path("bpf"))  # and with it all that is pinned
        run("mount", "-t", "bpf", "bpf", self.path("bpf"))
        self.assert_reaches(STRANGER, "nothing is left of before")
        self.write("etc/moat.yaml", "interfaces: [eth0]\nmodus: enforce\n")
        status = self.start()
        self.assertEqual(status["files"][0]["state"], "held-back")
        self.assert_reaches(LISTED)
        self.assertFalse(reaches(STRANGER), "what it said last stays in force")

    def test_second_daemon_is_refused(self):
        self.start()
        self.assertEqual(self.launch().wait(LONG), 1)
        self.assertIn(str(self.daemon.pid), self.log())
        self.assertTrue(self.ready_status())

    def test_second_daemon_on_the_same_pins_is_refused(self):
        self.start()
        other = subprocess.run(
            ["nsenter", f"--net=/run/netns/{PREFIX}-host", MOATD,
             "--config", self.path("etc/moat.yaml"), "--bpffs", self.path("bpf/moat"),
             "--state", self.path("other-state"), "--socket", self.path("other.sock")],
            capture_output=True, text=True, timeout=LONG, check=False)
        self.assertEqual(other.returncode, 1, other.stderr)
        self.assertIn("another moatd", other.stderr)
        self.assertTrue(self.ready_status())

    def test_second_daemon_on_the_same_pins_is_refused_in_other_namespaces(self):
        self.start()
        other = subprocess.run(
            ["nsenter", f"--net=/run/netns/{PREFIX}-peer", "unshare", "--mount", MOATD,
             "--config", self.path("etc/moat.yaml"), "--bpffs", self.path("bpf/moat"),
             "--state", self.path("other-state"), "--socket", self.path("other.sock")],
            capture_output=True, text=True, timeout=LONG, check=False)
        self.assertEqual(other.returncode, 1, other.stderr)
        self.assertIn("another moatd", other.stderr)
        self.assertFalse(reaches(STRANGER))

    def test_lost_state_opens_nothing(self):
        self.start()
        os.rename(self.path("etc/databases.d/orders.yaml"), self.path("orders.kept"))
        wait_until(lambda: self.rules()[0]["state"] == "vanished", "seen to be gone")
        self.stop()
        self.write("state/state.json", "lost")
        self.daemon = self.launch()
        wait_until(lambda: "no file speaks for port 5432" in self.log(), "told why not")
        self.assert_reaches(LISTED)
        self.assertFalse(reaches(STRANGER), "the table of before stays")
        self.assertFalse(self.status()["ready"])
        os.rename(self.path("orders.kept"), self.path("etc/databases.d/orders.yaml"))
        wait_until(lambda: self.status()["ready"], "ready with the file")
        self.assertFalse(reaches(STRANGER))

    def test_what_is_enforced_is_not_guessed_where_the_state_is_lost(self):
        self.start()
        self.stop()
        shutil.rmtree(self.path("state"))
        os.rename(self.path("etc/databases.d/orders.yaml"), self.path("orders.kept"))
        self.daemon = self.launch()
        wait_until(lambda: "not ready: see `moat status`" in self.log(), "told")
        self.assertIn("no file speaks for port 5432", self.log())
        for path in ("/v1/why?source=" + STRANGER, "/v1/rules", "/v1/databases",
                     "/v1/managed-ranges", "/v1/managed-ranges/x"):
            status, answer = self.request("GET", path)
            self.assertEqual(status, 409, answer)
            self.assertIn("generation 1 is enforced, but what it says is not known",
                          answer["error"]["message"])
        status = self.status()
        self.assertFalse(status["policy_known"])
        self.assertNotIn("no database guards", str(status["notices"]))
        self.assertEqual(str(status["problems"]).count("generation 1 stays"), 1)
        os.rename(self.path("orders.kept"), self.path("etc/databases.d/orders.yaml"))
        wait_until(lambda: self.status()["policy_known"], "known with the file")
        self.assertEqual(self.get("/v1/why?source=" + STRANGER)["answers"][0]["allowed"], False)

    def test_problem_with_the_state_ends_when_it_is_saved(self):
        self.start()
        self.stop()
        self.write("state/state.json", "{")
        status = self.start()
        self.assertEqual(status["problems"], [])
        self.assertTrue(any("the last state cannot be used" in notice and
                            "it is not what moatd writes" in notice and "mended" in notice
                            for notice in texts(status["notices"])), status["notices"])

    def test_start_that_leaves_something_unguarded_is_told(self):
        self.write("etc/databases.d/bills.yaml", "database: bills\nendpoint: {port: 70000}\n")
        self.daemon = self.launch()
        wait_until(lambda: "not ready: see `moat status`" in self.log(), "told")
        os.remove(self.path("etc/databases.d/bills.yaml"))
        wait_until(lambda: "ready: generation" in self.log(), "ready")

    def test_trusted_interfaces_are_told_of(self):
        self.start()
        self.assertNotIn("trusted interfaces", self.log())
        self.edit("etc/moat.yaml", "backstop: false",
                  "backstop: false\ntrusted-interfaces: [lo, eth1]")
        wait_until(lambda: "trusted interfaces: lo, eth1; what comes by them reaches local sockets "
                   "without rules" in self.log(), "told")
        self.assertEqual(self.status()["settings"]["trusted_interfaces"], ["lo", "eth1"])

    def test_absent_interface_is_told_with_the_nearest_name(self):
        self.write("etc/moat.yaml", (CONFIG % "30s").replace("[eth0]", "[eth0, eth01]"))
        status = self.start()
        self.assertEqual([i["remedy"] for i in status["interfaces"] if not i["present"]],
                         ["check the name with `ip link`"])
        self.write("etc/moat.yaml", (CONFIG % "30s").replace("[eth0]", "[eth01]"))
        wait_until(lambda: [i["name"] for i in self.status()["interfaces"]] == ["eth01", "eth0"],
                   "configured")
        absent, pending = self.status()["interfaces"]
        self.assertEqual(absent["remedy"], "did you mean eth0?")
        self.assertIn("stays guarded until eth01", pending["reason"])
        self.assertFalse(reaches(STRANGER), "a typing error opens nothing")
        self.stop()
        self.start()
        self.assertIn("eth0", [i["name"] for i in self.status()["interfaces"] if i["program_id"]])
        self.assertFalse(reaches(STRANGER), "nor by a restart")

    def test_ipv6_is_answered_for(self):
        self.start()
        answer = self.get("/v1/why?source=2001:db8::1")["answers"][0]
        self.assertEqual((answer["allowed"], answer["reason"], answer["generation"]),
                         (False, "ipv6", 1))

    def test_state_older_than_the_table_revives_nothing(self):
        self.start()
        self.stop()
        with open(self.path("state/state.json"), encoding="utf-8") as file:
            old = file.read()
        self.start()
        self.edit("etc/databases.d/orders.yaml", "198.18.0.0/24", "198.18.7.0/24")
        wait_until(lambda: not reaches(LISTED), "taken out")
        self.stop()
        self.write("state/state.json", old)
        self.write("etc/databases.d/orders.yaml", "database: orders\nrules: [\n")
        self.daemon = self.launch()
        wait_until(lambda: "the state on disk is older" in self.log(), "told why not")
        self.assertFalse(reaches(LISTED), "the rule that went does not come back")

    def test_interface_named_by_its_other_name_is_guarded_once(self):
        run("ip", "-n", f"{PREFIX}-host", "link", "property", "add", "dev", "eth0",
            "altname", "enp0s1")
        self.write("etc/moat.yaml", (CONFIG % "1s").replace("eth0", "enp0s1"))
        self.start()
        self.edit("etc/databases.d/orders.yaml", "# the office", "# the office, again")
        run("ip", "-n", f"{PREFIX}-host", "link", "set", "lo", "down")
        run("ip", "-n", f"{PREFIX}-host", "link", "set", "lo", "up")
        wait_until(lambda: self.status()["ready"], "still ready")
        self.assertNotIn("no longer guarded", self.log())
        self.assertNotIn("pins were missing", self.log())
        self.assertFalse(reaches(STRANGER))
        run("ip", "-n", f"{PREFIX}-host", "link", "property", "del", "dev", "eth0",
            "altname", "enp0s1")

    def test_tells_the_service_manager(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(self.path("notify"))
        manager.settimeout(LONG)
        self.daemon = self.launch({"NOTIFY_SOCKET": self.path("notify")})
        while manager.recv(4096) != b"READY=1":
            pass
        self.assertTrue(self.status()["ready"])
        self.daemon.send_signal(signal.SIGHUP)
        messages = b""
        while b"READY=1" not in messages:
            messages += manager.recv(4096)
        self.assertIn(b"RELOADING=1", messages)

    def test_tells_the_service_manager_what_is_not_guarded_and_starts_all_the_same(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(self.path("notify"))
        manager.settimeout(LONG)
        self.write("etc/databases.d/bills.yaml", "database: bills\nendpoint: {port: 70000}\n")
        self.daemon = self.launch({"NOTIFY_SOCKET": self.path("notify")})
        messages = b""
        while b"READY=1" not in messages:
            messages += manager.recv(4096)
        self.assertIn(b"NOT ALL IS GUARDED", messages)
        self.assertFalse(self.status()["ready"])
        self.assertFalse(reaches(STRANGER))
        self.daemon.send_signal(signal.SIGHUP)
        messages = b""
        while not messages.endswith(b"READY=1"):
            messages += manager.recv(4096)
        self.assertIn(b"RELOADING=1", messages)

    # Changes.

    def test_edited_file_is_enforced(self):
        self.start()
        self.edit("etc/databases.d/orders.yaml", "198.18.0.0/24", "198.18.0.0/16")
        status = self.wait_for_generation(2)
        self.assert_reaches(STRANGER)
        self.assertTrue(status["last"]["path"].endswith("orders.yaml"))
        self.assertFalse(status["last"]["overdue"])
        self.assertEqual(status["pending"], [])

    def test_broken_configuration_beside_an_old_state_opens_nothing(self):
        self.write("etc/moat.yaml", CONFIG % "30s" + "mode: monitor\n")
        self.start()
        self.stop()
        with open(self.path("state/state.json"), encoding="utf-8") as file:
            old = file.read()
        self.write("etc/moat.yaml", CONFIG % "30s")
        self.start()
        self.assertFalse(reaches(STRANGER))
        self.stop()
        self.write("state/state.json", old)
        self.write("etc/moat.yaml", CONFIG % "30s" + "modus: enforce\n")
        self.daemon = self.launch()
        wait_until(lambda: "moat.yaml is no help" in self.log(), "told why not")
        self.assertFalse(reaches(STRANGER), "the mode of before does not come back")
        self.write("etc/moat.yaml", CONFIG % "30s")
        wait_until(lambda: self.status()["ready"], "ready with the file")
        self.assertFalse(reaches(STRANGER))

    def test_file_in_pieces_is_waited_for(self):
        self.start()
        first, last = ORDERS.split("  - cidr")
        with open(self.path("etc/databases.d/orders.yaml"), "w", encoding="utf-8") as file:
            file.write(first.replace("rules:", "rules: []"))
            file.flush()
            # Far longer than the settling time of 20 ms: an edit by then would be enforced.
            self.write("etc/databases.d/shop.yaml",
                       "database: shop\nendpoint: {port: 3306}\nrules: []\n")
            self.wait_for_generation(2)  # other files do not wait
            status, answer = self.request("POST", "/v1/rules", {"database": "shop",
                                                                "cidr": "10.0.0.0/8"})
            self.assertEqual(status, 200, answer)
            status, answer = self.request("POST", "/v1/rules", {"database": "orders",
                                                                "cidr": "10.0.0.0/8"})
            self.assertEqual(status, 409, answer)
            self.assertIn("orders.yaml", answer["error"]["message"])
            told = [fault["message"] for fault in self.status()["files"][0]["faults"]]
            self.assertEqual(told, ["is being written"])
            self.assert_reaches(LISTED)
            file.seek(0)
            file.write(first + "  - cidr" + last)
        wait_until(lambda: self.status()["files"][0]["faults"] == [], "the file to be read")
        self.assertEqual(self.status()["generation"], 3)  # it says what it said before
        self.assertEqual(self.rules()[0]["state"], "active")
        self.assertNotIn("removed 198.18.0.0/24", self.log())

    def test_half_a_file_is_not_taken_for_a_whole_one(self):
        self.start()
        path = self.path("etc/databases.d/orders.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("database: orders\nendpoint: {port: 5432}\nrules: []\n")
            file.flush()
            session = self.assert_session(LISTED)

            def stands(why):
                self.request("POST", "/v1/reload")  # which looks at every file
                self.assert_reaches(LISTED, why)
                session.sendall(b"?")
            run("touch", path)
            stands("whoever closes it")
            os.rename(path, self.path("etc/databases.d/renamed.yaml"))
            stands("under another name")
            self.stop(signal.SIGKILL)
            before = len(self.log())
            self.daemon = self.launch()
            wait_until(lambda: "is being written" in self.log()[before:], "told so")
            stands("though another daemon begins")
            file.seek(0)
            file.write(ORDERS)
        wait_until(lambda: self.status()["files"][0]["state"] == "active", "the file to be read")
        self.assert_reaches(LISTED)

    def test_configuration_in_pieces_is_waited_for(self):
        self.start()
        with open(self.path("etc/moat.yaml"), "a", encoding="utf-8") as file:
            file.write("mode: monitor")
            file.flush()
            wait_until(lambda: "is being written" in [
                fault["message"] for fault in self.status()["files"][0]["faults"]], "told so")
            self.assertFalse(reaches(STRANGER))
            file.write("ed\n")
        wait_until(lambda: self.status()["files"][0]["state"] == "held-back", "read")
        self.assertFalse(reaches(STRANGER))

    def test_edit_does_not_meet_somebody_with_the_file_open(self):
        self.start()
        with open(self.path("etc/databases.d/orders.yaml"), "a", encoding="utf-8") as file:
            status, answer = self.request("POST", "/v1/rules", {"cidr": "198.18.7.0/24"})
            self.assertEqual(status, 409, answer)
            self.assertIn("open for writing", answer["error"]["message"])
            self.assertIn("fuser -v " + self.path("etc"), answer["error"]["remedy"])
            file.write("  - cidr: 198.18.7.0/24\n")
        self.wait_for_generation(2)
        self.assert_reaches(STRANGER)

    def test_forgotten_is_nothing_that_a_file_may_name(self):
        self.start()
        os.rename(self.path("etc/databases.d/orders.yaml"), self.path("etc/databases.d/o2.yaml"))
        os.chmod(self.path("etc/databases.d/o2.yaml"), 0o666)
        wait_until(lambda: self.rules()[0]["state"] == "vanished", "seen to be gone")
        status, answer = self.request("DELETE", "/v1/databases/orders")
        self.assertEqual(status, 409, answer)
        self.assertIn("o2.yaml", answer["error"]["message"])
        self.assertFalse(reaches(STRANGER))

    def test_file_that_is_never_closed_is_read_at_last(self):
        self.write("etc/moat.yaml", (CONFIG % "30s").replace(BOUND, "bound: 1s"))
        self.start()
        with open(self.path("etc/databases.d/orders.yaml"), "r+", encoding="utf-8") as file:
            file.write(ORDERS.replace("198.18.0.0/24", "198.18.7.0/24"))
            file.flush()
            self.wait_for_generation(2)
        self.assert_reaches(STRANGER)

    def test_rule_added_and_removed(self):
        self.start()
        status, change = self.request("POST", "/v1/rules",
                                      {"cidr": "198.18.7.0/24", "label": "Let in"})
        self.assertEqual((status, change["enforced"]), (200, True), change)
        session = self.assert_session(STRANGER, "enforced when it says so")
        status, change = self.request(
            "DELETE", f"/v1/rules?database=orders&id={change['rule_id']}")
        self.assertEqual((status, change["enforced"]), (200, True), change)
        self.assertFalse(reaches(STRANGER))
        wait_until(lambda: self.server.ends.get(STRANGER), "the session ends")
        session.close()
        with open(self.path("etc/databases.d/orders.yaml"), encoding="utf-8") as file:
            self.assertEqual(file.read(), ORDERS)

    # Net peerings.

    PEERED = "rules: []\nnet-peerings:\n  - {id: pcx-1, cidr: 198.18.7.0/24, label: Staging}\n"

    def write_orders(self, rest):
        self.write("etc/databases.d/orders.yaml",
                   "database: orders\nendpoint: {port: 5432}\n" + rest)

    def net_peerings(self):
        found = self.get("/v1/net-peerings?database=orders")["net_peerings"]
        return {peering["id"]: peering for peering in found}

    def test_net_peering_is_let_in_by_a_rule_and_by_nothing_else(self):
        self.write_orders(self.PEERED)
        self.start()
        self.assertFalse(reaches(STRANGER), "registered, and no rule")
        faults = [fault for file in self.status()["files"] for fault in file["faults"]]
        self.assertEqual([fault["remedy"] for fault in faults],
                         ["add a rule: moat rules add --database orders --net-peering pcx-1"])
        self.assertIn("admits nobody", self.moat("status").stdout)
        self.assertEqual(self.net_peerings()["pcx-1"]["state"], "no-rule")
        self.assertIn("moat rules add --database orders --net-peering pcx-1",
                      self.moat("why", STRANGER).stdout)

        added = self.moat("rules", "add", "--net-peering", "pcx-1", "--label", "Peers")
        self.assertEqual(added.returncode, 0, added.stderr)
        session = self.assert_session(STRANGER)
        self.assertFalse(reaches("198.18.0.9"))
        self.assertEqual([(rule["id"], rule["type"], rule["source"]) for rule in self.rules()],
                         [(added.stdout.strip(), "net-peering", "pcx-1")])
        peering = self.net_peerings()["pcx-1"]
        self.assertEqual((peering["state"], peering["interface"], peering["address"]),
                         ("active", "eth0", HOST))
        self.assertGreater(peering["hits"]["packets"], 0)
        self.assertIn("Peers", self.moat("why", STRANGER).stdout)
        refused = self.moat("net-peerings", "remove", "pcx-1")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(added.stdout.strip(), refused.stderr)

        removed = self.moat("rules", "remove", "--net-peering", "pcx-1", "--yes")
        self.assertEqual(removed.returncode, 0, removed.stderr)
        wait_until(lambda: self.server.ends.get(STRANGER), "the peer's session ends")
        session.close()
        self.assertFalse(reaches(STRANGER))
        self.assertEqual(self.moat("net-peerings", "remove", "pcx-1").returncode, 0)
        self.assertEqual(self.net_peerings(), {})

    def make_state_of_an_earlier_version(self):
        """As it was when net peerings let their networks in without a rule."""
        with open(self.path("state/state.json"), encoding="utf-8") as file:
            state = json.load(file)["state"]
        for database in state["enforced"]["databases"]:
            named = {rule["id"]: rule["net-peering"] for rule in database["rules"]
                     if rule["net-peering"]}
            self.assertTrue(named)
            database["rules"] = [rule for rule in database["rules"] if rule["id"] not in named]
            database["net-peerings"] = [{key: peering[key] for key in ("id", "cidr", "place")}
                                        for peering in database.pop("registered")]
            for _, key in state["rule-slots"]["in-use"]:
                key[1] = named.get(key[1], key[1])
        text = json.dumps(state, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        checksum = 0xcbf29ce484222325
        for byte in text.encode():
            checksum = (checksum ^ byte) * 0x100000001b3 % 2**64
        self.write("state/state.json", f'{{\n"version": 1,\n"checksum": "{checksum:016x}",\n'
                   f'"state": {text}\n}}\n')

    def test_upgrade_keeps_what_a_held_back_file_had_admitted_and_cuts_what_no_rule_names(self):
        self.write_orders(self.PEERED.replace("[]", "[{net-peering: pcx-1}]"))
        self.start()
        session = self.assert_session(STRANGER)
        self.stop()
        self.make_state_of_an_earlier_version()
        self.write_orders(self.PEERED.replace("[]", "[{cidr: 198.18.0.0/33}]"))
        self.start()
        self.assertEqual([(rule["id"], rule["type"], rule["state"]) for rule in self.rules()],
                         [("pcx-1", "net-peering", "held-back")])
        session.sendall(b"?")
        self.assertEqual(session.recv(1), b"?", "the session goes on")
        self.assert_reaches(STRANGER)
        generation = self.status()["generation"]
        self.write_orders(self.PEERED)
        self.wait_for_generation(generation + 1)
        wait_until(lambda: self.server.ends.get(STRANGER), "the peer's session ends")
        session.close()
        self.assertFalse(reaches(STRANGER))
        self.assertIn("orders: removed pcx-1", self.log())

    def guarded(self):
        return {at["guarded"] for at in self.get("/v1/endpoints")["endpoints"]}

    def test_network_and_endpoints_are_those_of_the_host(self):
        run("ip", "-n", f"{PREFIX}-host", "address", "add", "10.1.0.5/24", "dev", "eth0")
        self.write("etc/databases.d/orders.yaml",
                   "database: orders\nendpoint: {ports: [5432, 5433]}\n"
                   "rules: [{net-peering: pcx-near}, {cidr: 203.0.113.0/24}]\n"
                   "net-peerings:\n"
                   "  - {id: pcx-near, cidr: 10.1.0.128/25}\n"
                   "  - {id: pcx-far, cidr: 203.0.113.0/24}\n")
        other = Server(6432)
        self.addCleanup(other.close)
        self.start()
        states = {id: peering["state"] for id, peering in self.net_peerings().items()}
        self.assertEqual(states, {"pcx-near": "active", "pcx-far": "no-route"})

        [network] = self.get("/v1/network-configuration")["databases"]
        self.assertEqual([(at["interface"], at["address"], at["network"])
                          for at in network["addresses"]],
                         [("eth0", HOST, "198.18.0.0/16"), ("eth0", "10.1.0.5", "10.1.0.0/24")])
        self.assertEqual([(peer["net_peering"], peer["interface"], peer["address"])
                          for peer in network["peers"]],
                         [("pcx-near", "eth0", "10.1.0.5"), ("pcx-far", "", "")])
        self.assertIn("no route leads to pcx-far", self.moat("network-configuration").stderr)

        answer = self.get("/v1/endpoints")
        self.assertEqual([(at["type"], at["address"], at["port"], at["listening"])
                          for at in answer["endpoints"]],
                         [("public", HOST, 5432, True), ("private-peering", "10.1.0.5", 5432, True),
                          ("public", HOST, 5433, False),
                          ("private-peering", "10.1.0.5", 5433, False)])
        self.assertEqual(answer["unguarded_ports"], [6432])
        self.assertEqual(self.guarded(), {False}, "without a backstop, eth0 alone is judged")
        self.assertEqual([at["guarded_by"] for at in answer["endpoints"]], [["eth0"]] * 4)
        self.edit("etc/moat.yaml", "backstop: false", "backstop: true")
        wait_until(lambda: self.guarded() == {True}, "the backstop is on")
        self.assertIn("6432", self.moat("endpoints").stderr)

    def test_rule_set_in_its_place_keeps_sessions_and_hits(self):
        self.start()
        session = self.assert_session(LISTED)
        before = self.rules()[0]
        self.assertGreater(before["hits"]["packets"], 0)
        path = f"/v1/rules?database=orders&id={before['id'][:6]}"
        status, change = self.request("PATCH", path, {"label": "The office", "expires": "1h"})
        self.assertEqual((status, change["ended_sessions"]), (200, 0), change)
        after = self.rules()[0]
        self.assertEqual((after["id"], after["label"]), (before["id"], "The office"))
        self.assertGreaterEqual(after["hits"]["packets"], before["hits"]["packets"])
        with open(self.path("etc/databases.d/orders.yaml"), encoding="utf-8") as file:
            self.assertIn("  - cidr: 198.18.0.0/24   # the office\n    label: The office\n"
                          "    expires: ", file.read())
        session.sendall(b"!")
        self.assertEqual(session.recv(1), b"!")
        status, change = self.request("PATCH", path, {"label": "The office", "expires": "never"})
        self.assertEqual((status, self.rules()[0]["expires"]), (200, None), change)
        session.sendall(b"!")
        self.assertEqual(session.recv(1), b"!")

    def test_expired_rule_set_to_another_end_lets_in_again(self):
        self.edit("etc/databases.d/orders.yaml", "   # the office",
                  "\n    expires: 2020-01-01T00:00:00Z")
        self.start()
        self.assertFalse(reaches(LISTED))
        status, refused = self.request("POST", "/v1/rules", {"cidr": "198.18.0.0/24"})
        self.assertEqual(status, 409, refused)
        remedy = refused["error"]["remedy"]
        self.assertIn("moat rules set --database orders r-", remedy)
        command = remedy[remedy.index("moat ") + len("moat "):].split()
        self.assertEqual(self.moat(*command).returncode, 0)
        self.assert_reaches(LISTED)

    def test_adding_what_is_there_changes_nothing(self):
        self.start()
        before = self.status()["generation"]
        added = self.moat("rules", "add", "--cidr", "198.18.0.0/24", "--if-absent")
        self.assertEqual(added.returncode, 0, added.stderr)
        self.assertEqual(added.stdout.strip(), self.rules()[0]["id"])
        self.assertIn("names 198.18.0.0/24 already: nothing was changed", added.stderr)
        self.assertEqual(self.status()["generation"], before)

    def test_one_database_in_monitor_mode_lets_pass_and_says_so(self):
        self.write("etc/databases.d/shop.yaml",
                   "database: shop\nendpoint: {port: 3306}\nrules: []\n")
        shop = Server(3306)
        self.addCleanup(shop.close)
        self.start()
        self.assertFalse(reaches(STRANGER))
        self.assertEqual(self.moat("databases", "monitor", "orders", "--yes").returncode, 0)
        session = self.assert_session(STRANGER, "monitor mode")
        self.assertFalse(reaches(STRANGER, 3306), "shop is enforced")
        self.assertEqual(self.status()["monitored"], ["orders"])
        modes = {d["id"]: d["mode"] for d in self.get("/v1/databases")["databases"]}
        self.assertEqual(modes, {"orders": "monitor", "shop": "enforce"})
        modes = {t["database"]: t["mode"] for t in self.get("/v1/counters")["totals"]}
        self.assertEqual(modes, {"orders": "monitor", "shop": "enforce"})
        self.assertIn('moat_database_monitored{database="orders"} 1', self.metrics())
        self.assertIn('moat_database_monitored{database="shop"} 0', self.metrics())
        why = self.get(f"/v1/why?source={STRANGER}&database=orders")["answers"][0]
        self.assertEqual((why["allowed"], why["monitored"]), (False, True))
        wait_until(lambda: any(d["monitored"] for d in self.get("/v1/drops")["drops"]),
                   "a drop that passed")

        ends = self.moat("preflight", "--json")
        self.assertEqual(ends.returncode, 1, ends.stderr)
        would_end = json.loads(ends.stdout)["ends"]
        self.assertEqual([(s["peer"], s["database"]) for s in would_end], [(STRANGER, "orders")])
        self.assertEqual(would_end[0]["process"]["pid"], os.getpid())
        change = self.moat("databases", "enforce", "orders", "--json")
        self.assertEqual(json.loads(change.stdout)["ended"],
                         [{"peer": STRANGER, "database": "orders", "sessions": 1}])
        session.close()
        self.assertFalse(reaches(STRANGER))
        self.assertEqual(self.moat("preflight").returncode, 0)

    def test_sessions_are_told_with_what_candidate_rules_make_of_them(self):
        self.start()
        session = self.assert_session(LISTED)
        self.addCleanup(session.close)
        os.makedirs(self.path("new/databases.d"))
        os.makedirs(self.path("new/managed-ranges.d"))
        self.write("new/databases.d/orders.yaml", ORDERS.replace("198.18.0.0/24", "198.18.7.0/24"))
        told = self.moat("sessions", "--config", self.path("new"), "--json")
        self.assertEqual(told.returncode, 0, told.stderr)
        [row] = json.loads(told.stdout)["sessions"]
        self.assertEqual((row["peer"], row["peer_port"], row["port"]),
                         (LISTED, session.getsockname()[1], 5432))
        self.assertEqual((row["allowed"], row["rule"]), (True, self.rules()[0]["id"]))
        self.assertFalse(row["candidate"]["allowed"])
        self.assertEqual(row["process"]["pid"], os.getpid())
        self.assertIsNotNone(row["idle_ms"])
        preflight = self.moat("preflight", "--config", self.path("new"))
        self.assertEqual(preflight.returncode, 1)
        self.assertIn(LISTED, preflight.stdout)
        self.write("new/databases.d/orders.yaml", ORDERS.replace("5432", "5433"))
        preflight = self.moat("preflight", "--config", self.path("new"))
        self.assertEqual(preflight.returncode, 0, preflight.stdout)
        self.assertIn("port 5432 of orders would be open to everyone", preflight.stdout)

    def test_session_by_nat_is_told_as_it_is_on_the_wire(self):
        other = Server(7000)
        self.addCleanup(other.close)
        host = f"{PREFIX}-host"
        run("ip", "netns", "exec", host, "nft", "add table ip t; add chain ip t pre "
            "{ type nat hook prerouting priority dstnat; }; "
            "add rule ip t pre tcp dport 5432 redirect to :7000")
        self.start()
        session = self.assert_session(LISTED)
        self.addCleanup(session.close)
        [row] = self.get("/v1/sessions")["sessions"]
        self.assertEqual((row["peer"], row["port"], row["database"]), (LISTED, 5432, "orders"))
        self.assertEqual((row["allowed"], row["exempt"]), (True, False))
        self.assertNotEqual(row["socket"], 0)

    def test_own_address_is_that_of_the_ssh_session(self):
        self.start()
        command = [MOAT, "rules", "add", "--me", "--label", "Me", "--socket",
                   self.path("moatd.sock")]
        server = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{PREFIX}-host", sys.executable, "-c", SSH_SERVER, HOST]
            + command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(server.stdout.readline(), "listens\n")

        def connect_by_ssh():
            client = socket.socket()
            client.settimeout(LONG)
            client.bind((STRANGER, 0))
            client.connect((HOST, 22))
            return client

        client = within("peer", connect_by_ssh)
        _, errors = server.communicate(timeout=LONG)
        client.close()
        self.assertEqual(server.returncode, 0, errors)
        self.assertIn(f"your address is {STRANGER}", errors)
        self.assertEqual([r["source"] for r in self.rules()],
                         ["198.18.0.0/24", STRANGER + "/32"])
        self.assert_reaches(STRANGER)

    def test_rules_are_counted_since_they_are_there(self):
        self.start()
        rule = wait_until(lambda: self.rules()[0]["counted_since"] and self.rules()[0], "counted")
        self.stop()
        self.start()
        self.assertEqual(self.rules()[0]["counted_since"], rule["counted_since"])
        unused = self.moat("rules", "list", "--unused", "30d")
        self.assertEqual(unused.stdout, "")
        self.assertIn("younger than 30d: not listed", unused.stderr)

    def test_refused_edit_changes_nothing(self):
        self.start()
        for body, words in (({"cidr": "198.18.7.1/24"}, "198.18.7.0/24"),
                            ({"managed_range": "mr-no"}, "mr-no"),
                            ({"cidr": "198.18.0.0/24"}, "198.18.0.0/24")):
            status, answer = self.request("POST", "/v1/rules", body)
            self.assertEqual(status, 400, answer)
            self.assertIn(words, json.dumps(answer))
        self.assertEqual(self.status()["generation"], 1)
        with open(self.path("etc/databases.d/orders.yaml"), encoding="utf-8") as file:
            self.assertEqual(file.read(), ORDERS)

    def test_broken_file_holds_back_itself_alone(self):
        self.start()
        self.edit("etc/databases.d/orders.yaml", "198.18.0.0/24", "198.18.0.1/24")
        self.write("etc/databases.d/shop.yaml",
                   "database: shop\nendpoint: {port: 3306}\nrules: []\n")
        status = self.wait_for_generation(2)
        states = {os.path.basename(f["path"]): f["state"] for f in status["files"]}
        self.assertEqual(states, {"orders.yaml": "held-back", "shop.yaml": "active"})
        self.assert_reaches(LISTED)
        self.assertFalse(reaches(STRANGER))

    def test_vanished_file_changes_nothing_until_forgotten(self):
        self.start()
        status, _ = self.request("DELETE", "/v1/databases/orders")
        self.assertEqual(status, 409, "a file names it")
        os.remove(self.path("etc/databases.d/orders.yaml"))
        wait_until(lambda: self.rules()[0]["state"] == "vanished", "seen to be gone")
        self.assertFalse(reaches(STRANGER))
        status, change = self.request("DELETE", "/v1/databases/orders")
        self.assertEqual((status, change["enforced"]), (200, True), change)
        self.assert_reaches(STRANGER)
        self.assertIn("5432", self.problem("port-exposed"))

    def test_configuration_takes_effect_live(self):
        self.start()
        self.write("etc/moat.yaml", "interfaces: 5\n")
        wait_until(lambda: self.status()["files"][0]["state"] == "held-back", "told")
        self.assertFalse(reaches(STRANGER), "the last good one stays")
        self.write("etc/moat.yaml", CONFIG % "30s" + "mode: monitor\n")
        wait_until(lambda: self.status()["mode"] == "monitor", "monitor mode")
        self.assertEqual(self.status()["monitored"], ["orders"])
        self.assertIn("orders is in monitor mode from now on", self.log())
        self.assert_reaches(STRANGER)
        self.write("etc/moat.yaml", (CONFIG % "30s").replace("[eth0]", "[]"))
        wait_until(lambda: self.status()["interfaces"] == [], "interface taken out")
        self.assert_reaches(STRANGER)
        self.assertIn("eth0", self.problem("interface-removed"))
        self.write("etc/moat.yaml", CONFIG % "30s")
        wait_until(lambda: self.status()["interfaces"], "interface put back")
        self.assertFalse(reaches(STRANGER))

    def test_expired_rule_ends_sessions(self):
        self.start()
        end = in_seconds(3 * PATIENCE)
        status, change = self.request("POST", "/v1/rules", {
            "cidr": "198.18.7.0/24", "expires": end})
        self.assertEqual(status, 200, change)
        session = self.assert_session(STRANGER)
        wait_until(lambda: self.server.ends.get(STRANGER), "cut at the expiry")
        self.assertEqual(self.server.ends[STRANGER], "ConnectionAbortedError")
        session.close()
        self.assertFalse(reaches(STRANGER))
        self.assertEqual([rule["state"] for rule in self.rules()], ["active", "expired"])
        self.assertEqual(self.status()["generation"], 3)

    # What the wall clock does. It is looked at at each reconcile.

    def move_clock(self, seconds, synchronised=0):
        """For moatd alone."""
        self.write("clock.new", f"{seconds} {synchronised}\n")
        os.rename(self.path("clock.new"), self.path("clock"))

    def start_with_clock(self):
        return self.start({"LD_PRELOAD": CLOCK_SHIM, "CLOCK_SHIM": self.path("clock")})

    def let_stranger_in(self, expires):
        status, change = self.request("POST", "/v1/rules",
                                      {"cidr": "198.18.7.0/24", "expires": expires})
        self.assertEqual(status, 200, change)
        self.assert_reaches(STRANGER)

    def wait_for_stranger(self, is_in, why):
        wait_until(lambda: reaches(STRANGER) == is_in, why + ": " + self.log())

    def clock_problem(self):
        return self.problem("clock-set-back")

    def test_clock_ahead_for_a_moment_leaves_no_trace(self):
        self.write("etc/moat.yaml", CONFIG % "200ms")
        self.move_clock(0)
        self.start_with_clock()
        self.let_stranger_in("1h")
        self.move_clock(2_000_000_000)
        self.wait_for_stranger(False, "by that clock the rule has expired")
        self.assertIn("later than time", self.problem("clock-ahead"))
        self.stop()
        self.start_with_clock()
        self.assertFalse(reaches(STRANGER))
        self.move_clock(0)
        self.wait_for_stranger(True, "the clock was wrong")
        self.assertEqual(self.clock_problem(), "")
        status, change = self.request("POST", "/v1/rules", {"cidr": "10.9.0.0/16", "expires": "2h"})
        self.assertEqual(status, 200, change)
        self.stop(signal.SIGKILL)
        self.start_with_clock()
        self.assert_reaches(STRANGER)
        self.assertEqual({rule["state"] for rule in self.rules()}, {"active"})

    def test_clock_set_back_revives_nothing_until_it_is_confirmed(self):
        self.write("etc/moat.yaml", CONFIG % "200ms")
        self.move_clock(0)
        self.start_with_clock()
        end = in_seconds(8 * PATIENCE)
        self.let_stranger_in(end)
        self.wait_for_stranger(False, "the rule has expired")
        self.move_clock(-86400)
        wait_until(self.clock_problem, "the clock was set back")
        self.assertFalse(reaches(STRANGER))
        self.assertIn("moat clock reset", self.clock_problem())
        self.assertIn("not synchronised", self.clock_problem())
        self.stop(signal.SIGKILL)
        self.start_with_clock()
        self.assertFalse(reaches(STRANGER))
        self.move_clock(-86400, synchronised=1)
        wait_until(lambda: "in 60 min" in self.clock_problem(), "it is synchronised")
        status, refusal = self.request("POST", "/v1/rules",
                                       {"cidr": "10.9.0.0/16", "expires": "30m"})
        self.assertEqual(status, 400)
        self.assertIn("moat clock reset", refusal["error"]["remedy"])

        status, change = self.request("POST", "/v1/clock/reset")
        self.assertEqual((status, change["enforced"]), (200, True), change)
        self.assert_reaches(STRANGER)
        self.assertEqual(self.clock_problem(), "")
        self.assertRegex(self.log(), r"the clock is right, says .*uid 0")
        self.stop(signal.SIGKILL)
        self.start_with_clock()
        self.assert_reaches(STRANGER, "that is kept")

    def test_deadlines_are_the_kernels_in_a_time_namespace(self):
        self.start(through=["unshare", "-T", "--monotonic", "100000"])
        end = in_seconds(8 * PATIENCE)
        self.let_stranger_in(end)
        self.stop(signal.SIGKILL)
        self.wait_for_stranger(False, "the kernel alone ends the rule")

        self.edit("etc/databases.d/orders.yaml", "198.18.7.0/24", "10.9.0.0/16")
        behind = min(1000, int(time.monotonic()) - 1)
        self.start(through=["unshare", "-T", "--monotonic", f"-{behind}"])
        self.let_stranger_in(f"{behind}s")

    def test_hits_are_counted_and_kept(self):
        self.start()
        reaches(LISTED)
        hits = self.rules()[0]["hits"]["packets"]
        self.assertGreater(hits, 0)
        self.stop(signal.SIGKILL)
        self.start()
        self.assertGreaterEqual(self.rules()[0]["hits"]["packets"], hits)
        status, _ = self.request("POST", "/v1/rules", {"cidr": "10.0.0.0/8"})
        self.assertEqual(status, 200)
        rule = self.rules()[0]
        self.request("DELETE", f"/v1/rules?database=orders&id={rule['id']}")
        totals = self.get("/v1/counters")["totals"]
        self.assertGreaterEqual(totals[0]["allowed"]["packets"], hits, "totals never fall")

    # Seeing drops.

    def drops(self, arguments=""):
        return self.get("/v1/drops" + arguments)

    def test_drop_is_seen_and_explained(self):
        self.start()
        self.assertEqual(self.drops()["drops"], [])
        before = datetime.datetime.now(datetime.timezone.utc)
        self.assertFalse(reaches(STRANGER))
        drop = wait_until(lambda: self.drops("?database=orders")["drops"], "the drop")[0]
        self.assertEqual({key: drop[key] for key in ("source", "database", "port", "reason",
                                                     "interface", "vlan", "monitored")},
                         {"source": STRANGER, "database": "orders", "port": 5432,
                          "reason": "no-rule", "interface": "eth0", "vlan": 0,
                          "monitored": False})
        seen = datetime.datetime.fromisoformat(drop["first"].replace("Z", "+00:00"))
        self.assertLess(abs((seen - before).total_seconds()), LONG, drop)
        answer = self.get(f"/v1/why?source={STRANGER}")["answers"][0]
        self.assertEqual(answer["last_drop"]["reason"], "no-rule")
        self.assertIsNone(self.get(f"/v1/why?source={LISTED}")["answers"][0]["last_drop"])

        latest = self.drops()["next"]
        self.assertEqual(self.drops(f"?since={latest}")["drops"], [])
        self.assertFalse(reaches(STRANGER))
        again = wait_until(lambda: self.drops(f"?since={latest}")["drops"], "it comes again")[0]
        self.assertGreater(again["packets"], drop["packets"])
        self.assertEqual(again["first"], drop["first"])

    def test_drop_while_no_daemon_runs_is_seen_by_the_next(self):
        self.start()
        latest = self.drops()["next"]
        self.stop(signal.SIGKILL)
        self.assertFalse(reaches(STRANGER))
        self.start()
        drop = wait_until(lambda: self.drops(f"?since={latest}")["drops"], "the drop")[0]
        self.assertEqual((drop["source"], drop["database"]), (STRANGER, "orders"))

    def test_drop_of_a_tagged_frame_in_monitor_mode_is_seen_as_such(self):
        self.write("etc/moat.yaml", CONFIG % "30s" + "mode: monitor\n")
        self.start()
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0,
                         socket.inet_aton("203.0.113.7"), socket.inet_aton(HOST))
        tcp = struct.pack("!HHIIBBHHH", 40000, 5432, 1, 0, 0x50, 2, 1024, 0, 0)
        frame = bytes(6 * [255]) + bytes(6 * [2]) + bytes([0x81, 0, 0x20, 42, 8, 0]) + ip + tcp

        def send():
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
                wire.bind(("eth0", 0))
                return wire.send(frame)

        self.assertEqual(within("peer", send), len(frame))
        drop = wait_until(lambda: self.drops()["drops"], "the drop")[0]
        self.assertEqual((drop["source"], drop["interface"], drop["vlan"], drop["monitored"]),
                         ("203.0.113.7", "eth0", 42, True))

    # What others do to it.

    def test_reconcile_sees_what_inotify_does_not(self):
        self.write("etc/moat.yaml", CONFIG % "200ms")
        self.start()
        with open(self.path("etc/databases.d/orders.yaml"), "r+b") as file:
            with mmap.mmap(file.fileno(), 0) as view:  # written through memory: no event
                at = view.find(b"198.18.0.0/24")
                view[at:at + 13] = b"198.18.7.0/24"
                view.flush()
        self.wait_for_generation(2)
        self.assert_reaches(STRANGER)
        self.assertFalse(reaches(LISTED))

    def test_link_taken_away_by_hand_is_put_back(self):
        self.write("etc/moat.yaml", CONFIG % "200ms")
        self.start()
        run("bpftool", "link", "detach", "pinned", self.path("bpf/moat/links/eth0"))
        wait_until(lambda: not reaches(STRANGER), "attached again: " + self.log())

    def swap_the_program(self):
        run(BY_HAND, "replace", self.path("bpf/moat/links/eth0"), "xdp")

    def test_program_swapped_while_no_daemon_ran_is_told_and_its_sessions_end(self):
        self.start()
        self.stop(signal.SIGKILL)
        self.swap_the_program()
        said = self.standing().stdout
        self.assertIn("NOTHING IS GUARDED", said)
        self.assertIn("another program than Moat's runs on eth0", said)
        session = self.assert_session(STRANGER, "the program passes everything")
        self.start()
        wait_until(lambda: self.server.ends.get(STRANGER), "the stranger's session ends")
        session.close()
        self.assertFalse(reaches(STRANGER))
        what = "interface eth0 ran another program than Moat's; mended"
        self.assertIn(what, self.problem("mended"))
        self.assertIn(what, str(self.get("/v1/events")))
        self.stop()
        self.start()
        self.assertNotIn(what, self.problem("mended"), "it was not swapped again")

    def empty_the_slot(self):
        run("bpftool", "map", "delete", "pinned", self.path("bpf/moat/policy-small"),
            "key", "0", "0", "0", "0")

    def test_emptied_slot_opens_nothing_and_is_told_by_whoever_is_asked(self):
        self.start()
        asked = {
            "status": lambda: self.status(),
            "reload": lambda: self.request("POST", "/v1/reload"),
            "why": lambda: self.get("/v1/why?source=203.0.113.7"),
        }
        for times, (name, ask) in enumerate(asked.items(), 1):
            with self.subTest(name):
                self.empty_the_slot()
                self.assertFalse(reaches(STRANGER), "open without a table")
                ask()
                self.assert_reaches(LISTED, "the table is not back")
                self.assertEqual(self.log().count("taken out of its slot"), times, self.log())
        self.assertIn("the live table was not what it should be", str(self.status()["notices"]))

    def test_slot_emptied_with_no_daemon_alive_opens_nothing(self):
        self.start()
        self.stop(signal.SIGKILL)
        self.empty_the_slot()
        self.assertFalse(reaches(STRANGER))
        self.start()
        self.assertFalse(reaches(STRANGER))
        self.assert_reaches(LISTED)

    def test_pins_taken_away_are_made_anew(self):
        self.write("etc/moat.yaml", CONFIG % "200ms")
        self.start()
        os.remove(self.path("bpf/moat/links/eth0"))
        os.remove(self.path("bpf/moat/policy-small"))
        wait_until(lambda: os.path.exists(self.path("bpf/moat/links/eth0")) and
                   os.path.exists(self.path("bpf/moat/policy-small")), "pinned anew")
        self.assertFalse(reaches(STRANGER))

    def test_every_pin_taken_away_is_told_by_name(self):
        self.write("etc/moat.yaml", (CONFIG % "1h").replace("backstop: false", "backstop: true"))
        self.assertEqual(self.start()["notices"], [])
        self.assertNotIn("mended", self.log())
        folder = self.path("bpf/moat")
        pins = sorted(os.path.relpath(os.path.join(at, name), folder)
                      for at, _, names in os.walk(folder) for name in names)
        self.assertIn("links/eth0", pins)
        self.assertIn("backstop-link", pins)
        for pin in pins:
            os.remove(os.path.join(folder, pin))
            notices = texts(self.status()["notices"])
            self.assertTrue(os.path.exists(os.path.join(folder, pin)), pin)
            self.assertTrue(any(f"the pin {pin} was missing; mended" in notice
                                for notice in notices), (pin, notices))
        self.stop(signal.SIGKILL)
        self.assertFalse(reaches(STRANGER))

    def all_pins(self):
        folder = self.path("bpf/moat")
        return sorted(os.path.relpath(os.path.join(at, name), folder)
                      for at, _, names in os.walk(folder) for name in names)

    def test_pins_taken_away_while_it_was_dead_are_told_by_the_next(self):
        self.write("etc/moat.yaml", (CONFIG % "1h").replace("backstop: false", "backstop: true"))
        self.start()
        for taken in (["links/eth0"], ["backstop-link"], self.all_pins()):
            self.stop(signal.SIGKILL)
            for pin in taken:
                os.remove(self.path("bpf/moat/" + pin))
            notices = texts(self.start()["notices"])
            told = [notice for notice in notices if "missing when moatd started; mended" in notice]
            self.assertEqual(len(told), 1, notices)
            for pin in taken:
                self.assertIn(pin, told[0])
            self.assertFalse(reaches(STRANGER))
        self.stop()
        self.assertEqual(self.start()["notices"], [], "told by the next alone")

    def test_pins_lost_with_their_filesystem_are_told_and_those_given_up_are_not(self):
        self.start()
        self.stop()
        run("umount", self.path("bpf"))
        run("mount", "-t", "bpf", "bpf", self.path("bpf"))
        self.assertTrue(any("links/eth0" in notice and "missing when moatd started" in notice
                            for notice in texts(self.start()["notices"])))
        self.request("POST", "/v1/detach")
        self.assertEqual(self.daemon.wait(LONG), 0)
        self.assertNotIn("mended", str(self.start()["notices"]))

    def test_in_another_network_namespace_it_refuses_and_the_guard_stays(self):
        self.start()
        self.stop()
        other = subprocess.run(
            ["nsenter", f"--net=/run/netns/{PREFIX}-peer"] + self.arguments(),
            capture_output=True, text=True, timeout=LONG, check=False)
        self.assertEqual(other.returncode, 1, other.stderr)
        for words in (f"guard another network namespace, {PREFIX}-host (net:[",
                      f"this is {PREFIX}-peer (net:[", f"rm -r {self.path('bpf/moat')}"):
            self.assertIn(words, other.stderr)
        self.assertFalse(reaches(STRANGER))
        self.assertNotIn("mended", str(self.start()["notices"]))

    def test_pins_on_mounts_of_its_own_are_told(self):
        run("umount", self.path("bpf"))
        status = self.start(through=(
            "unshare", "--mount", "--propagation", "private", "sh", "-c",
            'mount -t bpf bpf "$0" && exec "$@"', self.path("bpf")))
        if os.readlink("/proc/self/ns/pid") == "pid:[4026531836]":
            self.assertIn("mounted for moatd alone", self.problem("unpinned"))
        else:
            print("NOT TRIED, as this is not the host's PID namespace: whether pins last",
                  file=sys.stderr)
        self.stop(signal.SIGKILL)
        wait_until(lambda: reaches(STRANGER), "the guard ends with it, as it said")
        run("mount", "-t", "bpf", "bpf", self.path("bpf"))

    # Files as people and machines leave them.

    def wait_for_rules(self, number, why):
        wait_until(lambda: len(self.rules()) == number, f"{why}: {self.log()}")

    def test_editors_ways_of_saving_are_all_enforced(self):
        self.start()
        path = self.path("etc/databases.d/orders.yaml")

        def by_rename(text):
            self.write("etc/databases.d/.orders.yaml.swp", text)
            os.rename(self.path("etc/databases.d/.orders.yaml.swp"), path)

        def with_backup_moved_away(text):  # vim
            self.write("etc/databases.d/4913", "")
            os.remove(self.path("etc/databases.d/4913"))
            os.rename(path, path + "~")
            self.write("etc/databases.d/orders.yaml", text)
            os.remove(path + "~")

        def with_lock_and_backup(text):  # emacs
            lock = self.path("etc/databases.d/.#orders.yaml")
            os.symlink("ada@host.4711:1700000000", lock)
            shutil.copy(path, path + "~")
            self.write("etc/databases.d/orders.yaml", text)
            os.remove(lock)

        def removed_and_made_anew(text):
            os.remove(path)
            self.write("etc/databases.d/orders.yaml", text)

        def byte_by_byte(text):
            with open(path, "wb", buffering=0) as file:
                for byte in text.encode():
                    file.write(bytes([byte]))

        def with_the_time_of_before(text):  # rsync --times, a file server with another clock
            times = os.stat(path)
            self.write("etc/databases.d/orders.yaml", text)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

        def from_the_future(text):
            by_rename(text)
            os.utime(path, (4102444800, 4102444800))

        def from_long_ago(text):
            by_rename(text)
            os.utime(path, (0, 0))

        def by_another_link(text):
            os.link(path, self.path("etc/link"))
            self.write("etc/link", text)
            os.remove(self.path("etc/link"))

        ways = (by_rename, with_backup_moved_away, with_lock_and_backup, removed_and_made_anew,
                byte_by_byte, with_the_time_of_before, from_the_future, from_long_ago,
                by_another_link)
        for number, save in enumerate(ways):
            with self.subTest(save.__name__):
                line = f"  - cidr: 192.0.2.{number}/32\n"
                save(ORDERS + line)
                wait_until(lambda: any(rule["source"] in line for rule in self.rules()),
                           self.log())
        status = self.status()
        self.assertEqual((status["problems"], status["pending"]), ([], []))
        self.assertFalse(status["last"]["overdue"])
        self.assert_reaches(LISTED)
        self.assertFalse(reaches(STRANGER))

    def test_same_size_and_time_are_no_sign_of_the_same_content(self):
        self.start()
        path = self.path("etc/databases.d/orders.yaml")
        times = os.stat(path)
        self.edit("etc/databases.d/orders.yaml", "198.18.0.0/24", "198.18.7.0/24")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.wait_for_generation(2)
        self.assert_reaches(STRANGER)
        self.assertFalse(reaches(LISTED))

    def test_folder_that_is_swapped_by_its_symlink_is_read_anew(self):
        os.rename(self.path("etc/databases.d"), self.path("etc/v1"))
        shutil.copytree(self.path("etc/v1"), self.path("etc/v2"))
        os.symlink("v1", self.path("etc/databases.d"))
        self.edit("etc/v2/orders.yaml", "198.18.0.0/24", "198.18.7.0/24")
        self.start()
        self.assert_reaches(LISTED)
        os.symlink("v2", self.path("etc/.new"))
        os.rename(self.path("etc/.new"), self.path("etc/databases.d"))
        self.wait_for_generation(2)
        self.assert_reaches(STRANGER)
        self.assertFalse(reaches(LISTED))
        os.remove(self.path("etc/databases.d"))
        wait_until(lambda: self.rules()[0]["state"] == "held-back", "a folder that is gone")
        self.assert_reaches(STRANGER, "absent is not empty")
        self.assertFalse(reaches(LISTED))

    def test_what_is_no_rule_file_any_more_changes_nothing(self):
        self.start()
        path = self.path("etc/databases.d/orders.yaml")

        def socket_file():
            server = socket.socket(socket.AF_UNIX)
            server.bind(path)
            server.close()

        others = {
            "a FIFO": lambda: os.mkfifo(path),
            "a folder": lambda: os.mkdir(path),
            "a socket": socket_file,
            "a symlink to nothing": lambda: os.symlink("gone", path),
            "a symlink to itself": lambda: os.symlink("orders.yaml", path),
            "a device": lambda: os.symlink("/dev/zero", path),
            "empty": lambda: self.write("etc/databases.d/orders.yaml", ""),
            "zeros, as after a power cut": lambda: self.write("etc/databases.d/orders.yaml", 200 * "\0"),
            "17 MiB": lambda: self.write("etc/databases.d/orders.yaml", ORDERS + 17 * 1048576 * "#"),
        }
        for name, make in others.items():
            with self.subTest(name):
                os.rename(path, self.path("kept"))
                make()
                wait_until(lambda: self.rules()[0]["state"] != "active", name)
                self.request("POST", "/v1/reload")
                self.assertEqual(self.rules()[0]["source"], "198.18.0.0/24")
                self.assert_reaches(LISTED)
                if os.path.isdir(path):
                    os.rmdir(path)
                else:
                    os.remove(path)
                os.rename(self.path("kept"), path)
                wait_until(lambda: self.rules()[0]["state"] == "active", "back")
        self.assertFalse(reaches(STRANGER))
        self.assertEqual(self.status()["generation"], 1)

    def test_without_descriptors_the_rules_stay_and_what_changed_is_read_later(self):
        self.write("etc/moat.yaml", CONFIG % "200ms")
        self.start()
        pid = self.daemon.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        self.edit("etc/databases.d/orders.yaml", "198.18.0.0/24", "198.18.7.0/24")
        wait_until(lambda: "Too many open files" in self.log(), "told")
        self.assert_reaches(LISTED)
        self.assertFalse(reaches(STRANGER))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        self.wait_for_generation(2)
        self.assert_reaches(STRANGER)
        self.assertFalse(reaches(LISTED))

    def test_connections_that_take_all_descriptors_hold_up_no_change(self):
        self.start(through=["prlimit", "--nofile=256"])
        idle = []
        self.addCleanup(lambda: [each.close() for each in idle])
        for _ in range(400):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(self.path("moatd.sock"))
            idle.append(client)
        self.edit("etc/databases.d/orders.yaml", "198.18.0.0/24", "198.18.7.0/24")
        wait_until(lambda: reaches(STRANGER), "enforced all the same: " + self.log())
        self.assertFalse(reaches(LISTED))

    def test_edit_on_a_full_or_read_only_disk_is_refused_and_leaves_the_file(self):
        folder = self.path("etc/databases.d")
        os.rename(folder, self.path("etc/old"))
        os.mkdir(folder)
        run("mount", "-t", "tmpfs", "-o", "size=16k,mode=755", "tmpfs", folder)
        self.addCleanup(run, "umount", folder)
        self.addCleanup(self.stop)
        shutil.copy(self.path("etc/old/orders.yaml"), folder)
        self.start()
        with contextlib.suppress(OSError):
            self.write("etc/databases.d/fill", 65536 * "x")
        rule = {"cidr": "198.18.7.0/24", "label": 255 * "x"}
        # What is added takes a block more than the file has.
        for index in range(12):
            status, answer = self.request("POST", "/v1/rules", {**rule, "cidr": f"192.0.2.{index}/32"})
            if status != 200:
                break
        self.assertIn("No space left on device", json.dumps(answer))
        kept = self.read("etc/databases.d/orders.yaml")
        self.assertTrue(kept.startswith(ORDERS))
        os.remove(self.path("etc/databases.d/fill"))
        run("mount", "-o", "remount,ro", folder)
        status, answer = self.request("POST", "/v1/rules", rule)
        self.assertNotEqual(status, 200)
        self.assertIn("Read-only file system", json.dumps(answer))
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), kept)
        self.assertEqual(sorted(os.listdir(folder)), ["orders.yaml"])
        run("mount", "-o", "remount,rw", folder)
        self.change("POST", "/v1/rules", rule)
        self.assert_reaches(STRANGER)

    def test_state_that_a_power_cut_left_opens_nothing(self):
        self.start()
        self.change("POST", "/v1/rules", {"cidr": "192.0.2.1/32"})
        self.begin_trial("1h")
        self.stop(signal.SIGKILL)
        shutil.copytree(self.path("state"), self.path("whole"), symlinks=True)
        kept = sorted(os.path.relpath(os.path.join(at, name), self.path("whole"))
                      for at, _, names in os.walk(self.path("whole")) for name in names)
        self.assertIn("state.json", kept)
        self.assertIn("trial.json", kept)
        # Of those that differ by a number or a digest alone, one.
        for name in {re.sub("[0-9a-f]{4,}|[0-9]+", "N", name): name for name in kept}.values():
            with self.subTest(name):
                shutil.rmtree(self.path("state"))
                shutil.copytree(self.path("whole"), self.path("state"), symlinks=True)
                with open(self.path("state/" + name), "r+b") as file:
                    file.truncate(os.fstat(file.fileno()).st_size // 2)
                self.write("state/.left.tmp", "{")
                run("umount", self.path("bpf"))
                run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", self.path("bpf"))
                self.start()
                self.assertFalse(reaches(STRANGER))
                self.assert_reaches(LISTED)
                self.stop(signal.SIGKILL)

    def test_daemon_that_is_stopped_leaves_the_wall_and_catches_up(self):
        self.start()
        self.daemon.send_signal(signal.SIGSTOP)
        self.addCleanup(lambda: self.daemon and self.daemon.send_signal(signal.SIGCONT))
        self.edit("etc/databases.d/orders.yaml", "198.18.0.0/24", "198.18.7.0/24")
        self.assert_reaches(LISTED)
        self.assertFalse(reaches(STRANGER))
        self.daemon.send_signal(signal.SIGCONT)
        self.wait_for_generation(2)
        self.assert_reaches(STRANGER)

    def test_expiry_is_honoured_with_no_daemon_alive(self):
        self.start()
        self.let_stranger_in(in_seconds(4 * PATIENCE))
        self.stop(signal.SIGKILL)
        self.assert_reaches(LISTED)
        self.wait_for_stranger(False, "its time has come")
        self.assert_reaches(LISTED)

    # Other firewalls of the host.

    def test_drop_behind_moat_is_named(self):
        self.start()
        self.assert_reaches(LISTED)
        nft = ("ip", "netns", "exec", f"{PREFIX}-host", "nft")
        self.assertNotIn("behind Moat", self.moat("why", LISTED).stdout)
        run(*nft, "add table inet mine; "
            "add chain inet mine before { type filter hook input priority 0; }; "
            f"add rule inet mine before ip saddr {LISTED} tcp dport 5432 drop")
        self.assertFalse(reaches(LISTED), "it is dropped behind Moat")
        told = self.moat("why", LISTED)
        self.assertRegex(told.stdout, r"behind Moat +port 5432: another firewall drops it: "
                         r"table inet mine, chain before, handle \d+")
        behind = json.loads(self.moat("why", LISTED, "--json").stdout)["behind"]
        self.assertEqual([(b["database"], b["port"], b["dropped"]) for b in behind],
                         [("orders", 5432, "yes")])
        self.assertEqual(json.loads(self.moat("why", "198.18.0.10", "--json").stdout)["behind"], [])

    def test_other_firewalls_are_named(self):
        self.start()
        self.assertNotIn("Beside Moat", self.moat("status").stdout)
        nft = ("ip", "netns", "exec", f"{PREFIX}-host", "nft")
        run(*nft, "add table ip filter; add chain ip filter ufw-user-input; "
            "add chain ip filter DOCKER-USER")
        status = self.moat("status")
        self.assertEqual(status.returncode, 0, status.stdout)
        self.assertIn("Beside Moat     ufw, Docker", status.stdout)
        self.assertEqual(json.loads(self.moat("status", "--json").stdout)["firewalls"],
                         ["ufw", "Docker"])

    # Other users of the host.

    def test_pins_given_away_are_no_mend_until_they_are_given_back(self):
        few = ("setpriv", "--inh-caps=-all", "--bounding-set=-all,+net_admin,+perfmon,+bpf")
        self.open_to_strangers()
        self.start()
        self.stop()
        folder = self.path("bpf/moat")
        for name in os.listdir(folder):
            os.chown(os.path.join(folder, name), 65534, 65534)
        os.chmod(self.path("etc"), 0o755)
        self.edit("etc/databases.d/orders.yaml", "198.18.0.0/24", "198.18.7.0/24")
        for attempt in range(2):
            self.daemon = self.launch(through=few)
            status = wait_until(self.guarded_status, "generation 2: " + self.log())
            self.assertFalse(status["ready"], attempt)
            self.assertIn("Moat's own program", status["interfaces"][0]["reason"])
            self.assertNotIn("links", str(status["notices"]))
            told = [text for text in texts(status["problems"]) if "chown -R root:root" in text]
            self.assertEqual(len(told), 1, status["problems"])
            self.assertNotEqual(self.problem("pins-doubtful"), "")
            if attempt == 0:
                self.stop()
        command = told[0].split("(")[1].split(";")[0]
        run(*command.split())
        status = self.status()
        self.assertTrue(status["ready"], status)
        self.assertEqual(status["problems"], [])
        self.assertFalse(reaches(LISTED), "by the rules of now")
        self.assert_reaches(STRANGER, "by the rules of now")

    def guarded_status(self):
        try:
            status = self.status()
        except OSError:
            return None
        return status if status["generation"] == 2 and status["interfaces"] else None

    def open_to_strangers(self):
        """As bpf is mounted without a mode, with a way there."""
        os.chmod(self.home, 0o711)
        os.chmod(self.path("bpf"), 0o1777)
        self.assertTrue(as_stranger("test", "-w", self.path("bpf")))

    def test_strangers_folder_of_pins_is_not_used(self):
        self.open_to_strangers()
        self.assertTrue(as_stranger("mkdir", "--mode=777", self.path("bpf/moat"),
                                    self.path("bpf/moat/links")))
        status = self.start()
        self.assertTrue(any("belonged to another user, uid 65534" in notice
                            for notice in texts(status["notices"])), status["notices"])
        self.assertFalse(as_stranger("rm", self.path("bpf/moat/links/eth0")))
        self.assertFalse(as_stranger("mv", self.path("bpf/moat"), self.path("bpf/gone")))
        self.stop(signal.SIGKILL)
        self.assertFalse(reaches(STRANGER), "the guard ended with the daemon")
        self.assert_reaches(LISTED)

    def test_stranger_cannot_keep_it_from_starting(self):
        self.open_to_strangers()
        self.start()
        self.assertFalse(as_stranger("flock", "--nonblock", self.path("state/lock"), "true"))
        self.assertFalse(as_stranger("flock", "--nonblock", self.path("bpf/moat/links"), "true"))
        folder = os.stat(self.path("bpf/moat"))
        self.stop()
        squatter = within("host", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.addCleanup(squatter.close)
        squatter.bind(f"\0moat-pins-{folder.st_dev}-{folder.st_ino}")
        self.start()
        self.assertFalse(reaches(STRANGER))

    def test_state_folder_that_others_may_write_is_not_used(self):
        for spoil, words in ((lambda path: os.chown(path, 65534, 65534), "uid 65534"),
                             (lambda path: os.chmod(path, 0o777), "chmod go-w")):
            shutil.rmtree(self.path("state"), ignore_errors=True)
            os.mkdir(self.path("state"), 0o700)
            spoil(self.path("state"))
            status = self.start()
            self.assertIn(words, self.problem("state-lost") + self.problem("state-not-saved"))
            self.assertFalse(reaches(STRANGER))
            self.assertEqual(os.listdir(self.path("state")), [])
            self.stop()

    def test_lock_that_is_a_symlink_harms_nobody(self):
        os.mkdir(self.path("state"), 0o700)
        self.write("precious", "bytes")
        os.symlink(self.path("precious"), self.path("state/lock"))
        status = self.start()
        self.assertIn("remove it: rm", str(status["problems"]))
        self.assertFalse(reaches(STRANGER))
        with open(self.path("precious"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "bytes")

    def mount_state(self, options):
        os.mkdir(self.path("state"))
        run("mount", "-t", "tmpfs", "-o", options, "tmpfs", self.path("state"))
        self.addCleanup(run, "umount", self.path("state"))
        self.addCleanup(self.stop)

    def boot(self):
        """As after one: nothing is pinned, and so nothing guarded."""
        self.stop()
        run("umount", self.path("bpf"))
        run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", self.path("bpf"))
        self.assert_reaches(STRANGER, "nothing guards")

    def test_read_only_state_folder_is_read_and_no_reason_not_to_guard(self):
        self.write("etc/moat.yaml", CONFIG % "1s")
        self.mount_state("mode=700")
        self.start()
        self.boot()
        self.write("etc/databases.d/orders.yaml", "database: orders\nendpoint: {\n")
        run("mount", "-o", "remount,ro", self.path("state"))
        status = self.start()
        self.assertIn("Read-only file system", str(status["problems"]))
        self.assertFalse(reaches(STRANGER))
        self.assert_reaches(LISTED, "by the last state")
        run("mount", "-o", "remount,rw", self.path("state"))
        wait_until(lambda: "the state is not saved" not in str(self.status()["problems"]),
                   "saved at a reconcile")

    def test_first_start_on_a_full_disk_guards(self):
        self.write("etc/moat.yaml", CONFIG % "1s")
        self.mount_state("mode=700,size=16k")
        with contextlib.suppress(OSError):
            self.write("state/fill", "x" * 65536)
        status = self.start()
        self.assertIn("No space left on device", str(status["problems"]))
        self.assertFalse(reaches(STRANGER))
        self.assert_reaches(LISTED)
        os.remove(self.path("state/fill"))
        wait_until(lambda: "the state is not saved" not in str(self.status()["problems"]),
                   "saved at a reconcile")

    def test_obstacle_at_the_control_sockets_path_is_no_reason_not_to_guard(self):
        self.write("etc/moat.yaml", CONFIG % "1s")
        os.mkdir(self.path("moatd.sock"))
        self.daemon = self.launch()
        wait_until(lambda: "ready: generation 1" in self.log(), "ready")
        self.assertIn("no control socket can be made", self.log())
        self.assertFalse(reaches(STRANGER))
        os.rmdir(self.path("moatd.sock"))
        wait_until(self.ready_status, "asked once the way is free")

    def test_control_socket_that_is_removed_is_made_anew(self):
        self.write("etc/moat.yaml", CONFIG % "1s")
        self.start()
        os.remove(self.path("moatd.sock"))
        status = wait_until(self.ready_status, "made anew at a reconcile")
        self.assertIn("the control socket was gone", str(status["notices"]))
        self.assertEqual(status["problems"], [])

    def test_without_a_bpf_filesystem_it_guards_while_it_lives(self):
        run("umount", self.path("bpf"))
        self.write("bpf/in-the-way", "")
        status = self.start()
        self.assertIn(f"mount -t bpf -o mode=0700 bpf {self.path('bpf')}", self.problem("unpinned"))
        self.assertFalse(reaches(STRANGER))
        self.assert_reaches(LISTED)
        self.stop()
        self.assertIn("moatd ends, and the guard with it", self.log())
        self.start()
        os.remove(self.path("bpf/in-the-way"))
        run("mount", "-t", "bpf", "bpf", self.path("bpf"))
        self.assertEqual(self.problem("unpinned"), "")
        self.stop(signal.SIGKILL)
        self.assertFalse(reaches(STRANGER), "pinned when it could be")

    def test_interface_that_comes_back_is_guarded_at_once(self):
        self.start()
        run("ip", "-n", f"{PREFIX}-host", "link", "del", "eth0")
        wait_until(lambda: not self.status()["interfaces"][0]["present"], "seen to be gone")
        self.make_link()
        wait_until(lambda: self.status()["interfaces"][0]["mode"] != "none", "attached")
        self.assertFalse(reaches(STRANGER))
        self.assert_reaches(LISTED)

    def test_renamed_interface_is_guarded_under_its_new_name(self):
        self.start()
        self.write("etc/moat.yaml", (CONFIG % "30s").replace("eth0", "lan0"))
        wait_until(lambda: self.status()["interfaces"][0]["name"] == "lan0", "configured")
        self.assertFalse(reaches(STRANGER), "eth0 stays guarded until there is lan0")
        run("ip", "-n", f"{PREFIX}-host", "link", "set", "eth0", "down")
        run("ip", "-n", f"{PREFIX}-host", "link", "set", "eth0", "name", "lan0", "up")
        wait_until(lambda: not reaches(STRANGER), "attached")

    def test_interface_renamed_behind_its_back_stays_guarded(self):
        self.start()
        run("ip", "-n", f"{PREFIX}-host", "link", "set", "eth0", "down")
        run("ip", "-n", f"{PREFIX}-host", "link", "set", "eth0", "name", "lan0", "up")
        wait_until(lambda: "lan0" in [i["name"] for i in self.status()["interfaces"]], "told")
        self.assertFalse(reaches(STRANGER))
        run("ip", "-n", f"{PREFIX}-host", "link", "set", "lan0", "down")
        run("ip", "-n", f"{PREFIX}-host", "link", "set", "lan0", "name", "eth0", "up")

    def test_change_names_whose_sessions_it_ended(self):
        self.start()
        sessions = [self.assert_session(LISTED), self.assert_session(LISTED)]
        rule = self.rules()[0]["id"]
        status, change = self.request("DELETE", f"/v1/rules?database=orders&id={rule}")
        self.assertEqual(status, 200, change)
        self.assertEqual(change["ended_sessions"], 2)
        self.assertEqual(change["ended"], [{"peer": LISTED, "database": "orders", "sessions": 2}])
        for session in sessions:
            session.close()
        status, change = self.request("POST", "/v1/reload")
        self.assertEqual(change["ended_sessions"], 0, "each is told once")

    def test_a_reload_tells_whose_sessions_a_file_has_just_ended(self):
        self.start()
        session = self.assert_session(LISTED)
        self.write("etc/databases.d/orders.yaml", ORDERS.replace("198.18.0.0", "198.18.7.0"))
        wait_until(lambda: self.server.ends.get(LISTED), "the session ends before anybody asks")
        session.close()
        self.assertEqual(self.request("POST", "/v1/reload")[1]["ended_sessions"], 1)
        self.assertEqual(self.request("POST", "/v1/reload")[1]["ended_sessions"], 0, "it is told once")

    def at_terminal(self, answer, *arguments):
        """The command with a terminal to ask at, and what is typed there."""
        master, slave = pty.openpty()
        try:
            os.write(master, f"{answer}\n".encode())
            return subprocess.run(
                ["nsenter", f"--net=/run/netns/{PREFIX}-host", MOAT, *arguments, "--socket",
                 self.path("moatd.sock")], stdin=slave, check=False, capture_output=True, text=True,
                timeout=LONG)
        finally:
            os.close(master)
            os.close(slave)

    def test_change_that_cuts_a_rule_in_use_is_told_before_and_waits_for_a_word(self):
        self.start()
        session = self.assert_session(LISTED)
        rule = self.rules()[0]["id"]
        status, told = self.request("DELETE", f"/v1/rules?id={rule}&dry-run=1")
        self.assertEqual(status, 200, told)
        preview = told["preview"]
        self.assertEqual([(each["peer"], each["rule"]) for each in preview["ends"]],
                         [(LISTED, rule)])
        self.assertEqual((preview["change"], preview["needs_yes"]),
                         ("orders: removed 198.18.0.0/24", True))
        refused = self.moat("rules", "remove", rule)
        self.assertEqual(refused.returncode, 2, refused.stderr)
        for word in ("1 session connected now would end", f"{LISTED}:", rule, f"({os.getpid()})",
                     "nobody is here to ask"):
            self.assertIn(word, refused.stderr)
        self.assertEqual(self.at_terminal("no", "rules", "remove", rule).returncode, 1)
        session.sendall(b"!")
        self.assertEqual(session.recv(1), b"!", "nothing has changed")
        removed = self.at_terminal("yes", "rules", "remove", rule)
        self.assertEqual(removed.returncode, 0, removed.stderr)
        self.assertIn("1 session ended", removed.stdout)
        session.close()

    def test_change_that_leaves_somebody_goes_on_where_nobody_can_be_asked(self):
        self.start()
        wide = self.change("POST", "/v1/rules", {"cidr": "198.18.0.0/16"})["rule_id"]
        office = [each["id"] for each in self.rules() if each["source"] == "198.18.0.0/24"][0]
        session = self.assert_session(LISTED)
        removed = self.moat("rules", "remove", office)
        self.assertEqual(removed.returncode, 0, "another rule lets it in: " + removed.stderr)
        self.assertNotIn("would end", removed.stderr)
        session.sendall(b"!")
        self.assertEqual(session.recv(1), b"!", "which has a hit now")
        self.assertEqual(self.moat("rules", "remove", wide).returncode, 2)
        self.assertEqual(self.moat("rules", "remove", wide, "--yes").returncode, 0)
        session.close()

    def test_what_was_asked_about_is_what_is_done(self):
        self.start()
        rule = self.rules()[0]["id"]
        remove = f"/v1/rules?id={rule}"

        def basis():
            return self.change("DELETE", remove + "&dry-run=1")["preview"]["basis"]

        asked = basis()
        self.assertEqual(basis(), asked, "a look changes nothing")
        self.change("POST", "/v1/rules", {"cidr": "192.0.2.1/32"})
        status, answer = self.request("DELETE", f"{remove}&basis={asked}")
        self.assertEqual(status, 409, answer)
        self.assertIn("has changed since", answer["error"]["message"])
        asked = basis()
        with open(self.path("etc/databases.d/orders.yaml"), "a", encoding="utf-8") as file:
            file.write("# by hand\n")
        status, answer = self.request("DELETE", f"{remove}&basis={asked}")
        self.assertEqual(status, 409, answer)
        self.change("DELETE", f"{remove}&basis={basis()}")

    def test_nothing_opens_by_accident(self):
        self.start()
        session = self.assert_session(LISTED)
        for cidr, word in (("0.0.0.0/0", "EVERY ADDRESS"), ("196.0.0.0/7", "33 million addresses")):
            added = self.moat("rules", "add", "--cidr", cidr)
            self.assertEqual(added.returncode, 2, added.stderr)
            self.assertIn(word, added.stderr)
        self.assertEqual(self.moat("net-peerings", "add", "--id", "pcx-all", "--cidr",
                                   "0.0.0.0/0").returncode, 0, "it admits nobody")
        added = self.moat("rules", "add", "--net-peering", "pcx-all")
        self.assertEqual(added.returncode, 2, added.stderr)
        self.assertIn("0.0.0.0/0 (net peering pcx-all) lets EVERY ADDRESS in", added.stderr)
        self.assertFalse(reaches(STRANGER))
        self.assertEqual(self.moat("rules", "add", "--cidr", "192.0.0.0/8").returncode, 0)
        for folder in ("databases.d", "managed-ranges.d"):
            os.makedirs(self.path(f"new/{folder}"))
        shutil.copy(self.path("etc/databases.d/orders.yaml"), self.path("new/databases.d"))
        self.write("new/moat.yaml", (CONFIG % "30s").replace("[eth0]", "[]") + "mode: monitor\n")
        diff = self.moat("diff", self.path("new"))
        self.assertEqual(diff.returncode, 1, diff.stderr)
        self.assertIn('interfaces: "[eth0]" -> "[]"', diff.stdout)
        told = self.moat("apply", self.path("new"), "--dry-run")
        for word in ("eth0 loses Moat's program", "in monitor mode everybody reaches orders"):
            self.assertIn(word, told.stderr)
        self.assertEqual(self.moat("apply", self.path("new")).returncode, 2)
        self.assertEqual(self.at_terminal("", "apply", self.path("new")).returncode, 1)
        self.assertFalse(reaches(STRANGER))
        os.remove(self.path("etc/databases.d/orders.yaml"))
        wait_until(lambda: self.rules()[0]["state"] == "vanished", "seen to be gone")
        forgotten = self.moat("databases", "forget", "orders")
        self.assertEqual(forgotten.returncode, 2, forgotten.stderr)
        self.assertIn("every address reaches it", forgotten.stderr)
        self.assertFalse(reaches(STRANGER))
        self.assertEqual(self.moat("databases", "forget", "orders", "--yes").returncode, 0)
        self.assert_reaches(STRANGER)
        session.close()

    def test_port_that_falls_to_a_database_in_monitor_mode_is_asked_for_and_told(self):
        self.edit("etc/databases.d/orders.yaml", "{port: 5432}", f"{{address: {HOST}, port: 5432}}")
        self.write("etc/databases.d/lab.yaml", "database: lab\nendpoint: {ports: [3306, 5432]}\n"
                   "rules: []\nmode: monitor\n")
        self.start()
        self.assertFalse(reaches(STRANGER))
        os.remove(self.path("etc/databases.d/orders.yaml"))
        wait_until(lambda: self.rules()[0]["state"] == "vanished", "seen to be gone")
        forgotten = self.moat("databases", "forget", "orders")
        self.assertEqual(forgotten.returncode, 2, forgotten.stderr)
        self.assertIn("of orders, goes to lab, which is in monitor mode: every address reaches it",
                      forgotten.stderr)
        self.assertFalse(reaches(STRANGER))
        self.assertEqual(self.moat("databases", "forget", "orders", "--yes").returncode, 0)
        self.assert_reaches(STRANGER)
        self.assertIn("once guarded for orders, is open to everybody: database lab guards it now",
                      self.problem("port-exposed"))

    def on_screen(self, rows, environment, *arguments):
        """The command with a whole terminal of its own, which is given back with it."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 200, 0, 0))
        before = termios.tcgetattr(slave)
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{PREFIX}-host", MOAT, *arguments, "--socket",
             self.path("moatd.sock")], stdin=slave, stdout=slave, stderr=slave,
            env={**os.environ, "TERM": "xterm", **environment})
        return process, master, lambda: self.assertEqual(termios.tcgetattr(slave), before)

    @staticmethod
    def read_until(master, *words):
        """What the terminal shows, once it shows all of the words."""
        shown = ""
        deadline = time.monotonic() + LONG
        while not all(word in shown for word in words):
            ready, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"not shown within {LONG} s: {words}: {shown}")
            shown += os.read(master, 65536).decode()
        return shown

    def test_counters_are_a_screen_that_leaves_the_terminal_as_it_was(self):
        self.start()
        for how in ("q", "\x03", signal.SIGTERM):
            process, master, check_as_before = self.on_screen(30, {}, "counters", "--watch")
            self.read_until(master, "\x1b[?1049h", "PACKETS ALLOWED", "A SECOND")
            if how == signal.SIGTERM:
                process.send_signal(how)
            else:
                os.write(master, how.encode())
            self.read_until(master, "\x1b[?25h", "\x1b[?1049l")
            self.assertEqual(process.wait(LONG), 0, how)
            check_as_before()

    def test_counters_without_a_terminal_are_a_line_for_each_change(self):
        self.start()
        with subprocess.Popen([MOAT, "counters", "--watch", "--socket", self.path("moatd.sock")],
                              stdout=subprocess.PIPE, text=True) as process:
            self.addCleanup(process.kill)
            line = ""
            while "orders: allowed" not in line or "(+" not in line:
                self.assert_reaches(LISTED)
                line = process.stdout.readline()
                self.assertNotEqual(line, "", "it goes on")
            process.kill()

    def test_long_tables_go_through_a_pager(self):
        self.start()
        for number in range(12):
            self.change("POST", "/v1/rules", {"cidr": f"192.0.2.{number}/32"})
        paged = {"PAGER": f"tee {self.path('paged')}"}
        for rows, options, is_paged in ((8, (), True), (8, ("--no-pager",), False), (40, (), False)):
            process, master, _ = self.on_screen(rows, paged, "rules", "list", *options)
            shown = self.read_until(master, "192.0.2.11/32")
            self.assertEqual(process.wait(LONG), 0)
            self.assertEqual(os.path.exists(self.path("paged")), is_paged, (rows, options))
            if is_paged:
                self.assertIn("\x1b[32m", shown, "in colour")
                os.remove(self.path("paged"))

    def test_a_pager_has_no_shell_for_those_who_were_lent_the_command(self):
        self.start()
        for number in range(12):
            self.change("POST", "/v1/rules", {"cidr": f"192.0.2.{number}/32"})
        lent = {"SUDO_UID": "1000", "PAGER": f"touch {self.path('run')}"}
        process, master, _ = self.on_screen(8, lent, "rules", "list")
        self.read_until(master, "192.0.2.")
        pager = wait_until(lambda: pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split(),
                           "a pager")[0]
        self.assertIn(b"LESSSECURE=1", pathlib.Path(f"/proc/{pager}/environ").read_bytes().split(b"\0"))
        os.write(master, b"q")
        self.assertEqual(process.wait(LONG), 0)
        self.assertFalse(os.path.exists(self.path("run")))

    def test_status_opens_with_it_while_every_address_is_let_in(self):
        self.start()
        self.assertEqual(self.moat("rules", "add", "--cidr", "0.0.0.0/0", "--yes").returncode, 0)
        first = self.moat("status").stdout.splitlines()[0]
        self.assertIn("OPEN TO EVERY ADDRESS", first)

    def test_rules_that_expire_are_told_before_and_after(self):
        self.start()
        for source, expires in (("192.0.2.1/32", "1h"), ("192.0.2.2/32", in_seconds(2 * PATIENCE))):
            status, change = self.request("POST", "/v1/rules", {"cidr": source, "expires": expires})
            self.assertEqual(status, 200, change)
        self.assertIn("2 rules of orders expire within a day",
                      self.problem("rules-expiring"))
        first = next(rule["id"] for rule in self.rules() if rule["source"] == "192.0.2.2/32")
        self.assertIn(f"-> moat rules set --database orders {first} --expires 7d",
                      self.moat("status").stdout)
        status = wait_until(lambda: self.status()["expired_rules"] == 1 and self.status(), "expired")
        self.assertEqual(status["expiring_rules"], 1)
        self.assertTrue(status["ready"])
        expired = "orders: 192.0.2.2/32 has expired"
        [told] = wait_until(lambda: [each["message"] for each in self.get("/v1/events")["events"]
                                     if each["kind"] == "expiry"], "told")
        self.assertTrue(told.endswith(": rules have expired: " + expired), told)
        self.assertEqual(self.get("/v1/history")["generations"][0]["change"], expired)

    def test_every_address_is_told_however_it_is_written(self):
        self.start()
        self.assertEqual(self.status()["wide"], [])
        self.edit("etc/databases.d/orders.yaml", "cidr: 198.18.0.0/24",
                  "cidr: 0.0.0.0/1\n  - cidr: 128.0.0.0/1")
        wide = wait_until(lambda: self.status()["wide"], "told")
        self.assertEqual([(each["database"], each["is_all"]) for each in wide], [("orders", True)])

    def test_what_is_not_read_is_named(self):
        self.start()
        self.write("etc/databases.d/sales.YAML", ORDERS)
        wait_until(lambda: "sales.YAML" in self.problem("file-passed-over"), "told")

    def test_port_that_was_left_open_is_told_by_the_next_daemon_too(self):
        self.start()
        self.edit("etc/databases.d/orders.yaml", "port: 5432", "port: 6432")
        before = wait_until(lambda: self.problem("port-exposed"), "told")
        self.stop()
        self.start()
        self.assertEqual(self.problem("port-exposed"), before)

    # What was enforced before, and what is undone.

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def change(self, method, path, body=None):
        status, answer = self.request(method, path, body)
        self.assertEqual(status, 200, answer)
        return answer

    def history(self):
        return self.get("/v1/history")["generations"]

    def test_history_tells_who_changed_what_and_brings_it_back(self):
        self.start()
        self.change("POST", "/v1/rules", {"cidr": "198.18.7.0/24", "label": "Let in"})
        self.edit("etc/databases.d/orders.yaml", "Let in", "By mistake")
        self.wait_for_generation(3)
        newest, added, first = self.history()
        self.assertEqual([e["generation"] for e in (newest, added, first)], [3, 2, 1])
        self.assertEqual((newest["cause"], newest["author"]), ("orders.yaml", "root"))
        self.assertIn("By mistake", newest["change"])
        self.assertEqual(added["cause"], "rule added")
        self.assertIn(f"pid {os.getpid()}", added["author"])
        self.assertIn("daemon_test.py", added["command"])
        self.assertIn("added 198.18.7.0/24", added["change"])
        self.assertEqual(self.get("/v1/history/1")["files"][0]["text"], ORDERS)
        self.stop()
        self.start()
        self.assert_reaches(STRANGER)
        self.assertEqual(self.change("POST", "/v1/rollback/1")["generation"], 4)
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), ORDERS)
        self.assertFalse(reaches(STRANGER))
        self.assert_reaches(LISTED)
        self.assertEqual(self.history()[0]["cause"], "rolled back to generation 1")
        self.assertEqual(self.request("POST", "/v1/rollback/99")[0], 404)
        self.assertEqual(self.request("GET", "/v1/history/x")[0], 400)

    def test_rollback_that_cannot_hold_changes_nothing(self):
        self.write("etc/managed-ranges.d/app.yaml",
                   "- id: mr-app\n  name: App\n  cidrs: [198.18.7.0/24]\n")
        self.write("etc/databases.d/orders.yaml", ORDERS + "  - managed-range: mr-app\n")
        self.start()
        self.edit("etc/databases.d/orders.yaml", "  - managed-range: mr-app\n", "")
        self.wait_for_generation(2)
        os.remove(self.path("etc/managed-ranges.d/app.yaml"))
        wait_until(lambda: not any("app.yaml" in f["path"] for f in self.status()["files"]), "gone")
        status, answer = self.request("POST", "/v1/rollback/1")
        self.assertEqual(status, 400, answer)
        self.assertIn("mr-app", json.dumps(answer))
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), ORDERS)
        self.assertFalse(reaches(STRANGER))

    # Managed ranges that change under the rules that name them, and what is expected of the rules.

    def put_range(self, cidrs, name="mr-app"):
        self.write("etc/managed-ranges.d/app.yaml.new",
                   f"- id: {name}\n  name: App\n  cidrs: [{', '.join(cidrs)}]\n")
        os.rename(self.path("etc/managed-ranges.d/app.yaml.new"),
                  self.path("etc/managed-ranges.d/app.yaml"))

    def start_with_range(self, cidrs, updates=""):
        self.write("etc/moat.yaml", CONFIG % "30s" + updates)
        self.put_range(cidrs)
        self.write("etc/databases.d/orders.yaml", ORDERS + "  - managed-range: mr-app\n")
        self.start()

    def held_back(self):
        return {os.path.basename(file["path"]): file["faults"]
                for file in self.status()["files"] if file["state"] == "held-back"}

    def reload(self):
        status, change = self.request("POST", "/v1/reload")
        self.assertEqual((status, change["enforced"]), (200, True), change)
        return change

    def is_alive(self, session):
        session.sendall(b"?")
        return session.recv(1) == b"?"

    def test_managed_range_that_flaps_170_times_ends_no_session(self):
        listed, withdrawn = ["198.51.100.0/24", "198.18.7.0/24"], ["198.51.100.0/24"]
        self.start_with_range(listed)
        session = self.assert_session(STRANGER)
        rounds = 170
        for number in range(rounds):
            self.put_range(withdrawn)
            self.assertEqual(self.reload()["ended_sessions"], 0, number)
            self.put_range(listed)
            self.reload()
        self.assertTrue(self.is_alive(session))
        shown = self.get("/v1/managed-ranges/mr-app")
        self.assertEqual((shown["returned"], shown["held_down"]), (rounds, []))

        self.put_range(withdrawn)
        self.reload()
        self.stop(signal.SIGKILL)
        self.assertTrue(self.is_alive(session))
        self.start()
        self.assert_reaches(STRANGER)
        answer = self.get(f"/v1/why?source={STRANGER}")["answers"][0]
        self.assertTrue(answer["allowed"] and answer["table_agrees"] and answer["held_down_until"])
        self.assertIn("held down", answer["detail"])
        status = self.status()
        self.assertEqual([(held["range"], held["prefixes"]) for held in status["held_down"]],
                         [("mr-app", 1)])
        self.assertIn("held-down", [notice["code"] for notice in status["notices"]])
        self.assertIn('moat_held_down_prefixes{range="mr-app"} 1', self.metrics())
        out = self.moat("managed-ranges", "show", "mr-app").stdout
        self.assertIn("# held down: 198.18.7.0/24 left at ", out)
        self.assertIn("# left and came back while held down: 170 prefixes since ", out)
        # What the operator takes away goes at once.
        rule = self.rules()[1]["id"]
        change = self.change("DELETE", f"/v1/rules?database=orders&id={rule}")
        self.assertEqual([ended["peer"] for ended in change["ended"]], [STRANGER], change)
        session.close()
        self.assertFalse(reaches(STRANGER))

    def test_hold_down_ends_with_no_daemon_alive(self):
        length = 4 * PATIENCE
        self.start_with_range(["198.51.100.0/24", "198.18.7.0/24"],
                              f"managed-range-updates: {{hold-down: {length}s}}\n")
        session = self.assert_session(STRANGER)
        self.put_range(["198.51.100.0/24"])
        self.reload()
        self.stop(signal.SIGKILL)
        self.assertTrue(self.is_alive(session))
        wait_until(lambda: not reaches(STRANGER), "the kernel alone ends it")
        self.start()
        wait_until(lambda: self.server.ends.get(STRANGER), "the session ends")
        session.close()
        self.assertEqual(self.status()["held_down"], [])
        self.assert_reaches(LISTED)

    def test_version_that_changes_too_much_waits_to_be_accepted(self):
        many = [f"10.9.{number}.0/24" for number in range(60)]
        self.start_with_range(many + ["198.18.7.0/24"])
        nothing = self.moat("managed-ranges", "accept", "mr-app")
        self.assertEqual(nothing.returncode, 0, "nobody need be asked: " + nothing.stderr)
        self.assertIn("is enforced already: nothing was changed", nothing.stderr)
        session = self.assert_session(STRANGER)
        self.put_range(many[:20])
        faults = wait_until(lambda: self.held_back().get("app.yaml"), "held back")
        self.assertIn("would lose", faults[0]["message"])
        self.assertIn("moat managed-ranges accept mr-app --digest ", faults[0]["remedy"])
        first = self.get("/v1/managed-ranges/mr-app")["held_version"]["digest"]
        self.assertEqual(self.status()["guarded_ranges"], ["mr-app"])
        self.assertIn("moat_guarded_ranges 1", self.metrics())
        self.assertTrue(self.is_alive(session))
        self.stop(signal.SIGKILL)
        self.start()
        self.assertIn("app.yaml", self.held_back(), "by the next daemon, too")

        self.put_range(many[:10])
        self.reload()
        accept = "/v1/managed-ranges/mr-app"
        status, refusal = self.request("PATCH", accept, {"digest": first})
        self.assertEqual(status, 409, refusal)
        self.assertIn("another version", refusal["error"]["message"])
        second = self.get("/v1/managed-ranges/mr-app")["held_version"]["digest"]
        self.assertNotEqual(first, second)
        nobody_asked = self.moat("managed-ranges", "accept", "mr-app")
        self.assertEqual(nobody_asked.returncode, 2, nobody_asked.stderr)
        accepted = self.moat("managed-ranges", "accept", "mr-app", "--digest", second)
        self.assertEqual(accepted.returncode, 0, accepted.stderr)
        self.assertEqual(self.held_back(), {})
        again = self.moat("managed-ranges", "accept", "mr-app", "--digest", second)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("enforced already", again.stderr)
        newest = self.history()[0]
        self.assertEqual(newest["cause"], f"version {second} of mr-app accepted")
        self.assertIn("uid 0", newest["author"])
        self.assertTrue(self.is_alive(session), "held down")
        for path, code in ((accept, 409), ("/v1/managed-ranges/none", 404)):
            self.assertEqual(self.request("PATCH", path, {"digest": first})[0], code, path)
        session.close()

    def test_expectation_is_kept_by_every_way_to_change_a_file(self):
        self.put_range(["198.18.7.0/24", "198.51.100.0/24"])
        expects = (ORDERS + "  - managed-range: mr-app\n"
                   f"expect:\n  - allow: {STRANGER}\n    label: standby\n"
                   f"  - deny: 203.0.113.9\n")
        self.write("etc/databases.d/orders.yaml", expects)
        self.start()
        self.assertEqual(self.held_back(), {})
        rule = self.rules()[1]["id"]
        refused = self.moat("rules", "remove", "--database", "orders", rule)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(f"standby ({STRANGER}) would be denied since rule {rule}", refused.stderr)
        added = self.moat("rules", "add", "--database", "orders", "--cidr", "203.0.113.0/24")
        self.assertEqual(added.returncode, 1)
        self.assertIn("203.0.113.9 would be allowed by 203.0.113.0/24", added.stderr)
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), expects)

        self.put_range(["198.51.100.0/24"])
        faults = wait_until(lambda: self.held_back().get("app.yaml"), "the list is held back")
        self.assertIn(f"expects standby ({STRANGER}) to be allowed", faults[0]["message"])
        self.assert_reaches(STRANGER)
        self.put_range(["198.18.7.0/24"])
        self.edit("etc/databases.d/orders.yaml", "  - managed-range: mr-app\n", "")
        faults = wait_until(lambda: self.held_back().get("orders.yaml"), "the file is held back")
        self.assertIn("would be denied since rule", faults[0]["message"])
        self.assert_reaches(STRANGER)
        check = self.moat("check", self.path("etc/moat.yaml"))
        self.assertIn("would be denied", check.stdout)

        # An expiry cannot be held back: it is told before it ends one, and afterwards.
        end = in_seconds(4 * PATIENCE)
        self.write("etc/databases.d/orders.yaml.new", expects.replace(
            "  - managed-range: mr-app\n", f"  - cidr: 198.18.7.0/24\n    expires: {end}\n"))
        os.rename(self.path("etc/databases.d/orders.yaml.new"),
                  self.path("etc/databases.d/orders.yaml"))
        self.reload()
        self.assertEqual(self.held_back(), {})
        self.assertTrue(any(f"until {end} alone" in notice["message"]
                            for notice in self.status()["notices"]
                            if notice["code"] == "expectation-ending"))
        wait_until(lambda: any(problem["code"] == "expectation-broken"
                               for problem in self.status()["problems"]), "it has ended")
        self.assertEqual(self.held_back(), {})
        self.assertFalse(reaches(STRANGER))

    def test_rules_are_suggested_for_who_was_refused(self):
        self.start()
        self.assertFalse(reaches(STRANGER))
        wait_until(lambda: self.drops("?database=orders")["drops"], "the drop")
        suggested = self.moat("rules", "suggest", "--database", "orders")
        self.assertEqual(suggested.returncode, 0, suggested.stderr)
        self.assertIn(f"  - cidr: {STRANGER}/32  # ", suggested.stdout)
        self.write("suggested.yaml", suggested.stdout)
        check = self.moat("check", self.path("suggested.yaml"))
        self.assertEqual(check.returncode, 0, check.stdout + check.stderr)
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), ORDERS, "nothing is written")
        self.change("POST", "/v1/net-peerings", {"id": "pcx-1", "cidr": "198.18.7.0/24"})
        peering = self.moat("rules", "suggest")
        self.assertIn("  - net-peering: pcx-1  # 1 of its 256 addresses, ", peering.stdout)
        self.write("suggested.yaml", peering.stdout)
        check = self.moat("check", self.path("suggested.yaml"))
        self.assertEqual(check.returncode, 0, check.stdout + check.stderr)
        self.change("POST", "/v1/rules", {"net_peering": "pcx-1"})
        after = self.moat("rules", "suggest")
        self.assertIn("rules: []", after.stdout)
        self.assertIn("allowed by now", after.stderr)

    def begin_trial(self, within="1s", edits="own"):
        return self.change("POST", f"/v1/trial?within={within}&edits={edits}")["id"]

    def test_change_that_nobody_confirms_is_undone(self):
        self.start()
        trial = self.begin_trial()
        self.change("POST", f"/v1/rules?trial={trial}", {"cidr": "198.18.7.0/24"})
        self.assertEqual(self.history()[0]["cause"], "rule added")
        wait_until(lambda: self.history()[0]["cause"] == "undone, as nobody confirmed it", "undone")
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), ORDERS)
        self.assertIsNone(self.status()["trial"])
        self.assertFalse(reaches(STRANGER))
        self.assertIn("198.18.7.0/24", self.read("state/undone/databases.d.orders.yaml"))

    def test_change_that_is_confirmed_stays(self):
        self.start()
        trial = self.begin_trial("10m")
        self.change("POST", f"/v1/rules?trial={trial}", {"cidr": "198.18.7.0/24"})
        waits = self.status()["trial"]
        self.assertEqual((waits["id"], waits["generation"]), ("", 1))
        self.assertTrue(0 < waits["left_ms"] <= 600_000, waits)
        status, answer = self.request("POST", "/v1/rules", {"cidr": "192.0.2.1/32"})
        self.assertEqual(status, 409)
        self.assertIn("waits to be confirmed", answer["error"]["message"])
        self.assertEqual(self.request("POST", "/v1/trial?within=1s")[0], 409)
        self.change("POST", "/v1/confirm")
        self.assertIsNone(self.status()["trial"])
        self.assertFalse(os.path.exists(self.path("state/trial.json")))
        self.assertEqual(self.request("POST", "/v1/confirm")[0], 409)
        self.assert_reaches(STRANGER)

    def test_change_is_undone_though_the_daemon_was_killed(self):
        self.start()
        trial = self.begin_trial("2s")
        rule = self.rules()[0]["id"]
        session = self.assert_session(LISTED)
        self.change("DELETE", f"/v1/rules?database=orders&id={rule}&trial={trial}")
        wait_until(lambda: self.server.ends.get(LISTED), "the session ends")
        session.close()
        self.stop(signal.SIGKILL)
        self.assertFalse(reaches(LISTED))
        self.start()
        self.assert_reaches(LISTED, "undone")
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), ORDERS)

    def test_change_that_comes_after_its_time_is_refused(self):
        self.start()
        trial = self.begin_trial("1ms")
        wait_until(lambda: self.status()["trial"] is None, "over")
        status, answer = self.request("POST", f"/v1/rules?trial={trial}", {"cidr": "198.18.7.0/24"})
        self.assertEqual(status, 409, answer)
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), ORDERS)
        other = self.begin_trial("10m")
        self.assertEqual(self.request("POST", f"/v1/confirm?trial={trial}")[0], 409)
        self.change("POST", f"/v1/confirm?trial={other}")

    def test_unconfirmed_change_is_not_enforced_again_by_the_next_daemon(self):
        self.start()
        trial = self.begin_trial("1s")
        self.change("POST", f"/v1/rules?trial={trial}", {"cidr": "198.18.7.0/24"})
        self.stop(signal.SIGKILL)
        time.sleep(1)
        self.start()
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), ORDERS)
        self.assertNotIn("start", [entry["cause"] for entry in self.history()[:1]])
        self.assertFalse(reaches(STRANGER))

    def test_numbers_go_on_after_a_lost_state(self):
        self.start()
        self.change("POST", "/v1/rules", {"cidr": "198.18.7.0/24"})
        self.stop()
        os.remove(self.path("state/state.json"))
        run("umount", self.path("bpf"))
        run("mount", "-t", "bpf", "bpf", self.path("bpf"))
        self.assertEqual(self.start()["generation"], 3)

    def test_what_is_changed_by_hand_is_undone_too(self):
        self.start()
        settings = self.read("etc/moat.yaml")
        self.begin_trial("10m", "all")
        self.edit("etc/moat.yaml", "backstop: false", "mode: monitor\nbackstop: false")
        self.write("etc/databases.d/shop.yaml",
                   "database: shop\nendpoint: {port: 3306}\nrules: []\n")
        wait_until(lambda: self.status()["mode"] == "monitor", "in force")
        wait_until(lambda: self.status()["databases"] == 2, "guarded")
        self.change("POST", "/v1/rules", {"database": "shop", "cidr": "192.0.2.1/32"})
        self.assert_reaches(STRANGER)
        self.change("DELETE", "/v1/trial")
        self.assertEqual(self.read("etc/moat.yaml"), settings)
        self.assertFalse(os.path.exists(self.path("etc/databases.d/shop.yaml")))
        status = self.status()
        self.assertEqual((status["mode"], status["databases"]), ("enforce", 1))
        self.assertFalse(reaches(STRANGER))
        self.assertEqual([f["state"] for f in status["files"]], ["active"])

    def test_files_are_applied_all_at_once_or_not_at_all(self):
        self.start()
        shop = "database: shop\nendpoint: {port: 3306}\nrules: []\n"
        wider = ORDERS.replace("198.18.0.0/24", "198.18.0.0/16")
        status, answer = self.request("POST", "/v1/apply", {
            "databases": {"orders.yaml": wider, "shop.yaml": shop.replace("3306", "5432")}})
        self.assertEqual(status, 400, answer)
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), ORDERS)
        self.assertEqual(os.listdir(self.path("etc/databases.d")), ["orders.yaml"])
        change = self.change("POST", "/v1/apply",
                             {"databases": {"orders.yaml": wider, "shop.yaml": shop}})
        self.assertEqual((change["enforced"], change["generation"]), (True, 2), change)
        self.assert_reaches(STRANGER)
        change = self.change("POST", "/v1/apply", {"databases": {"orders.yaml": ORDERS}})
        self.assertIn("stays guarded", json.dumps(change["warnings"]))
        self.assertEqual(self.status()["databases"], 2)
        self.assertFalse(reaches(STRANGER))
        self.assertEqual(self.read("etc/databases.d/.shop.yaml.gone"), shop)
        for name in ("../orders.yaml", ".orders.yaml", "orders.txt", "orders.yaml\0x.yaml"):
            status, _ = self.request("POST", "/v1/apply", {"databases": {name: ORDERS}})
            self.assertEqual(status, 400, name)

    def test_folder_that_is_applied_needs_no_managed_ranges_and_brings_none(self):
        self.start_with_range(["198.18.7.0/24"])
        os.makedirs(self.path("new/databases.d"))
        self.write("new/databases.d/orders.yaml", self.read("etc/databases.d/orders.yaml") +
                   "  - cidr: 192.0.2.1/32\n")
        for command in ("diff", "sessions --config", "preflight --config", "apply --dry-run"):
            said = self.moat(*command.split(), self.path("new"))
            self.assertNotIn("error", said.stdout + said.stderr, command)
        os.makedirs(self.path("new/managed-ranges.d"))
        self.write("new/managed-ranges.d/other.yaml",
                   "- id: mr-app\n  name: Other\n  cidrs: [192.0.2.0/24]\n")
        self.assertIn("managed-range mr-app", self.moat("diff", self.path("new")).stdout)
        applied = self.moat("apply", self.path("new"), "--yes")
        self.assertEqual(applied.returncode, 0, applied.stderr)
        self.assertNotIn("managed-range mr-app", applied.stdout)
        self.assert_reaches(STRANGER)
        self.assertIn("192.0.2.1/32", [rule["source"] for rule in self.rules()])

    def test_apply_that_is_interrupted_is_undone(self):
        self.start()
        self.stop(signal.SIGKILL)
        former = [{"path": self.path("etc/moat.yaml"), "text": self.read("etc/moat.yaml")},
                  {"path": self.path("etc/databases.d/orders.yaml"), "text": ORDERS}]
        self.write("state/trial.json", json.dumps({
            "author": "ada", "generation": 1, "boot": "", "ends_ns": 0, "files": former,
            "folder": self.path("etc/databases.d"), "databases": ["orders"]}))
        self.edit("etc/databases.d/orders.yaml", "198.18.0.0/24", "198.18.0.0/16")
        self.start()
        wait_until(lambda: not os.path.exists(self.path("state/trial.json")), "undone")
        wait_until(lambda: not reaches(STRANGER), "as before")
        self.assertEqual(self.read("etc/databases.d/orders.yaml"), ORDERS)

    def test_checks_its_files_and_ends(self):
        def check():
            return subprocess.run([MOATD, "--check", "--config", self.path("etc/moat.yaml")],
                                  check=False, capture_output=True, text=True)
        checked = check()
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.edit("etc/databases.d/orders.yaml", "port: 5432", "port: 70000")
        checked = check()
        self.assertEqual(checked.returncode, 1)
        self.assertIn("orders.yaml:3:", checked.stderr)
        self.assertFalse(os.path.exists(self.path("state")), "nothing is changed")

    def test_tells_more_if_it_is_to(self):
        self.start()
        self.assertNotIn("debug", self.log())
        self.stop()
        arguments = self.arguments()
        self.arguments = lambda: arguments + ["--verbose"]
        self.start()
        self.assertIn("debug: a turn: start", self.log())

    def test_wrong_use_ends_with_two(self):
        for words in (["--nonsense"], ["--config"]):
            ended = subprocess.run([MOATD, *words], check=False, capture_output=True)
            self.assertEqual(ended.returncode, 2, ended.stderr)

    # Whoever asks, and for how long.

    def events(self, since=0, wait=""):
        return self.get(f"/v1/events?since={since}" + (f"&wait={wait}" if wait else ""))

    def kinds(self, since=0):
        return [event["kind"] for event in self.events(since)["events"]]

    def test_events_tell_what_happens_and_go_on_over_a_restart(self):
        self.write("etc/moat.yaml", CONFIG % "200ms")
        self.start()
        self.change("POST", "/v1/rules", {"cidr": "192.0.2.1/32"})
        first = self.events()
        change = [each for each in first["events"] if each["kind"] == "change"][-1]
        self.assertIn("orders: added 192.0.2.1/32", change["message"])
        self.assertEqual(change["generation"], 2)
        self.assertIn("uid 0", change["author"])
        self.assertEqual([each["number"] for each in first["events"]],
                         list(range(1, first["next"])))

        def held_back(kind):
            return [each for each in self.events(first["next"])["events"]
                    if (each["kind"], each["code"]) == (kind, "held-back")]

        text = self.read("etc/databases.d/orders.yaml")
        self.write("etc/databases.d/orders.yaml", "database: orders\nendpoint: {\n")
        began = wait_until(lambda: held_back("problem"), "held back is told")
        self.assertEqual(began[0]["subject"], self.path("etc/databases.d/orders.yaml"))
        self.write("etc/databases.d/orders.yaml", text)
        wait_until(lambda: held_back("problem-over"), "and that it is over")
        self.request("PATCH", "/v1/databases/orders", {"mode": "monitor"})
        self.assertIn("mode", self.kinds(first["next"]))
        os.remove(self.path("bpf/moat/links/eth0"))
        wait_until(lambda: "mend" in self.kinds(first["next"]), "put right is told")
        run("ip", "-n", f"{PREFIX}-host", "link", "del", "eth0")
        wait_until(lambda: any(each["kind"] == "interface" and "absent" in each["message"]
                               for each in self.events(first["next"])["events"]), "gone is told")
        then = self.events()["next"]
        self.stop()
        with open(self.path("state/history/events.jsonl"), "a", encoding="utf-8") as journal:
            journal.write('{"number": 1}\n garbage\n{"cut')
        self.daemon = self.launch()
        wait_until(self.guarded_status_if_any, "started: " + self.log())
        self.assertIn("damaged lines are passed over", self.log())
        told = [(each["number"], each["kind"]) for each in self.events(then)["events"]]
        self.assertEqual(told[:2], [(then, "stop"), (then + 1, "start")])

    def guarded_status_if_any(self):
        with contextlib.suppress(OSError):
            return self.get("/v1/status")["generation"] > 0
        return False

    def test_who_waits_for_an_event_hears_it_at_once(self):
        self.start()
        since = self.events()["next"]
        self.assertEqual(self.events(since, "20ms")["events"], [])
        heard = []
        waiting = threading.Thread(target=lambda: heard.append(self.events(since, "60s")))
        waiting.start()
        begun = time.monotonic()
        self.change("POST", "/v1/rules", {"cidr": "192.0.2.1/32"})
        waiting.join(LONG)
        self.assertEqual(heard[0]["events"][0]["kind"], "change")
        self.assertLess(time.monotonic() - begun, 50, "not by the end of its patience")
        follower = subprocess.Popen([MOAT, "events", "--follow", "--json", "--socket",
                                     self.path("moatd.sock")], stdout=subprocess.PIPE, text=True)
        self.addCleanup(follower.stdout.close)
        self.addCleanup(follower.wait)
        self.addCleanup(follower.kill)
        for line in follower.stdout:
            event = json.loads(line)
            if event["kind"] == "change" and event["generation"] == 2:
                break
        self.change("POST", "/v1/rules", {"cidr": "192.0.2.2/32"})
        for line in follower.stdout:
            event = json.loads(line)
            if event["kind"] == "change":
                break
        self.assertEqual(event["generation"], 3)

    def request_with(self, headers, method, path, body=None):
        connection = UnixConnection(self.path("moatd.sock"))
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        answer = json.loads(response.read() or "null")
        connection.close()
        return response.status, answer, response.headers

    def test_two_writers_cannot_undo_each_other(self):
        self.start()
        _, _, headers = self.request_with({}, "GET", "/v1/rules?database=orders")
        mine = {"If-Match": headers["ETag"]}
        status, answer, headers = self.request_with(mine, "POST", "/v1/rules",
                                                    {"cidr": "192.0.2.1/32"})
        self.assertEqual(status, 200, answer)
        self.assertNotEqual(headers["ETag"], mine["If-Match"])
        rule = answer["rule_id"]
        for method, path, body in (("DELETE", f"/v1/rules?id={rule}", None),
                                   ("PATCH", f"/v1/rules?id={rule}", {"label": "a"}),
                                   ("PATCH", "/v1/databases/orders", {"mode": "monitor"}),
                                   ("POST", "/v1/rules", {"cidr": "192.0.2.2/32"}),
                                   ("POST", "/v1/rollback/1", None)):
            status, answer, _ = self.request_with(mine, method, path, body)
            self.assertEqual((status, answer["error"]["kind"]), (412, "changed"), (method, path))
            self.assertIn("read them again", answer["error"]["remedy"])
        self.edit("etc/databases.d/orders.yaml", "# the office", "# our office")
        status, _, _ = self.request_with({"If-Match": headers["ETag"]}, "DELETE",
                                         f"/v1/rules?id={rule}")
        self.assertEqual(status, 412, "somebody edits the file by hand")
        _, _, headers = self.request_with({}, "GET", "/v1/databases")
        status, answer, _ = self.request_with({"If-Match": headers["ETag"]}, "DELETE",
                                              f"/v1/rules?id={rule}")
        self.assertEqual(status, 200, answer)

    def check_answer(self, api, method, path, body=None, arguments=""):
        """Whether a real answer is what the file says of it."""
        import jsonschema

        operation = api["paths"][path][method.lower()]
        where = path.replace("{id}", self.ids.get(path, ""))
        status, answer = self.request(method, where + arguments, body)
        schema = operation["responses"].get(str(status), operation["responses"]["default"])
        if "$ref" in schema:
            schema = api["components"]["responses"][schema["$ref"].rpartition("/")[2]]
        schema = {**schema["content"]["application/json"]["schema"],
                  "components": api["components"]}
        try:
            jsonschema.Draft202012Validator(schema).validate(answer)
        except jsonschema.ValidationError as error:
            raise AssertionError(f"{method} {where}{arguments}: {status} {error.message} at "
                                 f"{list(error.absolute_path)}") from None
        return status, answer

    def test_answers_are_as_the_openapi_file_says(self):
        import yaml

        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..",
                               "control", "api", "openapi.yaml"), encoding="utf-8") as file:
            api = yaml.safe_load(file)
        self.ids = {"/v1/managed-ranges/{id}": "mr-a", "/v1/history/{id}": "1",
                    "/v1/rollback/{id}": "1", "/v1/databases/{id}": "orders",
                    "/v1/refresh/{id}": "mr-a"}
        self.write("etc/managed-ranges.d/a.yaml", "- {id: mr-a, name: a, cidrs: [192.0.2.0/24]}\n")
        time = "2026-01-01T00:00:00.000Z"
        self.write("etc/managed-ranges.d/.moat-agent.json", json.dumps({
            "sources": [{"range": "mr-a", "source": "https://a.example/a", "version": "7",
                         "fetched": time, "attempted": time, "next": time, "max_age_s": 60,
                         "failures": 1, "error": "no route"}],
            "fleet": {"name": "prod", "listed": time, "max_age_s": 60, "held_back": ["orders"]}}))
        self.edit("etc/databases.d/orders.yaml", "rules:", "rules:\n  - managed-range: mr-a")
        self.start()
        self.write("etc/databases.d/bills.yaml", "database: bills\nendpoint: {port: 60OO}\n")
        session = self.assert_session(LISTED)
        self.assertFalse(reaches(STRANGER))
        wait_until(lambda: self.request("GET", "/healthz")[0] == 503, "something is wrong")
        for path, methods in api["paths"].items():
            if path == "/metrics":
                continue
            if "get" in methods:
                arguments = f"?source={STRANGER}" if path == "/v1/why" else ""
                status, _ = self.check_answer(api, "GET", path, arguments=arguments)
                self.assertIn(status, (200, 503), path)
            for method in set(methods) & {"get", "post", "patch", "delete"}:
                self.check_arguments(api, method, path)
        session.close()
        self.check_answer(api, "POST", "/v1/rules", {"cidr": "192.0.2.1/33"})
        wanted = {"database": "orders", "cidr": "192.0.2.1/32", "expires": "1h"}
        status, preview = self.check_answer(api, "POST", "/v1/rules", wanted, "?dry-run=1")
        self.assertEqual(status, 200, preview)
        status, rule = self.check_answer(api, "POST", "/v1/rules", wanted,
                                         "?basis=" + preview["preview"]["basis"])
        self.assertEqual(status, 200, rule)
        name = f"?database=orders&id={rule['rule_id']}"
        peering = {"database": "orders", "id": "pcx-1", "cidr": "10.42.0.0/16"}
        for method, path, body, arguments in (
                ("PATCH", "/v1/rules", {"label": "a"}, name),
                ("GET", "/v1/rules", None, ""),
                ("DELETE", "/v1/rules", None, name + "&dry-run=1"),
                ("DELETE", "/v1/rules", None, name),
                ("POST", "/v1/net-peerings", peering, ""),
                ("GET", "/v1/net-peerings", None, ""),
                ("GET", "/v1/network-configuration", None, ""),
                ("DELETE", "/v1/net-peerings", None, "?database=orders&id=pcx-1"),
                ("PATCH", "/v1/managed-ranges/{id}", {"digest": "0"}, ""),
                ("POST", "/v1/refresh/{id}", None, ""),
                ("PATCH", "/v1/databases/{id}", {"mode": "monitor"}, ""),
                ("DELETE", "/v1/databases/{id}", None, ""),
                ("POST", "/v1/rollback/{id}", None, ""),
                ("POST", "/v1/reload", None, ""),
                ("POST", "/v1/clock/reset", None, "")):
            self.check_answer(api, method, path, body, arguments)
        os.remove(self.path("etc/databases.d/bills.yaml"))
        wait_until(lambda: not self.problem("not-guarded"), "nothing is held back")
        for method, path, body, arguments in (
                ("POST", "/v1/trial", None, "?within=60s"),
                ("GET", "/v1/status", None, ""),
                ("DELETE", "/v1/trial", None, ""),
                ("POST", "/v1/trial", None, "?within=60s"),
                ("POST", "/v1/confirm", None, ""),
                ("POST", "/v1/apply", {"databases": {"a.yaml": ORDERS}}, ""),
                ("GET", "/v1/events", None, ""),
                ("POST", "/v1/detach", None, "")):
            self.check_answer(api, method, path, body, arguments)
        self.assertEqual(self.daemon.wait(LONG), 0)
        self.daemon = None

    def check_arguments(self, api, method, path):
        """Those that the file names are those that the path knows."""
        operation = api["paths"][path][method]
        named = [api["components"]["parameters"][each["$ref"].rpartition("/")[2]]
                 if "$ref" in each else each for each in operation.get("parameters", [])]
        documented = sorted(each["name"] for each in named if each["in"] == "query")
        _, answer = self.request(method.upper(), path.replace("{id}", "x") + "?zzzzzzzz=1")
        remedy = answer["error"]["remedy"]
        known = remedy.removeprefix("known are ").split(", ") if "known are" in remedy else []
        self.assertEqual(documented, sorted(known), (method, path, remedy))

    def ask_as(self, group, *arguments):
        """curl, as a user that is in that group alone."""
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", f"--groups={group}", "curl", "--silent",
             "--unix-socket", self.path("moatd.sock"), "--write-out", "\n%{http_code}", *arguments],
            check=False, capture_output=True, text=True)
        body, _, code = done.stdout.rpartition("\n")
        return int(code or 0), body

    def test_readers_may_ask_and_not_change_anything(self):
        readers = next(line.split(":") for line in open("/etc/group", encoding="utf-8")
                       if line.startswith("games:"))
        self.open_to_strangers()
        self.start()
        path = "http://moatd/v1/"
        self.assertEqual(self.ask_as(readers[2], path + "status")[0], 0, "the socket is closed")
        self.write("etc/moat.yaml", CONFIG % "30s" + f"socket-readers: {readers[0]}\n")
        wait_until(lambda: self.ask_as(readers[2], path + "status")[0] == 200, "readers may ask")
        for refused in (["--request", "POST", path + "reload"],
                        ["--request", "DELETE", path + "rules?id=r-1"]):
            code, body = self.ask_as(readers[2], *refused)
            self.assertEqual(code, 403, body)
            self.assertIn("may ask moatd, and not change anything", body)
            self.assertIn("root", json.loads(body)["error"]["remedy"])
        self.assertEqual(self.ask_as(readers[2], "--head", path + "rules")[0], 200)
        code, body = self.ask_as(65533, path + "status")
        self.assertEqual(code, 403, "others connect, and are refused")
        self.assertIn(f"members of group {readers[0]} may ask", body)
        self.write("etc/moat.yaml", CONFIG % "30s")
        wait_until(lambda: self.ask_as(readers[2], path + "status")[0] == 0, "closed again")

    def test_figures_are_told_on_loopback_too(self):
        def get(path, port=9723):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read().decode()
            except OSError:
                return 0, ""
            finally:
                connection.close()

        self.start()
        self.write("etc/moat.yaml", CONFIG % "30s" + "metrics: 127.0.0.1:9723\n")
        code, body = wait_until(lambda: within("host", lambda: get("/metrics"))[0] and
                                within("host", lambda: get("/metrics")), "metrics: " + self.log())
        self.assertEqual(code, 200)
        self.assertIn("moat_build_info{version=", body)
        self.assertEqual(within("host", lambda: get("/healthz"))[0], 200)
        code, body = within("host", lambda: get("/v1/status"))
        self.assertEqual(code, 403, body)
        self.write("etc/moat.yaml", CONFIG % "30s" + "metrics: 127.0.0.1:9724\n")
        wait_until(lambda: within("host", lambda: get("/metrics", 9724))[0] == 200, "moved")
        self.assertEqual(within("host", lambda: get("/metrics"))[0], 0, "gone from there")
        taken = within("host", lambda: socket.create_server(("127.0.0.1", 9725)))
        self.addCleanup(taken.close)
        self.write("etc/moat.yaml", CONFIG % "30s" + "metrics: 127.0.0.1:9725\n")
        wait_until(lambda: "Address already in use" in self.problem("no-metrics"), "told")
        self.write("etc/moat.yaml", CONFIG % "30s" + "metrics: 0.0.0.0:9724\n")
        wait_until(lambda: "other hosts could reach this address" in str(self.status()["files"]),
                   "held back")
        self.assertEqual(get("/metrics", 9724)[0], 0)

    def test_health_is_lost_with_a_file_and_comes_back(self):
        self.start()
        self.assertEqual(self.request("GET", "/healthz")[0], 200)
        self.edit("etc/databases.d/orders.yaml", "port: 5432", "port: 54322222")
        status, health = wait_until(lambda: self.request("GET", "/healthz")[0] == 503 and
                                    self.request("GET", "/healthz"), "held back")
        self.assertEqual([each["code"] for each in health["problems"]], ["held-back"])
        self.assertIn("moat_ready 0", self.metrics())
        self.assertIn('moat_problems_by_code{code="held-back"} 1', self.metrics())
        self.assertEqual(self.moat("status", "--quiet").returncode, 1)
        self.edit("etc/databases.d/orders.yaml", "port: 54322222", "port: 5432")
        wait_until(lambda: self.request("GET", "/healthz")[0] == 200, "well again")
        self.assertEqual(self.moat("status", "--quiet").returncode, 0)

    def promtool(self, *arguments, text=None):
        return subprocess.run(["promtool", *arguments], check=False, input=text,
                              capture_output=True, text=True)

    def test_metrics_are_as_prometheus_wants_them_and_what_is_made_of_them_names_none_else(self):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families

        self.start()
        self.assertFalse(reaches(STRANGER))
        self.assert_reaches(LISTED)
        text = self.metrics()
        checked = self.promtool("check", "metrics", text=text)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""), checked)
        connection = UnixConnection(self.path("moatd.sock"))
        connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
        families = list(text_string_to_metric_families(connection.getresponse().read().decode()))
        connection.close()
        self.assertIn("moat_ready", [family.name for family in families])

        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              "..", "..", "..", "config", "prometheus")
        for arguments in (("check", "rules", os.path.join(folder, "moat.rules.yml")),
                          ("test", "rules", os.path.join(folder, "moat.rules_test.yml"))):
            done = self.promtool(*arguments)
            self.assertEqual(done.returncode, 0, done)
        with open(os.path.join(folder, "grafana-dashboard.json"), encoding="utf-8") as file:
            dashboard = json.load(file)
        expressions = [target["expr"] for panel in dashboard["panels"]
                       for target in panel["targets"]]
        self.write("panels.yml", json.dumps({"groups": [{"name": "panels", "rules": [
            {"record": f"panel:{number}", "expr": expression}
            for number, expression in enumerate(expressions)]}]}))
        done = self.promtool("check", "rules", self.path("panels.yml"))
        self.assertEqual(done.returncode, 0, done)

        with open(os.path.join(folder, "moat.rules.yml"), encoding="utf-8") as file:
            rules = file.read()
        told = set(re.findall(r"^(moat_\w+)[ {]", text, re.MULTILINE))
        for name in re.findall(r"\bmoat_\w+", rules + " ".join(expressions) + json.dumps(
                dashboard["templating"])):
            self.assertIn(name, told)
        codes = set(re.findall(r'moat_problems_by_code{code="([^"]+)"}', text))
        for alternatives in re.findall(r'code=~"([^"]+)"', rules):
            self.assertLessEqual(set(alternatives.split("|")), codes)

    def standing(self, *arguments):
        return self.moat("status", "--bpffs", self.path("bpf/moat"), *arguments)

    def test_status_tells_what_stands_though_the_daemon_was_killed(self):
        self.start()
        self.stop(signal.SIGKILL)
        self.assertFalse(reaches(STRANGER))
        said = self.standing()
        self.assertEqual(said.returncode, 3, said)
        self.assertEqual(said.stdout.splitlines()[0],
                         "moatd is not running; the rules of generation 1 are enforced on eth0 by "
                         "the kernel.")
        told = json.loads(self.standing("--json").stdout)
        self.assertEqual((told["generation"], told["interfaces"], told["databases"]),
                         (1, ["eth0"], 1))
        self.assertEqual([each["code"] for each in told["problems"]], ["not-running"])
        run("ip", "-n", f"{PREFIX}-host", "link", "del", "eth0")
        self.assertIn("NOTHING IS GUARDED", self.standing().stdout)
        self.make_link()
        self.assertIn("NOTHING IS GUARDED", self.standing().stdout, "it is another interface")
        self.assert_reaches(STRANGER)
        self.start()
        self.request("POST", "/v1/detach")
        self.daemon.wait(LONG)
        self.daemon = None
        self.assertIn("nothing is pinned", self.standing().stdout)

    def test_status_says_nothing_of_pins_that_it_may_not_read(self):
        self.start()
        self.stop(signal.SIGKILL)
        os.remove(self.path("moatd.sock"))
        looks = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                 "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
        said = subprocess.run([*looks, MOAT, "status", "--socket", self.path("moatd.sock"), "--bpffs",
                               self.path("bpf/moat")], capture_output=True, text=True)
        self.assertEqual(said.returncode, 3, said)
        self.assertNotIn("NOTHING IS GUARDED", said.stdout + said.stderr)
        self.assertIn("moatd is not reachable", said.stderr)
        for pin in os.listdir(self.path("bpf/moat")):
            if pin.startswith("table-"):
                os.remove(self.path("bpf/moat/" + pin))
        self.assertFalse(reaches(STRANGER))
        self.assertEqual(self.standing().stdout.splitlines()[0],
                         "moatd is not running; rules are enforced on eth0 by the kernel, and this "
                         "moat cannot read which.")

    def test_detach_ends_the_guard(self):
        self.start()
        reaches(LISTED)
        self.assertGreater(self.rules()[0]["hits"]["packets"], 0)
        history = self.get("/v1/history")["generations"]
        status, change = self.request("POST", "/v1/detach")
        self.assertEqual((status, change["detached"], change["enforced"]), (200, True, False), change)
        self.assertEqual(self.daemon.wait(LONG), 0)
        self.daemon = None
        self.assert_reaches(STRANGER)
        self.assertNotIn("moat", os.listdir(self.path("bpf")))
        self.start()
        self.assertFalse(reaches(STRANGER), "it can begin again")
        self.assertEqual(self.rules()[0]["hits"]["packets"], 0, "as README.md says")
        self.assertEqual(self.get("/v1/history")["generations"][-len(history):], history)


def load_part(text):
    """Every PARTS-th test, from the N-th on, so that parts can run at the same time."""
    number, parts = map(int, text.split("/"))
    names = unittest.defaultTestLoader.getTestCaseNames(DaemonTest)
    return [f"DaemonTest.{name}" for name in names[number - 1::parts]]


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(77)
    MOATD, CLOCK_SHIM, MOAT = (os.path.abspath(sys.argv.pop(1)) for _ in range(3))
    if sys.argv[1:2] == ["--part"]:
        sys.argv[1:] = load_part(sys.argv[2])
    unittest.main(verbosity=2, warnings="ignore")
