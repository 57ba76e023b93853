# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tests.helpers.demo import ManualClock, ask, server, status, worker


def test_runs_follow_the_time():
    clock = ManualClock()
    node = worker(clock)
    before = ask(node, "GET", "/periodic-threads/PinMonitor-thread")
    clock.pass_time(95)
    after = ask(node, "GET", "/periodic-threads/PinMonitor-thread")
    assert after["total_runs"] - before["total_runs"] in (3, 4)
    for thread, now in ((before, clock.now - 95), (after, clock.now)):
        assert 0 <= thread["last_run_ago"] < 30
        assert abs(thread["last_run_time"] + thread["last_run_ago"] - now) < 0.001


def test_a_thread_that_has_not_run_yet_says_so():
    clock = ManualClock()
    node = server(clock)
    waiting = ask(node, "GET", "/periodic-threads/lmcache-usage-l1")
    assert (waiting["total_runs"], waiting["last_run_time"], waiting["last_run_ago"]) == (0, 0.0, None)
    assert (waiting["success_rate"], waiting["last_summary"], waiting["is_active"]) == (None, None, True)
    clock.pass_time(700)
    assert ask(node, "GET", "/periodic-threads/lmcache-usage-l1")["total_runs"] >= 1


def test_filters_choose_and_the_summary_ignores_them():
    node = server(ManualClock())
    everything = ask(node, "GET", "/periodic-threads")
    assert everything["summary"]["total_count"] == len(everything["threads"]) == 6
    low = ask(node, "GET", "/periodic-threads?level=LOW")
    assert [thread["level"] for thread in low["threads"]] == ["low"] * 3
    assert low["summary"] == everything["summary"]
    for query in ("running_only=true", "active_only=1"):
        names = [
            thread["name"] for thread in ask(worker(ManualClock()), "GET", f"/periodic-threads?{query}")["threads"]
        ]
        assert names == ["PinMonitor-thread"]
    assert status(node, "GET", "/periodic-threads?level=urgent") == 400
