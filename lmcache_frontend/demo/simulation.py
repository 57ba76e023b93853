# SPDX-License-Identifier: Apache-2.0
"""The cache engine of a simulated in-process worker: requests run over a real LRU, so that its figures belong together.

Advanced by whoever asks for figures, never by a thread; the time is passed in. Pure. What the counters mean:
LMCache 0.5.6, ``observability.py``.
"""

from __future__ import annotations

from typing import NamedTuple

from lmcache_frontend.demo.chunk_cache import ChunkCache
from lmcache_frontend.demo.families import IN_PROCESS
from lmcache_frontend.demo.figures import Figures, IntervalShare
from lmcache_frontend.demo.traffic import CHUNK_TOKENS, Pace, Prompt, Traffic

CHUNK_BYTES = 64 * 1024 * 1024

_BOUNDS = {family.name: family.bounds for family in IN_PROCESS if family.kind == "histogram"}
_VLLM_BLOCK_TOKENS = 16
_SLOW_TOKENS_PER_S = 12_000


class Load(NamedTuple):
    """What a node is given to do: its seed, requests per second, room in chunks, and requests it has had already."""

    seed: int
    rate_per_s: float
    capacity_chunks: int
    warm_up_requests: int


class Switches:
    """What an operator has turned on or off, and the shortest retrieve worth its while."""

    __slots__ = ("backend_open", "bypassed", "frozen", "hot_cache", "min_retrieve_tokens")

    def __init__(self) -> None:
        """Start as a node does: everything at work."""
        self.frozen = False
        self.hot_cache = True
        self.bypassed = False
        self.backend_open = True
        self.min_retrieve_tokens = 0

    @property
    def reads(self) -> bool:
        """Say whether the CPU tier is looked into."""
        return self.backend_open and not self.bypassed

    @property
    def keeps(self) -> bool:
        """Say whether the CPU tier keeps what is stored."""
        return self.reads and self.hot_cache


class Engine:
    """A cache engine with traffic of its own."""

    __slots__ = (
        *("_load", "_pace", "_speed", "_traffic", "cache", "chunks_fresh", "chunks_seen", "figures", "lookups"),
        *("pinned", "requests", "retrieves", "started_at", "switches"),
    )

    def __init__(self, load: Load, now: float) -> None:
        """Start long enough before ``now`` (seconds since the epoch) for the requests of the warm-up."""
        self._load = load
        self.started_at = now - load.warm_up_requests / load.rate_per_s - 1.0
        self._traffic = Traffic(load.seed)
        self._pace = Pace(load.rate_per_s, self._traffic.random.random(), now)
        self._speed = 28_000 + 30_000 * self._traffic.random.random()
        self.cache = ChunkCache(load.capacity_chunks)
        self.figures = Figures(_BOUNDS, self.started_at)
        self.switches = Switches()
        self.retrieves = IntervalShare(1.0, now)
        self.lookups = IntervalShare(0.0, now)
        self.pinned = 0
        self.requests = 0
        self.chunks_seen = 0
        self.chunks_fresh = 0

    def advance(self, now: float) -> None:
        """Handle the requests due by now; the first call handles those of the warm-up as well."""
        if self._load.warm_up_requests:
            count, self._load = self._load.warm_up_requests, self._load._replace(warm_up_requests=0)
            gap_s = 1 / self._load.rate_per_s
            for step in range(count):
                self._handle(self.started_at + 1.0 + step * gap_s)
        for at in self._pace.due(now):
            self._handle(at)
        self.retrieves.pass_time(now)
        self.lookups.pass_time(now)

    def rate_per_s(self, now: float) -> float:
        """Give the requests per second at a time."""
        return self._pace.rate_per_s(now)

    def store(self, chunks: list[int], now: float) -> None:
        """Store those chunks that are not held already, as after a prefill."""
        if self.switches.frozen or not chunks:
            return
        figures, draw = self.figures, self._traffic.random.random
        tokens = len(chunks) * CHUNK_TOKENS
        figures.add("num_store_requests")
        figures.add("num_stored_tokens", tokens)
        speed = self._speed * (0.6 + 0.6 * draw())
        duration_s = 0.0008 + tokens / speed
        figures.observe("time_to_store", duration_s)
        figures.observe("store_process_tokens_time", duration_s * 0.06)
        figures.observe("store_from_gpu_time", duration_s * 0.8)
        figures.observe("store_put_time", duration_s * 0.1)
        figures.observe("store_speed", tokens / duration_s)
        if not self.switches.keeps:
            return
        evicted = self.cache.put([chunk for chunk in chunks if chunk not in self.cache], now)
        if evicted:
            figures.add("local_cpu_evict_count")
            figures.add("local_cpu_evict_keys_count", len(evicted))

    def retrieve(self, chunks: list[int], wanted_tokens: int, now: float) -> int:
        """Load the leading chunks that are held, of which so many tokens are wanted, and give the tokens found."""
        figures, draw = self.figures, self._traffic.random.random
        held = chunks[: self.found(chunks)]
        tokens = min(wanted_tokens, len(held) * CHUNK_TOKENS)
        if tokens > CHUNK_TOKENS and draw() < 0.01:
            tokens -= CHUNK_TOKENS  # evicted between the lookup and the retrieve
        figures.add("num_retrieve_requests")
        figures.add("num_requested_tokens", wanted_tokens)
        figures.add("num_hit_tokens", tokens)
        self.retrieves.add(tokens, wanted_tokens)
        slow = 4.0 if draw() < 0.01 else 1.0
        duration_s = 0.0006 + slow * tokens / (self._speed * (0.8 + 0.5 * draw()))
        figures.observe("time_to_retrieve", duration_s)
        figures.observe("retrieve_process_tokens_time", duration_s * 0.05)
        figures.observe("retrieve_broadcast_time", duration_s * 0.01)
        figures.observe("retrieve_to_gpu_time", duration_s * 0.85)
        speed = tokens / duration_s
        figures.observe("retrieve_speed", speed)
        if speed < _SLOW_TOKENS_PER_S:
            figures.add("num_slow_retrieval_by_speed")
        if held:
            figures.observe("request_cache_lifespan", self.cache.age_s(held[-1], now) / 60)
            self.cache.touch(held)
        return tokens

    def found(self, chunks: list[int]) -> int:
        """Give how many leading chunks can be read."""
        return self.cache.prefix(chunks) if self.switches.reads else 0

    def _handle(self, now: float) -> None:
        prompt = self._traffic.next_prompt()
        self.chunks_seen += len(prompt.chunks)
        self.chunks_fresh += prompt.fresh_chunks
        self.requests += 1
        found = self._look_up(prompt)
        held_by_vllm = self._held_by_vllm(found)
        self.figures.add("num_prompt_tokens", prompt.tokens)
        self.figures.add("num_vllm_hit_tokens", held_by_vllm)
        wanted = found * CHUNK_TOKENS - held_by_vllm
        if wanted > 0 and wanted >= self.switches.min_retrieve_tokens:
            self.retrieve(prompt.chunks[:found], wanted, now)
        self.store(prompt.chunks[found:], now)
        self.pinned = int(self._traffic.random.random() * 3)
        self.retrieves.pass_time(now)
        self.lookups.pass_time(now)

    def _look_up(self, prompt: Prompt) -> int:
        figures = self.figures
        found = self.found(prompt.chunks)
        tokens = found * CHUNK_TOKENS
        figures.add("num_lookup_requests")
        figures.add("num_lookup_tokens", prompt.tokens)
        figures.add("num_lookup_hits", tokens)
        if not found:
            figures.add("lookup_0_hit_requests")
        self.lookups.add(tokens, prompt.tokens)
        figures.observe("time_to_lookup", 0.0002 + 0.00003 * len(prompt.chunks) * (1 + self._traffic.random.random()))
        figures.observe("request_cache_hit_rate", tokens / prompt.tokens)
        return found

    def _held_by_vllm(self, found: int) -> int:
        """Give the tokens that vLLM's own prefix cache still has: none in half of the cases."""
        draw = self._traffic.random.random
        if draw() < 0.5:
            return 0
        return int(found * CHUNK_TOKENS * 0.6 * draw()) // _VLLM_BLOCK_TOKENS * _VLLM_BLOCK_TOKENS
