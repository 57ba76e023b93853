# SPDX-License-Identifier: Apache-2.0
"""Values of the wire as people read them in tables: figures, times, states. Pure.

The numbers themselves are put into words by `amounts`; here is what is no number left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..terminal import Cell
from . import amounts
from .output import plain

LEVEL_STYLES = {
    "unreachable": "red",
    "degraded": "yellow",
    "answering": "magenta",
    "serving": "cyan",
    "healthy": "green",
}
SEVERITY_STYLES = {"critical": "strong red", "warning": "yellow"}


def level_cell(level: Any) -> Cell:
    """Give the level of a node in its colour."""
    return Cell(plain(level), LEVEL_STYLES.get(level, ""))


def severity_cell(severity: Any) -> Cell:
    """Give the severity of a problem in its colour."""
    return Cell(plain(severity), SEVERITY_STYLES.get(severity, ""))


def number_of(value: Any) -> float | None:
    """Give a number of the wire, None for anything else, such as ``"Infinity"``."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _worded(words: Callable[[float], str]) -> Callable[[Any], str]:
    def give(value: Any) -> str:
        number = number_of(value)
        return plain(value) if number is None else words(number)

    return give


percent = _worded(amounts.percent)
size = _worded(amounts.size)
count = _worded(amounts.count)
seconds_words = _worded(lambda seconds: f"{seconds:g} s")
ago = _worded(lambda seconds: amounts.duration(max(seconds, 0.0)))


def figure_words(name: str, value: Any) -> str:
    """Give a figure of the fleet by what its name says of its unit."""
    if name.endswith("_bytes"):
        return size(value)
    if "_rate" in name or "_share" in name or name.endswith(("fill", "watermark")):
        return percent(value)
    if name.endswith("_s") and not name.endswith("_per_s"):
        return _worded(lambda seconds: f"{seconds:.3g} s")(value)
    return count(value)
