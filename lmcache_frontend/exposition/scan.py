# SPDX-License-Identifier: Apache-2.0
"""Read an exposition once: which lines are good, which family each sample belongs to, what was wrong with the rest.

One regular expression goes over the whole text, a window at a time; only a window in which it does not account for
every line is gone through line by line. Values and labels stay text here: ``parse`` makes numbers of them, ``blocks``
writes them again. Source: the Prometheus text format 0.0.4, as prometheus_client and the OpenTelemetry exporter write
it.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from lmcache_frontend.exposition.diagnosis import NUMBER, Faults, is_number
from lmcache_frontend.exposition.labels import Labels, Malformed, excerpt, identity, read_labels, unescape

LINE_CHARACTERS = 65536
# A node with all that LMCache 0.5.6 knows has about 1,500.
SAMPLES = 200_000

TYPES = frozenset(("counter", "gauge", "histogram", "summary", "untyped"))

# Never more than one match a line, and none across lines: as many matches as lines means that every line is good.
_LINE = re.compile(
    r"^[ \t]*(?:"
    r"#[ \t]*(?:(HELP|TYPE)[ \t]+)?(.*)|"
    r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:[ \t]*\{(.*)\}[ \t]*|[ \t]+)(" + NUMBER + r")(?:[ \t]+-?[0-9]+)?[ \t]*|"
    r")$",
    re.MULTILINE,
)
_DESCRIPTION = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:[ \t]+(.*))?")
_NEVER = "never"

# (HELP or TYPE, text of the comment, sample name, labels as written, value as written); all empty for a bad line
_Line = tuple[str, str, str, str, str]
_NOTHING: _Line = ("", "", "", "", "")


class ScannedFamily(NamedTuple):
    """A family as it was found: ``samples`` is ``{(sample name, labels as written): value as written}``."""

    name: str
    type: str
    help: str
    samples: dict[tuple[str, str], str]


class Scan(NamedTuple):
    """The good part of an exposition; ``label_sets`` reads each label text that occurs."""

    families: dict[str, ScannedFamily]
    label_sets: dict[str, Labels]
    faults: list[str]
    dropped: int


def scan(text: str) -> Scan:
    """Read an exposition; never raises for what it holds."""
    faults = Faults()
    lines = _read_lines(text, faults)
    label_sets: dict[str, Labels] = {}
    bad_labels: dict[str, str] = {}
    for labels in dict.fromkeys([line[3] for line in lines]):
        try:
            label_sets[labels] = read_labels(labels)
        except Malformed as exc:
            bad_labels[labels] = str(exc)
    families = _described(lines, faults)
    _Gathering(families, label_sets, bad_labels).take(lines, faults)
    return Scan(families, label_sets, faults.told, faults.dropped)


def _read_lines(text: str, faults: Faults) -> list[_Line]:
    """Give one entry a line, so that a position in the list is a line number."""
    lines: list[_Line] = []
    start, end = 0, text.rfind("\n") + 1
    while start < end:
        stop = end if end - start <= LINE_CHARACTERS else text.rfind("\n", start, start + LINE_CHARACTERS + 1) + 1
        if stop == 0:
            stop = text.find("\n", start) + 1
            lines.append(_NOTHING)
            faults.add(len(lines), f"it has {stop - start - 1} characters, at most {LINE_CHARACTERS} are read")
        else:
            found: list[_Line] = _LINE.findall(text, start, stop - 1)
            if len(found) != text.count("\n", start, stop) or text.find("\0", start, stop) >= 0:
                found = _read_one_by_one(text[start : stop - 1].split("\n"), len(lines) + 1, faults)
            lines += found
        start = stop
    if text[end:].strip():
        faults.add(len(lines) + 1, f"it has no end, the body was cut off: {excerpt(text[end:])}")
    return lines


def _read_one_by_one(lines: list[str], first_number: int, faults: Faults) -> list[_Line]:
    found: list[_Line] = []
    for number, line in enumerate(lines, first_number):
        match = None if "\0" in line else _LINE.match(line)
        if match is None:
            faults.add_line(number, line)
            found.append(_NOTHING)
        else:
            keyword, rest, name, labels, value = match.groups("")
            found.append((keyword, rest, name, labels, value))
    return found


def _described(lines: list[_Line], faults: Faults) -> dict[str, ScannedFamily]:
    """Give the families that have a HELP or TYPE line anywhere; of several different ones the first counts."""
    types: dict[str, str] = {}
    helps: dict[str, str] = {}
    names: dict[str, None] = {}
    for number, (keyword, rest, _, _, _) in enumerate(lines, 1):
        if not keyword:
            continue
        description = _DESCRIPTION.fullmatch(rest)
        if description is None:
            faults.add(number, f"expected {keyword}, a metric name and a text, got {excerpt(rest)}")
            continue
        name, said = description[1], description[2] or ""
        if keyword == "TYPE":
            said = said.rstrip(" \t")
            if said not in TYPES:
                faults.add(number, f"unknown type {excerpt(said)} of {excerpt(name)}")
                continue
        elif "\\" in said:
            said = unescape(said)
        names.setdefault(name)
        before = (types if keyword == "TYPE" else helps).setdefault(name, said)
        if before != said:
            faults.add(number, f"another {keyword} of {excerpt(name)} came before: {excerpt(before)}")
    return {name: ScannedFamily(name, types.get(name, "untyped"), helps.get(name, ""), {}) for name in names}


class _Gathering:
    """Puts samples into families, whatever order they come in."""

    def __init__(
        self, families: dict[str, ScannedFamily], label_sets: dict[str, Labels], bad_labels: dict[str, str]
    ) -> None:
        self._families = families
        self._label_sets = label_sets
        self._bad_labels = bad_labels
        self._same = _spelled_otherwise(label_sets)
        self._bounds: dict[tuple[str, str], bool] = {}
        self._seen: set[tuple[str, str]] = set()
        self._implied: list[str] = []

    def take(self, lines: list[_Line], faults: Faults) -> None:
        """Take all samples; a bad one and a repeated one is a fault."""
        bad_labels, same, too_large = self._bad_labels, self._same, _too_large(lines)
        current = needed = ""
        samples: dict[tuple[str, str], str] = {}
        count = 0
        for number, (_, _, name, labels, value) in enumerate(lines, 1):
            if not name:
                continue
            if name != current:
                current = name
                samples, needed = self._place(name)
            key = (name, labels)
            if labels in bad_labels:
                faults.add(number, bad_labels[labels])
            elif value in too_large:
                faults.add(number, f"the number {excerpt(value)} is too large")
            elif needed and not self._bears(labels, needed):
                faults.add(number, _missing(name, needed))
            elif key in samples or (same and self._came_before(name, labels)):
                faults.add(number, f"{excerpt(name)} with the same labels came before")
            else:
                count += 1
                if count <= SAMPLES:
                    samples[key] = value
        for name in self._implied:
            if not self._families[name].samples:
                del self._families[name]
        if count > SAMPLES:
            faults.add_many(count - SAMPLES, f"there are {count} samples, at most {SAMPLES} are kept")

    def _place(self, name: str) -> tuple[dict[tuple[str, str], str], str]:
        """Find the family of a sample name, made where there is none, and the label that such samples must bear."""
        family = self._families.get(name)
        if family is not None:
            needed = {"histogram": _NEVER, "summary": "quantile"}.get(family.type, "")
            return family.samples, needed
        base, _, suffix = name.rpartition("_")
        family = self._families.get(base)
        if family is not None:
            if family.type == "histogram" and suffix in ("bucket", "sum", "count"):
                return family.samples, "le" if suffix == "bucket" else ""
            if family.type == "summary" and suffix in ("sum", "count"):
                return family.samples, ""
        self._implied.append(name)
        family = self._families[name] = ScannedFamily(name, "untyped", "", {})
        return family.samples, ""

    def _came_before(self, name: str, labels: str) -> bool:
        key = (name, self._same.get(labels, labels))
        if key in self._seen:
            return True
        self._seen.add(key)
        return False

    def _bears(self, labels: str, needed: str) -> bool:
        if needed == _NEVER:
            return False
        fits = self._bounds.get((labels, needed))
        if fits is None:
            bound = dict(self._label_sets[labels]).get(needed, "")
            low, high = (0.0, 1.0) if needed == "quantile" else (-math.inf, math.inf)
            fits = self._bounds[labels, needed] = is_number(bound) and low <= float(bound) <= high
        return fits


def _missing(name: str, needed: str) -> str:
    if needed == _NEVER:
        return f"a histogram has buckets, a sum and a count, but no {excerpt(name)}"
    wanted = "a number from 0 to 1" if needed == "quantile" else "a number"
    return f"{excerpt(name)} needs {wanted} as its label {needed}"


def _too_large(lines: list[_Line]) -> set[str]:
    """Give the values that look finite and do not fit: Go's parser refuses these, and with them the whole scrape."""
    values = [line[4] for line in lines if line[4]]
    numbers = list(map(float, values))
    if math.inf in numbers or -math.inf in numbers:
        return {value for value in values if not is_number(value)}
    return set()


def _spelled_otherwise(label_sets: dict[str, Labels]) -> dict[str, str]:
    """Map a label text to an earlier one that means the same; as a rule there is none."""
    meanings = {text: identity(pairs) for text, pairs in label_sets.items()}
    if len(set(meanings.values())) == len(meanings):
        return {}
    first: dict[Labels, str] = {}
    return {text: before for text, meaning in meanings.items() if (before := first.setdefault(meaning, text)) != text}
