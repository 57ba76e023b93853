# SPDX-License-Identifier: Apache-2.0
"""The frontend's documents of the fleet as the values that they were made from, for what looks at many at a time. Pure.

Source: the shape of ``GET /api/fleet``. What is missing in a document is taken for not known, as frontends are of many
ages; what is no document of this kind is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from lmcache_frontend.errors import BadGateway
from lmcache_frontend.fleet.snapshot import (
    OK,
    UNSUPPORTED,
    Figure,
    FleetSnapshot,
    Level,
    NodeState,
    Problem,
    key_of,
)

_STATES = frozenset({"ok", "no_traffic", "unsupported", "stale"})
_LEVELS = frozenset(level.value for level in Level)


def read_snapshot(document: Any) -> FleetSnapshot:
    """Read ``GET /api/fleet``.

    Raises: BadGateway for something else.
    """
    try:
        nodes = [read_node(node) for node in document["nodes"]]
        return FleetSnapshot(
            number=int(document["snapshot"]),
            taken_at=float(document["taken_at"]),
            interval_s=float(document["interval_s"]),
            nodes={node.key: node for node in nodes},
            totals=read_figures(document["totals"]),
            problems=read_problems(document.get("problems") or ()),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise _other() from exc


def read_node(document: Mapping[str, Any]) -> NodeState:
    """Read one node of the fleet.

    Raises: BadGateway for something else.
    """
    try:
        level, reasons = str(document["level"]), tuple(map(str, document.get("reasons") or ()))
        return NodeState(
            name=str(document["name"]),
            proxy=str(document["proxy"]),
            address=_text(document.get("address")),
            kind=_text(document.get("kind")) or "unknown",
            role=_text(document.get("role")),
            version=_text(document.get("version")) or None,
            instance=_text(document.get("instance")) or None,
            level=Level(level) if level in _LEVELS else Level.ANSWERING,
            reasons=reasons if level in _LEVELS else (f"its state is {level}", *reasons),
            last_seen=_number(document.get("last_seen")),
            figures=read_figures(document.get("figures") or {}),
            scraped_at=None,
            scrape_seconds=None,
            blocks=None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise _other() from exc


def read_figures(document: Mapping[str, Any]) -> dict[str, Figure]:
    """Read figures; one of an unknown state is not known."""
    result = {}
    for name, figure in document.items():
        state = figure["state"] if figure["state"] in _STATES else UNSUPPORTED
        result[str(name)] = Figure(_number(figure["value"]), state)
    return result


def read_problems(documents: Iterable[Mapping[str, Any]]) -> tuple[Problem, ...]:
    """Read problems, the worst first as they are given."""
    problems = []
    for document in documents:
        node = document.get("node")
        since = _number(document.get("since")) or 0.0
        text = _text(document.get("text"))
        problems.append(Problem(_text(document.get("severity")), None if node is None else str(node), text, since))
    return tuple(problems)


def key_in(document: Mapping[str, Any]) -> str:
    """Give the name of a node's document that is unique in the fleet."""
    return key_of(str(document.get("proxy")), str(document.get("name")))


def value_of(figures: Mapping[str, Figure], name: str) -> float | None:
    """Give a figure's value if it is of now."""
    figure = figures.get(name)
    return figure.value if figure is not None and figure.state == OK else None


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(value: Any) -> float | None:
    """Read a number, also one of those that JSON has not and that are written as texts."""
    if isinstance(value, bool) or value is None:
        return None
    number = float(value)
    return None if math.isnan(number) else number


def _other() -> BadGateway:
    return BadGateway("this is no document of a fleet: is a frontend of this kind at the address?")
