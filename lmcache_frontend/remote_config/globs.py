# SPDX-License-Identifier: Apache-2.0
"""Patterns with ``*``, ``?`` and ``[...]``, matched in time that a hostile pattern cannot stretch. Pure.

They mean what they mean to ``fnmatch.fnmatchcase``. A pattern is cut at its stars into pieces of fixed length, which
are then found from left to right: nothing is ever tried twice.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PATTERN_LIMIT = 256
# Longer than any environment variable worth matching; Linux takes 128 KiB.
TEXT_LIMIT = 32 * 1024


class _Piece(NamedTuple):
    expression: re.Pattern[str]
    length: int


class Glob(NamedTuple):
    """A pattern, compiled: its text, and the pieces between its stars."""

    text: str
    pieces: tuple[_Piece, ...]


def compile_glob(text: str) -> Glob:
    """Compile a pattern of at most `PATTERN_LIMIT` characters."""
    pieces: list[_Piece] = []
    expression = ""
    length = position = 0
    while position < len(text):
        letter = text[position]
        if letter == "*":
            pieces.append(_Piece(re.compile(expression, re.DOTALL), length))
            expression, length, position = "", 0, position + 1
            continue
        end = _end_of_set(text, position) if letter == "[" else 0
        expression += _set(text[position + 1 : end]) if end else "." if letter == "?" else re.escape(letter)
        length, position = length + 1, (end or position) + 1
    pieces.append(_Piece(re.compile(expression, re.DOTALL), length))
    return Glob(text, tuple(pieces))


def matches(glob: Glob, text: str) -> bool:
    """Say whether the whole text fits; one of more than `TEXT_LIMIT` characters never does."""
    if len(text) > TEXT_LIMIT:
        return False
    first, *others = glob.pieces
    if not others:
        return len(text) == first.length and first.expression.match(text) is not None
    last = others.pop()
    position, end = first.length, len(text) - last.length
    if end < position or not first.expression.match(text) or not last.expression.match(text, end):
        return False
    for piece in others:
        found = piece.expression.search(text, position, end)
        if found is None:
            return False
        position = found.end()
    return True


def _end_of_set(text: str, start: int) -> int:
    """Give where the ``]`` of a set stands, 0 where there is none; one right after the opening belongs to the set."""
    begin = start + 2 if text[start + 1 : start + 2] == "!" else start + 1
    return max(text.find("]", begin + 1), 0)


def _set(content: str) -> str:
    """Write ``a-z_`` or ``!a-z`` as a set of the regular expression language."""
    inverted = content.startswith("!")
    letters = content[1:] if inverted else content
    ranges = []
    position = 0
    while position < len(letters):
        low = high = letters[position]
        if letters[position + 1 : position + 2] == "-" and position + 2 < len(letters):
            high = letters[position + 2]
            position += 2
        if low <= high:
            ranges.append(re.escape(low) + "-" + re.escape(high))
        position += 1
    if not ranges:
        return "." if inverted else "(?!)"
    return f"[{'^' if inverted else ''}{''.join(ranges)}]"
