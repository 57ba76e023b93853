# SPDX-License-Identifier: Apache-2.0
"""What a simulated node counts: counters by name and histograms by name, as a Prometheus client would hold them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping


class Histogram:
    """Observations counted by bucket; ``counts`` is one longer than ``bounds`` and not cumulative."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Make an empty histogram with these upper bounds."""
        self.bounds = bounds
        self.counts = array("L", [0]) * (len(bounds) + 1)
        self.total = 0.0

    @property
    def count(self) -> int:
        """Give the number of observations."""
        return sum(self.counts)

    def observe(self, value: float) -> None:
        """Count one value into the first bucket whose bound is not below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Figures:
    """The counters and histograms of one node."""

    __slots__ = ("_bounds", "counters", "created_at", "histograms")

    def __init__(self, bounds: Mapping[str, tuple[float, ...]], created_at: float) -> None:
        """Start with counters at zero and no histogram; ``bounds`` are those of every histogram, by name."""
        self._bounds = bounds
        self.counters: dict[str, int] = {}
        self.histograms: dict[str, Histogram] = {}
        self.created_at = created_at

    def add(self, name: str, amount: int = 1) -> None:
        """Raise a counter."""
        self.counters[name] = self.counters.get(name, 0) + amount

    def observe(self, name: str, value: float) -> None:
        """Observe a value; a histogram appears with its first one."""
        histogram = self.histograms.get(name)
        if histogram is None:
            histogram = self.histograms[name] = Histogram(self._bounds[name])
        histogram.observe(value)

    def reset(self, now: float) -> None:
        """Set everything to zero; every histogram there can be appears, as after a reset of a real node."""
        self.counters = {}
        self.histograms = {name: Histogram(bounds) for name, bounds in self._bounds.items()}
        self.created_at = now


class IntervalShare:
    """The share of hits among requests in the last whole interval: what a node logs and shows as a rate."""

    __slots__ = ("_ends_at", "_hits", "_idle", "_requests", "share")

    INTERVAL_S = 10.0

    def __init__(self, idle: float, now: float) -> None:
        """Start with the value that an interval without requests gets."""
        self._idle = idle
        self.share = idle
        self._ends_at = now + self.INTERVAL_S
        self._hits = 0
        self._requests = 0

    def add(self, hits: int, requests: int) -> None:
        """Count into the running interval."""
        self._hits += hits
        self._requests += requests

    def pass_time(self, now: float) -> None:
        """Close the running interval if it has ended."""
        if now < self._ends_at:
            return
        self.share = self._hits / self._requests if self._requests else self._idle
        self._hits = self._requests = 0
        self._ends_at = now + self.INTERVAL_S
