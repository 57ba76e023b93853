# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading

from lmcache_frontend.traffic import BUCKETS_S, Traffic


def test_requests_are_counted_by_node_method_and_class() -> None:
    traffic = Traffic()
    traffic.note("a", "GET", 200, 0.001)
    traffic.note("a", "GET", 204, 0.0011)
    traffic.note("a", "POST", 502, 1000.0)
    traffic.note("b", "GET", 0, 0.5)
    totals = traffic.read()
    assert totals.requests == {
        ("a", "GET", "2xx"): 2,
        ("a", "POST", "5xx"): 1,
        ("b", "GET", "none"): 1,
    }
    counts = totals.durations["a"].counts
    assert (counts[0], counts[1], counts[-1], sum(counts)) == (1, 1, 1, 3)
    assert totals.durations["a"].sum_s == 1000.0021
    assert totals.durations["b"].counts[BUCKETS_S.index(0.5)] == 1


def test_nothing_is_lost_between_threads() -> None:
    traffic = Traffic()

    def work() -> None:
        for _ in range(2000):
            traffic.note("n", "GET", 200, 0.01)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert traffic.read().requests == {("n", "GET", "2xx"): 16000}
    assert sum(traffic.read().durations["n"].counts) == 16000
