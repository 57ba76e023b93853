# SPDX-License-Identifier: Apache-2.0
"""The nodes and proxies that are known now: one immutable snapshot, replaced at every change.

Readers take ``snapshot`` and keep it for as long as they like. What a change refuses leaves the snapshot as it was. The
lock only lets one change follow another: a change that has to be kept elsewhere first may take its time under it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from lmcache_frontend.cluster.model import LOCAL_PROXY, Cluster, Node, Proxy, Source, make_cluster
from lmcache_frontend.errors import BadRequest, Conflict, NotFound

Keep = Callable[[Cluster, Cluster], None]


class Registry:
    """Holds the current `Cluster`."""

    def __init__(self) -> None:
        """Start with no nodes."""
        self._lock = threading.Lock()
        self._keep: Keep | None = None
        self.snapshot: Cluster = make_cluster({})

    def keep_with(self, keep: Keep) -> None:
        """Call ``keep(old, new)`` before a change that somebody asks for takes effect; what it raises refuses it."""
        self._keep = keep

    def replace_source(
        self, source: Source, said: Mapping[str, Proxy] | Callable[[], Mapping[str, Proxy]]
    ) -> list[str]:
        """Put what a source says now in place of what it said before; what others said stays.

        ``said`` may be a function that finds it out, so that no change comes in between. Gives a line for each name
        that was refused because another source holds it.
        """
        refused: list[str] = []

        def change(now: dict[str, Proxy]) -> None:
            proxies = said() if callable(said) else said
            for proxy in list(now.values()):
                _forget_source(now, proxy, source, keep=proxies)
            for proxy in proxies.values():
                refused.extend(_merge(now, proxy))

        self._change(change, None)
        return refused

    def add_proxy(self, proxy: Proxy) -> None:
        """Add a proxy with its nodes.

        Raises: Conflict where the name is taken.
        """

        def change(now: dict[str, Proxy]) -> None:
            if proxy.name in now:
                raise Conflict(f"a proxy called {proxy.name!r} is there already")
            now[proxy.name] = proxy

        self._change(change, self._keep)

    def add_node(self, node: Node) -> None:
        """Add a node to the proxy that it names.

        Raises: NotFound for the proxy, Conflict where the name is taken in it.
        """
        self._change(lambda now: _insert(now, node), self._keep)

    def set_children(self, proxy_name: str, nodes: Mapping[str, Node]) -> None:
        """Put the nodes that a proxy reports in place of those known of it.

        Raises: NotFound.
        """

        def change(now: dict[str, Proxy]) -> None:
            now[proxy_name] = _proxy(now, proxy_name)._replace(nodes=dict(nodes))

        self._change(change, self._keep)

    def update_node(self, name: str, node: Node) -> None:
        """Put a changed node in the place of the one found under a name; it may have another name or proxy.

        Raises: NotFound, Conflict.
        """

        def change(now: dict[str, Proxy]) -> None:
            proxy_name, node_name = make_cluster(now).locate(name)
            if node_name is None:
                raise BadRequest(f"{name!r} is a proxy, and a proxy cannot become a node")
            nodes = dict(now[proxy_name].nodes)
            if node.proxy == proxy_name:
                if node.name != node_name and node.name in nodes:
                    raise Conflict(f"{proxy_name} has a node called {node.name!r} already")
                nodes = {
                    (node.name if key == node_name else key): (node if key == node_name else value)
                    for key, value in nodes.items()
                }
                now[proxy_name] = now[proxy_name]._replace(nodes=nodes)
            else:
                del nodes[node_name]
                now[proxy_name] = now[proxy_name]._replace(nodes=nodes)
                _insert(now, node)

        self._change(change, self._keep)

    def update_proxy(self, name: str, proxy: Proxy, *, keep_nodes: bool) -> None:
        """Put a changed proxy in the place of the one called ``name``, in the same position.

        Raises: NotFound, Conflict where the new name is taken.
        """

        def change(now: dict[str, Proxy]) -> None:
            old = _proxy(now, name)
            if proxy.name != name and proxy.name in now:
                raise Conflict(f"a proxy called {proxy.name!r} is there already")
            nodes = old.nodes if keep_nodes else proxy.nodes
            renamed = {key: node._replace(proxy=proxy.name) for key, node in nodes.items()}
            new = proxy._replace(nodes=renamed)
            items = [(proxy.name, new) if key == name else (key, value) for key, value in now.items()]
            now.clear()
            now.update(items)

        self._change(change, self._keep)

    def delete(self, name: str) -> None:
        """Delete a proxy with its nodes, or one node.

        Raises: NotFound, Conflict where the name is ambiguous.
        """

        def change(now: dict[str, Proxy]) -> None:
            proxy_name, node_name = make_cluster(now).locate(name)
            if node_name is None:
                del now[proxy_name]
                return
            nodes = dict(now[proxy_name].nodes)
            del nodes[node_name]
            now[proxy_name] = now[proxy_name]._replace(nodes=nodes)

        self._change(change, self._keep)

    def _change(self, change: Callable[[dict[str, Proxy]], None], keep: Keep | None) -> None:
        """Apply a change to a copy, and keep the copy only if nothing was raised."""
        with self._lock:
            now = dict(self.snapshot.proxies)
            change(now)
            changed = make_cluster(now)
            if keep is not None:
                keep(self.snapshot, changed)
            self.snapshot = changed


def _proxy(now: Mapping[str, Proxy], name: str) -> Proxy:
    proxy = now.get(name)
    if proxy is None:
        raise NotFound(f"no proxy is called {name[:80]!r}")
    return proxy


def _insert(now: dict[str, Proxy], node: Node) -> None:
    proxy = _proxy(now, node.proxy)
    if node.name in proxy.nodes:
        raise Conflict(f"{proxy.name} has a node called {node.name!r} already")
    now[node.proxy] = proxy._replace(nodes={**proxy.nodes, node.name: node})


def _forget_source(now: dict[str, Proxy], proxy: Proxy, source: Source, keep: Mapping[str, Proxy]) -> None:
    """Take out what a source said of a proxy; what the proxy reported of itself stays while the source names it."""
    address = proxy.address
    if address is not None and address.source is source:
        if proxy.name not in keep:
            del now[proxy.name]
            return
        address = None
    nodes = {name: node for name, node in proxy.nodes.items() if node.source is not source}
    now[proxy.name] = proxy._replace(address=address, nodes=nodes)


def _merge(now: dict[str, Proxy], said: Proxy) -> list[str]:
    """Add what a source says of a proxy and give a line for each name that another source holds."""
    held = now.get(said.name, Proxy(said.name, None, {}))
    address = said.address
    if held.address is not None and address is not None and held.address.source is not address.source:
        return [f"proxy {said.name!r}: the name is held by a proxy from the {held.address.source.value}"]
    refused = []
    nodes = dict(held.nodes)
    for node in said.nodes.values():
        if node.name in nodes and said.name == LOCAL_PROXY:
            refused.append(f"node {node.name!r}: the name is held by a node from the {nodes[node.name].source.value}")
        else:
            nodes[node.name] = node
    now[said.name] = Proxy(said.name, held.address if address is None else address, nodes)
    return refused
