# SPDX-License-Identifier: Apache-2.0
"""The documents of a snapshot as they are sent; each is made once, for all who ask for it.

A thousand nodes take a while to write down, and every page asks for the same. What the documents hold is the business
of `documents`; the nodes in them are written here, with their figures straight from where they are kept.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable

from lmcache_frontend.fleet.documents import Document, figures_document, frame_document, node_document
from lmcache_frontend.fleet.snapshot import Figures, FleetSnapshot, NodeState, changes

# The fleet's document, whole and compressed, and an event; and as many again for who asks for other figures.
KEPT = 6

_dumped = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

Names = Collection[str] | None
Compress = Callable[[bytes], bytes]


def _as_it_is(body: bytes) -> bytes:
    return body


class Texts:
    """What was made lately; any thread may ask."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def fleet(self, snapshot: FleetSnapshot, names: frozenset[str] | None, *, compress: Compress = _as_it_is) -> bytes:
        """Give ``GET /api/fleet`` with these figures of each node, None for all, and as ``compress`` leaves it."""
        key = ("fleet", snapshot.number, names, compress)
        return self._once(key, lambda: compress(_encoded(fleet_text(snapshot, names))))

    def event(self, before: FleetSnapshot, after: FleetSnapshot, names: frozenset[str] | None) -> bytes:
        """Give the data of an event for who knows an earlier snapshot; with number 0 that is nothing."""
        key = ("event", before.number, after.number, names)
        return self._once(key, lambda: _encoded(event_text(before, after, names)))

    def _once(self, key: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        # Who asks while it is made waits for it: two that make the same would both take twice as long.
        with self._lock:
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = make()
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
            return made


def fleet_text(snapshot: FleetSnapshot, names: Names = None) -> str:
    """Write ``GET /api/fleet`` down: the frame and all nodes; ``names`` are the figures to give, None for all."""
    return _with_nodes(frame_document(snapshot), "nodes", snapshot.nodes.values(), names)


def event_text(before: FleetSnapshot, after: FleetSnapshot, names: Names = None) -> str:
    """Write down what is new in a snapshot for somebody who knows an earlier one.

    Who knows nothing, or something too old to tell what is gone since, is to forget what it knows: that is
    ``complete``.
    """
    changed, gone = changes(before, after)
    frame = {**frame_document(after), "gone": gone, "complete": before.number == 0}
    return _with_nodes(frame, "changed", changed, names)


def node_text(state: NodeState, names: Names = None) -> str:
    """Write a node down, as `documents.node_document` has it."""
    document = node_document(state, ())
    del document["figures"]
    figures = state.figures
    known = figures.as_json(names) if isinstance(figures, Figures) else _dumped(figures_document(figures, names))
    return f'{_dumped(document)[:-1]},"figures":{known}}}'


def _with_nodes(document: Document, name: str, states: Iterable[NodeState], names: Names) -> str:
    nodes = ",".join([node_text(state, names) for state in states])
    return f'{_dumped(document)[:-1]},"{name}":[{nodes}]}}'


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")
