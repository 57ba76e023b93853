# SPDX-License-Identifier: Apache-2.0
"""Numbers as short texts, and as charts made of characters. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

_COUNT_UNITS = ("", "k", "M", "G", "T", "P")
_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_LEAST_SHOWN = 0.01


class Glyphs(NamedTuple):
    """Characters to draw with: ``levels`` from nothing to all, ``parts`` of a cell of a bar, and the rest of it."""

    levels: str
    parts: str
    rest: str
    descending: str
    ascending: str
    marker: str
    separator: str


BLOCKS = Glyphs(" ▁▂▃▄▅▆▇█", " ▏▎▍▌▋▊▉█", "░", "▼", "▲", "▸", "·")
ASCII = Glyphs(" .:-=+*#", " #", ".", "v", "^", ">", "-")


def glyphs_for(encoding: str | None) -> Glyphs:
    """Choose the characters that an encoding has."""
    try:
        "".join(BLOCKS).encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return BLOCKS


def count(value: float) -> str:
    """Give a number with three digits and a unit: ``950``, ``2.67k``, ``19.2M``."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if 0 < size < _LEAST_SHOWN:
        return f"<{_LEAST_SHOWN}" if value > 0 else f">-{_LEAST_SHOWN}"
    unit = 0
    # 999.5 would be shown as 1000.
    while size >= 999.5 and unit < len(_COUNT_UNITS) - 1:
        size, value, unit = size / 1000, value / 1000, unit + 1
    return _three_digits(value) + _COUNT_UNITS[unit]


def size(value: float) -> str:
    """Give bytes in binary units: ``512 B``, ``1.5 GiB``."""
    if not math.isfinite(value):
        return str(value)
    unit = 0
    while abs(value) >= 1023.5 and unit < len(_BYTE_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{_three_digits(value)} {_BYTE_UNITS[unit]}"


def percent(share: float) -> str:
    """Give a share as per cent; what is not all is never shown as 100 %, and what is something never as 0 %."""
    if not math.isfinite(share):
        return str(share)
    if 0.9995 <= share < 1:
        return "99.9 %"
    if 0 < share < 0.0005:
        return "0.1 %"
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def duration(seconds: float) -> str:
    """Give a length of time in one unit: ``45 s``, ``12 min``, ``3.5 h``, ``8 d``."""
    for limit, divisor, unit in ((100, 1, "s"), (6000, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{_plain(seconds / divisor)} {unit}"
    return f"{_plain(seconds / 86400)} d"


def sparkline(values: Sequence[float | None], width: int, glyphs: Glyphs, *, top: float | None = None) -> str:
    """Draw the newest values, a character each, at the right of a width; what is not known is left open.

    ``top`` is the value of a full character, by default the largest shown.
    """
    newest = list(values)[-width:] if width > 0 else []
    known = [value for value in newest if value is not None and math.isfinite(value)]
    most = top if top is not None else max(known, default=0.0)
    return "".join(_level(value, most, glyphs.levels) for value in newest).rjust(max(width, 0))


def bar(share: float, width: int, glyphs: Glyphs) -> str:
    """Draw a share as a bar of a width in cells."""
    steps = len(glyphs.parts) - 1
    share = min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    filled = math.floor(share * width * steps)
    # What is something is drawn, and what is not all leaves something open.
    if 0 < share < 1:
        filled = min(max(filled, 1), width * steps - 1)
    whole, part = divmod(filled, steps)
    drawn = glyphs.parts[-1] * whole + (glyphs.parts[part] if part else "")
    return drawn + glyphs.rest * (width - len(drawn))


def _level(value: float | None, most: float, levels: str) -> str:
    if value is None or not math.isfinite(value):
        return " "
    if most <= 0 or value <= 0:
        return levels[1]
    return levels[min(1 + math.floor(value / most * (len(levels) - 1)), len(levels) - 1)]


def _three_digits(value: float) -> str:
    size = abs(value)
    if value == int(value) and size < 999.5:
        return str(int(value))
    return f"{value:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}"


def _plain(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"
