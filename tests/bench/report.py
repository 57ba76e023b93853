# SPDX-License-Identifier: Apache-2.0
"""Medians, ratios and marks of measured lines, and the table and JSON made of them; pure.

Leaves measuring to `rows`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

_HEADINGS = ("case", "unit", "ours", "peer", "ratio", "floor", "goal", "mark")
_MORE_HEADINGS = ("CPU µs ours", "CPU µs peer", "direct", "errors")


class Budget(NamedTuple):
    """What is asked of a line: of the ratio to the peer, or of our own figure."""

    floor: float
    goal: float
    more_is_better: bool
    of_ratio: bool


class Line(NamedTuple):
    """One line of the table: a figure a round for us and for the peer, if there is one, in the same order.

    Where nothing is asked of a figure, its budget is None.
    """

    case: str
    unit: str
    budget: Budget | None
    ours: tuple[float, ...] = ()
    peer: tuple[float, ...] = ()
    direct: float | None = None
    ours_cpu_us: tuple[float, ...] = ()
    peer_cpu_us: tuple[float, ...] = ()
    ours_errors: int = 0
    peer_errors: int = 0
    note: str = ""


def ratio(line: Line) -> float | None:
    """Return the median of the ratios of each round, or None where a peer's figure is zero."""
    if not line.peer or any(figure == 0 for figure in line.peer):
        return None
    return median(ours / peer for ours, peer in zip(line.ours, line.peer, strict=True))


def mark(line: Line) -> str:
    """Say which part of its budget a line meets: `goal`, `floor` or `below`; `-` where there is none.

    A failed request of ours is `below`, however fast the others were.
    """
    if line.budget is None:
        return "below" if line.ours_errors else "-"
    judged = ratio(line) if line.budget.of_ratio else median(line.ours)
    if judged is None or line.ours_errors:
        return "below"
    for name, bound in (("goal", line.budget.goal), ("floor", line.budget.floor)):
        if judged >= bound if line.budget.more_is_better else judged <= bound:
            return name
    return "below"


def table(lines: Sequence[Line]) -> str:
    """Return the lines as an aligned Markdown table, with their notes below."""
    cells = [_HEADINGS + _MORE_HEADINGS, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    drawn = [_draw(row, widths) for row in cells]
    drawn.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    notes = [f"{line.case}: {line.note}" for line in lines if line.note]
    return "\n".join([*drawn, "", *notes]).rstrip() + "\n"


def as_json(lines: Sequence[Line], circumstances: Mapping[str, object]) -> dict[str, object]:
    """Return everything measured as values `json` can write, beside the circumstances it was measured under."""
    measured = [
        {
            **line._asdict(),
            "budget": line.budget._asdict() if line.budget else None,
            "ours_median": median(line.ours),
            "peer_median": median(line.peer) if line.peer else None,
            "ratio": ratio(line),
            "mark": mark(line),
        }
        for line in lines
    ]
    return {**circumstances, "lines": measured}


def _cells(line: Line) -> tuple[str, ...]:
    budget = line.budget
    compared = ratio(line) if budget and budget.of_ratio else None
    return (
        line.case,
        line.unit,
        _number(median(line.ours)),
        _number(median(line.peer)) if line.peer else "-",
        "-" if compared is None else f"{compared:.3f}",
        *_bounds(budget),
        mark(line),
        _number(median(line.ours_cpu_us)) if line.ours_cpu_us else "-",
        _number(median(line.peer_cpu_us)) if line.peer_cpu_us else "-",
        "-" if line.direct is None else _number(line.direct),
        f"{line.ours_errors} / {line.peer_errors}",
    )


def _bounds(budget: Budget | None) -> tuple[str, str]:
    if budget is None:
        return "-", "-"
    relation = "" if budget.more_is_better else "<= "
    times = " x" if budget.of_ratio else ""
    return f"{relation}{budget.floor:g}{times}", f"{relation}{budget.goal:g}{times}"


def _draw(row: Sequence[str], widths: Sequence[int]) -> str:
    text_columns = 2
    drawn = [
        cell.ljust(width) if column < text_columns else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "| " + " | ".join(drawn) + " |"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}" if abs(figure) < 10 else f"{figure:.1f}"
