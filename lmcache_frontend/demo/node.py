# SPDX-License-Identifier: Apache-2.0
"""What every simulated node has: one lock, a clock passed in, and the endpoints that all kinds of node share.

Answers open nothing and start nothing. Source: LMCache 0.5.6, ``internal_api_server/common`` and ``version_api.py``.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from lmcache_frontend.demo import loggers, periodic, threads
from lmcache_frontend.demo.answers import (
    Answer,
    Handler,
    Request,
    Router,
    compact,
    internal_error,
    plain,
    plain_json,
)

VERSION = "0.5.6"
COMMIT = "g3e11e108"
MODEL = "Qwen/Qwen3-32B"
# Faults that any node can have; `faults` has them all.
DOWN, SLOW, STRANGER, LATE_THREAD, STALE_METRICS = "down", "slow", "stranger", "late-thread", "stale-metrics"
_SLOW_S = 2.5

_RUN_SCRIPT_OFF = (
    "The /run_script API is disabled. It executes caller-supplied code in-process, so it is off by default; enable it "
    "explicitly with run_script_api_enabled (LMCACHE_RUN_SCRIPT_API_ENABLED=true, or --run-script-api-enabled on the "
    "standalone server) and only on a trusted network."
)


class Node(ABC):
    """A simulated node; `answer` may be called in any thread."""

    __slots__ = ("_lock", "clock", "fault", "log_levels", "name", "seed")

    router: ClassVar[Router[Any]]
    version: ClassVar[str] = VERSION
    # The thread that stands still where one does.
    stuck_thread: ClassVar[str]
    loggers: ClassVar[dict[str, str]]
    periodic_threads: ClassVar[Sequence[periodic.PeriodicThread]]

    def __init__(self, name: str, seed: int, clock: Callable[[], float]) -> None:
        """Take a name, a seed, and what gives the time in seconds since the epoch."""
        self.name = name
        self.seed = seed
        self.clock = clock
        self.log_levels: dict[str, str] = {}
        self.fault = ""
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, query: str = "", body: bytes = b"", *, host: str = "localhost") -> Answer:
        """Answer a request; ``path`` and ``query`` are as on the wire, ``host`` is the Host field."""
        with self._lock:
            self.advance(self.clock())
            if self.fault == STRANGER:
                return compact({"detail": "Not Found"}, 404)
            return self.router.answer(self, method, (path, query), body, host)

    @property
    def delay_s(self) -> float:
        """Give how long an answer takes: writing every line of a debug log takes its time."""
        return _SLOW_S if self.fault == SLOW and self.log_levels.get("lmcache") == "DEBUG" else 0.0

    @property
    def late_threads(self) -> tuple[str, ...]:
        """Give the periodic threads that stand still."""
        return (self.stuck_thread,) if self.fault == LATE_THREAD else ()

    @property
    def watch(self) -> periodic.Watch:
        """Give what `periodic` is to know."""
        return periodic.Watch(self.periodic_threads, self.started_at, self.clock(), self.late_threads)

    @property
    @abstractmethod
    def started_at(self) -> float:
        """Give the time at which the node's process started, in seconds since the epoch."""

    @property
    @abstractmethod
    def threads(self) -> Sequence[threads.Thread]:
        """Give the threads of the node's process."""

    @abstractmethod
    def advance(self, now: float) -> None:
        """Let the simulation catch up with the time."""

    @abstractmethod
    def metrics(self, now: float) -> str:
        """Give the text of ``/metrics``."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Give a made-up environment; that of this process is nobody's business."""


def run_script_off(node: Node, request: Request) -> Answer:
    """Answer ``/run_script`` as a node does where nobody turned it on."""
    return plain(_RUN_SCRIPT_OFF, 404)


def openapi(node: Node, request: Request) -> Answer:
    """List the paths in the frame of an OpenAPI document."""
    paths = {
        path: {method.lower(): {"responses": {"200": {"description": "Successful Response"}}} for method in methods}
        for path, methods in node.router.paths.items()
        if path != "/openapi.json"
    }
    return compact({"openapi": "3.1.0", "info": {"title": "FastAPI", "version": "0.1.0"}, "paths": paths})


def _version(node: Node, request: Request) -> Answer:
    return compact(f"{node.version}-{COMMIT}")


def _lmcache_version(node: Node, request: Request) -> Answer:
    return compact(node.version)


def _commit(node: Node, request: Request) -> Answer:
    return compact(COMMIT)


def _env(node: Node, request: Request) -> Answer:
    return plain_json(dict(sorted(node.environment().items())))


def _metrics(node: Node, request: Request) -> Answer:
    if node.fault == STALE_METRICS:
        return internal_error()
    return plain(node.metrics(node.clock()))


def _log_level(node: Node, request: Request) -> Answer:
    return loggers.answer_log_level(node.loggers, node.log_levels, request)


def _threads(node: Node, request: Request) -> Answer:
    listed = threads.with_stuck(node.threads, node.late_threads)
    return threads.answer_threads(listed, node.seed, node.clock(), request)


def _periodic_threads(node: Node, request: Request) -> Answer:
    return periodic.answer_list(node.watch, request)


def _periodic_thread(node: Node, request: Request) -> Answer:
    return periodic.answer_one(node.watch, request)


def _periodic_health(node: Node, request: Request) -> Answer:
    return periodic.answer_health(node.watch)


COMMON_ROUTES: tuple[tuple[str, str, Handler[Any]], ...] = (
    ("GET", "/env", _env),
    ("GET", "/loglevel", _log_level),
    ("GET", "/metrics", _metrics),
    ("GET", "/periodic-threads", _periodic_threads),
    ("GET", "/periodic-threads/{thread_name}", _periodic_thread),
    ("GET", "/periodic-threads-health", _periodic_health),
    ("GET", "/threads", _threads),
    ("GET", "/version", _version),
    ("GET", "/lmc_version", _lmcache_version),
    ("GET", "/commit_id", _commit),
    ("GET", "/openapi.json", openapi),
)


def base_environment(name: str) -> dict[str, str]:
    """Give the variables that any node in this made-up cluster has; the secrets in it open nothing."""
    return {
        "CUDA_VISIBLE_DEVICES": "0",
        "HF_HOME": "/models/huggingface",
        "HF_TOKEN": f"not-a-real-token-{name}",
        "HOME": "/home/lmcache",
        "HOSTNAME": f"{name.replace('_', '-')}-7c9d5",
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "LANG": "C.UTF-8",
        "LMCACHE_LOG_LEVEL": "INFO",
        "NCCL_DEBUG": "WARN",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "POD_NAME": f"{name.replace('_', '-')}-7c9d5",
        "POD_NAMESPACE": "inference",
        "PYTHONHASHSEED": "0",
        "REDIS_PASSWORD": "not-a-real-password",
        "TZ": "UTC",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
