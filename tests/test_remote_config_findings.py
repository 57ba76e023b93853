# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from lmcache_frontend.masking import MASK
from lmcache_frontend.remote_config.document import read_rules
from lmcache_frontend.remote_config.findings import Finding, findings


def find(*items: tuple[str, Any], version: str | None = None, **fields: Any) -> list[Finding]:
    written = [{"key": key, "value": value} for key, value in items]
    rules = read_rules({"rules": [{"name": "r", "items": written, **fields}]})
    return findings(rules) if version is None else findings(rules, version=version)


def severities(*items: tuple[str, Any], **fields: Any) -> list[str]:
    return [finding.severity for finding in find(*items, **fields)]


def test_good_values_give_nothing() -> None:
    good: list[tuple[str, Any]] = [
        ("chunk_size", 512),
        ("max_local_cpu_size", 5),
        ("local_cpu", False),
        ("cache_policy", "LRU"),
        ("extra_config", {"a": 1}),
        ("remote_url", None),
        ("enable_kv_events", True),
    ]
    assert find(*good) == []


@pytest.mark.parametrize(
    ("key", "value", "severity"),
    [
        ("chunk_size", "3.9", "error"),
        ("chunk_size", 3.9, "surprise"),
        ("local_cpu", "yes", "surprise"),
        ("local_disk", "", "error"),
        ("chunk_sizes", 5, "unknown"),
        ("validate", 5, "error"),
    ],
)
def test_what_lmcache_does_not_take_as_meant(key: str, value: Any, severity: str) -> None:
    finding, *_ = find((key, value))
    assert (finding.rule, finding.key, finding.severity) == ("r", key, severity)
    assert finding.text


def test_one_that_older_releases_read_otherwise_is_noted_once() -> None:
    (finding,) = [found for found in find(("chunk_size", "512")) if "0.3.13" in found.text]
    assert finding.severity == "surprise"
    assert find(("chunk_size", "512"))[-1] == finding
    assert not [found for found in find(("chunk_size", "x")) if "0.3.13" in found.text]


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"items": [{"key": "extra_config", "value": {"a": [{"api_key": MASK}]}}]}, "extra_config"),
        ({"items": [{"key": "remote_url", "value": f"redis://{MASK}@h:1"}]}, "remote_url"),
        ({"match": {"env": {"API_TOKEN": MASK}}}, "API_TOKEN"),
        ({"match": {"env": {"API_TOKEN": {"equals": MASK}}}}, "API_TOKEN"),
        ({"match": {"config": {"remote_url": f"redis://{MASK}@h:1"}}}, "remote_url"),
    ],
)
def test_what_was_shown_in_place_of_a_secret_is_no_value(fields: dict[str, Any], key: str) -> None:
    (finding,) = findings(read_rules({"rules": [{"name": "r", **fields}]}))
    assert (finding.rule, finding.key, finding.severity) == ("r", key, "error")
    assert finding.text.startswith("got ********, which is shown in place of a secret")


def test_secrets_are_not_told() -> None:
    text = " ".join(finding.text for finding in find(("remote_url", ["redis://u:hidden@h"]), ("api_key", "hidden")))
    assert text
    assert "hidden" not in text


def test_a_release_may_be_given() -> None:
    assert "unknown" not in severities(("run_script_api_enabled", True))
    assert severities(("run_script_api_enabled", True), version="0.4.7") == ["unknown"]


def test_settings_that_are_asked_for_must_exist() -> None:
    (finding,) = find(match={"config": {"chunksize": {"at_least": 1, "at_most": 2}, "chunk_size": 1}})
    assert (finding.key, finding.severity) == ("chunksize", "unknown")
    assert finding.text == "the rule asks for the setting chunksize, which LMCache 0.5.6 does not have"


def test_settings_of_a_rule_that_denies_reach_nobody() -> None:
    assert [finding.text for finding in find(("chunk_size", 512), deny=True)] == [
        "the rule denies, so that nobody gets this setting"
    ]
    assert find(deny=True) == []
