# SPDX-License-Identifier: Apache-2.0
"""The settings of LMCache as a table: every key of releases 0.3.4 to 0.5.6, and what changed on the way.

Leaves reading the table to ``catalogue``. Source: the definitions in ``lmcache/v1/config.py`` of each release.
"""

from __future__ import annotations

# Columns, two spaces apart: key; first release, and after "-" the first without it; kind; default as JSON; meaning.
# Kinds are listed in ``catalogue``. The order is that of ``GET /conf``.
TABLE = """
chunk_size                              0.3.4   int      256       Tokens in a chunk, the unit of storing and retrieval.
local_cpu                               0.3.4   bool     true      Keep KV chunks in a CPU-memory hot cache.
max_local_cpu_size                      0.3.4   float    5.0       Size of the CPU memory pool, in GB, per worker.
local_cpu_use_hugepages                 0.4.6   bool     false     Back the CPU pool with huge pages.
reserve_local_cpu_size                  0.3.9   float    0.0       GB of host memory left free when the pool is sized.
local_disk                              0.3.4   paths?   null      Folders of the disk tier, with commas; null: off.
local_disk_path_sharding                0.4.4   str      "by_gpu"  How several disk folders are spread over workers.
max_local_disk_size                     0.3.4   float    0.0       Disk tier capacity in GB.
remote_url                              0.3.4   str?     null      URL of the remote storage backend; null: off.
remote_serde                            0.3.4   str?     "naive"   Serializer of what goes to the remote backend.
use_layerwise                           0.3.4   bool     false     Transfer KV layer by layer.
save_decode_cache                       0.3.4   bool     false     Also store KV produced while decoding.
pre_caching_hash_algorithm              0.3.4   str      "builtin"  Hash function used for chunk keys.
enable_blending                         0.3.4   bool     false     Turn on CacheBlend (non-prefix reuse).
blend_recompute_ratio                   0.3.4-0.3.6  float    0.15      CacheBlend: share of tokens to recompute.
blend_recompute_ratios                  0.3.6   floats?  null      CacheBlend: share to recompute, per check layer.
blend_thresholds                        0.3.6   floats?  null      CacheBlend: thresholds for tokens to recompute.
blend_check_layers                      0.3.6   ints     null      CacheBlend: layers where tokens are selected.
blend_min_tokens                        0.3.4   int      256       CacheBlend: shortest segment worth blending.
blend_special_str                       0.3.4   str      " # # "   CacheBlend: separator between segments.
retrieve_locations                      0.4.2   strs?    null      Backends that may be read from (null: all).
store_location                          0.4.2   str?     null      The one backend that stores go to (null: all).
enable_p2p                              0.3.4   bool     false     Share KV between instances (needs the controller).
lookup_url                              0.3.4-0.3.7  str?     null      URL of the lookup server.
distributed_url                         0.3.4-0.3.7  str?     null      URL this instance offers for P2P sharing.
error_handling                          0.3.4-0.3.6  bool     false     Error handling.
p2p_host                                0.3.7   str?     null      Host this instance offers for P2P.
p2p_init_ports                          0.3.7   ints?    null      P2P handshake ports, one per worker.
p2p_lookup_ports                        0.3.7   ints?    null      P2P lookup ports, one per worker.
mp_host                                 0.4.6   str?     null      Host of the MP cache server (used with SGLang).
mp_port                                 0.4.6   int      5555      Port of the MP cache server.
enable_controller                       0.3.4   bool     false     Connect workers to a cache controller.
lmcache_instance_id                     0.3.4   str?     null      Name of this instance; a random one is made if unset.
controller_url                          0.3.4-0.3.7  str?     null      Renamed to controller_pull_url.
lmcache_worker_port                     0.3.4-0.3.7  int?     null      Replaced by lmcache_worker_ports.
controller_pull_url                     0.3.7   str?     null      Controller address that workers push to.
controller_reply_url                    0.3.7   str?     null      Controller address for request and response.
lmcache_worker_ports                    0.3.7   ints?    null      Ports of the workers for the controller.
lmcache_worker_ids                      0.3.10  ints?    null      Ranks with a controller worker (null: all; MLA: 0).
lmcache_worker_heartbeat_delay_time     0.3.5   int      10        Seconds to wait before the first heartbeat.
lmcache_worker_heartbeat_time           0.3.5   int?     null      Seconds between heartbeats; null: none are sent.
enable_nixl                             0.3.4-0.3.7  bool     false     Prefill/decode disaggregation over NIXL.
nixl_role                               0.3.4-0.3.7  str?     null      Renamed to pd_role.
nixl_receiver_host                      0.3.4-0.3.7  str?     null      Host of the receiver in PD mode.
nixl_receiver_port                      0.3.4-0.3.7  int?     null      Port of the receiver in PD mode.
enable_pd                               0.3.7   bool     false     Prefill/decode disaggregation.
pd_role                                 0.3.7   str?     null      sender or receiver in PD mode.
pd_buffer_size                          0.3.7   int?     null      PD transfer buffer size in bytes.
pd_buffer_device                        0.3.7   str?     null      Device holding the PD buffer.
pd_peer_host                            0.3.7   str?     null      PD peer host.
pd_peer_init_port                       0.3.7   ints?    null      PD peer handshake ports.
pd_peer_alloc_port                      0.3.7   ints?    null      PD peer allocation ports.
pd_peer_query_port                      0.4.5   ints?    null      PD peer query ports (bidirectional PD).
pd_proxy_host                           0.3.7   str?     null      PD proxy host to notify.
pd_proxy_port                           0.3.7   int?     null      PD proxy port.
pd_allocation_timeout_sec               0.4.5   float    Infinity  Longest time to retry a PD buffer allocation.
pd_shutdown_timeout_sec                 0.4.5   float    5.0       Longest wait when stopping PD threads.
pd_condition_poll_interval_sec          0.4.5   float    0.005     Polling step while waiting on PD conditions.
pd_max_prefill_len                      0.4.5   int      0         If > 0: the PD buffer must hold that many tokens.
pd_backend_mode                         0.4.5   str?     "async"   Implementation of PD: async or sync.
pd_skip_proxy_notification              0.4.4   bool     false     Do not notify the PD proxy.
pd_bidirectional                        0.4.5   bool     false     Let PD data flow both ways.
transfer_channel                        0.3.7   str?     null      Transport used for P2P and PD (such as nixl).
nixl_backends                           0.3.4   strs?    null      NIXL plugins to use.
enable_xpyd                             0.3.4-0.3.7  bool     false     Renamed to enable_pd.
nixl_peer_host                          0.3.4-0.3.7  str?     null      Renamed to pd_peer_host.
nixl_peer_init_port                     0.3.4-0.3.7  ints?    null      Renamed to pd_peer_init_port.
nixl_peer_alloc_port                    0.3.4-0.3.7  ints?    null      Renamed to pd_peer_alloc_port.
nixl_proxy_host                         0.3.4-0.3.7  str?     null      Renamed to pd_proxy_host.
nixl_proxy_port                         0.3.4-0.3.7  int?     null      Renamed to pd_proxy_port.
nixl_buffer_size                        0.3.4   int?     null      NIXL buffer size in bytes.
nixl_buffer_device                      0.3.4   str?     null      Device holding the NIXL buffer.
nixl_enable_gc                          0.3.4-0.3.7  bool     false     Leave the garbage collector on (NIXL).
weka_path                               0.3.4-0.3.12  str?     null      Directory of the Weka storage tier.
gds_path                                0.3.4   str?     null      Directory of the GPU-direct storage tier.
gds_path_sharding                       0.4.3   str      "by_gpu"  How several GDS paths are spread over workers.
cufile_buffer_size                      0.3.4-0.4.4  int?     null      Size of the cuFile buffer.
gds_buffer_size                         0.4.4   int?     null      Size of the GDS buffer.
maru_path                               0.4.3   str?     null      Address or path of the Maru CXL backend.
maru_pool_size                          0.4.3   float    4.0       Size of the Maru pool in GB.
use_gds                                 0.4.4   bool     true      Use real GPU-direct I/O in the GDS backend.
gds_backend                             0.4.4   str      "cufile"  GDS implementation (cufile, ...).
audit_actual_remote_url                 0.3.4   str?     null      Deprecated: URL behind the audit connector.
internal_api_server_host                0.3.4   str      "127.0.0.1"  Address that the internal HTTP server binds to.
extra_config                            0.3.4   object?  null      Settings of backends and plugins, free in form.
save_unfull_chunk                       0.3.4   bool     false     Also store the last, incomplete chunk.
blocking_timeout_secs                   0.3.4   int      10        Timeout for blocking backend operations.
external_lookup_client                  0.3.4   str?     null      URI of an external lookup service.
py_enable_gc                            0.3.4   bool     true      Leave the Python garbage collector on.
cache_policy                            0.3.4   str      "LRU"     Eviction from the CPU cache: LRU, LFU, FIFO, MRU.
numa_mode                               0.3.4   str?     null      NUMA placement: auto or manual.
enable_async_loading                    0.3.6   bool     false     Load KV asynchronously while lookups run.
internal_api_server_enabled             0.3.4   bool     false     Start the internal HTTP server.
internal_api_server_port_start          0.3.4   int      6999      Port of the scheduler; worker i has this + 1 + i.
priority_limit                          0.3.6   int?     null      Requests above this priority value are not cached.
internal_api_server_include_index_list  0.3.4   ints?    null      Serve at these offsets only (0: scheduler).
internal_api_server_socket_path_prefix  0.3.4   str?     null      Serve on Unix sockets <prefix>_<port>, not on TCP.
plugin_locations                        0.3.4-0.3.11  one?     null      Renamed to runtime_plugin_locations.
external_backends                       0.3.5-0.3.11  strs?    null      Renamed to storage_plugins.
runtime_plugin_locations                0.3.11  one?     null      Files or directories with plugins to launch.
storage_plugins                         0.3.11  strs?    null      Extra storage backends (see extra_config).
remote_storage_plugins                  0.3.14  strs?    null      Extra remote connector plugins.
lookup_timeout_ms                       0.3.7   int      3000      Longest wait for a lookup, in ms.
min_retrieve_tokens                     0.3.14  int      0         Skip retrieval when fewer tokens hit (0: off).
hit_miss_ratio                          0.3.7   float?   null      If 0..1: reported hits are cut down by this ratio.
mla_lookup_server_worker_id             0.3.9-0.3.9.post1  int?     null      With MLA: the worker with a lookup server.
lookup_server_worker_ids                0.3.9.post1  ints?    null      Which workers run a lookup server.
enable_scheduler_bypass_lookup          0.3.9.post1  bool     false     The scheduler looks up without asking workers.
script_allowed_imports                  0.3.9.post1  strs?    null      Modules that /run_script code may import.
run_script_api_enabled                  0.5.6   bool     false     Allow POST /run_script.
enable_lazy_memory_allocator            0.3.10  bool     false     Allocate the CPU pool in steps, not at once.
lazy_memory_initial_ratio               0.3.10  float    0.2       Lazy pool: share allocated at start.
lazy_memory_expand_trigger_ratio        0.3.10  float    0.5       Lazy pool: share in use that triggers growth.
lazy_memory_step_ratio                  0.3.10  float    0.1       Lazy pool: share added per step.
lazy_memory_safe_size                   0.3.10  float    0.0       Lazy pool: only for pools larger than so many GB.
enable_chunk_statistics                 0.3.10  bool     false     Wrap the lookup client with chunk statistics.
chunk_statistics_auto_start_statistics  0.3.10  bool     false     Start collecting statistics at once.
chunk_statistics_auto_exit_timeout_hours  0.3.10  float    0.0       Stop collecting after so many hours (0: never).
chunk_statistics_auto_exit_target_unique_chunks  0.3.10  int      0         Stop collecting after so many unique chunks.
chunk_statistics_strategy               0.3.10  str      "memory_bloom_filter"  memory_bloom_filter or file_hash.
enable_kv_events                        0.3.11  bool     false     Emit KV events to the engine.
use_gpu_connector_v3                    0.3.12  bool     false     Use the V3 paged-memory GPU connector.
pin_timeout_sec                         0.3.12  int      300       Seconds after which a pinned object is released.
pin_check_interval_sec                  0.3.12  int      30        Seconds between runs of the pin monitor.
remote_config_url                       0.3.13  str?     null      URL asked once, at start, for configuration.
app_id                                  0.3.13  str?     null      Sent to that URL as query parameter appId.
enable_hidden_state_cache               0.5.1   bool     false     Cache hidden states next to KV (vLLM-Omni).
max_hidden_state_cpu_size               0.5.1   float    2.0       GB of CPU memory for hidden states.
hidden_state_layers                     0.5.1   ints?    null      Layers whose hidden states are kept (null: all).
hidden_states_retrieve_mode             0.5.1   mode     "prefix_strict"  prefix_strict or skip_missing_chunks.
"""

# What a key was before a release: key, that release, kind, default.
EARLIER = """
local_disk                0.4.4   path?    null
retrieve_locations        0.5.3   raw-strs?  null
store_location            0.5.3   raw-str?   null
lmcache_instance_id       0.3.9   str      "lmcache_default_instance"
internal_api_server_host  0.5.6   str      "0.0.0.0"
save_unfull_chunk         0.3.11  bool     true
"""

# Names that a file or a variable may still use for a key, and the first release that understands them.
ALIASES = {"plugin_locations": "runtime_plugin_locations", "external_backends": "storage_plugins"}
ALIASES_SINCE = "0.3.11"

# Names that LMCache has given up, and what took their place. But for the above it ignores them, with a warning.
RENAMED = {
    **ALIASES,
    "controller_url": "controller_pull_url",
    "cufile_buffer_size": "gds_buffer_size",
    "enable_nixl": "enable_pd",
    "enable_xpyd": "enable_pd",
    "lmcache_worker_port": "lmcache_worker_ports",
    "nixl_peer_alloc_port": "pd_peer_alloc_port",
    "nixl_peer_host": "pd_peer_host",
    "nixl_peer_init_port": "pd_peer_init_port",
    "nixl_proxy_host": "pd_proxy_host",
    "nixl_proxy_port": "pd_proxy_port",
    "nixl_role": "pd_role",
}

# What a configuration object of LMCache has beside the keys: a remote item of such a name overwrites it.
METHODS = frozenset(
    {
        "__dataclass_fields__",
        "__dataclass_params__",
        "__dict__",
        "__match_args__",
        "__module__",
        "__post_init__",
        "__weakref__",
        "_config_definitions",
        "_user_set_keys",
        "from_defaults",
        "from_dict",
        "from_env",
        "from_file",
        "from_json",
        "from_legacy",
        "get_extra_config_value",
        "get_lmcache_worker_ids",
        "get_lookup_server_worker_ids",
        "log_config",
        "to_dict",
        "to_json",
        "update_config_from_env",
        "validate",
    }
)
