# SPDX-License-Identifier: Apache-2.0
"""Nodes and proxies that were registered over HTTP: kept in the store, so that they outlive the service.

What flags and files say is theirs, and what a proxy reports of itself is asked for again; neither is kept.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lmcache_frontend.cluster.entries import read_node, read_proxy, write_node
from lmcache_frontend.cluster.model import LOCAL_PROXY, Cluster, Proxy, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import BadRequest, Conflict, RevisionConflict, ServiceUnavailable

if TYPE_CHECKING:
    from lmcache_frontend.store.protocol import Operation, Store

logger = logging.getLogger(__name__)

PREFIX = "nodes/"
_KEY_PART_LIMIT = 160
_PATIENCE_S = 3.0
_AT_ONCE = 100


class Membership:
    """Keeps what is registered, and brings back what was."""

    def __init__(self, registry: Registry, store: Callable[[], Store]) -> None:
        """Take what gives the store when it is first needed."""
        self._registry = registry
        self._store = store

    def keep(self, old: Cluster, new: Cluster) -> None:
        """Write what differs between two clusters, before the new one holds.

        Raises: ServiceUnavailable; Conflict where another frontend on this store has registered the name meanwhile.
        """
        from lmcache_frontend.store.protocol import Delete, Put

        before, after = _registered(old), _registered(new)
        operations: list[Operation] = [Delete(key) for key in before if key not in after]
        for key, value in after.items():
            if key not in before:
                operations.append(Put(key, value, expect_revision=0))
            elif before[key] != value:
                operations.append(Put(key, value))
        if not operations:
            return
        store = self._store()
        try:
            for first in range(0, len(operations), _AT_ONCE):
                store.transact(operations[first : first + _AT_ONCE])
        except RevisionConflict as exc:
            raise Conflict("the name was registered meanwhile at another frontend on the same store") from exc

    def load(self) -> int:
        """Put what is registered into the registry and give the store's revision that this is of.

        Raises: ServiceUnavailable.
        """
        revision = 0

        def stored() -> dict[str, Proxy]:
            nonlocal revision
            listing = self._store().list(PREFIX)
            revision = listing.revision
            return _read_entries({entry.key: entry.value for entry in listing.entries})

        for line in self._registry.replace_source(Source.API, stored):
            logger.warning("registered nodes: %s", line)
        return revision

    def follow(self, wait: Callable[[float], bool]) -> None:
        """Load again whenever another frontend changes what is registered; until ``wait(seconds)`` says to end."""
        from lmcache_frontend.store.protocol import Compacted

        while not wait(0.0):
            try:
                watch = self._store().watch(PREFIX, self.load())
                try:
                    while not wait(0.0):
                        if watch.next(1.0):
                            self.load()
                finally:
                    watch.close()
            except (ServiceUnavailable, Compacted) as exc:
                logger.info("registered nodes are not followed for a moment: %s", exc)
                wait(_PATIENCE_S)


def _registered(cluster: Cluster) -> dict[str, bytes]:
    """Give what the store holds of a cluster: ``{key: entry as JSON}``, a proxy without the nodes behind it."""
    found = {}
    for proxy in cluster.proxies.values():
        if proxy.address is not None and proxy.address.source is Source.API:
            found[_key(proxy.name)] = _written({**write_node(proxy.address), "nodes": []})
        for node in proxy.nodes.values():
            if node.source is Source.API:
                found[_key(proxy.name, node.name)] = _written({**write_node(node), "proxy_id": proxy.name})
    return found


def _read_entries(stored: Mapping[str, bytes]) -> dict[str, Proxy]:
    """Read what the store holds; what cannot be read is left out and logged, never deleted."""
    proxies: dict[str, Proxy] = {}
    for key, value in stored.items():
        try:
            entry: Any = json.loads(value)
            if not isinstance(entry, dict):
                raise BadRequest("expected an object")
            if "nodes" in entry:
                proxy = read_proxy(entry, Source.API, [])
                proxies[proxy.name] = proxy._replace(nodes=proxies.get(proxy.name, proxy).nodes)
                continue
            holder = str(entry.get("proxy_id") or LOCAL_PROXY)
            node = read_node(entry, holder, Source.API)
            held = proxies.get(holder, Proxy(holder, None, {}))
            proxies[holder] = held._replace(nodes={**held.nodes, node.name: node})
        except (ValueError, RecursionError, BadRequest) as exc:
            logger.warning("the registered node at %s in the store cannot be read: %s", key, exc)
    return proxies


def _key(proxy_name: str, node_name: str | None = None) -> str:
    parts = [proxy_name] if node_name is None else [proxy_name, node_name]
    return PREFIX + "/".join(map(_key_part, parts))


def _key_part(name: str) -> str:
    """Give a name as a part of a key; keys have a limit, and one letter may take twelve bytes."""
    part = quote(name, safe="")
    if len(part) <= _KEY_PART_LIMIT:
        return part
    from hashlib import sha256

    return part[:_KEY_PART_LIMIT] + sha256(part.encode()).hexdigest()[:32]


def _written(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode()
