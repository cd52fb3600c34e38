#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a change of the rules costs: bench/network/reload.sh runs this in a network of its own.

One JSON object a line, by size of the policy in prefixes:

    start    until a new moatd is ready: cold, and adopting what an earlier one has left
    memory   of moatd, now and at its peak, and of the kernel for the pinned maps
    reload   from a rule file being written to its being enforced, by the time moatd is to settle; of
             the standard policy of real input too
    traffic  one request after the other from a listed client: without changes, and during them
    stall    the longest time that a CPU could not be had for, without changes, and during them
    idle     CPU that moatd takes where nothing happens
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

LISTED = "198.51.100.25/32"
TOGGLED = "198.19.0.66/32"
SETTINGS = """\
interfaces: [eth0]
databases: databases.d
managed-ranges: managed-ranges.d
propagation: {bound: 120s, reconcile: 30s, settle: %s}
"""


def tell(suite, **what):
    print(json.dumps({"suite": suite, **what}), flush=True)


def replace(path, text):
    new = path.with_name("." + path.name)
    new.write_text(text)
    new.rename(path)


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self.path))


class Daemon:
    """moatd with the capabilities that it has on a host, and its rule files."""

    def __init__(self, options):
        self.scene = pathlib.Path(options.scene)
        self.prefixes = pathlib.Path(options.build) / "bench/prefixes"
        self.process = None
        self.toggle = None  # changes a file, and changes it back when called again
        self.clear()

    def clear(self):
        for folder in ("databases.d", "managed-ranges.d"):
            shutil.rmtree(self.scene / "moat" / folder, ignore_errors=True)
            (self.scene / "moat" / folder).mkdir()

    def take_files(self, folder):
        """The policy that is in a folder."""
        self.clear()
        shutil.copytree(folder, self.scene / "moat", dirs_exist_ok=True)

    def toggling(self, path, text, other):
        """What puts one text in place of another in a file, and back when called again."""
        path = self.scene / "moat" / path
        texts = [path.read_text()]
        texts.append(texts[0].replace(text, other, 1))
        if texts[0] == texts[1]:
            raise ValueError(f"{path} has no {text!r}")

        def toggle():
            texts.reverse()
            replace(path, texts[0])
        return toggle

    def write_files(self, size):
        """A policy of `size` prefixes, the client's and the one that comes and goes among them."""
        self.clear()
        lines = subprocess.run([self.prefixes, str(size - 2)], check=True, capture_output=True,
                               text=True).stdout
        rules = [LISTED] + (lines.split() if size <= 30 else [])
        text = "database: orders\nendpoint: {port: 5432}\nrules:\n"
        text += "".join(f"  - cidr: {cidr}\n" for cidr in rules)
        if size > 30:
            ranges = self.scene / "moat/managed-ranges.d"
            (ranges / "many.txt").write_text(lines)
            (ranges / "many.yaml").write_text("- {id: mr-many, cidrs-file: many.txt}\n")
            text += "  - managed-range: mr-many\n"
        (self.scene / "moat/databases.d/orders.yaml").write_text(text)
        self.toggle = self.toggling("databases.d/orders.yaml", "rules:\n",
                                    f"rules:\n  - cidr: {TOGGLED}\n")

    def settle(self, settle):
        replace(self.scene / "moat/moat.yaml", SETTINGS % settle)

    def start(self):
        """Seconds from its being started to its saying that it is ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = self.scene / f"notify-{time.monotonic_ns()}"
            notify.bind(str(path))
            notify.settimeout(30)
            log = open(self.scene / "moatd.log", "ab")
            before = time.monotonic()
            with log:
                self.process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "TERM", "--inh-caps=-all",
                     "--bounding-set=-all,+net_admin,+perfmon,+bpf", self.scene / "bin/moatd",
                     "--config", self.scene / "moat/moat.yaml", "--bpffs", self.scene / "bpf/moat",
                     "--state", self.scene / "state", "--socket", self.scene / "moatd.sock"],
                    stdout=log, stderr=log, env={**os.environ, "NOTIFY_SOCKET": str(path)})
            try:
                while "READY=1" not in notify.recv(4096).decode().splitlines():
                    pass
            except TimeoutError:
                raise TimeoutError("moatd is not ready: " + self.log()) from None
            path.unlink()
            return time.monotonic() - before

    def stop(self, how=signal.SIGTERM):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def detach(self):
        """Ends the guard and the daemon, so that the next start is a cold one."""
        self.request("POST", "/v1/detach")
        self.process.wait(30)
        self.process = None
        for path in (self.scene / "state").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def request(self, method, path):
        with contextlib.closing(Connection(self.scene / "moatd.sock")) as connection:
            connection.request(method, path)
            return json.loads(connection.getresponse().read())

    def generation(self):
        return self.request("GET", "/v1/status")["generation"]

    def change(self):
        """A file changes; seconds until a later generation is enforced."""
        before = self.generation()
        written = time.monotonic()
        self.toggle()
        while self.generation() <= before:
            if time.monotonic() > written + 30:
                raise TimeoutError("the change is not enforced: " + self.log())
            time.sleep(0.001)
        return time.monotonic() - written

    def log(self):
        return "\n".join((self.scene / "moatd.log").read_text().splitlines()[-5:])

    def cpu_seconds(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def memory(self):
        """Of the process in bytes: now, and the most that it had."""
        fields = dict(line.split(":", 1) for line in
                      pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines())
        return [int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")]

    def map_bytes(self):
        """Of the maps that are pinned, in bytes."""
        total = 0
        for pin in (self.scene / "bpf/moat").iterdir():
            shown = subprocess.run(["bpftool", "-j", "map", "show", "pinned", pin],
                                   capture_output=True, text=True)
            if shown.returncode == 0:
                total += json.loads(shown.stdout)["bytes_memlock"]
        return total


class Prober:
    """prober.cpp beside what is going on, once it is ready; its line when it ends."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("the prober is not ready: " + " ".join(map(str, command)))

    def end(self):
        self.process.terminate()
        line, _ = self.process.communicate(timeout=30)
        return json.loads(line)


def quantile(samples, share):
    samples = sorted(samples)
    return samples[min(int(share * len(samples)), len(samples) - 1)]


class Bench:
    def __init__(self, options):
        self.options = options
        self.daemon = Daemon(options)
        self.prober = str(pathlib.Path(options.build) / "bench/prober")
        self.cpu = str(os.cpu_count() - 1)

    def run(self):
        for size in self.options.sizes:
            self.daemon.write_files(size)
            self.daemon.settle("50ms")
            self.measure_starts(size)
            for settle in ("50ms", "1ms"):
                self.set_settle(settle)
                self.measure_reloads(size, settle)
            self.measure_memory(size)
            if size in self.options.beside:
                self.measure_traffic(size)
                self.measure_stalls(size)
            if self.options.idle > 0 and size in (self.options.sizes[0], self.options.sizes[-1]):
                self.measure_idle(size)
            self.daemon.detach()
        if self.options.standard:
            self.measure_standard()

    def measure_standard(self):
        """30 rules over two databases, of which two are the ranges of France and of Europe."""
        self.daemon.take_files(self.options.standard)
        toggles = {
            "a rule, standard policy": self.daemon.toggling(
                "databases.d/orders.yaml", "198.18.113.0/24", "198.18.213.0/24"),
            "Europe, standard policy": self.daemon.toggling(
                "managed-ranges.d/country-europe.txt", "\n", "\n192.0.2.0/24\n")}
        for settle in ("50ms", "1ms"):
            self.set_settle(settle)
            size = self.daemon.request("GET", "/v1/status")["prefixes"]
            for what, self.daemon.toggle in toggles.items():
                self.measure_reloads(size, settle, what)
        self.daemon.detach()

    def set_settle(self, settle):
        self.daemon.stop()
        self.daemon.settle(settle)
        self.daemon.start()

    def measure_starts(self, size):
        cold, adopting = [], []
        for _ in range(self.options.starts):
            cold.append(self.daemon.start())
            self.daemon.stop(signal.SIGKILL)
            adopting.append(self.daemon.start())
            self.daemon.detach()
        self.daemon.start()
        for how, samples in (("cold", cold), ("adopting", adopting)):
            tell("start", prefixes=size, how=how, p50_ms=quantile(samples, 0.5) * 1e3,
                 max_ms=max(samples) * 1e3, count=len(samples))

    @staticmethod
    def fewer(count, size):
        """Of what takes long with many prefixes."""
        return count if size <= 1000 else max(count // 4, 5)

    def measure_reloads(self, size, settle, what="a rule"):
        count = self.fewer(self.options.reloads, size)
        samples = [self.daemon.change() * 1e3 for _ in range(count)]
        tell("reload", prefixes=size, what=what, settle=settle, count=count, p50_ms=quantile(samples, 0.5),
             p99_ms=quantile(samples, 0.99), max_ms=max(samples))

    def measure_memory(self, size):
        now, peak = self.daemon.memory()
        tell("memory", prefixes=size, moatd=now, moatd_peak=peak, maps=self.daemon.map_bytes())

    def measure_traffic(self, size):
        address = self.options.address
        server = Prober(self.prober, "answer", address, "5432")
        try:
            self.beside(size, "traffic", "nsenter", f"--net={self.options.client}", self.prober,
                        "ask", address, "5432")
        finally:
            server.process.terminate()
            server.process.wait()

    def measure_stalls(self, size):
        self.beside(size, "stall", self.prober, "spin", "--cpu", self.cpu)

    def beside(self, size, suite, *prober):
        """What the prober notices of changes one after the other, and of as long a time without."""
        changes = self.fewer(self.options.changes, size)
        with self.probing(suite, prefixes=size, changes=changes, prober=prober):
            before = time.monotonic()
            for _ in range(changes):
                self.daemon.change()
            took = time.monotonic() - before
        # Asked for its status as often, which is a load as well.
        with self.probing(suite, prefixes=size, changes=0, prober=prober):
            until = time.monotonic() + took
            while time.monotonic() < until:
                self.daemon.generation()
                time.sleep(0.001)

    @contextlib.contextmanager
    def probing(self, suite, prober, **what):
        beside = Prober(*prober)
        try:
            yield
        finally:
            tell(suite, **what, **beside.end())

    def measure_idle(self, size):
        before = self.daemon.cpu_seconds()
        time.sleep(self.options.idle)
        share = (self.daemon.cpu_seconds() - before) / self.options.idle
        tell("idle", prefixes=size, seconds=self.options.idle, percent=share * 100)


def main():
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser = argparse.ArgumentParser()
    parser.add_argument("--scene", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--client", required=True, help="the client's network namespace")
    parser.add_argument("--address", required=True, help="of the database host")
    parser.add_argument("--standard", help="a folder that has the standard policy")
    parser.add_argument("--sizes", type=numbers, default=[30, 1000, 100_000, 1_000_000])
    parser.add_argument("--reloads", type=int, default=200, help="a quarter beyond 1,000 prefixes")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--beside", type=numbers, default=[30, 1_000_000], metavar="SIZES",
                        help="at which a prober runs beside the changes")
    parser.add_argument("--changes", type=int, default=200,
                        help="beside a prober; a quarter beyond 1,000 prefixes")
    parser.add_argument("--idle", type=int, default=60,
                        help="seconds; of what moatd does by itself the rarest comes once a minute")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(options)
    try:
        bench.run()
    finally:
        bench.daemon.stop()


if __name__ == "__main__":
    main()
