#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A fleet in a real etcd, and hosts that follow it: fleet_test.py MOAT_AGENT CLOCK_SHIM [TEST...]"""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent / folder) for folder in (".", "../lib")]
import etcd  # noqa: E402
import tls  # noqa: E402
from waiting import LONG, wait_until  # noqa: E402

AGENT = CLOCK_SHIM = ""
ORDERS = "database: orders\nendpoint: {port: 5432}\nrules:\n  - cidr: 198.18.1.0/24\n"
SALES = "database: sales\nendpoint: {port: 5433}\nrules:\n  - managed-range: mr-own\n"


class Host:
    """One that follows the fleet; without moatd, unless `socket` is one's."""

    def __init__(self, test, name, settings=""):
        self.folder = test.folder / name
        self.databases, self.ranges = self.folder / "databases.d", self.folder / "managed-ranges.d"
        self.databases.mkdir(parents=True)
        self.ranges.mkdir()
        (self.folder / "moat.yaml").write_text("interfaces: [eth0]\n")
        self.config = self.folder / "agent.yaml"
        self.config.write_text(f"fleet: {{{test.fleet_settings()}, host: {name}, reconcile: 1s, max-age: 3s{settings}}}\n")
        self.agent = None
        test.addCleanup(self.stop)

    def start(self, environment=None):
        self.log = open(self.folder / "log", "ab")
        self.agent = subprocess.Popen([AGENT, "--config", self.config], stderr=self.log,
                                      env={**os.environ, **(environment or {})})
        return self

    def stop(self):
        if self.agent:
            self.agent.send_signal(signal.SIGCONT)
            self.agent.terminate()
            self.agent.wait(LONG)
            self.agent = None
            self.log.close()

    def text(self, database):
        path = self.databases / f"{database}.yaml"
        return path.read_text().split("\n", 1)[1] if path.exists() else None

    def cidrs(self, range_id):
        path = self.ranges / f"{range_id}.txt"
        return path.read_text().splitlines()[1:] if path.exists() else None

    def status(self):
        path = self.ranges / ".moat-agent.json"
        return json.loads(path.read_text()).get("fleet", {}) if path.exists() else {}

    def held_back(self):
        return "; ".join(self.status().get("held_back", []))


class FleetTest(unittest.TestCase):
    members, arguments, root = 1, (), None

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="moat-fleet-")
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        self.etcd = etcd.Etcd(self.folder, self.members, self.make_tls(), self.arguments, LONG, self.root)
        self.addCleanup(self.etcd.close)
        self.source = self.folder / "fleet"
        (self.source / "databases.d").mkdir(parents=True)
        (self.source / "ranges").mkdir()
        self.write("databases.d/orders.yaml", ORDERS)
        self.config = self.folder / "pusher.yaml"
        self.config.write_text(f"fleet: {{{self.fleet_settings()}}}\n")

    def make_tls(self):
        return None

    def fleet_settings(self):
        return f"name: prod, etcd: {json.dumps(self.etcd.endpoints)}"

    def write(self, path, text):
        (self.source / path).write_text(text)

    def fleet(self, *arguments):
        return subprocess.run([AGENT, "--config", self.config, "fleet", *arguments], capture_output=True, text=True,
                              timeout=2 * LONG)

    def push(self, *arguments):
        done = self.fleet("push", self.source, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def change(self, third):
        """Other rules for orders."""
        text = ORDERS.replace("198.18.1.0", f"198.18.{third}.0")
        self.write("databases.d/orders.yaml", text)
        return text


class OneMember(FleetTest):
    def test_a_push_reaches_the_hosts_and_they_tell(self):
        self.write("databases.d/sales.yaml", SALES)
        self.write("ranges/mr-own.txt", "# name: Ours\n198.18.9.0/24\n")
        hosts = [Host(self, f"db{i}").start() for i in range(2)]
        for host in hosts:
            wait_until(lambda: "no keys yet" in host.held_back(), "the empty store is told")
        said = self.push("--message", "first")
        self.assertIn("databases/orders  added", said)
        for host in hosts:
            wait_until(lambda: host.text("sales") == SALES, "sales")
            self.assertEqual(host.text("orders"), ORDERS)
            self.assertEqual(host.cidrs("mr-own"), ["198.18.9.0/24"])
            self.assertIn('name: "Ours"', (host.ranges / "mr-own.yaml").read_text())
        told = wait_until(lambda: "2 of 2 hosts" in self.fleet("status").stdout and self.fleet("status"), "receipts")
        self.assertEqual(told.returncode, 0, told.stdout)
        self.assertIn("push 1 by root", told.stdout)
        self.assertIn("nothing to push", self.push())
        text = self.change(2)
        self.assertIn("databases/orders  changed", self.push("--dry-run"))
        self.assertEqual(hosts[0].text("orders"), ORDERS)
        self.assertIn("2 of 2 hosts enforce it", self.push())
        self.assertEqual(hosts[0].text("orders"), text)

    def test_back_to_a_push_before(self):
        host = Host(self, "db").start()
        self.push()
        self.change(2)
        self.write("databases.d/sales.yaml", SALES.replace("managed-range: mr-own", "cidr: 198.18.7.0/24"))
        self.push()
        text = self.change(3)
        self.push()
        wait_until(lambda: host.text("orders") == text, "the third push")
        done = self.fleet("rollback", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_until(lambda: host.text("orders") == ORDERS and host.text("sales") is None, "the first push again")
        history = self.fleet("history").stdout
        self.assertIn("4  ", history)
        self.assertIn("back to push 1", history)
        self.assertEqual(self.fleet("rollback", "9").returncode, 1)

    def test_what_a_host_selects(self):
        self.write("databases.d/sales.yaml", SALES.replace("managed-range: mr-own", "cidr: 198.18.7.0/24"))
        self.write("labels.yaml", "orders: [eu, production]\nsales: [us]\n")
        eu = Host(self, "eu", ", labels: [eu]").start()
        one = Host(self, "one", ", databases: [sales]").start()
        self.push()
        wait_until(lambda: eu.text("orders") and one.text("sales"), "what is theirs")
        self.assertIsNone(eu.text("sales"))
        self.assertIsNone(one.text("orders"))

    def test_a_bad_key_holds_back_itself_alone(self):
        host = Host(self, "db").start()
        self.push()
        wait_until(lambda: host.text("orders") == ORDERS, "orders")
        prefix = "/moat/v1/prod/"
        self.etcd.put(prefix + "databases/sales", SALES.replace("managed-range: mr-own", "cidr: 198.18.1.300/24"))
        self.etcd.put(prefix + "databases/other", ORDERS)
        self.etcd.put(prefix + "databases/../../evil", ORDERS.replace("orders", "evil"))
        self.etcd.put(prefix + "ranges/a/b", "198.18.1.0/24\n")
        self.etcd.put(prefix + "databases/large", "#" * (5 << 18))
        self.etcd.put(prefix + "databases/binary", b"\xff\xfe\0")
        text = self.change(2)
        done = self.fleet("push", self.source)
        self.assertEqual(done.returncode, 1)
        self.assertIn("and the folder does not", done.stderr)
        self.etcd.put(prefix + "databases/orders", text)
        wait_until(lambda: host.text("orders") == text, "orders, changed")
        held_back = wait_until(lambda: "binary" in host.held_back() and host.held_back(), "what is held back")
        for part in ("198.18.1.300/24", "is about database orders", "../../evil", "ranges/a/b"):
            self.assertIn(part, held_back)
        self.assertEqual(sorted(path.name for path in host.databases.iterdir()), ["orders.yaml"])
        self.assertFalse((host.folder / "evil.yaml").exists())
        wait_until(lambda: "\ndb: " in self.fleet("status").stdout, "the receipt tells")

    def test_only_a_tombstone_removes(self):
        host = Host(self, "db").start()
        self.write("databases.d/sales.yaml", SALES.replace("managed-range: mr-own", "cidr: 198.18.7.0/24"))
        self.push()
        wait_until(lambda: host.text("sales"), "sales")
        self.etcd.delete("/moat/v1/prod/databases/sales")
        wait_until(lambda: "was deleted without a tombstone" in host.held_back(), "the alarm")
        self.assertIsNotNone(host.text("sales"))
        (self.source / "databases.d/sales.yaml").unlink()
        self.write("removed.yaml", "databases: [sales]\n")
        self.etcd.put("/moat/v1/prod/databases/sales", "moat: removed\n")
        wait_until(lambda: host.text("sales") is None, "the end of sales")
        self.assertEqual(host.text("orders"), ORDERS)

    def test_two_pushers_at_once(self):
        self.push()
        pushed = 1

        def push(third):
            folder = self.folder / f"pusher-{third}"
            shutil.copytree(self.source, folder)
            (folder / "databases.d/orders.yaml").write_text(ORDERS.replace("198.18.1.0", f"198.18.{third}.0"))
            done = subprocess.run([AGENT, "--config", self.config, "fleet", "push", folder], capture_output=True,
                                  text=True, timeout=LONG)
            return done

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for round_number in range(10):
                results = list(pool.map(push, range(10 + 8 * round_number, 18 + 8 * round_number)))
                pushed += sum(done.returncode == 0 for done in results)
                refused = [done for done in results if done.returncode != 0]
                for done in refused:
                    self.assertIn("somebody else has pushed meanwhile", done.stderr)
                if refused:
                    break
        self.assertTrue(refused, "none of 80 pushes met another")
        head = json.loads(self.etcd.get("/moat/v1/prod/head")[0])
        self.assertEqual(head["push"], pushed)

    def test_a_member_that_dies_and_comes_back(self):
        host = Host(self, "db").start()
        self.push()
        wait_until(lambda: host.text("orders") == ORDERS, "orders")
        self.etcd.kill()
        wait_until(lambda: host.status().get("error"), "the error")
        self.assertEqual(host.text("orders"), ORDERS)
        self.etcd.start()
        text = self.change(2)
        self.push()
        wait_until(lambda: host.text("orders") == text, "the change")
        wait_until(lambda: not host.status()["error"], "the end of the error")

    def test_a_store_that_hangs_and_compacts(self):
        host = Host(self, "db").start()
        self.push()
        wait_until(lambda: host.text("orders") == ORDERS, "orders")
        host.agent.send_signal(signal.SIGSTOP)
        for third in range(2, 6):
            text = self.change(third)
            self.push("--no-wait")
        self.etcd.compact()
        self.etcd.kill()
        self.etcd.start()
        host.agent.send_signal(signal.SIGCONT)
        wait_until(lambda: host.text("orders") == text, "the last change")

    def test_a_wiped_store_is_not_followed_unless_it_is_meant(self):
        host = Host(self, "db").start()
        self.push()
        wait_until(lambda: host.text("orders") == ORDERS and host.status().get("cluster"), "orders")
        self.etcd.wipe()
        self.etcd.start()
        wait_until(lambda: "another store" in host.status()["error"] or "no key of the fleet" in host.status()["error"]
                   or "gone back" in host.status()["error"], "the alarm")
        text = self.change(2)
        self.push("--no-wait")
        host.stop()
        host.start()
        wait_until(lambda: "--new-store" in host.status()["error"], "the remedy")
        self.assertEqual(host.text("orders"), ORDERS)
        text = self.change(3)
        self.push("--new-store", "--no-wait")
        wait_until(lambda: host.text("orders") == text, "the new store")

    def test_a_store_that_was_restored_is_not_followed(self):
        host = Host(self, "db").start()
        self.push()
        self.etcd.kill()
        shutil.copytree(self.etcd.data(), self.folder / "backup")
        self.etcd.start()
        for third in (2, 3):
            text = self.change(third)
            self.push("--no-wait")
        wait_until(lambda: host.text("orders") == text, "the last push")
        self.etcd.wipe()
        shutil.copytree(self.folder / "backup", self.etcd.data())
        self.etcd.start()
        wait_until(lambda: "gone back" in host.status()["error"], "the alarm")
        self.assertEqual(host.text("orders"), text)

    def test_a_canary_stops_by_itself(self):
        hosts = [Host(self, f"db{i}") for i in range(4)]
        for host in hosts:
            host.start()
        self.push()
        wait_until(lambda: "4 of 4 hosts" in self.fleet("status").stdout, "receipts")
        text = self.change(2)
        self.assertIn("4 of 4 hosts", self.push("--canary", "25%,100%"))
        self.assertTrue(all(host.text("orders") == text for host in hosts))
        # No host can take it: the first one that tries tells, and no other does.
        for host in hosts:
            (host.databases / "sales.yaml").write_text("database: sales\nendpoint: {port: 5433}\nrules: []\n")
        self.write("databases.d/sales.yaml", SALES.replace("managed-range: mr-own", "cidr: 198.18.7.0/24"))
        self.change(3)
        done = self.fleet("push", self.source, "--canary", "25%,100%", "--wait", "20s")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("was taken back", done.stderr)
        self.assertIn("is not the agent's", done.stderr)
        wait_until(lambda: all(host.text("orders") == text for host in hosts), "what was before")

    def test_a_receipt_speaks_for_its_own_host_alone(self):
        host = Host(self, "db").start()
        self.push()
        receipt = json.loads(wait_until(lambda: self.etcd.get("/moat/v1-receipts/prod/db"), "the receipt")[0])
        host.agent.send_signal(signal.SIGSTOP)
        self.change(2)
        self.etcd.put("/moat/v1-receipts/prod/liar", json.dumps({**receipt, "push": 2, "generation": 7}))
        self.etcd.put("/moat/v1-receipts/prod/garbled", b"\xff{")
        done = self.fleet("push", self.source, "--wait", "1s")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no receipt within 1s: db", done.stderr)
        self.assertIn("0 of 1 hosts", done.stdout)

    def test_a_canary_without_receipts_is_taken_back(self):
        host = Host(self, "db").start()
        self.push()
        wait_until(lambda: "1 of 1 hosts" in self.fleet("status").stdout, "the receipt")
        host.agent.send_signal(signal.SIGSTOP)
        self.change(2)
        done = self.fleet("push", self.source, "--canary", "1%,100%", "--wait", "1s")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no receipt within 1s: db", done.stderr)
        host.agent.send_signal(signal.SIGCONT)
        wait_until(lambda: host.status().get("push") == 3, "the push that takes it back")
        self.assertEqual(host.text("orders"), ORDERS)

    def test_a_push_that_nobody_confirms_is_undone(self):
        self.write("ranges/mr-own.txt", "198.18.9.0/24\n")
        self.write("databases.d/orders.yaml", ORDERS + "  - managed-range: mr-own\n")
        host = Host(self, "db").start()
        self.push()
        before = wait_until(lambda: host.text("orders"), "orders")
        pushed = before.replace("198.18.1.0", "198.18.2.0")
        self.write("databases.d/orders.yaml", pushed)
        self.write("ranges/mr-own.txt", "198.18.8.0/24\n")
        self.write("databases.d/sales.yaml", SALES)
        self.assertIn("moat fleet confirm", self.push("--confirm", "5s", "--no-wait"))
        wait_until(lambda: host.text("orders") == pushed and host.text("sales"), "the push")
        self.assertEqual(host.cidrs("mr-own"), ["198.18.8.0/24"])
        another = self.fleet("push", self.source)
        self.assertEqual(another.returncode, 1)
        self.assertIn("push 2 waits to be confirmed", another.stderr)
        wait_until(lambda: host.text("orders") == before and not host.text("sales"), "what was before")
        self.assertEqual(host.cidrs("mr-own"), ["198.18.9.0/24"])
        wait_until(lambda: host.status()["waiting"] == "push 2 was not confirmed in time, and is undone", "why")
        self.assertEqual(host.held_back(), "")
        wait_until(lambda: "undone on: db" in self.fleet("status").stdout, "the receipt")
        self.assertIn("nobody has confirmed it in time", self.fleet("status").stdout)
        late = self.fleet("confirm")
        self.assertEqual(late.returncode, 1)
        self.assertIn("cannot be confirmed any more", late.stderr)
        # A host that comes later has what the others have, and one that is restarted too.
        other = Host(self, "other").start()
        wait_until(lambda: other.text("orders") == before, "what was before, on another host")
        self.assertIsNone(other.text("sales"))
        host.stop()
        host.start()
        self.assertIn("databases/orders  changed", self.push("--dry-run"))
        self.assertIn("databases/sales  added", self.push("--dry-run"))
        self.push()
        self.assertEqual((host.text("orders"), host.text("sales")), (pushed, SALES))

    def test_a_folder_without_what_has_lapsed_takes_it_away(self):
        host = Host(self, "db").start()
        self.push()
        self.write("databases.d/sales.yaml", SALES.replace("managed-range: mr-own", "cidr: 198.18.7.0/24"))
        self.push("--confirm", "5s", "--no-wait")
        wait_until(lambda: host.text("sales"), "the push")
        wait_until(lambda: host.text("sales") is None, "its end")
        (self.source / "databases.d/sales.yaml").unlink()
        text = self.change(3)
        self.push()
        self.assertEqual((host.text("orders"), host.text("sales")), (text, None))
        self.assertEqual(self.fleet("rollback", "1").returncode, 0)
        wait_until(lambda: host.text("orders") == ORDERS, "the first push again")

    def test_a_push_that_is_confirmed_stays(self):
        host = Host(self, "db").start()
        self.push()
        text = self.change(2)
        self.push("--confirm", "60s")
        wait_until(lambda: host.status().get("trial"), "the host's own timer")
        done = self.fleet("confirm")
        self.assertEqual((done.returncode, done.stdout), (0, "push 2 is confirmed, and stays\n"), done.stderr)
        wait_until(lambda: "trial" not in host.status(), "the end of the timer")
        self.assertEqual(host.text("orders"), text)
        self.assertEqual(host.held_back(), "")
        self.assertEqual(self.etcd.get("/moat/v1/prod/trial") + self.etcd.get("/moat/v1/prod/before"), [])
        self.assertEqual(self.fleet("confirm").returncode, 1)
        self.assertEqual(self.fleet("push", self.source, "--confirm", "1s").returncode, 0, "nothing to push")
        self.change(3)
        for wrong in ("1s", "2h", "soon"):
            self.assertEqual(self.fleet("push", self.source, "--confirm", wrong).returncode, 1, wrong)

    def test_a_host_that_loses_the_store_undoes_what_nobody_confirms(self):
        host = Host(self, "db").start()
        self.push()
        text = self.change(2)
        self.push("--confirm", "5s", "--no-wait")
        wait_until(lambda: host.text("orders") == text and host.status().get("trial"), "the push")
        self.etcd.kill()
        host.stop()
        host.start()
        wait_until(lambda: host.text("orders") == ORDERS, "what was before, without the store")
        self.etcd.start()
        wait_until(lambda: "undone" in host.status()["waiting"], "the store says the same")
        self.assertEqual(host.text("orders"), ORDERS)

    def test_a_full_disk_is_told_and_mended(self):
        host = Host(self, "db")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k,mode=755", "none", host.databases], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", host.databases], check=True))
        self.addCleanup(host.stop)
        host.start()
        self.push("--no-wait")
        wait_until(lambda: host.text("orders") == ORDERS, "orders")
        (host.databases / ".ballast").write_bytes(b"x" * 24576)
        big = ORDERS + "# " + "x" * 8000 + "\n"
        self.write("databases.d/orders.yaml", big)
        self.push("--no-wait")
        wait_until(lambda: "No space left" in host.held_back(), "the error")
        self.assertEqual(host.text("orders"), ORDERS)
        (host.databases / ".ballast").unlink()
        wait_until(lambda: host.text("orders") == big, "the change")

    def test_a_clock_that_is_a_day_off(self):
        for offset in ("-86400", "86400"):
            host = Host(self, f"db{offset.strip('-')}{'-back' if offset[0] == '-' else ''}")
            clock = self.folder / f"clock{offset}"
            clock.write_text(f"{offset} 1")
            host.start({"LD_PRELOAD": CLOCK_SHIM, "CLOCK_SHIM": str(clock)})
            self.fleet("push", self.source, "--no-wait")
            wait_until(lambda: host.text("orders") == ORDERS, "orders")
            self.assertEqual(host.status().get("error", ""), "")


class LargeValues(FleetTest):
    arguments = ("--max-request-bytes", str(32 << 20))

    def test_a_value_of_ten_megabytes(self):
        host = Host(self, "db").start()
        self.push()
        wait_until(lambda: host.text("orders") == ORDERS, "orders")
        self.etcd.put("/moat/v1/prod/databases/large", "#" * (10 << 20))
        wait_until(lambda: "large has 10485760 bytes" in host.held_back(), "the complaint")
        self.assertEqual(host.text("orders"), ORDERS)


class ThreeMembers(FleetTest):
    members = 3

    def leader(self):
        for member, process in enumerate(self.etcd.processes):
            if process is None:
                continue
            status = self.etcd.call("/v3/maintenance/status", {}, member)
            if status.get("leader") == status["header"]["member_id"]:
                return member
        return None

    def test_the_leader_dies_under_a_push(self):
        host = Host(self, "db").start()
        self.push()
        wait_until(lambda: host.text("orders") == ORDERS, "orders")
        dead = wait_until(lambda: self.leader() is not None and [self.leader()], "a leader")[0]
        text = self.change(2)
        pusher = subprocess.Popen([AGENT, "--config", self.config, "fleet", "push", self.source],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.etcd.kill(dead)
        pusher.wait(LONG)
        # Whether that one went through or not: one that comes after does.
        wait_until(lambda: self.fleet("push", self.source).returncode == 0, "a push")
        wait_until(lambda: host.text("orders") == text, "the change")
        self.etcd.start(dead)
        text = self.change(3)
        self.push()
        wait_until(lambda: host.text("orders") == text, "another change")


class WithTls(FleetTest):
    def make_tls(self):
        self.authority = tls.Authority(self.folder)
        self.root = self.authority.sign("root")
        return (*self.authority.sign("server"), self.authority.path)

    client = None
    user = ""

    def fleet_settings(self):
        certificate, key = self.client or self.root
        return (f"{super().fleet_settings()}, ca: {self.authority.path}, certificate: {certificate}, key: {key}"
                f"{self.user}")

    def test_certificates_of_clients(self):
        host = Host(self, "db").start()
        self.push()
        wait_until(lambda: host.text("orders") == ORDERS, "orders")

    def test_an_expired_certificate_is_told(self):
        self.push()
        self.client = self.authority.sign("old", days=-1)
        host = Host(self, "db").start()
        wait_until(lambda: host.status().get("error"), "the error")
        self.assertIsNone(host.text("orders"))

    def test_a_user_with_the_least_rights_whose_token_is_lost(self):
        self.push()

        def grant(role, key, end, kind):
            self.etcd.call("/v3/auth/role/grant", {"name": role, "perm": {
                "permType": kind, "key": etcd.b64(key), **({"range_end": etcd.b64(end)} if end else {})}})

        for user, password in (("root", "r"), ("db", "secret")):
            self.etcd.call("/v3/auth/user/add", {"name": user, "password": password})
        self.etcd.call("/v3/auth/role/add", {"name": "host-db"})
        grant("host-db", "/moat/v1/prod/", "/moat/v1/prod0", "READ")
        grant("host-db", "/moat/v1-receipts/prod/db", None, "READWRITE")
        self.etcd.call("/v3/auth/user/grant", {"user": "db", "role": "host-db"})
        self.etcd.call("/v3/auth/role/add", {"name": "root"})
        self.etcd.call("/v3/auth/user/grant", {"user": "root", "role": "root"})
        self.etcd.call("/v3/auth/enable", {})
        (self.folder / "password").write_text("secret\n")
        (self.folder / "root-password").write_text("r\n")
        self.user = f", user: db, password-file: {self.folder}/password"
        host = Host(self, "db").start()
        self.user = f", user: root, password-file: {self.folder}/root-password"
        self.config.write_text(f"fleet: {{{self.fleet_settings()}}}\n")
        wait_until(lambda: host.text("orders") == ORDERS, "orders")
        wait_until(lambda: "1 of 1 hosts" in self.fleet("status").stdout, "the receipt")
        # Tokens do not outlive etcd.
        self.etcd.kill()
        self.etcd.needs_token = True
        self.etcd.start()
        text = self.change(2)
        self.push("--no-wait")
        wait_until(lambda: host.text("orders") == text, "the change")


class OnTheWeb(unittest.TestCase):
    def test_a_signed_file_on_a_web_server(self):
        with tempfile.TemporaryDirectory(prefix="moat-fleet-") as temporary:
            self.folder = pathlib.Path(temporary)
            authority = tls.Authority(self.folder)
            server = tls.Server(*authority.sign("server"))
            self.addCleanup(server.close)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "key"], check=True)
            (self.folder / "signers").write_text("ops@example.com " + (self.folder / "key.pub").read_text())
            self.settings = (f"name: prod, url: {server.url}/prod.json, ca: {authority.path}, signature: "
                             f"{{allowed-signers: {self.folder}/signers, identity: ops@example.com}}")
            source = self.folder / "fleet"
            (source / "databases.d").mkdir(parents=True)
            config = self.folder / "pusher.yaml"
            config.write_text(f"fleet: {{{self.settings}}}\n")

            def publish(serial, text):
                (source / "databases.d/orders.yaml").write_text(text)
                bundle = subprocess.run([AGENT, "--config", config, "fleet", "bundle", source, "--serial", str(serial)],
                                        capture_output=True, check=True).stdout
                signed = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", self.folder / "key", "-n", "moat"],
                                        input=bundle, capture_output=True, check=True).stdout
                server.serve("/prod.json.sig", signed)
                server.serve("/prod.json", bundle, ETag=f'"{serial}"')

            publish(1, ORDERS)
            host = Host(self, "db").start()
            wait_until(lambda: host.text("orders") == ORDERS, "orders")
            changed = ORDERS.replace("198.18.1.0", "198.18.2.0")
            publish(3, changed)
            wait_until(lambda: host.text("orders") == changed, "the change")
            publish(2, ORDERS)
            wait_until(lambda: "older" in host.status()["error"], "the refusal of an older one")
            self.assertEqual(host.text("orders"), changed)
            server.serve("/prod.json", b'{"fleet": "prod", "serial": 4, "databases": {"orders": "x"}}')
            wait_until(lambda: "signature" in host.status()["error"], "the refusal of what nobody has signed")
            self.assertEqual(host.text("orders"), changed)
            host.stop()

    def fleet_settings(self):
        return self.settings


if __name__ == "__main__":
    AGENT, CLOCK_SHIM = os.path.abspath(sys.argv.pop(1)), os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
