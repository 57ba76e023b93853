# SPDX-License-Identifier: Apache-2.0
"""The server shell: accepts connections, reads requests from each in a thread of its own, answers errors once.

What a request means is the handler's business: a callable that takes an `Exchange` and either responds through it or
writes to its stream itself. A `FrontendError` raised before anything was sent becomes ``{"detail": "..."}``.

Source: RFC 9112 section 9.
"""

from __future__ import annotations

import errno
import logging
import socket
import time
from _thread import start_new_thread
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from socketserver import BaseRequestHandler
from typing import Any, NamedTuple

from lmcache_frontend.errors import FrontendError, PeerClosed, ServiceUnavailable
from lmcache_frontend.http1 import heads
from lmcache_frontend.http1.connections import Connections
from lmcache_frontend.http1.exchange import Exchange, error_body, http_date
from lmcache_frontend.http1.framing import request_body_length
from lmcache_frontend.http1.streams import Stream, Wire, read_request_head

logger = logging.getLogger(__name__)

TURNED_AWAY_AT_ONCE = 64
TURNED_AWAY_WITHIN_S = 2.0
OUT_OF_DESCRIPTORS_PAUSE_S = 0.05
# Who is refused today may not be tomorrow; and what was asked for stands in the words.
_OF_ERRORS = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))

Handler = Callable[[Exchange], None]
# Gives a client's connection with TLS, None where that failed and it is closed; it is told whose it is, and seconds.
Secure = Callable[[socket.socket, Any, float], "Wire | None"]


class Limits(NamedTuple):
    """How long a client may take, and how many there may be.

    ``idle_timeout_s`` is nginx's keepalive_timeout; the rest lies below nginx's 60 s, as clients here are near.
    """

    head_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    body_timeout_s: float = 30.0
    max_connections: int = 1024


class Server(ThreadingHTTPServer):
    """A listening socket with a thread for each connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], handle: Handler, limits: Limits = Limits(), *, secure: Secure | None = None
    ) -> None:
        """Bind and listen; ``handle`` may be called in many threads at once, with ``secure`` over TLS alone.

        The base class wants a handler class, which stays unused: connections are served by `serve_connection`.

        Raises: OSError where the address cannot be bound.
        """
        self._handle = handle
        self._secure = secure
        self.limits = limits
        self.connections = Connections()
        self._out_of_descriptors = False
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

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; where the process has no descriptor left, wait a little in place of trying at once."""
        try:
            return super().get_request()
        except OSError as exc:
            if exc.errno in (errno.EMFILE, errno.ENFILE):
                if not self._out_of_descriptors:
                    logger.error("cannot accept connections: %s", exc.strerror)
                self._out_of_descriptors = True
                time.sleep(OUT_OF_DESCRIPTORS_PAUSE_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve an accepted connection in a new thread, or turn it away where there are too many."""
        self._out_of_descriptors = False
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
            wire = self._secured(sock, peer, self.limits.head_timeout_s)
            if wire is not None:
                serve_connection(wire, peer, self._handle, self.limits, self.connections)
        finally:
            self.connections.closed(sock)

    def _secured(self, sock: socket.socket, peer: Any, timeout_s: float) -> Wire | None:
        """Give the connection as it is spoken over, None where the client's TLS failed and it is closed."""
        if self._secure is None:
            return sock
        # Who has not shaken hands has not asked for anything: a drain does not wait for it.
        self.connections.waits(sock)
        try:
            return self._secure(sock, peer, timeout_s)
        finally:
            self.connections.works(sock)

    def _turn_away(self, sock: socket.socket, peer: Any) -> None:
        """Answer 503 and close gently, in a thread, so that the answer arrives and accepting goes on."""
        logger.warning("turned away %s: %d connections are open", peer, self.limits.max_connections)
        try:
            wire = self._secured(sock, peer, TURNED_AWAY_WITHIN_S)
            if wire is None:
                return
            stream = Stream(wire, send_timeout_s=1.0)
            _answer_error(stream, None, ServiceUnavailable("too many connections", fields=(("Retry-After", "1"),)))
            stream.drain_and_close()
        except (OSError, PeerClosed):
            sock.close()
        finally:
            self.connections.closed(sock)


def serve_connection(
    sock: Wire, peer: Any, handle: Handler, limits: Limits, connections: Connections | None = None
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
        fields += [("Content-Length", str(len(body))), *_OF_ERRORS, *exc.fields, ("Connection", "close")]
        stream.send(heads.render_response(exc.status, fields) + body)
        return True
    if exchange.started:
        exchange.close_after = True
        return False
    exchange.respond(exc.status, body, fields=(*_OF_ERRORS, *exc.fields))
    return True
