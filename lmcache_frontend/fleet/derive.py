# SPDX-License-Identifier: Apache-2.0
"""The figures of a node and of the fleet, out of counts, gauges and histograms. Pure.

Rates are over the window of the readings given, about a minute; names ending in ``_total`` are since the node's start.
Rates of hits come from counters alone: the gauges named ``hit_rate`` show 1 or 0 on idle nodes. Those of the fleet are
sums over sums, so that a busy node weighs more than an idle one. What was not counted, because nothing happened or
because the node cannot count it, is no zero but a state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan, nan
from typing import NamedTuple

from lmcache_frontend.fleet import counters
from lmcache_frontend.fleet.counters import Counters
from lmcache_frontend.fleet.quantiles import quantile
from lmcache_frontend.fleet.snapshot import NO_FIGURES, NO_TRAFFIC, OK, UNSUPPORTED, Figure, Figures
from lmcache_frontend.fleet.tally import Tally, sum_of, tally_of

_NO_TRAFFIC = Figure(None, NO_TRAFFIC)
_UNSUPPORTED = Figure(None, UNSUPPORTED)

SHARES: Mapping[str, tuple[str, str]] = {
    "lookup_hit_rate": ("lookup_hits", "lookup_tokens"),
    "lookup_hit_rate_l1": ("lookup_hits_l1", "lookup_tokens_split"),
    "lookup_hit_rate_l2": ("lookup_hits_l2", "lookup_tokens_split"),
    "retrieve_hit_share": ("retrieve_hits", "retrieve_tokens"),
}
# Of traffic: without any they have no value.
TRAFFIC = ("tokens_requested", "tokens_hit", "tokens_stored", "lookups", "retrieves", "stores")
# Of work and of faults: none is a value.
EVENTS: Mapping[str, tuple[str, ...]] = {
    "evictions": ("evictions",),
    "failures": (
        "failed_evictions",
        "forced_unpins",
        "failed_gets",
        "failed_puts",
        "allocation_failures",
        "read_failures",
        "prefetch_failures",
    ),
}
IN_PROCESS_EVENTS = ("failed_evictions", "forced_unpins", "failed_gets", "failed_puts", "remote_ping_errors")
MP_EVENTS = (
    "allocation_failures",
    "read_failures",
    "prefetch_failures",
    "l2_loads",
    "l2_stores",
    "event_bus_drops",
)
# The name of a quantile is before, share, after.
QUANTILES: Mapping[str, tuple[str, str]] = {
    "retrieve_speed": ("retrieve_speed_", ""),
    "retrieve_time": ("retrieve_time_", "_s"),
    "store_time": ("store_time_", "_s"),
}
IN_PROCESS_QUANTILES: Mapping[str, tuple[str, str]] = {"store_speed": ("store_speed_", "")}
MP_QUANTILES: Mapping[str, tuple[str, str]] = {
    **{name: (f"{name}_gb_per_s_", "") for name in ("l1_load", "l1_store", "l2_load", "l2_store")},
    # How long a chunk stays in L1, and how soon one is wanted again that was evicted.
    "chunk_lifetime": ("chunk_lifetime_", "_s"),
    "evict_reuse_gap": ("evict_reuse_gap_", "_s"),
}
GAUGES: Mapping[str, str] = {
    "cpu_used_bytes": "cpu_used",
    "disk_used_bytes": "disk_used",
    "remote_used_bytes": "remote_used",
    "pinned_objects": "pinned",
    "active_objects": "active",
}
MP_GAUGES: Mapping[str, str] = {
    "l2_loads_in_flight": "l2_loads_running",
    "l2_stores_in_flight": "l2_stores_running",
    "event_bus_lag_s": "event_bus_lag",
    "event_bus_queue": "event_bus_queue",
}
_PERCENTILES = (("p50", 0.5), ("p95", 0.95))
# Not a scheduler's: its process has no tiers of its own; that the configuration sizes them is for the workers.
_TIERS = (
    "cpu_used_bytes",
    "cpu_capacity_bytes",
    "cpu_fill",
    "disk_used_bytes",
    "disk_capacity_bytes",
    "remote_used_bytes",
)


class Sizes(NamedTuple):
    """What the configuration says of the tiers: bytes, and the share of L1 from which on it is evicted."""

    cpu_bytes: float | None = None
    disk_bytes: float | None = None
    watermark: float | None = None


NO_SIZES = Sizes()


def figures(kind: str, history: Sequence[Counters], sizes: Sizes = NO_SIZES) -> Figures:
    """Derive the figures of a node from its readings of the last minute, oldest first."""
    return node_figures(kind, tally(kind, history, sizes), sizes)


def tally(kind: str, history: Sequence[Counters], sizes: Sizes) -> Tally:
    """Count up a node's readings, with what is known of its tiers."""
    newest = history[-1]
    used, fill = newest.gauge("cpu_used"), newest.gauge("cpu_fill")
    capacity = sizes.cpu_bytes
    if capacity is None and used and fill:
        capacity = used / fill
    if kind == "scheduler":
        capacity = None
    disk = sizes.disk_bytes if kind != "scheduler" else None
    both = used is not None and capacity is not None
    known = (used if both else None, capacity if both else None, capacity, disk)
    return tally_of(history, [nan if value is None else value for value in known])


def node_figures(kind: str, counted: Tally, sizes: Sizes = NO_SIZES) -> Figures:
    """Derive the figures of a node from what it counted."""
    if kind == "mp":
        return Figures(_MP, _mp(counted, sizes))
    return Figures(_IN_PROCESS, _in_process(counted, kind)) if kind in ("worker", "scheduler") else NO_FIGURES


def totals(tallies: Iterable[Tally]) -> Figures:
    """Derive the figures of all nodes together from what each counted."""
    counted = sum_of(tallies)
    return Figures(_TOTALS, {}) if counted is None else Figures(_TOTALS, _fleet(counted))


def positions_of(kind: str) -> Mapping[str, int]:
    """Give the names of the figures that a kind of node has, with their places; none for what counts nothing."""
    if kind == "mp":
        return _MP
    return _IN_PROCESS if kind in ("worker", "scheduler") else _NONE


def positions_of_totals() -> Mapping[str, int]:
    """Give the names of the figures of the fleet, with their places."""
    return _TOTALS


def _in_process(counted: Tally, kind: str) -> dict[str, Figure]:
    result = _common(counted)
    _add_events(result, counted, IN_PROCESS_EVENTS)
    _add_quantiles(result, counted, IN_PROCESS_QUANTILES)
    ping_ms = counted.gauge("remote_ping_ms")
    result["remote_ping_s"] = _value(None if ping_ms is None else ping_ms / 1000)
    if kind == "scheduler":
        result.update(dict.fromkeys(_TIERS, _UNSUPPORTED))
    return result


def _mp(counted: Tally, sizes: Sizes) -> dict[str, Figure]:
    result = _common(counted)
    _add_events(result, counted, MP_EVENTS)
    _add_quantiles(result, counted, MP_QUANTILES)
    for name, gauge in MP_GAUGES.items():
        result[name] = _value(counted.gauge(gauge))
    result["l1_watermark"] = _value(sizes.watermark)
    fill = counted.gauge("cpu_fill")
    if fill is not None:
        result["cpu_fill"] = Figure(fill, OK)
    return result


def _fleet(counted: Tally) -> dict[str, Figure]:
    result = _common(counted)
    _add_events(result, counted, (*IN_PROCESS_EVENTS, *MP_EVENTS))
    _add_quantiles(result, counted, {**IN_PROCESS_QUANTILES, **MP_QUANTILES})
    for name in ("l2_loads_in_flight", "l2_stores_in_flight"):
        result[name] = _value(counted.gauge(MP_GAUGES[name]))
    return result


def _common(counted: Tally) -> dict[str, Figure]:
    result: dict[str, Figure] = {}
    for name, (part, whole) in SHARES.items():
        result[name] = _share(counted.recently, counted.since_start, part, whole)
        result[f"{name}_total"] = _share(counted.since_start, counted.since_start, part, whole)
    has_traffic = any(counted.recently(name) for name in (*TRAFFIC, "lookup_tokens"))
    for name in TRAFFIC:
        total, rate = counted.since_start(name), counted.rate(name)
        result[f"{name}_total"] = _value(total)
        if total is None:
            result[f"{name}_per_s"] = _UNSUPPORTED
        else:
            result[f"{name}_per_s"] = _NO_TRAFFIC if rate is None or not has_traffic else Figure(rate, OK)
    for name, parts in EVENTS.items():
        result[f"{name}_per_s"] = _event_rate(counted, parts)
        result[f"{name}_total"] = _value(_sum(counted.since_start(part) for part in parts))
    _add_quantiles(result, counted, QUANTILES, recent=True)
    _add_quantiles(result, counted, QUANTILES, recent=False)
    for name, gauge in GAUGES.items():
        result[name] = _value(counted.gauge(gauge))
    used, capacity, cpu_bytes, disk_bytes = (None if isnan(size) else size for size in counted.sizes)
    result["cpu_capacity_bytes"], result["disk_capacity_bytes"] = _value(cpu_bytes), _value(disk_bytes)
    result["cpu_fill"] = _value(None if used is None or not capacity else used / capacity)
    return result


def _share(
    counts: Callable[[str], float | None], known: Callable[[str], float | None], part: str, whole: str
) -> Figure:
    if known(part) is None or known(whole) is None:
        return _UNSUPPORTED
    of_part, of_whole = counts(part), counts(whole)
    if of_part is None or not of_whole or of_whole <= 0:
        return _NO_TRAFFIC
    return Figure(of_part / of_whole, OK)


def _add_events(result: dict[str, Figure], counted: Tally, names: Iterable[str]) -> None:
    for name in names:
        result[f"{name}_per_s"] = _event_rate(counted, (name,))


def _event_rate(counted: Tally, names: Sequence[str]) -> Figure:
    """Give a rate of what is 0 where nothing happens; without a window yet there is nothing to say."""
    if all(counted.since_start(name) is None for name in names):
        return _UNSUPPORTED
    rate = _sum(counted.rate(name) for name in names)
    return _NO_TRAFFIC if rate is None else Figure(rate, OK)


def _add_quantiles(
    result: dict[str, Figure], counted: Tally, names: Mapping[str, tuple[str, str]], *, recent: bool = True
) -> None:
    for name, (before, after) in names.items():
        for word, share in _PERCENTILES:
            figure = f"{before}{word}{after}{'' if recent else '_total'}"
            result[figure] = _quantile(counted, name, share, recent=recent)


def _quantile(counted: Tally, name: str, share: float, *, recent: bool) -> Figure:
    if counted.histogram(name, recent=False) is None:
        return _UNSUPPORTED
    histogram = counted.histogram(name, recent=recent)
    if histogram is None or not histogram.observations:
        return _NO_TRAFFIC
    return _value(quantile(histogram, share))


def _value(value: float | None) -> Figure:
    return _UNSUPPORTED if value is None else Figure(value, OK)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _positions(figures_by_name: Mapping[str, Figure]) -> dict[str, int]:
    return {name: position for position, name in enumerate(figures_by_name)}


_nan_counts, _nan_gauges = [nan] * len(counters.COUNTERS), [nan] * len(counters.GAUGES)
_no_histograms = (None,) * len(counters.HISTOGRAMS)
_nothing = Tally(_nan_counts, _nan_counts, _nan_counts, _nan_gauges, _no_histograms, _no_histograms)
_NONE: Mapping[str, int] = {}
_IN_PROCESS = _positions(_in_process(_nothing, "worker"))
_MP = _positions(_mp(_nothing, NO_SIZES))
_TOTALS = _positions(_fleet(_nothing))
