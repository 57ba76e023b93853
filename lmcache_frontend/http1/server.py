# SPDX-License-Identifier: Apache-2.0
"""The server shell: accepts connections, reads requests from each in a thread of its own, answers errors once.

What a request means is the handler's business: a callable that takes an `Exchange` and either responds through it or
writes to its stream itself. A `FrontendError` raised before anything was sent becomes ``{"detail": "..."}``.

Source: RFC 9112 section 9 (connections), RFC 9110 section 10.1.1 (``Expect``).
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from _thread import start_new_thread
from collections.abc import Callable, Iterable
from http.server import ThreadingHTTPServer
from socketserver import BaseRequestHandler
from typing import Any, NamedTuple

from lmcache_frontend.errors import (
    BadRequest,
    ContentTooLarge,
    ExpectationFailed,
    FrontendError,
    PeerClosed,
    RequestTimeout,
    ServiceUnavailable,
)
from lmcache_frontend.http1 import heads
from lmcache_frontend.http1.framing import request_body_length
from lmcache_frontend.http1.streams import Body, Stream, read_request_head

logger = logging.getLogger(__name__)

BODY_LIMIT_BYTES = 1024 * 1024
TURNED_AWAY_AT_ONCE = 64

Handler = Callable[["Exchange"], None]


class Limits(NamedTuple):
    """How long a client may take, and how many there may be.

    ``idle_timeout_s`` is nginx's keepalive_timeout; the rest lies below nginx's 60 s, as clients here are near.
    """

    head_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    body_timeout_s: float = 30.0
    max_connections: int = 1024


class Exchange:
    """One request and the answer to it."""

    __slots__ = ("body", "close_after", "peer", "request", "started", "status", "stream")

    def __init__(self, request: heads.RequestHead, stream: Stream, peer: Any, length: int) -> None:
        """Take a parsed head, the client's stream and address, and the length of the body that follows."""
        self.request = request
        self.stream = stream
        self.peer = peer
        self.started = False
        self.status = 0
        self.close_after = not heads.is_persistent(request)
        expects = request.combined.get("expect")
        if expects is not None and expects.lower() != "100-continue":
            raise ExpectationFailed(f"Expect is {expects[:40]!r}, expected '100-continue'")
        waits = expects is not None and request.minor_version > 0
        self.body = Body(stream, length, BadRequest, before_first=self._go_on if waits else None)

    def read_body(self, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
        """Read the whole body.

        Raises: ContentTooLarge, BadRequest, RequestTimeout, PeerClosed.
        """
        if self.body.length > limit_bytes:
            raise ContentTooLarge(f"body of {self.body.length} bytes, at most {limit_bytes} are taken")
        parts = bytearray()
        try:
            for piece in self.body.pieces(large=False):
                parts += piece
                if len(parts) > limit_bytes:
                    raise ContentTooLarge(f"body of over {limit_bytes} bytes")
        except TimeoutError as exc:
            raise RequestTimeout("the request body stopped coming") from exc
        return bytes(parts)

    def respond(
        self,
        status: int,
        body: bytes = b"",
        content_type: str = "application/json",
        fields: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Send a whole response; for HEAD, 204 and 304 without its body."""
        has_body = status >= 200 and status not in (204, 304)
        if not self.body.finished:
            self.close_after = True
        answer = [("Date", http_date(time.time()))]
        if has_body:
            answer += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        answer += fields
        answer += self.persistence_fields()
        self.started = True
        self.status = status
        head = heads.render_response(status, answer)
        self.stream.send(head + body if has_body and self.request.method != "HEAD" else head)

    def respond_pieces(
        self, status: int, pieces: Iterable[bytes], content_type: str, fields: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Send a response piece by piece as the pieces come, without knowing their length before."""
        chunked = self.request.minor_version > 0
        if not chunked or not self.body.finished:
            self.close_after = True
        answer = [("Date", http_date(time.time())), ("Content-Type", content_type), *fields]
        if chunked:
            answer.append(("Transfer-Encoding", "chunked"))
        answer += self.persistence_fields()
        self.started = True
        self.status = status
        self.stream.send(heads.render_response(status, answer))
        if self.request.method == "HEAD":
            return
        for piece in pieces:
            if piece:
                self.stream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.stream.send(b"0\r\n\r\n")

    def persistence_fields(self) -> tuple[tuple[str, str], ...]:
        """Give the ``Connection`` field that tells the client what becomes of the connection."""
        if self.close_after:
            return (("Connection", "close"),)
        return () if self.request.minor_version else (("Connection", "keep-alive"),)

    def _go_on(self) -> None:
        self.stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")


class Server(ThreadingHTTPServer):
    """A listening socket with a thread for each connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handle: Handler, limits: Limits = Limits()) -> None:
        """Bind and listen; ``handle`` may be called in many threads at once.

        The base class wants a handler class, which stays unused: connections are served by `serve_connection`.

        Raises: OSError where the address cannot be bound.
        """
        self._handle = handle
        self.limits = limits
        self.connections = Connections()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, BaseRequestHandler)

    def server_bind(self) -> None:
        """Bind without the reverse name look-up of the base class, which can take seconds."""
        if self.address_family == socket.AF_INET6 and self.server_address[0] == "::":
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve an accepted connection in a new thread, or turn it away where there are too many."""
        excess = self.connections.count - self.limits.max_connections
        if excess >= TURNED_AWAY_AT_ONCE:
            request.close()
            return
        self.connections.opened(request)
        serve = self._serve if excess < 0 else self._turn_away
        try:
            # `Thread.start` would wait for the new thread to run, and accepting with it, behind all busy threads.
            start_new_thread(serve, (request, client_address))
        except RuntimeError:
            self.connections.closed(request)
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong while accepting; the base class would print it."""
        logger.exception("cannot serve a connection")

    def drain(self, timeout_s: float) -> bool:
        """Stop accepting, let running requests end, and say whether all did in time."""
        self.shutdown()
        self.server_close()
        return self.connections.drain(timeout_s)

    def _serve(self, sock: socket.socket, peer: Any) -> None:
        try:
            serve_connection(sock, peer, self._handle, self.limits, self.connections)
        finally:
            self.connections.closed(sock)

    def _turn_away(self, sock: socket.socket, peer: Any) -> None:
        """Answer 503 and close gently, in a thread, so that the answer arrives and accepting goes on."""
        logger.warning("turned away %s: %d connections are open", peer, self.limits.max_connections)
        try:
            stream = Stream(sock, send_timeout_s=1.0)
            _answer_error(stream, None, ServiceUnavailable("too many connections", fields=(("Retry-After", "1"),)))
            stream.drain_and_close()
        except (OSError, PeerClosed):
            sock.close()
        finally:
            self.connections.closed(sock)


class Connections:
    """Which connections are open, and which of them wait for a request: what a drain needs to know."""

    def __init__(self) -> None:
        """Start with none."""
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._idle: set[socket.socket] = set()
        self.draining = False

    @property
    def count(self) -> int:
        """Give the number of open connections."""
        return len(self._open)

    def opened(self, sock: socket.socket) -> None:
        """Note a new connection."""
        with self._changed:
            self._open.add(sock)

    def closed(self, sock: socket.socket) -> None:
        """Note that a connection has ended."""
        with self._changed:
            self._open.discard(sock)
            self._idle.discard(sock)
            if self.draining:
                self._changed.notify_all()

    def waits(self, sock: socket.socket) -> None:
        """Note that a connection waits for its next request; a set's own methods are atomic."""
        self._idle.add(sock)
        if self.draining:
            _stop_receiving(sock)

    def works(self, sock: socket.socket) -> None:
        """Note that a request has come on a connection."""
        self._idle.discard(sock)

    def drain(self, timeout_s: float) -> bool:
        """End idle connections, wait for the others, and say whether all ended in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self.draining = True
            for sock in list(self._idle):
                _stop_receiving(sock)
            while self._open and (remaining_s := deadline - time.monotonic()) > 0:
                self._changed.wait(remaining_s)
            return not self._open


def serve_connection(
    sock: socket.socket, peer: Any, handle: Handler, limits: Limits, connections: Connections | None = None
) -> None:
    """Serve one accepted connection in this thread until it ends; never raises for what a client does."""
    try:
        stream = Stream(sock, send_timeout_s=limits.body_timeout_s)
    except OSError:
        sock.close()
        return
    try:
        while _serve_request(stream, peer, handle, limits, connections):
            pass
    except PeerClosed as exc:
        logger.debug("client %s: %s", peer, exc)
    finally:
        stream.close()


def http_date(now: float) -> str:
    """Give a time (seconds since the epoch) as an IMF-fixdate of RFC 9110 section 5.6.7."""
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(now)
    return f"{_DAYS[weekday]}, {day:02d} {_MONTHS[month]} {year:04d} {hour:02d}:{minute:02d}:{second:02d} GMT"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _serve_request(stream: Stream, peer: Any, handle: Handler, limits: Limits, connections: Connections | None) -> bool:
    """Serve the next request and say whether another may follow on the connection."""
    exchange = None
    try:
        head = _next_head(stream, limits, connections)
        if head is None:
            return False
        request = _parsed(stream, head)
        exchange = Exchange(request, stream, peer, request_body_length(request))
        if connections is not None and connections.draining:
            exchange.close_after = True
        if exchange.body.length:
            stream.set_receive_timeout(limits.body_timeout_s)
        handle(exchange)
    except PeerClosed:
        raise
    except FrontendError as exc:
        if not _answer_error(stream, exchange, exc):
            return False
    except Exception:
        logger.exception("request failed")
        if not _answer_error(stream, exchange, FrontendError("internal error; the log has more")):
            return False
    if exchange is None or not exchange.body.finished:
        stream.drain_and_close()
        return False
    return not exchange.close_after


def _parsed(stream: Stream, head: bytes) -> heads.RequestHead:
    """Parse a head, or give what the same bytes came to last time on this connection.

    Whoever polls says the same again and again; what is known of the request is then found by its identity.
    """
    known = stream.facts.get("request")
    if known is not None and known[0] == head:
        request: heads.RequestHead = known[1]
        return request
    request = heads.parse_request(head)
    stream.facts["request"] = (head, request)
    return request


def _next_head(stream: Stream, limits: Limits, connections: Connections | None) -> bytes | None:
    if connections is None or stream.pending:
        return read_request_head(stream, idle_timeout_s=limits.idle_timeout_s, head_timeout_s=limits.head_timeout_s)
    connections.waits(stream.sock)
    try:
        return read_request_head(stream, idle_timeout_s=limits.idle_timeout_s, head_timeout_s=limits.head_timeout_s)
    finally:
        connections.works(stream.sock)


def _answer_error(stream: Stream, exchange: Exchange | None, exc: FrontendError) -> bool:
    """Answer an error and say whether it could be told; after a response has begun only closing is left."""
    body = error_body(exc)
    if exchange is None:
        fields = [("Date", http_date(time.time())), ("Content-Type", "application/json")]
        fields += [("Content-Length", str(len(body))), *exc.fields, ("Connection", "close")]
        stream.send(heads.render_response(exc.status, fields) + body)
        return True
    if exchange.started:
        exchange.close_after = True
        return False
    exchange.respond(exc.status, body, fields=exc.fields)
    return True


def error_body(exc: FrontendError) -> bytes:
    """Give the JSON that stands for an error."""
    return json.dumps({"detail": str(exc)}).encode()


def _stop_receiving(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RD)
