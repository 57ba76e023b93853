# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lmcache_frontend.errors import Conflict
from lmcache_frontend.http1.exchange import Exchange, http_date
from lmcache_frontend.http1.server import Handler, Limits, Server
from tests.helpers.talking import ask, parse_response, read_response, say
from tests.helpers.waiting import wait_until

Start = Callable[..., Server]
HEAD = b"GET / HTTP/1.1\r\nHost: n\r\n\r\n"


@pytest.fixture
def start_server() -> Iterator[Start]:
    with ExitStack() as cleanup:

        def start(handle: Handler, **limits: float) -> Server:
            server = Server(("127.0.0.1", 0), handle, Limits(**limits))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            cleanup.callback(server.drain, 2.0)
            return server

        yield start


def echo(exchange: Exchange) -> None:
    exchange.respond(200, exchange.read_body(), "text/plain")


def test_bodies_are_read_in_both_framings(start_server: Start) -> None:
    port = start_server(echo).server_port
    assert ask(port, "POST", "/", b"counted").body == b"counted"
    chunked = b"POST / HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert parse_response(say(port, chunked + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")).body == b"abcde"


def test_requests_can_be_pipelined_and_cut_anywhere(start_server: Start) -> None:
    port = start_server(lambda exchange: exchange.respond(200, exchange.request.target.encode())).server_port
    raw = b"\r\nGET /1 HTTP/1.1\r\nHost: n\r\n\r\nGET /2 HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"
    for cut in range(0, len(raw), 7):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(raw[:cut])
            sock.sendall(raw[cut:])
            received = b""
            while piece := sock.recv(65536):
                received += piece
        assert received.count(b"HTTP/1.1 200 OK") == 2
        assert received.index(b"\r\n\r\n/1") < received.index(b"\r\n\r\n/2")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\0\0\0\0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : n\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: n\r\n\r\n", 505),
        (b"GET /" + b"a" * 17000 + b" HTTP/1.1\r\nHost: n\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: n\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: n\r\n" + b"X: a\r\n" * 300 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: br\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 100000, 413),
        (b"POST / HTTP/1.1\r\nHost: n\r\nExpect: wonders\r\n\r\n", 417),
    ],
)
def test_a_malformed_request_is_answered_and_the_connection_closed(
    start_server: Start, raw: bytes, status: int
) -> None:
    port = start_server(echo).server_port
    reply = parse_response(say(port, raw))
    assert reply.status == status
    assert reply.detail
    assert reply.fields["Connection"] == "close"
    assert ask(port, "POST", "/", b"still there").body == b"still there"


def test_a_body_over_the_limit_is_refused_in_chunks_as_well(start_server: Start) -> None:
    port = start_server(echo).server_port
    head = b"POST / HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%b\r\n" % (65536, b"x" * 65536)
    assert parse_response(say(port, head + chunk * 17)).status == 413


def test_a_head_that_trickles_in_gets_408(start_server: Start) -> None:
    port = start_server(echo, head_timeout_s=0.1).server_port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        answered = threading.Event()

        def trickle() -> None:
            for _ in range(200):
                if answered.wait(0.02):
                    return
                sock.sendall(b"G")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert read_response(sock).status == 408
        finally:
            answered.set()
            thread.join()


def test_a_slow_body_gets_408(start_server: Start) -> None:
    port = start_server(echo, body_timeout_s=0.05).server_port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 5\r\n\r\nab")
        assert read_response(sock).status == 408


def test_an_idle_connection_is_closed_without_a_word(start_server: Start) -> None:
    port = start_server(echo, idle_timeout_s=0.05).server_port
    assert say(port, b"") == b""


def test_a_client_that_leaves_in_the_middle_harms_nobody(start_server: Start) -> None:
    server = start_server(echo)
    for raw in (b"GET / HT", b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 9\r\n\r\nab"):
        assert say(server.server_port, raw, half_close=True) == b""
    wait_until(lambda: server.connections.count == 0)


def test_expect_is_answered_before_the_body_is_read(start_server: Start) -> None:
    port = start_server(echo).server_port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: n\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ok")
        assert read_response(sock).body == b"ok"


def test_a_refused_request_is_told_not_to_go_on(start_server: Start) -> None:
    def refuse(exchange: Exchange) -> None:
        raise Conflict("taken")

    port = start_server(refuse).server_port
    raw = b"POST / HTTP/1.1\r\nHost: n\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    received = say(port, raw, half_close=True)
    assert received.startswith(b"HTTP/1.1 409 ")
    assert b"100 Continue" not in received


def test_head_and_bodiless_statuses_have_no_body(start_server: Start) -> None:
    def by_target(exchange: Exchange) -> None:
        exchange.respond(int(exchange.request.target[1:]), b"body")

    port = start_server(by_target).server_port
    raw = b"HEAD /200 HTTP/1.1\r\nHost: n\r\n\r\nGET /204 HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"
    received = say(port, raw)
    assert b"body" not in received
    assert b"Content-Length: 4" in received
    assert received.count(b"Content-Length") == 1


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", b"Connection: close"),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"Connection: keep-alive"),
    ],
)
def test_http_1_0_clients_are_told_what_becomes_of_the_connection(
    start_server: Start, raw: bytes, field: bytes
) -> None:
    assert field in say(start_server(echo).server_port, raw, half_close=True)


def test_an_unforeseen_fault_is_500_and_says_nothing_of_its_cause(
    start_server: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(exchange: Exchange) -> None:
        raise ValueError("a secret")

    reply = ask(start_server(fail).server_port, "GET", "/")
    assert reply.status == 500
    assert b"secret" not in reply.body
    assert "a secret" in caplog.text


def test_too_many_connections_get_503_and_the_others_go_on(start_server: Start) -> None:
    server = start_server(echo, max_connections=2)
    with ExitStack() as stack:
        for _ in range(2):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.server_port), timeout=10))
            sock.sendall(HEAD)
            assert read_response(sock).status == 200
        reply = parse_response(say(server.server_port, HEAD))
        assert (reply.status, reply.fields["Retry-After"]) == (503, "1")
        sock.sendall(HEAD)
        assert read_response(sock).status == 200


def test_a_drain_lets_running_requests_end_and_closes_idle_connections(start_server: Start) -> None:
    go_on = threading.Event()
    running = threading.Event()

    def wait(exchange: Exchange) -> None:
        if exchange.request.target == "/slow":
            running.set()
            go_on.wait(10)
        exchange.respond(200, b"done")

    server = start_server(wait)
    address = ("127.0.0.1", server.server_port)
    with socket.create_connection(address, timeout=10) as idle, socket.create_connection(address, timeout=10) as busy:
        idle.sendall(HEAD)
        assert read_response(idle).status == 200
        busy.sendall(b"GET /slow HTTP/1.1\r\nHost: n\r\n\r\n")
        assert running.wait(10)
        drained: list[bool] = []
        drain = threading.Thread(target=lambda: drained.append(server.drain(10)))
        drain.start()
        assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=10)
        go_on.set()
        assert read_response(busy).body == b"done"
        drain.join(10)
    assert drained == [True]


def test_dates_are_of_the_fixed_form() -> None:
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("version", "ending"), [("1.1", b"\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), ("1.0", b"\r\n\r\nonetwo")]
)
def test_pieces_go_out_as_they_come(start_server: Start, version: str, ending: bytes) -> None:
    def pieces(exchange: Exchange) -> None:
        exchange.respond_pieces(200, iter([b"one", b"", b"two"]), "text/plain")

    raw = f"GET / HTTP/{version}\r\nHost: n\r\nConnection: close\r\n\r\n".encode()
    assert say(start_server(pieces).server_port, raw).endswith(ending)


def test_a_source_that_breaks_breaks_the_transfer(start_server: Start) -> None:
    def broken(exchange: Exchange) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"one"
            raise Conflict("gone")

        exchange.respond_pieces(200, pieces(), "text/plain")

    received = say(start_server(broken).server_port, HEAD)
    assert b"one" in received
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"GET / HTTP/1.1\nHost: n\n\n", "bare LF"),
        (b"\x16\x03\x01\x02\x00\x01", "TLS handshake"),
        (b"\x00\x01", "something else"),
    ],
)
def test_what_can_never_become_a_head_is_refused_at_once(start_server: Start, raw: bytes, says: str) -> None:
    reply = parse_response(say(start_server(echo).server_port, raw, timeout_s=5))
    assert (reply.status, says in reply.detail) == (400, True)


def test_empty_lines_between_requests_are_no_request(start_server: Start) -> None:
    port = start_server(echo, head_timeout_s=0.05).server_port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(HEAD + b"\r\n")
        assert read_response(sock).status == 200
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(10)
        sock.sendall(HEAD)
        assert read_response(sock).status == 200
