# SPDX-License-Identifier: Apache-2.0
"""Ask a node for something small and read the whole answer, within one time limit and one size limit."""

from __future__ import annotations

import time
from typing import NamedTuple

from lmcache_frontend.errors import BadGateway, FrontendError, GatewayTimeout, PeerClosed
from lmcache_frontend.http1 import heads
from lmcache_frontend.http1.client import Endpoint, NodeConnection, Pool
from lmcache_frontend.http1.framing import response_body_length
from lmcache_frontend.http1.streams import Body


class Answer(NamedTuple):
    """A node's whole answer."""

    head: heads.ResponseHead
    body: bytes


def fetch(pool: Pool, endpoint: Endpoint, host: str, target: str, *, timeout_s: float, limit_bytes: int) -> Answer:
    """GET a target from a node, on a new connection, as such questions are rare.

    Raises: BadGateway (no connection, malformed or too long an answer), GatewayTimeout.
    """
    deadline_s = time.monotonic() + timeout_s
    connection = pool.open(endpoint)
    try:
        fields = [("Host", host), ("Accept", "*/*"), ("Connection", "close")]
        connection.stream.send(heads.render_request("GET", target, fields))
        return _read_answer(connection, deadline_s, limit_bytes)
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


def _read_answer(connection: NodeConnection, deadline_s: float, limit_bytes: int) -> Answer:
    stream = connection.stream
    while (raw := stream.take_head()) is None:
        stream.set_receive_timeout(_left(deadline_s))
        kept, stream.pending = stream.pending, b""
        data = stream.receive()
        if not data:
            raise PeerClosed("connection ended before the answer")
        stream.pending = kept + data
    head = heads.parse_response(raw)
    length = response_body_length("GET", head)
    if length > limit_bytes:
        raise BadGateway(f"answer of {length} bytes, at most {limit_bytes} are taken")
    collected = bytearray()
    for piece in Body(stream, length, BadGateway).pieces(large=False):
        collected += piece
        if len(collected) > limit_bytes:
            raise BadGateway(f"answer of over {limit_bytes} bytes")
        if len(collected) != length:
            stream.set_receive_timeout(_left(deadline_s))
    return Answer(head, bytes(collected))


def _left(deadline_s: float) -> float:
    remaining_s = deadline_s - time.monotonic()
    if remaining_s <= 0:
        raise TimeoutError
    return remaining_s
