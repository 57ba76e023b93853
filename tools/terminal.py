# SPDX-License-Identifier: Apache-2.0
"""What tools show to people: colour, text that cannot steer a terminal, tables and differences.

Everything here takes text and gives text; the program's own output and its errors are the console's. Widths are cells
of a terminal: a CJK character takes two, a combining one none. Source: Unicode Standard Annex 11 (East Asian Width).
"""

from __future__ import annotations

import os
import re
import select
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TextIO

COLOR_CHOICES = ("auto", "always", "never")
STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "strong red": "1;31",
}
_GAP = "  "
_NARROWEST_COLUMN = 10
_MOST_LINES = 12
_ZERO_WIDTH_CATEGORIES = frozenset({"Mn", "Me", "Cf"})
# Controls, surrogates, line and paragraph separators, and what turns the direction of the text around it.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Terminal(NamedTuple):
    """A stream, whether a person looks at it, whether it takes colour, and its width in cells where it has one."""

    stream: TextIO
    interactive: bool = False
    colored: bool = False
    columns: int | None = None


class Cell(NamedTuple):
    """A text of a table and the style it is shown in: a name of `STYLES`, or "" for none."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """A column of a table; the text of a flexible one is wrapped where a terminal is too narrow for the whole."""

    title: str
    right: bool = False
    flexible: bool = False


def terminal_of(stream: TextIO, environment: Mapping[str, str], color: str = "auto") -> Terminal:
    """Find out what a stream is; ``color`` is one of `COLOR_CHOICES`.

    ``auto`` colours a terminal, unless NO_COLOR is set to something or TERM is ``dumb``.
    """
    interactive = stream.isatty()
    plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    colored = color == "always" or (color == "auto" and interactive and not plain)
    return Terminal(stream, interactive, colored, _columns(stream, environment) if interactive else None)


def _columns(stream: TextIO, environment: Mapping[str, str]) -> int:
    told = environment.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and int(told) > 0:
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def reader_is_gone(stream: TextIO) -> bool:
    """Say whether whoever read from the other end of a pipe has closed it; of a file nobody does."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return False
    looked_at = select.poll()
    # Errors are told of in any case.
    looked_at.register(descriptor, 0)
    return any(told & (select.POLLERR | select.POLLHUP) for _, told in looked_at.poll(0))


def painted(text: str, style: str, terminal: Terminal) -> str:
    """Give the text in a style of `STYLES`, or as it is where there is no style or no colour."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if style and text and terminal.colored else text


def printable(text: str) -> str:
    """Give the text on one line, with everything escaped that could forge a line or steer a terminal."""
    return _UNSAFE.sub(lambda match: _SHORT_ESCAPES.get(match[0]) or ascii(match[0])[1:-1], text)


def width_of(text: str) -> int:
    """Count the cells that a printable text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in _ZERO_WIDTH_CATEGORIES:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Fill a text with spaces to a width in cells; a right-aligned one is filled from the left."""
    spaces = " " * (width - width_of(text))
    return spaces + text if right else text + spaces


def shortened(text: str, width: int) -> str:
    """Cut a printable text to a width in cells, with an ellipsis where something is missing."""
    return text if width_of(text) <= width else text[: _fitting(text, max(width - 1, 0))] + "…"


def wrapped(text: str, width: int) -> list[str]:
    """Break a printable text into lines of at most a width in cells: at spaces and commas if that is possible."""
    lines = []
    while width_of(text) > width:
        end = _fitting(text, width) or 1
        space = text.rfind(" ", 1, end + 1)
        comma = text.rfind(",", end // 2, end) + 1
        cut = space if space > 0 else comma or end
        lines.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*lines, text] if text or not lines else lines


def _fitting(text: str, width: int) -> int:
    """Count the characters from the start that take at most this many cells."""
    taken = 0
    for index, character in enumerate(text):
        taken += _cells(character)
        if taken > width:
            return index
    return len(text)


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[str | Cell]], terminal: Terminal, *, headers: bool = True
) -> Iterator[str]:
    """Yield the lines of a table, without line ends; texts are made printable here.

    Where nobody looks every row is one whole line, for `grep` and `awk`; on a terminal flexible columns are wrapped,
    and a text that would take more than 12 lines there is cut.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    titles = [Cell(column.title.upper(), "bold") for column in columns]
    shown = [titles, *cells] if headers else cells
    widths = [max((width_of(row[at].text) for row in shown), default=0) for at in range(len(columns))]
    if terminal.columns is not None:
        widths = _narrowed(columns, widths, terminal.columns)
    for row in shown:
        yield from _row_lines(columns, row, widths, terminal)


def _cell(value: str | Cell) -> Cell:
    return value._replace(text=printable(value.text)) if isinstance(value, Cell) else Cell(printable(value))


def _narrowed(columns: Sequence[Column], widths: Sequence[int], available: int) -> list[int]:
    """Take what is too much from the widest flexible columns first."""
    least = {at: max(len(column.title), _NARROWEST_COLUMN) for at, column in enumerate(columns) if column.flexible}
    result = [min(width, max(available, least[at])) if at in least else width for at, width in enumerate(widths)]
    excess = sum(result) + len(_GAP) * (len(result) - 1) - available
    while excess > 0:
        reducible = [at for at, floor in least.items() if result[at] > floor]
        if not reducible:
            break
        result[max(reducible, key=lambda at: result[at])] -= 1
        excess -= 1
    return result


def _row_lines(columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int], terminal: Terminal) -> list[str]:
    parts = [
        wrapped(shortened(cell.text, width * _MOST_LINES), width) if column.flexible else [cell.text]
        for column, cell, width in zip(columns, row, widths, strict=True)
    ]
    lines = []
    for index in range(max(map(len, parts))):
        texts = [part[index] if index < len(part) else "" for part in parts]
        last = max((at for at, text in enumerate(texts) if text), default=-1)
        line = []
        for at, text in enumerate(texts[: last + 1]):
            filled = " " * (widths[at] - width_of(text))
            shown = painted(text, row[at].style, terminal)
            if columns[at].right:
                line.append(filled + shown)
            else:
                line.append(shown if at == last else shown + filled)
        lines.append(_GAP.join(line))
    return lines


def painted_diff(lines: Iterable[str], terminal: Terminal) -> Iterator[str]:
    """Yield the lines of a unified difference, made printable and coloured as people know it."""
    for line in lines:
        text = printable(line.rstrip("\n"))
        if text.startswith(("--- ", "+++ ")):
            style = "bold"
        else:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(text[:1], "")
        yield painted(text, style, terminal)
