# SPDX-License-Identifier: Apache-2.0
"""The loggers of a simulated node and the text of ``/loglevel``. Pure.

A GET sets a level, and asking for a logger makes it. Source: LMCache 0.5.6, ``common/loglevel_api.py``.
"""

from __future__ import annotations

from lmcache_frontend.demo.answers import Answer, Request, compact, internal_error, plain

_LEVELS = {
    "NOTSET": "NOTSET",
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "WARNING": "WARNING",
    "WARN": "WARNING",
    "ERROR": "ERROR",
    "CRITICAL": "CRITICAL",
    "FATAL": "CRITICAL",
}

# Names below "lmcache", all at INFO, by package.
_LMCACHE = {
    "": "utils observability config connections",
    "v1": "config config_base metadata protocol pin_monitor periodic_thread system_detection memory_management "
    "kv_layer_groups token_database cache_engine manager rpc_utils hidden_state_store",
    "v1.platform": "_device_detect base.device_ops torch_ops.mem_alloc devices.cuda.pin_memory",
    "v1.gpu_connector": "utils gpu_connectors gds_context kv_format.detection kv_format.contiguity",
    "v1.compute": "models.utils blend.blender blend.utils",
    "v1.internal_api_server": "api_server common.run_script_api",
    "v1.plugin": "runtime_plugin_launcher",
    "v1.utils": "router_discovery subclass_discovery",
    "v1.distributed": "api config l2_adapters.base l2_adapters.config l2_adapters.factory serde.factory",
    "v1.mp_observability": "otel_init event_bus",
    "usage_telemetry": "guard identity transport context continuous mp",
}
_IN_PROCESS = {
    "v1.storage_backend": "storage_manager local_cpu_backend local_disk_backend remote_backend gds_backend p2p_backend "
    "path_sharder batched_message_sender cache_policy.lru cache_policy.lfu cache_policy.fifo cache_policy.mru "
    "connector.base_connector connector.instrumented_connector naive_serde.cachegen_encoder",
    "v1.cache_controller": "worker executor full_sync_sender commands.full_sync",
    "v1.lookup_client": "factory lmcache_lookup_client hit_limit_lookup_client record_strategies.base",
    "v1.internal_api_server.vllm": "backend_api cache_api conf_api load_fs_chunks_api",
    "v1.health_monitor": "base checks.remote_backend_check",
    "integration.vllm": "utils vllm_v1_adapter vllm_service_factory",
}
_MULTIPROCESS = {
    "v1.multiprocess": "server session config engine_context token_hasher warm_prefetch http_api_registry "
    "mp_runtime_plugin_launcher modules.lookup modules.management modules.lmcache_driven_transfer "
    "transfer_context.base transfer_context.worker_transfer http_apis.cache_api",
    "v1.distributed": "l1_manager storage_manager memory_manager.l1_memory_manager "
    "storage_controllers.eviction_controller storage_controllers.prefetch_controller "
    "storage_controllers.store_controller",
    "v1.mp_observability.subscribers": "logging.l1 logging.l2 logging.sm logging.mp_server metrics.cb_server",
    "usage_telemetry": "flush l1_usage l2_usage mp_continuous",
}
_OTHERS = {
    "NOTSET": "concurrent.futures asyncio opentelemetry.context opentelemetry.trace opentelemetry.sdk.resources "
    "torch.distributed torch.distributed.distributed_c10d torch.fx.graph torch.fx.proxy torch.autograd.profiler "
    "torch.utils._pytree torch._library.custom_ops torch._guards torch.multiprocessing.spawn tqdm.cli "
    "numba.core.byteflow numba.core.interpreter huggingface_hub.hub_mixin huggingface_hub.file_download "
    "urllib3.util.retry urllib3.connectionpool requests aiohttp.client aiohttp.access aiohttp.server "
    "fastapi filelock charset_normalizer httpx",
    "DEBUG": "c10d-NullHandler-default torch.__trace",
    "INFO": "strobelight_function_profiler uvicorn",
    "WARNING": "torch uvicorn.error huggingface_hub transformers",
}


def _lines(own: dict[str, str]) -> dict[str, str]:
    levels = {"lmcache": "INFO"}
    for table in (_LMCACHE, own):
        for package, names in table.items():
            prefix = f"lmcache.{package}." if package else "lmcache."
            levels.update((prefix + name, "INFO") for name in names.split())
    for level, names in _OTHERS.items():
        levels.update((name, level) for name in names.split())
    return levels


IN_PROCESS = _lines(_IN_PROCESS)
MULTIPROCESS = _lines(_MULTIPROCESS)


def answer_log_level(base: dict[str, str], changed: dict[str, str], request: Request) -> Answer:
    """List, show or set levels; ``changed`` holds what differs from ``base`` on this node, and is written to."""
    name, level = request.text("logger_name"), request.text("level")
    if not name and not level:
        lines = [f"{logger}: {shown}\n" for logger, shown in {**base, **changed}.items()]
        return plain("=== Loggers and Levels ===\n" + "".join(lines))
    if not name:
        return compact(None)
    if not level:
        if name != "root" and name not in base:
            changed.setdefault(name, "NOTSET")
        return plain(f"{name}: {changed.get(name) or base.get(name, 'WARNING')}")
    word = level.upper()
    if word == "BASIC_FORMAT":
        return internal_error()
    if word not in _LEVELS:
        if name != "root" and name not in base:
            changed.setdefault(name, "NOTSET")
        return plain(f"Invalid log level: {level}", 400)
    changed[name] = _LEVELS[word]
    return plain(f"Set {name} level to {word} (including all handlers)")
