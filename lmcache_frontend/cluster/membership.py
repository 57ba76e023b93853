# SPDX-License-Identifier: Apache-2.0
"""Nodes and proxies that were registered over HTTP: kept in the store, so that they outlive the service.

What flags and files say is theirs, and what a proxy reports of itself is asked for again; neither is kept.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from lmcache_frontend.cluster.entries import read_node, read_proxy, write_node
from lmcache_frontend.cluster.model import LOCAL_PROXY, Cluster, Proxy, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.cluster.sources import FAULTS_SHOWN
from lmcache_frontend.errors import BadRequest, Conflict, FrontendError, RevisionConflict, ServiceUnavailable

if TYPE_CHECKING:
    from lmcache_frontend.store.protocol import Operation, Store

logger = logging.getLogger(__name__)

PREFIX = "nodes/"
_KEY_PART_LIMIT = 160
_PATIENCE_S = 3.0
_AT_ONCE = 100


class _Stored(NamedTuple):
    """What the store holds: ``{proxy_name: Proxy}``, and a line for each entry that cannot be read."""

    proxies: dict[str, Proxy]
    faults: list[str]


class Membership:
    """Keeps what is registered, and brings back what was."""

    def __init__(self, registry: Registry, store: Callable[[], Store]) -> None:
        """Take what gives the store when it is first needed."""
        self._registry = registry
        self._store = store
        self._is_behind = False
        self._told: frozenset[str] = frozenset()

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
        except ServiceUnavailable:
            # Some of it may be there all the same; where others write too, who follows them hears of it.
            self._is_behind = not store.is_shared
            raise

    def load(self) -> int:
        """Put what is registered into the registry and give the store's revision that this is of.

        Raises: ServiceUnavailable.
        """
        revision = 0
        faults: list[str] = []

        def stored() -> dict[str, Proxy]:
            nonlocal revision
            listing = self._store().list(PREFIX)
            revision = listing.revision
            found = _read_entries({entry.key: entry.value for entry in listing.entries})
            faults.extend(found.faults)
            return found.proxies

        refused = self._registry.replace_source(Source.API, stored)
        self._tell(faults + refused)
        return revision

    def catch_up(self) -> None:
        """Load again where it is not known what became of a change.

        Raises: ServiceUnavailable.
        """
        if self._is_behind:
            self.load()
            self._is_behind = False

    def follow(self, wait: Callable[[float], bool]) -> None:
        """Load again whenever another frontend changes what is registered; until ``wait(seconds)`` says to end."""
        from lmcache_frontend.store.protocol import Compacted

        fault = ""
        while not wait(0.0):
            try:
                watch = self._store().watch(PREFIX, self.load())
                try:
                    while not wait(0.0):
                        if watch.next(1.0):
                            self.load()
                        if fault:
                            logger.warning("what other frontends register is seen again")
                        fault = ""
                finally:
                    watch.close()
            except Compacted as exc:
                logger.info("registered nodes are read again: %s", exc)
            except Exception as exc:
                if str(exc) != fault:
                    is_ours = isinstance(exc, FrontendError)
                    logger.warning("what other frontends register is not seen for now: %s", exc, exc_info=not is_ours)
                fault = str(exc)
                wait(_PATIENCE_S)

    def _tell(self, faults: list[str]) -> None:
        """Log what is new of the faults, since much is read again and again; of very much only the beginning."""
        new = [line for line in faults if line not in self._told]
        self._told = frozenset(faults)
        for line in new[:FAULTS_SHOWN]:
            logger.warning("registered nodes: %s", line)
        if len(new) > FAULTS_SHOWN:
            logger.warning("registered nodes: %d more entries were refused", len(new) - FAULTS_SHOWN)


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


def _read_entries(stored: Mapping[str, bytes]) -> _Stored:
    """Read what the store holds; what cannot be read is left out, never deleted."""
    found = _Stored({}, [])
    for key, value in stored.items():
        try:
            _read_entry(key, json.loads(value), found.proxies)
        except (ValueError, RecursionError, BadRequest) as exc:
            found.faults.append(f"{key} in the store cannot be read: {exc}")
    return found


def _read_entry(key: str, entry: Any, proxies: dict[str, Proxy]) -> None:
    if not isinstance(entry, dict):
        raise BadRequest("expected an object")
    if "nodes" in entry:
        said = read_proxy(entry, Source.API, [])
        _require_key(key, _key(said.name))
        proxies[said.name] = said._replace(nodes=proxies.get(said.name, said).nodes)
        return
    holder = str(entry.get("proxy_id") or LOCAL_PROXY)
    node = read_node(entry, holder, Source.API)
    _require_key(key, _key(holder, node.name))
    nodes = proxies.setdefault(holder, Proxy(holder, None, {})).nodes
    # Nobody else has it yet; to copy it for each node would take minutes for very many.
    assert isinstance(nodes, dict)
    nodes[node.name] = node


def _require_key(key: str, expected: str) -> None:
    """Refuse an entry at another key than its name's: it could never be changed or deleted by that name."""
    if key != expected:
        raise BadRequest(f"the name in it belongs to {expected}")


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
