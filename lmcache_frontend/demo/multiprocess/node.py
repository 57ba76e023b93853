# SPDX-License-Identifier: Apache-2.0
"""A simulated LMCache 0.5.6 MP server with everything it answers.

It has an L1 and no L2 adapters. Source: LMCache 0.5.6, ``multiprocess/http_apis`` and a running server.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from lmcache_frontend.demo import loggers, periodic, threads
from lmcache_frontend.demo.answers import (
    Answer,
    Handler,
    Request,
    Router,
    Unprocessable,
    compact,
    plain,
    pretty,
    read_json,
)
from lmcache_frontend.demo.multiprocess.configuration import configuration
from lmcache_frontend.demo.multiprocess.metrics import render_server
from lmcache_frontend.demo.multiprocess.simulation import ServerEngine
from lmcache_frontend.demo.multiprocess.status import describe_status
from lmcache_frontend.demo.node import COMMON_ROUTES, Node, base_environment, run_script_off
from lmcache_frontend.demo.simulation import Load

_GIB = 1024**3
_NO_L2 = {"detail": "no L2 adapters configured"}
_DEFAULT_SALT = "_default"


class MultiprocessState(Node):
    """The state of an MP server."""

    __slots__ = ("engine", "http_port", "instance_id", "quotas_bytes")

    loggers = loggers.MULTIPROCESS
    periodic_threads = periodic.MULTIPROCESS
    stuck_thread = "DeviceHostFuncDispatcher"

    def __init__(self, name: str, load: Load, clock: Callable[[], float]) -> None:
        """Make a server under a load; ``clock`` gives seconds since the epoch."""
        super().__init__(name, load.seed, clock)
        self.engine = ServerEngine(load, clock())
        self.instance_id = str(uuid.UUID(int=load.seed * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128, version=4))
        self.http_port = 8080
        self.quotas_bytes: dict[str, int] = {}

    @property
    def started_at(self) -> float:
        """Give the time at which the process started, in seconds since the epoch."""
        return self.engine.started_at

    @property
    def threads(self) -> Sequence[threads.Thread]:
        """Give the threads of the process."""
        return threads.MULTIPROCESS

    def advance(self, now: float) -> None:
        """Let the simulation catch up with the time."""
        self.engine.advance(now)

    def metrics(self, now: float) -> str:
        """Give the text of ``/metrics``."""
        return render_server(self.engine, self.instance_id, now)

    def environment(self) -> dict[str, str]:
        """Give the made-up environment."""
        return {**base_environment(self.name), "CUDA_VISIBLE_DEVICES": "0,1", "LMCACHE_MP_HTTP_PORT": "8080"}


def _root(node: MultiprocessState, request: Request) -> Answer:
    return compact({"status": "ok", "service": "LMCache HTTP API"})


def _health_check(node: MultiprocessState, request: Request) -> Answer:
    return compact({"status": "healthy"})


def _config(node: MultiprocessState, request: Request) -> Answer:
    return pretty(configuration(node.instance_id, node.engine.usage().total_bytes, node.http_port))


def _adapters(node: MultiprocessState, request: Request) -> Answer:
    return compact({"adapters": []})


def _status(node: MultiprocessState, request: Request) -> Answer:
    return compact(describe_status(node.engine))


def _quotas(node: MultiprocessState, request: Request) -> Answer:
    users = {
        salt: {"limit_gb": limit / _GIB, "current_usage_gb": _used_gb(node, salt)}
        for salt, limit in node.quotas_bytes.items()
    }
    return compact({"users": users})


def _quota(node: MultiprocessState, request: Request) -> Answer:
    salt = request.variables["cache_salt"]
    return compact(
        {
            "cache_salt": salt,
            "limit_gb": node.quotas_bytes.get(salt, 0) / _GIB,
            "current_usage_gb": _used_gb(node, salt),
            "exists": salt in node.quotas_bytes,
        }
    )


def _set_quota(node: MultiprocessState, request: Request) -> Answer:
    try:
        body = read_json(request.body)
    except ValueError:
        return compact({"error": "invalid JSON body"}, 400)
    if not isinstance(body, dict) or "limit_gb" not in body:
        return compact({"error": "body must be {'limit_gb': <float>}"}, 400)
    try:
        limit_gb = float(body["limit_gb"])
    except (TypeError, ValueError):
        return compact({"error": "limit_gb must be numeric"}, 400)
    if not math.isfinite(limit_gb):
        return compact({"error": "limit_gb must be finite"}, 400)
    if limit_gb < 0:
        return compact({"error": "limit_gb must be non-negative"}, 400)
    salt = request.variables["cache_salt"]
    node.quotas_bytes[salt] = int(limit_gb * _GIB)
    return compact({"cache_salt": salt, "limit_gb": limit_gb, "status": "ok"})


def _delete_quota(node: MultiprocessState, request: Request) -> Answer:
    salt = request.variables["cache_salt"]
    removed = node.quotas_bytes.pop(salt, None) is not None
    return compact({"cache_salt": salt, "status": "removed" if removed else "not_found"})


def _used_gb(node: MultiprocessState, salt: str) -> float:
    """Give what a salt holds: all the traffic comes without one."""
    return node.engine.usage().used_bytes / _GIB if salt == _DEFAULT_SALT else 0.0


def _clear(node: MultiprocessState, request: Request) -> Answer:
    try:
        body = read_json(request.body) if request.body else {}
    except ValueError:
        raise Unprocessable("json_invalid", ("body",), "JSON decode error", {}) from None
    tier = body.get("tier", "l1") if isinstance(body, dict) else "l1"
    if tier != "l1":
        return compact({"detail": f"tier {tier!r} not supported; only 'l1'"}, 400)
    node.engine.cache.clear()
    return compact({"status": "ok", "cleared": {"tier": "l1"}})


def _no_objects(node: MultiprocessState, request: Request) -> Answer:
    return compact(_NO_L2, 503)


def _submit_prefetch(node: MultiprocessState, request: Request) -> Answer:
    return compact({"chunks": 0, "status": "noop"}, 202)


def _no_prefetch(node: MultiprocessState, request: Request) -> Answer:
    return compact({"detail": f"unknown request_id '{request.variables['request_id']}'"}, 404)


def _no_checksums(node: MultiprocessState, request: Request) -> Answer:
    return compact({"detail": "instance_id not found"}, 404)


def _reconfigure_status(node: MultiprocessState, request: Request) -> Answer:
    backend = request.variables["backend"]
    return compact({"enabled": False, "backend": backend, "num_adapters": 0, "adapters": []})


def _no_reconfiguration(node: MultiprocessState, request: Request) -> Answer:
    return compact({"error": "no reconfigurable backend"}, 409)


def _metrics_reset(node: MultiprocessState, request: Request) -> Answer:
    """Change nothing: the reset of a real MP server does not reach its metrics."""
    return plain("ok")


_ROUTES: tuple[tuple[str, str, Handler[Any]], ...] = (
    ("GET", "/cache/objects", _no_objects),
    ("DELETE", "/cache/objects", _no_objects),
    ("POST", "/cache/prefetches", _submit_prefetch),
    ("GET", "/cache/prefetches/{request_id}", _no_prefetch),
    ("POST", "/cache/clear", _clear),
    ("POST", "/cache/checksums", _no_checksums),
    ("POST", "/metrics/reset", _metrics_reset),
    ("POST", "/run_script", run_script_off),
    ("GET", "/config", _config),
    ("GET", "/config/adapters", _adapters),
    ("GET", "/", _root),
    ("GET", "/healthcheck", _health_check),
    ("GET", "/status", _status),
    ("GET", "/reconfigure/dax/l1/status", _no_reconfiguration),
    ("POST", "/reconfigure/dax/l1/add", _no_reconfiguration),
    ("POST", "/reconfigure/dax/l1/remove", _no_reconfiguration),
    ("PUT", "/quota/{cache_salt}", _set_quota),
    ("GET", "/quota/{cache_salt}", _quota),
    ("DELETE", "/quota/{cache_salt}", _delete_quota),
    ("GET", "/quota", _quotas),
    ("GET", "/reconfigure/{backend}/l2/status", _reconfigure_status),
    ("POST", "/reconfigure/{backend}/l2/{operation}", _no_reconfiguration),
)


class MultiprocessNode(MultiprocessState):
    """An MP server: ask it with `answer`."""

    __slots__ = ()

    router: ClassVar[Router[Any]] = Router((*COMMON_ROUTES, *_ROUTES))
