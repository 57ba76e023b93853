# SPDX-License-Identifier: Apache-2.0
"""Counts of proxied requests, by node, method and class of status, with a histogram of their durations."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple

# Upper bounds as Prometheus's client libraries have them, and two more, since scripts on nodes may run long.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


class Durations(NamedTuple):
    """A histogram: requests per bucket of `BUCKETS_S` and one for what took longer, not cumulated, and their sum."""

    counts: tuple[int, ...]
    sum_s: float


class Totals(NamedTuple):
    """All counts at one moment: ``{(node, method, "2xx"): requests}`` and ``{node: Durations}``."""

    requests: Mapping[tuple[str, str, str], int]
    durations: Mapping[str, Durations]


class Traffic:
    """Counts what passed; may be used from many threads."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str, str], int] = {}
        self._counts: dict[str, list[int]] = {}
        self._sums_s: dict[str, float] = {}

    def note(self, node: str, method: str, status: int, duration_s: float) -> None:
        """Count one request; status 0 is one whose client went away before there was an answer."""
        key = (node, method, f"{status // 100}xx" if status else "none")
        bucket = bisect_left(BUCKETS_S, duration_s)
        with self._lock:
            self._requests[key] = self._requests.get(key, 0) + 1
            counts = self._counts.get(node)
            if counts is None:
                counts = self._counts[node] = [0] * (len(BUCKETS_S) + 1)
            counts[bucket] += 1
            self._sums_s[node] = self._sums_s.get(node, 0.0) + duration_s

    def read(self) -> Totals:
        """Give all counts."""
        with self._lock:
            durations = {node: Durations(tuple(counts), self._sums_s[node]) for node, counts in self._counts.items()}
            return Totals(dict(self._requests), durations)
