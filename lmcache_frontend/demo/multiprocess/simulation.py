# SPDX-License-Identifier: Apache-2.0
"""The cache of a simulated MP server: lookups over an L1 that is emptied in part when it passes its watermark.

There is no L2, as on a server without adapters. Advanced by whoever asks; the time is passed in. Pure.
Source: LMCache 0.5.6, ``mp_observability/subscribers/metrics``.
"""

from __future__ import annotations

from typing import NamedTuple

from lmcache_frontend.demo.chunk_cache import ChunkCache
from lmcache_frontend.demo.figures import Figures
from lmcache_frontend.demo.simulation import CHUNK_BYTES, Load
from lmcache_frontend.demo.traffic import CHUNK_TOKENS, Pace, Traffic

WATERMARK = 0.8
EVICTION_RATIO = 0.2
GPUS = 2
EVENTS_KEPT = 32768

# What OpenTelemetry uses where an instrument names no bounds, and what LMCache names for lifetimes.
_DEFAULT_BOUNDS = tuple(
    float(bound) for bound in (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
)
_LIFETIME_BOUNDS = tuple(float(bound) for bound in (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600))
_BOUNDS = {
    "l0_l1_store_throughput": _DEFAULT_BOUNDS,
    "l0_l1_load_throughput": _DEFAULT_BOUNDS,
    "l1_chunk_lifetime": _LIFETIME_BOUNDS,
}
_SAMPLED_EVERY = 16


class Usage(NamedTuple):
    """What L1 holds and could hold."""

    chunks: int
    used_bytes: int
    total_bytes: int

    @property
    def ratio(self) -> float:
        """Give the share in use, 0 to 1."""
        return self.used_bytes / self.total_bytes


class ServerEngine:
    """The cache engine of an MP server with traffic of its own."""

    __slots__ = ("_load", "_pace", "_sampled", "_traffic", "cache", "figures", "sessions", "started_at")

    def __init__(self, load: Load, now: float) -> None:
        """Start long enough before ``now`` (seconds since the epoch) for the requests of the warm-up."""
        self._load = load
        self.started_at = now - load.warm_up_requests / load.rate_per_s - 1.0
        self._traffic = Traffic(load.seed)
        self._pace = Pace(load.rate_per_s, self._traffic.random.random(), now)
        self.cache = ChunkCache(load.capacity_chunks)
        self.figures = Figures(_BOUNDS, self.started_at)
        self.sessions = 0
        self._sampled = 0

    def advance(self, now: float) -> None:
        """Handle the requests due by now; the first call handles those of the warm-up as well."""
        if self._load.warm_up_requests:
            count, self._load = self._load.warm_up_requests, self._load._replace(warm_up_requests=0)
            for step in range(count):
                self._handle(self.started_at + 1.0 + step / self._load.rate_per_s)
        for at in self._pace.due(now):
            self._handle(at)

    @property
    def events(self) -> int:
        """Give the number of cache events so far: chunks written and evicted."""
        counters = self.figures.counters
        return counters.get("l1_write_chunks", 0) + counters.get("l1_evicted_chunks", 0)

    def usage(self) -> Usage:
        """Give the state of L1."""
        return Usage(len(self.cache), len(self.cache) * CHUNK_BYTES, self.cache.capacity_chunks * CHUNK_BYTES)

    def _handle(self, now: float) -> None:
        draw, figures = self._traffic.random.random, self.figures
        chunks = self._traffic.next_prompt().chunks
        found = self.cache.prefix(chunks)
        figures.add("lookups_requests")
        figures.add("lookup_requested_tokens", len(chunks) * CHUNK_TOKENS)
        figures.add("lookup_hit_tokens", found * CHUNK_TOKENS)
        figures.add("lookup_hit_l1_keys", found)
        self.sessions = int(draw() * 6)
        device = int(draw() * GPUS)
        if found:
            self.cache.touch(chunks[:found])
            figures.add("l1_read_chunks", found)
            figures.add(f"retrieves_{device}")
            figures.observe("l0_l1_load_throughput", 14 + 8 * draw())
        self._store(chunks[found:], device, now)

    def _store(self, chunks: list[int], device: int, now: float) -> None:
        draw, figures = self._traffic.random.random, self.figures
        new = [chunk for chunk in chunks if chunk not in self.cache]
        evicted = self.cache.put(new, now)
        figures.add("l1_write_chunks", len(new))
        figures.add(f"stores_{device}")
        figures.observe("l0_l1_store_throughput", 10 + 6 * draw())
        held = len(self.cache)
        if held >= WATERMARK * self.cache.capacity_chunks:
            figures.add("l1_eviction_loop_triggered")
            evicted += self.cache.evict(int(held * EVICTION_RATIO), now)
        if not evicted:
            return
        figures.add("l1_evicted_chunks", len(evicted))
        for age_s in evicted:
            self._sampled += 1
            if self._sampled % _SAMPLED_EVERY == 0:
                figures.observe("l1_chunk_lifetime", age_s)
