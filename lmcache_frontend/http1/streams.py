# SPDX-License-Identifier: Apache-2.0
"""A connected socket with what was read ahead, and a message body read from it piece by piece.

Time-outs are set in the kernel (``SO_RCVTIMEO``, ``SO_SNDTIMEO``): with Python's own each read would cost a ``poll``
more, which shows at thousands of requests per second. Who may wait how long is decided by the callers.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from lmcache_frontend.errors import FrontendError, HeadTooLarge, PeerClosed, RequestTimeout, UriTooLong
from lmcache_frontend.http1.framing import CHUNKED, UNTIL_CLOSE, ChunkDecoder
from lmcache_frontend.http1.heads import HEAD_LIMIT_BYTES, check_beginning

RECEIVE_BYTES = 64 * 1024
LARGE_BODY_BYTES = 256 * 1024
DRAIN_LIMIT_BYTES = 1024 * 1024
DRAIN_LIMIT_S = 2.0


class Wire(Protocol):
    """What a stream asks of its socket: a plain one has it, and so has one that speaks TLS."""

    @property
    def family(self) -> int:
        """Give the address family."""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Receive into a buffer."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Send some."""

    def sendall(self, data: bytes | memoryview, /) -> None:
        """Send everything."""

    def shutdown(self, how: int, /) -> None:
        """End one way or both."""

    def close(self) -> None:
        """Close."""

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        """Set an option."""

    def setblocking(self, flag: bool, /) -> None:
        """Wait, or not."""

    def fileno(self) -> int:
        """Give the descriptor."""

    def getsockname(self) -> Any:
        """Give our own address."""


class Stream:
    """One connected stream socket, TCP or Unix, plain or with TLS."""

    __slots__ = ("facts", "is_secure", "pending", "receive_timeout_s", "sock")

    def __init__(self, sock: Wire, *, send_timeout_s: float) -> None:
        """Take over a connected socket; a send without progress for so long fails."""
        self.sock = sock
        self.is_secure = not isinstance(sock, socket.socket)
        self.pending = b""
        # What the users of the stream work out once for a connection, each under a key of its own.
        self.facts: dict[str, Any] = {}
        self.receive_timeout_s = -1.0
        sock.setblocking(True)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(send_timeout_s))

    def set_receive_timeout(self, timeout_s: float) -> None:
        """Let each receive wait at most so long."""
        if timeout_s != self.receive_timeout_s:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(timeout_s))
            self.receive_timeout_s = timeout_s

    def receive(self, size: int = RECEIVE_BYTES) -> bytes:
        """Give what was read ahead, else what comes next; empty at the end.

        Raises: TimeoutError when nothing came in time, PeerClosed when the connection broke.
        """
        if self.pending:
            data, self.pending = self.pending[:size], self.pending[size:]
            return data
        try:
            return self.sock.recv(size)
        except BlockingIOError as exc:
            raise TimeoutError from exc
        except OSError as exc:
            raise PeerClosed(f"connection broken: {exc.strerror}") from exc

    def receive_into(self, buffer: memoryview) -> int:
        """Fill a buffer with what comes next and give the number of bytes; `receive` must have emptied ``pending``."""
        try:
            return self.sock.recv_into(buffer)
        except BlockingIOError as exc:
            raise TimeoutError from exc
        except OSError as exc:
            raise PeerClosed(f"connection broken: {exc.strerror}") from exc

    def send(self, data: bytes | memoryview) -> None:
        """Send everything.

        Raises: PeerClosed when the connection broke or took nothing for the whole time-out.
        """
        try:
            self.sock.sendall(data)
        except BlockingIOError as exc:
            raise PeerClosed("the other side took nothing for too long") from exc
        except OSError as exc:
            raise PeerClosed(f"connection broken: {exc.strerror}") from exc

    def take_head(self) -> bytes | None:
        """Take a whole head out of what was read ahead, or None while it is incomplete.

        Raises: HeadTooLarge.
        """
        end = self.pending.find(b"\r\n\r\n")
        if end < 0:
            if len(self.pending) > HEAD_LIMIT_BYTES:
                raise HeadTooLarge(f"head of over {HEAD_LIMIT_BYTES} bytes")
            return None
        end += 4
        if end > HEAD_LIMIT_BYTES:
            raise HeadTooLarge(f"head of {end} bytes, at most {HEAD_LIMIT_BYTES} are taken")
        head, self.pending = self.pending[:end], self.pending[end:]
        return head

    def peer_is_gone(self) -> bool:
        """Say, without waiting, whether the other side has closed; bytes it sent stay to be read."""
        if self.pending:
            return False
        try:
            return not self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def is_quiet(self) -> bool:
        """Say, without waiting, whether the connection is open and nothing has come that was not asked for."""
        if self.pending:
            return False
        try:
            self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def has_ahead(self) -> bool:
        """Say whether there is something to receive that waiting at the socket would not show."""
        return bool(self.pending) or (self.is_secure and not self.is_quiet())

    def reset_at_close(self) -> None:
        """Let closing break the connection, where a regular end would make a part look like the whole."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))

    def drain_and_close(self) -> None:
        """Close so that the other side can still read our last answer: half-close, swallow a little, close.

        Closing with unread input makes the kernel reset the connection, which may destroy the answer on its way.
        """
        deadline = time.monotonic() + DRAIN_LIMIT_S
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
            self.pending = b""
            left = DRAIN_LIMIT_BYTES
            while left > 0 and (remaining_s := deadline - time.monotonic()) > 0:
                self.set_receive_timeout(remaining_s)
                taken = len(self.sock.recv(RECEIVE_BYTES))
                if not taken:
                    break
                left -= taken
        self.close()

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self.sock.close()


class Body:
    """A message body on a stream, read once, piece by piece."""

    __slots__ = (
        "_before_first",
        "_decoder",
        "_error",
        "_remaining",
        "_stream",
        "before_receive",
        "finished",
        "length",
        "read_bytes",
    )

    def __init__(
        self,
        stream: Stream,
        length: int,
        error: type[FrontendError],
        *,
        before_first: Callable[[], None] | None = None,
    ) -> None:
        """Take the stream, a body length as `framing` gives it, and the error class for a malformed body."""
        self._stream = stream
        self.length = length
        self._error = error
        self._before_first = before_first
        # Called before each wait for more bytes, after the first.
        self.before_receive: Callable[[], None] | None = None
        self._decoder = ChunkDecoder(error) if length == CHUNKED else None
        self._remaining = length
        self.read_bytes = 0
        self.finished = length == 0

    def pieces(self, *, large: bool = True) -> Iterator[bytes | memoryview]:
        """Yield the body as it comes; a piece is valid until the next is asked for.

        Raises: TimeoutError, PeerClosed (the connection broke or ended before the body did), and the error class of
        the body where it is malformed.
        """
        if self.finished:
            return
        if self._before_first is not None and not self._stream.pending:
            self._before_first()
            self._before_first = None
        if self._decoder is not None:
            yield from self._chunked_pieces(self._decoder)
        elif self.length == UNTIL_CLOSE:
            while data := self._stream.receive():
                self.read_bytes += len(data)
                yield data
            self.finished = True
        else:
            yield from self._counted_pieces(large)

    def _wait(self) -> None:
        if self.before_receive is not None and self.read_bytes and not self._stream.pending:
            self.before_receive()

    def _counted_pieces(self, large: bool) -> Iterator[bytes | memoryview]:
        stream = self._stream
        while self._remaining and (stream.pending or self._remaining <= RECEIVE_BYTES or not large):
            self._wait()
            data = stream.receive(min(self._remaining, RECEIVE_BYTES))
            self._count(len(data))
            yield data
        if self._remaining:
            buffer = memoryview(bytearray(LARGE_BODY_BYTES))
            while self._remaining:
                self._wait()
                size = stream.receive_into(buffer[: min(self._remaining, LARGE_BODY_BYTES)])
                self._count(size)
                yield buffer[:size]

    def _count(self, size: int) -> None:
        if not size:
            raise PeerClosed(f"connection ended {self._remaining} bytes before the body did")
        self.read_bytes += size
        self._remaining -= size
        self.finished = not self._remaining

    def _chunked_pieces(self, decoder: ChunkDecoder) -> Iterator[memoryview]:
        while not decoder.finished:
            self._wait()
            data = self._stream.receive()
            if not data:
                raise PeerClosed("connection ended within a chunked body")
            for piece in decoder.feed(data):
                self.read_bytes += len(piece)
                yield piece
        self._stream.pending = decoder.leftover + self._stream.pending
        self.finished = True


def read_request_head(stream: Stream, *, idle_timeout_s: float, head_timeout_s: float) -> bytes | None:
    """Wait for the next request head; None where the client has nothing more to say.

    Empty lines before it are skipped (RFC 9112 section 2.2). Raises: RequestTimeout, HeadTooLarge, UriTooLong,
    BadRequest for bytes that cannot become a head, PeerClosed.
    """
    while True:
        if not stream.pending:
            stream.set_receive_timeout(idle_timeout_s)
            try:
                stream.pending = stream.sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return None
            except OSError as exc:
                raise PeerClosed(f"connection broken: {exc.strerror}") from exc
            if not stream.pending:
                return None
        head = _take_request_head(stream)
        if head is not None:
            return head
        if stream.pending:
            return _rest_of_head(stream, head_timeout_s)


def _take_request_head(stream: Stream) -> bytes | None:
    """Take the head where it is whole; refuse at once what can never become one, lest it be waited for."""
    while stream.pending.startswith(b"\r\n"):
        stream.pending = stream.pending[2:]
    try:
        head = stream.take_head()
    except HeadTooLarge:
        if stream.pending.find(b"\r\n", 0, HEAD_LIMIT_BYTES) < 0:
            raise UriTooLong(f"request line of over {HEAD_LIMIT_BYTES} bytes") from None
        raise
    if head is None and stream.pending != b"\r":
        check_beginning(stream.pending)
    return head


def _rest_of_head(stream: Stream, head_timeout_s: float) -> bytes:
    """Read on until the head is whole; the time-out is for all of it, since a byte now and then must not hold us."""
    deadline_s = time.monotonic() + head_timeout_s
    while True:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise RequestTimeout(f"no whole request head within {head_timeout_s:g} s")
        stream.set_receive_timeout(remaining_s)
        try:
            data = stream.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            continue
        except OSError as exc:
            raise PeerClosed(f"connection broken: {exc.strerror}") from exc
        if not data:
            raise PeerClosed("connection ended within a request head")
        stream.pending += data
        head = _take_request_head(stream)
        if head is not None:
            return head


def timeval(seconds: float) -> bytes:
    """Give the ``struct timeval`` of a time-out; the kernel takes zero as "for ever", so at least a millisecond."""
    whole, fraction = divmod(max(seconds, 0.001), 1)
    return struct.pack("@ll", int(whole), int(fraction * 1_000_000))
