# SPDX-License-Identifier: Apache-2.0
"""Write a value as people write LMCache's files: maps by indentation, short lists in brackets, quotes when in doubt.

What is written reads back as the same value, here and with PyYAML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.remote_config.yaml_subset.faults import shorten
from lmcache_frontend.remote_config.yaml_subset.flow import DEPTH_LIMIT
from lmcache_frontend.remote_config.yaml_subset.scalars import NUMBER_LIMIT_CHARACTERS, resolve
from lmcache_frontend.remote_config.yaml_subset.source import SIZE_LIMIT_CHARACTERS
from lmcache_frontend.remote_config.yaml_subset.words import KEY_LIMIT_CHARACTERS

_LINE_CHARACTERS = 100
_STEP = "  "
_is_word = re.compile("[A-Za-z_/][A-Za-z0-9_./-]*").fullmatch
_find_special = re.compile(r'["\\]|[^\x20-\x7e]')
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Texts for us and PyYAML, but numbers or booleans for other readers and in other eyes.
_MISTAKABLE = frozenset({"y", "n", "inf", "infinity", "nan", "none"})


def dump(value: Any) -> str:
    """Write a value of maps, lists, texts, numbers, booleans and None as a document; tuples count as lists.

    Raises: BadRequest for what ``load`` would not take back (a key that is no text, a surrogate, too deep, too long),
    TypeError for a value of another kind.
    """
    text = "".join(f"{line}\n" for line in _lines(value, "", 0))
    if len(text) > SIZE_LIMIT_CHARACTERS:
        raise BadRequest(f"as YAML this has {len(text)} characters, at most {SIZE_LIMIT_CHARACTERS} are taken")
    return text


def _lines(value: Any, pad: str, depth: int) -> Iterator[str]:
    """Give the lines of a value that begins on a line of its own."""
    _check_depth(value, depth)
    on_one_line = None if depth == 0 and _is_list(value) and value else _on_one_line(value, len(pad))
    if on_one_line is not None:
        yield pad + on_one_line
    elif isinstance(value, Mapping):
        yield from _map_lines(value, pad, depth)
    else:
        for item in value:
            first, *others = _lines(item, pad + _STEP, depth + 1)
            yield f"{pad}- {first[len(pad) + len(_STEP) :]}"
            yield from others


def _map_lines(value: Mapping[Any, Any], pad: str, depth: int) -> Iterator[str]:
    for key, item in value.items():
        name = _key(key)
        _check_depth(item, depth + 1)
        on_one_line = _on_one_line(item, len(pad) + len(name) + 2)
        if isinstance(item, str) and _reads_well_as_block(item):
            yield f"{pad}{name}: |" + ("" if item.endswith("\n") else "-")
            yield from (line and pad + _STEP + line for line in item.removesuffix("\n").split("\n"))
        elif on_one_line is not None:
            yield f"{pad}{name}: {on_one_line}"
        else:
            yield f"{pad}{name}:"
            yield from _lines(item, pad + _STEP, depth + 1)


def _on_one_line(value: Any, width: int) -> str | None:
    """Write what fits on the rest of a line; None for what needs lines of its own."""
    if isinstance(value, Mapping):
        return None if value else "{}"
    if isinstance(value, str):
        return _text(value)
    if not _is_list(value):
        return _number_or_word(value)
    if any(isinstance(item, Mapping) or _is_list(item) for item in value):
        return None
    line = "[" + ", ".join(_text(item) if isinstance(item, str) else _number_or_word(item) for item in value) + "]"
    return line if width + len(line) <= _LINE_CHARACTERS else None


def _number_or_word(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # Checked in bits: to write out a huge number only to refuse it takes time with the square of its length.
        if value.bit_length() > NUMBER_LIMIT_CHARACTERS * 3:
            raise BadRequest(f"a whole number of {value.bit_length()} bits is too long")
        return str(int(value))
    if isinstance(value, float):
        return _float(value)
    raise TypeError(f"expected a map, a list, a text, a number, a boolean or None, got {type(value).__name__}")


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    # Without a point, 1e+20 would be read as a text.
    mantissa, exponent_mark, exponent = float.__repr__(value).partition("e")
    return mantissa + ("" if "." in mantissa else ".0") + exponent_mark + exponent


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise BadRequest(f"a key is {key!r:.60}, expected a text")
    written = _text(key)
    if len(written) > KEY_LIMIT_CHARACTERS:
        raise BadRequest(f"the key {shorten(key)} has more than {KEY_LIMIT_CHARACTERS} characters")
    return written


def _text(value: str) -> str:
    text = str.__str__(value)  # an enumeration's own spelling is not its value
    is_plain = _is_word(text) and isinstance(resolve(text), str) and text.lower() not in _MISTAKABLE
    return text if is_plain else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + _find_special.sub(_escape, text) + '"'


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    if 0xD800 <= number <= 0xDFFF:
        raise BadRequest("a text holds half of a surrogate pair, which is no character")
    if number < 0x100:
        return f"\\x{number:02X}"
    return f"\\u{number:04X}" if number < 0x10000 else f"\\U{number:08X}"


def _reads_well_as_block(text: str) -> bool:
    """Tell whether a text has several lines that can stand as they are, with one line break or none at the end."""
    lines = text.removesuffix("\n").split("\n")
    return (
        len(lines) > 1
        and bool(lines[0] and lines[-1])
        and not lines[0].startswith(" ")
        and all(line.isprintable() and line == line.rstrip() for line in lines)
    )


def _check_depth(value: Any, depth: int) -> None:
    if depth >= DEPTH_LIMIT and (isinstance(value, Mapping) or _is_list(value)):
        raise BadRequest(f"lists and maps nest deeper than {DEPTH_LIMIT} levels")


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
