# SPDX-License-Identifier: Apache-2.0
"""Nodes, proxies and the snapshot that holds them. Pure values.

A proxy is another frontend: it has nodes of its own, whose addresses are its business; they are shown here and never
connected to from here. Our own nodes belong to the proxy called `LOCAL_PROXY`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

from lmcache_frontend.errors import Conflict, NotFound
from lmcache_frontend.http1.client import Endpoint

LOCAL_PROXY = "local_proxy"
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Source(Enum):
    """Who told us of a node."""

    FLAG = "flag"
    FILE = "file"
    API = "api"
    PROXY = "proxy"
    DEMO = "demo"


class Node(NamedTuple):
    """An LMCache process, or, as `Proxy.address`, another frontend.

    ``host`` and ``port`` are kept as configured (``port`` a number, a numeric string or a socket path); ``endpoint`` is
    what they mean. ``extra`` holds the fields of the entry that are none of ours, to be given back.
    """

    name: str
    host: str
    port: int | str
    endpoint: Endpoint
    source: Source
    proxy: str = LOCAL_PROXY
    labels: Mapping[str, str] = _NOTHING
    extra: Mapping[str, Any] = _NOTHING

    @property
    def authority(self) -> str:
        """Give the ``Host`` that the node is asked as."""
        return str(self.endpoint) if self.endpoint.port else "localhost"


class Proxy(NamedTuple):
    """A frontend with nodes behind it; ``address`` is itself as a node.

    It is None for `LOCAL_PROXY`, and for one that is named by nodes alone: those are shown and cannot be reached.
    """

    name: str
    address: Node | None
    nodes: Mapping[str, Node]


class Way(NamedTuple):
    """How a name is reached: the node to connect to, and the name to ask it for where that is a proxy's child."""

    node: Node
    child: str | None
    is_frontend: bool


class Cluster(NamedTuple):
    """All proxies and nodes at one moment, by name, in the order they were added; never changed, only replaced."""

    proxies: Mapping[str, Proxy]
    ways: Mapping[str, Way]
    targets: Mapping[tuple[str, int], Node]

    @property
    def local_nodes(self) -> Mapping[str, Node]:
        """Give our own nodes by name."""
        return self.proxies[LOCAL_PROXY].nodes

    def find(self, name: str) -> Way:
        """Say how a flat name, or a full one of the form ``proxy/node``, is reached.

        A flat name means a proxy, then a node of ours, then the only child of that name; a full name goes first.
        Raises: NotFound, for the child of a proxy that is not known here too; Conflict, listing the full names, where
        it stands for several children.
        """
        held = self._held(name)
        if held is None:
            return self.ways[name]
        proxy, node = held
        if proxy.address is not None:
            return Way(proxy.address, node.name, False)
        if proxy.name != LOCAL_PROXY:
            raise NotFound(f"{proxy.name[:80]!r}, the frontend of {node.name[:80]!r}, is not known")
        return Way(node, None, False)

    def locate(self, name: str) -> tuple[str, str | None]:
        """Give the proxy a name belongs to and the node's name within it, None for the proxy itself.

        Raises: NotFound, Conflict.
        """
        held = self._held(name)
        if held is not None:
            return held[0].name, held[1].name
        way = self.ways[name]
        return (way.node.name, None) if way.is_frontend else (way.node.proxy, way.node.name)

    def _held(self, name: str) -> tuple[Proxy, Node] | None:
        """Give the node that a name stands for and the proxy that has it, None where ``ways`` has the name."""
        # Both parts of a full name may hold slashes themselves.
        slash = name.find("/")
        while slash >= 0:
            named = self.proxies.get(name[:slash])
            node = named.nodes.get(name[slash + 1 :]) if named else None
            if named and node:
                return named, node
            slash = name.find("/", slash + 1)
        if name in self.ways:
            return None
        holders = [proxy for proxy in self.proxies.values() if name in proxy.nodes]
        if not holders:
            raise NotFound(f"no node or proxy is called {name[:80]!r}")
        if len(holders) > 1:
            full_names = ", ".join(f"{proxy.name}/{name}" for proxy in holders)
            raise Conflict(f"{name[:80]!r} is the name of several nodes, expected one of {full_names}")
        return holders[0], holders[0].nodes[name]


def make_cluster(proxies: Mapping[str, Proxy]) -> Cluster:
    """Build a snapshot with the indexes that requests are looked up in."""
    proxies = dict(proxies)
    proxies.setdefault(LOCAL_PROXY, Proxy(LOCAL_PROXY, None, {}))
    local = proxies[LOCAL_PROXY].nodes.values()
    frontends = [proxy.address for proxy in proxies.values() if proxy.address is not None]
    ways = {node.name: Way(node, None, False) for node in local}
    ways.update({node.name: Way(node, None, True) for node in frontends})
    targets = {}
    for node in (*local, *frontends):
        targets[(node.host.lower(), node.endpoint.port)] = node
        targets[(node.endpoint.host.lower() if node.endpoint.port else node.endpoint.host, node.endpoint.port)] = node
    return Cluster(MappingProxyType(proxies), MappingProxyType(ways), MappingProxyType(targets))
