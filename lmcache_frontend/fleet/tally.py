# SPDX-License-Identifier: Apache-2.0
"""What was counted in the last minute and since the start, in a form that adds up over nodes. Pure.

A counter that falls stands for a node that began to count anew: what it shows then is what it has counted since.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import isnan, nan
from typing import NamedTuple

from lmcache_frontend.fleet.counters import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    Counters,
    counter_position,
    gauge_position,
    histogram_position,
    restarted,
    value_at,
)
from lmcache_frontend.fleet.quantiles import Histogram, difference, merged

# Gauges that are of one node only: a sum over nodes would mean nothing.
_OF_ONE_NODE = frozenset({"started", "is_healthy", "cpu_fill", "remote_ping_ms", "event_bus_lag", "event_bus_queue"})
_of_one_node = [gauge_position(name) for name in _OF_ONE_NODE]
_gauges_that_count = [counter_position(name) for name in ("failed_gets", "failed_puts")]


class Tally(NamedTuple):
    """Counts of a window of time (``recent``, ``per_second``), counts since the start, and what holds now.

    In the order of the tables of `counters`; NaN or None where a node has none. ``fill`` is what is used of the CPU
    tier and how large it is, of nodes of which both are known.
    """

    recent: Sequence[float]
    per_second: Sequence[float]
    total: Sequence[float]
    gauges: Sequence[float]
    recent_histograms: tuple[Histogram | None, ...]
    total_histograms: tuple[Histogram | None, ...]
    sizes: Sequence[float] = (nan, nan, nan, nan)

    def recently(self, name: str) -> float | None:
        """Give what a counter counted in the window."""
        return value_at(self.recent, counter_position(name))

    def rate(self, name: str) -> float | None:
        """Give what a counter counted in the window, per second."""
        return value_at(self.per_second, counter_position(name))

    def since_start(self, name: str) -> float | None:
        """Give what a counter shows."""
        return value_at(self.total, counter_position(name))

    def gauge(self, name: str) -> float | None:
        """Give what a gauge shows."""
        return value_at(self.gauges, gauge_position(name))

    def histogram(self, name: str, *, recent: bool) -> Histogram | None:
        """Give the observations of the window, or all."""
        return (self.recent_histograms if recent else self.total_histograms)[histogram_position(name)]


def tally_of(history: Sequence[Counters], sizes: Sequence[float]) -> Tally:
    """Count up a window: readings of one node, oldest first; one alone tells nothing of the window."""
    newest = history[-1]
    seconds = newest.at - history[0].at
    runs = _runs(history)
    recent = [nan] * len(COUNTERS)
    observed: tuple[Histogram | None, ...] = (None,) * len(HISTOGRAMS)
    if seconds > 0:
        recent = list(map(operator.sub, runs[0][-1].counts, runs[0][0].counts))
        observed = _observed(runs[0][0].histograms, runs[0][-1].histograms)
        for before, run in pairwise(runs):
            recent = list(map(operator.add, recent, _counted_anew(before[-1], run[-1])))
            observed = tuple(map(_sum, observed, run[-1].histograms))
    return Tally(
        recent=array("d", recent),
        per_second=array("d", [count / seconds for count in recent] if seconds > 0 else recent),
        total=newest.counts,
        gauges=newest.gauges,
        recent_histograms=observed,
        total_histograms=newest.histograms,
        sizes=array("d", sizes),
    )


def sum_of(tallies: Iterable[Tally]) -> Tally | None:
    """Add up the tallies of several nodes; what only some have is the sum over those. None for no node."""
    known = list(tallies)
    if not known:
        return None
    gauges = _column_sums([tally.gauges for tally in known], len(GAUGES))
    for position in _of_one_node:
        gauges[position] = nan
    return Tally(
        recent=_column_sums([tally.recent for tally in known], len(COUNTERS)),
        per_second=_column_sums([tally.per_second for tally in known], len(COUNTERS)),
        total=_column_sums([tally.total for tally in known], len(COUNTERS)),
        gauges=gauges,
        recent_histograms=_merged_columns([tally.recent_histograms for tally in known]),
        total_histograms=_merged_columns([tally.total_histograms for tally in known]),
        sizes=_column_sums([tally.sizes for tally in known], len(known[0].sizes)),
    )


def _runs(history: Sequence[Counters]) -> list[list[Counters]]:
    """Part the readings where counting began anew."""
    runs = [[history[0]]]
    for older, newer in pairwise(history):
        if restarted(older, newer):
            runs.append([newer])
        else:
            runs[-1].append(newer)
    return runs


def _counted_anew(before: Counters, after: Counters) -> list[float]:
    """Give what was counted since counting began anew; clearing a node's metrics leaves its gauges as they were."""
    counted = list(after.counts)
    started = gauge_position("started")
    if before.gauges[started] == after.gauges[started]:
        for position in _gauges_that_count:
            grown = after.counts[position] - before.counts[position]
            counted[position] = grown if grown >= 0 else counted[position]
    return counted


def _observed(older: Sequence[Histogram | None], newer: Sequence[Histogram | None]) -> tuple[Histogram | None, ...]:
    return tuple(None if new is None else difference(new, old) for old, new in zip(older, newer, strict=True))


def _sum(one: Histogram | None, other: Histogram | None) -> Histogram | None:
    return None if one is None or other is None else merged((one, other))


def _column_sums(rows: Sequence[Sequence[float]], width: int) -> array[float]:
    """Add up rows of values; a column of NaN only stays NaN."""
    sums = [nan] * width
    for row in rows:
        sums = [
            known if isnan(value) else value if isnan(known) else known + value
            for known, value in zip(sums, row, strict=True)
        ]
    return array("d", sums)


def _merged_columns(rows: Sequence[Sequence[Histogram | None]]) -> tuple[Histogram | None, ...]:
    columns = ([histogram for histogram in column if histogram is not None] for column in zip(*rows, strict=True))
    return tuple(merged(column) if column else None for column in columns)
