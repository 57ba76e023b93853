# SPDX-License-Identifier: Apache-2.0
"""Where nodes of one kind differ in configuration, and which versions run. Pure.

What is bound to differ, such as names, ports and addresses, is left out. Values are given as the nodes have them:
whoever shows them masks what is secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# Last parts of keys that are each node's own. Source: LMCache 0.5.6.
OWN_KEYS = frozenset(
    {
        "advertise_ip",
        "advertise_url",
        "host",
        "http_host",
        "http_port",
        "instance_id",
        "internal_api_server_host",
        "internal_api_server_port_start",
        "internal_api_server_socket_path_prefix",
        "listen_url",
        "lmcache_instance_id",
        "lmcache_worker_ids",
        "lmcache_worker_ports",
        "p2p_host",
        "p2p_init_ports",
        "p2p_lookup_ports",
        "pd_peer_alloc_port",
        "pd_peer_host",
        "pd_peer_init_port",
        "pd_peer_query_port",
        "pd_proxy_host",
        "pd_proxy_port",
        "port",
        "prometheus_port",
        "service_instance_id",
        "shm_name",
    }
)


class Configured(NamedTuple):
    """A node's kind, version and configuration; ``values`` is None where that is not known."""

    kind: str
    version: str | None
    values: Mapping[str, Any] | None


def drift(nodes: Mapping[str, Configured]) -> dict[str, Any]:
    """Give what differs, in the shape of ``GET /api/fleet/drift``; the values that most nodes have come first."""
    groups = []
    for kind in dict.fromkeys(node.kind for node in nodes.values()):
        values = {name: node.values for name, node in nodes.items() if node.kind == kind and node.values is not None}
        if values:
            groups.append({"kind": kind, "nodes": len(values), "keys": differing(values)})
    versions = _grouped((name, node.version) for name, node in nodes.items() if node.version is not None)
    return {"groups": groups, "versions": [{"version": value, "nodes": names} for value, names in versions]}


def differing(nodes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give the keys that do not have one value on all nodes that have the key.

    A key that only some nodes have is not listed for that: releases differ in their keys, and that is told by versions.
    """
    by_key: dict[str, list[tuple[str, Any]]] = {}
    for name, values in nodes.items():
        for key, value in values.items():
            if key.rpartition(".")[2] not in OWN_KEYS:
                by_key.setdefault(key, []).append((name, value))
    result = []
    for key in sorted(by_key):
        pairs = by_key[key]
        if any(type(value) is not type(pairs[0][1]) or value != pairs[0][1] for _, value in pairs):
            grouped = _grouped(pairs)
            if len(grouped) > 1:
                result.append({"key": key, "values": [{"value": value, "nodes": names} for value, names in grouped]})
    return result


def _grouped(pairs: Iterable[tuple[str, Any]]) -> list[tuple[Any, list[str]]]:
    """Group names by equal value, the largest group first; 1 and true are two values, 5 and 5.0 are one."""
    groups: dict[str, tuple[Any, list[str]]] = {}
    for name, value in pairs:
        shown = float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else value
        groups.setdefault(json.dumps(shown, sort_keys=True), (value, []))[1].append(name)
    return sorted(groups.values(), key=lambda group: -len(group[1]))
