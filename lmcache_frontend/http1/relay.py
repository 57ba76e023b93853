# SPDX-License-Identifier: Apache-2.0
"""Carry one request to a node and its answer back, streaming both ways and never holding a body whole.

Where a request goes, and whether it may, is decided before (`routes.proxy`); how heads change is `forwarding`'s.

Source: RFC 9112 sections 6 to 9.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
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
from lmcache_frontend.http1.framing import CHUNKED, UNTIL_CLOSE, response_body_length
from lmcache_frontend.http1.server import Exchange
from lmcache_frontend.http1.streams import RECEIVE_BYTES, Body

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
FRESH_S = 1.0

Pieces = Iterator[bytes | memoryview]


class Destination(NamedTuple):
    """Where a request goes: the node's endpoint, its authority for ``Host``, and what it is asked for.

    ``node_timeout_s`` is how long it may be silent; ``own_cookie`` names the cookie that is ours and not the node's.
    """

    endpoint: Endpoint
    host: str
    target: str
    node_timeout_s: float
    own_cookie: str = ""


class _Stale(Exception):
    """A connection was closed before anything was answered and before any of a body was used up."""


def relay(exchange: Exchange, destination: Destination, pool: Pool) -> None:
    """Carry an exchange out with a node.

    Raises: BadGateway, GatewayTimeout, LoopDetected and the client's own faults, all before the client was answered;
    PeerClosed after.
    """
    request = exchange.request
    head = heads.render_request(
        request.method,
        destination.target,
        forwarding.request_fields(
            request,
            host=destination.host,
            body_length=exchange.body.length,
            client_host=str(exchange.peer[0]) if exchange.peer else "unknown",
            own_cookie=destination.own_cookie,
        ),
    )
    repeatable = not exchange.body.length and request.method in IDEMPOTENT
    connection = pool.acquire(destination.endpoint, max_idle_s=KEPT_IDLE_S if repeatable else FRESH_S)
    try:
        if connection.used and not repeatable and connection.stream.peer_is_gone():
            connection = _replaced(connection, pool)
        try:
            response = _ask(exchange, destination, connection, head)
        except _Stale:
            if not (repeatable and connection.used):
                raise
            connection = _replaced(connection, pool)
            response = _ask(exchange, destination, connection, head)
        reusable = _pass_on(exchange, destination, connection, response)
    except _Stale:
        connection.close()
        raise BadGateway(f"{destination.endpoint} closed the connection before it answered") from None
    except BaseException:
        connection.close()
        raise
    if reusable:
        pool.release(connection)
    else:
        connection.close()


def _replaced(connection: NodeConnection, pool: Pool) -> NodeConnection:
    connection.close()
    return pool.open(connection.endpoint)


def _ask(exchange: Exchange, destination: Destination, connection: NodeConnection, head: bytes) -> heads.ResponseHead:
    """Send the request on one connection and wait for the head of the final response."""
    connection.stream.set_receive_timeout(min(LIVENESS_CHECK_S, destination.node_timeout_s))
    try:
        if exchange.body.length:
            _send_with_body(exchange, connection, head)
        else:
            connection.stream.send(head)
    except PeerClosed as exc:
        if exchange.body.length and not exchange.body.finished and exchange.stream.peer_is_gone():
            raise
        if not exchange.body.read_bytes:
            raise _Stale from exc
        # A node that refuses a body answers first and closes then: the answer may be there to be read.
    return _final_head(exchange, destination, connection)


def _send_with_body(exchange: Exchange, connection: NodeConnection, head: bytes) -> None:
    """Send head and body; where the node answers before it has all, go on sending in a thread of its own.

    A node may answer while it reads. Were its answer left unread, both sides could wait for each other for ever.
    """
    chunked = exchange.body.length == CHUNKED
    stream = connection.stream
    answered = select.poll()
    answered.register(stream.sock, select.POLLIN)
    pieces = exchange.body.pieces()
    unsent = head
    try:
        for piece in pieces:
            data = _chunk(piece) if chunked else piece
            if unsent:
                data = unsent + bytes(data)
                unsent = b""
            stream.send(data)
            if not exchange.body.finished and answered.poll(0):
                _keep_sending(exchange, connection, pieces)
                return
        if chunked:
            stream.send(unsent + b"0\r\n\r\n")
    except TimeoutError as exc:
        raise RequestTimeout("the request body stopped coming") from exc


def _keep_sending(exchange: Exchange, connection: NodeConnection, pieces: Pieces) -> None:
    exchange.close_after = True
    chunked = exchange.body.length == CHUNKED

    def run() -> None:
        with contextlib.suppress(FrontendError, TimeoutError):
            for piece in pieces:
                connection.stream.send(_chunk(piece) if chunked else piece)
            if chunked:
                connection.stream.send(b"0\r\n\r\n")

    threading.Thread(target=run, name="request body", daemon=True).start()


def _chunk(piece: bytes | memoryview) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), bytes(piece))


def _final_head(exchange: Exchange, destination: Destination, connection: NodeConnection) -> heads.ResponseHead:
    """Wait for the final response's head; interim ones (1xx) are passed on to clients that know them."""
    while True:
        head = heads.parse_response(_raw_head(exchange, destination, connection))
        if head.status >= 200:
            return head
        if head.status == 101:
            raise BadGateway(f"{destination.endpoint} switched protocols, which it was not asked to")
        if head.status != 100 and exchange.request.minor_version:
            exchange.stream.send(heads.render_response(head.status, forwarding.interim_fields(head), head.reason))


def _raw_head(exchange: Exchange, destination: Destination, connection: NodeConnection) -> bytes:
    stream = connection.stream
    try:
        head = stream.take_head() if stream.pending else None
        while head is None:
            data = _awaited(exchange, destination, connection)
            if not data:
                if not stream.pending and not exchange.body.read_bytes:
                    raise _Stale
                raise BadGateway(f"{destination.endpoint} closed the connection before it answered")
            stream.pending += data
            if not b"HTTP/1.".startswith(stream.pending[:7]):
                raise BadGateway(f"{destination.endpoint} answered something that is not HTTP/1.1")
            head = stream.take_head()
    except HeadTooLarge as exc:
        raise BadGateway(f"answer of {destination.endpoint}: {exc}") from exc
    return head


def _awaited(exchange: Exchange, destination: Destination, connection: NodeConnection) -> bytes:
    """Give what the node sends next, empty at the end; look after the client while waiting."""
    silent_since_s = time.monotonic()
    while True:
        try:
            return connection.stream.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            _check_patience(exchange, destination, silent_since_s)
        except OSError:
            return b""


def _check_patience(exchange: Exchange, destination: Destination, silent_since_s: float) -> None:
    if exchange.body.finished and exchange.stream.peer_is_gone():
        raise PeerClosed("the client went away")
    # The kernel may wake us a little before the time-out that it was given.
    if time.monotonic() - silent_since_s >= destination.node_timeout_s - 0.01:
        raise GatewayTimeout(f"{destination.endpoint} was silent for {destination.node_timeout_s:g} s")


def _pass_on(
    exchange: Exchange, destination: Destination, connection: NodeConnection, head: heads.ResponseHead
) -> bool:
    """Send the response to the client and say whether the node's connection can serve another request."""
    length = response_body_length(exchange.request.method, head)
    body = Body(connection.stream, length, BadGateway)
    chunked = length < 0 and exchange.request.minor_version > 0
    exchange.close_after = exchange.close_after or not exchange.body.finished or (length < 0 and not chunked)
    unsent = _client_head(exchange, destination, head, chunked=chunked)
    exchange.status = head.status
    if not connection.stream.pending and (length < 0 or length > RECEIVE_BYTES):
        # The body may be long in coming; one that is short and counted comes at once and goes in one piece.
        exchange.started = True
        exchange.stream.send(unsent)
        unsent = b""
    try:
        for piece in _watched(exchange, destination, body):
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
        raise PeerClosed(f"the answer broke off: {exc}") from exc
    exchange.started = True
    if unsent or chunked:
        exchange.stream.send(unsent + b"0\r\n\r\n" if chunked else unsent)
    if not exchange.body.finished:
        _wake(connection.stream.sock)
        return False
    return length != UNTIL_CLOSE and not connection.stream.pending and heads.is_persistent(head)


def _client_head(exchange: Exchange, destination: Destination, head: heads.ResponseHead, *, chunked: bool) -> bytes:
    fields = forwarding.response_fields(
        head, host=destination.host, target=destination.target, own_cookie=destination.own_cookie
    )
    declared = head.combined.get("content-length")
    if chunked:
        fields.append(("Transfer-Encoding", "chunked"))
    elif declared is not None and head.status != 204:
        fields.append(("Content-Length", declared.partition(",")[0].strip(" \t")))
    fields += exchange.persistence_fields()
    return heads.render_response(head.status, fields, head.reason)


def _watched(exchange: Exchange, destination: Destination, body: Body) -> Pieces:
    """Yield the node's body; while it is silent look after the client, and give up when it is silent for too long."""
    silent_since_s = time.monotonic()
    while not body.finished:
        try:
            for piece in body.pieces():
                yield piece
                silent_since_s = time.monotonic()
        except TimeoutError:
            _check_patience(exchange, destination, silent_since_s)
        except PeerClosed as exc:
            raise BadGateway(f"{destination.endpoint}: {exc}") from exc


def _wake(sock: socket.socket) -> None:
    """Let a thread that may still be sending on this socket fail."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
