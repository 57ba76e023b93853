# SPDX-License-Identifier: Apache-2.0
"""Make a snapshot out of what is known of each node, keep the fleet's own history, and tell those who wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from lmcache_frontend.fleet.configuration import unpacked
from lmcache_frontend.fleet.derive import positions_of_totals, totals
from lmcache_frontend.fleet.drift import Configured, drift
from lmcache_frontend.fleet.heat import heat_text, level_number
from lmcache_frontend.fleet.history import LEVEL, SERIES, History, rings_for
from lmcache_frontend.fleet.polling import Moment, Watch
from lmcache_frontend.fleet.problems import problems
from lmcache_frontend.fleet.snapshot import NO_TRAFFIC, NOT_ASKED, OK, Figure, Figures, FleetSnapshot, made_stale

# How many snapshots are kept for who reconnects: enough for some seconds, as each has figures of all nodes.
RECENT = 4


class Publisher:
    """Holds the newest snapshot; `publish` is for one thread, all else for any."""

    def __init__(self, now: Moment, interval_s: float) -> None:
        """Begin with a snapshot of nothing, number 0."""
        self._interval_s = interval_s
        self._changed = threading.Condition()
        self._histories = threading.Lock()
        self._totals = History(rings_for(interval_s))
        self._drift: tuple[object, dict[str, Any]] = ((), drift({}))
        self._ended = False
        self._recent: deque[FleetSnapshot] = deque(maxlen=RECENT)
        self.snapshot = FleetSnapshot(0, now.epoch, interval_s, MappingProxyType({}), totals(()), ())

    def publish(self, watches: Mapping[str, Watch], now: Moment, *, end_of_round: bool) -> FleetSnapshot:
        """Put a new snapshot in the place of the last one; the end of a round goes into the history as well."""
        before = self.snapshot
        nodes = {key: watch.state for key, watch in watches.items()}
        figures = self._fleet_figures(watches.values())
        if end_of_round:
            self._remember(watches.values(), figures, now)
        # Telling drift anew takes a while where many nodes are new: not more than once a round.
        groups = (self.drift(watches.values()) if end_of_round else self._drift[1])["groups"]
        found = problems(nodes, groups, before.problems, now.epoch)
        number = before.number + 1
        snapshot = FleetSnapshot(number, now.epoch, self._interval_s, MappingProxyType(nodes), figures, found)
        with self._changed:
            self.snapshot = snapshot
            self._recent.append(_without_blocks(snapshot))
            self._changed.notify_all()
        return snapshot

    def recent(self, number: int) -> FleetSnapshot | None:
        """Give an earlier snapshot by its number, None where it is not kept any more."""
        with self._changed:
            return next((snapshot for snapshot in self._recent if snapshot.number == number), None)

    def end(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, number: int, timeout_s: float) -> FleetSnapshot | None:
        """Wait for a snapshot of at least this number and give it; None after the time-out, and at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self.snapshot.number >= number or self._ended, timeout_s)
            return self.snapshot if self.snapshot.number >= number else None

    def series(
        self, watch: Watch | None, names: Iterable[str], until: float, *, since: float | None, step_s: float
    ) -> dict[str, Any]:
        """Give series of a node, or with None of the fleet."""
        history = self._totals if watch is None else watch.history
        with self._histories:
            return history.read(names, until, since=since, step_s=step_s)

    def heat(self, watches: Iterable[Watch], name: str, until: float, *, since: float | None, step_s: float) -> str:
        """Give a series of every node, as the JSON of ``GET /api/fleet/heat``."""
        with self._histories:
            empty = self._totals.column("", until, since=since, step_s=step_s)
            rows = [(watch.key, watch.history.column(name, until, since=since, step_s=step_s)) for watch in watches]
        return heat_text(name, rows, empty)

    def drift(self, watches: Iterable[Watch]) -> dict[str, Any]:
        """Give where nodes differ; told anew only if one of them has changed."""
        stamp = tuple(
            (watch.key, watch.state.kind, watch.state.version, watch.configuration)
            for watch in watches
            if watch.identity is not None
        )
        known, result = self._drift
        if stamp != known:
            result = drift(
                {
                    key: Configured(kind, version, None if data is None else unpacked(data))
                    for key, kind, version, data in stamp
                }
            )
            self._drift = (stamp, result)
        return result

    def _fleet_figures(self, watches: Iterable[Watch]) -> Figures:
        counted = [tally for watch in watches if (tally := watch.counted) is not None]
        if not counted and self.snapshot.nodes:
            return made_stale(self.snapshot.totals, positions_of_totals())
        return totals(counted)

    def _remember(self, watches: Iterable[Watch], figures: Mapping[str, Figure], now: Moment) -> None:
        """Add a round to the history, at the time that the round ends by the clock, however late this is."""
        at = round(now.epoch / self._interval_s) * self._interval_s
        with self._histories:
            for watch in watches:
                if watch.state.reasons == (NOT_ASKED,):
                    continue
                kept: dict[str, float | None] = {LEVEL: level_number(watch.state.level)}
                if watch.fresh:
                    watch.fresh = False
                    kept |= _worth_keeping(watch.state.figures, has_window=len(watch.window) > 1)
                watch.history.add(at, kept)
            self._totals.add(at, _worth_keeping(figures, has_window=True))


def _worth_keeping(figures: Mapping[str, Figure], *, has_window: bool) -> dict[str, float | None]:
    """Give the figures of which history is kept; without traffic, a rate is none in a chart, and all else a gap."""
    kept: dict[str, float | None] = {}
    for name in SERIES:
        figure = figures.get(name)
        if figure is not None:
            is_idle = has_window and figure.state == NO_TRAFFIC and name.endswith("_per_s")
            kept[name] = figure.value if figure.state == OK else 0.0 if is_idle else None
    return kept


def _without_blocks(snapshot: FleetSnapshot) -> FleetSnapshot:
    """Give a snapshot that does not keep old metrics in memory; who asks what changed since does not ask for them."""
    return snapshot._replace(nodes={key: state._replace(blocks=None) for key, state in snapshot.nodes.items()})
