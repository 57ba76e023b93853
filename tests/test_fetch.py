# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmcache_frontend.errors import BadGateway, Forbidden, FrontendError, GatewayTimeout
from lmcache_frontend.http1.client import Endpoint, Pool
from lmcache_frontend.http1.fetch import Answer, Question, fetch, send
from tests.helpers.scripted import Script, ScriptedNode, Visit, always, answering

StartNode = Callable[..., ScriptedNode]
Ask = Callable[..., Answer]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Give a function that fetches from a scripted node."""
    pool = Pool(connect_timeout_s=5.0, send_timeout_s=5.0, permit=lambda address, port: None)

    def run(node: ScriptedNode, *, timeout_s: float = 10.0, limit_bytes: int = 1000) -> Answer:
        endpoint = Endpoint(node.port, 0) if isinstance(node.port, str) else Endpoint("127.0.0.1", node.port)
        return fetch(pool, endpoint, "n:1", "/a?b=c", timeout_s=timeout_s, limit_bytes=limit_bytes)

    yield run
    pool.close()


@pytest.fixture
def tell() -> Iterator[Ask]:
    """Give a function that sends a question to a scripted node."""
    pool = Pool(connect_timeout_s=5.0, send_timeout_s=5.0, permit=lambda address, port: None)

    def run(node: ScriptedNode, question: Question, *, timeout_s: float = 10.0) -> Answer:
        return send(pool, Endpoint("127.0.0.1", node.port), "n:1", question, timeout_s=timeout_s, limit_bytes=1000)

    yield run
    pool.close()


def chunked(*chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body


def counted(size: int, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, body)


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (counted(3, b"abc"), 200, b"abc"),
        (counted(0, b""), 200, b""),
        (counted(3, b"abcdef"), 200, b"abc"),
        (chunked(b"ab", b"c"), 200, b"abc"),
        (chunked(), 200, b""),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", 200, b"abc"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", 204, b""),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", 500, b"no"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 302, b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + counted(3, b"abc"), 200, b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + chunked(b"abc"), 200, b"abc"),
        (counted(1000, b"x" * 1000), 200, b"x" * 1000),
        (chunked(b"x" * 999, b"y"), 200, b"x" * 999 + b"y"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000, 200, b"x" * 1000),
    ],
)
def test_the_whole_answer_is_read(ask: Ask, start_node: StartNode, answer: bytes, status: int, body: bytes) -> None:
    got = ask(start_node(answering(answer)))
    assert (got.head.status, got.body) == (status, body)


def test_the_request_is_what_it_should_be(ask: Ask, start_node: StartNode, tmp_path: Path) -> None:
    for path in (None, tmp_path / "node.sock"):
        heads: list[bytes] = []
        ask(start_node(always(counted(0, b""), heads), path=path))
        assert heads == [b"GET /a?b=c HTTP/1.1\r\nHost: n:1\r\nAccept: */*\r\nConnection: close\r\n\r\n"]


def test_the_answer_may_come_a_byte_at_a_time(ask: Ask, start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        visit.read_head()
        for byte in chunked(b"ab", b"c"):
            visit.send(bytes([byte]))

    assert ask(start_node(script)).body == b"abc"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "connection ended before the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "connection ended before the answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "connection ended before the answer"),
        (counted(9, b"abc"), "connection ended 6 bytes before the body did"),
        (chunked(b"abc")[:-5], "connection ended within a chunked body"),
        (b"220 ready\r\n\r\n", "the node did not answer with an HTTP/1.1 status line"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "the node did not answer with an HTTP/1.1 status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "Content-Length is 'x', expected a number of bytes"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "head of over 65536 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "bad chunk size, expected a hexadecimal number",
        ),
        (counted(1001, b""), "answer of 1001 bytes, at most 1000 are taken"),
        (chunked(b"x" * 1000, b"y"), "answer of over 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, "answer of over 1000 bytes"),
    ],
)
def test_an_answer_that_is_none_is_a_bad_gateway(ask: Ask, start_node: StartNode, answer: bytes, says: str) -> None:
    with pytest.raises(BadGateway) as caught:
        ask(start_node(answering(answer)))
    assert type(caught.value) is BadGateway
    assert says in str(caught.value)


def endless(visit: Visit) -> None:
    visit.read_head()
    visit.send(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(10_000):
        visit.send(b"x" * 65536)


def test_an_endless_answer_is_cut_off(ask: Ask, start_node: StartNode) -> None:
    with pytest.raises(BadGateway, match="answer of over 100000 bytes"):
        ask(start_node(endless), limit_bytes=100_000)


def trickling(start: bytes, piece: bytes) -> Script:
    """Give a script that starts an answer and goes on a little at a time, for as long as somebody listens."""

    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(start)
        visit.sock.settimeout(0.01)
        for _ in range(500):
            if piece:
                visit.send(piece)
            try:
                if not visit.sock.recv(1):
                    return
            except TimeoutError:
                pass

    return script


@pytest.mark.parametrize(
    "script",
    [
        trickling(b"", b""),
        trickling(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b""),
        trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"x"),
        trickling(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        trickling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        trickling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x"),
        trickling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        trickling(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
)
def test_the_time_limit_is_for_the_whole_answer(ask: Ask, start_node: StartNode, script: Script) -> None:
    node = start_node(script)
    with pytest.raises(GatewayTimeout) as caught:
        ask(node, timeout_s=0.05)
    assert str(caught.value) == f"127.0.0.1:{node.port} did not answer within 0.05 s"


def test_the_connection_is_closed_in_every_case(ask: Ask, start_node: StartNode) -> None:
    for answer in (counted(0, b""), counted(9999, b""), b"nonsense\r\n\r\n"):
        ended = threading.Event()

        def script(visit: Visit, answer: bytes = answer, ended: threading.Event = ended) -> None:
            visit.read_head()
            visit.send(answer)
            assert visit.read(1) == b""
            ended.set()

        node = start_node(script)
        try:
            ask(node)
        except BadGateway:
            assert answer != counted(0, b"")
        assert ended.wait(10)


def test_a_refused_connection_is_a_bad_gateway() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint(*listener.getsockname())
    pool = Pool(connect_timeout_s=5.0, send_timeout_s=5.0, permit=lambda address, port: None)
    with pytest.raises(BadGateway, match=f"^127.0.0.1:{endpoint.port}: Connection refused$"):
        fetch(pool, endpoint, "n", "/", timeout_s=5.0, limit_bytes=1)


def test_what_is_forbidden_is_not_connected_to(start_node: StartNode) -> None:
    def permit(address: str, port: int) -> None:
        raise Forbidden("no")

    node = start_node(always(b""))
    pool = Pool(connect_timeout_s=5.0, send_timeout_s=5.0, permit=permit)
    with pytest.raises(FrontendError) as caught:
        fetch(pool, Endpoint("127.0.0.1", node.port), "n", "/", timeout_s=5.0, limit_bytes=1)
    assert "no" in str(caught.value)
    assert not node.visits


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (Question("PUT", "/a"), b"PUT /a HTTP/1.1\r\nHost: n:1\r\nAccept: */*\r\nContent-Length: 0\r\n"),
        (Question("DELETE", "/a?b=c"), b"DELETE /a?b=c HTTP/1.1\r\nHost: n:1\r\nAccept: */*\r\n"),
        (
            Question("POST", "/a", (("Content-Type", "text/x"), ("accept", "text/y")), b"\0body"),
            b"POST /a HTTP/1.1\r\nHost: n:1\r\nContent-Type: text/x\r\naccept: text/y\r\nContent-Length: 5\r\n",
        ),
        (
            Question("GET", "/a", (), b"{}"),
            b"GET /a HTTP/1.1\r\nHost: n:1\r\nAccept: */*\r\nContent-Length: 2\r\n",
        ),
    ],
)
def test_any_request_can_be_sent(tell: Ask, start_node: StartNode, question: Question, expected: bytes) -> None:
    got: list[bytes] = []

    def script(visit: Visit) -> None:
        got.append(visit.read_head())
        got.append(visit.read(len(question.body)))
        visit.send(counted(2, b"ok"))

    assert tell(start_node(script), question).body == b"ok"
    assert got == [expected + b"Connection: close\r\n\r\n", question.body]


def test_the_answer_to_head_has_no_body(tell: Ask, start_node: StartNode) -> None:
    answer = tell(start_node(answering(counted(2000, b""))), Question("HEAD", "/"))
    assert (answer.head.status, answer.head.get("content-length"), answer.body) == (200, "2000", b"")


def test_an_answer_that_comes_before_the_body_was_taken_is_read(tell: Ask, start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        visit.sock.shutdown(socket.SHUT_WR)
        while visit.sock.recv(65536):
            pass

    assert tell(start_node(script), Question("POST", "/", (), b"x" * 8_000_000)).head.status == 413


def test_the_time_limit_is_for_sending_too(tell: Ask, start_node: StartNode) -> None:
    over = threading.Event()

    def script(visit: Visit) -> None:
        visit.read_head()
        over.wait(10)

    node = start_node(script)
    with pytest.raises(GatewayTimeout, match=r"did not answer within 0\.1 s$"):
        tell(node, Question("POST", "/", (), b"x" * 30_000_000), timeout_s=0.1)
    over.set()


def test_a_node_that_breaks_off_while_it_is_sent_to_is_a_bad_gateway(tell: Ask, start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        visit.read_head()

    with pytest.raises(BadGateway, match="connection"):
        tell(start_node(script), Question("POST", "/", (), b"x" * 30_000_000))
