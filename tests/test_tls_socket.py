# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from lmcache_frontend.errors import PeerClosed
from lmcache_frontend.http1.streams import Stream
from lmcache_frontend.http1.tls_socket import SpeaksPlainHttp, TlsSocket, words_for
from tests.helpers.certificates import path_of, serving, trusting
from tests.helpers.waiting import wait_until


class Ends(NamedTuple):
    """Our socket, the plain one below it, and the other end as the standard library has it."""

    ours: TlsSocket
    raw: socket.socket
    theirs: ssl.SSLSocket


MakeEnds = Callable[..., Ends]


def tcp_pair(cleanup: ExitStack) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = cleanup.enter_context(socket.create_connection(listener.getsockname(), timeout=10))
        return cleanup.enter_context(listener.accept()[0]), theirs


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make_ends(cleanup: ExitStack) -> MakeEnds:
    """Give a function that connects our TLS, as server or as client, with the standard library's."""

    def make(*, as_server: bool = True, version: ssl.TLSVersion | None = None) -> Ends:
        raw, other = tcp_pair(cleanup)
        ours_context, theirs_context = (serving(), trusting()) if as_server else (trusting(), serving())
        if version is not None:
            theirs_context.maximum_version = version
        ours = TlsSocket(raw, ours_context, None if as_server else "localhost")
        found: list[ssl.SSLSocket] = []

        def wrap() -> None:
            name = "localhost" if as_server else None
            found.append(
                theirs_context.wrap_socket(
                    other, server_side=not as_server, server_hostname=name, suppress_ragged_eofs=False
                )
            )

        thread = threading.Thread(target=wrap)
        thread.start()
        ours.shake_hands(5.0)
        thread.join(10)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 5, 0))
        cleanup.callback(ours.close)
        return Ends(ours, raw, cleanup.enter_context(found[0]))

    return make


BOTH = pytest.mark.parametrize("as_server", [True, False])


@BOTH
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_bytes_pass_both_ways(make_ends: MakeEnds, as_server: bool, version: ssl.TLSVersion) -> None:
    ends = make_ends(as_server=as_server, version=version)
    ends.ours.sendall(b"from us")
    assert ends.theirs.recv(100) == b"from us"
    ends.theirs.sendall(b"to us")
    assert ends.ours.recv(100) == b"to us"


@BOTH
def test_much_passes_both_ways(make_ends: MakeEnds, as_server: bool) -> None:
    ends = make_ends(as_server=as_server)
    out, back = os.urandom(3_000_000), os.urandom(2_500_000)
    received, echoed = bytearray(), bytearray()

    def talk() -> None:
        while len(received) < len(out):
            received.extend(ends.theirs.recv(70_000))
        # The standard library's own is not to be used by two threads at once.
        ends.theirs.sendall(back)

    threads = [threading.Thread(target=talk), threading.Thread(target=lambda: ends.ours.sendall(memoryview(out)))]
    for thread in threads:
        thread.start()
    buffer = memoryview(bytearray(100_000))
    while len(echoed) < len(back):
        size = ends.ours.recv_into(buffer)
        assert size
        echoed += buffer[:size]
    for thread in threads:
        thread.join(20)
    assert (bytes(received), bytes(echoed)) == (out, back)


def test_both_ends_send_and_receive_at_once(cleanup: ExitStack) -> None:
    raw, other = tcp_pair(cleanup)
    other.settimeout(None)
    ends = [TlsSocket(raw, serving()), TlsSocket(other, trusting(), "localhost")]
    for end in ends:
        cleanup.callback(end.close)
    data = os.urandom(6_000_000)
    found: list[bytearray] = [bytearray(), bytearray()]

    def receive(number: int) -> None:
        buffer = memoryview(bytearray(50_000))
        while len(found[number]) < len(data):
            found[number] += buffer[: ends[number].recv_into(buffer)]

    def together(works: list[Callable[[], None]]) -> None:
        threads = [threading.Thread(target=work) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    together([lambda: ends[0].shake_hands(10.0), lambda: ends[1].shake_hands(10.0)])
    together(
        [
            lambda: receive(0),
            lambda: receive(1),
            lambda: ends[0].sendall(data),
            lambda: ends[1].sendall(data),
        ]
    )
    assert [bytes(part) == data for part in found] == [True, True]


def test_one_thread_may_send_while_another_waits_to_receive(make_ends: MakeEnds) -> None:
    ends = make_ends()
    found: list[bytes] = []
    waiting = threading.Thread(target=lambda: found.append(ends.ours.recv(10)))
    waiting.start()
    ends.ours.sendall(b"x" * 200_000)
    taken = 0
    while taken < 200_000:
        taken += len(ends.theirs.recv(65536))
    ends.theirs.sendall(b"answer")
    waiting.join(10)
    assert found == [b"answer"]


def test_small_receives_give_the_rest_later(make_ends: MakeEnds) -> None:
    ends = make_ends()
    ends.theirs.sendall(b"abcdef")
    assert [ends.ours.recv(2), ends.ours.recv(1), ends.ours.recv(9)] == [b"ab", b"c", b"def"]


def test_a_look_takes_nothing(make_ends: MakeEnds) -> None:
    ends = make_ends()
    look = socket.MSG_PEEK | socket.MSG_DONTWAIT
    with pytest.raises(BlockingIOError):
        ends.ours.recv(1, look)
    ends.theirs.sendall(b"abc")
    wait_until(lambda: _look(ends.ours) == b"a")
    assert ends.ours.recv(2, look) == b"ab"
    buffer = memoryview(bytearray(10))
    assert (ends.ours.recv_into(buffer), bytes(buffer[:3])) == (3, b"abc")


def _look(sock: TlsSocket) -> bytes | None:
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None


def test_all_can_be_waited_for(make_ends: MakeEnds) -> None:
    ends = make_ends()
    data = os.urandom(60_000)

    def send() -> None:
        for first in range(0, len(data), 7000):
            ends.theirs.sendall(data[first : first + 7000])

    thread = threading.Thread(target=send)
    thread.start()
    assert ends.ours.recv(60_000, socket.MSG_WAITALL) == data
    thread.join(10)


def test_what_came_before_the_time_passed_is_given(make_ends: MakeEnds) -> None:
    ends = make_ends()
    ends.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 50_000))
    ends.theirs.sendall(b"part")
    assert ends.ours.recv(100, socket.MSG_WAITALL) == b"part"
    with pytest.raises(BlockingIOError):
        ends.ours.recv(100)


def test_an_end_is_an_end_and_a_break_is_none(make_ends: MakeEnds) -> None:
    ends = make_ends()
    ends.theirs.sendall(b"last")
    with contextlib.suppress(OSError):
        ends.theirs.settimeout(0.1)
        ends.theirs.unwrap()
    assert [ends.ours.recv(10), ends.ours.recv(10), ends.ours.recv(10)] == [b"last", b"", b""]
    cut = make_ends()
    cut.theirs.sendall(b"last")
    # Closing below TLS: somebody on the way could do that too.
    with socket.socket(fileno=os.dup(cut.theirs.fileno())) as below:
        below.shutdown(socket.SHUT_WR)
    assert cut.ours.recv(10) == b"last"
    for _ in range(2):
        with pytest.raises(OSError, match="without the end that TLS has"):
            cut.ours.recv(10)


@BOTH
def test_closing_is_told_and_breaking_is_not(make_ends: MakeEnds, as_server: bool) -> None:
    ends = make_ends(as_server=as_server)
    ends.ours.close()
    assert ends.theirs.recv(10) == b""
    broken = make_ends(as_server=as_server)
    Stream(broken.ours, send_timeout_s=5.0).reset_at_close()
    broken.ours.close()
    with pytest.raises(OSError, match="reset|EOF"):
        broken.theirs.recv(10)


def test_half_an_end_lets_the_last_words_arrive(make_ends: MakeEnds) -> None:
    ends = make_ends()
    # Unread data would make the kernel reset the connection.
    ends.theirs.sendall(b"u" * 100_000)
    ends.ours.sendall(b"words")
    found: list[bytes] = []

    def read() -> None:
        while piece := ends.theirs.recv(100):
            found.append(piece)
        ends.theirs.close()

    thread = threading.Thread(target=read)
    thread.start()
    Stream(ends.ours, send_timeout_s=5.0).drain_and_close()
    thread.join(10)
    assert found == [b"words"]
    assert ends.ours.fileno() < 0


def test_what_is_sent_in_parts_arrives_whole(make_ends: MakeEnds) -> None:
    ends = make_ends()
    ends.raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 50_000))
    ends.raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data = os.urandom(1_000_000)
    view = memoryview(data)
    with contextlib.suppress(BlockingIOError):
        while view:
            view = view[ends.ours.send(view) :]
    assert view
    received = bytearray()

    def read() -> None:
        while len(received) < len(data):
            received.extend(ends.theirs.recv(65536))

    thread = threading.Thread(target=read)
    thread.start()
    while view:
        view = view[ends.ours.send(view) :]
    thread.join(10)
    assert bytes(received) == data


def test_streams_tell_quiet_from_gone(make_ends: MakeEnds) -> None:
    ends = make_ends(as_server=False)
    stream = Stream(ends.ours, send_timeout_s=5.0)
    # A server of TLS 1.3 sends tickets that nobody asked for and that are nobody's answer.
    ends.theirs.sendall(b"x")
    assert stream.receive(1) == b"x"
    assert stream.is_quiet()
    assert not stream.peer_is_gone()
    assert not stream.has_ahead()
    ends.theirs.sendall(b"unasked")
    wait_until(lambda: not stream.is_quiet())
    assert not stream.peer_is_gone()
    assert stream.has_ahead()
    assert stream.receive() == b"unasked"
    ends.theirs.close()
    wait_until(stream.peer_is_gone)
    assert not stream.is_quiet()


def test_a_handshake_has_a_time_limit(cleanup: ExitStack) -> None:
    for first in (b"", b"\x16\x03\x01"):
        raw, theirs = tcp_pair(cleanup)
        theirs.sendall(first)
        with pytest.raises(TimeoutError):
            TlsSocket(raw, serving()).shake_hands(0.05)


def test_a_slow_handshake_has_the_same_limit(cleanup: ExitStack) -> None:
    raw, theirs = tcp_pair(cleanup)
    over = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            theirs.sendall(b"\x16\x03\x01\x02\x00")
            while not over.wait(0.01):
                theirs.sendall(b"\x01")

    thread = threading.Thread(target=drip)
    thread.start()
    with pytest.raises((TimeoutError, OSError)):
        TlsSocket(raw, serving()).shake_hands(0.2)
    over.set()
    thread.join(10)


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n", b"DELETE /x HTTP/1.1\r\n"])
def test_plain_http_is_known_as_such(cleanup: ExitStack, said: bytes) -> None:
    raw, theirs = tcp_pair(cleanup)
    theirs.sendall(said)
    with pytest.raises(SpeaksPlainHttp):
        TlsSocket(raw, serving()).shake_hands(5.0)


@pytest.mark.parametrize(
    "said", [b"\x80\x2e\x01\x00\x02 old", b"\0" * 50, b"SSH-2.0-x\r\n", b"\x16\x03\x01\x00\x05hello"]
)
def test_what_is_no_tls_is_refused(cleanup: ExitStack, said: bytes) -> None:
    raw, theirs = tcp_pair(cleanup)
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        TlsSocket(raw, serving()).shake_hands(5.0)
    assert not isinstance(caught.value, (ssl.SSLError, SpeaksPlainHttp))
    assert caught.value.strerror


def handshake_fault(cleanup: ExitStack, server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Shake hands with a server as a client, and give what the client says of it."""
    raw, other = tcp_pair(cleanup)

    def serve() -> None:
        with contextlib.suppress(OSError), server.wrap_socket(other, server_side=True) as sock:
            sock.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    ours = TlsSocket(raw, client, name)
    try:
        ours.shake_hands(5.0)
        # Of version 1.3 a client learns only then that it was refused.
        ours.recv(1)
        return ""
    except OSError as exc:
        return str(exc.strerror)
    finally:
        ours.close()
        thread.join(10)


@pytest.mark.parametrize(
    ("certificate", "name", "says"),
    [
        ("expired", "localhost", "its certificate has expired"),
        ("self_signed", "localhost", "its certificate is signed by itself and not trusted here"),
        ("other_name", "localhost", "its certificate is for another name: "),
        ("server", "10.0.0.1", "its certificate is for another name: "),
        ("server", "elsewhere.test", "its certificate is for another name: "),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(cleanup: ExitStack, certificate: str, name: str, says: str) -> None:
    assert handshake_fault(cleanup, serving(certificate), trusting(), name).startswith(says)


def test_an_authority_that_is_not_trusted_is_said(cleanup: ExitStack) -> None:
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.load_verify_locations(path_of("self_signed"))
    words = handshake_fault(cleanup, serving(), nobody, "localhost")
    assert words == "its certificate is signed by an authority that is not trusted here"


def test_a_node_that_wants_a_certificate_is_said_to(cleanup: ExitStack) -> None:
    words = handshake_fault(cleanup, serving(client_ca=True), trusting(), "localhost")
    assert words == "it asks for a client certificate"


def test_a_reason_that_is_not_known_is_given_as_it_is() -> None:
    fault = ssl.SSLError(1, "[SSL: BAD_ECPOINT] bad ecpoint")
    fault.reason = "BAD_ECPOINT"
    assert words_for(fault) == "TLS failed: bad ecpoint"
    assert words_for(ssl.SSLError(1, "?")) == "TLS failed: for no reason given"


def test_a_stream_says_that_a_connection_broke(make_ends: MakeEnds) -> None:
    ends = make_ends()
    stream = Stream(ends.ours, send_timeout_s=5.0)
    with socket.socket(fileno=os.dup(ends.theirs.fileno())) as below:
        below.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    with pytest.raises(PeerClosed, match="TLS failed: "):
        stream.receive()
