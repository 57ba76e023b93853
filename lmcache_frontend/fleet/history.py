# SPDX-License-Identifier: Apache-2.0
"""What figures were: rings of 4-byte floats, fine for the last minutes and coarse for the last day. Pure.

Time is cut into steps that are the same for all nodes, counted from the epoch. What is added in one step is averaged;
a step without anything is a gap, and of what cannot be averaged the worst is kept. A series takes room only from its
first value on.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from math import isnan, nan
from typing import Any, NamedTuple

# (step in seconds, number of steps): a quarter of an hour, an hour, a day.
RINGS = ((10.0, 90), (60.0, 60), (600.0, 144))

# A clock that is corrected may go back a little; what comes then belongs to the newest step.
CLOCK_CORRECTION_STEPS = 1

# The figures that are kept, of a node and of the fleet.
SERIES = (
    "lookup_hit_rate",
    "lookup_hit_rate_l1",
    "lookup_hit_rate_l2",
    "retrieve_hit_share",
    "tokens_requested_per_s",
    "tokens_hit_per_s",
    "tokens_stored_per_s",
    "lookups_per_s",
    "retrieves_per_s",
    "stores_per_s",
    "retrieve_speed_p50",
    "retrieve_speed_p95",
    "retrieve_time_p50_s",
    "retrieve_time_p95_s",
    "store_time_p50_s",
    "store_time_p95_s",
    "l1_load_gb_per_s_p50",
    "l1_load_gb_per_s_p95",
    "l1_store_gb_per_s_p50",
    "l1_store_gb_per_s_p95",
    "l2_load_gb_per_s_p50",
    "l2_load_gb_per_s_p95",
    "cpu_used_bytes",
    "cpu_fill",
    "disk_used_bytes",
    "remote_used_bytes",
    "evictions_per_s",
    "failures_per_s",
)
# Kept of nodes beside the figures: the state as a number, the worse the smaller.
LEVEL = "level"


class Column(NamedTuple):
    """A series: its steps in seconds, the time at which the first of them begins, and a value each."""

    step_s: float
    start: float
    values: array[float]


class _Ring:
    """One resolution; a column ends with the number of values that its newest step is the average of."""

    __slots__ = ("columns", "last", "length", "step_s")

    def __init__(self, step_s: float, length: int) -> None:
        self.step_s = step_s
        self.length = length
        self.last: int | None = None
        self.columns: dict[str, array[float]] = {}

    def add(self, at: float, values: Mapping[str, float]) -> None:
        number = int(at // self.step_s)
        if self.last is None or number > self.last:
            self.last = self._advance(number)
        elif number < self.last - CLOCK_CORRECTION_STEPS:
            # The clock was set back: what is newer than now cannot be kept apart from what comes.
            self.columns.clear()
            self.last = number
        place = self.last % self.length
        for name, value in values.items():
            column = self.columns.get(name)
            if column is None:
                if isnan(value):
                    continue
                column = self.columns[name] = array("f", [nan]) * self.length
                column.append(0.0)
            if not isnan(value):
                count = column[-1] = column[-1] + 1
                if count == 1:
                    column[place] = value
                elif name == LEVEL:
                    column[place] = min(column[place], value)
                else:
                    column[place] += (value - column[place]) / count

    def _advance(self, number: int) -> int:
        skipped = self.length if self.last is None else min(number - self.last, self.length)
        places = [step % self.length for step in range(number - skipped + 1, number + 1)]
        for column in self.columns.values():
            for place in places:
                column[place] = nan
            column[-1] = 0.0
        return number

    def read(self, name: str, first: int, end: int) -> array[float]:
        gap = array("f", [nan])
        column = self.columns.get(name)
        if column is None or self.last is None:
            return gap * (end - first)
        begin, stop = max(first, self.last - self.length + 1), min(end, self.last + 1)
        if begin >= stop:
            return gap * (end - first)
        left, right = begin % self.length, (stop - 1) % self.length + 1
        kept = column[left:right] if left < right else column[left : self.length] + column[:right]
        return gap * (begin - first) + kept + gap * (end - stop)


class History:
    """The series of one node, or of the fleet; to be used in one thread at a time."""

    __slots__ = ("_rings",)

    def __init__(self, rings: Iterable[tuple[float, int]] = RINGS) -> None:
        """Take ``(step in seconds, number of steps)`` of each ring, the finest first."""
        self._rings = tuple(_Ring(step_s, length) for step_s, length in rings)

    def add(self, at: float, values: Mapping[str, float | None]) -> None:
        """Add values of one moment, in seconds since the epoch; None for what was not measured."""
        known = {name: nan if value is None else value for name, value in values.items()}
        for ring in self._rings:
            ring.add(at, known)

    def read(self, names: Iterable[str], until: float, *, since: float | None, step_s: float = 0.0) -> dict[str, Any]:
        """Give series in the shape of ``GET /api/nodes/{name}/series``, None for gaps.

        They come from the finest ring that has steps of at least ``step_s`` and reaches back to ``since`` (None: as far
        as the finest goes), or from the coarsest. ``start`` is the time at which the first step begins.
        """
        columns = {name: self.column(name, until, since=since, step_s=step_s) for name in names}
        any_column = next(iter(columns.values())) if columns else self.column("", until, since=since, step_s=step_s)
        return {
            "step_s": any_column.step_s,
            "start": any_column.start,
            "series": {
                name: [None if isnan(value) else value for value in column.values] for name, column in columns.items()
            },
        }

    def column(self, name: str, until: float, *, since: float | None, step_s: float = 0.0) -> Column:
        """Give one series as `read` does, with NaN for gaps."""
        coarse_enough = [ring for ring in self._rings if ring.step_s >= step_s] or [self._rings[-1]]
        now = until if since is None else max(until, since)
        reaching = [ring for ring in coarse_enough if since is None or _oldest(ring, now) <= since // ring.step_s]
        ring = reaching[0] if reaching else coarse_enough[-1]
        end = int(now // ring.step_s) + 1
        first = _oldest(ring, now) if since is None else max(int(since // ring.step_s), _oldest(ring, now))
        return Column(ring.step_s, first * ring.step_s, ring.read(name, first, end))


def rings_for(interval_s: float) -> tuple[tuple[float, int], ...]:
    """Give the rings where nodes are asked at intervals: no finer than those, or every other step were a gap."""
    finest, *coarser = RINGS
    return (max(finest[0], interval_s), finest[1]), *(ring for ring in coarser if ring[0] >= interval_s)


def _oldest(ring: _Ring, until: float) -> int:
    return int(until // ring.step_s) - ring.length + 1
