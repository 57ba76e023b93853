# SPDX-License-Identifier: Apache-2.0
"""What an in-process node answers about its configuration, its metadata and the inference engine around it.

Source: LMCache 0.5.6, ``vllm/conf_api.py``, ``vllm/inference_api.py``, ``common/run_script_api.py``.
"""

from __future__ import annotations

from typing import Any

from lmcache_frontend.demo.answers import (
    Answer,
    Handler,
    Request,
    compact,
    internal_error,
    plain,
    plain_json,
    pretty,
    read_json,
)
from lmcache_frontend.demo.inprocess import keys
from lmcache_frontend.demo.inprocess.state import LAYERS, InProcessState
from lmcache_frontend.demo.node import MODEL, STALE_METRICS, run_script_off
from lmcache_frontend.demo.traffic import CHUNK_TOKENS
from lmcache_frontend.remote_config.catalogue import is_attribute

_KV_HEADS = 8
_HEAD_SIZE = 128


def _conf(node: InProcessState, request: Request) -> Answer:
    values = {**node.defaults, **node.settings}
    names = request.text("names")
    if not names:
        return plain_json(values)
    wanted = names.split(",")
    if any(name not in values and is_attribute(name) for name in wanted):
        return internal_error()
    return plain_json({name: values[name] for name in wanted if name in values})


def _post_conf(node: InProcessState, request: Request) -> Answer:
    try:
        body = read_json(request.body)
    except ValueError as exc:
        return compact({"error": "Invalid JSON body", "message": str(exc)}, 400)
    if not isinstance(body, dict):
        return compact({"error": "Request body must be a JSON object"}, 400)
    updated: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for key, value in body.items():
        try:
            node.settings[key] = updated[key] = keys.convert(key, value)
        except KeyError:
            errors[key] = "Unknown config"
        except ValueError:
            errors[key] = "Failed to set config value"
    node.engine.switches.min_retrieve_tokens = node.setting("min_retrieve_tokens") or 0
    answer: dict[str, Any] = {"updated": updated}
    if errors:
        answer["errors"] = errors
    return compact(answer, 400 if errors and not updated else 200)


def _meta(node: InProcessState, request: Request) -> Answer:
    values: dict[str, Any] = {
        "chunk_size": CHUNK_TOKENS,
        "engine_id": f"{node.place.instance}-engine",
        "first_rank": 0,
        "kv_connector_extra_config": None,
        "kv_dtype": "torch.bfloat16",
        "kv_layer_groups_manager": None,
        "kv_shape": [LAYERS, 2, CHUNK_TOKENS, _KV_HEADS, _HEAD_SIZE],
        "local_worker_id": node.place.worker_id,
        "local_world_size": node.place.worker_count,
        "model_name": MODEL,
        "role": node.place.role,
        "served_model_name": None,
        "use_mla": False,
        "worker_id": node.place.worker_id,
        "world_size": node.place.worker_count,
    }
    names = request.text("names")
    return plain_json({name: values[name] for name in names.split(",") if name in values} if names else values)


def _inference_info(node: InProcessState, request: Request) -> Answer:
    return pretty(
        {
            "vllm_version": "0.19.0",
            "lmcache_version": node.version,
            "vllm_config": (
                f"model='{MODEL}', dtype=torch.bfloat16, max_seq_len=40960, "
                f"tensor_parallel_size={node.place.worker_count}"
            ),
            "model_config": {
                "model": MODEL,
                "dtype": "torch.bfloat16",
                "max_model_len": 40960,
                "vocab_size": 151936,
                "num_layers": LAYERS,
                "num_attention_heads": 64,
                "num_kv_heads": _KV_HEADS,
                "head_size": _HEAD_SIZE,
            },
            "cache_config": {
                "block_size": 16,
                "cache_dtype": "auto",
                "gpu_memory_utilization": 0.9,
                "swap_space": 4,
                "enable_prefix_caching": True,
            },
        }
    )


def _inference_version(node: InProcessState, request: Request) -> Answer:
    """Fail as every in-process node since 0.3.13 does."""
    words = "'LMCacheManager' object has no attribute 'get_inference_version'"
    return pretty({"error": "Failed to get inference version", "message": words}, 500)


def _run_script(node: InProcessState, request: Request) -> Answer:
    """Answer as if the script had run; it never does."""
    if not node.setting("run_script_api_enabled"):
        return run_script_off(node, request)
    if b'name="script"' not in request.body:
        return plain("No script file provided", 400)
    return plain("Script executed successfully")


def _metrics_reset(node: InProcessState, request: Request) -> Answer:
    node.figures.reset(node.clock())
    if node.fault == STALE_METRICS:
        node.fault = ""
    return plain("ok")


ROUTES: tuple[tuple[str, str, Handler[Any]], ...] = (
    ("GET", "/conf", _conf),
    ("POST", "/conf", _post_conf),
    ("GET", "/meta", _meta),
    ("GET", "/inference_info", _inference_info),
    ("GET", "/inference_version", _inference_version),
    ("POST", "/run_script", _run_script),
    ("POST", "/metrics/reset", _metrics_reset),
)
