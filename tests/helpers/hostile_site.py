# SPDX-License-Identifier: Apache-2.0
"""A site that means harm, a node that a test takes over, and what they try in a browser (``data/hostile``)."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.helpers.webdriver import Browser

SECRET = "hf_nobody_may_read_this"
_ATTACKS = (Path(__file__).resolve().parents[1] / "data" / "hostile" / "attacks.js").read_text(encoding="utf-8")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_NODE_ANSWERS = {
    "/version": '"0.5.6"',
    "/conf": json.dumps({"chunk_size": 256, "hf_token": SECRET}),
    "/env": json.dumps({"HF_TOKEN": SECRET}),
    "/meta": json.dumps({"api_key": SECRET}),
    "/metrics": "# TYPE lmcache:num_hit_tokens counter\nlmcache:num_hit_tokens_total 1\n",
    "/loglevel": "{}",
}


class Answer(NamedTuple):
    """What a server here says: its type, its text, further fields and its status."""

    content_type: str
    text: str
    fields: Mapping[str, str] = {}
    status: int = 200


class Server(NamedTuple):
    """A server that keeps what it was asked: method, target, body; it answers by path, and answers may be added."""

    port: int
    asked: list[tuple[str, str, str]]
    answers: dict[str, Answer]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Give the requests that would change a node of LMCache."""
        return [
            (method, target)
            for method, target, _ in self.asked
            if method not in _SAFE or target.startswith(("/loglevel?", "/run_script"))
        ]


@contextmanager
def serving(answers: Mapping[str, Answer], port: int = 0) -> Iterator[Server]:
    """Serve fixed answers by path on 127.0.0.1, ``{}`` for others."""
    server = Server(port, [], dict(answers))

    class Handler(BaseHTTPRequestHandler):
        # One request a connection: none is left to a server that is gone, whose port another one has taken.
        protocol_version = "HTTP/1.0"

        def answer(self) -> None:
            said = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
            server.asked.append((self.command, self.path, said))
            found = server.answers.get(urlsplit(self.path).path, Answer("application/json", "{}"))
            body = found.text.encode()
            self.send_response_only(found.status)
            for name, value in {**found.fields, "Content-Type": found.content_type}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listener = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server._replace(port=listener.server_port)
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join(20)


@contextmanager
def recording_node() -> Iterator[Server]:
    """Serve a node of LMCache that holds a secret."""
    with serving({path: Answer("application/json", text) for path, text in _NODE_ANSWERS.items()}) as node:
        yield node


@contextmanager
def hostile_site(port: int = 0) -> Iterator[Server]:
    """Serve the pages to attack from: ``/``, and ``/framing`` with it in a sandbox, where its origin is ``null``."""
    page = "<!doctype html><title>hostile</title><body>"
    boxed = '<iframe id="box" sandbox="allow-scripts allow-forms allow-popups" src="/"></iframe>'
    pages = {"/": Answer("text/html", page), "/framing": Answer("text/html", page + boxed)}
    with serving(pages, port) as site:
        yield site


def attempts() -> list[str]:
    """Give the names of all attempts to change something that have one."""
    return re.findall(r'^  "([a-z-]+)": ', _ATTACKS[: _ATTACKS.index("const LOOKS")], re.MULTILINE)


def attack(browser: Browser, address: str) -> None:
    """Let the page that is open try all changes at a frontend, and wait until each has been answered or refused."""
    browser.command("POST", "timeouts", {"script": 50_000})
    assert browser.run(f"{_ATTACKS}; return attack(arguments[0])", address) > 30


def look(browser: Browser, address: str, paths: tuple[str, ...]) -> dict[str, str]:
    """Let the page that is open try to read: give what it saw, by the way and the path."""
    browser.command("POST", "timeouts", {"script": 50_000})
    seen: dict[str, Any] = {}
    for path in paths:
        seen |= browser.run(f"{_ATTACKS}; return look(arguments[0], [arguments[1]])", address, path)
    return seen


def watch(browser: Browser, address: str) -> str:
    """Let the page that is open listen to the events of the fleet: give ``open`` where it hears them."""
    browser.command("POST", "timeouts", {"script": 50_000})
    return str(browser.run(f"{_ATTACKS}; return watch(arguments[0])", address))
