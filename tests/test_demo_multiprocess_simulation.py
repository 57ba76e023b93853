# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from lmcache_frontend.demo.multiprocess.simulation import EVICTION_RATIO, WATERMARK, ServerEngine
from lmcache_frontend.demo.simulation import CHUNK_BYTES, Load
from lmcache_frontend.demo.traffic import CHUNK_TOKENS

START = 5_000_000.0


def test_figures_belong_together_over_thousands_of_lookups():
    node = ServerEngine(Load(seed=4, rate_per_s=2.0, capacity_chunks=300, warm_up_requests=0), START)
    node.advance(START + 5)
    for step in range(1, 400):
        before = dict(node.figures.counters)
        node.advance(START + 5 + 8.0 * step)
        counters = node.figures.counters
        usage = node.usage()
        assert counters["lookup_hit_tokens"] == counters["lookup_hit_l1_keys"] * CHUNK_TOKENS
        assert counters["lookup_hit_tokens"] <= counters["lookup_requested_tokens"]
        assert counters["l1_read_chunks"] == counters["lookup_hit_l1_keys"]
        assert usage.chunks == counters["l1_write_chunks"] - counters.get("l1_evicted_chunks", 0)
        assert usage.used_bytes == usage.chunks * CHUNK_BYTES
        assert usage.ratio < WATERMARK
        stored = counters["stores_0"] + counters["stores_1"]
        assert stored == counters["lookups_requests"]
        if counters.get("l1_evicted_chunks") == before.get("l1_evicted_chunks"):
            assert counters.get("l1_eviction_loop_triggered") == before.get("l1_eviction_loop_triggered")
    assert counters["lookups_requests"] > 5000
    assert counters["l1_eviction_loop_triggered"] > 50


def test_eviction_frees_a_part_of_what_is_held_at_the_watermark():
    node = ServerEngine(Load(seed=4, rate_per_s=2.0, capacity_chunks=300, warm_up_requests=0), START)
    second = 0
    while not node.figures.counters.get("l1_eviction_loop_triggered") and second < 2000:
        second += 1
        node.advance(START + second)
    evicted = node.figures.counters["l1_evicted_chunks"]
    assert evicted >= int(WATERMARK * 300 * EVICTION_RATIO)
    assert node.usage().chunks >= int((1 - EVICTION_RATIO) * WATERMARK * 300)
