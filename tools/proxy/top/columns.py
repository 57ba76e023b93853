# SPDX-License-Identifier: Apache-2.0
"""The columns of the live view: what is in them, how they sort, and which of them fit a width. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from lmcache_frontend.fleet.snapshot import NO_TRAFFIC, STALE, Level, NodeState

from ...terminal import Cell, printable, width_of
from ..amounts import Glyphs, bar, count, percent

LEVEL_STYLES = {
    Level.UNREACHABLE: "red",
    Level.DEGRADED: "yellow",
    Level.ANSWERING: "magenta",
    Level.SERVING: "cyan",
    Level.HEALTHY: "green",
}
# The worst first.
LEVEL_ORDER = (Level.UNREACHABLE, Level.DEGRADED, Level.ANSWERING, Level.SERVING, Level.HEALTHY)
_SHORT_LEVELS = {Level.UNREACHABLE: "unreach.", Level.ANSWERING: "answers"}
NODE, TREND, REASON = "node", "trend", "reason"
_LONGEST_NODE = 40
_LONGEST_TREND = 40
_BAR_CELLS = 6
SortKey = tuple[int, float | str]


class Column(NamedTuple):
    """A column: its title, its width in cells, on which side its text stands, and what it shows and sorts by.

    Without ``text`` the layout fills it, and without ``value`` it cannot be sorted by.
    """

    name: str
    title: str
    width: int
    right: bool = False
    text: Callable[[NodeState, Glyphs], Cell] | None = None
    value: Callable[[NodeState], float | str | None] | None = None
    largest_first: bool = False


def _figure(name: str, title: str, width: int, figure: str, shown: Callable[[float], str]) -> Column:
    def text(node: NodeState, _: Glyphs) -> Cell:
        return figure_cell(node, figure, shown)

    def value(node: NodeState) -> float | None:
        return node.figures[figure].value if figure in node.figures else None

    return Column(name, title, width, True, text, value, True)


def figure_cell(node: NodeState, figure: str, shown: Callable[[float], str]) -> Cell:
    """Give a figure as text: ``idle`` without traffic, ``-`` where there is none, dimmed where it is of earlier."""
    found = node.figures.get(figure)
    if found is None or found.value is None:
        return Cell("idle" if found is not None and found.state == NO_TRAFFIC else "-", "dim")
    return Cell(shown(found.value), "dim" if found.state == STALE else "")


def _fill(node: NodeState, glyphs: Glyphs) -> Cell:
    number = figure_cell(node, "cpu_fill", percent)
    found = node.figures.get("cpu_fill")
    if found is None or found.value is None:
        return number
    return Cell(f"{bar(found.value, _BAR_CELLS, glyphs)} {number.text:>6}", number.style)


def _state(node: NodeState, _: Glyphs) -> Cell:
    return Cell(node.level.value, LEVEL_STYLES[node.level])


def _short_state(node: NodeState, _: Glyphs) -> Cell:
    return Cell(_SHORT_LEVELS.get(node.level, node.level.value), LEVEL_STYLES[node.level])


def _level(node: NodeState) -> float:
    return LEVEL_ORDER.index(node.level)


_NODE = Column(NODE, "NODE", 12, text=lambda node, _: Cell(node.key), value=lambda node: node.key.lower())
_SHORT_STATE = Column("state", "STATE", 8, text=_short_state, value=_level)
_STATE = _SHORT_STATE._replace(width=11, text=_state)
_HITS = _figure("hit", "HIT", 7, "lookup_hit_rate", percent)
_TOKENS = _figure("tokens", "TOK/S", 7, "tokens_requested_per_s", count)
_FILL_NUMBER = _figure("fill", "FILL", 7, "cpu_fill", percent)
_FILL = _FILL_NUMBER._replace(width=_BAR_CELLS + 7, right=True, text=_fill)
_EVICTIONS = _figure("evict", "EVICT/S", 8, "evictions_per_s", count)
_TREND = Column(TREND, "TOK/S TREND", 12)
_LOOKUPS = _figure("lookups", "LOOKUPS/S", 10, "lookups_per_s", count)
_KIND = Column("kind", "KIND", 11, text=lambda node, _: Cell(node.kind), value=lambda node: node.kind)
_VERSION = Column(
    "version", "VERSION", 15, text=lambda node, _: Cell(node.version or "-"), value=lambda node: node.version
)
_REASON = Column(REASON, "WHY", 16, text=lambda node, _: Cell("; ".join(node.reasons), LEVEL_STYLES[node.level]))
# By importance: each further one is shown where it still fits. One of the same name takes the place of the earlier.
_NEEDED = (_SHORT_STATE, _HITS, _TOKENS, _FILL_NUMBER, _EVICTIONS)
_FURTHER = (_FILL, _STATE, _TREND, _REASON, _LOOKUPS, _KIND, _VERSION)
_ALL = (_NODE, *_NEEDED, *_FURTHER)
_IN_ORDER = ("node", "kind", "version", "state", "hit", "tokens", "lookups", "fill", "evict", "trend", "reason")
SORTABLE = tuple(dict.fromkeys(column.name for column in _ALL if column.value is not None))


def fitting(available: int, nodes: Sequence[NodeState]) -> list[Column]:
    """Choose the columns for a width in cells, with a gap of one between them, and give them their widths."""
    names = [width_of(printable(node.key)) for node in nodes]
    chosen = {NODE: _NODE._replace(width=max(min(_NODE.width, available), 1))}
    _add(chosen, _NEEDED, available)
    _widen(chosen, NODE, min(max(names, default=0), _LONGEST_NODE), available)
    has_reasons = any(node.reasons for node in nodes)
    _add(chosen, [column for column in _FURTHER if has_reasons or column.name != REASON], available)
    if has_reasons:
        _widen(chosen, REASON, available, available)
    _widen(chosen, TREND, _LONGEST_TREND, available)
    return [chosen[name] for name in _IN_ORDER if name in chosen]


def _add(chosen: dict[str, Column], columns: Iterable[Column], available: int) -> None:
    for column in columns:
        if _total({**chosen, column.name: column}.values()) <= available:
            chosen[column.name] = column


def _total(columns: Iterable[Column]) -> int:
    widths = [column.width for column in columns]
    return sum(widths) + len(widths) - 1


def _widen(columns: dict[str, Column], name: str, most: int, available: int) -> None:
    column = columns.get(name)
    if column is not None:
        spare = available - _total(columns.values())
        columns[name] = column._replace(width=column.width + min(max(most - column.width, 0), max(spare, 0)))


def ordered(nodes: Iterable[NodeState], name: str, *, reverse: bool) -> list[NodeState]:
    """Sort nodes by a column of `SORTABLE`, the largest figures and the worst states first; without a value last."""
    column = next(column for column in _ALL if column.name == name and column.value is not None)
    assert column.value is not None
    known, unknown = [], []
    for node in sorted(nodes, key=lambda node: node.key.lower()):
        value = column.value(node)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            unknown.append(node)
        else:
            known.append((value, node))
    known.sort(key=lambda pair: pair[0], reverse=column.largest_first != reverse)
    return [node for _, node in known] + unknown


def next_sortable(name: str, columns: Sequence[str] = SORTABLE, *, step: int = 1) -> str:
    """Give the column to sort by after, or with a step of -1 before, another."""
    return columns[(columns.index(name) + step) % len(columns)] if name in columns else columns[0]
