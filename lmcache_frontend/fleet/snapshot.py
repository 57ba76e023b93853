# SPDX-License-Identifier: Apache-2.0
"""The state of the fleet at one moment, as immutable values, and what changed between two of them. Pure."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

from lmcache_frontend.cluster.model import LOCAL_PROXY, Node

NOT_ASKED = "not asked yet"
_NO_LABELS: Mapping[str, str] = MappingProxyType({})


class Level(str, Enum):
    """How well a node does; `DEGRADED` is one that works but says, or shows, that something is wrong."""

    UNREACHABLE = "unreachable"
    ANSWERING = "answering"
    SERVING = "serving"
    HEALTHY = "healthy"
    DEGRADED = "degraded"


OK = "ok"
NO_TRAFFIC = "no_traffic"
UNSUPPORTED = "unsupported"
STALE = "stale"
_STATES = (OK, NO_TRAFFIC, UNSUPPORTED, STALE)


class Figure(NamedTuple):
    """A derived figure; ``state`` says why there is no value, or that the value is of an earlier time."""

    value: float | None
    state: str


class Figures(Mapping[str, Figure]):
    """Figures by name, never changed; 9 bytes each, the names being shared among all nodes of a kind."""

    __slots__ = ("_positions", "_states", "_values")

    def __init__(self, positions: Mapping[str, int], figures: Mapping[str, Figure]) -> None:
        """Take ``{name: position}``, to be shared, and the figures; what is missing of them is unsupported."""
        missing = Figure(None, UNSUPPORTED)
        ordered = [figures.get(name, missing) for name in positions]
        self._positions = positions
        self._values = array("d", [math.nan if figure.value is None else figure.value for figure in ordered])
        self._states = bytes([_STATES.index(figure.state) for figure in ordered])

    def __getitem__(self, name: str) -> Figure:
        position = self._positions[name]
        value = self._values[position]
        return Figure(None if math.isnan(value) else value, _STATES[self._states[position]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Figures) or self._positions is not other._positions:
            return super().__eq__(other)
        # Bit by bit, as the mark of a missing value equals nothing.
        return self._states == other._states and self._values.tobytes() == other._values.tobytes()

    __hash__ = None  # type: ignore[assignment]

    def as_json(self, names: Iterable[str] | None = None) -> str:
        """Write them down, or those of ``names`` that there are, as ``{name: {"value", "state"}}``.

        Infinite values, which JSON has none of, are texts.
        """
        values, states, positions = self._values, self._states, self._positions
        parts = []
        # Names are those of `derive`: letters, digits and underscores.
        for name in positions if names is None else names:
            position = positions.get(name)
            if position is not None:
                value = values[position]
                number = repr(value) if value - value == 0.0 else _json_of_none(value)
                parts.append(f'"{name}":{{"value":{number},"state":"{_STATES[states[position]]}"}}')
        return f"{{{','.join(parts)}}}"


def _json_of_none(value: float) -> str:
    """Give the JSON for what is no finite number."""
    return "null" if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


NO_FIGURES = Figures({}, {})


class Quota(NamedTuple):
    """What an MP server holds for one tenant, and how much it may; in bytes."""

    salt: str
    used_bytes: float
    limit_bytes: float


class NodeState(NamedTuple):
    """A node as it was found last.

    ``figures`` of a node that could not be read are those of the last time, marked stale. ``blocks`` is None then, so
    that nothing old is exposed. ``last_seen``, ``scraped_at``, ``level_since`` and ``idle_since`` are seconds since the
    epoch; ``scraped_at`` and ``scrape_seconds`` are those of the last good ``/metrics``. ``idle_since`` is None while
    there is traffic, and where that is not counted. ``remarks`` say what was found where figures are odd.
    """

    name: str
    proxy: str
    address: str
    kind: str
    role: str
    version: str | None
    instance: str | None
    level: Level
    reasons: tuple[str, ...]
    last_seen: float | None
    figures: Mapping[str, Figure]
    scraped_at: float | None
    scrape_seconds: float | None
    blocks: Any
    level_since: float = 0.0
    labels: Mapping[str, str] = _NO_LABELS
    quotas: tuple[Quota, ...] = ()
    idle_since: float | None = None
    remarks: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Give the name that is unique in the fleet."""
        return key_of(self.proxy, self.name)


class Problem(NamedTuple):
    """Something to look at; ``severity`` is critical, warning or notice, ``node`` a key or None for the fleet.

    ``code`` says what kind of problem it is, in one word, however the text may change meanwhile. ``nodes`` are the keys
    of those that a problem of several nodes is about, as far as they are few.
    """

    severity: str
    node: str | None
    text: str
    since: float
    code: str = ""
    nodes: tuple[str, ...] = ()


class FleetSnapshot(NamedTuple):
    """All nodes at one moment; ``nodes`` by `NodeState.key`, in the order of the registry."""

    number: int
    taken_at: float
    interval_s: float
    nodes: Mapping[str, NodeState]
    totals: Mapping[str, Figure]
    problems: tuple[Problem, ...]


def key_of(proxy: str, name: str) -> str:
    """Give the name that is unique in the fleet: ``proxy/name`` for what is behind another frontend."""
    return name if proxy == LOCAL_PROXY else f"{proxy}/{name}"


def unknown(node: Node, now: float) -> NodeState:
    """Give the state of a node that was not asked yet."""
    return NodeState(
        name=node.name,
        proxy=node.proxy,
        address=str(node.endpoint),
        kind="unknown",
        role="",
        version=None,
        instance=None,
        level=Level.UNREACHABLE,
        reasons=(NOT_ASKED,),
        last_seen=None,
        figures=NO_FIGURES,
        scraped_at=None,
        scrape_seconds=None,
        blocks=None,
        level_since=now,
        labels=node.labels,
    )


def made_stale(figures: Mapping[str, Figure], positions: Mapping[str, int]) -> Figures:
    """Give figures as those of an earlier time; what the node never had stays unsupported."""
    old = {
        name: figure if figure.state == UNSUPPORTED else Figure(figure.value, STALE) for name, figure in figures.items()
    }
    return Figures(positions, old)


def changes(before: FleetSnapshot, after: FleetSnapshot) -> tuple[list[NodeState], list[str]]:
    """Give the nodes that are new or look different, and the keys of those that are gone.

    When they were seen and scraped last makes no difference.
    """
    changed = [state for key, state in after.nodes.items() if not _look_alike(before.nodes.get(key), state)]
    return changed, [key for key in before.nodes if key not in after.nodes]


def _look_alike(one: NodeState | None, other: NodeState) -> bool:
    if one is other:
        return True
    if one is None:
        return False
    return _seen(one) == _seen(other)


def _seen(state: NodeState) -> NodeState:
    return state._replace(last_seen=None, scraped_at=None, scrape_seconds=None, blocks=None)
