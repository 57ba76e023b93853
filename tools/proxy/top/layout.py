# SPDX-License-Identifier: Apache-2.0
"""The live view as lines: a head with the whole fleet, a table of the nodes, a foot. Pure.

An opened node and the help are in `top_pages`; how a line gets onto a terminal, in `screen`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lmcache_frontend.fleet.snapshot import Figure, FleetSnapshot, NodeState

from ...terminal import Cell, width_of
from ..amounts import Glyphs, bar, count, duration, percent, sparkline
from ..snapshots import value_of
from .columns import LEVEL_ORDER, LEVEL_STYLES, Column, fitting
from .screen import Line, Size, exactly, fitted, line_of, safe, selected, spread
from .view import View, matching

Series = Mapping[str, Sequence[float | None]]
NO_SERIES: Series = {}
TREND_FIGURE = "tokens_requested_per_s"
LEAST_COLUMNS, LEAST_ROWS = 20, 4
_WIDE, _TALL = 60, 9
_LONGEST_TREND = 24
_LATE_AFTER_INTERVALS = 3.0
_SEVERITY_STYLES = {"critical": "red", "warning": "yellow", "notice": "dim"}


class Shown(NamedTuple):
    """What there is to show: the fleet, its figures and those of nodes over time, and what is wrong with asking.

    ``age_s`` is how old the snapshot is; ``series`` are by key of node.
    """

    server: str
    snapshot: FleetSnapshot
    age_s: float
    fleet_series: Series = NO_SERIES
    series: Mapping[str, Series] = {}
    trouble: str | None = None


class Layout(NamedTuple):
    """The lines of a screen, and how many lines of what can be moved through are on it at once."""

    lines: list[Line]
    page: int


def fleet_layout(view: View, shown: Shown, size: Size, glyphs: Glyphs) -> Layout:
    """Lay the fleet out."""
    found = matching(view, shown.snapshot.nodes.values())
    columns = fitting(size.columns, found.nodes)
    head = list(_head(view, shown, size, glyphs))
    titles = _titles(columns, view, glyphs)
    page = max(size.rows - len(head) - 2, 1)
    rows = []
    for node in found.nodes[view.top : view.top + page]:
        line = _row(node, columns, shown, glyphs)
        rows.append(selected(line, size.columns) if node.key == view.selected else line)
    if not found.nodes:
        rows.append(line_of(_nothing(view, shown), "dim"))
    body = exactly(rows, page)
    foot = foot_of(view, found.fault or shown.trouble, size, position(view.top, page, len(found.nodes)))
    return Layout(exactly([*head, titles, *body, foot], size.rows), page)


def too_small(size: Size) -> Layout:
    """Say that there is no room."""
    return Layout(exactly([line_of("too small", "bold")], max(size.rows, 1)), 1)


def position(top: int, page: int, length: int) -> str:
    """Say which part of something longer than a page is shown; nothing where all of it is."""
    return f"{top + 1}-{min(top + page, length)} of {length}" if length > page else ""


def foot_of(view: View, trouble: str | None, size: Size, where: str) -> Line:
    """Give the last line: the filter that is typed, what is wrong, or the keys that are most wanted."""
    if view.entry is not None:
        # The end of what is typed is what is to be seen.
        room = max(size.columns - 3, 1)
        text = safe(view.entry)
        while width_of(text) > room:
            text = text[1:]
        return (Cell("/", "bold"), Cell(text), Cell(" ", "reverse"))
    if trouble:
        return line_of(trouble, "red")
    keys = "q quit  ? help  / filter  s sort  r turn  p pause  enter open"
    if view.opened is not None:
        keys = "escape back  n next  N before  q quit  ? help"
    if view.helping:
        keys = "any key: back"
    if width_of(keys) > size.columns:
        keys = "q quit  ? help"
    return spread(line_of(keys, "dim"), line_of(where, "dim"), size.columns)


def title_line(view: View, shown: Shown, size: Size) -> Line:
    """Give the first line: where the view is from, what is in force, how many nodes there are and how old it is."""
    notes = []
    if view.filter_in_force:
        notes.append(Cell(f" /{safe(view.filter_in_force)}", "cyan"))
    if view.paused:
        notes.append(Cell(" PAUSED", "bold"))
    age = _age(shown)
    server = safe(shown.server)
    left = (Cell(server, "bold"), *notes) if size.columns >= _WIDE else tuple(notes)
    right = (*_census(shown.snapshot), Cell("  "), age) if size.columns >= _WIDE else _census(shown.snapshot)
    whole = spread(left, right, size.columns)
    return whole if whole != left or size.columns < _WIDE else spread(tuple(notes), right, size.columns)


def _age(shown: Shown) -> Cell:
    late = shown.trouble is not None or shown.age_s > _LATE_AFTER_INTERVALS * max(shown.snapshot.interval_s, 1.0)
    text = f"{duration(float(round(max(shown.age_s, 0.0))))} old"
    return Cell(text, "red" if late else "dim")


def _census(snapshot: FleetSnapshot) -> Line:
    number = len(snapshot.nodes)
    counts = Counter(node.level for node in snapshot.nodes.values())
    cells = [Cell(_counted(number, "node"))]
    for level in LEVEL_ORDER:
        if counts[level]:
            cells += [Cell("  "), Cell(f"{counts[level]} {level.value}", LEVEL_STYLES[level])]
    return tuple(cells)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 or noun == "critical" else f"{number} {noun}s"


def _head(view: View, shown: Shown, size: Size, glyphs: Glyphs) -> Iterator[Line]:
    """Yield the lines about the whole fleet: as many as the height allows."""
    yield title_line(view, shown, size)
    if size.rows >= _TALL:
        yield from _totals(shown, size, glyphs)
        yield _problems(shown)


def _totals(shown: Shown, size: Size, glyphs: Glyphs) -> Iterator[Line]:
    totals = shown.snapshot.totals
    gap = Cell("   ")
    hits = _total("hit rate", totals, "lookup_hit_rate", percent)
    tokens = _total("tokens/s", totals, TREND_FIGURE, count)
    fill = list(_total("fill", totals, "cpu_fill", percent))
    share = value_of(totals, "cpu_fill")
    if share is not None:
        fill.insert(1, Cell(f"{bar(share, 8, glyphs)} "))
    evictions = _total("evict/s", totals, "evictions_per_s", count)
    if size.columns < _WIDE:
        yield (*hits, gap, *tokens)
        yield (*fill, gap, *evictions)
        return
    bare = (*hits, gap, *tokens, gap, *fill, gap, *evictions)
    room = min((size.columns - sum(width_of(cell.text) for cell in bare)) // 2 - 1, _LONGEST_TREND)
    hit_trend = sparkline(shown.fleet_series.get("lookup_hit_rate", ()), room, glyphs, top=1.0)
    token_trend = sparkline(shown.fleet_series.get(TREND_FIGURE, ()), room, glyphs)
    trends = [(Cell(" "), Cell(text, "cyan")) if room > 0 else () for text in (hit_trend, token_trend)]
    yield (*hits, *trends[0], gap, *tokens, *trends[1], gap, *fill, gap, *evictions)


def _total(title: str, totals: Mapping[str, Figure], name: str, in_words: Callable[[float], str]) -> Line:
    value = value_of(totals, name)
    text = "-" if value is None else in_words(value)
    return Cell(f"{title} ", "dim"), Cell(text, "bold")


def _problems(shown: Shown) -> Line:
    problems = shown.snapshot.problems
    if not problems:
        return line_of("no problems", "dim")
    worst = problems[0]
    counts = Counter(problem.severity for problem in problems)
    numbers = [_counted(counts[name], name) for name in _SEVERITY_STYLES if counts[name]]
    where = f"{worst.node}: " if worst.node else ""
    style = _SEVERITY_STYLES.get(worst.severity, "")
    return (Cell(f"{', '.join(numbers)}: ", style), Cell(safe(f"{where}{worst.text}")))


def _titles(columns: Sequence[Column], view: View, glyphs: Glyphs) -> Line:
    cells = []
    for column in columns:
        title = column.title
        if column.name == view.sort:
            downwards = column.largest_first != view.reverse
            arrow = glyphs.descending if downwards else glyphs.ascending
            title = f"{arrow}{title}" if column.right else f"{title}{arrow}"
        cells += [Cell(fitted(title, column.width, right=column.right), "bold"), Cell(" ")]
    return tuple(cells[:-1])


def _row(node: NodeState, columns: Sequence[Column], shown: Shown, glyphs: Glyphs) -> Line:
    cells = []
    for column in columns:
        if column.text is not None:
            cell = column.text(node, glyphs)
        else:
            series = shown.series.get(node.key, NO_SERIES).get(TREND_FIGURE, ())
            cell = Cell(sparkline(series, column.width, glyphs), "cyan")
        filled = fitted(cell.text, column.width, right=column.right)
        cells += [Cell(filled, cell.style), Cell(" ")]
    return tuple(cells[:-1])


def _nothing(view: View, shown: Shown) -> str:
    if not shown.snapshot.nodes:
        return "there are no nodes"
    return f"none of {len(shown.snapshot.nodes)} nodes matches {view.filter_in_force}"
