#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""moat-agent beside moatd, and the command: agent_moatd_test.py MOAT_AGENT MOATD CLOCK_SHIM MOAT [TEST...]"""

import ctypes
import datetime
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "daemon")]
import daemon_test  # noqa: E402
import etcd  # noqa: E402
import tls  # noqa: E402
from daemon_test import LISTED, LONG, ORDERS, STRANGER, wait_until  # noqa: E402

AGENT = ""
HOUR = 3600
RANGE_RULE = "database: orders\nendpoint: {port: 5432}\nrules:\n  - managed-range: mr-x\n"


class AgentWithMoatd(daemon_test.DaemonTest):
    """On the scene of the daemon's tests, without those."""

    def start_agent(self, *through):
        log = open(self.path("agent.log"), "ab")
        with log:
            agent = subprocess.Popen([*through, AGENT, "--config", self.path("etc/agent.yaml")], stderr=log)

        def stop():
            agent.terminate()
            agent.wait(LONG)

        self.addCleanup(stop)
        return agent

    def keep_list(self, text):
        self.write("list.txt", text)
        self.write("etc/agent.yaml", f"managed-ranges: [{{id: mr-x, file: {self.path('list.txt')}}}]\n")
        self.write("etc/databases.d/orders.yaml", RANGE_RULE)

    def agents_status(self):
        with open(self.path("etc/managed-ranges.d/.moat-agent.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_what_the_agent_keeps_is_enforced_and_told(self):
        self.keep_list("198.18.0.0/24\n")
        self.start_agent()
        wait_until(lambda: os.path.exists(self.path("etc/managed-ranges.d/mr-x.yaml")), "the managed range")
        self.start()
        self.assert_reaches(LISTED)
        self.assertFalse(daemon_test.reaches(STRANGER))
        listed = self.moat("managed-ranges", "list").stdout
        self.assertIn("CHECKED", listed)
        self.assertIn("file " + self.path("list.txt"), listed)
        self.write("list.txt", "198.18.0.0/24\n198.18.7.0/24\n")
        done = self.moat("managed-ranges", "refresh", "mr-x")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        wait_until(lambda: daemon_test.reaches(STRANGER), "who is in the new list is let in")
        self.write("list.txt", "no list\n")
        done = self.moat("managed-ranges", "refresh", "mr-x")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("mr-x stays as it was", done.stderr)
        self.assertIn("failing", self.moat("managed-ranges", "list").stdout)
        self.assertIn("managed range mr-x stays as it was", str(self.status()["notices"]))
        self.assert_reaches(LISTED)
        done = self.moat("managed-ranges", "refresh", "mr-y")
        self.assertEqual(done.returncode, 1)

    def test_a_list_that_nobody_checks_any_more_is_a_problem(self):
        self.keep_list("198.18.0.0/24\n")
        subprocess.run([AGENT, "--config", self.path("etc/agent.yaml"), "fetch"], check=True, capture_output=True)
        self.start()
        self.assertNotIn("mr-x", str(self.status()["problems"]))
        told = self.agents_status()
        told["sources"][0]["fetched"] = "2026-01-01T00:00:00.000Z"
        self.write("etc/managed-ranges.d/.moat-agent.json", json.dumps(told))
        problems = str(self.status()["problems"])
        self.assertIn("managed range mr-x was last checked", problems)
        self.assertIn("does moat-agent run?", problems)
        self.assertIn("stale", self.moat("managed-ranges", "list").stdout)
        self.write("etc/managed-ranges.d/.moat-agent.json", "garbage")
        self.assertIn("what moat-agent tells cannot be read", str(self.status()["notices"]))
        self.assert_reaches(LISTED)

    def begin_fleet(self, **of_etcd):
        """A store, for a fleet of this host alone, which has no rules of its own."""
        cluster = etcd.Etcd(self.home, patience=LONG, **of_etcd)
        self.addCleanup(cluster.close)
        os.unlink(self.path("etc/databases.d/orders.yaml"))
        os.makedirs(self.path("fleet/databases.d"))
        self.write("etc/agent.yaml", f"fleet: {{name: prod, host: db, etcd: {json.dumps(cluster.endpoints)}, "
                                     f"reconcile: 1s, max-age: 3s, socket: {self.path('moatd.sock')}}}\n")
        return cluster

    def push(self, text, *arguments):
        self.write("fleet/databases.d/orders.yaml", text)
        return subprocess.run([daemon_test.MOAT, "fleet", "push", self.path("fleet"), "--config",
                               self.path("etc/agent.yaml"), *arguments], capture_output=True, text=True,
                              timeout=2 * LONG, check=False)

    def push_at_once(self, text):
        done = self.push(text, "--no-wait")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_fleet_is_enforced_and_its_files_are_not_edited(self):
        cluster = self.begin_fleet()
        self.start_agent()
        self.push_at_once(ORDERS)
        wait_until(lambda: os.path.exists(self.path("etc/databases.d/orders.yaml")), "the database file")
        self.start()
        self.assert_reaches(LISTED)
        self.assertFalse(daemon_test.reaches(STRANGER))
        done = self.push(ORDERS.replace("198.18.0.0", "198.18.7.0"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("1 of 1 hosts enforce it", done.stdout)
        # Told as enforced, so it is.
        self.assertTrue(daemon_test.reaches(STRANGER))
        self.assertFalse(daemon_test.reaches(LISTED))
        receipt = json.loads(cluster.get("/moat/v1-receipts/prod/db")[0])
        self.assertEqual(receipt["generation"], self.status()["generation"])
        done = self.moat("rules", "add", "--database", "orders", "--cidr", "198.18.0.9/32")
        self.assertEqual(done.returncode, 1)
        self.assertIn("is moat-agent's", done.stderr)
        cluster.kill()
        wait_until(lambda: "fleet prod was last heard of" in str(self.status()["problems"]), "the alarm")
        self.assertTrue(daemon_test.reaches(STRANGER))

    def test_a_canary_that_ends_too_many_sessions_is_taken_back(self):
        cluster = self.begin_fleet()
        self.start_agent()
        self.push_at_once(ORDERS)
        wait_until(lambda: os.path.exists(self.path("etc/databases.d/orders.yaml")), "the database file")
        self.start()
        wait_until(lambda: cluster.get("/moat/v1-receipts/prod/db"), "a receipt")
        sessions = [self.assert_session(LISTED), self.assert_session(LISTED)]
        done = self.push(ORDERS.replace("198.18.0.0", "198.18.7.0"), "--canary", "1%,100%", "--max-ended", "1")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("it has ended 2 sessions, more than 1: push 2 was taken back", done.stderr)
        for session in sessions:
            session.close()
        wait_until(lambda: daemon_test.reaches(LISTED), "the rules from before")
        self.assertFalse(daemon_test.reaches(STRANGER))

    def enter_namespace(self):
        """This process in a network namespace of its own, with etcd's host at 203.0.113.1; the agent's is
        another one, joined by a link."""
        libc = ctypes.CDLL(None, use_errno=True)
        outside = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.assertEqual(libc.unshare(daemon_test.CLONE_NEWNET), 0)
        self.addCleanup(os.close, outside)
        self.addCleanup(lambda: self.assertEqual(libc.setns(outside, daemon_test.CLONE_NEWNET), 0))
        agents = f"{daemon_test.PREFIX}-agent"
        ip = lambda *words: daemon_test.run("ip", *words)
        ip("link", "set", "lo", "up")
        ip("netns", "add", agents)
        self.addCleanup(ip, "netns", "del", agents)
        ip("link", "add", "store", "type", "veth", "peer", "agent", "netns", agents)
        ip("address", "add", "203.0.113.1/24", "dev", "store")
        ip("link", "set", "store", "up")
        ip("-n", agents, "address", "add", "203.0.113.2/24", "dev", "agent")
        ip("-n", agents, "link", "set", "agent", "up")
        return agents

    def test_a_partition_that_is_longer_than_the_bound(self):
        agents = self.enter_namespace()
        cluster = self.begin_fleet(address="203.0.113.1")
        self.push_at_once(ORDERS)
        self.start_agent("nsenter", f"--net=/run/netns/{agents}")
        wait_until(lambda: os.path.exists(self.path("etc/databases.d/orders.yaml")), "the database file")
        self.start()
        self.assert_reaches(LISTED)
        daemon_test.run("ip", "-n", agents, "link", "set", "agent", "down")
        self.push_at_once(ORDERS.replace("198.18.0.0", "198.18.7.0"))
        problems = wait_until(lambda: self.problem("fleet-stale"), "the alarm")
        self.assertIn("fleet prod was last heard of", problems)
        wait_until(lambda: 'moat_problems_by_code{code="fleet-stale"} 1' in self.metrics(), "the metric")
        wait_until(lambda: self.status()["fleet"]["error"], "why")
        for _ in range(5):
            self.assert_reaches(LISTED)
            self.assertFalse(daemon_test.reaches(STRANGER), "the last good rules hold")
        daemon_test.run("ip", "-n", agents, "link", "set", "agent", "up")
        wait_until(lambda: daemon_test.reaches(STRANGER), "what was pushed meanwhile")
        self.assertFalse(daemon_test.reaches(LISTED))
        wait_until(lambda: not self.problem("fleet-stale"), "the end of the alarm")
        wait_until(lambda: json.loads(cluster.get("/moat/v1-receipts/prod/db")[0])["generation"]
                   == self.status()["generation"], "the receipt")

    def test_a_day_of_a_list_that_flaps_and_fails_and_grows_ends_no_session(self):
        """By the agent's own schedule and moatd's own hold-down; the clock of both runs ahead, from one try to
        the next."""
        chance = random.Random(1)
        authority = tls.Authority(pathlib.Path(self.home))
        server = tls.Server(*authority.sign("server"))
        self.addCleanup(server.close)
        self.write("etc/agent.yaml", f"managed-ranges: [{{id: mr-x, url: '{server.url}/list', "
                                     f"ca: {authority.path}, every: 1h}}]\n")
        self.write("etc/databases.d/orders.yaml", RANGE_RULE)
        self.write("etc/moat.yaml", daemon_test.CONFIG % "200ms" + "managed-range-updates: {hold-down: 1h}\n")
        growing = [f"10.{number}.0.0/16" for number in range(100)]

        def offer(is_whole):
            listed = growing + ["198.18.7.0/24"] if is_whole else growing
            server.serve("/list", "\n".join(listed) + "\n", ETag=f'"{hash(tuple(listed))}"')

        def break_it():
            body, status, headers = chance.choice([
                (b"", 200, {}), (b"<html>maintenance</html>", 200, {"Content_Type": "text/html"}),
                (b"busy", 503, {}), (b"198.18.7.0/2", 200, {}), (b"198.18.0.0/24\n198.18.7.0/33\n", 200, {})])
            server.routes["/list"] = lambda handler: tls.answer(handler, body, status, **headers)

        def fetch(at):
            self.move_clock(at, 1)
            subprocess.run([AGENT, "--config", self.path("etc/agent.yaml"), "fetch"], capture_output=True,
                           check=False, timeout=LONG,
                           env={**os.environ, "LD_PRELOAD": daemon_test.CLOCK_SHIM,
                                "CLOCK_SHIM": self.path("clock")})
            told = self.agents_status()["sources"][0]
            parse = lambda key: datetime.datetime.fromisoformat(told[key].replace("Z", "+00:00"))
            return told, (parse("next") - parse("attempted")).total_seconds()

        offer(True)
        fetch(0)
        self.start_with_clock()
        session = self.assert_session(STRANGER)
        at, wait, tries, errors, flaps, is_flapping = 0, HOUR, 0, 0, 0, False
        while at < 24 * HOUR:
            at = int(at + wait) + 1
            growing.append(f"172.16.{len(growing) - 100}.0/24")
            if chance.random() < 0.3:
                break_it()
            else:
                # Never twice in a row: what is gone for longer than the hold-down has left.
                is_flapping = not is_flapping and chance.random() < 0.4
                offer(not is_flapping)
                flaps += is_flapping
            told, wait = fetch(at)
            tries += 1
            errors += told.get("error", "") != ""
            self.assertEqual(self.reload()["ended_sessions"], 0, at)
            self.assertTrue(self.is_alive(session), at)
        self.assert_reaches(STRANGER)
        shown = self.get("/v1/managed-ranges/mr-x")
        self.assertGreater(shown["returned"], 3)
        self.assertGreater(errors, 3)
        print(f"{tries} tries in 24 h, {errors} errors, {flaps} lists without the network", file=sys.stderr)
        # It can end: once the network has left for good.
        offer(True)
        fetch(at + 60)
        self.reload()
        offer(False)
        fetch(at + HOUR)
        self.assertEqual(self.reload()["ended_sessions"], 0)
        self.assertTrue(self.is_alive(session))
        self.server.ends.clear()
        self.move_clock(at + 3 * HOUR, 1)
        wait_until(lambda: self.server.ends.get(STRANGER) == "ConnectionAbortedError", "the hold-down is over")
        session.close()
        wait_until(lambda: not daemon_test.reaches(STRANGER), "the network has left")


for name in dir(daemon_test.DaemonTest):
    if name.startswith("test_"):
        setattr(AgentWithMoatd, name, None)

if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    AGENT, daemon_test.MOATD, daemon_test.CLOCK_SHIM, daemon_test.MOAT = (
        os.path.abspath(sys.argv.pop(1)) for _ in range(4))
    unittest.main(verbosity=1, warnings="ignore")
