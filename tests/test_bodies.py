# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from lmcache_frontend.errors import BadGateway, BadRequest, PeerClosed
from lmcache_frontend.http1.framing import CHUNKED, UNTIL_CLOSE
from lmcache_frontend.http1.streams import (
    LARGE_BODY_BYTES,
    RECEIVE_BYTES,
    Body,
    Stream,
)

Pair = tuple[Stream, socket.socket]
MakePair = Callable[[], Pair]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Give a stream over a Unix socket and the socket at its other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(10)
        stream = Stream(ours, send_timeout_s=5.0)
        stream.set_receive_timeout(5.0)
        yield stream, theirs


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return body + b"0\r\n" + trailer + b"\r\n"


def collect(body: Body, large: bool = True) -> bytes:
    return b"".join(bytes(piece) for piece in body.pieces(large=large))


FRAMINGS = [
    pytest.param(0, b"", b"", id="empty"),
    pytest.param(5, b"abcde", b"abcde", id="counted"),
    pytest.param(CHUNKED, chunked(b"abc", b"de"), b"abcde", id="chunked"),
    pytest.param(CHUNKED, chunked(b"abcde", trailer=b"A: b\r\n"), b"abcde", id="trailers"),
    pytest.param(CHUNKED, chunked(), b"", id="no chunks"),
]


@pytest.mark.parametrize(("length", "raw", "body"), FRAMINGS)
@pytest.mark.parametrize("large", [True, False])
def test_a_body_ends_where_it_should_wherever_it_is_cut(length: int, raw: bytes, body: bytes, large: bool) -> None:
    for cut in range(len(raw) + 1):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            stream = Stream(ours, send_timeout_s=5.0)
            stream.set_receive_timeout(5.0)
            stream.pending = raw[:cut]
            theirs.sendall(raw[cut:])
            if length != 5 or cut == len(raw):
                stream.pending += b"" if cut < len(raw) else b"GET /next"
            read = Body(stream, length, BadRequest)
            assert read.finished is (length == 0)
            assert collect(read, large) == body
            assert (read.finished, read.read_bytes) == (True, len(body))
            assert stream.pending == (b"GET /next" if cut == len(raw) else b"")


def test_what_follows_a_body_stays_to_be_read(pair: Pair) -> None:
    for length, raw in ((2, b"ab"), (CHUNKED, chunked(b"ab")), (0, b"")):
        stream, theirs = pair
        theirs.sendall(raw + b"next")
        body = Body(stream, length, BadRequest)
        assert collect(body) == raw[:0] + (b"ab" if length else b"")
        rest = stream.pending or stream.receive()
        stream.pending = b""
        assert rest == b"next"


def test_a_body_until_the_end_of_the_connection(pair: Pair) -> None:
    stream, theirs = pair
    stream.pending = b"ab"
    theirs.sendall(b"cd")
    theirs.close()
    body = Body(stream, UNTIL_CLOSE, BadGateway)
    assert not body.finished
    assert collect(body) == b"abcd"
    assert (body.finished, body.read_bytes) == (True, 4)


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize(
    "size",
    [RECEIVE_BYTES - 1, RECEIVE_BYTES, RECEIVE_BYTES + 1, LARGE_BODY_BYTES, LARGE_BODY_BYTES * 3 + RECEIVE_BYTES + 17],
)
@pytest.mark.parametrize("framing", ["counted", "chunked", "until the end"])
def test_bodies_of_all_sizes(pair: Pair, size: int, large: bool, framing: str) -> None:
    stream, theirs = pair
    expected = bytes(number * 7 % 251 for number in range(1000)) * (size // 1000 + 1)
    expected = expected[:size]
    raw = chunked(expected[:70_000], expected[70_000:] or b"x") if framing == "chunked" else expected
    if framing == "chunked" and len(expected) <= 70_000:
        raw = chunked(expected)
    after = b"" if framing == "until the end" else b"next"
    stream.pending = raw[:100]

    def send() -> None:
        theirs.sendall(raw[100:] + after)
        if not after:
            theirs.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    length = {"counted": size, "chunked": CHUNKED, "until the end": UNTIL_CLOSE}[framing]
    body = Body(stream, length, BadGateway)
    assert collect(body, large) == expected
    sender.join(10)
    assert (body.finished, body.read_bytes) == (True, size)
    assert (stream.pending or stream.receive()) == after


@pytest.mark.parametrize(
    ("length", "raw", "says"),
    [
        (5, b"", "connection ended 5 bytes before the body did"),
        (5, b"abc", "connection ended 2 bytes before the body did"),
        (200_000, b"abc", "connection ended 199997 bytes before the body did"),
        (CHUNKED, b"", "connection ended within a chunked body"),
        (CHUNKED, b"5\r\nabc", "connection ended within a chunked body"),
        (CHUNKED, b"5\r\nabcde\r\n", "connection ended within a chunked body"),
        (CHUNKED, b"0\r\n", "connection ended within a chunked body"),
        (CHUNKED, b"0\r\nA: b\r\n", "connection ended within a chunked body"),
    ],
)
def test_a_connection_that_ends_within_a_body(pair: Pair, length: int, raw: bytes, says: str) -> None:
    stream, theirs = pair
    theirs.sendall(raw)
    theirs.close()
    body = Body(stream, length, BadRequest)
    with pytest.raises(PeerClosed, match=f"^{says}$"):
        collect(body)
    assert not body.finished


@pytest.mark.parametrize("error", [BadRequest, BadGateway])
@pytest.mark.parametrize("raw", [b"x\r\n", b"-1\r\n", b"1\r\nab\r\n", b"1\nab", b"0\r\nno colon\r\n\r\n"])
def test_a_malformed_body_is_the_fault_of_who_sent_it(
    pair: Pair, raw: bytes, error: type[BadRequest] | type[BadGateway]
) -> None:
    stream, theirs = pair
    theirs.sendall(raw)
    body = Body(stream, CHUNKED, error)
    with pytest.raises(error):
        collect(body)
    assert not body.finished


@pytest.mark.parametrize("length", [5, 1_000_000, CHUNKED, UNTIL_CLOSE])
def test_a_body_that_stops_coming_times_out_and_can_be_gone_on_with(pair: Pair, length: int) -> None:
    stream, theirs = pair
    stream.set_receive_timeout(0.01)
    theirs.sendall(b"4\r\nab" if length == CHUNKED else b"ab")
    body = Body(stream, length, BadRequest)
    pieces = body.pieces()
    assert bytes(next(pieces)) == b"ab"
    with pytest.raises(TimeoutError):
        next(pieces)
    assert not body.finished
    assert body.read_bytes == 2


@pytest.mark.parametrize(
    ("pending", "length", "calls"),
    [(b"", 2, 1), (b"", CHUNKED, 1), (b"", 0, 0), (b"ab", 2, 0), (b"a", 2, 0), (chunked(b"ab"), CHUNKED, 0)],
)
def test_who_waits_to_be_told_is_told_once_and_only_if_waiting(
    pair: Pair, pending: bytes, length: int, calls: int
) -> None:
    stream, theirs = pair
    stream.pending = pending
    whole = {2: b"ab", CHUNKED: chunked(b"ab"), 0: b""}[length]
    theirs.sendall(whole[len(pending) :])
    told: list[None] = []
    body = Body(stream, length, BadRequest, before_first=lambda: told.append(None))
    assert told == []
    assert collect(body) == (b"ab" if length else b"")
    assert collect(body) == b""
    assert len(told) == calls
