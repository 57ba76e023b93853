# SPDX-License-Identifier: Apache-2.0
"""Which nodes are to be watched, by what the registry says; what is known of a node is kept while it is the same."""

from __future__ import annotations

from collections.abc import Mapping

from lmcache_frontend.cluster.model import Cluster, Node
from lmcache_frontend.fleet.polling import Moment, Watch
from lmcache_frontend.fleet.snapshot import key_of


def watches_of(cluster: Cluster, known: Mapping[str, Watch], now: Moment, interval_s: float) -> dict[str, Watch]:
    """Give the watches of all nodes and of the frontends before some of them, by key, those that are known kept.

    Where a node of ours bears the name of a frontend, the node is watched.
    """
    watches: dict[str, Watch] = {}
    for proxy in cluster.proxies.values():
        for node in proxy.nodes.values():
            key = key_of(node.proxy, node.name)
            watches[key] = _watch(known.get(key), node, now, interval_s, is_frontend=False)
    for proxy in cluster.proxies.values():
        if proxy.address is not None and proxy.name not in watches:
            found = _watch(known.get(proxy.name), proxy.address, now, interval_s, is_frontend=True)
            watches[proxy.name] = found
    return watches


def _watch(watch: Watch | None, node: Node, now: Moment, interval_s: float, *, is_frontend: bool) -> Watch:
    if watch is None or (watch.node.endpoint, watch.node.extra) != (node.endpoint, node.extra):
        return Watch(node, now, interval_s, is_frontend=is_frontend)
    if watch.node is not node:
        watch.node = node
        watch.state = watch.state._replace(labels=node.labels)
    return watch
