# SPDX-License-Identifier: Apache-2.0
"""What a browser test of the dashboard stands on: a frontend as its own process, a forwarding proxy under a sub-path.

The proxy here is a plain reverse proxy on loopback, as an ingress would be; it can add the fields that make its clients
strangers to the frontend.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
STOP_S = 20.0


@contextmanager
def running_frontend(*arguments: str, port: int = 0) -> Iterator[str]:
    """Run ``python -m lmcache_frontend`` and give its address, ending in a slash."""
    command = [sys.executable, "-m", "lmcache_frontend", "--host", "127.0.0.1", "--port", str(port), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    drain = None
    try:
        address = _address_from(process)
        drain = threading.Thread(target=process.stdout.read, daemon=True)
        drain.start()
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if drain is not None:
            drain.join(STOP_S)
        process.stdout.close()


def ask(address: str, path: str, body: Any = None, method: str | None = None) -> str:
    """Send one request past the browser and give the answer's text. Raises urllib.error.HTTPError."""
    payload = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, payload, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def add_node(address: str, name: str, host: str, port: int | str) -> None:
    """Register a node past the page."""
    ask(address, "api/proxies/local_proxy/nodes", {"name": name, "host": host, "port": port})


def delete_node(address: str, name: str) -> None:
    """Delete a node past the page."""
    ask(address, f"api/nodes/{quote(name, safe='')}", method="DELETE")


@contextmanager
def forwarding(address: str, prefix: str = "/", fields: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve the frontend at ``address`` under ``prefix``, adding ``fields`` to each request; give the new address."""
    target = urlsplit(address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            if not self.path.startswith(prefix):
                self.send_error(404)
                return
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=30)
            try:
                wanted = {**dict(self.headers.items()), **(fields or {}), "Connection": "close"}
                connection.request(self.command, "/" + self.path[len(prefix) :], body, wanted)
                self._answer(connection.getresponse())
            finally:
                connection.close()

        def _answer(self, response: http.client.HTTPResponse) -> None:
            body = response.read()
            self.send_response_only(response.status)
            for name, value in response.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = forward  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler) as base:
        yield base + prefix.lstrip("/")


class Script(NamedTuple):
    """A server with fixed answers: its port, and what it was asked so far, as ``GET /path``."""

    port: int
    asked: list[str]


@contextmanager
def scripted(answers: Mapping[str, tuple[int, str]]) -> Iterator[Script]:
    """Serve ``{"GET /path": (status, body)}``, queries left aside, and LMCache's own 404 for everything else."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            question = f"{self.command} {urlsplit(self.path).path}"
            asked.append(question)
            status, text = answers.get(question, (404, '{"detail":"Not Found"}'))
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler) as address:
        yield Script(int(str(urlsplit(address).port)), asked)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve a handler on a free loopback port; give its address, ending in a slash."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(STOP_S)


def _address_from(process: subprocess.Popen[str]) -> str:
    """Read the address from the line that the frontend prints once it listens. Raises AssertionError."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        found = re.search(r"https?://\S+", line)
        if found:
            return found.group()
    raise AssertionError(f"the frontend did not start: {''.join(said)}")
