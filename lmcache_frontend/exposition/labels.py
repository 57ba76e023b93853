# SPDX-License-Identifier: Apache-2.0
"""Label sets as text and as pairs: read, escape, render, rename.

Leaves whole lines to ``scan``. Source: the Prometheus text format 0.0.4, which escapes backslash, quote and line feed
in a label value and nothing else, and bears white space between the parts and a comma at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

Labels = tuple[tuple[str, str], ...]

# Prometheus has no limit of its own; operators who set label_value_length_limit choose a few hundred to a few thousand.
LABEL_VALUE_CHARACTERS = 4096

_VALUE = r'"([^"\\\n]*(?:\\[\\n"][^"\\\n]*)*)"'
_PAIR = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)=" + _VALUE)
_LOOSE_PAIR = re.compile(r"[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*" + _VALUE + r"[ \t]*(?:,[ \t]*|$)")
_ESCAPE = re.compile(r"\\(.)")
_BAD_ESCAPE = re.compile(r'\\(?:\\|n|"|(.))')
_PLAIN = {"\\": "\\", "n": "\n", '"': '"'}


class Malformed(ValueError):
    """A part of a line that is not what the format asks for, said in words."""


def excerpt(text: str) -> str:
    """Quote the beginning of a text for a message, on one line and with control characters escaped."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def read_labels(text: str) -> Labels:
    r"""Read what stands between the braces into (name, value) pairs in the order given, without escapes.

    Raises:
        Malformed: not ``name="value"`` with commas between, an unknown escape, a name twice, a value too long.
    """
    found = _PAIR.findall(text)
    if ",".join([f'{name}="{value}"' for name, value in found]) != text:
        found = list(_loose_pairs(text))
    if "\\" in text:
        found = [(name, unescape(value)) for name, value in found]
    names = {name for name, _ in found}
    if len(names) != len(found):
        raise Malformed("a label name is there twice")
    if "__name__" in names:
        raise Malformed("the label name __name__ is reserved")
    if len(text) > LABEL_VALUE_CHARACTERS:
        _check_lengths(found)
    return tuple(found)


def _loose_pairs(text: str) -> Iterator[tuple[str, str]]:
    position = len(text) - len(text.lstrip(" \t"))
    while position < len(text):
        pair = _LOOSE_PAIR.match(text, position)
        if pair is None:
            bad = next((escape for escape in _BAD_ESCAPE.finditer(text, position) if escape[1]), None)
            if bad is not None:
                raise Malformed(f"unknown escape {excerpt(bad[0])} in a label value")
            raise Malformed(f'expected label="value", got {excerpt(text[position:])}')
        yield pair[1], pair[2]
        position = pair.end()


def _check_lengths(pairs: Iterable[tuple[str, str]]) -> None:
    for name, value in pairs:
        if len(value) > LABEL_VALUE_CHARACTERS:
            size = f"{len(value)} characters, at most {LABEL_VALUE_CHARACTERS} are kept"
            raise Malformed(f"the value of label {excerpt(name)} has {size}")


def unescape(text: str) -> str:
    """Replace the escapes of a label value or of a help text; an unknown escape stays as it is."""
    return _ESCAPE.sub(lambda escape: _PLAIN.get(escape[1], escape[0]), text)


def escape(value: str) -> str:
    """Escape a label value; OpenMetrics writes its help texts so as well."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def render_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Render pairs in the order given, without the braces."""
    return ",".join([f'{name}="{escape(value)}"' for name, value in pairs])


def identity(pairs: Labels) -> Labels:
    """Give what makes a label set the same as another: no order, and an empty value is no label."""
    return tuple(sorted(pair for pair in pairs if pair[1]))


def put_in(pairs: Labels, added: Sequence[tuple[str, str]]) -> Labels:
    """Put labels in front; a label that bears such a name already becomes ``exported_`` and its name.

    The prefix is repeated until the name is free, as Prometheus does with the labels of a target.
    """
    taken = {name for name, _ in added} | {name for name, _ in pairs}
    reserved = {name for name, _ in added}
    kept = []
    for name, value in pairs:
        free = name
        if name in reserved:
            while free in taken:
                free = f"exported_{free}"
            taken.add(free)
        kept.append((free, value))
    return (*added, *kept)
