# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.http1 import relay
from tests.helpers.scripted import ScriptedNode, Visit, always, answering
from tests.helpers.talking import ask, parse_response, read_response, say
from tests.helpers.waiting import wait_until

StartApp = Callable[..., App]
StartNode = Callable[..., ScriptedNode]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_path_and_query_pass_byte_for_byte(start_app: StartApp, start_node: StartNode) -> None:
    heads: list[bytes] = []
    app = start_app([start_node(always(OK, heads)).entry])
    target = b"/a%2Fb//c/../%7e;x=(1)?q=%20+%&&=#"[:-1]
    say(
        app.settings.port,
        b"DELETE /proxy2/node" + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    assert heads[0].startswith(b"DELETE " + target + b" HTTP/1.1\r\n")


def test_a_unix_socket_node_is_asked_as_localhost(start_app: StartApp, start_node: StartNode, tmp_path: Path) -> None:
    heads: list[bytes] = []
    node = start_node(always(OK, heads), path=tmp_path / "node.sock")
    app = start_app([node.entry])
    assert ask(app.settings.port, "GET", "/proxy2/node/version").body == b"ok"
    assert b"\r\nHost: localhost\r\n" in heads[0]


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: v\r\n\r\n",
            200,
            b"abc",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", 200, b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", 200, b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 404 Nope\r\nContent-Length: 0\r\n\r\n", 404, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, 103, None),
    ],
)
def test_every_framing_of_a_node_reaches_the_client(
    start_app: StartApp, start_node: StartNode, answer: bytes, status: int, body: bytes | None
) -> None:
    app = start_app([start_node(answering(answer)).entry])
    raw = say(app.settings.port, b"GET /proxy2/node/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    if status == 103:
        assert raw.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n")
        return
    reply = parse_response(raw)
    assert (reply.status, reply.body) == (status, body)
    assert b"T: v" not in raw


def test_a_client_of_http_1_0_gets_no_chunks(start_app: StartApp, start_node: StartNode) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    app = start_app([start_node(answering(chunked)).entry])
    raw = say(app.settings.port, b"GET /proxy2/node/version HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert raw.endswith(b"\r\n\r\nabc")
    assert b"Transfer-Encoding" not in raw


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000,
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
)
def test_a_node_that_does_not_speak_http_is_502(start_app: StartApp, start_node: StartNode, answer: bytes) -> None:
    app = start_app([start_node(answering(answer)).entry])
    reply = ask(app.settings.port, "GET", "/proxy2/node/version")
    assert reply.status == 502
    assert reply.detail


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\npart",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n",
    ],
)
def test_a_node_that_dies_within_a_body_breaks_the_transfer(
    start_app: StartApp, start_node: StartNode, answer: bytes
) -> None:
    app = start_app([start_node(answering(answer)).entry])
    raw = say(app.settings.port, b"GET /proxy2/node/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"part" in raw
    assert not raw.endswith(b"0\r\n\r\n")


def test_a_refused_connection_is_502_and_a_silent_node_504(start_app: StartApp, start_node: StartNode) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    silent = start_node(always(b""))
    app = start_app(
        [
            {"name": "gone", "host": "127.0.0.1", "port": port},
            silent.entry,
            {**silent.entry, "name": "s", "port": "/no/s"},
        ],
        node_timeout_s=0.05,
    )
    refused = ask(app.settings.port, "GET", "/proxy2/gone/version")
    assert (refused.status, refused.detail) == (502, f"127.0.0.1:{port}: Connection refused")
    assert ask(app.settings.port, "GET", "/proxy2/s/version").status == 502
    late = ask(app.settings.port, "GET", "/proxy2/node/version")
    assert late.status == 504
    assert "0.05 s" in late.detail


def test_a_connection_is_used_again(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(OK))
    app = start_app([node.entry])
    with socket.create_connection(("127.0.0.1", app.settings.port), timeout=10) as sock:
        for _ in range(5):
            sock.sendall(b"GET /proxy2/node/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_response(sock).body == b"ok"
    assert len(node.visits) == 1


def test_a_stale_connection_is_replaced_for_a_get_and_never_used_for_a_post(
    start_app: StartApp, start_node: StartNode
) -> None:
    node = start_node(answering(OK))
    app = start_app([node.entry])
    for method in ("GET", "GET", "POST", "PUT"):
        if method != "GET":
            # One that is closed only while a body is on its way cannot be told from a node that broke.
            wait_until(lambda: all(visit.sock.fileno() < 0 for visit in node.visits))
        reply = ask(app.settings.port, method, "/proxy2/node/version", b"x" if method != "GET" else None)
        assert (reply.status, reply.body) == (200, b"ok"), method


def test_a_post_that_breaks_is_not_sent_twice(start_app: StartApp, start_node: StartNode) -> None:
    bodies: list[bytes] = []

    def script(visit: Visit) -> None:
        visit.read_head()
        bodies.append(visit.read(3))

    app = start_app([start_node(script).entry])
    assert ask(app.settings.port, "POST", "/proxy2/node/conf", b"abc").status == 502
    assert bodies == [b"abc"]


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_stream_both_ways(start_app: StartApp, start_node: StartNode, chunked: bool) -> None:
    size = 8 * 1024 * 1024
    block = bytes(range(256)) * 256
    seen = hashlib.sha256()

    def script(visit: Visit) -> None:
        head = visit.read_head()
        if b"chunked" in head:
            while length := int(visit_line(visit), 16):
                seen.update(visit.read(length))
                visit.read(2)
            visit.read(2)
        else:
            for _ in range(size // len(block)):
                seen.update(visit.read(len(block)))
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(block)):
            visit.send(block)

    app = start_app([start_node(script).entry])
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    received = hashlib.sha256()
    with socket.create_connection(("127.0.0.1", app.settings.port), timeout=20) as sock:
        sock.sendall(
            b"POST /proxy2/node/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + framing + b"\r\n\r\n"
        )
        for _ in range(size // len(block)):
            sock.sendall(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
        if chunked:
            sock.sendall(b"0\r\n\r\n")
        reply = read_response(sock)
        received.update(reply.body)
    expected = hashlib.sha256(block * (size // len(block))).digest()
    assert seen.digest() == expected
    assert received.digest() == expected


def visit_line(visit: Visit) -> bytes:
    line = b""
    while not line.endswith(b"\r\n"):
        byte = visit.read(1)
        assert byte
        line += byte
    return line[:-2]


def test_a_node_that_answers_while_it_reads_does_not_stall(start_app: StartApp, start_node: StartNode) -> None:
    size = 16 * 1024 * 1024

    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            visit.send(visit.read(65536))

    app = start_app([start_node(script).entry])
    with socket.create_connection(("127.0.0.1", app.settings.port), timeout=20) as sock:
        upload = threading.Thread(
            target=sock.sendall,
            args=(
                b"POST /proxy2/node/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size + b"e" * size,
            ),
        )
        upload.start()
        reply = read_response(sock)
        upload.join(20)
    assert reply.body == b"e" * size


def test_a_node_that_refuses_a_body_early_is_heard(start_app: StartApp, start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge")
        visit.sock.shutdown(socket.SHUT_WR)
        visit.read(1 << 24)

    app = start_app([start_node(script).entry])
    with socket.create_connection(("127.0.0.1", app.settings.port), timeout=20) as sock:
        sock.sendall(b"POST /proxy2/node/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16777216\r\n\r\n")
        sock.sendall(b"x" * 1048576)
        reply = read_response(sock)
    assert (reply.status, reply.body) == (413, b"large")


def test_a_client_that_goes_away_closes_the_node_connection(
    start_app: StartApp, start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LIVENESS_CHECK_S", 0.02)
    ended = threading.Event()

    def script(visit: Visit) -> None:
        visit.read_head()
        assert visit.read(1) == b""
        ended.set()

    app = start_app([start_node(script).entry])
    with socket.create_connection(("127.0.0.1", app.settings.port), timeout=10) as sock:
        sock.sendall(b"GET /proxy2/node/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: app._pool is not None and len(app.registry.snapshot.local_nodes) == 1)
    assert ended.wait(10)


def test_an_event_stream_passes_as_it_comes(start_app: StartApp, start_node: StartNode) -> None:
    go_on = threading.Event()

    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        assert go_on.wait(10)
        visit.send(b"data: 1\n\n")

    app = start_app([start_node(script).entry])
    with socket.create_connection(("127.0.0.1", app.settings.port), timeout=10) as sock:
        sock.sendall(b"GET /proxy2/node/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"text/event-stream" in sock.recv(65536)
        go_on.set()
        assert b"data: 1" in sock.recv(65536)


def test_a_frontend_that_lists_itself_ends_with_508(start_app: StartApp) -> None:
    app = start_app()
    reply = ask(
        app.settings.port, "POST", "/api/proxies", {"name": "self", "host": "127.0.0.1", "port": app.settings.port}
    )
    assert reply.status == 200
    hops = "/proxy2/self" * 12
    assert ask(app.settings.port, "GET", hops + "/version").status in (403, 508)


def test_a_request_with_expect_is_refused_before_its_body_is_sent(start_app: StartApp) -> None:
    app = start_app()
    raw = b"POST /proxy2/none/x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    received = say(app.settings.port, raw, half_close=True)
    assert received.startswith(b"HTTP/1.1 404 ")


def test_bytes_that_nobody_asked_for_reach_nobody(start_app: StartApp, start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        while head := visit.read_head():
            if head.startswith(b"HEAD"):
                visit.send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
                    + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"
                )
            else:
                visit.send(OK)

    app = start_app([start_node(script).entry])
    assert ask(app.settings.port, "HEAD", "/proxy2/node/version").status == 200
    for _ in range(3):
        assert ask(app.settings.port, "GET", "/proxy2/node/version").body == b"ok"


def test_a_connection_on_which_a_body_is_still_sent_is_never_used_again(
    start_app: StartApp, start_node: StartNode
) -> None:
    go_on = threading.Event()
    # More than the kernel's largest buffers hold, so that it cannot all be sent while the node does not read.
    size = 128 * 1024 * 1024

    def script(visit: Visit) -> None:
        head = visit.read_head()
        if visit.number == 0:
            visit.send(OK)
            assert go_on.wait(10)
            while visit.sock.recv(65536):
                pass
        else:
            assert head.startswith(b"GET /version")
            visit.send(OK)

    app = start_app([start_node(script).entry])
    with socket.create_connection(("127.0.0.1", app.settings.port), timeout=10) as sock:
        sock.sendall(b"POST /proxy2/node/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
        sender = threading.Thread(target=lambda: _send_quietly(sock, b"A" * size))
        sender.start()
        assert read_response(sock).body == b"ok"
        assert ask(app.settings.port, "GET", "/proxy2/node/version").body == b"ok"
        go_on.set()
        sender.join(10)


def _send_quietly(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(data)


def test_a_client_of_http_1_0_sees_that_an_answer_was_cut(start_app: StartApp, start_node: StartNode) -> None:
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    app = start_app([start_node(answering(cut)).entry])
    with pytest.raises(ConnectionResetError):
        say(app.settings.port, b"GET /proxy2/node/version HTTP/1.0\r\nHost: localhost\r\n\r\n")


def test_cors_fields_of_a_node_do_not_pass(start_app: StartApp, start_node: StartNode) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\nX-Kept: 1\r\n\r\nok"
    app = start_app([start_node(always(answer)).entry])
    fields = ask(app.settings.port, "GET", "/proxy2/node/version", fields={"Origin": "https://evil.example"}).fields
    assert fields["X-Kept"] == "1"
    assert not [name for name in fields if name.lower().startswith("access-control")]


def test_a_head_with_bare_line_feeds_is_502_at_once_but_a_body_may_hold_them(
    start_app: StartApp, start_node: StartNode
) -> None:
    app = start_app([start_node(answering(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok")).entry])
    assert ask(app.settings.port, "GET", "/proxy2/node/version").status == 502
    fine = start_app([start_node(always(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\n\nb")).entry])
    assert ask(fine.settings.port, "GET", "/proxy2/node/version").body == b"a\n\nb"


def test_endless_interim_responses_are_502(start_app: StartApp, start_node: StartNode) -> None:
    app = start_app([start_node(answering(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)).entry])
    raw = say(app.settings.port, b"GET /proxy2/node/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert raw.count(b"HTTP/1.1 102 ") == 16
    assert b"HTTP/1.1 502 " in raw
