# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from tests.helpers.demo import ManualClock, ask, counter, read_metrics, scheduler, status, worker

USAGE = "lmcache:local_cache_usage"
STORES = "lmcache:num_store_requests_total"
HITS = "lmcache:num_lookup_hits_total"


def test_freezing_stops_stores_until_it_ends():
    clock = ManualClock()
    node = worker(clock)
    assert ask(node, "PUT", "/freeze/enable")["freeze"] is True
    assert ask(node, "GET", "/freeze/status")["message"] == "Freeze mode is enabled"
    before = counter(node, STORES)
    clock.pass_time(60)
    assert counter(node, STORES) == before
    ask(node, "PUT", "/freeze/disable")
    clock.pass_time(60)
    assert counter(node, STORES) > before


def test_the_hot_cache_is_emptied_when_turned_off_and_fills_again():
    clock = ManualClock()
    node = worker(clock)
    assert counter(node, USAGE) > 0
    assert ask(node, "PUT", "/hot_cache/disable")["message"] == "Hot cache disabled successfully"
    clock.pass_time(60)
    assert counter(node, USAGE) == 0
    assert ask(node, "GET", "/hot_cache/status")["hot_cache"] is False
    ask(node, "PUT", "/hot_cache/enable")
    clock.pass_time(60)
    assert counter(node, USAGE) > 0


def test_bypassing_stops_hits_and_keeps_the_content():
    clock = ManualClock()
    node = worker(clock)
    used, hits = counter(node, USAGE), counter(node, HITS)
    added = ask(node, "PUT", "/bypass/add?backend_name=LocalCPUBackend")
    assert (added["bypassed"], added["was_already_bypassed"]) == (True, False)
    assert ask(node, "PUT", "/bypass/add?backend_name=LocalCPUBackend")["was_already_bypassed"] is True
    assert ask(node, "GET", "/bypass/list")["bypassed_backends"] == ["LocalCPUBackend"]
    clock.pass_time(60)
    assert (counter(node, USAGE), counter(node, HITS)) == (used, hits)
    assert ask(node, "PUT", "/bypass/remove?backend_name=LocalCPUBackend")["was_bypassed"] is True
    clock.pass_time(60)
    assert counter(node, HITS) > hits


@pytest.mark.parametrize(("query", "error"), [("", "Missing parameter"), ("?backend_name=X", "Unknown backend")])
def test_a_bypass_of_nothing_is_400(query, error):
    node = worker(ManualClock())
    assert status(node, "PUT", f"/bypass/add{query}") == 400
    assert ask(node, "PUT", f"/bypass/add{query}")["error"] == error


def test_backends_are_closed_and_made_from_the_configuration():
    node = worker(ManualClock())
    closed = ask(node, "DELETE", "/backends/LocalCPUBackend")
    assert closed == {"status": "success", "message": "Backend LocalCPUBackend closed", "backends": {}}
    assert counter(node, USAGE) == 0
    assert status(node, "POST", "/backends/LocalCPUBackend/recreate") == 404
    ask(node, "POST", "/conf", '{"local_disk": "/cache"}')
    created = ask(node, "POST", "/backends")["created"]
    assert created == {"LocalCPUBackend": "LocalCPUBackend", "LocalDiskBackend": "LocalDiskBackend"}
    assert ask(node, "POST", "/backends/LocalDiskBackend/recreate")["recreated"] == {
        "LocalDiskBackend": "LocalDiskBackend"
    }
    assert ask(node, "GET", "/backends") == created


def test_clearing_counts_tokens_and_knows_locations():
    node = worker(ManualClock())
    held = counter(node, "lmcache:local_cpu_hot_cache_count")
    assert ask(node, "DELETE", "/cache/clear?locations=LocalDiskBackend")["num_removed"] == 0
    removed = ask(node, "DELETE", "/cache/clear?locations=LocalDiskBackend&locations=LocalCPUBackend", "{}")
    assert removed == {"status": "success", "num_removed": held * 256}
    assert counter(node, USAGE) == 0
    assert status(node, "DELETE", "/cache/clear", "[") == 422


def test_made_up_tokens_are_stored_and_found_by_whole_chunks():
    node = worker(ManualClock())
    assert ask(node, "POST", "/cache/retrieve?tokens_mock=7,1031")["num_retrieved"] == 0
    assert ask(node, "POST", "/cache/store?tokens_mock=7,1000") == {"status": "success", "num_tokens": 993}
    found = ask(node, "POST", "/cache/retrieve?tokens_mock=7,1031")
    assert found == {"status": "success", "num_tokens": 1024, "num_retrieved": 768}
    for query in ("", "?tokens_mock=1", "?tokens_mock=5,5", "?tokens_mock=a,b"):
        assert status(node, "POST", f"/cache/store{query}") == 400
    assert ask(node, "POST", f"/cache/store?tokens_mock=0,{10**15}")["num_tokens"] == 10**15


def test_a_reset_clears_counters_and_histograms_but_no_gauges():
    node = worker(ManualClock())
    used = counter(node, USAGE)
    node.answer("POST", "/metrics/reset")
    samples = read_metrics(node)
    assert samples[STORES, ()] == samples["lmcache:time_to_store_count", ()] == 0
    assert samples[USAGE, ()] == used > 0
    assert samples["lmcache:num_store_requests_created", ()] == node.clock()


def test_scripts_never_run():
    node = worker(ManualClock())
    assert status(node, "POST", "/run_script") == 404
    ask(node, "POST", "/conf", '{"run_script_api_enabled": true}')
    assert node.answer("POST", "/run_script").body == b"No script file provided"
    form = b'--x\r\nContent-Disposition: form-data; name="script"; filename="a.py"\r\n\r\n1/0\r\n--x--\r\n'
    assert node.answer("POST", "/run_script", "", form).body == b"Script executed successfully"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/freeze/enable"),
        ("GET", "/freeze/status"),
        ("GET", "/hot_cache/status"),
        ("GET", "/bypass/list"),
        ("GET", "/backends"),
        ("POST", "/backends"),
        ("DELETE", "/cache/clear"),
        ("POST", "/cache/store?tokens_mock=0,256"),
    ],
)
def test_a_scheduler_has_no_engine(method, target):
    node = scheduler(ManualClock())
    assert status(node, method, target) == 503
    answer = ask(node, method, target)
    assert answer.keys() == {"error", "message"}
    assert answer["message"] == "LMCache engine not configured."


def test_a_scheduler_says_what_it_is_and_has_no_cache_figures():
    clock = ManualClock()
    node = scheduler(clock)
    clock.pass_time(100)
    assert (node.name, ask(node, "GET", "/meta")["role"]) == ("demo_scheduler", "scheduler")
    assert ask(node, "GET", "/lookup/info")["client"] == "ChunkStatisticsLookupClient(LMCacheLookupClient)"
    samples = read_metrics(node)
    assert samples[STORES, ()] == samples[USAGE, ()] == samples["lmcache:num_lookup_requests_total", ()] == 0
    assert samples["lmcache:lmcache_is_healthy", ()] == 1
    assert b'role="scheduler"' in node.answer("GET", "/metrics").body


def test_chunk_statistics_of_a_scheduler_stop_start_and_reset():
    clock = ManualClock()
    node = scheduler(clock)
    first = ask(node, "GET", "/chunk_statistics/status")
    assert first["total_chunks"] == first["unique_chunks"] + first["duplicate_chunks"] > 0
    assert counter(node, "lmcache:chunk_statistics_total_requests") == first["total_requests"] == 100
    node.answer("POST", "/chunk_statistics/stop")
    clock.pass_time(60)
    stopped = ask(node, "GET", "/chunk_statistics/status")
    assert (stopped["total_requests"], stopped["enabled"]) == (100, False)
    node.answer("POST", "/chunk_statistics/start")
    clock.pass_time(60)
    assert 100 < ask(node, "GET", "/chunk_statistics/status")["total_requests"] < 200
    node.answer("POST", "/chunk_statistics/reset")
    assert ask(node, "GET", "/chunk_statistics/status")["total_chunks"] == 0


def test_the_lookup_is_closed_and_made_again():
    node = worker(ManualClock())
    assert ask(node, "POST", "/lookup/close") == {"old": "LMCacheLookupServer", "role": "worker"}
    assert ask(node, "GET", "/lookup/info") == {"client": "None", "server": "None"}
    assert status(node, "POST", "/lookup/recreate") == 400
    assert ask(node, "POST", "/lookup/create?dryrun=true")["dryrun"] is True
    assert ask(node, "POST", "/lookup/create") == {"new": "LMCacheLookupServer", "role": "worker"}
    client = scheduler(ManualClock())
    ask(client, "POST", "/conf", '{"enable_chunk_statistics": false}')
    assert ask(client, "POST", "/lookup/recreate")["new"] == "LMCacheLookupClient"
    assert status(client, "GET", "/chunk_statistics/status") == 400


def test_kv_caches_are_described_and_checked():
    node = worker(ManualClock())
    assert ask(node, "GET", "/cache/kvcache/info")["num_layers"] == 64
    checked = ask(node, "GET", "/cache/kvcache/check?slot_mapping=1,2,[9,12]&chunk_size=4")
    assert checked["num_chunks"] == len(checked["chunk_checksums"]) == 2
    assert checked["slot_mapping_ranges"] == [[1, 1], [2, 2], [9, 12]]
    assert status(node, "GET", "/cache/kvcache/check") == 400
    assert status(scheduler(ManualClock()), "GET", "/cache/kvcache/info") == 404
    assert ask(node, "POST", "/cache/kvcache/record_slot?enabled=true")["kvcache_check_log_enabled"] is True
    assert status(node, "POST", "/cache/kvcache/record_slot?enabled=maybe") == 400
    assert status(node, "POST", "/cache/load-fs-chunks", json.dumps({"config_path": "/etc/hostname"})) == 400
    assert status(node, "POST", "/cache/load-fs-chunks", "{}") == 422


def test_meta_gives_the_names_asked_for():
    assert ask(worker(ManualClock()), "GET", "/meta?names=role,worker_id,nope") == {"role": "worker", "worker_id": 0}
