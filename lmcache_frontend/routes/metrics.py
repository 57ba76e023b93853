# SPDX-License-Identifier: Apache-2.0
"""What Prometheus asks for: one exposition of all nodes, and where they are.

Source: Prometheus text format 0.0.4, OpenMetrics 1.0, Prometheus's HTTP service discovery.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs

from lmcache_frontend.errors import BadRequest, ServiceUnavailable
from lmcache_frontend.exposition.blocks import Blocks, make_blocks
from lmcache_frontend.exposition.merge import merge
from lmcache_frontend.exposition.render import OPENMETRICS_TYPE, TEXT_TYPE, render
from lmcache_frontend.fleet.documents import discovery_document
from lmcache_frontend.fleet.own_metrics import Service, own_metrics
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.remote_config.documents import fetch_metrics
from lmcache_frontend.routes.services import Services, respond_json

SCRAPE_TIMEOUT_S = 10.0
SCRAPE_MARGIN_S = 0.5
_GZIP = 31


def metrics(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Give the metrics of all nodes and our own; ``?node=`` and ``?family=`` choose, and may be repeated.

    Raises: BadRequest.
    """
    query = query_of(exchange)
    collector = services.collector()
    # A round is published a little after the interval has passed: that is no reason to ask all nodes again.
    snapshot = collector.refresh(1.5 * collector.interval_s, _patience_s(exchange))
    names = set(query.get("node", ()))
    states = [state for key, state in snapshot.nodes.items() if not names or key in names or state.name in names]
    families = set(query.get("family", ()))
    openmetrics = "application/openmetrics-text" in (exchange.request.get("accept") or "")
    service = Service(*services.connections(), services.started_at)
    families_of_ours = own_metrics(snapshot, collector.statistics(), services.traffic.read(), service)
    own = render([*families_of_ours, *fetch_metrics(services.state.configuration().statistics())])
    blocks: list[Blocks] = [make_blocks(own.decode(), []).blocks]
    blocks += [state.blocks for state in states if state.blocks is not None]
    pieces: Iterable[bytes] = merge(
        blocks, families=(lambda name: name in families) if families else None, openmetrics=openmetrics
    )
    fields = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Vary", "Accept, Accept-Encoding")]
    if "gzip" in (exchange.request.get("accept-encoding") or ""):
        fields.append(("Content-Encoding", "gzip"))
        pieces = _compressed(pieces)
    exchange.respond_pieces(200, pieces, OPENMETRICS_TYPE if openmetrics else TEXT_TYPE, fields)


def discovery(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Give all nodes as targets, through this service or, with ``?direct=1``, by their own addresses.

    Raises: ServiceUnavailable where the file of nodes cannot be read: an empty list would make Prometheus forget them.
    """
    direct = query_of(exchange).get("direct", ["0"])[-1] not in ("", "0", "false")
    if services.node_file is not None and services.node_file.fault:
        raise ServiceUnavailable(f"the list of nodes may be incomplete: {services.node_file.fault}")
    cluster = services.registry.snapshot
    own = exchange.request.host or f"localhost:{services.settings.port}"
    states = services.collector().snapshot.nodes
    is_secure = exchange.stream.is_secure
    respond_json(exchange, discovery_document(cluster, states, own, direct=direct, is_secure=is_secure))


def query_of(exchange: Exchange) -> dict[str, list[str]]:
    """Read the query.

    Raises: BadRequest.
    """
    try:
        return parse_qs(exchange.request.target.partition("?")[2], errors="strict", max_num_fields=1000)
    except ValueError as exc:
        raise BadRequest("the query has too many fields, or is percent-encoded but not from UTF-8") from exc


def _patience_s(exchange: Exchange) -> float:
    """Give how long a collection may take: what Prometheus says that it waits, less a margin."""
    try:
        told_s = float(exchange.request.get("x-prometheus-scrape-timeout-seconds") or SCRAPE_TIMEOUT_S)
    except ValueError:
        told_s = SCRAPE_TIMEOUT_S
    if not math.isfinite(told_s):
        told_s = SCRAPE_TIMEOUT_S
    return min(max(told_s - SCRAPE_MARGIN_S, 0.1), 60.0)


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()
