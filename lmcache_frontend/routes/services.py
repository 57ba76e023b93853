# SPDX-License-Identifier: Apache-2.0
"""What the endpoints are given to work with, and the small things that all of them do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from lmcache_frontend.access.clients import Client
from lmcache_frontend.cluster.model import Node
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import BadRequest
from lmcache_frontend.http1.client import Pool
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.settings import Settings


class Asset(NamedTuple):
    """A file of the dashboard, in memory."""

    body: bytes
    content_type: str
    etag: str


class Services(NamedTuple):
    """The parts of the running service; ``fetch_json(node, target)`` asks a frontend something."""

    settings: Settings
    registry: Registry
    pool: Pool
    assets: dict[str, Asset]
    own_cookie: str
    own_names: Callable[[], frozenset[str]]
    describe_client: Callable[[Exchange], Client]
    fetch_json: Callable[[Node, str], Any]


Handler = Callable[[Exchange, Services, dict[str, str]], None]


class Route(NamedTuple):
    """A method and a path, which may hold ``{name}`` for one segment or end in ``{name...}``, and its handler."""

    method: str
    path: str
    handler: Handler


def respond_json(exchange: Exchange, document: Any, status: int = 200) -> None:
    """Respond with a document as strict JSON."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
    exchange.respond(status, body, fields=(("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")))


def read_json(exchange: Exchange) -> dict[str, Any]:
    """Read the body as a JSON object.

    Raises: BadRequest, ContentTooLarge.
    """
    data = exchange.read_body()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise BadRequest(
            f"the body is not JSON: {exc if isinstance(exc, ValueError) else 'nested too deeply'}"
        ) from exc
    if not isinstance(document, dict):
        raise BadRequest("the body is JSON, but not an object")
    return document
