# SPDX-License-Identifier: Apache-2.0
"""Ask one node once, and note what came of it. All I/O goes through the function that is passed in.

A round reads the metrics and how the node says it is; what it is, its version and its configuration only now and then.
When to ask, and whom, is the collector's business.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from math import nan
from typing import NamedTuple

from lmcache_frontend.cluster.adapters.answers import came_back, failure_words, hear, is_html, status_words
from lmcache_frontend.cluster.adapters.kinds import Ask, Identity, Kind, State
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.cluster.adapters.read import metrics_target, read
from lmcache_frontend.cluster.model import LOCAL_PROXY, Node
from lmcache_frontend.errors import FrontendError, GatewayTimeout
from lmcache_frontend.exposition.blocks import Blocks, make_blocks
from lmcache_frontend.exposition.parse import Family, select
from lmcache_frontend.exposition.scan import scan
from lmcache_frontend.fleet.configuration import flattened, packed, quotas_in, sizes_of
from lmcache_frontend.fleet.counters import FAMILIES, Counters, counters_from
from lmcache_frontend.fleet.derive import NO_SIZES, Sizes, node_figures, positions_of, tally
from lmcache_frontend.fleet.examination import examine, idle_since, is_odd, is_slow
from lmcache_frontend.fleet.health import Condition, Outcome, condition, faults_in_words
from lmcache_frontend.fleet.history import History, rings_for
from lmcache_frontend.fleet.snapshot import NOT_ASKED, Figure, Figures, Level, NodeState, key_of, made_stale, unknown
from lmcache_frontend.fleet.tally import Tally

WINDOW_S = 60.0
# Readings closer than this are not all kept: a window of eight is as good as one of sixty.
SPACING_S = 7.5
DETAILS_INTERVAL_S = 60.0
LONGEST_BACK_OFF_S = 120.0
BEING_READ = "it answers again, and is being read"


class Moment(NamedTuple):
    """Now: seconds since the epoch, and seconds of a clock that nobody sets."""

    epoch: float
    steady: float


class Watch:
    """What is kept of one node. It belongs to whoever asks the node; others read, and set ``fresh`` to False.

    ``counted`` is None while nothing current is known; ``fresh`` says that figures came since it was last put to False.
    """

    __slots__ = (
        "busy",
        "configuration",
        "counted",
        "details_at",
        "errors",
        "examine_at",
        "failures",
        "fresh",
        "history",
        "identity",
        "interval_s",
        "last_round",
        "node",
        "probe_again",
        "retry_at",
        "sizes",
        "state",
        "window",
    )

    def __init__(self, node: Node, now: Moment, interval_s: float, *, is_frontend: bool = False) -> None:
        """Take a node that was not asked yet."""
        self.node = node
        self.interval_s = interval_s
        self.identity: Identity | None = None
        self.probe_again = True
        self.state: NodeState = unknown(node, now.epoch)
        if is_frontend:
            self.state = self.state._replace(kind=Kind.FRONTEND.value)
        self.window: deque[Counters] = deque()
        self.counted: Tally | None = None
        self.fresh = False
        self.history = History(rings_for(interval_s))
        self.configuration: bytes | None = None
        self.sizes: Sizes = NO_SIZES
        self.details_at = now.steady
        self.examine_at = now.steady
        self.failures = 0
        self.retry_at = now.steady
        self.errors: Counter[str] = Counter()
        self.busy = False
        self.last_round: int | None = None

    @property
    def key(self) -> str:
        """Give the name that is unique in the fleet."""
        return key_of(self.node.proxy, self.node.name)


class Scrape(NamedTuple):
    """What came of ``/metrics``; ``error`` is what was raised where no answer came."""

    outcome: Outcome
    reason: str | None = None
    families: Mapping[str, Family] = {}
    blocks: Blocks | None = None
    error: FrontendError | None = None


def poll(watch: Watch, ask: Ask, clock: Callable[[], Moment]) -> None:
    """Ask a node and put what it said into ``watch``; ``clock`` says what time it is."""
    try:
        if _is_to_be_probed(watch, clock()):
            expected = Kind.FRONTEND if watch.state.kind == Kind.FRONTEND.value else Kind.UNKNOWN
            _become(watch, probe(ask, expected), clock())
            if watch.failures:
                # It is there, and what there is to read of it may take long.
                watch.state = watch.state._replace(
                    level=Level.ANSWERING, reasons=(BEING_READ,), level_since=clock().epoch
                )
    except FrontendError as exc:
        return fail(watch, exc, clock())
    identity = watch.identity
    assert identity is not None
    if clock().steady >= watch.details_at:
        _read_details(watch, identity, ask, clock())
    begun = clock()
    scrape = read_metrics(watch.node, identity, ask)
    scraped = clock()
    if scrape.error is not None:
        watch.errors[category(scrape.error)] += 1
        if not came_back(scrape.error) and not isinstance(scrape.error, GatewayTimeout):
            return fail(watch, scrape.error, scraped, count=False)
    elif scrape.outcome in (Outcome.FAULTY, Outcome.FAILED):
        watch.errors["malformed" if scrape.outcome is Outcome.FAULTY else "status"] += 1
    reading = read(identity, "health", ask, families=scrape.families)
    found = condition(reading.data if reading.state is State.OK else None, scrape.outcome, scrape.reason)
    _take_figures(watch, scrape, begun, scraped)
    _examine(watch, identity, ask, scraped)
    return _conclude(watch, found, clock())


def read_metrics(node: Node, identity: Identity, ask: Ask) -> Scrape:
    """Ask for metrics and take them apart; never raises for what the node answers."""
    target = metrics_target(identity)
    if target is None:
        return Scrape(Outcome.OFF)
    try:
        answer = ask(target, None)
        if answer.head.status != 200:
            heard = hear(answer)
            is_off = heard.status in (404, 405, 501)
            return Scrape(Outcome.OFF if is_off else Outcome.FAILED, f"answered {status_words(heard)}")
    except FrontendError as exc:
        return Scrape(Outcome.FAILED, failure_words(exc), error=exc)
    wrong = None
    try:
        text = answer.body.decode("utf-8")
    except UnicodeDecodeError as exc:
        text, wrong = answer.body.decode("utf-8", "replace"), f"wrong UTF-8 at byte {exc.start}"
    if is_html(text):
        return Scrape(Outcome.FAILED, "an HTML page")
    scanned = scan(text)
    labels = [("node", node.name)] if node.proxy == LOCAL_PROXY else [("node", node.name), ("proxy", node.proxy)]
    made = make_blocks(scanned, labels)
    if scanned.dropped:
        wrong = faults_in_words(scanned.faults, scanned.dropped)
    outcome = Outcome.FAULTY if wrong else Outcome.GOOD
    return Scrape(outcome, wrong, select(scanned, FAMILIES).families, made.blocks)


def fail(watch: Watch, error: FrontendError, now: Moment, *, count: bool = True) -> None:
    """Note that no answer came, and ask again later: after an interval, then twice as long each time."""
    if count:
        watch.errors[category(error)] += 1
    reason = failure_words(error)
    watch.counted = None
    watch.window.clear()
    state = watch.state
    watch.state = state._replace(figures=made_stale(state.figures, positions_of(state.kind)), blocks=None)
    level = Level.UNREACHABLE
    if came_back(error):
        level = Level.ANSWERING if watch.identity is None else Level.DEGRADED
    _conclude(watch, Condition(level, (reason,)), now)


def category(error: FrontendError) -> str:
    """Give the one word under which a failure is counted."""
    if isinstance(error, GatewayTimeout):
        return "timeout"
    words = failure_words(error)
    return words if words == "refused" else "malformed" if came_back(error) else "broken"


def _is_to_be_probed(watch: Watch, now: Moment) -> bool:
    """Tell whether to find out what a node is: at first, after it was down, now and then if it was nothing known."""
    if watch.identity is None or watch.probe_again:
        return True
    return watch.identity.kind is Kind.UNKNOWN and now.steady >= watch.details_at


def _become(watch: Watch, identity: Identity, now: Moment) -> None:
    """Note what a node is; what was counted by something else before is none of its own."""
    old = watch.identity
    watch.identity, watch.probe_again = identity, False
    watch.details_at = now.steady
    if old is None or old.kind is not identity.kind:
        watch.window.clear()
        watch.counted = None
        watch.state = watch.state._replace(figures=Figures(positions_of(identity.kind.value), {}))
    watch.state = watch.state._replace(
        kind=identity.kind.value, role=identity.role, version=identity.version, instance=identity.instance
    )


def _read_details(watch: Watch, identity: Identity, ask: Ask, now: Moment) -> None:
    watch.details_at = now.steady + DETAILS_INTERVAL_S
    version = read(identity, "version", ask)
    if version.state is State.OK and version.data != identity.version:
        # Another process answers than the one that was probed.
        watch.probe_again = True
        watch.state = watch.state._replace(version=version.data)
    quota = read(identity, "quota", ask)
    if quota.state is not State.FAILED:
        watch.state = watch.state._replace(quotas=quotas_in(quota.data))
    conf = read(identity, "conf", ask)
    if conf.state is State.OK:
        flat = flattened(conf.data["values"])
        watch.sizes = sizes_of(identity.kind.value, flat)
        data = packed(flat)
        watch.configuration = watch.configuration if data == watch.configuration else data
    elif conf.state is State.UNSUPPORTED:
        watch.sizes, watch.configuration = NO_SIZES, None


def _take_figures(watch: Watch, scrape: Scrape, begun: Moment, scraped: Moment) -> None:
    state = watch.state
    positions = positions_of(state.kind)
    figures: Mapping[str, Figure]
    if scrape.outcome is Outcome.GOOD:
        reading = counters_from(scrape.families, scraped.steady)
        _append(watch, reading)
        watch.counted = tally(state.kind, watch.window, watch.sizes) if positions else None
        figures = node_figures(state.kind, watch.counted, watch.sizes) if watch.counted else state.figures
        watch.fresh = True
        state = state._replace(
            scraped_at=scraped.epoch,
            scrape_seconds=scraped.steady - begun.steady,
            idle_since=idle_since(figures, watch.window, state.idle_since, scraped.epoch),
        )
    elif scrape.outcome is Outcome.OFF:
        watch.counted = None
        watch.window.clear()
        figures = Figures(positions, {})
    else:
        watch.counted = None
        figures = made_stale(state.figures, positions)
        if scrape.outcome is Outcome.FAULTY and state.scraped_at is None:
            # It never was without fault: what can be read of it is better than nothing.
            reading = counters_from(scrape.families, scraped.steady, whole=False)
            figures = made_stale(node_figures(state.kind, tally(state.kind, [reading], watch.sizes)), positions)
    watch.state = state._replace(figures=figures, blocks=scrape.blocks)


def _examine(watch: Watch, identity: Identity, ask: Ask, now: Moment) -> None:
    """Ask for more where figures are odd: now and then, and each time once that has told why."""
    state = watch.state
    slow, odd = is_slow(state.scrape_seconds), is_odd(state.kind, state.figures)
    if not slow and not odd:
        watch.examine_at = now.steady
        watch.state = state._replace(remarks=())
    elif state.remarks or now.steady >= watch.examine_at:
        watch.examine_at = now.steady + DETAILS_INTERVAL_S
        watch.state = state._replace(remarks=examine(identity, ask, slow=slow, odd=odd))


def _append(watch: Watch, reading: Counters) -> None:
    window = watch.window
    if window and _started_anew(window[-1], reading):
        watch.details_at, watch.probe_again = reading.at, True
    if len(window) > 1 and window[-1].at - window[-2].at < SPACING_S:
        window.pop()
    window.append(reading)
    reach_s = max(WINDOW_S + SPACING_S / 2, 1.5 * watch.interval_s)
    while reading.at - window[0].at > reach_s:
        window.popleft()


def _started_anew(older: Counters, newer: Counters) -> bool:
    before, after = older.gauge("started"), newer.gauge("started")
    return abs((after or nan) - (before or nan)) > 1.0


def _conclude(watch: Watch, found: Condition, now: Moment) -> None:
    state = watch.state
    if found.level is Level.UNREACHABLE:
        delay_s = watch.interval_s * 2.0 ** min(watch.failures, 16)
        watch.failures += 1
        watch.retry_at = now.steady + min(delay_s, max(LONGEST_BACK_OFF_S, watch.interval_s)) * 0.9
        watch.probe_again = True
        watch.counted = None
        if state.blocks is not None:
            state = state._replace(blocks=None)
    else:
        watch.failures = 0
        state = state._replace(last_seen=now.epoch)
    if found.level is not watch.state.level or watch.state.reasons == (NOT_ASKED,):
        state = state._replace(level_since=now.epoch)
        if Level.UNREACHABLE not in (found.level, watch.state.level) and watch.state.reasons != (BEING_READ,):
            watch.details_at = now.steady
    watch.state = state._replace(level=found.level, reasons=found.reasons)
