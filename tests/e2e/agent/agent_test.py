#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""moat-agent with real servers on loopback: agent_test.py MOAT_AGENT [TEST...]"""

import datetime
import gzip
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent / folder) for folder in (".", "../lib")]
import tls  # noqa: E402
from waiting import LONG, wait_until  # noqa: E402

AGENT = ""
LIST = "# ours\n198.18.1.0/24\n198.18.2.0/24\n"
ENVIRONMENT = {"PATH": os.environ["PATH"], "https_proxy": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1"}


class DnsServer:
    """Answers questions for A records, by UDP: `records` are (addresses, TTL, code, validated)."""

    def __init__(self):
        self.records, self.questions = {}, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            if not query:
                self.socket.close()
                return
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            question = query[12:at + 5]
            name = ".".join(labels).lower()
            self.questions.append((name, query[3]))
            addresses, ttl, code, validated = self.records.get(name, ([], 0, 3, False))
            header = query[:2] + struct.pack("!BBHHHH", 0x81, 0x80 | code | (0x20 if validated else 0), 1,
                                             len(addresses), 0, 0)
            records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, ttl, 4) + socket.inet_aton(address)
                               for address in addresses)
            self.socket.sendto(header + question + records, client)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"", self.socket.getsockname())


class AgentTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tls_folder = tempfile.TemporaryDirectory(prefix="moat-agent-tls-")
        cls.authority = tls.Authority(cls.tls_folder.name)
        cls.server = tls.Server(*cls.authority.sign("server"))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.tls_folder.cleanup()

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="moat-agent-")
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        self.ranges = self.folder / "managed-ranges.d"
        self.ranges.mkdir()
        (self.folder / "databases.d").mkdir()
        (self.folder / "moat.yaml").write_text("interfaces: [eth0]\n")
        self.server.routes.clear()
        self.server.requests.clear()
        self.server.serve("/list", LIST, ETag='"one"')

    def write_sources(self, *sources):
        """Each a dict of what agent.yaml has; the CA is the test's own unless it is named."""
        lines = ["managed-ranges:"]
        for source in sources:
            source = {"id": "mr-x", "ca": self.authority.path} | source
            items = [f"{key}: {json.dumps(value)}" for key, value in source.items() if value is not None]
            lines.append("  - {" + ", ".join(items) + "}")
        self.config = self.folder / "agent.yaml"
        self.config.write_text("\n".join(lines) + "\n")

    def run_agent(self, *arguments):
        return subprocess.run([AGENT, "--config", self.config, *arguments], capture_output=True, text=True,
                              env=ENVIRONMENT, timeout=LONG)

    def fetch(self, path="/list", **settings):
        """What one try of this list says, and whether it went well."""
        self.write_sources({"url": self.server.url + path} | settings)
        done = self.run_agent("fetch")
        return done.stdout + done.stderr, done.returncode == 0

    def start(self):
        agent = subprocess.Popen([AGENT, "--config", self.config], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)

        def stop():
            agent.terminate()
            agent.wait(LONG)
            agent.stderr.close()

        self.addCleanup(stop)
        return agent

    def cidrs(self, range_id="mr-x"):
        path = self.ranges / f"{range_id}.txt"
        if not path.exists():
            return None
        return [line for line in path.read_text().splitlines() if not line.startswith("#")]

    def status(self, range_id="mr-x"):
        path = self.ranges / ".moat-agent.json"
        if not path.exists():
            return {}
        sources = json.loads(path.read_text())["sources"]
        return next((source for source in sources if source["range"] == range_id), {})

    def assert_refused(self, why, path="/list", **settings):
        said, went_well = self.fetch(path, **settings)
        self.assertIn(why, said)
        self.assertFalse(went_well)
        self.assertIsNone(self.cidrs(), said)

    def test_a_list_becomes_a_managed_range(self):
        said, went_well = self.fetch(name="Ours")
        self.assertTrue(went_well, said)
        self.assertIn("mr-x: 2 prefixes added, 0 removed", said)
        self.assertEqual(self.cidrs(), ["198.18.1.0/24", "198.18.2.0/24"])
        self.assertIn('name: "Ours"', (self.ranges / "mr-x.yaml").read_text())

    def test_a_dry_run_writes_nothing(self):
        self.write_sources({"url": self.server.url + "/list"})
        done = self.run_agent("fetch", "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("2 prefixes would be added", done.stdout)
        self.assertEqual(list(self.ranges.iterdir()), [])

    def test_an_unchanged_list_does_not_come_again(self):
        def list_route(handler):
            unchanged = handler.headers.get("If-None-Match") == '"one"'
            tls.answer(handler, b"" if unchanged else LIST, status=304 if unchanged else 200, ETag='"one"')

        self.server.routes["/list"] = list_route
        self.fetch()
        said, went_well = self.fetch()
        self.assertTrue(went_well, said)
        self.assertIn("mr-x: unchanged", said)
        self.assertEqual(self.server.requests[-1][1].get("If-None-Match"), '"one"')
        # Somebody has edited the file: the list is wanted whole.
        (self.ranges / "mr-x.txt").write_text("# moat-agent: \n198.18.9.0/24\n")
        self.fetch()
        self.assertEqual(self.cidrs(), ["198.18.1.0/24", "198.18.2.0/24"])

    def test_last_modified_serves_where_there_is_no_etag(self):
        when = "Wed, 25 Nov 2026 10:00:00 GMT"
        self.server.serve("/list", LIST, Last_Modified=when)
        self.fetch()
        self.fetch()
        self.assertEqual(self.server.requests[-1][1].get("If-Modified-Since"), when)

    def test_an_unknown_authority_is_refused(self):
        self.assert_refused("is its certificate of a CA that this host does not know?", ca=None)

    def test_an_expired_certificate_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = tls.Authority(folder)
            server = tls.Server(*authority.sign("old", days=-1))
            self.addCleanup(server.close)
            server.serve("/list", LIST)
            self.write_sources({"url": server.url + "/list", "ca": authority.path})
            done = self.run_agent("fetch")
            self.assertIn("expired", done.stdout)
            self.assertEqual(done.returncode, 1)

    def test_http_status_is_an_error(self):
        self.assert_refused("HTTP status 404 (check the URL)", "/nothing")
        self.server.serve("/list", "later", status=503)
        self.assert_refused("HTTP status 503")

    def test_a_page_for_people_is_an_error(self):
        self.server.serve("/list", "<html>198.18.1.0/24</html>")
        self.assert_refused("a page for people")
        self.server.serve("/list", "198.18.1.0/24", Content_Type="text/html; charset=utf-8")
        self.assert_refused("a page for people")

    def test_redirects_lead_to_https_alone(self):
        self.server.serve("/moved", "", status=302, Location=self.server.url + "/list")
        said, went_well = self.fetch("/moved")
        self.assertTrue(went_well, said)
        (self.ranges / "mr-x.txt").unlink()
        self.server.serve("/plain", "", status=302, Location="http://127.0.0.1:1/list")
        self.assert_refused("something else than https", "/plain")
        self.server.serve("/file", "", status=302, Location="file:///etc/passwd")
        self.assert_refused("something else than https", "/file")
        self.server.serve("/round", "", status=302, Location=self.server.url + "/round")
        self.assert_refused("redirects", "/round")

    def test_what_is_too_large_is_given_up(self):
        def endless(handler):
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            while True:
                handler.wfile.write(b"10000\r\n" + b"#" * 65536 + b"\r\n")

        self.server.routes["/endless"] = endless
        self.assert_refused("more than 1048576 bytes", "/endless", **{"max-bytes": "1MiB"})
        self.server.serve("/bomb", gzip.compress(b"#" * (1 << 26)), Content_Encoding="gzip")
        self.assert_refused("more than 1048576 bytes", "/bomb", **{"max-bytes": "1MiB"})

    def test_a_compressed_list_is_read(self):
        self.server.serve("/list", gzip.compress(LIST.encode()), Content_Encoding="gzip")
        said, went_well = self.fetch()
        self.assertTrue(went_well, said)

    def test_a_slow_server_is_given_up(self):
        def slow(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            for _ in range(1000):
                handler.wfile.write(b"#")
                handler.wfile.flush()
                time.sleep(0.2)

        self.server.routes["/slow"] = slow
        self.assert_refused("too slow", "/slow", timeout="2s")

    def test_a_list_that_is_cut_off_is_refused(self):
        def short(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(LIST.encode())
            handler.close_connection = True

        self.server.routes["/short"] = short
        self.assert_refused("127.0.0.1", "/short")

    def test_the_last_good_list_stays(self):
        self.fetch()
        for bad in ("198.18.1.300/24", "", "<html>", "0.0.0.0/0"):
            self.server.serve("/list", bad)
            said, went_well = self.fetch()
            self.assertFalse(went_well, said)
            self.assertEqual(self.cidrs(), ["198.18.1.0/24", "198.18.2.0/24"])
        self.assertIn("wider than", self.status()["error"])

    def test_an_older_list_is_refused(self):
        def aws(token, *cidrs):
            return json.dumps({"syncToken": token, "prefixes": [{"ip_prefix": cidr} for cidr in cidrs]})

        self.server.serve("/aws", aws("20", "198.18.1.0/24", "198.18.2.0/24"))
        self.fetch("/aws", format="aws")
        self.server.serve("/aws", aws("19", "198.18.1.0/24"))
        said, went_well = self.fetch("/aws", format="aws")
        self.assertFalse(went_well, said)
        self.assertIn("the list is older (version 19)", said)
        self.assertEqual(self.cidrs(), ["198.18.1.0/24", "198.18.2.0/24"])

    def test_only_who_may_signs(self):
        key = self.folder / "key"
        for name in ("key", "other"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        (self.folder / "signers").write_text("ops@example.com " + (self.folder / "key.pub").read_text())
        signature = {"allowed-signers": str(self.folder / "signers"), "identity": "ops@example.com"}

        def publish(text, by, namespace="moat"):
            signed = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", by, "-n", namespace],
                                    input=text.encode(), capture_output=True, check=True).stdout
            self.server.serve("/list", text)
            self.server.serve("/list.sig", signed)

        publish("# serial: 7\n" + LIST, key)
        said, went_well = self.fetch(signature=signature)
        self.assertTrue(went_well, said)
        good = self.cidrs()
        publish("# serial: 8\n198.18.3.0/24\n", self.folder / "other")
        self.assertIn("the signature is not one of ops@example.com", self.fetch(signature=signature)[0])
        publish("# serial: 8\n198.18.3.0/24\n", key, namespace="mail")
        self.assertFalse(self.fetch(signature=signature)[1])
        publish("198.18.3.0/24\n", key)
        self.assertIn("no serial", self.fetch(signature=signature)[0])
        publish("# serial: 6\n198.18.3.0/24\n", key)
        self.assertIn("older", self.fetch(signature=signature)[0])
        del self.server.routes["/list.sig"]
        self.assertIn("HTTP status 404", self.fetch(signature=signature)[0])
        self.assertEqual(self.cidrs(), good)
        publish("# serial: 8\n198.18.3.0/24\n", key)
        self.assertTrue(self.fetch(signature=signature)[1])
        self.assertEqual(self.cidrs(), ["198.18.3.0/24"])

    def test_a_local_file_is_a_list(self):
        (self.folder / "tags.json").write_text(json.dumps({"changeNumber": 3, "values": [
            {"name": "Sql", "properties": {"addressPrefixes": ["198.18.1.0/24", "2001:db8::/32"]}}]}))
        self.write_sources({"preset": "azure", "file": str(self.folder / "tags.json"), "service": "Sql", "ca": None})
        done = self.run_agent("fetch")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("version 3, 1 IPv6 entries passed over", done.stdout)
        self.assertEqual(self.cidrs(), ["198.18.1.0/24"])

    def test_a_file_of_somebody_elses_is_left_alone(self):
        (self.ranges / "mr-x.yaml").write_text("- {id: mr-x, cidrs: [192.0.2.0/24]}\n")
        said, went_well = self.fetch()
        self.assertFalse(went_well)
        self.assertIn("is not the agent's, and is left alone", said)
        self.assertEqual((self.ranges / "mr-x.yaml").read_text(), "- {id: mr-x, cidrs: [192.0.2.0/24]}\n")

    def resolve(self, dns, *record, **settings):
        dns.records["egress.example.com"] = record
        self.write_sources({"dns": "egress.example.com", "server": dns.address, "ca": None} | settings)
        done = self.run_agent("fetch")
        return done.stdout + done.stderr, done.returncode == 0

    def test_a_name_becomes_a_managed_range(self):
        dns = DnsServer()
        self.addCleanup(dns.close)
        said, went_well = self.resolve(dns, ["198.18.1.1", "198.18.1.9"], 60, 0, False)
        self.assertTrue(went_well, said)
        self.assertIn("not validated by DNSSEC", said)
        self.assertEqual(self.cidrs(), ["198.18.1.1/32", "198.18.1.9/32"])
        self.assertTrue(dns.questions[0][1] & 0x20, "whether it was validated is not asked")
        next_try = datetime.datetime.fromisoformat(self.status()["next"].replace("Z", "+00:00"))
        wait = (next_try - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
        self.assertLess(wait, 67)
        # Another of them, as of round robin: those before are held.
        said, went_well = self.resolve(dns, ["198.18.1.2"], 60, 0, True)
        self.assertTrue(went_well, said)
        self.assertIn(", validated by DNSSEC", said)
        self.assertEqual(self.cidrs(), ["198.18.1.1/32", "198.18.1.2/32", "198.18.1.9/32"])

    def test_a_name_that_fails_keeps_its_addresses(self):
        dns = DnsServer()
        self.addCleanup(dns.close)
        self.resolve(dns, ["198.18.1.1"], 60, 0, False)
        for record, why in ((([], 0, 3, False), "NXDOMAIN"), (([], 0, 2, False), "SERVFAIL"),
                            (([], 60, 0, False), "no A record"), ((["127.0.0.1"], 60, 0, False), "no client can have"),
                            (([f"198.18.2.{i}" for i in range(65)], 60, 0, False), "more than 64 addresses")):
            said, went_well = self.resolve(dns, *record)
            self.assertFalse(went_well, said)
            self.assertIn(why, said)
            self.assertEqual(self.cidrs(), ["198.18.1.1/32"])

    def test_it_keeps_what_it_is_told_and_looks_when_it_is_asked(self):
        self.write_sources({"url": self.server.url + "/list"})
        self.start()
        wait_until(lambda: self.cidrs() == ["198.18.1.0/24", "198.18.2.0/24"], "the list")
        wait_until(lambda: self.status().get("fetched"), "the status")
        self.assertEqual(self.status()["source"], self.server.url + "/list")
        self.assertEqual(self.status()["error"], "")
        self.server.serve("/list", "198.18.3.0/24\n")
        time_now = datetime.datetime.now(datetime.timezone.utc)
        wish = self.ranges / ".wish"
        wish.write_text(time_now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_now.microsecond // 1000:03}Z mr-x\n")
        wish.rename(self.ranges / ".moat-agent.refresh")
        wait_until(lambda: self.cidrs() == ["198.18.3.0/24"], "the new list")
        self.server.serve("/list", "no list")
        time.sleep(0.002)  # wishes are told apart by milliseconds
        time_now = datetime.datetime.now(datetime.timezone.utc)
        wish.write_text(time_now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_now.microsecond // 1000:03}Z mr-x\n")
        wish.rename(self.ranges / ".moat-agent.refresh")
        wait_until(lambda: "no list" in self.status()["error"], "the error")
        self.assertEqual(self.status()["failures"], 1)
        self.assertEqual(self.cidrs(), ["198.18.3.0/24"])

    def test_a_hangup_reads_the_settings_anew(self):
        self.write_sources({"url": self.server.url + "/list"})
        agent = self.start()
        wait_until(self.cidrs, "the list")
        self.config.write_text("managed-ranges: [{id: mr-x, urll: 3}]\n")
        agent.send_signal(signal.SIGHUP)
        wait_until(lambda: "what was read before stays in force" in agent.stderr.readline(), "the fault")
        self.write_sources({"url": self.server.url + "/list"}, {"id": "mr-y", "url": self.server.url + "/list"})
        agent.send_signal(signal.SIGHUP)
        wait_until(lambda: self.cidrs("mr-y"), "the other list")


if __name__ == "__main__":
    AGENT = sys.argv.pop(1)
    unittest.main(verbosity=1)
