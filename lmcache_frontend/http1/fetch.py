# SPDX-License-Identifier: Apache-2.0
"""Ask a node for something small and read the whole answer, within one time limit and one size limit."""

from __future__ import annotations

import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from lmcache_frontend.errors import BadGateway, FrontendError, GatewayTimeout, PeerClosed
from lmcache_frontend.http1 import heads
from lmcache_frontend.http1.client import Endpoint, Pool
from lmcache_frontend.http1.framing import response_body_length
from lmcache_frontend.http1.streams import RECEIVE_BYTES, Body, Stream


class Answer(NamedTuple):
    """A node's whole answer."""

    head: heads.ResponseHead
    body: bytes


def fetch(pool: Pool, endpoint: Endpoint, host: str, target: str, *, timeout_s: float, limit_bytes: int) -> Answer:
    """GET a target from a node, on a new connection, as such questions are rare.

    Raises: BadGateway (no connection, malformed or too long an answer), GatewayTimeout.
    """
    deadline_s = time.monotonic() + timeout_s
    connection = pool.open(endpoint, connect_timeout_s=timeout_s)
    try:
        fields = [("Host", host), ("Accept", "*/*"), ("Connection", "close")]
        connection.stream.send(heads.render_request("GET", target, fields))
        return _read_answer(_TimedStream(connection.stream, deadline_s), limit_bytes)
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


class _TimedStream(Stream):
    """A stream that is read until a deadline, however little comes at a time."""

    __slots__ = ("_deadline_s",)

    def __init__(self, stream: Stream, deadline_s: float) -> None:
        super().__init__(stream.sock, send_timeout_s=1.0)
        self._deadline_s = deadline_s

    def receive(self, size: int = RECEIVE_BYTES) -> bytes:
        remaining_s = self._deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        self.set_receive_timeout(remaining_s)
        return super().receive(size)


def _read_answer(stream: Stream, limit_bytes: int) -> Answer:
    head = _read_head(stream)
    while head.status < 200 and head.status != 101:
        head = _read_head(stream)
    length = response_body_length("GET", head)
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


def ask_url(url: str, *, timeout_s: float, limit_bytes: int = 16 * 1024 * 1024) -> bytes:
    """GET an address that is no node's, over http or https, and give the body of whatever status it has.

    Raises: BadGateway, GatewayTimeout.
    """
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=timeout_s)
    try:
        connection.request("GET", f"{parts.path or '/'}?{parts.query}", headers={"Accept": "application/json"})
        body = connection.getresponse().read(limit_bytes + 1)
    except TimeoutError as exc:
        raise GatewayTimeout(f"{parts.netloc} did not answer within {timeout_s:g} s") from exc
    except (OSError, HTTPException) as exc:
        raise BadGateway(f"{parts.netloc}: {getattr(exc, 'strerror', None) or 'no answer in HTTP'}") from exc
    finally:
        connection.close()
    if len(body) > limit_bytes:
        raise BadGateway(f"{parts.netloc} answered with over {limit_bytes} bytes")
    return body
