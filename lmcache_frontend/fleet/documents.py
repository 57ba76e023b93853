# SPDX-License-Identifier: Apache-2.0
"""The fleet's state as the JSON that pages, tools and Prometheus's service discovery read. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from lmcache_frontend.cluster.model import LOCAL_PROXY, Cluster, Node
from lmcache_frontend.fleet.snapshot import Figure, FleetSnapshot, NodeState, Problem
from lmcache_frontend.masking import masked

Document = dict[str, Any]


def fleet_document(
    snapshot: FleetSnapshot,
    matches: Callable[[NodeState], bool] | None = None,
    names: Collection[str] | None = None,
) -> Document:
    """Give ``GET /api/fleet``; with a filter, the nodes that match and their problems, under the fleet's totals.

    ``names`` are the figures of nodes to give, None for all.
    """
    nodes = [state for state in snapshot.nodes.values() if matches is None or matches(state)]
    kept = {state.key for state in nodes}
    problems = tuple(problem for problem in snapshot.problems if problem.node is None or problem.node in kept)
    frame = frame_document(snapshot._replace(problems=problems))
    return {**frame, "nodes": [node_document(state, names) for state in nodes]}


def frame_document(snapshot: FleetSnapshot) -> Document:
    """Give what a snapshot says of the fleet as a whole: all but its nodes."""
    return {
        "snapshot": snapshot.number,
        "taken_at": snapshot.taken_at,
        "interval_s": snapshot.interval_s,
        "totals": figures_document(snapshot.totals),
        "problems": [problem_document(problem) for problem in snapshot.problems],
    }


def node_document(state: NodeState, names: Collection[str] | None = None) -> Document:
    """Give one node of the fleet; ``names`` are the figures to give, None for all."""
    return {
        "name": state.name,
        "proxy": state.proxy,
        "address": state.address,
        "kind": state.kind,
        "role": state.role,
        "version": state.version,
        "instance": state.instance,
        "level": state.level.value,
        "reasons": list(state.reasons),
        "level_since": state.level_since,
        "remarks": list(state.remarks),
        "last_seen": state.last_seen,
        "figures": figures_document(state.figures, names),
        "quotas": [quota._asdict() for quota in state.quotas],
        "labels": dict(state.labels),
    }


def problem_document(problem: Problem) -> Document:
    """Give one problem."""
    return {
        "severity": problem.severity,
        "code": problem.code,
        "node": problem.node,
        "nodes": list(problem.nodes),
        "text": problem.text,
        "since": problem.since,
    }


def figures_document(figures: Mapping[str, Figure], names: Collection[str] | None = None) -> Document:
    """Give figures, or those of ``names`` that there are; infinite values, which JSON has none of, are texts."""
    wanted = ((name, figures[name]) for name in (figures if names is None else names) if name in figures)
    return {name: {"value": _number(figure.value), "state": figure.state} for name, figure in wanted}


def discovery_document(
    cluster: Cluster, states: Mapping[str, NodeState], own: str, *, direct: bool, is_secure: bool = False
) -> list[Document]:
    """Give the targets for Prometheus's HTTP service discovery: through this service, or each by its own address.

    ``own`` is the authority that we were asked as, ``is_secure`` whether that was over TLS. Sockets, and nodes behind
    proxies, have no address to be scraped at directly, and are left out of direct targets.
    """
    found = []
    for proxy in cluster.proxies.values():
        for node in proxy.nodes.values():
            key = node.name if proxy.name == LOCAL_PROXY else f"{proxy.name}/{node.name}"
            state = states.get(key)
            if direct and (proxy.name != LOCAL_PROXY or not node.endpoint.port):
                continue
            target, path = (str(node.endpoint), "/metrics") if direct else (own, _metrics_path(cluster, node, key))
            found.append(
                {
                    "targets": [target],
                    "labels": {
                        "__scheme__": "https" if (node.endpoint.tls if direct else is_secure) else "http",
                        "__metrics_path__": path,
                        "__meta_lmcache_node": node.name,
                        "__meta_lmcache_proxy": proxy.name,
                        "__meta_lmcache_kind": state.kind if state else "unknown",
                        "__meta_lmcache_role": state.role if state else "",
                        "__meta_lmcache_version": (state.version if state else None) or "",
                    },
                }
            )
    return found


def masked_drift(document: Document) -> Document:
    """Give the answer of ``GET /api/fleet/drift`` with the secrets in it hidden: that they differ is told."""
    groups = [{**group, "keys": [_masked_key(entry) for entry in group["keys"]]} for group in document["groups"]]
    return {**document, "groups": groups}


def _masked_key(entry: Document) -> Document:
    key = entry["key"]
    return {**entry, "values": [{**held, "value": masked(key, held["value"])} for held in entry["values"]]}


def nodes_with(variables: Iterable[tuple[str, Mapping[str, str] | None]], wanted: str) -> Document:
    """Tell the nodes whose environment meets ``NAME`` or ``NAME=VALUE`` from those whose environment is not known."""
    name, equals, value = wanted.partition("=")
    nodes, unknown = [], []
    for key, environment in variables:
        if environment is None:
            unknown.append(key)
        elif name in environment and (not equals or environment[name] == value):
            nodes.append(key)
    return {"nodes": nodes, "unknown": unknown}


def _metrics_path(cluster: Cluster, node: Node, key: str) -> str:
    way = cluster.ways.get(key)
    name = key if way is None or way.node is node else f"{node.proxy}/{node.name}"
    return f"/proxy2/{quote(name, safe='')}/metrics"


def _number(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
