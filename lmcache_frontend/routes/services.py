# SPDX-License-Identifier: Apache-2.0
"""What the endpoints are given to work with, and the small things that all of them do."""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, NamedTuple

from lmcache_frontend.access.gate import Gate
from lmcache_frontend.access.rules import Role
from lmcache_frontend.cluster.model import Node
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.cluster.sources import NodeFile
from lmcache_frontend.errors import BadRequest
from lmcache_frontend.http1.client import Pool
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.routes.node_addresses import NodeAddresses
from lmcache_frontend.settings import Settings
from lmcache_frontend.state import State
from lmcache_frontend.traffic import Traffic

if TYPE_CHECKING:
    from lmcache_frontend.actions.service import Actions
    from lmcache_frontend.cluster.adapters.kinds import Ask
    from lmcache_frontend.fleet.collector import Collector


# Below this a document goes in one packet or few anyway.
COMPRESSED_FROM_BYTES = 8192
# No JSON begins with this.
_GZIP_MAGIC = b"\x1f\x8b"


class Asset(NamedTuple):
    """A file of the dashboard, in memory; ``compressed()`` gives it with gzip, None where that saves nothing."""

    body: bytes
    content_type: str
    etag: str
    compressed: Callable[[], bytes | None]


class Services(NamedTuple):
    """The parts of the running service.

    ``fetch_json(node, target)`` asks a frontend something; ``ask_node(node)`` gives the way to ask a node, through its
    proxy where it has one; ``connections()`` gives the numbers of clients' and of kept node connections;
    ``node_file`` is the file of nodes, if one was named; ``streams`` bounds how many event streams there are.
    """

    settings: Settings
    registry: Registry
    pool: Pool
    node_addresses: NodeAddresses
    assets: Callable[[], dict[str, Asset]]
    gate: Gate
    connections: Callable[[], tuple[int, int]]
    fetch_json: Callable[[Node, str], Any]
    ask_node: Callable[[Node], Ask]
    collector: Callable[[], Collector]
    actions: Callable[[], Actions]
    state: State
    traffic: Traffic
    streams: BoundedSemaphore
    node_file: NodeFile | None
    is_ending: Callable[[], bool]
    started_at: float


Handler = Callable[[Exchange, Services, dict[str, str]], None]


class Route(NamedTuple):
    """A method and a path, which may hold ``{name}`` for one segment or end in ``{name...}``, and its handler."""

    method: str
    path: str
    handler: Handler


def respond_json(
    exchange: Exchange, document: Any, status: int = 200, fields: tuple[tuple[str, str], ...] = ()
) -> None:
    """Respond with a document as strict JSON; it may be kept where ``fields`` hold an entity tag to ask again with."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    respond_json_text(exchange, text, status, fields)


def respond_json_text(
    exchange: Exchange, text: str, status: int = 200, fields: tuple[tuple[str, str], ...] = ()
) -> None:
    """Respond as `respond_json` does with what is JSON already."""
    body = text.encode("utf-8", "replace")
    respond_json_bytes(exchange, compressed(body) if takes_gzip(exchange) else body, status, fields)


def respond_json_bytes(
    exchange: Exchange, body: bytes, status: int = 200, fields: tuple[tuple[str, str], ...] = ()
) -> None:
    """Respond as `respond_json` does with what is encoded already, and perhaps `compressed`."""
    if body.startswith(_GZIP_MAGIC):
        fields = (*fields, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    kept = "no-cache" if any(name == "ETag" for name, _ in fields) else "no-store"
    guards = (("Cache-Control", kept), ("X-Content-Type-Options", "nosniff"))
    exchange.respond(status, body, fields=(*guards, *fields))


def compressed(body: bytes) -> bytes:
    """Give a body with gzip, where that is worth it."""
    if len(body) < COMPRESSED_FROM_BYTES:
        return body
    import gzip

    return gzip.compress(body, 1, mtime=0)


def takes_gzip(exchange: Exchange) -> bool:
    """Say whether the client reads what is compressed with gzip."""
    return "gzip" in (exchange.request.get("accept-encoding") or "")


def actor(exchange: Exchange, services: Services) -> tuple[str, str]:
    """Give who asks, as it is written down, and the address."""
    who = services.gate.identify(exchange)
    return who.name, who.address


def sees_secrets(exchange: Exchange, services: Services) -> bool:
    """Say whether secrets may stand in what is shown to everybody: to operators, who edit it.

    A page of another site is one of the others, whoever's browser shows it.
    """
    is_foreign = exchange.request.get("sec-fetch-site") in ("cross-site", "same-site")
    return not is_foreign and services.gate.identify(exchange).role >= Role.OPERATOR


def read_json(
    exchange: Exchange, make_object: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Read the body as a JSON object; ``make_object`` makes each object within it of its fields.

    Raises: BadRequest, ContentTooLarge.
    """
    data = exchange.read_body()
    try:
        document = json.loads(data, object_pairs_hook=make_object)
    except (ValueError, RecursionError) as exc:
        raise BadRequest(
            f"the body is not JSON: {exc if isinstance(exc, ValueError) else 'nested too deeply'}"
        ) from exc
    if not isinstance(document, dict):
        raise BadRequest("the body is JSON, but not an object")
    return document


def whole_number(value: Any, name: str) -> int:
    """Read a number of a query, a path or a body.

    Raises: BadRequest.
    """
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 12:
        raise BadRequest(f"{name} is {ascii(value)[:40]}, expected a whole number")
    return int(text)
