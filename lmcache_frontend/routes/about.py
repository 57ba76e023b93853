# SPDX-License-Identifier: Apache-2.0
"""What the service says of itself to who manages it, and what answers at an address that is to be registered."""

from __future__ import annotations

import os
import platform
import socket
import time
from typing import Any

from lmcache_frontend import __version__
from lmcache_frontend.cluster.adapters.kinds import UNKNOWN, Ask, Kind
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.cluster.entries import children_of_tree, read_node
from lmcache_frontend.cluster.membership import PREFIX
from lmcache_frontend.cluster.model import LOCAL_PROXY, Cluster, Node, Source
from lmcache_frontend.errors import BadRequest, FrontendError
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.http1.fetch import Answer
from lmcache_frontend.http1.peers import user_name
from lmcache_frontend.routes.entry_targets import checked
from lmcache_frontend.routes.services import Services, read_json, respond_json

REFUSED_SHOWN = 50
# What a connection is tested under where no name is given; it is asked of nobody but a frontend behind us.
_UNNAMED = "unnamed"


def about(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Say what runs here, where its nodes come from, and where it keeps what it is told."""
    settings = services.settings
    clients, nodes = services.connections()
    document = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": socket.gethostname(),
        "process": os.getpid(),
        "user": user_name(os.getuid()),
        "host": settings.host,
        "port": settings.port,
        "started_at": services.started_at,
        "interval_s": settings.poll_interval_s,
        "connections": {"clients": clients, "nodes": nodes},
        "node_file": _node_file(services),
        "rules_file": settings.config_rules,
        "store": _store(services),
        "sources": _sources(services.registry.snapshot),
    }
    respond_json(exchange, document)


def try_connection(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Ask what answers at an address, with questions that change nothing; that nothing does is an answer too.

    Raises: BadRequest, NotFound, Conflict, Forbidden.
    """
    node, is_frontend = _meant(services, read_json(exchange))
    asked: list[dict[str, Any]] = []
    ask = _noting(services.ask_node(node), asked)
    identity, reason, children = UNKNOWN, None, None
    try:
        identity = probe(ask, Kind.FRONTEND if is_frontend else Kind.UNKNOWN)
        if identity.kind is Kind.FRONTEND:
            tree = services.fetch_json(node, "/api/nodes")
            children = len(children_of_tree(tree, node.name, []))
    except FrontendError as exc:
        reason = str(exc)
    document = {
        "reached": any(question["status"] for question in asked),
        "reason": reason,
        "address": str(node.endpoint),
        "kind": identity.kind.value,
        "role": identity.role,
        "version": identity.version,
        "instance": identity.instance,
        "nodes": children,
        "known_as": _known_as(services.registry.snapshot, node),
        "asked": asked,
    }
    respond_json(exchange, document)


def _node_file(services: Services) -> dict[str, Any] | None:
    file = services.node_file
    if file is None:
        return None
    return {
        "path": str(file.path.absolute()),
        "fault": file.fault,
        "read_at": file.read_at,
        "refused": file.refused[:REFUSED_SHOWN],
        "refused_count": len(file.refused),
    }


def _store(services: Services) -> dict[str, Any]:
    """Describe the store; one that cannot be read is described by that."""
    try:
        store = services.state.store()
        where, fault, is_shared = store.where, store.fault, store.is_shared
    except FrontendError as exc:
        return {"kind": "none", "where": "", "fault": str(exc), "is_shared": False, "revision": None}
    revision = None
    try:
        revision = store.list(PREFIX, limit=1).revision
    except FrontendError as exc:
        fault = fault or str(exc)
    kind = where.partition(":")[0] if ":" in where else "none"
    return {"kind": kind, "where": where, "fault": fault, "is_shared": is_shared, "revision": revision}


def _sources(cluster: Cluster) -> dict[str, Any]:
    """Give who told of each proxy and node: ``{proxy: {"source", "nodes": {name: source}}}``."""
    return {
        proxy.name: {
            "source": proxy.address.source.value if proxy.address is not None else None,
            "nodes": {node.name: node.source.value for node in proxy.nodes.values()},
        }
        for proxy in cluster.proxies.values()
    }


def _meant(services: Services, entry: dict[str, Any]) -> tuple[Node, bool]:
    """Give the node that is to be asked, and whether it is to be a frontend; what could not be added is not asked."""
    if "node" in entry:
        return _registered(services.registry.snapshot, entry["node"])
    is_frontend = entry.get("is_proxy", False)
    if not isinstance(is_frontend, bool):
        raise BadRequest("is_proxy is neither true nor false")
    holder = entry.get("proxy_id") or LOCAL_PROXY
    if not isinstance(holder, str):
        raise BadRequest("proxy_id is neither a text nor null")
    named = {**entry, "name": entry.get("name") or _UNNAMED}
    node = read_node(named, LOCAL_PROXY if is_frontend else holder, Source.API)
    return checked(node, services.settings), is_frontend


def _registered(cluster: Cluster, name: Any) -> tuple[Node, bool]:
    if not isinstance(name, str):
        raise BadRequest("node is no text, expected the name of a node or proxy")
    proxy_name, node_name = cluster.locate(name)
    proxy = cluster.proxies[proxy_name]
    if node_name is not None:
        return proxy.nodes[node_name], False
    if proxy.address is None:
        raise BadRequest(f"{name[:80]!r} has no address of its own")
    return proxy.address, True


def _noting(ask: Ask, asked: list[dict[str, Any]]) -> Ask:
    """Ask as ``ask`` does, and note each question with what came of it."""

    def noting(target: str, timeout_s: float | None) -> Answer:
        begun = time.monotonic()
        note: dict[str, Any] = {"target": target, "status": None, "seconds": 0.0, "reason": None}
        asked.append(note)
        try:
            answer = ask(target, timeout_s)
        except FrontendError as exc:
            note["reason"] = str(exc)
            raise
        finally:
            note["seconds"] = round(time.monotonic() - begun, 6)
        note["status"] = answer.head.status
        return answer

    return noting


def _known_as(cluster: Cluster, node: Node) -> list[str]:
    """Give the names of the other entries with the address of ``node``, as far as we are the ones to reach them."""
    if node.proxy != LOCAL_PROXY:
        return []
    frontends = [proxy.address for proxy in cluster.proxies.values() if proxy.address is not None]
    others = [*frontends, *cluster.local_nodes.values()]
    return [entry.name for entry in others if entry.endpoint == node.endpoint and entry.name != node.name]
