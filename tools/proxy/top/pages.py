# SPDX-License-Identifier: Apache-2.0
"""The pages of the live view beside the table: an opened node, and the help. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lmcache_frontend.fleet.snapshot import OK, STALE, Figure, NodeState

from ...terminal import Cell, printable, width_of, wrapped
from ..amounts import Glyphs, bar, count, duration, percent, sparkline
from ..amounts import size as in_bytes
from ..snapshots import value_of
from .columns import LEVEL_STYLES
from .layout import NO_SERIES, Layout, Shown, foot_of, position, title_line
from .screen import BLANK, Line, Size, exactly, fitted, line_of, safe, spread
from .view import HELP, View

_INDENT = "  "
_KEY_CELLS = 18
_SHARES = ("hit_rate", "hit_share", "fill", "watermark")


class Chart(NamedTuple):
    """A figure that is drawn over time; ``top`` is the value of a full character, None for the largest seen."""

    figure: str
    title: str
    top: float | None = None


CHARTS = (
    Chart("lookup_hit_rate", "hit rate", 1.0),
    Chart("tokens_requested_per_s", "tokens/s"),
    Chart("tokens_hit_per_s", "of these hit"),
    Chart("tokens_stored_per_s", "stored/s"),
    Chart("cpu_fill", "fill", 1.0),
    Chart("evictions_per_s", "evictions/s"),
    Chart("failures_per_s", "failures/s"),
)


def node_layout(view: View, shown: Shown, size: Size, glyphs: Glyphs) -> Layout:
    """Lay one node out; a node that is gone is told to be."""
    node = shown.snapshot.nodes.get(view.opened or "")
    if node is None:
        lines = [line_of(f"{view.opened} is not in the fleet any more", "red")]
    else:
        lines = [*_about(node, shown, size), BLANK, *_charts(node, shown, size, glyphs), BLANK, *_figures(node, size)]
    return _paged(view, shown, size, lines)


def help_layout(view: View, shown: Shown, size: Size) -> Layout:
    """Lay the help out."""
    lines = [line_of("keys", "bold")]
    for keys, meaning in HELP:
        texts = wrapped(meaning, max(size.columns - _KEY_CELLS - len(_INDENT), 10))
        for at, text in enumerate(texts):
            lines.append((Cell(fitted(keys if at == 0 else "", _KEY_CELLS), "cyan"), Cell(text)))
    lines += [BLANK, line_of("states", "bold")]
    for level, style in LEVEL_STYLES.items():
        lines.append(line_of(level.value, style))
    lines += [BLANK, line_of("idle: no traffic   -: the node does not count it", "dim")]
    return _paged(view, shown, size, lines)


def _paged(view: View, shown: Shown, size: Size, lines: list[Line]) -> Layout:
    page = max(size.rows - 2, 1)
    top = min(view.top, max(len(lines) - page, 0))
    body = exactly(lines[top : top + page], page)
    foot = foot_of(view, shown.trouble, size, position(top, page, len(lines)))
    return Layout(exactly([title_line(view, shown, size), *body, foot], size.rows), page)


def last_top(view: View, shown: Shown, size: Size, glyphs: Glyphs) -> int:
    """Give the first line shown when the end of a page is: nothing is moved to beyond it."""
    # Laid out in one piece, everything is there: what is empty at the end is not.
    whole = Size(size.columns, 10_000)
    layout = help_layout(view, shown, whole) if view.helping else node_layout(view, shown, whole, glyphs)
    lines = layout.lines[1:-1]
    while lines and not lines[-1]:
        lines.pop()
    return max(len(lines) - max(size.rows - 2, 1), 0)


def _about(node: NodeState, shown: Shown, size: Size) -> Iterator[Line]:
    yield spread(line_of(node.key, "bold"), line_of(node.level.value, LEVEL_STYLES[node.level]), size.columns)
    for reason in node.reasons:
        yield from _indented(reason, LEVEL_STYLES[node.level], size)
    for problem in shown.snapshot.problems:
        if problem.node == node.key:
            yield from _indented(f"{problem.severity}: {problem.text}", "", size)
    seen = "never"
    if node.last_seen is not None:
        seen = f"{duration(max(shown.snapshot.taken_at - node.last_seen, 0.0))} before the last look"
    facts = (
        ("address", node.address),
        ("kind", node.kind + (f", {node.role}" if node.role and node.role != node.kind else "")),
        ("version", node.version or "not known"),
        ("instance", node.instance or "not known"),
        ("seen", seen),
    )
    for title, text in facts:
        yield (Cell(fitted(title, 10), "dim"), Cell(safe(text)))


def _indented(text: str, style: str, size: Size) -> Iterator[Line]:
    for part in wrapped(printable(text), max(size.columns - len(_INDENT), 10)):
        yield (Cell(_INDENT), *line_of(part, style))


def _charts(node: NodeState, shown: Shown, size: Size, glyphs: Glyphs) -> Iterator[Line]:
    series = shown.series.get(node.key, NO_SERIES)
    room = max(size.columns - 13 - 8 - 1, 0)
    for chart in CHARTS:
        figure = node.figures.get(chart.figure)
        if figure is None or figure.state == "unsupported":
            continue
        text = figure_text(chart.figure, figure)
        drawn = sparkline(series.get(chart.figure, ()), room, glyphs, top=chart.top)
        if chart.figure == "cpu_fill" and not drawn.strip():
            drawn = bar(value_of(node.figures, "cpu_fill") or 0.0, min(room, 20), glyphs)
        yield (
            Cell(fitted(chart.title, 13), "dim"),
            Cell(fitted(text, 8, right=True), "dim" if figure.state == STALE else "bold"),
            Cell(" "),
            Cell(drawn, "cyan"),
        )


def _figures(node: NodeState, size: Size) -> Iterator[Line]:
    """Yield all figures that the node has, in as many columns as there is room for."""
    known = [(name, figure) for name, figure in node.figures.items() if figure.value is not None]
    if not known:
        return
    yield line_of("figures", "bold")
    names = max(width_of(name) for name, _ in known)
    width = names + 12
    across = max(min(size.columns // (width + 2), 3), 1)
    down = -(-len(known) // across)
    for row in range(down):
        cells: list[Cell] = []
        for name, figure in known[row::down]:
            text = figure_text(name, figure)
            room = min(names, max(size.columns - 12, 1))
            cells += [Cell(fitted(name, room), "dim"), Cell(fitted(text, 11, right=True)), Cell("   ")]
        yield tuple(cells[:-1])


def figure_text(name: str, figure: Figure) -> str:
    """Give a figure with its unit, which its name tells."""
    if figure.value is None:
        return "-" if figure.state in (OK, STALE) else figure.state.replace("_", " ")
    bare = name.removesuffix("_total")
    if bare.endswith("_bytes"):
        return in_bytes(figure.value)
    if any(word in bare for word in _SHARES):
        return percent(figure.value)
    if bare.endswith("_s") and not bare.endswith("_per_s"):
        return duration(figure.value) if figure.value >= 1 else f"{figure.value * 1000:.3g} ms"
    return count(figure.value)
