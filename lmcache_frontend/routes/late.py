# SPDX-License-Identifier: Apache-2.0
"""Endpoints whose modules are imported at their first request: start-up needs none of the fleet's many."""

from __future__ import annotations

from importlib import import_module

from lmcache_frontend.cluster.adapters import ITEMS
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.routes.services import Handler, Route, Services


def _later(module: str, name: str) -> Handler:
    def handle(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
        handler: Handler = getattr(import_module(f"lmcache_frontend.routes.{module}"), name)
        handler(exchange, services, parameters)

    return handle


def _item(item: str) -> Handler:
    def handle(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
        from lmcache_frontend.routes.fleet import respond_item

        respond_item(exchange, services, parameters["node"], item)

    return handle


ROUTES = (
    Route("GET", "/metrics", _later("metrics", "metrics")),
    Route("GET", "/api/sd", _later("metrics", "discovery")),
    Route("GET", "/api/fleet", _later("fleet", "fleet")),
    Route("GET", "/api/fleet/events", _later("fleet", "events")),
    Route("GET", "/api/fleet/series", _later("fleet", "fleet_series")),
    Route("GET", "/api/fleet/drift", _later("fleet", "drift")),
    Route("GET", "/api/fleet/env", _later("fleet", "environments")),
    Route("GET", "/api/nodes/{node}/series", _later("fleet", "node_series")),
    *(Route("GET", f"/api/nodes/{{node}}/{item}", _item(item)) for item in ITEMS),
)
