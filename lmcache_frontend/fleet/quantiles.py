# SPDX-License-Identifier: Apache-2.0
"""Quantiles out of the buckets of histograms, differences and sums of histograms. Pure.

A quantile is found as ``histogram_quantile`` of Prometheus finds it: by linear interpolation within the bucket that
holds it. Source: https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import inf
from typing import NamedTuple


class Histogram(NamedTuple):
    """A histogram: upper bounds in rising order, and how many observations are at most as large as each.

    One without any bounds has seen nothing yet.
    """

    bounds: tuple[float, ...]
    counts: Sequence[float]

    @property
    def observations(self) -> float:
        """Give the number of all observations."""
        return self.counts[-1] if self.counts else 0.0


NOTHING_SEEN = Histogram((), ())


@lru_cache(maxsize=256)
def shared(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Give the one tuple of these bounds, as there are few different ones among thousands of histograms."""
    return bounds


def make_histogram(buckets: dict[float, float]) -> Histogram:
    """Build a histogram out of ``{upper bound: observations}``; that of an exposition counts up from bound to bound."""
    if not buckets:
        return NOTHING_SEEN
    bounds = tuple(sorted(buckets))
    return Histogram(shared(bounds), array("d", [buckets[bound] for bound in bounds]))


def difference(newer: Histogram, older: Histogram | None) -> Histogram:
    """Give what was observed since the older one; all, where that is of other bounds or there is none."""
    if older is None or older.bounds != newer.bounds:
        return newer
    return Histogram(newer.bounds, array("d", [new - old for new, old in zip(newer.counts, older.counts, strict=True)]))


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Add histograms up; of different bounds, those that all have in common remain, as counts up to a bound add up."""
    seen = [histogram for histogram in histograms if histogram.bounds]
    if not seen:
        return NOTHING_SEEN
    bounds = seen[0].bounds
    if all(histogram.bounds is bounds or histogram.bounds == bounds for histogram in seen):
        return Histogram(bounds, array("d", map(sum, zip(*(histogram.counts for histogram in seen), strict=True))))
    common = set(bounds).intersection(*(histogram.bounds for histogram in seen))
    buckets = dict.fromkeys(common, 0.0)
    for histogram in seen:
        for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
            if bound in common:
                buckets[bound] += count
    return make_histogram(buckets)


def quantile(histogram: Histogram, share: float) -> float | None:
    """Give the value that this share of the observations does not exceed.

    None where nothing was observed, or where the buckets do not tell: fewer than two, or none up to infinity.
    """
    bounds, counts = histogram.bounds, histogram.counts
    if len(bounds) < 2 or bounds[-1] != inf or counts[-1] <= 0:
        return None
    rank = share * counts[-1]
    position, below = 0, 0.0
    # Counts read while a node was counting may fall from one bound to the next; they are taken not to.
    while position < len(counts) - 1 and counts[position] < rank:
        below = max(below, counts[position])
        position += 1
    if position == len(counts) - 1:
        return bounds[-2]
    if position == 0 and bounds[0] <= 0:
        return bounds[0]
    lower = bounds[position - 1] if position else 0.0
    inside = counts[position] - below
    if inside <= 0:
        return lower
    return lower + (bounds[position] - lower) * (rank - below) / inside
