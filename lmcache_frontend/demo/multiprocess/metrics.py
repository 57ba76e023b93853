# SPDX-License-Identifier: Apache-2.0
"""The ``/metrics`` of a simulated MP server: families that a real one shows, most of them only after a first event.

Source: LMCache 0.5.6, a running server and ``mp_observability``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lmcache_frontend.demo.exposition_text import (
    Process,
    render_family,
    render_histogram,
    render_labels,
    render_process,
)
from lmcache_frontend.demo.multiprocess.simulation import EVENTS_KEPT, GPUS, ServerEngine
from lmcache_frontend.demo.node import MODEL

_TAG = {"l1_tag": "_default"}
_L1 = {"backend": "dram", **_TAG}
_LOOKUP = {"cache_salt": "", "model_name": MODEL}
_LOADED = {**_LOOKUP, "worker_id": "0"}
_TRANSFER = {"device": "cuda:0", "engine_id": "0", "model_name": MODEL}


class _Row(NamedTuple):
    """A family of a single series, whose value is looked up by ``figure``; counters are absent while zero."""

    kind: str
    name: str
    help: str
    labels: Mapping[str, str]
    figure: str


_ALWAYS = (
    _Row("counter", "l1_eviction_loop_ticks_total", "Rounds of the L1 eviction loop", {}, "ticks"),
    _Row("gauge", "event_bus_queue_depth", "Events waiting in the event bus.", {}, "none"),
    _Row(
        "gauge", "event_bus_drain_lag_seconds", "Age of the oldest waiting event; 0.0 when there is none.", {}, "none"
    ),
    _Row("counter", "event_bus_dropped_events_total", "Events dropped because the queue was full.", {}, "none"),
    _Row("gauge", "l1_memory_usage_bytes", "Bytes held in the L1 cache", _L1, "used_bytes"),
    _Row("gauge", "l1_usage_ratio", "Share of L1 in use (0.0\N{EN DASH}1.0)", _L1, "ratio"),
    _Row("gauge", "l1_staging_bytes", "Bytes reserved for writing and not yet admitted", _L1, "none"),
)
_AFTER_ADAPTERS = (
    _Row("gauge", "active_prefetch_jobs", "Prefetch jobs running", {}, "none"),
    _Row("gauge", "active_p2p_lookup_jobs", "P2P lookup jobs running", {}, "none"),
    _Row("gauge", "kv_events_log_depth", "Cache events kept for subscribers.", {}, "events"),
)
_WITH_TRAFFIC = (
    _Row(
        "counter",
        "l1_eviction_loop_triggered_total",
        "Rounds of the L1 eviction loop that evicted",
        {},
        "l1_eviction_loop_triggered",
    ),
    _Row("counter", "l1_read_chunks_total", "Chunks read from L1", _TAG, "l1_read_chunks"),
    _Row("counter", "l1_write_chunks_total", "Chunks written to L1", _TAG, "l1_write_chunks"),
    _Row("counter", "l1_evicted_chunks_total", "Chunks evicted from L1", _TAG, "l1_evicted_chunks"),
    _Row("counter", "lookups_requests_total", "Lookups completed", _LOOKUP, "lookups_requests"),
    _Row(
        "counter",
        "lookup_requested_tokens_total",
        "Tokens looked up, whole chunks only",
        _LOOKUP,
        "lookup_requested_tokens",
    ),
    _Row("counter", "lookup_hit_tokens_total", "Tokens found in L1 and L2", _LOOKUP, "lookup_hit_tokens"),
    _Row("counter", "lookup_hit_l1_tokens_total", "Tokens found that L1 could serve", _LOOKUP, "lookup_hit_tokens"),
    _Row("counter", "lookup_hit_l1_keys_total", "Keys found that were in L1", _LOOKUP, "lookup_hit_l1_keys"),
    _Row("counter", "num_chunks_loaded_total", "Chunks loaded into the engine", _LOADED, "l1_read_chunks"),
)
_TRANSFERS = (
    ("num_submitted_stores_total", "GPU→CPU transfers queued", "stores"),
    ("num_finished_stores_total", "GPU→CPU transfers finished", "stores"),
    ("num_submitted_retrieves_total", "CPU→GPU transfers queued", "retrieves"),
    ("num_finished_retrieves_total", "CPU→GPU transfers finished", "retrieves"),
)
_HISTOGRAMS = (
    ("l0_l1_store_throughput_GB_per_second", "GPU→CPU speed of a request", _TRANSFER, "l0_l1_store_throughput"),
    ("l0_l1_load_throughput_GB_per_second", "CPU→GPU speed of a request", _TRANSFER, "l0_l1_load_throughput"),
    ("l1_chunk_lifetime_seconds", "Time from allocation to eviction of a chunk (sampled).", _TAG, "l1_chunk_lifetime"),
)


def render_server(engine: ServerEngine, instance_id: str, now: float) -> str:
    """Render all families of an MP server at a time."""
    usage = engine.usage()
    counters = engine.figures.counters
    values: dict[str, float] = {
        **counters,
        "none": 0,
        "ticks": int(now - engine.started_at),
        "events": min(engine.events, EVENTS_KEPT),
        "used_bytes": usage.used_bytes,
        "ratio": usage.ratio,
    }
    parts = [
        render_process(Process(engine.started_at, now - engine.started_at, 966_279_168, 30)),
        _target(instance_id),
        *(_render(row, values) for row in _ALWAYS),
        _adapters("l2_store_adapters", "store", _TAG),
        _adapters("l2_prefetch_adapters", "prefetch", {}),
        *(_render(row, values) for row in _AFTER_ADAPTERS),
        *(_render(row, values) for row in _WITH_TRAFFIC if row.figure in counters),
    ]
    if "lookups_requests" in counters:
        parts += [_no_l2("tokens", "Tokens found that L2 added"), _no_l2("keys", "Keys found that L2 loaded")]
    parts += [_transfers(*transfer, counters) for transfer in _TRANSFERS]
    for name, words, labels, figure in _HISTOGRAMS:
        if figure in engine.figures.histograms:
            parts.append(render_histogram(f"lmcache_mp_{name}", words, labels, engine.figures.histograms[figure]))
    return "".join(parts)


def _render(row: _Row, values: Mapping[str, float]) -> str:
    sample = (render_labels(row.labels), values[row.figure])
    return render_family(row.kind, f"lmcache_mp_{row.name}", row.help, [sample])


def _target(instance_id: str) -> str:
    labels = {
        "service_instance_id": instance_id,
        "service_name": "unknown_service",
        "telemetry_sdk_language": "python",
        "telemetry_sdk_name": "opentelemetry",
        "telemetry_sdk_version": "1.40.0",
    }
    return render_family("gauge", "target_info", "Target metadata", [(render_labels(labels), 1)])


def _adapters(name: str, controller: str, labels: Mapping[str, str]) -> str:
    words = f"L2 adapters of the {controller} controller by ``state`` (active or draining)."
    samples = [(render_labels({**labels, "state": state}), 0.0) for state in ("active", "draining")]
    return render_family("gauge", f"lmcache_mp_{name}", words, samples)


def _no_l2(unit: str, words: str) -> str:
    return render_family("counter", f"lmcache_mp_lookup_hit_l2_{unit}_total", words, [(render_labels(_LOOKUP), 0)])


def _transfers(name: str, words: str, figure: str, counters: Mapping[str, int]) -> str:
    samples = [
        (f'device="cuda:{gpu}"', float(counters[f"{figure}_{gpu}"]))
        for gpu in range(GPUS)
        if f"{figure}_{gpu}" in counters
    ]
    return render_family("counter", f"lmcache_mp_{name}", words, samples) if samples else ""
