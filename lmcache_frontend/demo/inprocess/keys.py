# SPDX-License-Identifier: Apache-2.0
"""The configuration of a simulated in-process node: keys, defaults, what becomes of a value that is posted. Pure.

Source: LMCache 0.5.6, ``config.py`` and ``config_base.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_TABLE = """
chunk_size int 256
local_cpu bool true
max_local_cpu_size float 5.0
local_cpu_use_hugepages bool false
reserve_local_cpu_size float 0.0
local_disk path null
local_disk_path_sharding str "by_gpu"
max_local_disk_size float 0.0
remote_url str null
remote_serde str "naive"
use_layerwise bool false
save_decode_cache bool false
pre_caching_hash_algorithm str "builtin"
enable_blending bool false
blend_recompute_ratios floats null
blend_thresholds floats null
blend_check_layers ints null
blend_min_tokens int 256
blend_special_str str " # # "
retrieve_locations strs null
store_location str null
enable_p2p bool false
p2p_host str null
p2p_init_ports ints null
p2p_lookup_ports ints null
mp_host str null
mp_port int 5555
enable_controller bool false
lmcache_instance_id str null
controller_pull_url str null
controller_reply_url str null
lmcache_worker_ports ints null
lmcache_worker_ids ints null
lmcache_worker_heartbeat_delay_time int 10
lmcache_worker_heartbeat_time int null
enable_pd bool false
pd_role str null
pd_buffer_size int null
pd_buffer_device str null
pd_peer_host str null
pd_peer_init_port ints null
pd_peer_alloc_port ints null
pd_peer_query_port ints null
pd_proxy_host str null
pd_proxy_port int null
pd_allocation_timeout_sec float Infinity
pd_shutdown_timeout_sec float 5.0
pd_condition_poll_interval_sec float 0.005
pd_max_prefill_len int 0
pd_backend_mode str "async"
pd_skip_proxy_notification bool false
pd_bidirectional bool false
transfer_channel str null
nixl_backends strs null
nixl_buffer_size int null
nixl_buffer_device str null
gds_path str null
gds_path_sharding str "by_gpu"
gds_buffer_size int null
maru_path str null
maru_pool_size float 4.0
use_gds bool true
gds_backend str "cufile"
audit_actual_remote_url str null
internal_api_server_host str "127.0.0.1"
extra_config object null
save_unfull_chunk bool false
blocking_timeout_secs int 10
external_lookup_client str null
py_enable_gc bool true
cache_policy str "LRU"
numa_mode str null
enable_async_loading bool false
internal_api_server_enabled bool false
internal_api_server_port_start int 6999
priority_limit int null
internal_api_server_include_index_list ints null
internal_api_server_socket_path_prefix str null
runtime_plugin_locations one_or_list null
storage_plugins strs null
remote_storage_plugins strs null
lookup_timeout_ms int 3000
min_retrieve_tokens int 0
hit_miss_ratio float null
lookup_server_worker_ids ints null
enable_scheduler_bypass_lookup bool false
script_allowed_imports strs null
run_script_api_enabled bool false
enable_lazy_memory_allocator bool false
lazy_memory_initial_ratio float 0.2
lazy_memory_expand_trigger_ratio float 0.5
lazy_memory_step_ratio float 0.1
lazy_memory_safe_size float 0.0
enable_chunk_statistics bool false
chunk_statistics_auto_start_statistics bool false
chunk_statistics_auto_exit_timeout_hours float 0.0
chunk_statistics_auto_exit_target_unique_chunks int 0
chunk_statistics_strategy str "memory_bloom_filter"
enable_kv_events bool false
use_gpu_connector_v3 bool false
pin_timeout_sec int 300
pin_check_interval_sec int 30
remote_config_url str null
app_id str null
enable_hidden_state_cache bool false
max_hidden_state_cpu_size float 2.0
hidden_state_layers ints null
hidden_states_retrieve_mode mode "prefix_strict"
"""

_MODES = {
    "prefix_strict": "prefix_strict",
    "prefixstrict": "prefix_strict",
    "skip_missing_chunks": "skip_missing_chunks",
    "skipmissingchunks": "skip_missing_chunks",
}

# Names that are no keys but are found by ``?names=``: the answer cannot be written as JSON.
METHODS = frozenset(("validate", "to_dict", "to_json", "from_dict", "from_env", "from_file", "update_config_from_env"))


def convert(key: str, value: Any) -> Any:
    """Give what a node makes of a value posted for a key; null stays null for every key.

    Raises: KeyError for an unknown key, ValueError or TypeError for a value that is refused.
    """
    converter = _CONVERTERS[KINDS[key]]
    return None if value is None else converter(value)


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).strip().lower() in ("true", "1")


def _path(value: Any) -> str:
    parts = [part.strip().removeprefix("file://") for part in str(value).split(",") if part.strip()]
    if not parts:
        raise ValueError("no path")
    return ",".join(parts)


def _object(value: Any) -> Any:
    if isinstance(value, str):
        return json.loads(value) if value else None
    return value


def _mode(value: Any) -> str:
    word = str(value).strip().lower().replace("-", "_")
    if word not in _MODES:
        raise ValueError("no such mode")
    return _MODES[word]


def _strings(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        raise TypeError("neither a list nor a string")
    return [part.strip() for part in value.split(",") if part.strip()]


def _numbers(kind: type[int] | type[float]) -> Callable[[Any], list[Any]]:
    def convert_all(value: Any) -> list[Any]:
        if isinstance(value, kind):
            return [value]
        parts = value if isinstance(value, list) else [part for part in str(value).split(",") if part.strip()]
        return [kind(part) for part in parts]

    return convert_all


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "bool": _boolean,
    "str": str,
    "path": _path,
    "object": _object,
    "mode": _mode,
    "strs": _strings,
    "ints": _numbers(int),
    "floats": _numbers(float),
    "one_or_list": lambda value: value if isinstance(value, list) else [str(value)],
}

_ROWS = [row.split(maxsplit=2) for row in _TABLE.strip().splitlines()]
KINDS: Mapping[str, str] = {key: kind for key, kind, _ in _ROWS}
DEFAULTS: Mapping[str, Any] = {key: json.loads(default) for key, _, default in _ROWS}
