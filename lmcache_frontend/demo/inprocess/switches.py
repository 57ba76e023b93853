# SPDX-License-Identifier: Apache-2.0
"""What an in-process node answers about freezing, the hot cache, bypassing and storage backends.

A scheduler has no engine and answers 503. Source: LMCache 0.5.6, ``vllm/{freeze,hot_cache,bypass,backend}_api.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lmcache_frontend.demo.answers import Answer, Handler, Request, compact, pretty
from lmcache_frontend.demo.inprocess.state import LOCAL_CPU, InProcessState

_NO_ENGINE = "LMCache engine not configured."

_State = Handler[InProcessState]


def _freeze(enabled: bool) -> _State:
    def answer(node: InProcessState, request: Request) -> Answer:
        if node.is_scheduler:
            return _freeze_unavailable(request)
        node.engine.switches.frozen = enabled
        words = f"Freeze mode {'enabled' if enabled else 'disabled'} successfully"
        return pretty({"status": "success", "freeze": enabled, "message": words})

    return answer


def _freeze_status(node: InProcessState, request: Request) -> Answer:
    if node.is_scheduler:
        return _freeze_unavailable(request)
    frozen = node.engine.switches.frozen
    words = f"Freeze mode is {'enabled' if frozen else 'disabled'}"
    return pretty({"status": "success", "freeze": frozen, "message": words})


def _freeze_unavailable(request: Request) -> Answer:
    return pretty({"error": f"{request.path} API is unavailable", "message": _NO_ENGINE}, 503)


def _hot_cache(enabled: bool) -> _State:
    def answer(node: InProcessState, request: Request) -> Answer:
        if node.is_scheduler:
            return _hot_cache_unavailable()
        node.engine.switches.hot_cache = enabled
        if not enabled:
            node.engine.cache.clear()
        words = f"Hot cache {'enabled' if enabled else 'disabled'} successfully"
        return pretty({"status": "success", "hot_cache": enabled, "message": words})

    return answer


def _hot_cache_status(node: InProcessState, request: Request) -> Answer:
    if node.is_scheduler:
        return _hot_cache_unavailable()
    enabled = node.engine.switches.hot_cache
    words = f"Hot cache is {'enabled' if enabled else 'disabled'}"
    return pretty({"status": "success", "hot_cache": enabled, "message": words})


def _hot_cache_unavailable() -> Answer:
    return pretty({"error": "hot_cache API is unavailable", "message": _NO_ENGINE}, 503)


def _bypass_list(node: InProcessState, request: Request) -> Answer:
    if node.is_scheduler:
        return _bypass_unavailable()
    return compact({"status": "success", "bypassed_backends": node.bypassed, "all_backends": list(node.backends)})


def _bypass(bypassed: bool) -> _State:
    def answer(node: InProcessState, request: Request) -> Answer:
        if node.is_scheduler:
            return _bypass_unavailable()
        name = request.text("backend_name")
        if not name:
            return compact({"error": "Missing parameter", "message": "backend_name is required"}, 400)
        if name not in node.backends:
            words = f"Backend '{name}' not found. Available: {list(node.backends)}"
            return compact({"error": "Unknown backend", "message": words}, 400)
        before = name in node.bypassed
        if bypassed and not before:
            node.bypassed.append(name)
        elif before and not bypassed:
            node.bypassed.remove(name)
        _apply(node)
        return compact(
            {
                "status": "success",
                "backend_name": name,
                "bypassed": bypassed,
                "was_already_bypassed" if bypassed else "was_bypassed": before,
                "bypassed_backends": node.bypassed,
            }
        )

    return answer


def _bypass_unavailable() -> Answer:
    return compact({"error": "Bypass API is unavailable", "message": _NO_ENGINE}, 503)


def _with_backends(answer: Callable[[InProcessState, Request], Answer]) -> _State:
    """Wrap an endpoint of ``/backends``, which a scheduler does not have."""

    def guarded(node: InProcessState, request: Request) -> Answer:
        if node.is_scheduler:
            return compact({"error": "/backends API is unavailable", "message": _NO_ENGINE}, 503)
        result = answer(node, request)
        _apply(node)
        return result

    return guarded


def _backends(node: InProcessState, request: Request) -> Answer:
    return compact(node.backends)


def _create_backends(node: InProcessState, request: Request) -> Answer:
    created = {name: name for name in _wanted(node) if name not in node.backends}
    node.backends |= created
    return compact({"status": "success", "created": created, "backends": node.backends})


def _close_backend(node: InProcessState, request: Request) -> Answer:
    name = request.variables["name"]
    if node.backends.pop(name, None) is None:
        return _backend_not_found(node, name)
    if name == LOCAL_CPU:
        node.engine.cache.clear()
    return compact({"status": "success", "message": f"Backend {name} closed", "backends": node.backends})


def _recreate_backend(node: InProcessState, request: Request) -> Answer:
    name = request.variables["name"]
    if node.backends.pop(name, None) is None:
        return _backend_not_found(node, name)
    if name == LOCAL_CPU:
        node.engine.cache.clear()
    created = {name: name} if name in _wanted(node) else {}
    node.backends |= created
    return compact({"status": "success", "recreated": created, "backends": node.backends})


def _backend_not_found(node: InProcessState, name: str) -> Answer:
    words = f"Backend {name} not found"
    return compact({"status": "not_found", "message": words, "backends": node.backends}, 404)


def _wanted(node: InProcessState) -> list[str]:
    """Give the backends that the configuration asks for."""
    wanted = [LOCAL_CPU]
    if node.setting("local_disk"):
        wanted.append("LocalDiskBackend")
    if node.setting("remote_url"):
        wanted.append("RemoteBackend")
    return wanted


def _apply(node: InProcessState) -> None:
    """Let the engine see which backends there are and which are bypassed."""
    node.bypassed = [name for name in node.bypassed if name in node.backends]
    node.engine.switches.backend_open = LOCAL_CPU in node.backends
    node.engine.switches.bypassed = LOCAL_CPU in node.bypassed


ROUTES: tuple[tuple[str, str, Handler[Any]], ...] = (
    ("GET", "/backends", _with_backends(_backends)),
    ("DELETE", "/backends/{name}", _with_backends(_close_backend)),
    ("POST", "/backends", _with_backends(_create_backends)),
    ("POST", "/backends/{name}/recreate", _with_backends(_recreate_backend)),
    ("GET", "/bypass/list", _bypass_list),
    ("PUT", "/bypass/add", _bypass(True)),
    ("PUT", "/bypass/remove", _bypass(False)),
    ("PUT", "/freeze/enable", _freeze(True)),
    ("PUT", "/freeze/disable", _freeze(False)),
    ("GET", "/freeze/status", _freeze_status),
    ("PUT", "/hot_cache/enable", _hot_cache(True)),
    ("PUT", "/hot_cache/disable", _hot_cache(False)),
    ("GET", "/hot_cache/status", _hot_cache_status),
)
