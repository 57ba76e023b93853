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


SESSION_ROUTES = (
    Route("POST", "/api/session", _later("sessions", "sign_in")),
    Route("DELETE", "/api/session", _later("sessions", "sign_out")),
    Route("GET", "/sign-in", _later("sessions", "follow_invitation")),
)

CONFIGURATION_ROUTES = (
    *SESSION_ROUTES,
    Route("GET", "/config", _later("remote_config", "configuration")),
    Route("POST", "/config", _later("remote_config", "configuration")),
    Route("GET", "/api/config/rules", _later("remote_config", "rules")),
    Route("PUT", "/api/config/rules", _later("remote_config", "change_rules")),
    Route("GET", "/api/config/revisions", _later("remote_config", "revisions")),
    Route("GET", "/api/config/revisions/{revision}", _later("remote_config", "revision")),
    Route("GET", "/api/config/revisions/{revision}/diff", _later("remote_config", "difference")),
    Route("POST", "/api/config/rollback", _later("remote_config", "roll_back")),
    Route("POST", "/api/config/preview", _later("remote_config", "preview")),
    Route("GET", "/api/config/clients", _later("remote_config", "clients")),
    Route("GET", "/api/config/catalogue", _later("remote_config", "keys")),
    Route("GET", "/api/audit", _later("audit", "entries")),
)

# For a server of configuration alone: it has no nodes whose metrics it could give.
CONFIGURATION_METRICS = Route("GET", "/metrics", _later("remote_config", "fetch_metrics"))

NODE_ROUTES = (
    Route("GET", "/api/nodes", _later("nodes", "tree")),
    Route("POST", "/api/nodes", _later("nodes", "add_node")),
    Route("PUT", "/api/nodes/{node}", _later("nodes", "update_node")),
    Route("DELETE", "/api/nodes/{node}", _later("nodes", "delete_node")),
    Route("GET", "/api/proxies", _later("nodes", "proxies")),
    Route("POST", "/api/proxies", _later("nodes", "add_proxy")),
    Route("GET", "/api/proxies/{proxy}/nodes", _later("nodes", "proxy_nodes")),
    Route("POST", "/api/proxies/{proxy}/nodes", _later("nodes", "add_node_to_proxy")),
    Route("GET", "/api/proxies/{proxy}/refresh", _later("nodes", "refresh")),
    Route("POST", "/api/proxies/{proxy}/refresh", _later("nodes", "refresh")),
)

ROUTES = (
    *NODE_ROUTES,
    Route("GET", "/metrics", _later("metrics", "metrics")),
    Route("GET", "/api/sd", _later("metrics", "discovery")),
    Route("GET", "/api/fleet", _later("fleet", "fleet")),
    Route("GET", "/api/fleet/events", _later("fleet", "events")),
    Route("GET", "/api/fleet/series", _later("fleet", "fleet_series")),
    Route("GET", "/api/fleet/heat", _later("fleet", "heat")),
    Route("GET", "/api/fleet/drift", _later("fleet", "drift")),
    Route("GET", "/api/fleet/env", _later("fleet", "environments")),
    Route("GET", "/api/nodes/{node}/series", _later("fleet", "node_series")),
    Route("GET", "/api/about", _later("about", "about")),
    Route("POST", "/api/connection-test", _later("about", "try_connection")),
    Route("POST", "/api/fleet/actions", _later("actions", "begin")),
    Route("GET", "/api/fleet/actions", _later("actions", "recent")),
    Route("GET", "/api/fleet/actions/{action}", _later("actions", "show")),
    Route("DELETE", "/api/fleet/actions/{action}", _later("actions", "stop")),
    *CONFIGURATION_ROUTES,
    *(Route("GET", f"/api/nodes/{{node}}/{item}", _item(item)) for item in ITEMS),
)
