# SPDX-License-Identifier: Apache-2.0
"""A simulated in-process worker or scheduler: its state and its metrics. What it answers is in the modules beside.

A scheduler has no cache engine of its own: its simulation only stands for the requests it hands out.
Source: LMCache 0.5.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from lmcache_frontend.demo import loggers, periodic, threads
from lmcache_frontend.demo.exposition_text import Process, render_in_process
from lmcache_frontend.demo.figures import Figures
from lmcache_frontend.demo.inprocess import keys
from lmcache_frontend.demo.node import MODEL, Node, base_environment
from lmcache_frontend.demo.simulation import CHUNK_BYTES, Engine, Load

LOCAL_CPU = "LocalCPUBackend"
LAYERS = 64

_PORT_START = 6999


class Place(NamedTuple):
    """Where a node stands: its instance, ``worker`` or ``scheduler``, its number, and the prefix of its socket.

    ``worker_count`` is how many workers the instance has.
    """

    instance: str
    role: str
    worker_id: int
    socket_prefix: str
    worker_count: int = 1


class Statistics(NamedTuple):
    """Requests, chunks and chunks never seen before."""

    requests: int
    chunks: int
    unique_chunks: int

    def minus(self, other: Statistics) -> Statistics:
        """Give the difference."""
        return Statistics(
            self.requests - other.requests, self.chunks - other.chunks, self.unique_chunks - other.unique_chunks
        )


class InProcessState(Node):
    """The state of an in-process node."""

    __slots__ = (
        *("_own_figures", "backends", "bypassed", "engine", "lookup", "place", "record_slots", "settings"),
        *("statistics_base", "statistics_stopped"),
    )

    loggers = loggers.IN_PROCESS
    periodic_threads = periodic.IN_PROCESS
    stuck_thread = "PinMonitor-thread"
    defaults: ClassVar[Mapping[str, Any]] = keys.DEFAULTS

    def __init__(self, place: Place, load: Load, clock: Callable[[], float]) -> None:
        """Make the node of a place under a load; ``clock`` gives seconds since the epoch."""
        number = "" if place.role == "scheduler" else str(place.worker_id)
        super().__init__(f"{place.instance}_{place.role}{number}", load.seed, clock)
        self.place = place
        self.engine = Engine(load, clock())
        self._own_figures = Figures({}, self.engine.started_at)
        self.settings: dict[str, Any] = {
            "max_local_cpu_size": load.capacity_chunks * CHUNK_BYTES / 1024**3,
            "lmcache_instance_id": place.instance,
            "internal_api_server_enabled": True,
            "internal_api_server_port_start": _PORT_START,
            "internal_api_server_socket_path_prefix": place.socket_prefix,
            "enable_chunk_statistics": True,
        }
        self.backends = {LOCAL_CPU: LOCAL_CPU}
        self.bypassed: list[str] = []
        self.record_slots = False
        self.lookup = self.lookup_type()
        self.statistics_base = Statistics(0, 0, 0)
        self.statistics_stopped: Statistics | None = None

    @property
    def is_scheduler(self) -> bool:
        """Say whether this is a scheduler, which has no engine."""
        return self.place.role == "scheduler"

    @property
    def started_at(self) -> float:
        """Give the time at which the process started, in seconds since the epoch."""
        return self.engine.started_at

    @property
    def threads(self) -> Sequence[threads.Thread]:
        """Give the threads of the process."""
        return threads.SCHEDULER if self.is_scheduler else threads.WORKER

    @property
    def figures(self) -> Figures:
        """Give what ``/metrics`` shows and a reset clears."""
        return self._own_figures if self.is_scheduler else self.engine.figures

    def setting(self, key: str) -> Any:
        """Give the value of a configuration key."""
        return self.settings.get(key, self.defaults.get(key))

    def lookup_type(self) -> str:
        """Give the type of lookup client or server that the configuration asks for."""
        if not self.is_scheduler:
            return "LMCacheLookupServer"
        plain = "LMCacheLookupClient"
        return f"ChunkStatisticsLookupClient({plain})" if self.setting("enable_chunk_statistics") else plain

    def statistics(self) -> Statistics:
        """Give the chunk statistics since they were reset, without the time they were stopped."""
        now = self.statistics_stopped or self.statistics_now()
        return now.minus(self.statistics_base)

    def statistics_now(self) -> Statistics:
        """Give the chunk statistics since the start."""
        return Statistics(self.engine.requests, self.engine.chunks_seen, self.engine.chunks_fresh)

    def advance(self, now: float) -> None:
        """Let the simulation catch up with the time."""
        self.engine.advance(now)

    def metrics(self, now: float) -> str:
        """Give the text of ``/metrics``."""
        labels = {
            "model_name": MODEL,
            "role": self.place.role,
            "served_model_name": "",
            "worker_id": str(self.place.worker_id),
        }
        uptime_s = now - self.started_at
        held_bytes = 0 if self.is_scheduler else len(self.engine.cache) * CHUNK_BYTES
        process = Process(self.started_at, uptime_s, 924_553_216 + held_bytes, 17)
        gauges = self._scheduler_gauges(now) if self.is_scheduler else self._worker_gauges()
        return render_in_process(process, labels, self.figures, {**gauges, **self._thread_gauges()})

    def environment(self) -> dict[str, str]:
        """Give the made-up environment."""
        return {
            **base_environment(self.name),
            "CUDA_VISIBLE_DEVICES": str(self.place.worker_id),
            "LMCACHE_CHUNK_SIZE": str(self.setting("chunk_size")),
            "LMCACHE_INTERNAL_API_SERVER_ENABLED": "true",
            "LMCACHE_INTERNAL_API_SERVER_SOCKET_PATH_PREFIX": self.place.socket_prefix,
            "LMCACHE_LMCACHE_INSTANCE_ID": self.place.instance,
            "LMCACHE_MAX_LOCAL_CPU_SIZE": str(self.setting("max_local_cpu_size")),
        }

    def _worker_gauges(self) -> dict[str, float]:
        engine, held = self.engine, len(self.engine.cache)
        return {
            "retrieve_hit_rate": engine.retrieves.share,
            "lookup_hit_rate": engine.lookups.share,
            "local_cache_usage": held * CHUNK_BYTES,
            "active_memory_objs_count": held,
            "pinned_memory_objs_count": engine.pinned,
            "pin_monitor_pinned_objects_count": engine.pinned,
            "local_cpu_hot_cache_count": held,
            "lmcache_is_healthy": 1,
            "connector_kv_caches_count": LAYERS,
        }

    def _scheduler_gauges(self, now: float) -> dict[str, float]:
        waiting = int(self.engine.rate_per_s(now) * 2 + self.engine.pinned)
        gauges: dict[str, float] = {
            "retrieve_hit_rate": 1,
            "lmcache_is_healthy": 1,
            "scheduler_unfinished_requests_count": waiting,
            "connector_request_trackers_count": waiting,
            "connector_load_specs_count": self.engine.pinned,
        }
        if self.lookup.startswith("ChunkStatistics"):
            seen = self.statistics()
            gauges |= {
                "chunk_statistics_enabled": float(self.statistics_stopped is None),
                "chunk_statistics_total_requests": seen.requests,
                "chunk_statistics_total_chunks": seen.chunks,
                "chunk_statistics_unique_chunks": seen.unique_chunks,
                "chunk_statistics_reuse_rate": 1 - seen.unique_chunks / seen.chunks if seen.chunks else 0,
            }
        return gauges

    def _thread_gauges(self) -> dict[str, float]:
        summary = periodic.summarise(self.watch)
        gauges: dict[str, float] = {
            f"periodic_threads_{name}": summary[name] for name in ("total_count", "running_count", "active_count")
        }
        for level, counts in summary["by_level"].items():
            gauges |= {f"periodic_threads_{level}_{state}": count for state, count in counts.items()}
        return gauges
