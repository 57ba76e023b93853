# SPDX-License-Identifier: Apache-2.0
"""The configuration of a simulated MP server, as ``/config`` gives it. Source: LMCache 0.5.6, a running server."""

from __future__ import annotations

from typing import Any

from lmcache_frontend.demo.multiprocess.simulation import EVICTION_RATIO, WATERMARK
from lmcache_frontend.demo.traffic import CHUNK_TOKENS


def configuration(instance_id: str, total_bytes: int, http_port: int) -> dict[str, Any]:
    """Give the whole configuration of a server with an L1 of so many bytes."""
    l1 = _l1(total_bytes)
    return {
        "mp": _mp(instance_id),
        "storage_manager": {
            "l1_manager_config": l1,
            "eviction_config": l1["eviction"],
            "l2_adapter_config": {"adapters": []},
            "store_policy": "default",
            "prefetch_policy": "default",
            "prefetch_max_in_flight": 8,
            "periodic_notifier_interval_ms": 5,
            "l1_manager_configs": [l1],
        },
        "observability": _observability(instance_id),
        "http": {"http_host": "127.0.0.1", "http_port": http_port},
        "coordinator": {
            "url": "",
            "advertise_ip": "",
            "heartbeat_interval": 5.0,
            "event_reporting": False,
            "event_flush_interval": 1.0,
            "event_sink_config": {},
            "blend_timeout": 1.0,
            "blend_match_concurrency": 8,
        },
    }


def _mp(instance_id: str) -> dict[str, Any]:
    return {
        "transport": "zmq",
        "host": "localhost",
        "port": 5555,
        "chunk_size": CHUNK_TOKENS,
        "max_workers": 2,
        "max_gpu_workers": 2,
        "max_cpu_workers": 2,
        "grpc_server_workers": 32,
        "hash_algorithm": "blake3",
        "engine_type": "default",
        "separate_object_groups": False,
        "enable_segmented_prefix": False,
        "enable_dedup_content": False,
        "enable_blend_reorder": False,
        "supported_transfer_mode": "lmcache_driven",
        "isolated_ipc": False,
        "runtime_plugin_config": {"locations": [], "extra_config": {}},
        "p2p_config": {
            "advertise_url": "",
            "listen_url": "",
            "lookup_timeout": 30.0,
            "load_timeout": 30.0,
            "transfer_engine": "nixl",
        },
        "shm_name": "",
        "script_allowed_imports": [],
        "run_script_api_enabled": False,
        "instance_id": instance_id,
        "worker_reap_timeout_seconds": 120.0,
        "session_ttl_seconds": 600.0,
        "worker_registration_grace_seconds": 3600.0,
        "enable": [],
        "kv_event_log_size": 32768,
        "null_block_id": 0,
        "server_modules": [],
    }


def _l1(total_bytes: int) -> dict[str, Any]:
    return {
        "memory_config": {
            "size_in_bytes": total_bytes,
            "use_lazy": False,
            "init_size_in_bytes": total_bytes,
            "align_bytes": 4096,
            "shm_name": "",
            "use_hugepages": False,
            "devdax_path": None,
            "devdax_size_in_bytes": 0,
        },
        "gds_l1_config": None,
        "write_ttl_seconds": 600,
        "read_ttl_seconds": 300,
        "tag": "_default",
        "eviction": {
            "eviction_policy": "LRU",
            "trigger_watermark": WATERMARK,
            "eviction_ratio": EVICTION_RATIO,
            "extra_logging_enabled": False,
            "extra_logging_interval": 10.0,
        },
    }


def _observability(instance_id: str) -> dict[str, Any]:
    return {
        "enabled": True,
        "max_queue_size": 10000,
        "metrics_enabled": True,
        "grpc_metrics_enabled": False,
        "logging_enabled": True,
        "tracing_enabled": False,
        "otlp_endpoint": None,
        "prometheus_port": 9090,
        "metrics_sample_rate": 0.01,
        "lookup_hash_log": {
            "output_dir": "",
            "rotation_interval_sec": 21600,
            "rotation_max_size": 104857600,
            "max_files": 100,
        },
        "gc_monitor": {"enabled": False, "min_pause_ms": 1.0, "top_objects": 0},
        "extra_logging_enabled": False,
        "extra_logging_interval": 10.0,
        "trace_level": None,
        "trace_output": None,
        "service_instance_id": instance_id,
    }
