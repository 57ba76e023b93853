# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from lmcache_frontend.demo.exposition_text import format_value, render_family, render_histogram, render_labels
from lmcache_frontend.demo.families import IN_PROCESS
from lmcache_frontend.demo.figures import Histogram
from tests.helpers.demo import ManualClock, ask, read_metrics, recording, scheduler, server, worker


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0"),
        (1, "1.0"),
        (0.00016, "0.00016"),
        (1e-05, "1e-05"),
        (999999.5, "999999.5"),
        (1e6, "1e+06"),
        (3145728, "3.145728e+06"),
        (1.7952893318415873e9, "1.7952893318415873e+09"),
        (17179869184, "1.7179869184e+010"),
        (-5e7, "-50000000.0"),
        (1e16, "1e+16"),
    ],
)
def test_numbers_are_spelled_as_prometheus_client_spells_them(value, text):
    assert format_value(value) == text


def test_labels_are_in_order_and_escaped():
    assert render_labels({"b": 'x"y\\z\n', "a": "1"}) == 'a="1",b="x\\"y\\\\z\\n"'
    assert render_family("gauge", "up", "Is it up", [("", 1), ('a="b"', 0)]) == (
        '# HELP up Is it up\n# TYPE up gauge\nup 1.0\nup{a="b"} 0.0\n'
    )


def test_a_histogram_is_cumulative_and_puts_le_where_the_alphabet_does():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    text = render_histogram("h", "Help", {"device": "0", "model": "m"}, histogram)
    assert 'h_bucket{device="0",le="1.0",model="m"} 2.0\n' in text
    assert 'h_bucket{device="0",le="2.0",model="m"} 3.0\n' in text
    assert 'h_bucket{device="0",le="+Inf",model="m"} 4.0\n' in text
    assert text.endswith('h_count{device="0",model="m"} 4.0\nh_sum{device="0",model="m"} 12.0\n')


def test_after_a_reset_the_families_are_those_of_a_real_node_in_its_order():
    node = worker(ManualClock())
    node.answer("POST", "/metrics/reset")
    recorded = recording("in_process")
    lines = node.answer("GET", "/metrics").body.decode().splitlines()
    assert [line[7:] for line in lines if line.startswith("# TYPE ")] == recorded["metric_types"]
    buckets = {
        f"lmcache:{family.name}": [*map(format_value, family.bounds), "+Inf"]
        for family in IN_PROCESS
        if family.kind == "histogram"
    }
    assert buckets == recorded["buckets"]


def test_before_a_reset_histograms_without_observations_have_no_samples():
    text = worker(ManualClock()).answer("GET", "/metrics").body.decode()
    assert "# TYPE lmcache:p2p_transfer_speed histogram\n" in text
    assert "lmcache:p2p_transfer_speed_bucket" not in text
    assert "lmcache:time_to_lookup_bucket" in text


def test_an_idle_mp_server_shows_the_families_of_a_real_one_and_traffic_adds_to_them():
    recorded = recording("multiprocess")["metric_types"]
    idle = server(ManualClock(), warm_up_requests=0)
    types = [line[7:] for line in idle.metrics(idle.clock()).splitlines() if line.startswith("# TYPE ")]
    assert types == recorded
    clock = ManualClock()
    busy = server(clock)
    text = busy.answer("GET", "/metrics").body.decode()
    types = [line[7:] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert types[: len(recorded)] == recorded
    assert {"lmcache_mp_lookup_hit_tokens_total counter", "lmcache_mp_lookup_hit_l2_tokens_total counter"} < set(types)
    assert "\N{EN DASH}" in text


@pytest.mark.parametrize("make", [worker, scheduler, server])
def test_every_line_can_be_read_and_the_size_is_that_of_a_real_node(make):
    node = make(ManualClock())
    samples = read_metrics(node)
    assert all(math.isfinite(value) for value in samples.values())
    size = len(node.answer("GET", "/metrics").body)
    least = {worker: 50_000, scheduler: 25_000, server: 10_000}[make]
    assert least < size < 90_000


def test_text_and_gauges_agree_with_the_simulation():
    clock = ManualClock()
    node = worker(clock)
    clock.pass_time(300)
    samples = read_metrics(node)
    held = samples["lmcache:local_cpu_hot_cache_count", ()]
    assert samples["lmcache:local_cache_usage", ()] == held * 64 * 1024**2
    assert held * 64 * 1024**2 <= ask(node, "GET", "/conf?names=max_local_cpu_size")["max_local_cpu_size"] * 1024**3
    assert samples["lmcache:time_to_store_count", ()] == samples["lmcache:num_store_requests_total", ()]
    assert samples["lmcache:time_to_store_bucket", (("le", "+Inf"),)] == samples["lmcache:time_to_store_count", ()]
    assert samples["lmcache:periodic_threads_critical_total", ()] == 1
    assert 0 <= samples["lmcache:lookup_hit_rate", ()] <= 1


def test_counters_only_rise_while_time_passes():
    clock = ManualClock()
    nodes = [worker(clock), server(clock)]
    before = [read_metrics(node) for node in nodes]
    for _ in range(20):
        clock.pass_time(10)
        after = [read_metrics(node) for node in nodes]
        for old, new in zip(before, after, strict=True):
            assert old.keys() <= new.keys()
            for key, value in old.items():
                if key[0].endswith(("_total", "_count", "_bucket")) and "hot_cache" not in key[0]:
                    assert new[key] >= value or "pinned" in key[0] or "in_request" in key[0], key
        before = after
