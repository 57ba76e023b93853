# SPDX-License-Identifier: Apache-2.0
"""Say in words what is wrong with a line of an exposition, and collect what was said.

Asked only about lines that ``scan`` could not read; leaves good lines to it.
"""

from __future__ import annotations

import math
import re

from lmcache_frontend.exposition.labels import excerpt

FAULTS_TOLD = 5
NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?(?i:infinity|inf)|(?i:nan)"

_NAME = re.compile(r"[ \t]*[a-zA-Z_:][a-zA-Z0-9_:]*")
_BRACES = re.compile(r'\{[^"}]*(?:"(?:[^"\\]|\\.)*"[^"}]*)*\}')
_NUMBER = re.compile(NUMBER)


class Faults:
    """The first few faults in words, and the count of all lines that were dropped."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.dropped = 0

    def add(self, line_number: int, reason: str) -> None:
        """Count one dropped line, and tell the reason if it is among the first."""
        self.dropped += 1
        if len(self.told) < FAULTS_TOLD:
            self.told.append(f"line {line_number}: {reason}")

    def add_line(self, line_number: int, line: str) -> None:
        """Count a line that is no sample; why, is looked into only if it will be told."""
        self.add(line_number, explain(line) if len(self.told) < FAULTS_TOLD else "")

    def add_many(self, count: int, reason: str) -> None:
        """Count many lines dropped for one reason, which is told in any case."""
        self.dropped += count
        self.told.append(reason)


def is_number(text: str) -> bool:
    """Tell whether this is a number of the text format: decimal and in range, infinite, or not a number."""
    if _NUMBER.fullmatch(text) is None:
        return False
    return not math.isinf(float(text)) or "i" in text.lower()


def explain(line: str) -> str:
    """Say why this line is no sample."""
    if "\0" in line:
        return "there is a NUL character in it"
    if line.endswith("\r"):
        return "it ends in CR LF, expected LF alone"
    name = _NAME.match(line)
    if name is None:
        return f"expected a metric name, got {excerpt(line)}"
    rest = line[name.end() :].lstrip(" \t")
    if rest.startswith("{"):
        braces = _BRACES.match(rest)
        if braces is None:
            return f"the labels have no end: {excerpt(rest)}"
        rest = rest[braces.end() :]
    elif rest and line[name.end()] not in " \t":
        return f"expected a metric name, got {excerpt(line)}"
    words = rest.split()
    if not words:
        return f"there is no value after {excerpt(line)}"
    if not is_number(words[0]):
        return f"expected a decimal number, got {excerpt(words[0])}"
    return f"expected a timestamp or the end of the line, got {excerpt(' '.join(words[1:]))}"
