# SPDX-License-Identifier: Apache-2.0
"""The list of nodes and proxies, and its management, in the shapes of upstream's API."""

from __future__ import annotations

from typing import Any

from lmcache_frontend.cluster.entries import read_node, read_proxy, write_node, write_tree
from lmcache_frontend.cluster.model import LOCAL_PROXY, Source
from lmcache_frontend.cluster.sources import refresh_proxy
from lmcache_frontend.errors import BadRequest, NotFound
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.routes.auditing import recording
from lmcache_frontend.routes.entry_targets import checked, require_no_files
from lmcache_frontend.routes.services import Services, read_json, respond_json, sees_secrets


def tree(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """List all proxies with their nodes."""
    settings = services.settings
    hides = not sees_secrets(exchange, services)
    listed = write_tree(services.registry.snapshot, settings.host, settings.port, hides=hides)
    document: dict[str, Any] = {"nodes": listed}
    if fault := services.state.fault:
        document["store_fault"] = fault
    respond_json(exchange, document)


def proxies(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """List the proxies alone."""
    listed = write_tree(services.registry.snapshot, services.settings.host, services.settings.port)
    respond_json(exchange, {"proxies": [{key: proxy[key] for key in ("name", "host", "port")} for proxy in listed]})


def proxy_nodes(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """List the nodes of one proxy.

    Raises: NotFound.
    """
    proxy = services.registry.snapshot.proxies.get(parameters["proxy"])
    if proxy is None:
        raise NotFound(f"no proxy is called {parameters['proxy'][:80]!r}")
    hides = not sees_secrets(exchange, services)
    respond_json(exchange, {"nodes": [write_node(node, hides=hides) for node in proxy.nodes.values()]})


def refresh(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """Ask a proxy for its nodes.

    Raises: NotFound, BadGateway, GatewayTimeout.
    """
    with recording(exchange, services, "refresh proxy", parameters["proxy"]):
        nodes = refresh_proxy(services.registry, parameters["proxy"], services.fetch_json)
    respond_json(exchange, {"status": "success", "nodes": [write_node(node) for node in nodes]})


def add_proxy(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Add a proxy.

    Raises: BadRequest, Conflict.
    """
    entry = read_json(exchange)
    with recording(exchange, services, "add proxy", _name(entry), _address(entry)):
        services.registry.add_proxy(_read_proxy(entry, services))
    _respond_done(exchange, "Proxy added")


def add_node_to_proxy(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """Add a node to a proxy.

    Raises: BadRequest, NotFound, Conflict.
    """
    _add_node(exchange, services, read_json(exchange), parameters["proxy"])


def add_node(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Add a node or, with ``is_proxy``, a proxy; without ``proxy_id`` a node joins our own.

    Raises: BadRequest, NotFound, Conflict.
    """
    entry = read_json(exchange)
    if _is_proxy(entry, default=False):
        with recording(exchange, services, "add proxy", _name(entry), _address(entry)):
            services.registry.add_proxy(_read_proxy(entry, services))
        _respond_done(exchange, "Proxy added")
        return
    _add_node(exchange, services, entry, _proxy_id(entry) or LOCAL_PROXY)


def update_node(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """Change a node or a proxy; a proxy keeps its nodes if the body names none.

    Raises: BadRequest, NotFound, Conflict.
    """
    registry = services.registry
    proxy_name, node_name = registry.snapshot.locate(parameters["node"])
    entry = read_json(exchange)
    if _is_proxy(entry, default=node_name is None) != (node_name is None):
        raise BadRequest("is_proxy cannot be changed; delete this entry and add another")
    if node_name is None:
        with recording(exchange, services, "change proxy", proxy_name, f"{_name(entry)} at {_address(entry)}"):
            require_no_files(registry.snapshot.proxies[proxy_name].address)
            registry.update_proxy(proxy_name, _read_proxy(entry, services), keep_nodes="nodes" not in entry)
        _respond_done(exchange, "Proxy updated")
        return
    with recording(exchange, services, "change node", parameters["node"], f"{_name(entry)} at {_address(entry)}"):
        require_no_files(registry.snapshot.proxies[proxy_name].nodes.get(node_name))
        node = read_node(entry, _proxy_id(entry) or proxy_name, Source.API)
        registry.update_node(parameters["node"], checked(node, services.settings))
    _respond_done(exchange, "Node updated")


def delete_node(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """Delete a node, or a proxy with its nodes.

    Raises: NotFound, Conflict.
    """
    with recording(exchange, services, "delete node", parameters["node"]):
        services.registry.delete(parameters["node"])
    _respond_done(exchange, "Node deleted")


def _add_node(exchange: Exchange, services: Services, entry: dict[str, Any], proxy: str) -> None:
    name = _name(entry) if proxy == LOCAL_PROXY else f"{proxy}/{_name(entry)}"
    with recording(exchange, services, "add node", name, _address(entry)):
        services.registry.add_node(checked(read_node(entry, proxy, Source.API), services.settings))
    _respond_done(exchange, "Node added")


def _read_proxy(entry: dict[str, Any], services: Services) -> Any:
    faults: list[str] = []
    proxy = read_proxy(entry, Source.API, faults)
    if faults:
        raise BadRequest("; ".join(faults))
    if proxy.address is None:
        raise BadRequest(f"{LOCAL_PROXY!r} stands for this frontend itself, expected another name")
    checked(proxy.address, services.settings)
    return proxy


def _name(entry: dict[str, Any]) -> str:
    return str(entry.get("name"))


def _address(entry: dict[str, Any]) -> str:
    return f"{entry.get('host')} {entry.get('port')}"


def _is_proxy(entry: dict[str, Any], *, default: bool) -> bool:
    value = entry.get("is_proxy", default)
    if not isinstance(value, bool):
        raise BadRequest("is_proxy is neither true nor false")
    return value


def _proxy_id(entry: dict[str, Any]) -> str | None:
    value = entry.get("proxy_id")
    if value is not None and not isinstance(value, str):
        raise BadRequest("proxy_id is neither a text nor null")
    return value


def _respond_done(exchange: Exchange, message: str) -> None:
    respond_json(exchange, {"status": "success", "message": message})
