# SPDX-License-Identifier: Apache-2.0
"""What is kept of one ``/metrics`` for derived figures: counters, gauges and histograms, under names of ours. Pure.

What a name stands for is the first of its families that a node has: an in-process node's (``lmcache:``), an MP server's
(``lmcache_mp_``), then the names that MP servers had before 0.4.6. Samples of a family are added up over their labels.
Source: the metric families of LMCache 0.3.4 to 0.5.6.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from math import inf, isfinite, isnan, nan
from typing import NamedTuple

from lmcache_frontend.exposition.parse import Family
from lmcache_frontend.fleet.quantiles import NOTHING_SEEN, Histogram, make_histogram


def _mp(*names: str) -> tuple[str, ...]:
    """Give the families of an MP server, by the names without prefix that they had, the newest first."""
    return tuple(f"lmcache_mp_{name}" for name in names)


# Counted upwards from the start of the process. Two of them are gauges by type.
COUNTERS: Mapping[str, tuple[str, ...]] = {
    "lookups": ("lmcache:num_lookup_requests_total", *_mp("lookups_requests_total")),
    "lookup_tokens": ("lmcache:num_lookup_tokens_total", *_mp("lookup_requested_tokens_total")),
    "lookup_hits": ("lmcache:num_lookup_hits_total", *_mp("lookup_hit_tokens_total")),
    "lookup_hits_l1": _mp("lookup_hit_l1_tokens_total"),
    "lookup_hits_l2": _mp("lookup_hit_l2_tokens_total"),
    "lookup_tokens_split": (),
    "retrieves": ("lmcache:num_retrieve_requests_total", *_mp("num_finished_retrieves_total")),
    "retrieve_tokens": ("lmcache:num_requested_tokens_total",),
    "retrieve_hits": ("lmcache:num_hit_tokens_total",),
    "tokens_requested": ("lmcache:num_requested_tokens_total", *_mp("lookup_requested_tokens_total")),
    "tokens_hit": ("lmcache:num_hit_tokens_total", *_mp("lookup_hit_tokens_total")),
    "tokens_stored": ("lmcache:num_stored_tokens_total",),
    "stores": ("lmcache:num_store_requests_total", *_mp("num_finished_stores_total")),
    "evictions": (
        "lmcache:local_cpu_evict_keys_count_total",
        *_mp("l1_evicted_chunks_total", "l1_evicted_keys_total"),
        "lmcache_mp:l1_evicted_keys_total",
    ),
    "failed_evictions": ("lmcache:local_cpu_evict_failed_count_total",),
    "forced_unpins": ("lmcache:forced_unpin_count_total",),
    "failed_gets": ("lmcache:get_blocking_failed_count",),
    "failed_puts": ("lmcache:put_failed_count",),
    "remote_ping_errors": ("lmcache:remote_ping_errors_total",),
    "l1_writes": (*_mp("l1_write_chunks_total", "l1_write_keys_total"), "lmcache_mp:l1_write_keys_total"),
    "chunks_loaded": _mp("num_chunks_loaded_total"),
    "allocation_failures": _mp("l1_allocation_failure_chunks_total", "l1_allocation_failure_total"),
    "read_failures": _mp("l1_read_failure_chunks_total", "l1_read_failure_total"),
    "prefetch_failures": _mp(
        "l2_prefetch_failure_chunks_total", "l2_prefetch_failure_total", "l2_prefetch_failed_keys_total"
    ),
    "l2_loads": _mp("l2_load_completed_requests_total", "l2_load_completed_total"),
    "l2_stores": _mp("l2_store_completed_requests_total", "l2_store_completed_total"),
    "event_bus_drops": _mp("event_bus_dropped_events_total"),
}
GAUGES: Mapping[str, tuple[str, ...]] = {
    "started": ("process_start_time_seconds",),
    "is_healthy": ("lmcache:lmcache_is_healthy",),
    "cpu_used": ("lmcache:local_cache_usage", *_mp("l1_memory_usage_bytes")),
    "cpu_fill": _mp("l1_usage_ratio"),
    "disk_used": ("lmcache:local_storage_usage",),
    "remote_used": ("lmcache:remote_cache_usage", *_mp("l2_usage_bytes")),
    "pinned": ("lmcache:pinned_memory_objs_count",),
    "active": ("lmcache:active_memory_objs_count",),
    "remote_ping_ms": ("lmcache:remote_ping_latency",),
    "l2_loads_running": _mp("num_inflight_l2_loads"),
    "l2_stores_running": _mp("num_inflight_l2_stores"),
    "event_bus_lag": _mp("event_bus_drain_lag_seconds"),
    "event_bus_queue": _mp("event_bus_queue_depth"),
}
HISTOGRAMS: Mapping[str, tuple[str, ...]] = {
    "retrieve_speed": ("lmcache:retrieve_speed",),
    "retrieve_time": ("lmcache:time_to_retrieve",),
    "store_speed": ("lmcache:store_speed",),
    "store_time": ("lmcache:time_to_store",),
    "l1_load": _mp("l0_l1_load_throughput_GB_per_second", "l0_l1_load_throughput_gbs_GB_per_second"),
    "l1_store": _mp("l0_l1_store_throughput_GB_per_second", "l0_l1_store_throughput_gbs_GB_per_second"),
    "l2_load": _mp("l2_load_throughput_GB_per_second", "l2_load_throughput_gbs_GB_per_second"),
    "l2_store": _mp("l2_store_throughput_GB_per_second", "l2_store_throughput_gbs_GB_per_second"),
    "chunk_lifetime": _mp("l1_chunk_lifetime_seconds"),
    "evict_reuse_gap": _mp("l1_chunk_evict_reuse_gap_seconds"),
}
FAMILIES: frozenset[str] = frozenset(
    name for table in (COUNTERS, GAUGES, HISTOGRAMS) for names in table.values() for name in names
)

_LARGEST = frozenset({"started", "cpu_fill", "event_bus_lag", "remote_ping_ms"})
_SMALLEST = frozenset({"is_healthy"})
# What every MP server with metrics shows from its start on. All its counters are missing until they count.
_MP_MARK = "lmcache_mp_event_bus_queue_depth"
# Counters of MP servers since 0.5.5, and an elder one that counts as well when they do: if only that has counted, the
# server is too old for them; else neither has anything to count yet.
_YOUNGER = {"lookups": "lookup_tokens", "retrieves": "chunks_loaded", "stores": "l1_writes"}

_counter_at = {name: position for position, name in enumerate(COUNTERS)}
_gauge_at = {name: position for position, name in enumerate(GAUGES)}
_histogram_at = {name: position for position, name in enumerate(HISTOGRAMS)}


class Counters(NamedTuple):
    """What one reading of ``/metrics`` came to: values in the order of the tables, NaN or None where there is none.

    ``at`` is in seconds of whatever clock the reader uses; only differences count.
    """

    at: float
    counts: Sequence[float]
    gauges: Sequence[float]
    histograms: tuple[Histogram | None, ...]

    def gauge(self, name: str) -> float | None:
        """Give a gauge, None where the node has none."""
        return value_at(self.gauges, _gauge_at[name])


def counter_position(name: str) -> int:
    """Give the place of a counter among ``Counters.counts``."""
    return _counter_at[name]


def gauge_position(name: str) -> int:
    """Give the place of a gauge among ``Counters.gauges``."""
    return _gauge_at[name]


def histogram_position(name: str) -> int:
    """Give the place of a histogram among ``Counters.histograms``."""
    return _histogram_at[name]


def value_at(values: Sequence[float], position: int) -> float | None:
    """Give a value, None for NaN."""
    value = values[position]
    return None if isnan(value) else value


def counters_from(families: Mapping[str, Family], at: float, *, whole: bool = True) -> Counters:
    """Take out of a parsed ``/metrics`` what figures need.

    ``whole`` is False where lines were dropped: then what is missing is not known, and not taken for nothing counted.
    """
    counts = {name: _count(families, names) for name, names in COUNTERS.items()}
    histograms = [_histogram(families, names) for names in HISTOGRAMS.values()]
    if whole and _MP_MARK in families:
        _fill_in_mp(counts)
        for name in ("l1_load", "l1_store", "l2_load", "l2_store"):
            histograms[_histogram_at[name]] = histograms[_histogram_at[name]] or NOTHING_SEEN
    if not isnan(counts["lookup_hits_l1"]):
        counts["lookup_tokens_split"] = counts["lookup_tokens"]
    gauges = [_gauge(families, names, name) for name, names in GAUGES.items()]
    return Counters(at, array("d", counts.values()), array("d", gauges), tuple(histograms))


def restarted(older: Counters, newer: Counters) -> bool:
    """Tell whether counting began anew in between: another process, or counters that fell."""
    started = _gauge_at["started"]
    return abs(newer.gauges[started] - older.gauges[started]) > 1.0 or any(
        map(float.__lt__, newer.counts, older.counts)
    )


def _family(families: Mapping[str, Family], names: Sequence[str]) -> Family | None:
    return next((families[name] for name in names if name in families), None)


def _values(family: Family) -> list[float]:
    return [sample.value for sample in family.samples if sample.name == family.name and isfinite(sample.value)]


def _count(families: Mapping[str, Family], names: Sequence[str]) -> float:
    family = _family(families, names)
    if family is None:
        return nan
    values = _values(family)
    # A family without samples has counted nothing; one with impossible values only is not known.
    return sum(values) if values or not family.samples else nan


def _gauge(families: Mapping[str, Family], names: Sequence[str], name: str) -> float:
    family = _family(families, names)
    values = _values(family) if family else []
    if not values:
        return nan
    return max(values) if name in _LARGEST else min(values) if name in _SMALLEST else sum(values)


def _histogram(families: Mapping[str, Family], names: Sequence[str]) -> Histogram | None:
    family = _family(families, names)
    if family is None:
        return None
    buckets: dict[float, float] = {}
    bucket_name = f"{family.name}_bucket"
    for sample in family.samples:
        if sample.name == bucket_name and isfinite(sample.value):
            bound = _bound(sample.labels)
            if bound is not None:
                buckets[bound] = buckets.get(bound, 0.0) + sample.value
    return make_histogram(buckets)


def _bound(labels: Sequence[tuple[str, str]]) -> float | None:
    for name, value in labels:
        if name == "le":
            try:
                bound = float(value)
            except ValueError:
                return None
            return bound if isfinite(bound) or bound == inf else None
    return None


def _fill_in_mp(counts: dict[str, float]) -> None:
    """Put nothing counted in place of what is missing, where that is what it means."""
    for name, names in COUNTERS.items():
        if isnan(counts[name]) and any(family.startswith("lmcache_mp_") for family in names):
            counts[name] = 0.0
            if name in _YOUNGER and counts[_YOUNGER[name]] > 0:
                counts[name] = nan
    if counts["lookup_hits"] > counts["lookup_hits_l1"] + counts["lookup_hits_l2"] == 0:
        counts["lookup_hits_l1"] = counts["lookup_hits_l2"] = nan
