# SPDX-License-Identifier: Apache-2.0
"""Lines of styled text as what a terminal is sent: cut to its width, and only those that changed. Pure.

Whatever text comes in, nothing of it can steer the terminal or reach beyond its line: controls are escaped, marks that
take no cell of their own are few, and every line starts at its own place. Source: ECMA-48 for the control sequences.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ...terminal import STYLES, Cell, padded, printable, shortened, width_of

Line = tuple[Cell, ...]
REVERSE = "reverse"
BLANK: Line = ()

_COLOURLESS = {"bold": "1", "dim": "2", REVERSE: "7"}
_MOST_MARKS = 2
_MARK_CATEGORIES = frozenset({"Mn", "Me", "Cf"})


class Size(NamedTuple):
    """A terminal's size in cells."""

    columns: int
    rows: int


def safe(text: str) -> str:
    """Give a text that is only text, on one line, with at most two marks above or below a character."""
    shown = printable(text)
    return shown if shown.isascii() else "".join(_few_marks(unicodedata.normalize("NFC", shown)))


def _few_marks(text: str) -> Iterator[str]:
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in _MARK_CATEGORIES else 0
        if marks <= _MOST_MARKS:
            yield character


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """Give a text made safe, cut and filled to just this width."""
    return padded(shortened(safe(text), width), width, right=right) if width > 0 else ""


def line_of(text: str, style: str = "") -> Line:
    """Give a line of one text, made safe."""
    return (Cell(safe(text), style),)


def spread(left: Line, right: Line, columns: int) -> Line:
    """Give a line with a part at each side; where there is no room for both, the left one is left alone."""
    spare = columns - _width(left) - _width(right)
    return (*left, Cell(" " * spare), *right) if spare >= 1 else left


def selected(line: Line, columns: int) -> Line:
    """Give a line as one that is selected, in its whole width."""
    text = "".join(cell.text for cell in line)
    return (Cell(fitted(text, columns), REVERSE),)


def painted_line(line: Line, columns: int, *, colored: bool) -> str:
    """Give a line as it is sent, at most so many cells wide; its texts are safe already."""
    parts, left = [], columns
    for cell in line:
        if left <= 0:
            break
        text = shortened(cell.text, left)
        left -= width_of(text)
        code = _COLOURLESS.get(cell.style) or (STYLES.get(cell.style) if colored else None)
        parts.append(f"\x1b[{code}m{text}\x1b[0m" if code and text else text)
    return "".join(parts)


def update(before: Sequence[str] | None, after: Sequence[str]) -> str:
    """Give what turns one screen into another; ``before`` is None where it is not known what is on it."""
    changed = ["\x1b[0m\x1b[2J"] if before is None else []
    for row, text in enumerate(after):
        if before is None or row >= len(before) or before[row] != text:
            changed.append(f"\x1b[{row + 1};1H\x1b[2K{text}")
    return "".join(changed)


def exactly(lines: Iterable[Line], rows: int) -> list[Line]:
    """Give just so many lines."""
    kept = list(lines)[:rows]
    return kept + [BLANK] * (rows - len(kept))


def _width(line: Line) -> int:
    return sum(width_of(cell.text) for cell in line)
