# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from tests.helpers.demo import ManualClock, ask, counter, read_metrics, server, status


def test_status_and_metrics_agree_about_l1():
    clock = ManualClock()
    node = server(clock)
    for _ in range(20):
        clock.pass_time(7)
        l1 = ask(node, "GET", "/status")["storage_manager"]["l1_manager"]
        samples = {name: value for (name, _), value in read_metrics(node).items()}
        assert samples["lmcache_mp_l1_memory_usage_bytes"] == l1["memory_used_bytes"]
        assert samples["lmcache_mp_l1_usage_ratio"] == l1["memory_usage_ratio"] < 0.8
        assert l1["memory_usage_ratio"] == l1["memory_used_bytes"] / l1["memory_total_bytes"]
        assert l1["memory_used_bytes"] == l1["total_object_count"] * 64 * 1024**2
    config = ask(node, "GET", "/config")
    assert config["storage_manager"]["l1_manager_config"]["memory_config"]["size_in_bytes"] == l1["memory_total_bytes"]


def test_hits_are_split_by_tier_and_add_up():
    samples = {name: value for (name, _), value in read_metrics(server(ManualClock())).items()}
    one, two = (samples[f"lmcache_mp_lookup_hit_{tier}_tokens_total"] for tier in ("l1", "l2"))
    assert one + two == samples["lmcache_mp_lookup_hit_tokens_total"]
    assert 0 < one <= samples["lmcache_mp_lookup_requested_tokens_total"]
    assert two == 0


def test_clearing_empties_l1_and_only_l1_can_be_cleared():
    node = server(ManualClock())
    assert ask(node, "GET", "/status")["storage_manager"]["l1_usage"][0] > 0
    assert ask(node, "POST", "/cache/clear")["cleared"] == {"tier": "l1"}
    assert ask(node, "GET", "/status")["storage_manager"]["l1_usage"][0] == 0
    assert status(node, "POST", "/cache/clear", '{"tier": "l2"}') == 400
    assert status(node, "POST", "/cache/clear", "{") == 422


def test_quotas_are_set_shown_and_removed():
    node = server(ManualClock())
    assert ask(node, "GET", "/quota/tenant") == {
        "cache_salt": "tenant",
        "limit_gb": 0.0,
        "current_usage_gb": 0.0,
        "exists": False,
    }
    assert ask(node, "PUT", "/quota/tenant", '{"limit_gb": "1.5"}') == {
        "cache_salt": "tenant",
        "limit_gb": 1.5,
        "status": "ok",
    }
    ask(node, "PUT", "/quota/_default", '{"limit_gb": 4}')
    users = ask(node, "GET", "/quota")["users"]
    assert users["tenant"] == {"limit_gb": 1.5, "current_usage_gb": 0.0}
    assert users["_default"]["current_usage_gb"] > 0
    assert ask(node, "DELETE", "/quota/tenant")["status"] == "removed"
    assert ask(node, "DELETE", "/quota/tenant")["status"] == "not_found"


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"limit_gb": "x"}', '{"limit_gb": -1}', '{"limit_gb": Infinity}'])
def test_a_bad_quota_is_400_with_an_error(body):
    node = server(ManualClock())
    assert status(node, "PUT", "/quota/tenant", body) == 400
    assert ask(node, "PUT", "/quota/tenant", body).keys() == {"error"}
    assert ask(node, "GET", "/quota") == {"users": {}}


def test_a_reset_of_metrics_changes_nothing():
    node = server(ManualClock())
    before = counter(node, "lmcache_mp_lookups_requests_total")
    assert node.answer("POST", "/metrics/reset").body == b"ok"
    assert counter(node, "lmcache_mp_lookups_requests_total") == before > 0


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/meta", 404),
        ("GET", "/backends", 404),
        ("GET", "/cache/objects", 503),
        ("POST", "/cache/prefetches", 202),
        ("GET", "/cache/prefetches/x", 404),
        ("GET", "/reconfigure/redis/l2/status", 200),
        ("GET", "/reconfigure/dax/l1/status", 409),
        ("POST", "/run_script", 404),
        ("HEAD", "/healthcheck", 405),
    ],
)
def test_what_a_server_without_l2_says_to_the_rest(method, target, expected):
    assert status(server(ManualClock()), method, target) == expected
