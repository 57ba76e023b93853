# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lmcache_frontend.errors import HeadTooLarge, PeerClosed, RequestTimeout
from lmcache_frontend.http1.heads import HEAD_LIMIT_BYTES
from lmcache_frontend.http1.streams import (
    DRAIN_LIMIT_BYTES,
    Stream,
    read_request_head,
)
from tests.helpers.waiting import wait_until

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


@pytest.fixture
def make_tcp_pair() -> Iterator[MakePair]:
    """Give a function that gives a stream over TCP and the socket at its other end."""
    with ExitStack() as cleanup:

        def make() -> Pair:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                theirs = cleanup.enter_context(socket.create_connection(listener.getsockname(), timeout=10))
                ours = cleanup.enter_context(listener.accept()[0])
            stream = Stream(ours, send_timeout_s=5.0)
            stream.set_receive_timeout(5.0)
            return stream, theirs

        yield make


def reset(sock: socket.socket) -> None:
    """Close a TCP connection with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def limit(sock: socket.socket, option: int) -> float:
    seconds, microseconds = struct.unpack("@ll", sock.getsockopt(socket.SOL_SOCKET, option, 16))
    return float(seconds + microseconds / 1e6)


@pytest.mark.parametrize(
    ("timeout_s", "at_least_s", "at_most_s"),
    [(2.5, 2.5, 2.55), (86400.0, 86400.0, 86401.0), (0.25, 0.25, 0.3), (0.0, 0.001, 0.05), (-1.0, 0.001, 0.05)],
)
def test_time_limits_are_the_kernels(pair: Pair, timeout_s: float, at_least_s: float, at_most_s: float) -> None:
    stream, _ = pair
    stream.set_receive_timeout(timeout_s)
    assert at_least_s <= limit(stream.sock, socket.SO_RCVTIMEO) <= at_most_s
    assert 5.0 <= limit(stream.sock, socket.SO_SNDTIMEO) <= 5.05
    assert stream.sock.gettimeout() is None


def test_small_messages_go_at_once_over_tcp(make_tcp_pair: MakePair) -> None:
    stream, _ = make_tcp_pair()
    assert stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_receive_gives_what_was_read_ahead_first(pair: Pair) -> None:
    stream, theirs = pair
    theirs.sendall(b"later")
    stream.pending = b"ahead"
    assert stream.receive(3) == b"ahe"
    assert stream.receive(3) == b"ad"
    assert stream.receive(3) == b"lat"
    assert stream.receive() == b"er"
    theirs.close()
    assert stream.receive() == b""
    assert stream.receive() == b""


def test_receive_waits_no_longer_than_it_may(pair: Pair) -> None:
    stream, theirs = pair
    stream.set_receive_timeout(0.01)
    with pytest.raises(TimeoutError):
        stream.receive()
    with pytest.raises(TimeoutError):
        stream.receive_into(memoryview(bytearray(10)))
    theirs.sendall(b"x")
    assert stream.receive() == b"x"


def test_a_broken_connection_is_said_to_be_broken(make_tcp_pair: MakePair) -> None:
    for use in (
        lambda stream: stream.receive(),
        lambda stream: stream.receive_into(memoryview(bytearray(10))),
        lambda stream: read_request_head(stream, idle_timeout_s=5.0, head_timeout_s=5.0),
        lambda stream: [stream.send(b"x" * 65536) for _ in range(100)],
    ):
        stream, theirs = make_tcp_pair()
        reset(theirs)
        with pytest.raises(PeerClosed, match=r"^connection broken: (Connection reset by peer|Broken pipe)$"):
            use(stream)


def test_a_send_gives_up_when_nothing_is_taken() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = Stream(ours, send_timeout_s=0.05)
        with pytest.raises(PeerClosed, match=r"^the other side took nothing for too long$"):
            stream.send(b"x" * 16_000_000)


def test_send_sends_everything(pair: Pair) -> None:
    stream, theirs = pair
    data = memoryview(bytes(range(256)) * 8000)
    received = bytearray()

    def read() -> None:
        while len(received) < len(data):
            received.extend(theirs.recv(65536))

    reader = threading.Thread(target=read)
    reader.start()
    stream.send(data)
    reader.join(10)
    assert received == data


@pytest.mark.parametrize(
    ("pending", "head", "rest"),
    [
        (b"", None, b""),
        (b"GET / HTTP/1.1\r\n", None, b"GET / HTTP/1.1\r\n"),
        (b"A\r\n\r", None, b"A\r\n\r"),
        (b"A\n\n", None, b"A\n\n"),
        (b"A\r\n\r\n", b"A\r\n\r\n", b""),
        (b"A\r\nB: c\r\n\r\nbody\r\n\r\n", b"A\r\nB: c\r\n\r\n", b"body\r\n\r\n"),
        (b"\r\n\r\n", b"\r\n\r\n", b""),
        (b"x" * HEAD_LIMIT_BYTES, None, b"x" * HEAD_LIMIT_BYTES),
        (b"x" * (HEAD_LIMIT_BYTES - 4) + b"\r\n\r\nrest", b"x" * (HEAD_LIMIT_BYTES - 4) + b"\r\n\r\n", b"rest"),
    ],
)
def test_a_whole_head_is_taken(pair: Pair, pending: bytes, head: bytes | None, rest: bytes) -> None:
    stream, _ = pair
    stream.pending = pending
    assert stream.take_head() == head
    assert stream.pending == rest


@pytest.mark.parametrize(
    ("pending", "says"),
    [
        (b"x" * (HEAD_LIMIT_BYTES + 1), "head of over 65536 bytes"),
        (b"x" * (HEAD_LIMIT_BYTES - 3) + b"\r\n\r\n", "head of 65537 bytes, at most 65536 are taken"),
    ],
)
def test_a_head_past_the_limit_is_refused(pair: Pair, pending: bytes, says: str) -> None:
    stream, _ = pair
    stream.pending = pending
    with pytest.raises(HeadTooLarge, match=f"^{says}$"):
        stream.take_head()


def test_whether_the_peer_has_gone(make_tcp_pair: MakePair) -> None:
    stream, theirs = make_tcp_pair()
    assert not stream.peer_is_gone()
    theirs.sendall(b"more")
    assert not stream.peer_is_gone()
    assert stream.receive() == b"more"
    assert not stream.peer_is_gone()
    theirs.shutdown(socket.SHUT_WR)
    wait_until(stream.peer_is_gone)
    stream.pending = b"read ahead"
    assert not stream.peer_is_gone()

    stream, theirs = make_tcp_pair()
    theirs.sendall(b"last words")
    theirs.close()
    assert not stream.peer_is_gone()
    assert stream.receive() == b"last words"
    wait_until(stream.peer_is_gone)

    stream, theirs = make_tcp_pair()
    reset(theirs)
    wait_until(stream.peer_is_gone)

    stream, _ = make_tcp_pair()
    stream.close()
    assert stream.peer_is_gone()


def test_our_last_answer_arrives_although_more_was_sent_than_we_read(make_tcp_pair: MakePair) -> None:
    stream, theirs = make_tcp_pair()
    answered = threading.Event()
    received = bytearray()

    def talk() -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(8):
                theirs.sendall(b"x" * 65536)
            assert answered.wait(10)
        while piece := theirs.recv(65536):
            received.extend(piece)
        theirs.close()

    talker = threading.Thread(target=talk)
    talker.start()
    stream.pending = b"x"
    stream.send(b"HTTP/1.1 413 Content Too Large\r\n\r\n")
    answered.set()
    stream.drain_and_close()
    talker.join(10)
    assert received == b"HTTP/1.1 413 Content Too Large\r\n\r\n"
    assert stream.sock.fileno() < 0
    assert stream.pending == b""


def test_who_never_stops_talking_is_cut_off(make_tcp_pair: MakePair) -> None:
    stream, theirs = make_tcp_pair()
    sent: list[int] = []

    def talk() -> None:
        with contextlib.suppress(OSError):
            for _ in range(100_000):
                sent.append(theirs.send(b"x" * 65536))

    talker = threading.Thread(target=talk)
    talker.start()
    stream.drain_and_close()
    talker.join(20)
    assert not talker.is_alive()
    assert DRAIN_LIMIT_BYTES <= sum(sent) < 100_000 * 65536


def test_draining_a_connection_that_is_gone_closes_it(make_tcp_pair: MakePair) -> None:
    stream, theirs = make_tcp_pair()
    reset(theirs)
    stream.drain_and_close()
    assert stream.sock.fileno() < 0
    stream.drain_and_close()
    stream.close()


HEAD = b"GET / HTTP/1.1\r\nHost: n\r\n\r\n"


def read_head(stream: Stream, idle_timeout_s: float = 5.0, head_timeout_s: float = 5.0) -> bytes | None:
    return read_request_head(stream, idle_timeout_s=idle_timeout_s, head_timeout_s=head_timeout_s)


@pytest.mark.parametrize(
    ("pending", "sent", "head", "rest"),
    [
        (b"", HEAD, HEAD, b""),
        (HEAD, b"", HEAD, b""),
        (b"", HEAD + b"body", HEAD, b"body"),
        (HEAD + HEAD, b"", HEAD, HEAD),
        (HEAD[:10], HEAD[10:], HEAD, b""),
        (b"", b"\r\n" + HEAD, HEAD, b""),
        (b"\r\n" + HEAD, b"", HEAD, b""),
        (b"\r\n", HEAD, HEAD, b""),
        (b"\r", b"\n" + HEAD, HEAD, b""),
        (b"\r\n" + HEAD[:5], HEAD[5:], HEAD, b""),
    ],
)
def test_a_request_head_is_read(pair: Pair, pending: bytes, sent: bytes, head: bytes, rest: bytes) -> None:
    stream, theirs = pair
    stream.pending = pending
    theirs.sendall(sent)
    assert read_head(stream) == head
    assert stream.pending == rest


def test_a_request_head_may_come_a_byte_at_a_time(pair: Pair) -> None:
    stream, theirs = pair
    raw = b"\r\n" + HEAD

    def send() -> None:
        for byte in raw:
            theirs.sendall(bytes([byte]))

    sender = threading.Thread(target=send)
    sender.start()
    assert read_head(stream) == HEAD
    sender.join(10)


def test_nothing_more_to_say_is_no_error(pair: Pair) -> None:
    stream, theirs = pair
    assert read_head(stream, idle_timeout_s=0.01) is None
    theirs.close()
    assert read_head(stream) is None


@pytest.mark.parametrize("raw", [b"GET / HT", b"\r\n\r\nG"])
def test_a_connection_that_ends_within_a_head(pair: Pair, raw: bytes) -> None:
    stream, theirs = pair
    theirs.sendall(raw)
    theirs.close()
    with pytest.raises(PeerClosed, match=r"^connection ended within a request head$"):
        read_head(stream)


def test_the_time_for_a_head_is_for_all_of_it(pair: Pair) -> None:
    stream, theirs = pair
    ended = threading.Event()
    theirs.sendall(b"G")

    def trickle() -> None:
        for _ in range(500):
            if ended.wait(0.02):
                return
            theirs.sendall(b"G")

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        with pytest.raises(RequestTimeout, match=r"^no whole request head within 0\.1 s$"):
            read_head(stream, head_timeout_s=0.1)
    finally:
        ended.set()
        sender.join(10)


def test_a_head_past_the_limit_is_refused_while_it_comes(pair: Pair) -> None:
    stream, theirs = pair

    def send() -> None:
        with contextlib.suppress(OSError):
            for _ in range(200):
                theirs.sendall(b"X: " + b"x" * 1000 + b"\r\n")

    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(HeadTooLarge):
        read_head(stream)
    stream.close()
    sender.join(10)
