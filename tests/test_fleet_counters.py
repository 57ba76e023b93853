# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from math import inf, isnan

import pytest

from lmcache_frontend.fleet.counters import (
    COUNTERS,
    FAMILIES,
    Counters,
    counter_position,
    histogram_position,
    restarted,
)
from lmcache_frontend.fleet.tally import sum_of, tally_of
from tests.helpers.fleet import histogram, reading

MP = "lmcache_mp_event_bus_queue_depth 0\n"
NO_SIZES = (0.0, 0.0, 0.0, 0.0)


def count(counters: Counters, name: str) -> float | None:
    value = counters.counts[counter_position(name)]
    return None if isnan(value) else value


def test_samples_of_a_family_add_up_over_their_labels() -> None:
    text = 'lmcache:num_lookup_tokens_total{model_name="a"} 5\nlmcache:num_lookup_tokens_total{model_name="b"} 7\n'
    assert count(reading(0, text), "lookup_tokens") == 12


def test_a_family_that_is_missing_is_not_zero() -> None:
    assert all(count(reading(0, "up 1\n"), name) is None for name in COUNTERS)


def test_a_family_without_samples_has_counted_nothing() -> None:
    assert count(reading(0, "# TYPE lmcache:num_lookup_tokens_total counter\n"), "lookup_tokens") == 0


def test_impossible_values_are_not_counted() -> None:
    text = 'lmcache:num_lookup_tokens_total NaN\nlmcache:num_lookup_hits_total{a="1"} +Inf\n'
    found = reading(0, text + 'lmcache:num_lookup_hits_total{a="2"} 3\n')
    assert count(found, "lookup_tokens") is None
    assert count(found, "lookup_hits") == 3


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("lmcache_mp:l1_evicted_keys_total", "evictions"),
        ("lmcache_mp_l1_evicted_keys_total", "evictions"),
        ("lmcache_mp_l1_evicted_chunks_total", "evictions"),
        ("lmcache_mp_l1_allocation_failure_total", "allocation_failures"),
        ("lmcache_mp_l2_prefetch_failed_keys_total", "prefetch_failures"),
        ("lmcache_mp_l2_load_completed_total", "l2_loads"),
        ("lmcache_mp_l2_store_completed_total", "l2_stores"),
        ("lmcache_mp:l1_write_keys_total", "l1_writes"),
    ],
)
def test_old_names_count_where_they_mean_the_same(family: str, name: str) -> None:
    assert family in FAMILIES
    assert count(reading(0, f"{MP}{family} 4\n"), name) == 4


def test_of_two_names_of_one_thing_the_newer_counts() -> None:
    text = f"{MP}lmcache_mp_l2_prefetch_failure_total 3\nlmcache_mp_l2_prefetch_failed_keys_total 5\n"
    assert count(reading(0, text), "prefetch_failures") == 3


def test_an_idle_mp_server_shows_few_families_and_has_counted_nothing() -> None:
    found = reading(0, MP)
    assert count(found, "lookup_tokens") == count(found, "evictions") == count(found, "retrieves") == 0
    assert count(found, "tokens_stored") is None
    assert found.histograms[histogram_position("l1_load")] is not None


def test_lost_lines_of_an_mp_server_are_not_taken_for_nothing_counted() -> None:
    assert count(reading(0, MP, whole=False), "lookup_tokens") is None


def test_an_mp_server_that_is_too_old_for_a_counter_is_found_out() -> None:
    text = f"{MP}lmcache_mp_lookup_requested_tokens_total 512\nlmcache_mp_lookup_hit_tokens_total 256\n"
    found = reading(0, f"{text}lmcache_mp_l1_write_chunks_total 2\nlmcache_mp_num_chunks_loaded_total 1\n")
    for name in ("lookups", "retrieves", "stores", "lookup_hits_l1", "lookup_hits_l2", "lookup_tokens_split"):
        assert count(found, name) is None


def test_hits_of_one_tier_only_leave_none_for_the_other() -> None:
    text = f"{MP}lmcache_mp_lookup_requested_tokens_total 512\nlmcache_mp_lookup_hit_tokens_total 256\n"
    found = reading(0, f"{text}lmcache_mp_lookup_hit_l2_tokens_total 256\n")
    assert count(found, "lookup_hits_l1") == 0
    assert count(found, "lookup_tokens_split") == 512


def test_gauges_are_summed_or_the_worst_of_them() -> None:
    text = 'lmcache_mp_l1_memory_usage_bytes{l1_tag="a"} 10\nlmcache_mp_l1_memory_usage_bytes{l1_tag="b"} 5\n'
    found = reading(
        0, f'{text}lmcache_mp_l1_usage_ratio{{l1_tag="a"}} 0.9\nlmcache_mp_l1_usage_ratio{{l1_tag="b"}} 0.2\n'
    )
    assert found.gauge("cpu_used") == 15
    assert found.gauge("cpu_fill") == 0.9
    assert found.gauge("disk_used") is None


def test_histograms_add_up_over_their_labels() -> None:
    text = histogram("lmcache:time_to_retrieve", {"0.1": 1, "+Inf": 2}, 'role="worker"')
    text += histogram("lmcache:time_to_retrieve", {"0.1": 3, "+Inf": 3}, 'role="scheduler"')
    found = reading(0, text).histograms[histogram_position("retrieve_time")]
    assert found is not None
    assert found.bounds == (0.1, inf)
    assert list(found.counts) == [4, 5]


def test_buckets_with_impossible_bounds_are_left_out() -> None:
    text = histogram("lmcache:retrieve_speed", {"many": 1, "NaN": 1, "5": 2, "+Inf": 2})
    found = reading(0, text).histograms[histogram_position("retrieve_speed")]
    assert found is not None
    assert found.bounds == (5.0, inf)


def test_a_restart_is_told_by_counters_that_fall_and_by_the_start_of_the_process() -> None:
    first = reading(0, "lmcache:num_lookup_tokens_total 10\nprocess_start_time_seconds 100\n")
    assert not restarted(first, reading(10, "lmcache:num_lookup_tokens_total 10\nprocess_start_time_seconds 100.5\n"))
    assert restarted(first, reading(10, "lmcache:num_lookup_tokens_total 9\nprocess_start_time_seconds 100\n"))
    assert restarted(first, reading(10, "lmcache:num_lookup_tokens_total 50\nprocess_start_time_seconds 160\n"))


def test_a_window_counts_across_a_restart() -> None:
    texts = ["lmcache:num_lookup_tokens_total 100\n", "lmcache:num_lookup_tokens_total 130\n"]
    texts += ["lmcache:num_lookup_tokens_total 20\n", "lmcache:num_lookup_tokens_total 50\n"]
    found = tally_of([reading(10.0 * number, text) for number, text in enumerate(texts)], NO_SIZES)
    assert found.recently("lookup_tokens") == 30 + 50
    assert found.rate("lookup_tokens") == pytest.approx(80 / 30)
    assert found.since_start("lookup_tokens") == 50


def test_all_counters_begin_anew_with_the_one_that_shows_it() -> None:
    older = "lmcache:num_lookup_tokens_total 100\nlmcache:num_lookup_hits_total 10\n"
    newer = "lmcache:num_lookup_tokens_total 40\nlmcache:num_lookup_hits_total 30\n"
    found = tally_of([reading(0, older), reading(10, newer)], NO_SIZES)
    assert (found.recently("lookup_tokens"), found.recently("lookup_hits")) == (40, 30)


def test_clearing_the_metrics_of_a_node_leaves_its_gauges() -> None:
    start = "process_start_time_seconds 5\n"
    older = f"{start}lmcache:num_lookup_tokens_total 100\nlmcache:put_failed_count 70\n"
    newer = f"{start}lmcache:num_lookup_tokens_total 0\nlmcache:put_failed_count 71\n"
    assert tally_of([reading(0, older), reading(10, newer)], NO_SIZES).recently("failed_puts") == 1
    newer = newer.replace("seconds 5", "seconds 500")
    assert tally_of([reading(0, older), reading(10, newer)], NO_SIZES).recently("failed_puts") == 71


def test_histograms_of_a_window_count_across_a_restart() -> None:
    texts = [histogram("lmcache:time_to_store", {"1": 5, "+Inf": n}) for n in (10, 12)]
    texts = [f"lmcache:num_store_requests_total {n}\n{text}" for n, text in zip((10, 12), texts, strict=True)]
    texts.append("lmcache:num_store_requests_total 3\n" + histogram("lmcache:time_to_store", {"1": 3, "+Inf": 3}))
    found = tally_of([reading(10.0 * number, text) for number, text in enumerate(texts)], NO_SIZES)
    recent = found.histogram("store_time", recent=True)
    assert recent is not None
    assert list(recent.counts) == [3, 5]


def test_one_reading_tells_nothing_of_a_window() -> None:
    found = tally_of([reading(0, "lmcache:num_lookup_tokens_total 100\n")], NO_SIZES)
    assert found.recently("lookup_tokens") is None
    assert found.since_start("lookup_tokens") == 100


def test_tallies_add_up_over_what_each_node_has() -> None:
    one = tally_of([reading(at, f"lmcache:num_lookup_tokens_total {at}\n") for at in (0, 10)], NO_SIZES)
    two = tally_of([reading(at, f"lmcache:num_store_requests_total {at}\n") for at in (0, 20)], NO_SIZES)
    both = sum_of([one, two, one])
    assert both is not None
    assert both.recently("lookup_tokens") == 20
    assert both.recently("stores") == 20
    assert both.rate("lookup_tokens") == 2
    assert both.recently("lookups") is None
    assert sum_of([]) is None
