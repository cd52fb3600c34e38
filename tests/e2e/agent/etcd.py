# SPDX-License-Identifier: BSD-2-Clause
"""A real etcd of a test's own, on loopback."""

import base64
import http.client
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


class Etcd:
    """A cluster of `members`; with `tls` (server certificate, key, CA) clients show a certificate."""

    def __init__(self, folder, members=1, tls=None, arguments=(), patience=30, client=None,
                 address="127.0.0.1"):
        self.address = address
        self.folder, self.tls, self.arguments, self.patience = pathlib.Path(folder), tls, list(arguments), patience
        self.scheme = "https" if tls else "http"
        ports = free_ports(2 * members)
        self.clients = ports[:members]
        self.peers = ports[members:]
        self.processes = [None] * members
        self.client_certificate = client  # (certificate, key) for call()
        for member in range(members):
            self.start(member, wait=False)
        for member in range(members):
            self.wait(member)

    @property
    def endpoints(self):
        return [f"{self.scheme}://{self.address}:{port}" for port in self.clients]

    def data(self, member=0):
        return self.folder / f"etcd-{member}"

    def start(self, member=0, wait=True):
        cluster = ",".join(f"m{i}=http://127.0.0.1:{port}" for i, port in enumerate(self.peers))
        peer, client = f"http://127.0.0.1:{self.peers[member]}", self.endpoints[member]
        command = ["etcd", "--name", f"m{member}", "--data-dir", str(self.data(member)), "--listen-client-urls", client,
                   "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                   "--initial-cluster", cluster, "--logger", "zap", *self.arguments]
        if self.tls:
            command += ["--cert-file", self.tls[0], "--key-file", self.tls[1], "--trusted-ca-file", self.tls[2],
                        "--client-cert-auth"]
        log = open(self.folder / f"etcd-{member}.log", "ab")
        self.processes[member] = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        if wait:
            self.wait(member)

    def wait(self, member=0):
        deadline = time.monotonic() + self.patience
        while True:
            try:
                if "header" in self.call("/v3/kv/range", {"key": b64("x")}, member) or self.needs_token:
                    return
            except (OSError, http.client.HTTPException, ssl.SSLError):
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"etcd does not answer within {self.patience} s")
            time.sleep(0.05)

    needs_token = False

    def kill(self, member=0):
        process = self.processes[member]
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
            self.processes[member] = None

    def wipe(self, member=0):
        self.kill(member)
        shutil.rmtree(self.data(member))

    def signal(self, number, member=0):
        self.processes[member].send_signal(number)

    def close(self):
        for member in range(len(self.processes)):
            self.kill(member)

    def call(self, path, body, member=0, token=None):
        if self.tls:
            context = ssl.create_default_context(cafile=self.tls[2])
            context.load_cert_chain(*self.client_certificate)
            connection = http.client.HTTPSConnection(self.address, self.clients[member], context=context, timeout=10)
        else:
            connection = http.client.HTTPConnection(self.address, self.clients[member], timeout=10)
        try:
            headers = {"Authorization": token} if token else {}
            connection.request("POST", path, json.dumps(body), headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def put(self, key, value, **more):
        return self.call("/v3/kv/put", {"key": b64(key), "value": b64(value)}, **more)

    def delete(self, key):
        return self.call("/v3/kv/deleterange", {"key": b64(key)})

    def get(self, key):
        answer = self.call("/v3/kv/range", {"key": b64(key)})
        return [base64.b64decode(one["value"]) for one in answer.get("kvs", [])]

    def revision(self):
        return int(self.call("/v3/kv/range", {"key": b64("x")})["header"]["revision"])

    def compact(self):
        return self.call("/v3/kv/compaction", {"revision": str(self.revision()), "physical": True})
