# SPDX-License-Identifier: Apache-2.0
"""Carry one request to a node and its answer back, streaming both ways and never holding a body whole.

Where a request goes, and whether it may, is decided before (`routes.proxy`); how heads change is `forwarding`'s.

Source: RFC 9112 sections 6 to 9.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import threading
import time
from collections.abc import Iterator
from operator import is_
from typing import NamedTuple

from lmcache_frontend.errors import (
    BadGateway,
    FrontendError,
    GatewayTimeout,
    HeadTooLarge,
    PeerClosed,
    RequestTimeout,
)
from lmcache_frontend.http1 import forwarding, heads
from lmcache_frontend.http1.client import KEPT_IDLE_S, LIVENESS_CHECK_S, Endpoint, NodeConnection, Pool
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.http1.forwarding import Own
from lmcache_frontend.http1.framing import CHUNKED, UNTIL_CLOSE, response_body_length
from lmcache_frontend.http1.streams import RECEIVE_BYTES, Body, Wire

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
FRESH_S = 1.0
MAX_INTERIM_RESPONSES = 16

Pieces = Iterator[bytes | memoryview]


class Destination(NamedTuple):
    """Where a request goes: the node's endpoint, its authority for ``Host``, and the path and query it is asked for."""

    endpoint: Endpoint
    host: str
    target: str


class _Answered(Exception):
    """The node answered before it had the whole request."""


class _Stale(Exception):
    """A connection was closed before anything was answered and before any of a body was used up."""


def relay(
    exchange: Exchange,
    destination: Destination,
    pool: Pool,
    *,
    node_timeout_s: float,
    own: Own = Own(),
) -> None:
    """Carry an exchange out with a node that may be silent for so long.

    ``own`` says which of the client's credentials are for us and not for the node.

    Raises: BadGateway, GatewayTimeout, LoopDetected and the client's own faults, all before the client was answered;
    PeerClosed after.
    """
    _Trip(exchange, destination, pool, node_timeout_s, own).run()


class _Trip:
    """One request's way to a node and back."""

    __slots__ = ("connection", "destination", "exchange", "node_timeout_s", "own", "pool", "still_sending")

    connection: NodeConnection

    def __init__(
        self, exchange: Exchange, destination: Destination, pool: Pool, node_timeout_s: float, own: Own
    ) -> None:
        self.exchange = exchange
        self.destination = destination
        self.pool = pool
        self.node_timeout_s = node_timeout_s
        self.own = own
        self.still_sending = False

    def run(self) -> None:
        exchange, destination = self.exchange, self.destination
        method = exchange.request.method
        head = self._request_head()
        repeatable = not exchange.body.length and method in IDEMPOTENT
        self.connection = self.pool.acquire(destination.endpoint, max_idle_s=KEPT_IDLE_S if repeatable else FRESH_S)
        reusable = False
        try:
            try:
                response = self._ask(head)
            except _Stale:
                if not (repeatable and self.connection.used):
                    raise
                self._reconnect()
                response = self._ask(head)
            reusable = self._pass_on(response)
        except _Stale:
            raise BadGateway(f"{destination.endpoint} closed the connection before it answered") from None
        except BadGateway as exc:
            name = str(destination.endpoint)
            raise exc if name in str(exc) else BadGateway(f"{name}: {exc}") from exc
        finally:
            if reusable:
                self.pool.release(self.connection)
            else:
                self.connection.close()

    def _request_head(self) -> bytes:
        """Write the head for the node, or give it again where the same request has gone this way before."""
        exchange, destination = self.exchange, self.destination
        known = exchange.stream.facts.get("node head")
        if known is not None and known[0] is exchange.request and known[1] is destination and known[3] is self.own:
            head: bytes = known[2]
            return head
        fields = forwarding.request_fields(
            exchange.request,
            host=destination.host,
            body_length=exchange.body.length,
            client_host=str(exchange.peer[0]) if exchange.peer else "unknown",
            own=self.own,
            scheme="https" if exchange.stream.is_secure else "http",
        )
        if destination.endpoint.token_file:
            fields = [field for field in fields if field[0].lower() != "authorization"]
            fields += self.pool.authorization(destination.endpoint)
        head = heads.render_request(exchange.request.method, destination.target, fields)
        if not destination.endpoint.token_file:
            exchange.stream.facts["node head"] = (exchange.request, destination, head, self.own)
        return head

    def _reconnect(self) -> None:
        self.connection.close()
        self.connection = self.pool.open(self.destination.endpoint)

    def _ask(self, head: bytes) -> heads.ResponseHead:
        """Send the request and wait for the head of the final response."""
        exchange, stream = self.exchange, self.connection.stream
        stream.set_receive_timeout(min(LIVENESS_CHECK_S, self.node_timeout_s))
        try:
            if exchange.body.length:
                self._send_with_body(head)
            else:
                stream.send(head)
        except PeerClosed as exc:
            if not exchange.body.finished and exchange.stream.peer_is_gone():
                raise
            if not exchange.body.read_bytes:
                raise _Stale from exc
            # A node that refuses a body answers first and closes then: the answer may be there to be read.
        return self._final_head()

    def _send_with_body(self, head: bytes) -> None:
        """Send head and body; where the node answers before it has all, go on sending in a thread of its own.

        A node may answer while it reads. Were its answer left unread, both sides could wait for each other for ever.
        """
        body, stream = self.exchange.body, self.connection.stream
        chunked = body.length == CHUNKED
        body.before_receive = self._await_either
        unsent = head
        try:
            for piece in body.pieces():
                data = _chunk(piece) if chunked else piece
                if unsent:
                    data = unsent + bytes(data)
                    unsent = b""
                stream.send(data)
            if chunked:
                stream.send(unsent + b"0\r\n\r\n")
        except _Answered:
            body.before_receive = None
            self._keep_sending(unsent, chunked)
        except TimeoutError as exc:
            raise RequestTimeout("the request body stopped coming") from exc

    def _await_either(self) -> None:
        """Wait for more of the client's body, or for the node to answer while the client is silent.

        Raises: _Answered, TimeoutError.
        """
        client, node = self.exchange.stream, self.connection.stream
        if client.has_ahead():
            return
        ready = select.poll()
        ready.register(client.sock, select.POLLIN)
        ready.register(node.sock, select.POLLIN)
        node_number = node.sock.fileno()
        deadline_s = time.monotonic() + client.receive_timeout_s
        while found := ready.poll(max(deadline_s - time.monotonic(), 0.0) * 1000):
            # With TLS a node may also say what is no part of an answer.
            if any(number == node_number for number, _ in found) and not (node.is_secure and node.is_quiet()):
                raise _Answered
            if any(number != node_number for number, _ in found):
                return
        raise TimeoutError

    def _keep_sending(self, unsent: bytes, chunked: bool) -> None:
        stream = self.connection.stream
        self.exchange.close_after = True
        self.still_sending = True

        def run() -> None:
            with contextlib.suppress(FrontendError, TimeoutError):
                if unsent:
                    stream.send(unsent)
                for piece in self.exchange.body.pieces():
                    stream.send(_chunk(piece) if chunked else piece)
                if chunked:
                    stream.send(b"0\r\n\r\n")

        threading.Thread(target=run, name="request body", daemon=True).start()

    def _final_head(self) -> heads.ResponseHead:
        """Wait for the final response's head; interim ones (1xx) are passed on to clients that know them."""
        exchange = self.exchange
        for interim in range(MAX_INTERIM_RESPONSES + 1):
            raw = self._raw_head()
            known = exchange.stream.facts.get("answer")
            if known is not None and known[0] == raw:
                head: heads.ResponseHead = known[1]
                return head
            head = heads.parse_response(raw)
            if head.status >= 200:
                exchange.stream.facts["answer"] = (raw, head)
                return head
            if head.status == 101:
                raise BadGateway(f"{self.destination.endpoint} switched protocols, which it was not asked to")
            if interim < MAX_INTERIM_RESPONSES and head.status != 100 and exchange.request.minor_version:
                exchange.stream.send(heads.render_response(head.status, forwarding.interim_fields(head), head.reason))
        raise BadGateway(f"{self.destination.endpoint} gave more than {MAX_INTERIM_RESPONSES} interim responses")

    def _raw_head(self) -> bytes:
        stream, endpoint = self.connection.stream, self.destination.endpoint
        try:
            head = stream.take_head() if stream.pending else None
            while head is None:
                data = self._awaited()
                if not data:
                    if not stream.pending and not self.exchange.body.read_bytes:
                        raise _Stale
                    raise BadGateway(f"{endpoint} closed the connection before it answered")
                stream.pending += data
                if not b"HTTP/1.".startswith(stream.pending[:7]):
                    raise BadGateway(f"{endpoint} answered something that is not HTTP/1.1")
                head = stream.take_head()
                if head is None and heads.has_bare_line_feed(stream.pending):
                    raise BadGateway(f"{endpoint} ended a line of its head with a bare LF")
        except HeadTooLarge as exc:
            raise BadGateway(f"answer of {endpoint}: {exc}") from exc
        return head

    def _awaited(self) -> bytes:
        """Give what the node sends next, empty at the end; look after the client while waiting."""
        silent_since_s = time.monotonic()
        while True:
            try:
                return self.connection.stream.sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                self._check_patience(silent_since_s)
            except OSError as exc:
                if exc.errno == errno.EPROTO:
                    raise BadGateway(f"{self.destination.endpoint}: {exc.strerror}") from exc
                return b""

    def _check_patience(self, silent_since_s: float) -> None:
        # Closing its sending side is the only sign that a client that leaves gives; nginx takes it as one as well.
        if self.exchange.body.finished and self.exchange.stream.peer_is_gone():
            raise PeerClosed("the client went away")
        # The kernel may wake us a little before the time-out that it was given.
        if time.monotonic() - silent_since_s >= self.node_timeout_s - 0.01:
            raise GatewayTimeout(f"{self.destination.endpoint} was silent for {self.node_timeout_s:g} s")

    def _pass_on(self, head: heads.ResponseHead) -> bool:
        """Send the response to the client and say whether the node's connection can serve another request."""
        exchange, stream = self.exchange, self.connection.stream
        length = response_body_length(exchange.request.method, head)
        chunked = length < 0 and exchange.request.minor_version > 0
        if not exchange.body.finished or (length < 0 and not chunked):
            exchange.close_after = True
        exchange.status = head.status
        unsent = self._client_head(head, chunked)
        if 0 < length <= RECEIVE_BYTES:
            self._complete(length)
        if 0 <= length == len(stream.pending):
            # The usual small answer, which came in one piece, goes in one piece.
            exchange.started = True
            exchange.stream.send(unsent + stream.pending)
            stream.pending = b""
        else:
            self._stream_body(unsent, length, chunked)
        if self.still_sending or not exchange.body.finished:
            # The body counts as finished once it was read, which is before it was sent.
            _wake(stream.sock)
            return False
        return length != UNTIL_CLOSE and not stream.pending and heads.is_persistent(head)

    def _complete(self, length: int) -> None:
        """Let the kernel gather the rest of a short body: one call where a piece at a time would take several.

        What it gives up waiting for is left to the usual way.
        """
        stream = self.connection.stream
        missing = length - len(stream.pending)
        if missing > 0:
            with contextlib.suppress(OSError):
                stream.pending += stream.sock.recv(missing, socket.MSG_WAITALL)

    def _client_head(self, head: heads.ResponseHead, chunked: bool) -> bytes:
        """Write the head for the client, or give it again where the same answer to the same request came before."""
        exchange, destination = self.exchange, self.destination
        known = exchange.stream.facts.get("client head")
        key = (head, exchange.request, destination)
        if known is not None and all(map(is_, known[0], key)) and known[1] == exchange.close_after:
            rendered: bytes = known[2]
            return rendered
        fields = forwarding.response_fields(
            head, host=destination.host, target=destination.target, own_cookie=self.own.cookie
        )
        declared = head.combined.get("content-length")
        if chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        elif declared is not None and head.status != 204:
            fields.append(("Content-Length", declared.partition(",")[0].strip(" \t")))
        fields += exchange.persistence_fields()
        rendered = heads.render_response(head.status, fields, head.reason)
        exchange.stream.facts["client head"] = (key, exchange.close_after, rendered)
        return rendered

    def _stream_body(self, unsent: bytes, length: int, chunked: bool) -> None:
        exchange, stream = self.exchange, self.connection.stream
        if not stream.pending and (length < 0 or length > RECEIVE_BYTES):
            # The body may be long in coming; one that is short and counted comes at once and goes in one piece.
            exchange.started = True
            exchange.stream.send(unsent)
            unsent = b""
        try:
            for piece in self._watched(Body(stream, length, BadGateway)):
                data = _chunk(piece) if chunked else piece
                if unsent:
                    data = unsent + bytes(data)
                    unsent = b""
                exchange.started = True
                exchange.stream.send(data)
        except PeerClosed:
            raise
        except FrontendError as exc:
            if not exchange.started:
                raise
            # The client has part of the answer: it must see a broken transfer, never one that seems complete.
            if exchange.request.minor_version == 0:
                exchange.stream.reset_at_close()
            raise PeerClosed(f"the answer broke off: {exc}") from exc
        exchange.started = True
        if unsent or chunked:
            exchange.stream.send(unsent + b"0\r\n\r\n" if chunked else unsent)

    def _watched(self, body: Body) -> Pieces:
        """Yield the node's body; while it is silent look after the client, and give up after too long a silence."""
        silent_since_s = time.monotonic()
        while not body.finished:
            try:
                for piece in body.pieces():
                    yield piece
                    silent_since_s = time.monotonic()
            except TimeoutError:
                self._check_patience(silent_since_s)
            except PeerClosed as exc:
                raise BadGateway(f"{self.destination.endpoint}: {exc}") from exc


def _chunk(piece: bytes | memoryview) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), bytes(piece))


def _wake(sock: Wire) -> None:
    """Let a thread that may still be sending on this socket fail."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
