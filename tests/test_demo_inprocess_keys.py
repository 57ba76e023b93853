# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from lmcache_frontend.demo.inprocess.keys import DEFAULTS, convert
from tests.helpers.demo import ManualClock, ask, counter, status, worker


def test_there_are_108_keys_with_their_defaults():
    assert len(DEFAULTS) == 108
    assert (DEFAULTS["chunk_size"], DEFAULTS["blend_special_str"], DEFAULTS["extra_config"]) == (256, " # # ", None)
    assert math.isinf(DEFAULTS["pd_allocation_timeout_sec"])


@pytest.mark.parametrize(
    ("key", "value", "becomes"),
    [
        ("chunk_size", 3.9, 3),
        ("chunk_size", True, 1),
        ("chunk_size", "12", 12),
        ("chunk_size", None, None),
        ("local_cpu", "TRUE", True),
        ("local_cpu", "yes", False),
        ("local_cpu", 1.0, False),
        ("max_local_cpu_size", "7", 7.0),
        ("remote_url", 5, "5"),
        ("lmcache_worker_ids", "1, 2", [1, 2]),
        ("lmcache_worker_ids", 4, [4]),
        ("blend_thresholds", [1, "2.5"], [1.0, 2.5]),
        ("nixl_backends", "a, b", ["a", "b"]),
        ("runtime_plugin_locations", "/a,/b", ["/a,/b"]),
        ("local_disk", "file:///a/,/b", "/a/,/b"),
        ("extra_config", '{"a": 1}', {"a": 1}),
        ("extra_config", "", None),
        ("hidden_states_retrieve_mode", "Skip-Missing-Chunks", "skip_missing_chunks"),
        ("hidden_states_retrieve_mode", "legacy", "skip_missing_chunks"),
    ],
)
def test_a_posted_value_is_converted_as_lmcache_does(key, value, becomes):
    got = convert(key, value)
    assert got == becomes
    assert type(got) is type(becomes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("chunk_size", "3.9"),
        ("chunk_size", {}),
        ("lmcache_worker_ids", "[1,2]"),
        ("nixl_backends", 7),
        ("local_disk", ""),
        ("extra_config", "{"),
        ("hidden_states_retrieve_mode", "other"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_the_old_value_stays(key, value):
    with pytest.raises(ValueError, match="LMCache refuses it"):
        convert(key, value)


@pytest.mark.parametrize("key", ["nope", "validate", "plugin_locations"])
def test_what_is_no_key_is_unknown(key):
    with pytest.raises(KeyError):
        convert(key, 1)


def test_a_post_sets_what_it_can_and_tells_of_the_rest():
    node = worker(ManualClock())
    answer = ask(node, "POST", "/conf", '{"chunk_size": "512", "nope": 1, "lmcache_worker_ids": "[1]"}')
    assert answer == {
        "updated": {"chunk_size": 512},
        "errors": {"nope": "Unknown config", "lmcache_worker_ids": "Failed to set config value"},
    }
    assert ask(node, "GET", "/conf?names=chunk_size,lmcache_worker_ids") == {
        "chunk_size": 512,
        "lmcache_worker_ids": None,
    }
    assert status(node, "POST", "/conf", "{}") == 200
    assert ask(node, "POST", "/conf", "[1]") == {"error": "Request body must be a JSON object"}


def test_infinity_is_set_and_then_not_answered():
    node = worker(ManualClock())
    answer = node.answer("POST", "/conf", "", b'{"max_local_cpu_size": "inf"}')
    assert (answer.status, answer.content_type) == (500, "text/plain; charset=utf-8")
    assert math.isinf(ask(node, "GET", "/conf?names=max_local_cpu_size")["max_local_cpu_size"])


def test_names_are_not_trimmed_and_a_method_name_breaks_the_answer():
    node = worker(ManualClock())
    assert ask(node, "GET", "/conf?names=chunk_size,%20local_cpu") == {"chunk_size": 256}
    assert ask(node, "GET", "/conf?names=nope") == {}
    assert status(node, "GET", "/conf?names=validate") == 500


def test_min_retrieve_tokens_takes_effect():
    clock = ManualClock()
    node = worker(clock)
    before = counter(node, "lmcache:num_retrieve_requests_total")
    ask(node, "POST", "/conf", '{"min_retrieve_tokens": 1000000}')
    clock.pass_time(60)
    assert counter(node, "lmcache:num_retrieve_requests_total") == before
    assert counter(node, "lmcache:num_lookup_requests_total") > before
