# SPDX-License-Identifier: Apache-2.0
"""The fleet's event stream as the changes of state in it. Pure.

Source: the WHATWG HTML standard, section 9.2 (server-sent events); the data of ``GET /api/fleet/events``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from lmcache_frontend.errors import BadGateway, BadRequest, UsageError
from lmcache_frontend.fleet.filters import parse_filter
from lmcache_frontend.fleet.snapshot import NOT_ASKED, NodeState

from .snapshots import read_node

GONE, UNKNOWN = "gone", "unknown"
# What else is as good as a state that is waited for.
_AS_GOOD: Mapping[str, frozenset[str]] = {
    "answering": frozenset({"answering", "serving", "healthy", "degraded"}),
    "serving": frozenset({"serving", "healthy"}),
}
Wanted = Callable[[NodeState], bool]
_OTHER = "the event stream holds something other than states of a fleet"


class Event(NamedTuple):
    """An event of the stream, with the identity that it goes on from."""

    data: str
    identity: str | None


class EventReader:
    """Puts the lines of a stream together to events."""

    def __init__(self) -> None:
        self._data: list[str] = []
        self._identity: str | None = None

    def read(self, line: str) -> Event | None:
        """Take a line without its end, and give the event that it completes."""
        if not line:
            data, self._data = self._data, []
            return Event("\n".join(data), self._identity) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._identity = value
        # A line without a name is a comment; of other names nothing is wanted.
        return None


class Change(NamedTuple):
    """A node's change of state; ``before`` is None for a new one, ``after`` for one that is gone."""

    at: float
    node: str
    before: str | None
    after: str | None
    reasons: tuple[str, ...] = ()


class Step(NamedTuple):
    """The states of the nodes that are watched, by their keys, and what changed last."""

    levels: Mapping[str, str]
    changes: tuple[Change, ...] = ()


def read_document(data: str) -> Mapping[str, Any]:
    """Read the data of an event.

    Raises: BadGateway for something else.
    """
    try:
        document = json.loads(data)
        document["changed"], document["gone"], float(document["taken_at"])
    except (KeyError, RecursionError, TypeError, ValueError) as exc:
        raise BadGateway(_OTHER) from exc
    if not isinstance(document, Mapping):
        raise BadGateway(_OTHER)
    return document


def as_event(fleet: Any) -> Mapping[str, Any]:
    """Give ``GET /api/fleet`` as the event that tells all of it.

    Raises: BadGateway for something else.
    """
    try:
        return {"taken_at": float(fleet["taken_at"]), "changed": fleet["nodes"], "gone": [], "complete": True}
    except (KeyError, TypeError, ValueError) as exc:
        raise BadGateway(_OTHER) from exc


def step(levels: Mapping[str, str], document: Mapping[str, Any], wanted: Wanted) -> Step:
    """Give what the data of an event makes of the states; one that is complete tells of everything there is.

    Raises: BadGateway.
    """
    at = float(document["taken_at"])
    nodes = {node.key: node for node in map(read_node, document["changed"]) if wanted(node)}
    gone = [key for key in document["gone"] if key in levels]
    if document.get("complete"):
        gone = [key for key in levels if key not in nodes]
    kept = {key: level for key, level in levels.items() if key not in gone}
    changes = [Change(at, key, _told(levels[key]), None) for key in gone]
    for key, node in nodes.items():
        if node.reasons == (NOT_ASKED,):
            # How it is will be told soon.
            kept.setdefault(key, UNKNOWN)
        elif kept.get(key) != node.level.value:
            changes.append(Change(at, key, _told(kept.get(key)), node.level.value, node.reasons))
            kept[key] = node.level.value
    return Step(kept, tuple(changes))


def _told(level: str | None) -> str | None:
    return None if level == UNKNOWN else level


def is_reached(levels: Mapping[str, str], state: str, *, by_any: bool) -> bool:
    """Say whether all of the nodes, or any of them, are in a state or in one that is as good; `GONE` is none left."""
    if state == GONE:
        return not levels
    good = _AS_GOOD.get(state, frozenset({state}))
    reached = [level in good for level in levels.values()]
    return any(reached) if by_any else bool(reached) and all(reached)


def wanted_nodes(names: Iterable[str], filter_text: str | None) -> Wanted:
    """Give what tells whether a node is watched: by name or glob, several of them with commas, and by a filter.

    Raises: UsageError for a faulty filter.
    """
    patterns = [part.strip() for name in names for part in name.split(",") if part.strip()]
    if any(word.startswith("label:") for word in (filter_text or "").split()):
        raise UsageError("--filter: events do not tell labels, expected words or state: kind: version: proxy:")
    try:
        matches = parse_filter(filter_text or "")
    except BadRequest as exc:
        raise UsageError(f"--filter: {exc}") from exc

    def is_wanted(node: NodeState) -> bool:
        named = not patterns or any(
            pattern in (node.key, node.name) or fnmatchcase(node.key, pattern) for pattern in patterns
        )
        return named and matches(node)

    return is_wanted
