# SPDX-License-Identifier: Apache-2.0
"""Single scalars as they stand in the text, plain and quoted, and keys made of them.

Each reader takes the prepared text and the place of the first character, and gives the value and the place after it.
Folding, and where a plain scalar ends, follow YAML 1.1, chapter 9, where PyYAML does, and PyYAML where it does not.
"""

from __future__ import annotations

import re

from lmcache_frontend.remote_config.yaml_subset.faults import Refusal, YamlError, fault, refused
from lmcache_frontend.remote_config.yaml_subset.scalars import Scalar, UnreadableScalar, resolve
from lmcache_frontend.remote_config.yaml_subset.source import BLANK, END, is_marker, skip_blanks, skip_spaces

KEY_LIMIT_CHARACTERS = 1024  # from the key's first character to its colon; source: YAML 1.1, 7.2.3 (simple keys)
QUOTES = ("'", '"')

_INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@`")
_REFUSED_INDICATORS = {
    "&": Refusal.ANCHOR,
    "*": Refusal.ALIAS,
    "!": Refusal.TAG,
    "%": Refusal.DIRECTIVE,
    "?": Refusal.COMPLEX_KEY,
}
_find_end_in_block = re.compile(r" #|:(?=[ \t\n\0])|[\t\n\0]").search
_find_end_in_flow = re.compile(r" #|:(?=[ \t\n\0,\[\]{}])|[\t\n\0,?\[\]{}]").search
_quoted_piece = {"'": re.compile(r"[^' \t\n\0]*").match, '"': re.compile(r'[^"\\ \t\n\0]*').match}
_white = re.compile(r"[ \t\n]*").match
_escape_digits = {"x": 2, "u": 4, "U": 8}
_is_hexadecimal = re.compile("[0-9a-fA-F]+").fullmatch
_ESCAPES = {
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "t": "\t",
    "\t": "\t",
    "n": "\n",
    "v": "\v",
    "f": "\f",
    "r": "\r",
    "e": "\x1b",
    " ": " ",
    '"': '"',
    "\\": "\\",
    "/": "/",
    "N": "\x85",
    "_": "\xa0",
    "L": "\u2028",
    "P": "\u2029",
}


def read_scalar(text: str, at: int, indent: int | None) -> tuple[Scalar, int]:
    """Read a scalar in any style but a block scalar's.

    ``indent`` is the column of the list or map around it, which further lines must pass; None within brackets.
    Raises: YamlError.
    """
    if text[at] in QUOTES:
        return read_quoted(text, at)
    check_plain_start(text, at, in_flow=indent is None)
    words, end = _read_plain(text, at, indent)
    return _resolved(text, at, words), end


def find_key(text: str, at: int) -> tuple[str, int] | None:
    """Read the key of a block map with its colon; None where what stands here is no key.

    Raises: YamlError.
    """
    if text[at] in "[{|>":
        return None
    key: Scalar
    if text[at] in QUOTES:
        key, end = read_quoted(text, at)
    else:
        check_plain_start(text, at, in_flow=False)
        words = text[at : _place(_find_end_in_block(text, at))].rstrip(" ")
        end = at + len(words)
    colon = skip_spaces(text, end)
    if text[colon] != ":" or text[colon + 1] not in BLANK:
        return None
    if text[at] not in QUOTES:
        key = _resolved(text, at, words)
    return checked_key(text, at, colon, key), colon + 1


def checked_key(text: str, at: int, colon: int, key: Scalar) -> str:
    """Give the key that stands from one place up to its colon.

    Raises: YamlError unless it is a text on one line, and not too long.
    """
    if "\n" in text[at:colon]:
        raise fault(text, at, "a key and its colon have to stand on one line")
    if colon - at > KEY_LIMIT_CHARACTERS:
        raise fault(text, at, f"a key has more than {KEY_LIMIT_CHARACTERS} characters")
    return text_key(text, at, colon, key)


def text_key(text: str, at: int, end: int, key: Scalar) -> str:
    """Give the key if it is a text.

    Raises: YamlError.
    """
    if not isinstance(key, str):
        raise refused(text, at, Refusal.KEY_IS_NO_TEXT, text[at:end].rstrip(" "))
    return key


def check_plain_start(text: str, at: int, *, in_flow: bool) -> None:
    """Raise YamlError where no plain scalar can begin, with what the character there means."""
    first, second = text[at], text[at + 1]
    if first not in _INDICATORS:
        return
    if second not in BLANK and (first == "-" or (first in "?:" and not in_flow)):
        return
    refusal = _REFUSED_INDICATORS.get(first)
    if refusal:
        raise refused(text, at, refusal)
    if first == "#":
        raise refused(text, at, Refusal.TIGHT_COMMENT)
    if first == ":":
        raise fault(text, at, "a key is missing before the colon: put a text that begins with a colon in quotes")
    if first == "-":
        raise fault(text, at, "a list with dashes cannot begin here: begin it on a line of its own")
    if first in "|>":
        raise fault(text, at, f"a block text ({first}) cannot stand within brackets")
    raise fault(text, at, f"a value cannot begin with {first!r}: put it in quotes")


def read_quoted(text: str, at: int) -> tuple[str, int]:
    """Read a scalar in single or double quotes.

    Raises: YamlError.
    """
    opened, quote = at, text[at]
    piece = _quoted_piece[quote]
    parts: list[str] = []
    at += 1
    while True:
        end = _place_after(piece(text, at), at)
        parts.append(text[at:end])
        at, character = end, text[end]
        if character in " \t\n":
            part, at = _read_white(text, at)
        elif character == END:
            raise fault(text, opened, f"the quote ({quote}) that opens here is never closed")
        elif character == "\\":
            part, at = _read_escape(text, at)
        elif quote == "'" and text[at + 1] == "'":
            part, at = "'", at + 2
        else:
            return "".join(parts), at + 1
        parts.append(part)


def _read_white(text: str, at: int) -> tuple[str, int]:
    """Read spaces within quotes: as they are within a line, folded where lines meet."""
    end = _white_end(text, at)
    breaks = text.count("\n", at, end)
    if not breaks:
        return text[at:end], end
    return " " if breaks == 1 else "\n" * (breaks - 1), end


def _white_end(text: str, at: int) -> int:
    end = _place_after(_white(text, at), at)
    if is_marker(text, end):
        raise fault(text, end, "a document marker (--- or ...) cannot stand at the start of a line within quotes")
    return end


def _read_escape(text: str, at: int) -> tuple[str, int]:
    letter = text[at + 1]
    if letter == "\n":
        end = _white_end(text, at + 2)
        return "\n" * text.count("\n", at + 2, end), end
    if letter in _ESCAPES:
        return _ESCAPES[letter], at + 2
    count = _escape_digits.get(letter)
    if count is None:
        raise fault(text, at, "a backslash in double quotes begins an escape, and this is none: write \\\\")
    digits = text[at + 2 : at + 2 + count]
    if len(digits) < count or not _is_hexadecimal(digits):
        raise fault(text, at, f"\\{letter} needs {count} hexadecimal digits")
    number = int(digits, 16)
    if 0xD800 <= number <= 0xDFFF:
        raise refused(text, at, Refusal.SURROGATE)
    if number > 0x10FFFF:
        raise fault(text, at, f"\\{letter}{digits} is beyond the last character, U+10FFFF")
    return chr(number), at + 2 + count


def _read_plain(text: str, at: int, indent: int | None) -> tuple[str, int]:
    find_end = _find_end_in_flow if indent is None else _find_end_in_block
    parts: list[str] = []
    end = _place(find_end(text, at))
    while True:
        words = text[at:end].rstrip(" ")
        parts.append(words)
        stop = at + len(words)
        at = skip_blanks(text, stop)
        breaks = text.count("\n", stop, at)
        if breaks == 0 or text[at] == "#" or is_marker(text, at):
            break
        if indent is not None and at - text.rfind("\n", stop, at) - 1 <= indent:
            break
        end = _place(find_end(text, at))
        if end == at:
            break
        parts.append(" " if breaks == 1 else "\n" * (breaks - 1))
    return "".join(parts), stop


def _resolved(text: str, at: int, words: str) -> Scalar:
    try:
        return resolve(words)
    except UnreadableScalar as exc:
        error: YamlError = fault(text, at, str(exc), exc.refusal)
    raise error


def _place(found: re.Match[str] | None) -> int:
    """Give where a pattern was found; those of plain scalars find the text's end at the latest."""
    return found.start() if found else -1


def _place_after(found: re.Match[str] | None, otherwise: int) -> int:
    return found.end() if found else otherwise
