# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.demo.figures import IntervalShare
from lmcache_frontend.demo.simulation import Engine, Load
from lmcache_frontend.demo.traffic import CHUNK_TOKENS

START = 5_000_000.0


def engine(**changes):
    return Engine(Load(seed=3, rate_per_s=1.0, capacity_chunks=150, warm_up_requests=0)._replace(**changes), START)


def check_sums(node):
    counters = node.figures.counters
    histograms = {name: histogram.count for name, histogram in node.figures.histograms.items()}
    assert counters["num_lookup_hits"] <= counters["num_lookup_tokens"]
    assert counters["num_hit_tokens"] <= counters["num_requested_tokens"] <= counters["num_lookup_hits"]
    assert counters["num_requested_tokens"] + counters["num_vllm_hit_tokens"] <= counters["num_lookup_hits"]
    assert counters["num_prompt_tokens"] == counters["num_lookup_tokens"]
    assert histograms["time_to_lookup"] == counters["num_lookup_requests"] == histograms["request_cache_hit_rate"]
    for name in ("time_to_retrieve", "retrieve_speed", "retrieve_to_gpu_time"):
        assert histograms.get(name, 0) == counters.get("num_retrieve_requests", 0)
    for name in ("time_to_store", "store_speed", "store_put_time"):
        assert histograms.get(name, 0) == counters.get("num_store_requests", 0)
    evicted = counters.get("local_cpu_evict_keys_count", 0)
    assert counters["num_stored_tokens"] // CHUNK_TOKENS >= len(node.cache) + evicted
    assert counters.get("local_cpu_evict_count", 0) <= evicted


@pytest.mark.parametrize("seed", [1, 2])
def test_figures_belong_together_over_thousands_of_requests(seed):
    node = engine(seed=seed)
    evicted_before = 0
    for step in range(1, 400):
        node.advance(START + 15.0 * step)
        if not node.figures.counters.get("num_retrieve_requests"):
            continue
        check_sums(node)
        evicted = node.figures.counters.get("local_cpu_evict_keys_count", 0)
        if evicted > evicted_before:
            assert len(node.cache) == 150
        evicted_before = evicted
    assert node.requests > 4000
    assert evicted_before > 1000


def test_a_larger_cache_hits_more_and_evicts_less():
    small, large = engine(capacity_chunks=100), engine(capacity_chunks=400)
    for node in (small, large):
        for step in range(1, 20):
            node.advance(START + 100.0 * step)
    assert large.figures.counters["num_lookup_hits"] > 1.2 * small.figures.counters["num_lookup_hits"]
    assert large.figures.counters["local_cpu_evict_keys_count"] < small.figures.counters["local_cpu_evict_keys_count"]


def test_the_same_seed_and_times_give_the_same_figures():
    one, two = engine(warm_up_requests=50), engine(warm_up_requests=50)
    for node in (one, two):
        node.advance(START + 60)
    assert one.figures.counters == two.figures.counters
    assert one.requests >= 50


def test_the_warm_up_is_handled_once_and_lies_before_the_start():
    node = engine(warm_up_requests=200)
    assert node.started_at == START - 201.0
    node.advance(START)
    assert node.requests == 200
    node.advance(START)
    assert node.requests == 200


def test_frozen_nothing_is_stored_and_the_content_stays():
    node = engine(warm_up_requests=100)
    node.advance(START)
    before, held = dict(node.figures.counters), len(node.cache)
    node.switches.frozen = True
    node.advance(START + 200)
    after = node.figures.counters
    assert after["num_store_requests"] == before["num_store_requests"]
    assert after["num_stored_tokens"] == before["num_stored_tokens"]
    assert after["num_retrieve_requests"] > before["num_retrieve_requests"]
    assert len(node.cache) == held


@pytest.mark.parametrize("switch", ["bypassed", "backend_open"])
def test_without_the_backend_nothing_is_found_or_kept(switch):
    node = engine(warm_up_requests=100)
    node.advance(START)
    before, held = dict(node.figures.counters), len(node.cache)
    setattr(node.switches, switch, switch == "bypassed")
    node.advance(START + 60)
    after = node.figures.counters
    assert after["num_lookup_hits"] == before["num_lookup_hits"]
    misses = after.get("lookup_0_hit_requests", 0) - before.get("lookup_0_hit_requests", 0)
    assert misses == after["num_lookup_requests"] - before["num_lookup_requests"] > 0
    assert len(node.cache) == held


def test_short_retrieves_can_be_turned_down():
    node = engine(warm_up_requests=100)
    node.switches.min_retrieve_tokens = 10**6
    node.advance(START)
    assert "num_retrieve_requests" not in node.figures.counters
    assert node.figures.counters["num_lookup_hits"] > 0


def test_after_a_reset_all_starts_at_zero_and_every_histogram_shows():
    node = engine(warm_up_requests=100)
    node.advance(START)
    held = len(node.cache)
    node.figures.reset(START)
    assert node.figures.counters == {}
    assert len(node.figures.histograms) == 20
    assert {histogram.count for histogram in node.figures.histograms.values()} == {0}
    assert len(node.cache) == held
    node.advance(START + 100)
    check_sums_after_reset(node)


def check_sums_after_reset(node):
    counters, histograms = node.figures.counters, node.figures.histograms
    assert histograms["time_to_lookup"].count == counters["num_lookup_requests"] > 0
    assert counters["num_lookup_hits"] <= counters["num_lookup_tokens"]


def test_the_share_of_an_interval_shows_once_it_is_over():
    share = IntervalShare(1.0, START)
    share.add(30, 40)
    share.pass_time(START + 9)
    assert share.share == 1.0
    share.pass_time(START + 10)
    assert share.share == 0.75
    share.pass_time(START + 20)
    assert share.share == 1.0
