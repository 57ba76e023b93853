# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from typing import Any

import pytest

from lmcache_frontend.remote_config.catalogue import catalogue
from lmcache_frontend.remote_config.coerce import Severity, Verdict, coerce, shown

INF = math.inf


@pytest.mark.parametrize(
    ("key", "value", "held"),
    [
        ("chunk_size", 512, 512),
        ("chunk_size", 512.0, 512),
        ("chunk_size", " 512 ", 512),
        ("chunk_size", "1_000", 1000),
        ("local_cpu", True, True),
        ("local_cpu", "TRUE ", True),
        ("local_cpu", 1, True),
        ("local_cpu", "1", True),
        ("local_cpu", False, False),
        ("local_cpu", 0, False),
        ("local_cpu", 0.0, False),
        ("local_cpu", "No", False),
        ("max_local_cpu_size", 5, 5.0),
        ("max_local_cpu_size", "0.5", 0.5),
        ("pd_allocation_timeout_sec", "inf", INF),
        ("pd_allocation_timeout_sec", INF, INF),
        ("remote_url", "redis://h:1", "redis://h:1"),
        ("lmcache_instance_id", 7, "7"),
        ("remote_url", None, None),
        ("extra_config", None, None),
        ("extra_config", {"a": 1}, {"a": 1}),
        ("extra_config", '{"a": 1}', {"a": 1}),
        ("lmcache_worker_ids", [1, "2", 3.0], [1, 2, 3]),
        ("lmcache_worker_ids", "1, 2", [1, 2]),
        ("lmcache_worker_ids", 4, [4]),
        ("blend_thresholds", [1, "2.5"], [1.0, 2.5]),
        ("blend_thresholds", 3, [3.0]),
        ("blend_thresholds", 0.5, [0.5]),
        ("nixl_backends", ["a", "b"], ["a", "b"]),
        ("nixl_backends", "a, b", ["a", "b"]),
        ("retrieve_locations", "a,b", ["a", "b"]),
        ("runtime_plugin_locations", "/a", ["/a"]),
        ("runtime_plugin_locations", ["/a", "/b"], ["/a", "/b"]),
        ("local_disk", "file:///a/, /b", "/a/,/b"),
        ("hidden_states_retrieve_mode", "Skip-Missing-Chunks", "skip_missing_chunks"),
        ("blend_check_layers", None, None),
    ],
)
def test_a_value_that_means_what_lmcache_makes_of_it_is_fine(key: str, value: Any, held: Any) -> None:
    verdict = coerce(key, value)
    assert verdict == Verdict(Severity.FINE, held, "")
    assert type(verdict.value) is type(held)


@pytest.mark.parametrize(
    ("key", "value", "held", "text"),
    [
        ("local_cpu", "yes", False, 'got "yes", of which LMCache makes false; only true and 1 are true'),
        ("local_cpu", 1.0, False, "got 1.0, of which LMCache makes false; only true and 1 are true"),
        ("local_cpu", "", False, 'got "", of which LMCache makes false; only true and 1 are true'),
        ("local_cpu", [], False, "got [], of which LMCache makes false; only true and 1 are true"),
        ("chunk_size", 3.9, 3, "got 3.9, of which LMCache makes 3"),
        ("chunk_size", True, 1, "got true, of which LMCache makes 1"),
        ("max_local_cpu_size", True, 1.0, "got true, of which LMCache makes 1.0"),
        ("remote_url", True, "True", 'got true, of which LMCache makes "True"'),
        ("remote_url", [1], "[1]", 'got [1], of which LMCache makes "[1]"'),
        ("lmcache_worker_ids", True, [True], "got true, of which LMCache makes [true]"),
        ("lmcache_worker_ids", [1.5], [1], "got [1.5], of which LMCache makes [1]"),
        ("lmcache_worker_ids", "", [], 'got "", of which LMCache makes []'),
        ("local_disk", ["/a"], "['/a']", 'got ["/a"], of which LMCache makes "[\'/a\']"'),
        ("local_disk", "file://", "", 'got "file://", of which LMCache makes ""'),
        (
            "hidden_states_retrieve_mode",
            "legacy",
            "skip_missing_chunks",
            'got "legacy", of which LMCache makes "skip_missing_chunks"',
        ),
        (
            "nixl_backends",
            '["a"]',
            ['["a"]'],
            r'got "[\"a\"]", of which LMCache makes ["[\"a\"]"]; brackets do not make a list of a text',
        ),
        (
            "nixl_backends",
            [1],
            [1],
            "got [1], expected a list of texts, or one text with commas between them: "
            "LMCache takes it as it is and may fail",
        ),
        (
            "runtime_plugin_locations",
            "/a,/b",
            ["/a,/b"],
            'got "/a,/b", of which LMCache makes ["/a,/b"]; a text is one location, whatever is in it',
        ),
        (
            "runtime_plugin_locations",
            5,
            [5],
            "got 5, of which LMCache makes [5]; a text is one location, whatever is in it",
        ),
        ("extra_config", "", None, 'got "", of which LMCache makes null'),
        ("extra_config", "[1]", [1], "got a text, of which LMCache makes [1], and may fail when it expects an object"),
        (
            "extra_config",
            5,
            5,
            "got 5, expected an object, or a text that is one in JSON: LMCache takes it as it is and may fail",
        ),
        ("chunk_size", None, None, "got null, expected an integer: LMCache takes it as it is and may fail"),
    ],
)
def test_a_value_that_becomes_another_is_a_surprise(key: str, value: Any, held: Any, text: str) -> None:
    verdict = coerce(key, value)
    assert verdict == Verdict(Severity.SURPRISE, held, text)
    assert type(verdict.value) is type(held)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("chunk_size", "3.9", 'got "3.9", expected an integer'),
        ("chunk_size", "0x10", 'got "0x10", expected an integer'),
        ("chunk_size", INF, "got Infinity, expected an integer"),
        ("chunk_size", [1], "got [1], expected an integer"),
        ("max_local_cpu_size", "much", 'got "much", expected a number'),
        ("max_local_cpu_size", 10**400, "got 1000"),
        ("lmcache_worker_ids", "[1,2]", 'got "[1,2]", expected a list of integers'),
        ("lmcache_worker_ids", 2.0, "got 2.0, expected a list of integers"),
        ("lmcache_worker_ids", [None], "got [null], expected a list of integers"),
        ("blend_thresholds", True, "got true, expected a list of numbers"),
        ("nixl_backends", 7, "got 7, expected a list of texts"),
        ("local_disk", "", 'got "", expected one or more paths with commas between them, or null'),
        ("local_disk", " , ", 'got " , ", expected one or more paths'),
        ("extra_config", "{", "got a text, expected an object"),
        ("hidden_states_retrieve_mode", "other", "expected prefix_strict or skip_missing_chunks"),
    ],
)
def test_what_lmcache_refuses_is_an_error(key: str, value: Any, words: str) -> None:
    verdict = coerce(key, value)
    assert (verdict.severity, verdict.value) == (Severity.ERROR, None)
    assert words in verdict.text
    assert verdict.text.endswith(": LMCache refuses it")


def test_nan_is_a_number_that_nobody_means() -> None:
    verdict = coerce("max_local_cpu_size", "nan")
    assert verdict.severity is Severity.SURPRISE
    assert math.isnan(verdict.value)


@pytest.mark.parametrize(
    ("key", "version", "text"),
    [
        ("chunksize", "0.5.6", "LMCache 0.5.6 has no such key and ignores it; perhaps chunk_size is meant"),
        ("xyzzy", "0.5.6", "LMCache 0.5.6 has no such key and ignores it"),
        ("run_script_api_enabled", "0.5.5", "LMCache 0.5.5 has no such key and ignores it (0.5.6 and later have it)"),
        (
            "plugin_locations",
            "0.5.6",
            "LMCache 0.5.6 has no such key and ignores it (runtime_plugin_locations took its place)",
        ),
    ],
)
def test_what_is_no_key_of_a_release_is_unknown(key: str, version: str, text: str) -> None:
    assert coerce(key, 1, version=version) == Verdict(Severity.UNKNOWN, None, text)


def test_a_name_that_breaks_lmcaches_object_is_an_error() -> None:
    verdict = coerce("validate", 1)
    assert verdict.severity is Severity.ERROR
    assert verdict.text.startswith("no key, but a part of LMCache's configuration object: LMCache 0.5.6 overwrites it")


@pytest.mark.parametrize(
    ("key", "value", "version", "severity", "held"),
    [
        # Stored as they come.
        ("chunk_size", "512", "0.3.13", Severity.SURPRISE, "512"),
        ("chunk_size", 512, "0.3.13", Severity.FINE, 512),
        ("chunk_size", 3.9, "0.3.13", Severity.SURPRISE, 3.9),
        ("chunk_size", True, "0.3.13", Severity.SURPRISE, True),
        ("max_local_cpu_size", 5, "0.3.13", Severity.FINE, 5),
        ("nixl_backends", "a,b", "0.3.13", Severity.SURPRISE, "a,b"),
        ("lmcache_worker_ids", [1], "0.3.13", Severity.FINE, [1]),
        ("local_disk", "file:///a/", "0.3.13", Severity.SURPRISE, "file:///a/"),
        ("local_disk", "/a/", "0.3.13", Severity.FINE, "/a/"),
        ("extra_config", '{"a": 1}', "0.3.13", Severity.FINE, {"a": 1}),
        ("extra_config", "{", "0.3.13", Severity.ERROR, None),
        # Converted from here on.
        ("chunk_size", "512", "0.3.14", Severity.FINE, 512),
        ("chunk_size", "x", "0.3.14", Severity.ERROR, None),
        # One path, until there were lists of them.
        ("local_disk", "file:///a/", "0.4.3", Severity.FINE, "/a/"),
        ("local_disk", "/a,/b", "0.4.3", Severity.SURPRISE, "/a,/b"),
        ("local_disk", "file:///a,file:///b", "0.4.3", Severity.SURPRISE, "/a,file:///b"),
        ("local_disk", "file://a", "0.4.3", Severity.SURPRISE, "file://a"),
        ("local_disk", "", "0.4.3", Severity.SURPRISE, ""),
        ("local_disk", 5, "0.4.3", Severity.ERROR, None),
        ("local_disk", "/a,/b", "0.4.4", Severity.FINE, "/a,/b"),
        ("local_disk", 5, "0.4.4", Severity.SURPRISE, "5"),
        # Two keys without a converter.
        ("retrieve_locations", "a,b", "0.5.2", Severity.SURPRISE, "a,b"),
        ("retrieve_locations", ["a"], "0.5.2", Severity.FINE, ["a"]),
        ("store_location", 5, "0.5.2", Severity.SURPRISE, 5),
        ("store_location", 5, "0.5.3", Severity.FINE, "5"),
        ("store_location", "a", "0.4.1", Severity.UNKNOWN, None),
    ],
)
def test_releases_differ(key: str, value: Any, version: str, severity: Severity, held: Any) -> None:
    verdict = coerce(key, value, version=version)
    assert (verdict.severity, verdict.value) == (severity, held)
    assert type(verdict.value) is type(held)
    assert bool(verdict.text) is (severity is not Severity.FINE)


def test_every_default_is_fine_in_every_release() -> None:
    for version in ("0.3.9", "0.3.13", "0.4.7", "0.5.6"):
        for name, key in catalogue(version).items():
            assert coerce(name, key.default, version=version) == Verdict(Severity.FINE, key.default, "")


def test_no_secret_is_in_a_text() -> None:
    for value in ({"api_key": "hush"}, '{"api_key": "hush"', ["redis://u:hush@h"]):
        verdict = coerce("extra_config", value)
        assert "hush" not in verdict.text
    assert "hush" not in coerce("remote_url", ["redis://u:hush@h"]).text
    assert "hush" not in coerce("chunk_size", "redis://u:hush@h").text


def test_a_value_is_shown_short() -> None:
    assert shown("chunk_size", "é") == '"é"'
    long = shown("chunk_size", "x" * 100)
    assert len(long) == 60
    assert long.endswith("x…")


def test_a_value_nested_too_deeply_is_refused_and_told_of() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    for key in ("remote_url", "chunk_size"):
        assert coerce(key, value).severity is Severity.ERROR
    assert coerce("extra_config", "[" * 100_000).severity is Severity.ERROR


def test_severities_are_the_words_of_the_wire() -> None:
    assert [severity.value for severity in Severity] == ["fine", "surprise", "error", "unknown"]
    assert json.dumps(coerce("chunk_size", 1)[1:]) == '[1, ""]'
