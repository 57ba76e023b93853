# SPDX-License-Identifier: Apache-2.0
"""What a terminal sends when a key is pressed, as names of keys. Pure.

A key is the character it makes, or one of ``up down left right home end page-up page-down delete enter tab backspace
escape``, or ``ctrl-`` and a letter. Sequences of other keys give nothing. Source: ECMA-48, sections 5.4 and 8.3;
xterm's control sequences for the keys.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ESCAPE = 0x1B
# CSI, parameters, intermediates, final; or SS3 and one character.
_SEQUENCE = re.compile(rb"\x1b(?:\[([0-?]*)[ -/]*([@-~])|O([ -~]))")
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?")
_LONGEST_SEQUENCE_BYTES = 32
_BY_FINAL = {
    b"A": "up",
    b"B": "down",
    b"C": "right",
    b"D": "left",
    b"H": "home",
    b"F": "end",
    b"M": "enter",
}
_BY_NUMBER = {
    b"1": "home",
    b"3": "delete",
    b"4": "end",
    b"5": "page-up",
    b"6": "page-down",
    b"7": "home",
    b"8": "end",
}
_CONTROLS = {0x08: "backspace", 0x09: "tab", 0x0A: "enter", 0x0D: "enter", 0x7F: "backspace"}


class Pressed(NamedTuple):
    """The keys that were pressed, in order, and the bytes of one that is not all there yet."""

    keys: tuple[str, ...]
    rest: bytes


def read_keys(data: bytes, *, complete: bool = False) -> Pressed:
    """Read what a terminal sent; ``complete`` says that nothing has followed, so that an escape is the key itself."""
    keys: list[str] = []
    position = 0
    while position < len(data):
        key, end = _key(data, position, complete)
        if end == position:
            break
        if key:
            keys.append(key)
        position = end
    return Pressed(tuple(keys), data[position:])


def _key(data: bytes, position: int, complete: bool) -> tuple[str, int]:
    """Give the key at a position, empty for none, and where it ends: the position itself where more must come."""
    first = data[position]
    if first == _ESCAPE:
        return _escape(data, position, complete)
    if first in _CONTROLS:
        return _CONTROLS[first], position + 1
    if first < 0x20:
        return (f"ctrl-{chr(first + 0x60)}" if first else ""), position + 1
    return _character(data, position, complete)


def _escape(data: bytes, position: int, complete: bool) -> tuple[str, int]:
    match = _SEQUENCE.match(data, position)
    if match:
        final = match[2] or match[3]
        number = (match[1] or b"").partition(b";")[0]
        key = _BY_NUMBER.get(number, "") if final == b"~" else _BY_FINAL.get(final, "")
        return key, match.end()
    unfinished = _UNFINISHED.match(data, position)
    end = unfinished.end() if unfinished else position + 1
    if end == len(data) and not complete and end - position < _LONGEST_SEQUENCE_BYTES:
        return "", position
    # What follows is no part of a sequence: the escape stands for itself.
    return "escape", position + 1


def _character(data: bytes, position: int, complete: bool) -> tuple[str, int]:
    first = data[position]
    length = 1 if first < 0x80 else 2 if 0xC2 <= first < 0xE0 else 3 if 0xE0 <= first < 0xF0 else 4
    piece = data[position : position + length]
    try:
        text = piece.decode("utf-8")
    except UnicodeDecodeError as exc:
        if exc.reason == "unexpected end of data" and not complete:
            return "", position
        return "", position + 1
    return (text if text.isprintable() else ""), position + length
