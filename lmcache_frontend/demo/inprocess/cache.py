# SPDX-License-Identifier: Apache-2.0
"""What an in-process node answers about its cache, its lookup client or server, and the controller it is not.

Source: LMCache 0.5.6, ``vllm/{cache,lookup,chunk_statistics,load_fs_chunks}_api.py`` and ``controller/``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from lmcache_frontend.demo.answers import (
    Answer,
    Handler,
    Request,
    Unprocessable,
    compact,
    pretty,
    read_json,
)
from lmcache_frontend.demo.inprocess.state import LAYERS, LOCAL_CPU, InProcessState
from lmcache_frontend.demo.traffic import CHUNK_TOKENS

_NO_ENGINE = {"error": "LMCache API is unavailable", "message": "LMCache engine not configured."}
_NO_CACHES = {"error": "kv_caches not available", "message": "kv_caches is empty or not initialized"}
_BLOCKS = 1024
_BLOCK_TOKENS = 16


def _clear(node: InProcessState, request: Request) -> Answer:
    if request.body:
        _object_of(request.body)
    if node.is_scheduler:
        return pretty(_NO_ENGINE, 503)
    locations = request.query.get("locations")
    chunks = node.engine.cache.clear() if not locations or LOCAL_CPU in locations else 0
    return pretty({"status": "success", "num_removed": chunks * CHUNK_TOKENS})


def _with_tokens(operate: Callable[[InProcessState, list[int], int], dict[str, int]]) -> Handler[InProcessState]:
    """Wrap an operation on the chunks of made-up tokens; it gets the chunks and the number of tokens."""

    def answer(node: InProcessState, request: Request) -> Answer:
        if node.is_scheduler:
            return pretty(_NO_ENGINE, 503)
        text = request.text("tokens_mock")
        if not text:
            words = "Must specify either tokens_input or tokens_mock"
            return pretty({"error": "Missing parameters", "message": words}, 400)
        try:
            start, end = _token_range(text)
        except ValueError as exc:
            words = f"tokens_mock must be 'start,end': {exc}"
            return pretty({"error": "Invalid tokens_mock format", "message": words}, 400)
        count = min((end - start) // CHUNK_TOKENS, node.engine.cache.capacity_chunks)
        # Below zero, so that they are no chunks of the made-up traffic; the same start gives the same chunks.
        chunks = [-(abs(start) << 24) - 1 - index for index in range(count)]
        return pretty({"status": "success", "num_tokens": end - start, **operate(node, chunks, end - start)})

    return answer


def _token_range(text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2:
        raise ValueError("tokens_mock must contain exactly 2 numbers")
    start, end = int(parts[0]), int(parts[1])
    if start >= end:
        raise ValueError("start must be less than end")
    return start, end


def _store(node: InProcessState, chunks: list[int], tokens: int) -> dict[str, int]:
    node.engine.store(chunks, node.clock())
    return {}


def _retrieve(node: InProcessState, chunks: list[int], tokens: int) -> dict[str, int]:
    return {"num_retrieved": node.engine.retrieve(chunks, tokens, node.clock())}


def _kvcache_info(node: InProcessState, request: Request) -> Answer:
    if node.is_scheduler:
        return pretty(_NO_CACHES, 404)
    shape = [2, _BLOCKS, _BLOCK_TOKENS, 8, 128]
    layer = {"shape": shape, "dtype": "torch.bfloat16", "device": "cuda:0"}
    layers = {f"model.layers.{number}.self_attn.attn": layer for number in range(LAYERS)}
    return pretty({"status": "success", "num_layers": LAYERS, "layers": layers})


def _kvcache_check(node: InProcessState, request: Request) -> Answer:
    chunk_size, layerwise = request.integer("chunk_size"), request.boolean("layerwise")
    text = request.text("slot_mapping")
    if not text:
        return pretty({"error": "Missing parameters", "message": "slot_mapping parameter is required"}, 400)
    if node.is_scheduler:
        return pretty(_NO_CACHES, 404)
    ranges = [[int(one or low), int(one or high)] for low, high, one in re.findall(r"\[(\d+),(\d+)\]|(\d+)", text)]
    slots = sum(high - low + 1 for low, high in ranges)
    chunks = min(-(-slots // chunk_size), _BLOCKS) if chunk_size and chunk_size > 0 else 0
    sums = [hashlib.md5(f"{node.seed} {text} {number}".encode()).hexdigest() for number in range(chunks)]
    return pretty(
        {
            "status": "success",
            "slot_mapping_ranges": ranges,
            "chunk_size": chunk_size,
            "num_chunks": chunks,
            "chunk_checksums": {"model.layers.0.self_attn.attn": sums} if layerwise else sums,
            "layerwise": layerwise,
        }
    )


def _record_slot(node: InProcessState, request: Request) -> Answer:
    enabled = request.text("enabled")
    if enabled is not None:
        if enabled.lower() not in ("true", "false"):
            words = "enabled must be 'true' or 'false'"
            return pretty({"error": "Invalid parameter", "message": words}, 400)
        if node.is_scheduler:
            words = "'NoneType' object has no attribute 'kvcache_check_log_enabled'"
            return pretty({"error": "Failed to set record slot status", "message": words}, 500)
        node.record_slots = enabled.lower() == "true"
    return pretty({"status": "success", "kvcache_check_log_enabled": node.record_slots})


def _load_chunks(node: InProcessState, request: Request) -> Answer:
    """Refuse whatever file is named: nothing is opened here."""
    path = _object_of(request.body).get("config_path")
    if not isinstance(path, str):
        raise Unprocessable("missing", ("body", "config_path"), "Field required", {})
    if node.is_scheduler:
        words = "/cache/load-fs-chunks API is unavailable"
        return pretty({"error": words, "message": "LMCache engine not configured."}, 503)
    words = f"Invalid configuration file: [Errno 2] No such file or directory: '{path}'"
    return compact({"detail": words}, 400)


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        value = read_json(body)
    except ValueError:
        raise Unprocessable("json_invalid", ("body",), "JSON decode error", {}) from None
    if not isinstance(value, dict):
        raise Unprocessable("dict_type", ("body",), "Input should be a valid dictionary", value)
    return value


def _lookup_info(node: InProcessState, request: Request) -> Answer:
    if node.is_scheduler:
        return pretty({"client": node.lookup, "server": "None"})
    return pretty({"client": "None", "server": node.lookup})


def _lookup_close(node: InProcessState, request: Request) -> Answer:
    before, node.lookup = node.lookup, "None"
    return pretty({"old": before, "role": node.place.role})


def _lookup_create(node: InProcessState, request: Request) -> Answer:
    if request.boolean("dryrun"):
        return pretty({"new": node.lookup_type(), "dryrun": True, "role": node.place.role})
    node.lookup = node.lookup_type()
    return pretty({"new": node.lookup, "role": node.place.role})


def _lookup_recreate(node: InProcessState, request: Request) -> Answer:
    if node.lookup == "None":
        kind = "client" if node.is_scheduler else "server"
        return pretty({"error": f"lookup {kind} not available", "role": node.place.role}, 400)
    before, node.lookup = node.lookup, node.lookup_type()
    return pretty({"old": before, "new": node.lookup, "role": node.place.role})


def _with_statistics(answer: Callable[[InProcessState], dict[str, Any]]) -> Handler[InProcessState]:
    """Wrap an endpoint of ``/chunk_statistics``, which only a scheduler with the right client has."""

    def guarded(node: InProcessState, request: Request) -> Answer:
        if not node.is_scheduler or node.lookup == "None":
            return pretty({"error": "API unavailable", "message": "Lookup client not configured."}, 503)
        if not node.lookup.startswith("ChunkStatistics"):
            return pretty({"error": "Not available", "message": "Client does not support statistics."}, 400)
        return pretty(answer(node))

    return guarded


def _statistics_start(node: InProcessState) -> dict[str, Any]:
    if node.statistics_stopped is not None:
        # Count on from where it stopped: what came since is not seen.
        node.statistics_base = node.statistics_now().minus(node.statistics())
        node.statistics_stopped = None
    return {"status": "success", "message": "Started"}


def _statistics_stop(node: InProcessState) -> dict[str, Any]:
    node.statistics_stopped = node.statistics_stopped or node.statistics_now()
    return {"status": "success", "message": "Stopped"}


def _statistics_reset(node: InProcessState) -> dict[str, Any]:
    node.statistics_base = node.statistics_stopped or node.statistics_now()
    return {"status": "success", "message": "Reset"}


def _statistics_status(node: InProcessState) -> dict[str, Any]:
    seen = node.statistics()
    duplicates = seen.chunks - seen.unique_chunks
    lookup_s, record_s = seen.requests * 0.0012, seen.requests * 0.00008
    return {
        "enabled": node.statistics_stopped is None,
        "total_requests": seen.requests,
        "timing": {
            "lookup_time_seconds": lookup_s,
            "record_statistics_time_seconds": record_s,
            "check_exit_conditions_time_seconds": 0.0,
            "total_time_seconds": lookup_s + record_s,
            "overhead_time_seconds": record_s,
            "overhead_percentage": 100 * record_s / (lookup_s + record_s) if seen.requests else 0.0,
        },
        "total_chunks": seen.chunks,
        "unique_chunks": seen.unique_chunks,
        "duplicate_chunks": duplicates,
        "reuse_rate": duplicates / seen.chunks if seen.chunks else 0.0,
        "timestamp": node.clock(),
        "auto_exit_enabled": True,
        "auto_exit_timeout_hours": node.setting("chunk_statistics_auto_exit_timeout_hours"),
        "auto_exit_target_unique_chunks": node.setting("chunk_statistics_auto_exit_target_unique_chunks"),
    }


def _no_controller(node: InProcessState, request: Request) -> Answer:
    return compact({"detail": "Controller manager not available"}, 503)


ROUTES: tuple[tuple[str, str, Handler[Any]], ...] = (
    ("DELETE", "/cache/clear", _clear),
    ("POST", "/cache/store", _with_tokens(_store)),
    ("POST", "/cache/retrieve", _with_tokens(_retrieve)),
    ("GET", "/cache/kvcache/check", _kvcache_check),
    ("POST", "/cache/kvcache/record_slot", _record_slot),
    ("GET", "/cache/kvcache/info", _kvcache_info),
    ("POST", "/cache/load-fs-chunks", _load_chunks),
    ("GET", "/lookup/info", _lookup_info),
    ("POST", "/lookup/close", _lookup_close),
    ("POST", "/lookup/create", _lookup_create),
    ("POST", "/lookup/recreate", _lookup_recreate),
    ("POST", "/chunk_statistics/start", _with_statistics(_statistics_start)),
    ("POST", "/chunk_statistics/stop", _with_statistics(_statistics_stop)),
    ("POST", "/chunk_statistics/reset", _with_statistics(_statistics_reset)),
    ("GET", "/chunk_statistics/status", _with_statistics(_statistics_status)),
    ("GET", "/controller/key-stats", _no_controller),
    ("GET", "/controller/workers", _no_controller),
)
