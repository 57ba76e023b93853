# SPDX-License-Identifier: Apache-2.0
"""Checks of ``doctor`` on what nodes do with the cache: whether it can work at all, and whether it is let. Pure.

Source: LMCache 0.5.6. A lookup is made for whole chunks only; ``kv_shape`` of ``/meta`` is that of one chunk of one
worker; a node fetches its configuration once, at its start, with its own in the body, which must be JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import reduce
from shlex import quote
from typing import Any

from .. import amounts
from .facts import (
    CRITICAL,
    GIB,
    IN_PROCESS,
    NOTICE,
    WARNING,
    Finding,
    FleetFacts,
    NodeFacts,
    chunk_size_of,
    number_in,
)

_LOOKUPS = ("lmcache:num_lookup_requests_total", "lmcache_mp_lookups_requests_total")
_LOOKUP_TOKENS = ("lmcache:num_lookup_tokens_total", "lmcache_mp_lookup_requested_tokens_total")
_EARLY_EXITS = "lmcache_mp_lookup_early_exit_requests_total"
_STARTED = "process_start_time_seconds"
_ENGINE_PROMPTS = ("vllm:prompt_tokens_total", "sglang:prompt_tokens_total")
SAMPLES = frozenset((*_LOOKUPS, *_LOOKUP_TOKENS, _EARLY_EXITS, _STARTED, *_ENGINE_PROMPTS))
_MP_ENGINE_REASON = "empty_chunk_hashes"
# Before this there may just not have been a request.
_LONG_ENOUGH_S = 300.0
_FEW_LOOKUPS = 20
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
# LMCache sets it itself where nobody has, too late to have an effect.
_MULTIPROCESS_OF_LMCACHE = "/tmp/lmcache_prometheus"
_ELEMENT_BYTES = {
    "float64": 8,
    "float32": 4,
    "float": 4,
    "float16": 2,
    "half": 2,
    "bfloat16": 2,
    "uint8": 1,
    "int8": 1,
}


def check_remote_configuration(node: NodeFacts, fleet: FleetFacts) -> Iterator[Finding]:
    """Find nodes that seem to fetch their configuration and do not."""
    url = node.setting("remote_config_url")
    if url and node.infinite:
        key = "pd_allocation_timeout_sec" if "pd_allocation_timeout_sec" in node.infinite else node.infinite[0]
        yield Finding(
            WARNING,
            node.name,
            "remote_configuration_off",
            f"remote_config_url is set, but {key} is infinite, which is no JSON: the request was never sent",
            f"set {key} to a number before the start (LMCACHE_{key.upper()}=3600), and restart the node",
        )
    elif fleet.rules and node.conf is not None and node.kind in IN_PROCESS and not url:
        known = "remote_config_url" in node.conf
        seen = f"{fleet.rules} rules for remote configuration are here, and this node does not ask for them"
        advice = "set remote_config_url to this frontend's /config" if known else "LMCache does so since 0.3.13"
        yield Finding(NOTICE, node.name, "remote_configuration_off", seen, advice)


def check_metrics(node: NodeFacts, _: FleetFacts) -> Iterator[Finding]:
    """Find metrics that are those of several processes, or of earlier ones."""
    if not node.metrics:
        return
    started = [reading[_STARTED][0][1] for reading in node.metrics if reading.get(_STARTED)]
    if len(started) > 1 and abs(started[-1] - started[0]) > 1.0:
        seen = f"two questions to {node.address} were answered by two processes, started at different times"
        advice = "several processes share the port, or something balances between them: enter each by its own address"
        yield Finding(CRITICAL, node.name, "several_processes", seen, advice)
        return
    labels = [labels for family in _LOOKUPS for labels, _ in node.metrics[0].get(family, ())]
    places = {(one.get("role", ""), one.get("worker_id", "")) for one in labels if "worker_id" in one}
    if len(places) > 1:
        said = ", ".join(sorted(f"{role or 'worker'} {worker}" for role, worker in places))
        yield Finding(
            WARNING,
            node.name,
            "several_processes",
            f"its metrics are those of {len(places)} places at once: {said}",
            "figures of this node are sums over them; up to LMCache 0.4.4 processes of one program shared this API",
        )
    is_merged = any("pid" in labels for labels in labels) or (node.kind in IN_PROCESS and labels and not started)
    if is_merged:
        seen = "its metrics are merged from the files of several processes"
        yield Finding(WARNING, node.name, "multiprocess_metrics", seen, _multiprocess_advice())
        return
    folder = (node.environment or {}).get(_MULTIPROCESS)
    if node.kind in IN_PROCESS and folder and folder != _MULTIPROCESS_OF_LMCACHE:
        seen = f"{_MULTIPROCESS} is set to {folder}"
        yield Finding(NOTICE, node.name, "multiprocess_metrics", seen, _multiprocess_advice())


def check_prompts(node: NodeFacts, fleet: FleetFacts) -> Iterator[Finding]:
    """Find nodes that are never asked, since prompts are shorter than a chunk."""
    lookups, chunk = node.total(*_LOOKUPS), chunk_size_of(node)
    started = node.total(_STARTED)
    if node.kind not in ("worker", "mp") or lookups is None:
        return
    size = f"a chunk of {chunk:g} tokens" if chunk else "a chunk"
    advice = f"prompts shorter than {size} (chunk_size) are never looked up nor stored: make chunk_size smaller"
    early = node.metrics[0].get(_EARLY_EXITS, ())
    too_short = math.fsum(value for labels, value in early if labels.get("reason") == _MP_ENGINE_REASON)
    tokens = node.total(*_LOOKUP_TOKENS)
    if lookups and too_short / lookups > 0.5:
        seen = f"{amounts.percent(too_short / lookups)} of {lookups:g} lookups were of prompts shorter than {size}"
        yield Finding(WARNING, node.name, "short_prompts", seen, advice)
    elif lookups >= _FEW_LOOKUPS and chunk and tokens is not None and tokens / lookups < chunk:
        seen = f"lookups are of {tokens / lookups:.0f} tokens on average, which is less than {size}"
        yield Finding(WARNING, node.name, "short_prompts", seen, advice)
    elif not lookups and started and fleet.now - started > _LONG_ENOUGH_S and not _others_look_up(node, fleet):
        has_prompts = bool(node.total(*_ENGINE_PROMPTS))
        seen = f"no lookup in the {amounts.duration(fleet.now - started)} since its start"
        seen += ", though the engine had prompts" if has_prompts else ""
        if not has_prompts:
            advice = f"if there is traffic: {advice}; or the engine has no KV connector of LMCache"
        yield Finding(WARNING if has_prompts else NOTICE, node.name, "no_lookups", seen, advice)


def check_switches(node: NodeFacts, _: FleetFacts) -> Iterator[Finding]:
    """Find caches that were frozen or bypassed, and left so."""
    if (node.freeze or {}).get("freeze") is True:
        advice = f"`lmcache-proxy freeze {quote(node.name)} off` lets it store again"
        yield Finding(WARNING, node.name, "frozen", "it is frozen: nothing new is stored", advice)
    bypassed = (node.bypass or {}).get("bypassed_backends")
    if isinstance(bypassed, list) and bypassed:
        names = ", ".join(map(str, bypassed))
        everything = set(map(str, bypassed)) >= set(map(str, (node.bypass or {}).get("all_backends") or ["?"]))
        seen = f"bypassed: {names}" + ("; that is all it has, so nothing is cached" if everything else "")
        path = quote(f"/bypass/remove?backend_name={bypassed[0]}")
        advice = f"`lmcache-proxy put {quote(node.name)} {path}` takes it into use again"
        yield Finding(CRITICAL if everything else WARNING, node.name, "bypassed", seen, advice)


def check_tier(node: NodeFacts, _: FleetFacts) -> Iterator[Finding]:
    """Find a tier in memory that is smaller than one request."""
    capacity, per_chunk, chunk = _capacity_bytes(node), _chunk_bytes(node), chunk_size_of(node)
    if not capacity or not per_chunk or not chunk:
        return
    key = "max_local_cpu_size" if node.kind in IN_PROCESS else "--l1-size-gb"
    room = capacity / per_chunk * chunk
    has = f"the tier has {amounts.size(capacity)}, for {room:.0f} tokens"
    advice = f"make it larger ({key}), or nothing that long is found again as a whole"
    lookups, tokens = node.total(*_LOOKUPS), node.total(*_LOOKUP_TOKENS)
    longest = number_in(node.inference, "model_config", "max_model_len")
    if capacity < per_chunk:
        seen = f"a chunk takes {amounts.size(per_chunk)}, and the tier has {amounts.size(capacity)}"
        yield Finding(CRITICAL, node.name, "small_tier", seen, f"make it larger ({key}): nothing fits in")
    elif lookups and tokens and tokens / lookups > room:
        seen = f"lookups are of {tokens / lookups:.0f} tokens on average, and {has}"
        yield Finding(CRITICAL, node.name, "small_tier", seen, advice)
    elif longest and longest > room:
        seen = f"a request can be of {longest:.0f} tokens (max_model_len), and {has}"
        yield Finding(WARNING, node.name, "small_tier", seen, advice)


def check_failures(node: NodeFacts, _: FleetFacts) -> Iterator[Finding]:
    """Find work that fails right now."""
    if node.failures_per_s > 0:
        seen = f"{amounts.count(node.failures_per_s * 60)} failures a minute"
        advice = f"`lmcache-proxy metrics {quote(node.name)} --grep 'fail|error|forced' --rate 10` shows which"
        yield Finding(WARNING, node.name, "failures", seen, advice)


def _multiprocess_advice() -> str:
    return (
        f"{_MULTIPROCESS} is for vLLM's own metrics: empty its folder before each start, or counters of processes that"
        " are gone come back, and do not point two engines at one folder"
    )


def _others_look_up(node: NodeFacts, fleet: FleetFacts) -> bool:
    """Say whether another worker of its instance is asked, as one is enough for some models."""
    if not node.instance:
        return False
    return any(other.instance == node.instance and other.total(*_LOOKUPS) for other in fleet.nodes)


def _capacity_bytes(node: NodeFacts) -> float | None:
    if node.kind == "worker":
        gib = number_in(node.conf, "max_local_cpu_size")
        return gib * GIB if gib else None
    usage = _part(node.status, "storage_manager", "l1_usage")
    if isinstance(usage, list) and len(usage) == 2 and isinstance(usage[1], (int, float)):
        return float(usage[1])
    return number_in(node.status, "storage_manager", "l1_manager", "memory_total_bytes")


def _chunk_bytes(node: NodeFacts) -> float | None:
    """Give what a chunk takes: by its shape in an engine, by what is kept on an MP server."""
    if node.kind == "worker":
        shape = (node.meta or {}).get("kv_shape")
        width = _ELEMENT_BYTES.get(str((node.meta or {}).get("kv_dtype")).rpartition(".")[2])
        if not isinstance(shape, list) or not shape or width is None:
            return None
        if not all(isinstance(length, int) and length > 0 for length in shape):
            return None
        return float(reduce(lambda product, length: product * length, shape, width))
    objects = number_in(node.status, "storage_manager", "l1_manager", "total_object_count")
    used = number_in(node.status, "storage_manager", "l1_manager", "memory_used_bytes")
    if not objects or not used:
        return None
    contexts = (node.status or {}).get("cache_context_meta") or (node.status or {}).get("gpu_context_meta")
    sizes = [number_in(one, "world_size") or 1 for one in contexts.values()] if isinstance(contexts, Mapping) else []
    return used / objects * max(sizes, default=1)


def _part(values: Any, *path: str) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values
