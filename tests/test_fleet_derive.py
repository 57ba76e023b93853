# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import pytest

from lmcache_frontend.demo.node import Node
from lmcache_frontend.fleet.counters import Counters
from lmcache_frontend.fleet.derive import Sizes, figures, positions_of, tally, totals
from lmcache_frontend.fleet.snapshot import NO_TRAFFIC, OK, UNSUPPORTED, Figure
from tests.helpers import demo
from tests.helpers.fleet import histogram, reading

GIB = 1024**3
NOTHING = Figure(None, NO_TRAFFIC)
LACKING = Figure(None, UNSUPPORTED)
WIRE_NAMES = [
    "lookup_hit_rate",
    "lookup_hit_rate_l1",
    "lookup_hit_rate_l2",
    "retrieve_hit_share",
    "tokens_requested_per_s",
    "tokens_hit_per_s",
    "tokens_stored_per_s",
    "lookups_per_s",
    "retrieves_per_s",
    "stores_per_s",
    "retrieve_speed_p50",
    "retrieve_speed_p95",
    "retrieve_time_p50_s",
    "retrieve_time_p95_s",
    "store_time_p50_s",
    "store_time_p95_s",
    "cpu_used_bytes",
    "cpu_capacity_bytes",
    "cpu_fill",
    "disk_used_bytes",
    "disk_capacity_bytes",
    "remote_used_bytes",
    "evictions_per_s",
    "failures_per_s",
    "pinned_objects",
    "active_objects",
]


def worker_text(tokens: float, hits: float, lookups: float = 1.0, **more: float) -> str:
    values = {
        "num_lookup_requests_total": lookups,
        "num_lookup_tokens_total": tokens,
        "num_lookup_hits_total": hits,
        "num_retrieve_requests_total": 0,
        "num_requested_tokens_total": 0,
        "num_hit_tokens_total": 0,
        "num_stored_tokens_total": 0,
        "num_store_requests_total": 0,
        # What these show must not matter.
        "lookup_hit_rate": 1,
        "retrieve_hit_rate": 1,
        **more,
    }
    return "".join(f"lmcache:{name} {value}\n" for name, value in values.items())


def window(*texts: str, step_s: float = 10.0) -> list[Counters]:
    return [reading(step_s * number, text) for number, text in enumerate(texts)]


def readings_of(node: Node, clock: demo.ManualClock, count: int = 7) -> Iterator[Counters]:
    for _ in range(count):
        clock.pass_time(10.0)
        yield reading(clock(), node.answer("GET", "/metrics").body.decode())


@pytest.mark.parametrize("kind", ["worker", "scheduler", "mp"])
def test_every_figure_of_the_wire_is_there(kind: str) -> None:
    assert set(WIRE_NAMES) <= set(positions_of(kind))
    assert set(WIRE_NAMES) <= set(totals([]))


def test_what_counts_nothing_has_no_figures() -> None:
    assert not positions_of("frontend")
    assert dict(figures("coordinator", window("up 1\n"))) == {}


def test_the_hit_rate_is_of_the_window_and_of_all_time() -> None:
    found = figures("worker", window(worker_text(1000, 100), worker_text(1200, 250)))
    assert found["lookup_hit_rate"] == Figure(0.75, OK)
    assert found["lookup_hit_rate_total"] == Figure(250 / 1200, OK)
    assert found["lookup_hit_rate_l1"] == LACKING


def test_without_traffic_there_is_no_rate_whatever_the_gauges_say() -> None:
    found = figures("worker", window(worker_text(1000, 100), worker_text(1000, 100)))
    assert found["lookup_hit_rate"] == NOTHING
    assert found["tokens_requested_per_s"] == found["lookups_per_s"] == NOTHING
    assert found["lookup_hit_rate_total"] == Figure(0.1, OK)
    assert found["tokens_requested_total"] == Figure(0, OK)


def test_a_node_that_never_had_traffic_has_no_rates_at_all() -> None:
    found = figures("worker", window(worker_text(0, 0, 0), worker_text(0, 0, 0)))
    assert found["lookup_hit_rate"] == found["lookup_hit_rate_total"] == found["retrieve_hit_share_total"] == NOTHING


def test_traffic_without_hits_is_a_rate_of_zero() -> None:
    found = figures("worker", window(worker_text(0, 0, 0), worker_text(500, 0, 4)))
    assert found["lookup_hit_rate"] == Figure(0, OK)
    assert found["lookups_per_s"] == Figure(pytest.approx(0.4), OK)
    assert found["stores_per_s"] == Figure(0, OK)


def test_a_single_reading_gives_no_rate_yet() -> None:
    found = figures("worker", window(worker_text(500, 100)))
    assert found["lookup_hit_rate"] == found["lookups_per_s"] == NOTHING
    assert found["lookup_hit_rate_total"] == Figure(0.2, OK)


def test_a_counter_that_the_release_lacks_is_unsupported() -> None:
    found = figures("worker", window("lmcache:num_lookup_requests_total 1\n", "lmcache:num_lookup_requests_total 2\n"))
    assert found["lookups_per_s"] == Figure(0.1, OK)
    assert found["lookup_hit_rate"] == found["stores_per_s"] == found["evictions_per_s"] == LACKING
    assert found["retrieve_time_p50_s"] == LACKING


def test_evictions_and_failures_are_zero_when_none_happen() -> None:
    texts = [
        worker_text(0, 0, local_cpu_evict_keys_count_total=5, put_failed_count=1, forced_unpin_count_total=0),
        worker_text(0, 0, local_cpu_evict_keys_count_total=5, put_failed_count=3, forced_unpin_count_total=1),
    ]
    found = figures("worker", window(*texts))
    assert found["evictions_per_s"] == Figure(0, OK)
    assert found["failures_per_s"] == Figure(pytest.approx(0.3), OK)
    assert found["failed_puts_per_s"] == Figure(pytest.approx(0.2), OK)
    assert found["failures_total"] == Figure(4, OK)
    assert found["failed_gets_per_s"] == LACKING


def test_quantiles_are_of_the_window() -> None:
    texts = [
        worker_text(0, 0) + histogram("lmcache:time_to_retrieve", {"1": 100, "2": 100, "4": 100, "+Inf": 100}),
        worker_text(0, 0) + histogram("lmcache:time_to_retrieve", {"1": 100, "2": 100, "4": 110, "+Inf": 110}),
    ]
    found = figures("worker", window(*texts))
    assert found["retrieve_time_p50_s"] == Figure(pytest.approx(3.0), OK)
    assert found["retrieve_time_p50_s_total"].value == pytest.approx(0.55)
    assert figures("worker", window(texts[0], texts[0]))["retrieve_time_p50_s"] == NOTHING


def test_a_histogram_that_saw_nothing_is_no_traffic() -> None:
    text = worker_text(0, 0) + "# TYPE lmcache:retrieve_speed histogram\n"
    found = figures("worker", window(text, text))
    assert found["retrieve_speed_p50"] == found["retrieve_speed_p95_total"] == NOTHING


def test_the_fill_of_the_cpu_tier_needs_its_size() -> None:
    history = window(worker_text(0, 0, local_cache_usage=2 * GIB))
    assert figures("worker", history)["cpu_fill"] == LACKING
    found = figures("worker", history, Sizes(5 * GIB, 10 * GIB))
    assert found["cpu_fill"] == Figure(0.4, OK)
    assert found["cpu_capacity_bytes"] == Figure(5 * GIB, OK)
    assert found["disk_capacity_bytes"] == Figure(10 * GIB, OK)


def test_a_scheduler_has_no_tiers() -> None:
    found = figures("scheduler", window(worker_text(0, 0, local_cache_usage=0)), Sizes(5 * GIB, None))
    assert found["cpu_fill"] == found["cpu_used_bytes"] == found["cpu_capacity_bytes"] == LACKING


def test_a_remote_ping_is_in_seconds() -> None:
    assert figures("worker", window("lmcache:remote_ping_latency 250\n"))["remote_ping_s"] == Figure(0.25, OK)


def mp_text(**values: float) -> str:
    names = {"event_bus_queue_depth": 0.0, "event_bus_drain_lag_seconds": 0.5, **values}
    return "".join(f"lmcache_mp_{name} {value}\n" for name, value in names.items())


def test_an_mp_server_splits_its_hits_by_tier() -> None:
    older = mp_text(lookup_requested_tokens_total=1000, lookup_hit_tokens_total=500, lookup_hit_l1_tokens_total=500)
    newer = mp_text(
        lookup_requested_tokens_total=2000,
        lookup_hit_tokens_total=1300,
        lookup_hit_l1_tokens_total=900,
        lookup_hit_l2_tokens_total=400,
    )
    found = figures("mp", window(older, newer))
    shares = [found[name].value for name in ("lookup_hit_rate", "lookup_hit_rate_l1", "lookup_hit_rate_l2")]
    assert shares == [pytest.approx(0.8), pytest.approx(0.4), pytest.approx(0.4)]
    assert found["tokens_requested_per_s"] == Figure(100, OK)
    assert found["tokens_hit_per_s"] == Figure(80, OK)


def test_an_mp_server_shows_its_l1_against_the_watermark() -> None:
    text = mp_text(l1_memory_usage_bytes=3 * GIB, l1_usage_ratio=0.75, num_inflight_l2_loads=2)
    found = figures("mp", window(text), Sizes(4 * GIB, None, 0.8))
    assert found["cpu_fill"] == Figure(0.75, OK)
    assert found["l1_watermark"] == Figure(0.8, OK)
    assert found["cpu_capacity_bytes"] == Figure(4 * GIB, OK)
    assert found["l2_loads_in_flight"] == Figure(2, OK)
    assert found["event_bus_lag_s"] == Figure(0.5, OK)
    assert figures("mp", window(text))["cpu_capacity_bytes"] == Figure(4 * GIB, OK)


def test_an_idle_mp_server_has_no_traffic_and_lacks_nothing_that_it_could_count() -> None:
    found = figures("mp", window(mp_text(), mp_text()))
    for name in ("lookup_hit_rate", "lookup_hit_rate_l1", "lookups_per_s", "retrieves_per_s", "l1_load_gb_per_s_p50"):
        assert found[name] == NOTHING, name
    assert found["evictions_per_s"] == found["failures_per_s"] == Figure(0, OK)
    assert found["tokens_stored_per_s"] == found["retrieve_hit_share"] == LACKING


def test_throughputs_of_an_mp_server() -> None:
    name = "lmcache_mp_l0_l1_load_throughput_GB_per_second"
    found = figures("mp", window(mp_text(), mp_text() + histogram(name, {"10": 0, "20": 4, "+Inf": 4})))
    assert found["l1_load_gb_per_s_p50"] == Figure(pytest.approx(15), OK)


def test_totals_weigh_by_traffic() -> None:
    busy = tally("worker", window(worker_text(0, 0), worker_text(900, 900)), Sizes(4 * GIB))
    idle = tally("worker", window(worker_text(0, 0), worker_text(100, 0)), Sizes(4 * GIB))
    found = totals([busy, idle])
    # The mean of 1 and 0 would be 0.5.
    assert found["lookup_hit_rate"] == Figure(pytest.approx(0.9), OK)
    assert found["lookups_per_s"] == Figure(0, OK)
    assert found["cpu_capacity_bytes"] == Figure(8 * GIB, OK)


def test_totals_of_rates_are_sums_over_windows_of_any_length() -> None:
    short = tally("worker", window(worker_text(0, 0, 0), worker_text(10, 0, 10)), Sizes())
    long = tally("worker", window(worker_text(0, 0, 0), worker_text(60, 0, 60), step_s=60), Sizes())
    assert totals([short, long])["lookups_per_s"] == Figure(pytest.approx(2.0), OK)


def test_totals_of_tiers_weigh_by_hits_of_those_who_tell_them_apart() -> None:
    worker = tally("worker", window(worker_text(0, 0), worker_text(1000, 1000)), Sizes())
    older = mp_text(lookup_requested_tokens_total=0)
    newer = mp_text(lookup_requested_tokens_total=100, lookup_hit_tokens_total=50, lookup_hit_l1_tokens_total=50)
    server = tally("mp", window(older, newer), Sizes())
    found = totals([worker, server])
    assert found["lookup_hit_rate"] == Figure(pytest.approx(1050 / 1100), OK)
    assert found["lookup_hit_rate_l1"] == Figure(pytest.approx(0.5), OK)


def test_totals_of_quantiles_are_of_all_observations() -> None:
    def counted(slow: int) -> list[Counters]:
        older = worker_text(0, 0) + histogram("lmcache:time_to_store", {"1": 0, "2": 0, "+Inf": 0})
        newer = worker_text(0, 0) + histogram("lmcache:time_to_store", {"1": 10 - slow, "2": 10, "+Inf": 10})
        return window(older, newer)

    fast, slow = (tally("worker", counted(number), Sizes()) for number in (0, 10))
    assert totals([fast, slow])["store_time_p50_s"].value == pytest.approx(1.0)
    assert totals([fast, fast, fast, slow])["store_time_p95_s"].value == pytest.approx(1.8)


def test_totals_of_nothing_are_unsupported_and_of_idle_nodes_no_traffic() -> None:
    assert set(totals([]).values()) == {LACKING}
    idle = tally("worker", window(worker_text(10, 5), worker_text(10, 5)), Sizes())
    assert totals([idle, idle])["lookup_hit_rate"] == NOTHING


def test_figures_agree_with_what_a_simulated_node_counts() -> None:
    clock = demo.ManualClock()
    node = demo.worker(clock)
    history = list(readings_of(node, clock))
    found = figures("worker", history)
    tokens, hits = (demo.counter(node, f"lmcache:num_lookup_{name}_total") for name in ("tokens", "hits"))
    assert found["lookup_hit_rate_total"] == Figure(hits / tokens, OK)
    assert found["tokens_stored_total"].value == demo.counter(node, "lmcache:num_stored_tokens_total")
    assert {figure.state for name, figure in found.items() if name.startswith(("retrieve_", "store_"))} == {OK}
