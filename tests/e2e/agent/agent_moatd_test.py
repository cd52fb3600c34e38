#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""moat-agent beside moatd, and the command: agent_moatd_test.py MOAT_AGENT MOATD CLOCK_SHIM MOAT [TEST...]"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "daemon")]
import daemon_test  # noqa: E402
import etcd  # noqa: E402
from daemon_test import LISTED, LONG, ORDERS, STRANGER, wait_until  # noqa: E402

AGENT = ""
RANGE_RULE = "database: orders\nendpoint: {port: 5432}\nrules:\n  - managed-range: mr-x\n"


class AgentWithMoatd(daemon_test.DaemonTest):
    """On the scene of the daemon's tests, without those."""

    def start_agent(self):
        log = open(self.path("agent.log"), "ab")
        with log:
            agent = subprocess.Popen([AGENT, "--config", self.path("etc/agent.yaml")], stderr=log)

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

    def test_a_fleet_is_enforced_and_its_files_are_not_edited(self):
        cluster = etcd.Etcd(self.home, patience=LONG)
        self.addCleanup(cluster.close)
        os.unlink(self.path("etc/databases.d/orders.yaml"))
        self.write("etc/agent.yaml", f"fleet: {{name: prod, host: db, etcd: {json.dumps(cluster.endpoints)}, "
                                     f"reconcile: 1s, max-age: 3s, socket: {self.path('moatd.sock')}}}\n")
        folder = self.path("fleet")
        os.makedirs(os.path.join(folder, "databases.d"))
        self.write("fleet/databases.d/orders.yaml", ORDERS)

        def fleet(*arguments):
            return subprocess.run([daemon_test.MOAT, "fleet", *arguments, "--config", self.path("etc/agent.yaml")],
                                  capture_output=True, text=True, timeout=2 * LONG, check=False)

        self.start_agent()
        self.assertEqual(fleet("push", folder, "--no-wait").returncode, 0)
        wait_until(lambda: os.path.exists(self.path("etc/databases.d/orders.yaml")), "the database file")
        self.start()
        self.assert_reaches(LISTED)
        self.assertFalse(daemon_test.reaches(STRANGER))
        self.write("fleet/databases.d/orders.yaml", ORDERS.replace("198.18.0.0", "198.18.7.0"))
        done = fleet("push", folder)
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


for name in dir(daemon_test.DaemonTest):
    if name.startswith("test_"):
        setattr(AgentWithMoatd, name, None)

if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    AGENT, daemon_test.MOATD, daemon_test.CLOCK_SHIM, daemon_test.MOAT = (
        os.path.abspath(sys.argv.pop(1)) for _ in range(4))
    unittest.main(verbosity=1)
