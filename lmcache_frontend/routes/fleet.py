# SPDX-License-Identifier: Apache-2.0
"""The fleet's state, as one document, as a stream of events, and over time; and what a single node says of itself.

Source of the event stream: the WHATWG HTML standard, section 9.2 (server-sent events).
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lmcache_frontend.access.rules import READS
from lmcache_frontend.cluster.adapters.kinds import Kind, Reading, State
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.cluster.adapters.read import read
from lmcache_frontend.cluster.model import Node
from lmcache_frontend.errors import BadRequest, FrontendError, NotFound, ServiceUnavailable
from lmcache_frontend.fleet.documents import fleet_document, masked_drift, nodes_with
from lmcache_frontend.fleet.filters import parse_filter
from lmcache_frontend.fleet.own_metrics import labels_of
from lmcache_frontend.fleet.prometheus import fetch_series
from lmcache_frontend.fleet.snapshot import FleetSnapshot, key_of
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.http1.fetch import ask_url
from lmcache_frontend.masking import is_secret, masked, masked_mapping
from lmcache_frontend.routes.auditing import revealed
from lmcache_frontend.routes.metrics import query_of
from lmcache_frontend.routes.services import (
    Services,
    compressed,
    respond_json,
    respond_json_bytes,
    respond_json_text,
    takes_gzip,
)

logger = logging.getLogger(__name__)

KEEP_ALIVE_INTERVAL_S = 15.0
KEPT_S = 24 * 3600.0
PROMETHEUS_TIMEOUT_S = 10.0
ENVIRONMENTS_AT_ONCE = 8
MASKED_ITEMS = frozenset({"conf", "meta", "inference", "env"})
_NOTHING = FleetSnapshot(0, 0.0, 0.0, {}, {}, ())


def fleet(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Give the newest snapshot, with ``?filter=`` the nodes that match; its number is the entity tag.

    ``?figures=a,b`` leaves only those figures of each node: a thousand nodes have more than a page can show.

    Raises: BadRequest for a malformed filter.
    """
    snapshot = services.collector().snapshot
    text = _last(exchange, "filter")
    matches = parse_filter(text) if text else None
    etag = f'"{services.started_at:.0f}-{snapshot.number}"'
    if not text and exchange.request.get("if-none-match") == etag:
        exchange.respond(304, fields=(("ETag", etag), ("Cache-Control", "no-cache")))
        return
    names, fields = _figures(exchange), (("ETag", etag),)
    if matches is not None:
        respond_json(exchange, fleet_document(snapshot, matches, names), fields=fields)
        return
    texts = services.collector().texts
    body = texts.fleet(snapshot, names, compress=compressed) if takes_gzip(exchange) else texts.fleet(snapshot, names)
    respond_json_bytes(exchange, body, fields=fields)


def events(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Stream what changes, from the snapshot in ``Last-Event-ID`` or ``?since=`` on, else from nothing.

    ``?figures=`` is as for `fleet`.

    Raises: ServiceUnavailable where there are too many streams: pages poll then.
    """
    if not services.streams.acquire(blocking=False):
        raise ServiceUnavailable("too many event streams, poll in place of this one", fields=(("Retry-After", "10"),))
    try:
        fields = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"), ("X-Content-Type-Options", "nosniff"))
        exchange.respond_pieces(200, _event_pieces(exchange, services), "text/event-stream", fields)
    finally:
        services.streams.release()


def fleet_series(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Give figures of the whole fleet over time.

    Raises: BadRequest, NotFound.
    """
    _respond_series(exchange, services, None)


def node_series(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """Give figures of a node over time.

    Raises: BadRequest, NotFound, Conflict.
    """
    _respond_series(exchange, services, _key(services, parameters["node"]))


def heat(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Give one figure, or the state, of every node over time.

    Raises: BadRequest, NotFound.
    """
    name = _last(exchange, "name")
    if not name:
        raise BadRequest("name is missing, expected a figure or level")
    since, step_s = _number(exchange, "since"), _number(exchange, "step") or 0.0
    respond_json_text(exchange, services.collector().heat(name, since, step_s))


def drift(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Give where configurations and versions differ between nodes of a kind."""
    document = services.collector().drift()
    respond_json(exchange, document if revealed(exchange, services, "differences", "fleet") else masked_drift(document))


def environments(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Find the nodes with ``?filter=NAME`` or ``NAME=VALUE`` in their environment, which is asked for now, never kept.

    What is secret in a value is masked before it is compared: nobody is to find it out by guesses.

    Raises: BadRequest.
    """
    wanted = _last(exchange, "filter")
    if not wanted:
        raise BadRequest("filter is missing, expected NAME or NAME=VALUE")
    name, has_value = wanted.partition("=")[:2]
    is_revealed = revealed(exchange, services, f"which environments have a certain {name}", "fleet")
    if has_value and not is_revealed and is_secret(name):
        raise BadRequest(f"values of {name[:80]} are secret: expected the name alone, or reveal=1 of an operator")
    nodes = [node for proxy in services.registry.snapshot.proxies.values() for node in proxy.nodes.values()]
    with ThreadPoolExecutor(ENVIRONMENTS_AT_ONCE) as pool:
        readings = list(pool.map(lambda node: _environment(services, node), nodes))
    if not is_revealed:
        readings = [None if reading is None else masked_mapping(reading) for reading in readings]
    keys = [key_of(node.proxy, node.name) for node in nodes]
    respond_json(exchange, nodes_with(zip(keys, readings, strict=True), wanted))


def respond_item(exchange: Exchange, services: Services, name: str, item: str) -> None:
    """Give what a node says of one of the adapters' items, secrets masked unless they are asked for.

    Raises: NotFound, Conflict.
    """
    node, key = _node(services, name)
    is_masked = item in MASKED_ITEMS and not revealed(exchange, services, item, name)
    reading = _read(services, node, key, item)
    data = masked("", reading.data) if is_masked else reading.data
    answer = {"state": reading.state.value, "reason": reading.reason, "read_at": time.time(), "data": data}
    respond_json(exchange, answer)


def _read(services: Services, node: Node, key: str | None, item: str) -> Reading:
    """Read an item; what a node is, is known of the collector's, and asked of one that it has not reached yet."""
    ask = services.ask_node(node)
    identity = None
    if key is not None:
        # One that was registered after the last round is not known to it.
        with contextlib.suppress(NotFound):
            identity = services.collector().identity(key)
    try:
        if identity is None:
            identity = probe(ask, Kind.FRONTEND if key is None else Kind.UNKNOWN)
    except FrontendError as exc:
        return Reading(State.FAILED, str(exc))
    return read(identity, item, ask)


def _node(services: Services, name: str) -> tuple[Node, str | None]:
    """Find a node and its key in the fleet, None for a proxy, which is not collected.

    Raises: NotFound, Conflict.
    """
    cluster = services.registry.snapshot
    proxy_name, node_name = cluster.locate(name)
    if node_name is None:
        address = cluster.proxies[proxy_name].address
        if address is None:
            raise NotFound(f"{name!r} is this frontend itself")
        return address, None
    return cluster.proxies[proxy_name].nodes[node_name], key_of(proxy_name, node_name)


def _key(services: Services, name: str) -> str:
    key = _node(services, name)[1]
    if key is None:
        raise NotFound(f"{name[:80]!r} is a proxy, of which no figures are kept")
    return key


def _environment(services: Services, node: Node) -> dict[str, str] | None:
    reading = _read(services, node, key_of(node.proxy, node.name), "env")
    return reading.data if reading.state is State.OK and isinstance(reading.data, dict) else None


def _respond_series(exchange: Exchange, services: Services, key: str | None) -> None:
    names = [name for value in query_of(exchange).get("name", ()) for name in value.split(",") if name]
    if not names:
        raise BadRequest("name is missing, expected one or more figures parted by commas")
    since = _number(exchange, "since")
    step_s = _number(exchange, "step") or 0.0
    collector = services.collector()
    # Also checks the names, and is what there is where Prometheus does not answer.
    kept = {**collector.series(key, names, since, step_s), "source": "own"}
    url = services.settings.prometheus_url
    now = time.time()
    if url is None or since is None or since >= max(services.started_at, now - KEPT_S):
        respond_json(exchange, kept)
        return
    state = collector.snapshot.nodes.get(key) if key is not None else None
    capacity = (state.figures if state else collector.snapshot.totals).get("cpu_capacity_bytes")
    try:
        longer = fetch_series(
            lambda target: ask_url(services.pool, url + target, timeout_s=PROMETHEUS_TIMEOUT_S),
            names,
            {} if state is None else labels_of(state),
            since=since,
            until=now,
            step_s=step_s,
            cpu_capacity_bytes=capacity.value if capacity else None,
        )
        respond_json(exchange, {**longer, "source": "prometheus"})
    except FrontendError as exc:
        logger.warning("series from Prometheus: %s", exc)
        respond_json(exchange, {**kept, "note": str(exc)})


def _event_pieces(exchange: Exchange, services: Services) -> Iterator[bytes]:
    collector = services.collector()
    names = _figures(exchange)
    told = exchange.request.get("last-event-id") or _last(exchange, "since")
    before = collector.recent(int(told)) if told.isascii() and told.isdigit() and len(told) < 16 else None
    seen = before or _NOTHING
    now: FleetSnapshot | None = collector.snapshot
    while not services.is_ending() and services.gate.still_passes(exchange, READS):
        if now is not None and now.number > seen.number:
            data = collector.texts.event(seen, now, names)
            yield b"id: %d\nevent: snapshot\ndata: %b\n\n" % (now.number, data)
            seen = now
        elif now is None:
            yield b": still here\n\n"
        if exchange.stream.peer_is_gone():
            return
        now = collector.wait_for(seen.number + 1, KEEP_ALIVE_INTERVAL_S)


def _figures(exchange: Exchange) -> frozenset[str] | None:
    """Give the names of the figures that are asked for, None for all."""
    text = _last(exchange, "figures")
    return frozenset(text.split(",")) if text else None


def _last(exchange: Exchange, name: str) -> str:
    return query_of(exchange).get(name, [""])[-1]


def _number(exchange: Exchange, name: str) -> float | None:
    text = _last(exchange, name)
    if not text:
        return None
    try:
        value: Any = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise BadRequest(f"{name} is {text[:40]!a}, expected a number of seconds")
    return float(value)
