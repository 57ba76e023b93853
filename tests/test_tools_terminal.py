# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
from pathlib import Path
from typing import Any

import pytest

from tools.terminal import (
    Cell,
    Column,
    Terminal,
    padded,
    painted,
    painted_diff,
    printable,
    reader_is_gone,
    shortened,
    table,
    terminal_of,
    width_of,
    wrapped,
)

PLAIN = Terminal(io.StringIO())
COLORED = Terminal(io.StringIO(), True, True, 80)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "color", "colored"),
    [
        (Screen(), {}, "auto", True),
        (Screen(), {"NO_COLOR": ""}, "auto", True),
        (Screen(), {"NO_COLOR": "1"}, "auto", False),
        (Screen(), {"TERM": "dumb"}, "auto", False),
        (Screen(), {"NO_COLOR": "1"}, "always", True),
        (Screen(), {}, "never", False),
        (io.StringIO(), {}, "auto", False),
        (io.StringIO(), {}, "always", True),
    ],
)
def test_colour_is_for_terminals_unless_told_otherwise(
    stream: io.StringIO, environment: dict[str, str], color: str, colored: bool
) -> None:
    assert terminal_of(stream, environment, color).colored is colored


def test_only_a_terminal_has_a_width() -> None:
    assert terminal_of(io.StringIO(), {"COLUMNS": "70"}).columns is None
    assert terminal_of(Screen(), {"COLUMNS": "70"}).columns == 70
    assert terminal_of(Screen(), {"COLUMNS": "wide"}).columns


def test_the_width_is_that_of_the_terminal() -> None:
    ours, theirs = pty.openpty()
    try:
        with open(theirs, "w", closefd=False) as stream:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 91, 0, 0))
            assert terminal_of(stream, {}) == Terminal(stream, True, True, 91)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("left\u202eright", "left\\u202eright"),
        ("line\u2028sep", "line\\u2028sep"),
        ("\udc80", "\\udc80"),
        ("é 漢 ✓", "é 漢 ✓"),
    ],
)
def test_nothing_printed_can_steer_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("abc", 3), ("漢字", 4), ("e\u0301", 1), ("\uff46\uff47", 4), ("zero\u200bwidth", 9)]
)
def test_widths_are_cells(text: str, cells: int) -> None:
    assert width_of(text) == cells


def test_texts_are_padded_and_cut_by_cells() -> None:
    assert padded("漢", 4) == "漢  "
    assert padded("漢", 4, right=True) == "  漢"
    assert shortened("漢字漢字", 8) == "漢字漢字"
    assert shortened("漢字漢字", 6) == "漢字…"
    assert shortened("漢字漢字", 5) == "漢字…"
    assert shortened("abc", 2) == "a…"


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("short", 10, ["short"]),
        ("one two three", 7, ["one two", "three"]),
        ("one two three", 6, ["one", "two", "three"]),
        ("unbreakable", 4, ["unbr", "eaka", "ble"]),
        ("[1,2,3,4,5]", 6, ["[1,2,", "3,4,5]"]),
        ("漢字漢字", 5, ["漢字", "漢字"]),
        ("漢", 1, ["漢"]),
    ],
)
def test_long_texts_are_broken_where_it_reads_best(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width) == lines


COLUMNS = (Column("key"), Column("size", right=True), Column("why", flexible=True))
ROWS: Any = [("a", "1", "because it is so"), (Cell("漢字", "green"), "1024", "")]


def test_a_table_in_a_pipe_has_a_line_a_row_and_no_spaces_at_the_end() -> None:
    assert list(table(COLUMNS, ROWS, PLAIN)) == ["KEY   SIZE  WHY", "a        1  because it is so", "漢字  1024"]
    assert list(table(COLUMNS, ROWS[:1], PLAIN, headers=False)) == ["a  1  because it is so"]
    assert list(table(COLUMNS, [], PLAIN)) == ["KEY  SIZE  WHY"]


def test_a_table_on_a_narrow_terminal_wraps_what_may_be_wrapped() -> None:
    assert list(table(COLUMNS, ROWS, PLAIN._replace(columns=22))) == [
        "KEY   SIZE  WHY",
        "a        1  because it",
        "            is so",
        "漢字  1024",
    ]
    assert list(table(COLUMNS, ROWS, PLAIN._replace(columns=5)))[1:3] == ["a        1  because it", "            is so"]


def test_a_very_long_text_is_cut_on_a_terminal_only() -> None:
    rows = [("a", "1", "漢" * 50_000)]
    shown = list(table(COLUMNS, rows, PLAIN._replace(columns=22)))
    assert len(shown) < 20
    assert shown[-1].endswith("…")
    assert list(table(COLUMNS, rows, PLAIN))[1].count("漢") == 50_000


def test_colour_takes_no_room_in_a_table() -> None:
    lines = list(table(COLUMNS, ROWS, COLORED))
    assert lines[2] == "\x1b[32m漢字\x1b[0m  1024"
    assert lines[0] == "\x1b[1mKEY\x1b[0m   \x1b[1mSIZE\x1b[0m  \x1b[1mWHY\x1b[0m"


def test_a_value_with_line_ends_stays_in_its_cell() -> None:
    assert list(table([Column("a"), Column("b")], [("x\ny", "z\x1b")], PLAIN, headers=False)) == ["x\\ny  z\\x1b"]


def test_paint_is_only_put_on_what_takes_colour() -> None:
    assert painted("x", "red", COLORED) == "\x1b[31mx\x1b[0m"
    assert painted("x", "red", PLAIN) == painted("x", "", COLORED) == "x"
    assert painted("", "red", COLORED) == ""


def test_differences_are_coloured_as_people_know_it() -> None:
    lines = ["--- a\n", "+++ b\n", "@@ -1 +1 @@\n", " same\n", "-old\x1b\n", "+new\n"]
    assert list(painted_diff(lines, PLAIN)) == ["--- a", "+++ b", "@@ -1 +1 @@", " same", "-old\\x1b", "+new"]
    assert list(painted_diff(lines, COLORED))[2:] == [
        "\x1b[36m@@ -1 +1 @@\x1b[0m",
        " same",
        "\x1b[31m-old\\x1b\x1b[0m",
        "\x1b[32m+new\x1b[0m",
    ]


def test_a_reader_that_is_gone_is_seen(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        assert not reader_is_gone(pipe)
        os.close(reading)
        assert reader_is_gone(pipe)
    with (tmp_path / "file").open("w") as file:
        assert not reader_is_gone(file)
    assert not reader_is_gone(io.StringIO())
