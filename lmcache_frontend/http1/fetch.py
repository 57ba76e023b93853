# SPDX-License-Identifier: Apache-2.0
"""Ask a node for something small, or tell it to do something, and read the whole answer.

One time limit is for all of it, from connecting to the last byte, and one size limit for the answer. Nothing is sent
twice, so that what changes a node is not done twice either.
"""

from __future__ import annotations

import socket
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from lmcache_frontend.errors import BadGateway, FrontendError, GatewayTimeout, PeerClosed
from lmcache_frontend.http1 import heads
from lmcache_frontend.http1.client import Endpoint, Pool, TlsOptions
from lmcache_frontend.http1.framing import response_body_length
from lmcache_frontend.http1.streams import RECEIVE_BYTES, Body, Stream, timeval

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


class Answer(NamedTuple):
    """A node's whole answer."""

    head: heads.ResponseHead
    body: bytes


class Question(NamedTuple):
    """What a node is asked for or told to do; ``Host``, ``Connection`` and the framing of the body come by themselves.

    ``target`` is path and query; ``fields`` must hold what is fit for a head, and none of those that come by
    themselves.
    """

    method: str
    target: str
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def fetch(pool: Pool, endpoint: Endpoint, host: str, target: str, *, timeout_s: float, limit_bytes: int) -> Answer:
    """GET a target from a node.

    Raises: as `send`.
    """
    return send(pool, endpoint, host, Question("GET", target), timeout_s=timeout_s, limit_bytes=limit_bytes)


def send(
    pool: Pool, endpoint: Endpoint, host: str, question: Question, *, timeout_s: float, limit_bytes: int
) -> Answer:
    """Send a node any request, on a new connection, as such questions are rare.

    Raises: BadGateway (no connection, malformed or too long an answer), GatewayTimeout.
    """
    deadline_s = time.monotonic() + timeout_s
    question = question._replace(fields=(*question.fields, *pool.authorization(endpoint)))
    connection = pool.open(endpoint, connect_timeout_s=timeout_s)
    try:
        stream = _TimedStream(connection.stream, deadline_s)
        _send_question(stream, host, question)
        return _read_answer(stream, question.method, limit_bytes)
    except TimeoutError as exc:
        raise GatewayTimeout(f"{endpoint} did not answer within {timeout_s:g} s") from exc
    except PeerClosed as exc:
        raise BadGateway(f"{endpoint}: {exc}") from exc
    except BadGateway:
        raise
    except FrontendError as exc:
        raise BadGateway(f"answer of {endpoint}: {exc}") from exc
    finally:
        connection.close()


def _send_question(stream: Stream, host: str, question: Question) -> None:
    fields = [("Host", host)]
    if not any(name.lower() == "accept" for name, _ in question.fields):
        fields.append(("Accept", "*/*"))
    fields += question.fields
    if question.body or question.method in _BODY_METHODS:
        fields.append(("Content-Length", str(len(question.body))))
    fields.append(("Connection", "close"))
    head = heads.render_request(question.method, question.target, fields)
    try:
        stream.send(head + question.body)
    except PeerClosed:
        # Who refuses a body may answer, and close, before all of it is there.
        if not question.body or not _has_answer(stream):
            raise


def _has_answer(stream: Stream) -> bool:
    try:
        return bool(stream.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False


class _TimedStream(Stream):
    """A stream that is sent to and read until a deadline, however little passes at a time."""

    __slots__ = ("_deadline_s",)

    def __init__(self, stream: Stream, deadline_s: float) -> None:
        super().__init__(stream.sock, send_timeout_s=1.0)
        self._deadline_s = deadline_s

    def receive(self, size: int = RECEIVE_BYTES) -> bytes:
        self.set_receive_timeout(self._remaining_s())
        return super().receive(size)

    def send(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(self._remaining_s()))
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError as exc:
                raise TimeoutError from exc
            except OSError as exc:
                raise PeerClosed(f"connection broken: {exc.strerror}") from exc

    def _remaining_s(self) -> float:
        remaining_s = self._deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        return remaining_s


def _read_answer(stream: Stream, method: str, limit_bytes: int) -> Answer:
    head = _read_head(stream)
    while head.status < 200 and head.status != 101:
        head = _read_head(stream)
    length = response_body_length(method, head)
    if length > limit_bytes:
        raise BadGateway(f"answer of {length} bytes, at most {limit_bytes} are taken")
    collected = bytearray()
    for piece in Body(stream, length, BadGateway).pieces(large=False):
        collected += piece
        if len(collected) > limit_bytes:
            raise BadGateway(f"answer of over {limit_bytes} bytes")
    return Answer(head, bytes(collected))


def _read_head(stream: Stream) -> heads.ResponseHead:
    while (raw := stream.take_head()) is None:
        kept, stream.pending = stream.pending, b""
        data = stream.receive()
        if not data:
            raise PeerClosed("connection ended before the answer")
        stream.pending = kept + data
    return heads.parse_response(raw)


def ask_url(pool: Pool, url: str, *, timeout_s: float, limit_bytes: int = 16 * 1024 * 1024) -> bytes:
    """GET an address that is no node's, over http or https, and give the body of whatever status it has.

    It is connected to as nodes are: to the address that the pool's ``permit`` has seen. Redirects are not followed.
    Raises: BadGateway, GatewayTimeout, Forbidden.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_secure = parts.scheme == "https"
    tls = TlsOptions(host) if is_secure else None
    endpoint = Endpoint(host, parts.port or (443 if is_secure else 80), tls)
    question = Question("GET", f"{parts.path or '/'}?{parts.query}", (("Accept", "application/json"),))
    return send(pool, endpoint, parts.netloc, question, timeout_s=timeout_s, limit_bytes=limit_bytes).body
