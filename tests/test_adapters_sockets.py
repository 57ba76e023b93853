# SPDX-License-Identifier: Apache-2.0
"""Adapters over real sockets, against nodes that are scripted to the byte."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmcache_frontend.cluster.adapters.kinds import Ask, Paths, State
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.cluster.adapters.read import read
from lmcache_frontend.errors import BadGateway, FrontendError, GatewayTimeout
from lmcache_frontend.http1.client import Endpoint, Pool
from lmcache_frontend.http1.fetch import Answer, fetch
from tests.helpers.generations import TableNode, in_process, mp
from tests.helpers.known_nodes import WORKER
from tests.helpers.scripted import Script, ScriptedNode, Visit, always

LIMIT_BYTES = 64 * 1024
AskOf = Callable[[Endpoint], Ask]


@pytest.fixture
def ask_of() -> Iterator[AskOf]:
    pool = Pool(connect_timeout_s=5.0, send_timeout_s=5.0, permit=lambda address, port: None)

    def make(endpoint: Endpoint) -> Ask:
        def ask(target: str, timeout_s: float | None) -> Answer:
            limit_s = 5.0 if timeout_s is None else timeout_s
            return fetch(pool, endpoint, "localhost", target, timeout_s=limit_s, limit_bytes=LIMIT_BYTES)

        return ask

    yield make
    pool.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Endpoint]]:
    nodes: list[ScriptedNode] = []

    def run(script: Script, path: Path | None = None) -> Endpoint:
        nodes.append(ScriptedNode(script, path))
        return Endpoint("127.0.0.1", nodes[-1].port) if path is None else Endpoint(str(path), 0)

    yield run
    for node in nodes:
        node.close()
        assert node.faults == []


def serving(node: TableNode) -> Script:
    """Give a script that answers from a table."""

    def script(visit: Visit) -> None:
        while head := visit.read_head():
            answer = node(head.split(b" ")[1].decode(), None)
            fields = "".join(f"{name}: {value}\r\n" for name, value in answer.head.fields)
            visit.send(f"HTTP/1.1 {answer.head.status} X\r\n{fields}\r\n".encode() + answer.body)

    return script


def test_a_worker_over_tcp(start: Callable[..., Endpoint], ask_of: AskOf) -> None:
    ask = ask_of(start(serving(in_process("0.5.6"))))
    identity = probe(ask)
    assert identity == WORKER._replace(version="0.5.6-g1234567", instance="lmcache_default_instance")
    assert read(identity, "health", ask).data == {"level": "healthy", "reasons": []}
    assert read(identity, "threads", ask).data["total"] == 2


def test_an_mp_server_over_a_unix_socket(start: Callable[..., Endpoint], ask_of: AskOf, tmp_path: Path) -> None:
    ask = ask_of(start(serving(mp("0.4.6")), tmp_path / "node"))
    identity = probe(ask)
    assert identity.paths is Paths.MP_CONF
    assert read(identity, "conf", ask).state is State.OK


def test_a_port_where_nobody_listens(ask_of: AskOf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ask = ask_of(Endpoint("127.0.0.1", port))
    with pytest.raises(BadGateway):
        probe(ask)
    assert read(WORKER, "health", ask).data == {"level": "unreachable", "reasons": ["refused"]}
    assert read(WORKER, "conf", ask) == (State.FAILED, "refused", None)


def test_a_socket_that_is_not_there(ask_of: AskOf, tmp_path: Path) -> None:
    ask = ask_of(Endpoint(str(tmp_path / "none"), 0))
    assert read(WORKER, "health", ask).data == {"level": "unreachable", "reasons": ["no such socket"]}


def reset(visit: Visit) -> None:
    visit.read_head()
    # Closed with a time of zero, the connection is reset.
    visit.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    visit.sock.close()


def half_a_line(visit: Visit) -> None:
    visit.read_head()
    visit.send(b"HTTP/1.1 20")


def half_a_body(visit: Visit) -> None:
    visit.read_head()
    visit.send(b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"0.5.6')


@pytest.mark.parametrize(
    ("script", "level", "reason"),
    [
        (reset, "unreachable", "reset"),
        (half_a_line, "unreachable", "connection ended before the answer"),
        (half_a_body, "unreachable", "before the body did"),
        (always(b"220 mail.example ESMTP\r\n\r\n"), "degraded", "did not answer with an HTTP/1.1 status line"),
        (always(b"\x16\x03\x01\x02\x00\r\n\r\n"), "degraded", "did not answer with an HTTP/1.1 status line"),
        (
            always(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n"),
            "degraded",
            "answer of 52428800 bytes, at most",
        ),
        (always(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LIMIT_BYTES + 1)), "degraded", f"answer of over {LIMIT_BYTES}"),
        (always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "degraded", "bad chunk size"),
        (always(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "degraded", "Content-Length"),
        (always(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"), "degraded", "answered something else"),
    ],
)
def test_nodes_that_break_http(
    start: Callable[..., Endpoint], ask_of: AskOf, script: Script, level: str, reason: str
) -> None:
    ask = ask_of(start(script))
    data = read(WORKER, "health", ask, families={}).data
    assert data["level"] == level
    assert reason in data["reasons"][0]
    reading = read(WORKER, "conf", ask)
    assert reading.state is State.FAILED
    assert reading.reason


def test_a_node_that_never_answers(start: Callable[..., Endpoint], ask_of: AskOf) -> None:
    def silent(visit: Visit) -> None:
        visit.read_head()
        visit.read(1)

    ask = ask_of(start(silent))

    def impatient(target: str, timeout_s: float | None) -> Answer:
        return ask(target, 0.05)

    with pytest.raises(GatewayTimeout):
        probe(impatient)
    assert read(WORKER, "health", impatient).data == {"level": "unreachable", "reasons": ["timed out after 0.05 s"]}
    assert read(WORKER, "env", impatient).reason == "timed out after 0.05 s"


def test_a_node_that_sends_byte_after_byte(start: Callable[..., Endpoint], ask_of: AskOf) -> None:
    def slow(visit: Visit) -> None:
        visit.read_head()
        visit.sock.settimeout(0.02)
        for byte in b"HTTP/1.1 200 OK\r\n" * 20:
            visit.send(bytes([byte]))
            try:
                visit.read(1)
                return
            except TimeoutError:
                continue

    ask = ask_of(start(slow))
    with pytest.raises(FrontendError, match=r"within 0\.1 s"):
        probe(lambda target, timeout_s: ask(target, 0.1))
