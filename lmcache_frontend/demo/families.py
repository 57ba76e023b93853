# SPDX-License-Identifier: Apache-2.0
"""The metric families of an in-process LMCache node: kind, name, help and buckets, in the order a node prints them.

Only data; `exposition_text` makes text of it. Source: LMCache 0.5.6, ``/metrics`` of a running node.
"""

from __future__ import annotations

from typing import NamedTuple


class Family(NamedTuple):
    """One metric family; ``name`` is without the ``lmcache:`` prefix and a counter's ``_total``."""

    kind: str
    name: str
    help: str
    bounds: tuple[float, ...] = ()


_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

BOUNDS: dict[str, tuple[float, ...]] = {
    "seconds": _SECONDS,
    "milliseconds": tuple(float(round(bound * 1000)) for bound in _SECONDS),
    "fine": tuple(2**power / 100_000 for power in range(20)),
    "speed": (1.0, *(float(2**power) for power in range(3, 17))),
    "share": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "minutes": (*(0.0, 1.0, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0),),
}

_ROWS = """
counter num_retrieve_requests Retrieve calls that lmcache was sent
counter num_store_requests Store calls that lmcache was sent
counter num_lookup_requests Lookup calls that lmcache was sent
counter num_requested_tokens Tokens asked for by retrieve calls
counter num_hit_tokens Tokens that retrieve calls found
counter num_stored_tokens Tokens stored, those evicted since included
counter num_lookup_tokens Tokens asked for by lookup calls
counter num_lookup_hits Tokens that lookup calls found
counter num_vllm_hit_tokens Tokens that vllm held already
counter num_prompt_tokens Prompt tokens that lmcache has seen
counter num_remote_read_requests Reads sent to remote backends
counter num_remote_read_bytes Bytes read from remote backends
counter num_remote_write_requests Writes sent to remote backends
counter num_remote_write_bytes Bytes written to remote backends
counter local_cpu_evict_count Eviction rounds of the local cpu backend
counter local_cpu_evict_keys_count Keys evicted from the local cpu backend
counter local_cpu_evict_failed_count Failed evictions of the local cpu backend
counter forced_unpin_count Objects unpinned because their time ran out
counter lookup_0_hit_requests Lookup calls that found nothing
counter num_slow_retrieval_by_time Retrievals over the time threshold
counter num_slow_retrieval_by_speed Retrievals below the speed threshold
gauge retrieve_hit_rate Share of tokens found by retrieve calls since the last log
gauge lookup_hit_rate Share of tokens found by lookup calls since the last log
gauge local_cache_usage Bytes held in the local cpu cache
gauge remote_cache_usage Bytes held in the remote cache
gauge local_storage_usage Bytes held in local storage
gauge active_memory_objs_count Memory objects alive
gauge pinned_memory_objs_count Memory objects pinned
histogram:seconds time_to_retrieve Duration of a retrieve call (seconds)
histogram:seconds time_to_store Duration of a store call (seconds)
histogram:fine time_to_lookup Duration of a lookup call (seconds)
histogram:fine retrieve_process_tokens_time Retrieve: time for the tokens (seconds)
histogram:fine retrieve_broadcast_time Retrieve: time for the broadcast of memory objects (seconds)
histogram:fine retrieve_to_gpu_time Retrieve: time for the copy to the GPU (seconds)
histogram:fine remote_backend_batched_get_blocking_time Duration of a batched get at the remote backend (seconds)
histogram:fine instrumented_connector_batched_get_time Duration of a batched get in the connector (seconds)
histogram:fine store_process_tokens_time Store: time for the tokens (seconds)
histogram:fine store_from_gpu_time Store: time for the copy from the GPU (seconds)
histogram:fine store_put_time Store: time for handing over to storage (seconds)
histogram:speed retrieve_speed Speed of a retrieve call (tokens per second)
histogram:speed store_speed Speed of a store call (tokens per second)
histogram:seconds p2p_time_to_transfer Duration of a P2P transfer (seconds)
histogram:speed p2p_transfer_speed Speed of a P2P transfer (tokens per second)
histogram:milliseconds remote_time_to_get Duration of a remote get (ms)
histogram:milliseconds remote_time_to_put Duration of a remote put (ms)
histogram:milliseconds remote_time_to_get_sync Duration of a synchronous remote get (ms)
histogram:share request_cache_hit_rate Share of a request found in the cache
histogram:minutes request_cache_lifespan Time from store to reuse in minutes
gauge remote_ping_latency Last ping of the remote backends (ms)
counter remote_ping_errors Failed pings of the remote backends
counter remote_ping_successes Answered pings of the remote backends
gauge remote_ping_error_code Error code of the last ping of the remote backends
gauge local_cpu_hot_cache_count Keys in the hot cache
gauge local_cpu_keys_in_request_count Keys held by requests in flight
gauge kv_msg_queue_size Messages waiting in the batched message sender
gauge remote_put_task_num Remote puts in flight
gauge pin_monitor_pinned_objects_count Objects watched by the pin monitor
gauge lmcache_is_healthy Health of lmcache (1=healthy, 0=unhealthy)
gauge get_blocking_failed_count Blocking gets that failed
gauge put_failed_count Puts that failed
gauge storage_events_ongoing_count Load events running
gauge storage_events_done_count Load events done
gauge storage_events_not_found_count Load events not found
gauge chunk_statistics_enabled Whether chunk statistics are collected
gauge chunk_statistics_total_requests Requests seen by the chunk statistics
gauge chunk_statistics_total_chunks Chunks seen
gauge chunk_statistics_unique_chunks Chunks seen for the first time (estimate)
gauge chunk_statistics_reuse_rate Share of chunks seen before (0.0 to 1.0)
gauge chunk_statistics_bloom_filter_size_mb Memory of the Bloom filter in MB
gauge chunk_statistics_bloom_filter_fill_rate Fill of the Bloom filter (0.0 to 1.0)
gauge chunk_statistics_file_count Files made by the file_hash strategy
gauge chunk_statistics_current_file_size Bytes in the current file of the file_hash strategy
gauge scheduler_unfinished_requests_count Requests that the scheduler has not finished
gauge connector_load_specs_count Load specs of the connector
gauge connector_request_trackers_count Request trackers of the connector
gauge connector_kv_caches_count KV caches of the connector
gauge connector_layerwise_retrievers_count Layerwise retrievers of the connector
gauge connector_invalid_block_ids_count Invalid block ids of the connector
gauge connector_requests_priority_count Requests with a priority in the connector
gauge periodic_threads_total_count Periodic threads registered
gauge periodic_threads_running_count Periodic threads running
gauge periodic_threads_active_count Periodic threads that ran lately
"""


def _families() -> tuple[Family, ...]:
    families = []
    for row in _ROWS.strip().splitlines():
        kind, name, description = row.split(maxsplit=2)
        kind, _, scale = kind.partition(":")
        families.append(Family(kind, name, description, BOUNDS[scale] if scale else ()))
    for level in ("critical", "high", "medium", "low"):
        for state, words in (("total", "registered"), ("running", "running"), ("active", "that ran lately")):
            name = f"periodic_threads_{level}_{state}"
            families.append(Family("gauge", name, f"Periodic threads of {level} level {words}"))
    return tuple(families)


IN_PROCESS: tuple[Family, ...] = _families()
