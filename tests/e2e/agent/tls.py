# SPDX-License-Identifier: BSD-2-Clause
"""A certificate authority of a test's own, and servers with its certificates, on loopback."""

import http.server
import pathlib
import ssl
import subprocess
import threading


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


class Authority:
    """FOLDER/ca.pem, and what it signs: NAME.pem with NAME.key."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = pathlib.Path(folder), name
        self.path = str(self.folder / f"{name}.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "30", "-subj", f"/O=moat {name}",
                cwd=folder)

    def sign(self, name, days=30, usage="serverAuth,clientAuth"):
        """Without a CommonName: etcd's gateway refuses clients that have one."""
        (self.folder / f"{name}.ext").write_text(
            f"subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage={usage}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/O=moat/OU={name}", cwd=self.folder)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", str(days), "-extfile", f"{name}.ext",
                cwd=self.folder)
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")


class Server:
    """Answers GET by `routes`: a path's function gets the handler."""

    def __init__(self, certificate, key):
        self.routes, self.requests = {}, []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                server.requests.append((self.path, dict(self.headers)))
                route = server.routes.get(self.path)
                try:
                    if route is None:
                        answer(self, b"not here", status=404)
                    else:
                        route(self)
                except OSError:
                    self.close_connection = True

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.http.handle_error = lambda *_: None  # clients that refuse the certificate
        self.url = f"https://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def serve(self, path, body, **headers):
        self.routes[path] = lambda handler: answer(handler, body, **headers)

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def answer(handler, body, status=200, **headers):
    body = body.encode() if isinstance(body, str) else body
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
