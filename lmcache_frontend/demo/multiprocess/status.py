# SPDX-License-Identifier: Apache-2.0
"""What a simulated MP server says of its state, as ``/status`` gives it. Source: LMCache 0.5.6, a running server."""

from __future__ import annotations

from typing import Any

from lmcache_frontend.demo.multiprocess.simulation import (
    EVENTS_KEPT,
    EVICTION_RATIO,
    GPUS,
    WATERMARK,
    ServerEngine,
    Usage,
)
from lmcache_frontend.demo.node import MODEL
from lmcache_frontend.demo.traffic import CHUNK_TOKENS


def describe_status(engine: ServerEngine) -> dict[str, Any]:
    """Give the whole status of a server."""
    return {
        "is_healthy": True,
        "engine_type": "MPCacheServer",
        "chunk_size": CHUNK_TOKENS,
        "hash_algorithm": "blake3",
        "active_sessions": engine.sessions,
        "storage_manager": _storage_manager(engine.usage()),
        "active_prefetch_jobs": 0,
        "active_p2p_lookup_jobs": 0,
        "p2p_enabled": False,
        "p2p_state": "unregistered",
        "p2p_peer_count": 0,
        "p2p_peers": [],
        "worker_liveness": {
            "enabled": True,
            "reap_timeout_seconds": 120.0,
            "registration_grace_seconds": 3600.0,
            "tracked_instances": GPUS,
        },
        "kv_events": {
            "enabled": True,
            "incarnation": int(engine.started_at * 1e9),
            "log_depth": min(engine.events, EVENTS_KEPT),
            "log_capacity": EVENTS_KEPT,
            "next_seq": engine.events + 1,
            "lost_markers": 0,
            "unbound_stores": 0,
            "subscribers": 0,
        },
        "registered_gpu_ids": list(range(GPUS)),
        "cache_context_meta": {
            str(gpu): {"model_name": MODEL, "world_size": GPUS, "kv_cache_layout": {"num_layers": 64}}
            for gpu in range(GPUS)
        },
    }


def _storage_manager(usage: Usage) -> dict[str, Any]:
    capacity = {"dram": usage.total_bytes}
    l1 = {
        "is_healthy": True,
        "total_object_count": usage.chunks,
        "write_locked_count": 0,
        "read_locked_count": 0,
        "temporary_count": 0,
        "staging_object_count": 0,
        "staging_bytes": 0,
        "memory_used_bytes": usage.used_bytes,
        "memory_total_bytes": usage.total_bytes,
        "memory_configured_bytes": usage.total_bytes,
        "capacity_bytes_by_backend": capacity,
        "memory_usage_ratio": usage.ratio,
        "write_ttl_seconds": 600,
        "read_ttl_seconds": 300,
    }
    no_adapters = {"num_l2_adapters": 0, "num_active_adapters": 0, "num_draining_adapters": 0}
    alive = {"is_healthy": True, "thread_alive": True}
    store = {**alive, "pending_keys_count": 0, "in_flight_task_count": 0, **no_adapters}
    eviction = {
        **alive,
        "eviction_policy": "LRU",
        "trigger_watermark": WATERMARK,
        "eviction_ratio": EVICTION_RATIO,
    }
    idle = ("submission_queue_size", "pending_queue_size", "in_flight_request_count", "lookup_phase_count")
    prefetch = {
        **alive,
        "max_in_flight": 8,
        **dict.fromkeys((*idle, "load_phase_count", "completed_results_count"), 0),
        **no_adapters,
    }
    return {
        "is_healthy": True,
        "l1_managers": {"_default": l1},
        "store_controllers": {"_default": store},
        "l1_eviction_controllers": {"_default": eviction},
        "prefetch_controller": prefetch,
        "l2_eviction_controller": {**alive, "adapters": []},
        "l2_adapters": [],
        "num_l2_adapters": 0,
        "l1_usage": [usage.used_bytes, usage.total_bytes],
        "l1_capacity_bytes_by_backend": capacity,
        "l1_manager": l1,
        "store_controller": store,
        "l1_eviction_controller": eviction,
    }
