# SPDX-License-Identifier: Apache-2.0
"""Ask every node at intervals, so that none is asked twice at once and none that is dead delays another.

Rounds begin at whole multiples of the interval, and each ends with a new snapshot. Within a round each node has a time
of its own, so that a thousand of them are not asked at once. What is asked of a node, and what is made of it, is in
`polling`; what becomes of it for others, in `publication`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from zlib import crc32

from lmcache_frontend.cluster.adapters.kinds import Ask, Identity
from lmcache_frontend.cluster.model import Cluster, Node
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import BadGateway, NotFound
from lmcache_frontend.fleet.crew import Crew, Lane
from lmcache_frontend.fleet.history import LEVEL, SERIES
from lmcache_frontend.fleet.polling import Moment, Watch, fail, poll
from lmcache_frontend.fleet.publication import Publisher
from lmcache_frontend.fleet.roster import watches_of
from lmcache_frontend.fleet.snapshot import NOT_ASKED, FleetSnapshot, Level
from lmcache_frontend.fleet.texts import Texts

logger = logging.getLogger(__name__)

INTERVAL_S = 10.0
# Nodes are asked in the first part of a round, so that most answers are in before it ends.
SPREAD = 0.8
# A node that was never reached has this long for its first answer, as it may be one of hundreds that are not there,
# with others waiting behind it. It is asked again at once, with more patience, by those that ask the dead.
FIRST_ANSWER_TIMEOUT_S = 0.5
PUBLICATION_INTERVAL_S = 1.0
TICK_S = 0.25
STOP_TIMEOUT_S = 0.9


class Statistics(NamedTuple):
    """What the collector did: ``round_seconds`` is how long the last round took, ``busy_seconds`` the asking in it.

    Nodes are asked spread over the interval, so the former is most of it; the latter is summed up over threads.
    ``errors`` is ``{(node key, reason in one word): count}``.
    """

    rounds: int
    round_seconds: float
    busy_seconds: float
    errors: Mapping[tuple[str, str], int]


class Collector:
    """Watches the nodes of a registry; all but `collect_once` may be called in any thread."""

    def __init__(
        self,
        registry: Registry,
        ask_node: Callable[[Node], Ask],
        *,
        interval_s: float = INTERVAL_S,
        fan_out: int = 16,
        clock: Callable[[], float] = time.time,
        steady_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where the nodes are listed and how each is asked; nothing is asked before `start` or `collect_once`.

        ``clock`` gives seconds since the epoch, ``steady_clock`` those of a clock that nobody sets.
        """
        self.interval_s = interval_s
        self._registry = registry
        self._ask_node = ask_node
        self._clock, self._steady_clock = clock, steady_clock
        self._publisher = Publisher(self._now(), interval_s)
        self.texts = Texts()
        self._crew = Crew(fan_out)
        self._thread: threading.Thread | None = None
        self._woken = threading.Event()
        self._ended = False
        self._watches: dict[str, Watch] = {}
        self._cluster: Cluster | None = None
        self._round: int | None = None
        self._published_at = self._round_began = steady_clock()
        self._changed = False
        self._refresh_wanted = False
        self._rounds = (0, 0.0, 0.0)
        # Guards what follows, and `Watch.busy`.
        self._lock = threading.Lock()
        self._last_answer_at = self._round_began
        self._busy_seconds = 0.0
        self._awaited: set[str] | None = None

    @property
    def snapshot(self) -> FleetSnapshot:
        """Give the newest snapshot; number 0 is that of nothing, before the first."""
        return self._publisher.snapshot

    def start(self) -> None:
        """Begin to ask, in threads of its own."""
        self._thread = threading.Thread(target=self._run, name="collector-rounds", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a thread that waits for a node's answer is left to end by itself after a second."""
        self._ended = True
        self._woken.set()
        self._publisher.end()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for thread in [*([self._thread] if self._thread else []), *self._crew.stop()]:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def wait_for(self, number: int, timeout_s: float) -> FleetSnapshot | None:
        """Wait for a snapshot of at least this number and give it; None after the time-out, and at the end."""
        return self._publisher.wait_for(number, timeout_s)

    def recent(self, number: int) -> FleetSnapshot | None:
        """Give an earlier snapshot by its number, None where it is not kept any more."""
        return self._publisher.recent(number)

    def refresh(self, max_age_s: float, timeout_s: float) -> FleetSnapshot:
        """Give a snapshot that is at most so old, else make one, once for all who ask meanwhile; at worst the last."""
        seen = self.snapshot
        if seen.number and self._clock() - seen.taken_at <= max_age_s:
            return seen
        self._refresh_wanted = True
        self._woken.set()
        return self.wait_for(seen.number + 1, timeout_s) or self.snapshot

    def renew(self, key: str) -> None:
        """Ask a node soon, and for all there is to know, since something was changed there; no such node is no matter.

        What it answers is in a snapshot by the end of the round.
        """
        watch = self._watches.get(key)
        if watch is not None:
            watch.details_at = watch.examine_at = self._steady_clock()
            watch.last_round = None

    def collect_once(self) -> FleetSnapshot:
        """Ask every node that is not backed off from, one by one in this thread, and publish; where nothing runs."""
        self._begin_round(self._now())
        for watch in list(self._watches.values()):
            if watch.retry_at <= self._steady_clock() and self._claim(watch):
                self._poll(watch)
        return self._publish(end_of_round=True)

    def identity(self, key: str) -> Identity | None:
        """Give what a node was found to be, None where it was never reached.

        Raises: NotFound for no such node.
        """
        return self._watch(key).identity

    def series(self, key: str | None, names: Iterable[str], since: float | None, step_s: float = 0.0) -> dict[str, Any]:
        """Give what figures of a node were, or with None of the whole fleet, in the shape of the series endpoints.

        Raises: NotFound for no such node; for a figure of which no history is kept, naming those that there are.
        """
        wanted = list(names)
        for name in wanted:
            _check_series(name, SERIES)
        watch = None if key is None else self._watch(key)
        return self._publisher.series(watch, wanted, self._clock(), since=since, step_s=step_s)

    def heat(self, name: str, since: float | None, step_s: float = 0.0) -> str:
        """Give what a figure, or ``level``, of every node was, as the JSON of ``GET /api/fleet/heat``.

        Raises: NotFound for a figure of which no history is kept, naming those that there are.
        """
        _check_series(name, (LEVEL, *SERIES))
        return self._publisher.heat(list(self._watches.values()), name, self._clock(), since=since, step_s=step_s)

    def drift(self) -> dict[str, Any]:
        """Give where configurations and versions differ, in the shape of ``GET /api/fleet/drift``, nothing masked."""
        return self._publisher.drift(list(self._watches.values()))

    def statistics(self) -> Statistics:
        """Give what was done so far."""
        watches = list(self._watches.values())
        errors = {(watch.key, word): count for watch in watches for word, count in list(watch.errors.items())}
        return Statistics(*self._rounds, errors)

    def _now(self) -> Moment:
        return Moment(self._clock(), self._steady_clock())

    def _watch(self, key: str) -> Watch:
        watch = self._watches.get(key)
        if watch is None:
            raise NotFound(f"no node is called {key[:80]!r}")
        return watch

    def _run(self) -> None:
        while not self._ended:
            try:
                self._tick()
            except Exception:
                logger.exception("a tick of the collector failed")
            self._woken.wait(min(TICK_S, self.interval_s / 8))
            self._woken.clear()

    def _tick(self) -> None:
        now = self._now()
        if self._round is not None and int(now.epoch // self.interval_s) != self._round:
            self._publish(end_of_round=True)
        self._begin_round(now)
        wanted, self._refresh_wanted = self._refresh_wanted, False
        with self._lock:
            refreshing = wanted and self._awaited is None
            if refreshing:
                self._awaited = set()
        elapsed_s = now.epoch % self.interval_s
        for watch in self._watches.values():
            is_wanted = refreshing and watch.failures == 0
            if is_wanted or self._is_due(watch, elapsed_s, now):
                self._dispatch(watch)
            if is_wanted:
                with self._lock:
                    if watch.busy and self._awaited is not None:
                        self._awaited.add(watch.key)
        is_refreshed = self._awaited is not None and not self._awaited
        if is_refreshed or (self._changed and now.steady - self._published_at >= PUBLICATION_INTERVAL_S):
            self._publish(end_of_round=False)

    def _begin_round(self, now: Moment) -> None:
        """Note it if a new round began, and take over what the registry says now."""
        number = int(now.epoch // self.interval_s)
        if number != self._round:
            self._round, self._round_began = number, now.steady
            with self._lock:
                self._last_answer_at, self._busy_seconds = now.steady, 0.0
        cluster = self._registry.snapshot
        if cluster is not self._cluster:
            self._cluster = cluster
            self._watches = watches_of(cluster, self._watches, now, self.interval_s)
            self._changed = True

    def _is_due(self, watch: Watch, elapsed_s: float, now: Moment) -> bool:
        if watch.busy or watch.last_round == self._round or watch.retry_at > now.steady:
            return False
        share = crc32(watch.key.encode("utf-8", "replace")) / 2**32
        return watch.last_round is None or elapsed_s >= share * SPREAD * self.interval_s

    def _claim(self, watch: Watch) -> bool:
        with self._lock:
            if watch.busy:
                return False
            watch.busy, watch.last_round = True, self._round
            return True

    def _dispatch(self, watch: Watch) -> None:
        if self._claim(watch):
            lane = Lane.DEAD if watch.failures else Lane.NEW if _is_new(watch) else Lane.LIVE
            self._crew.put(lane, lambda: self._poll(watch))

    def _poll(self, watch: Watch) -> None:
        before, is_new, begun = watch.state, _is_new(watch), self._steady_clock()
        try:
            ask = self._ask_node(watch.node)
            poll(watch, _impatient(ask) if is_new else ask, self._now)
        except Exception as exc:
            if not watch.errors["internal"]:
                logger.exception("node %s: what it answered was not understood", watch.key)
            watch.errors["internal"] += 1
            error = BadGateway(f"answer of {watch.node.endpoint} not understood: {type(exc).__name__}")
            fail(watch, error, self._now(), count=False)
        if is_new and watch.failures and watch.errors["timeout"]:
            watch.retry_at, watch.last_round = self._steady_clock(), None
        if is_new or watch.state.level is not before.level:
            self._changed = True
            _log_change(watch, is_new=is_new)
        ended = self._steady_clock()
        with self._lock:
            watch.busy = False
            self._busy_seconds += ended - begun
            self._last_answer_at = ended
            if self._awaited is not None:
                self._awaited.discard(watch.key)
                if not self._awaited:
                    self._woken.set()

    def _publish(self, *, end_of_round: bool) -> FleetSnapshot:
        now = self._now()
        self._changed, self._published_at = False, now.steady
        with self._lock:
            self._awaited = None
            if end_of_round:
                round_seconds = max(0.0, self._last_answer_at - self._round_began)
                self._rounds = (self._rounds[0] + 1, round_seconds, self._busy_seconds)
        return self._publisher.publish(self._watches, now, end_of_round=end_of_round)


def _check_series(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise NotFound(f"no series is called {name[:80]!r}, expected one of {', '.join(known)}")


def _is_new(watch: Watch) -> bool:
    return watch.state.reasons == (NOT_ASKED,)


def _impatient(ask: Ask) -> Ask:
    """Give less time for the first question; who has answered that is there."""
    asked: list[str] = []

    def asking(target: str, timeout_s: float | None) -> Any:
        timeout_s = timeout_s if asked else min(timeout_s or FIRST_ANSWER_TIMEOUT_S, FIRST_ANSWER_TIMEOUT_S)
        asked.append(target)
        return ask(target, timeout_s)

    return asking


def _log_change(watch: Watch, *, is_new: bool) -> None:
    """Log a change of level; that a node is well when it is first seen is no news."""
    state = watch.state
    if not is_new or state.level in (Level.UNREACHABLE, Level.DEGRADED, Level.ANSWERING):
        reasons = "; ".join(state.reasons)
        logger.warning("node %s is %s%s", watch.key, state.level.value, f": {reasons}" if reasons else "")
