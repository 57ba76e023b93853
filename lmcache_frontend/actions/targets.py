# SPDX-License-Identifier: Apache-2.0
"""Which nodes an action is for: those named, or those that match a filter. Pure."""

from __future__ import annotations

from typing import NamedTuple

from lmcache_frontend.actions.requests import ActionRequest
from lmcache_frontend.cluster.model import Cluster, Node
from lmcache_frontend.errors import NotFound
from lmcache_frontend.fleet.filters import parse_filter
from lmcache_frontend.fleet.snapshot import FleetSnapshot, key_of, unknown

EVERY_NODE = "*"


class Target(NamedTuple):
    """A node with the name that is unique in the fleet; a frontend itself is asked as what it is."""

    key: str
    node: Node
    is_frontend: bool = False


def select(request: ActionRequest, cluster: Cluster, snapshot: FleetSnapshot) -> list[Target]:
    """Give the nodes in the order of their names in the request, or in the registry's; none twice.

    A name may be that of a frontend, which a filter never gives.
    Raises: NotFound for a name of nobody's and where nothing matches; Conflict; BadRequest for a malformed filter.
    """
    if request.nodes:
        named = [_find(cluster, name) for name in request.nodes]
        return list({target.key: target for target in named}.values())
    matches = parse_filter(request.filter) if request.filter.strip() != EVERY_NODE else None
    found = []
    for proxy in cluster.proxies.values():
        for node in proxy.nodes.values():
            key = key_of(proxy.name, node.name)
            if matches is None or matches(snapshot.nodes.get(key) or unknown(node, snapshot.taken_at)):
                found.append(Target(key, node))
    if not found:
        raise NotFound(f"no node matches {request.filter[:80]!r}")
    return found


def _find(cluster: Cluster, name: str) -> Target:
    proxy_name, node_name = cluster.locate(name)
    if node_name is not None:
        return Target(key_of(proxy_name, node_name), cluster.proxies[proxy_name].nodes[node_name])
    address = cluster.proxies[proxy_name].address
    if address is None:
        raise NotFound(f"{name[:80]!r} is this frontend itself")
    return Target(proxy_name, address, is_frontend=True)
