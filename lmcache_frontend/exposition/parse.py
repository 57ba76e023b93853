# SPDX-License-Identifier: Apache-2.0
"""Give an exposition as families and samples with numbers in them.

Leaves the reading of lines to ``scan``, whose result is taken in place of a text where more than one thing is made of
the same body. Timestamps are not given: a node's own clock is no help to whoever reads the body at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lmcache_frontend.exposition.labels import Labels
from lmcache_frontend.exposition.scan import Scan, ScannedFamily, scan


class Sample(NamedTuple):
    """One number; labels in the order given, their values without escapes."""

    name: str
    labels: Labels
    value: float


class Family(NamedTuple):
    """Samples of one family; type ``untyped`` and help ``""`` where the node said none."""

    name: str
    type: str
    help: str
    samples: list[Sample]


class Parsed(NamedTuple):
    """The good lines by family, the first faults in words with their line numbers, the count of all dropped lines."""

    families: dict[str, Family]
    faults: list[str]
    dropped: int


def parse(body: str | Scan) -> Parsed:
    """Parse all families; a bad line is dropped, counted, and never raises."""
    scanned = scan(body) if isinstance(body, str) else body
    return _parsed(scanned, scanned.families.values())


def select(body: str | Scan, names: frozenset[str]) -> Parsed:
    """Parse these families only; faults and their count are those of the whole body."""
    scanned = scan(body) if isinstance(body, str) else body
    return _parsed(scanned, [family for name, family in scanned.families.items() if name in names])


def _parsed(scanned: Scan, families: Iterable[ScannedFamily]) -> Parsed:
    label_sets = scanned.label_sets
    return Parsed(
        {
            name: Family(
                name,
                kind,
                said,
                [Sample(sample, label_sets[labels], float(value)) for (sample, labels), value in samples.items()],
            )
            for name, kind, said, samples in families
        },
        scanned.faults,
        scanned.dropped,
    )
