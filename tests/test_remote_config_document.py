# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ipaddress
import json
import math
from typing import Any

import pytest

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.remote_config import document
from lmcache_frontend.remote_config.document import read_rules, write_rules
from lmcache_frontend.remote_config.rules import Condition, Operator, Rule

FULL: dict[str, Any] = {
    "name": "big chunks",
    "description": "for the rollout",
    "enabled": True,
    "deny": False,
    "match": {
        "app_id": ["llama-*", "b"],
        "env": {
            "POD_NAME": "vllm-*",
            "TEAM": {"equals": "search*"},
            "NODE": {"glob": "n?"},
            "DEBUG": {"present": False},
            "odd name": "x",
        },
        "config": {
            "chunk_size": 256,
            "local_cpu": {"equals": True},
            "extra_config": {"equals": {"a": [1]}},
            "remote_url": {"glob": "redis://*"},
            "max_local_cpu_size": {"at_least": 5, "at_most": 10.5},
            "pd_allocation_timeout_sec": {"at_least": "Infinity"},
            "remote_serde": None,
        },
        "client": ["10.0.0.0/8", "::1", "::ffff:192.0.2.0/120"],
        "rollout_percent": 12.34,
        "rollout_by": "POD_NAME",
    },
    "items": [
        {"key": "chunk_size", "value": 512, "override": True},
        {"key": "extra_config", "value": {"b": [1, None]}, "override": False},
    ],
}


def read_one(**fields: Any) -> Rule:
    (rule,) = read_rules({"rules": [{"name": "r", **fields}]})
    return rule


def test_a_rule_is_read_and_written_back() -> None:
    (rule,) = read_rules({"rules": [FULL]})
    (written,) = write_rules((rule,))["rules"]
    # What says the same is written in its short form.
    expected = json.loads(json.dumps(FULL))
    expected["match"]["env"]["NODE"] = "n?"
    expected["match"]["config"]["local_cpu"] = True
    assert written == expected
    assert read_rules({"rules": [written]}) == (rule,)
    assert rule.match.config[0] == Condition("chunk_size", Operator.EQUALS, "256")
    assert rule.match.config[6] == Condition("pd_allocation_timeout_sec", Operator.AT_LEAST, math.inf)
    assert [network.network for network in rule.match.client] == [
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("::1/128"),
        ipaddress.ip_network("192.0.2.0/24"),
    ]


def test_what_is_not_given_has_a_default() -> None:
    (rule,) = read_rules({"rules": [{"name": "r", "items": [{"key": "k", "value": None}]}]})
    assert write_rules((rule,))["rules"] == [
        {
            "name": "r",
            "description": "",
            "enabled": True,
            "deny": False,
            "match": {},
            "items": [{"key": "k", "value": None, "override": True}],
        }
    ]


def test_our_own_answers_can_be_given_back() -> None:
    assert read_rules({"rules": [], "revision": 3, "read_only": None}) == ()
    fields = {"revision": 3, "parent": 2, "at": 1.5, "author": "a", "message": "", "changes": 1}
    assert read_rules({**fields, "rules": [{"name": "r"}]}) == (Rule("r"),)


def test_rules_cannot_be_changed_to_any_depth() -> None:
    given = {"rules": [{"name": "r", "items": [{"key": "extra_config", "value": {"a": [1]}}]}]}
    (rule,) = read_rules(given)
    given["rules"][0]["items"][0]["value"]["a"].append(2)  # type: ignore[index]
    rule.items[0].value["a"].append(3)
    write_rules((rule,))["rules"][0]["items"][0]["value"]["a"].append(4)
    assert rule.items[0].value == {"a": [1]}
    hash(rule)


def test_numbers_that_are_not_finite_are_kept_as_texts() -> None:
    rule = read_one(items=[{"key": "pd_allocation_timeout_sec", "value": math.inf}], match={"config": {"a": math.nan}})
    assert rule.items[0].value == "Infinity"
    assert write_rules((rule,))["rules"][0]["match"]["config"] == {"a": "NaN"}
    json.dumps(write_rules((rule,)), allow_nan=False)


def test_whole_percents_are_one_however_written() -> None:
    assert read_one(match={"rollout_percent": 20.0}) == read_one(match={"rollout_percent": 20})
    assert [read_one(match={"rollout_percent": value}).match.rollout_percent for value in (0, 100, 0.01, 99.99)] == [
        0,
        100,
        0.01,
        99.99,
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "the document is null, expected an object with rules"),
        ([], "the document is a list, expected an object with rules"),
        ({}, 'the document has no rules, expected {"rules": [...]}'),
        ({"rule": []}, 'the document has a field "rule", expected one of rules'),
        ({"rules": {}}, "rules is an object, expected a list"),
        ({"rules": None}, "rules is null, expected a list"),
        ({"rules": ["x"]}, 'rules[0] is "x", expected an object with name, description, enabled, deny, match, items'),
        ({"rules": [{"name": "a"}, {}]}, "rules[1].name is null, expected a text"),
        ({"rules": [{"name": " "}]}, 'rules[0].name is " ", expected a text that is not empty and has no control'),
        ({"rules": [{"name": "a\n"}]}, 'rules[0].name is "a\\n", expected a text that is not empty'),
        ({"rules": [{"name": "a" * 129}]}, "rules[0].name has 129 characters, at most 128 are taken"),
        (
            {"rules": [{"name": "a"}, {"name": "b"}, {"name": "a"}]},
            'rules[2].name is "a", which rules[0] is called already',
        ),
    ],
)
def test_faults_of_the_document(given: Any, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_rules(given)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mach": {}}, 'rules[0] has a field "mach", expected one of name, description, enabled, deny, match, items'),
        ({"enabled": "yes"}, 'rules[0].enabled is "yes", expected true or false'),
        ({"deny": 1}, "rules[0].deny is 1, expected true or false"),
        ({"description": None}, "rules[0].description is null, expected a text"),
        ({"match": []}, "rules[0].match is a list, expected an object with app_id, env"),
        ({"match": {"app": []}}, 'rules[0].match has a field "app", expected one of app_id, env, config, client'),
        ({"match": {"app_id": "a"}}, 'rules[0].match.app_id is "a", expected a list'),
        ({"match": {"app_id": []}}, "rules[0].match.app_id is empty and would match nobody"),
        ({"match": {"app_id": ["a", 3]}}, "rules[0].match.app_id[1] is 3, expected a text"),
        ({"match": {"app_id": ["a" * 257]}}, "rules[0].match.app_id[0] has 257 characters, at most 256 are taken"),
        ({"match": {"env": []}}, "rules[0].match.env is a list, expected an object"),
        ({"match": {"env": {"POD_NAME": 3}}}, "rules[0].match.env.POD_NAME is 3, expected a text"),
        ({"match": {"env": {"A B": None}}}, 'rules[0].match.env["A B"] is null, expected a text'),
        ({"match": {"env": {"": "x"}}}, 'a name in rules[0].match.env is "", expected a text, of 1 to 128'),
        ({"match": {"env": {"A": {}}}}, "rules[0].match.env.A has 0 conditions, expected one of equals, glob, present"),
        (
            {"match": {"env": {"A": {"equals": "a", "glob": "b"}}}},
            "rules[0].match.env.A has 2 conditions, expected one of equals, glob, present",
        ),
        (
            {"match": {"env": {"A": {"at_least": 1, "at_most": 2}}}},
            'a condition in rules[0].match.env.A is "at_least", expected one of equals, glob, present',
        ),
        ({"match": {"env": {"A": {"equals": 3}}}}, "rules[0].match.env.A.equals is 3, expected a text"),
        ({"match": {"env": {"A": {"present": "no"}}}}, 'rules[0].match.env.A.present is "no", expected true or false'),
        (
            {"match": {"config": {"a": {"b": 1}}}},
            'a condition in rules[0].match.config.a is "b", expected one of equals, glob, at_least, at_most',
        ),
        (
            {"match": {"config": {"a": {"at_least": "5"}}}},
            'rules[0].match.config.a.at_least is "5", expected a number',
        ),
        ({"match": {"config": {"a": {"at_most": True}}}}, "rules[0].match.config.a.at_most is true, expected a number"),
        ({"match": {"config": {"a": {"at_most": "NaN"}}}}, 'rules[0].match.config.a.at_most is "NaN", expected a'),
        ({"match": {"config": {"a": {"glob": 5}}}}, "rules[0].match.config.a.glob is 5, expected a text"),
        ({"match": {"client": ["10.0.0.1/8"]}}, 'rules[0].match.client[0] is "10.0.0.1/8", which is an address within'),
        ({"match": {"client": ["host"]}}, 'rules[0].match.client[0] is "host", expected a network such as'),
        ({"match": {"client": [10]}}, "rules[0].match.client[0] is 10, expected a network such as"),
        ({"match": {"rollout_percent": 101}}, "rules[0].match.rollout_percent is 101, expected a number from 0 to 100"),
        ({"match": {"rollout_percent": -1}}, "rules[0].match.rollout_percent is -1, expected a number from 0 to 100"),
        ({"match": {"rollout_percent": True}}, "rules[0].match.rollout_percent is true, expected a number from 0"),
        ({"match": {"rollout_percent": None}}, "rules[0].match.rollout_percent is null, expected a number from 0"),
        ({"match": {"rollout_percent": math.nan}}, "rules[0].match.rollout_percent is NaN, expected a number from"),
        ({"match": {"rollout_percent": 0.005}}, "rules[0].match.rollout_percent is 0.005, expected steps of 0.01"),
        (
            {"match": {"env": {}}},
            "rules[0].match.env is empty and would match everybody; leave it out if that is meant",
        ),
        ({"match": {"config": {}}}, "rules[0].match.config is empty and would match everybody"),
        ({"match": {"env": None}}, "rules[0].match.env is null, expected an object"),
        ({"match": {"rollout_by": "A"}}, "rules[0].match.rollout_by is given without rollout_percent"),
        ({"match": {"rollout_percent": 5, "rollout_by": ""}}, 'rules[0].match.rollout_by is "", expected the name of'),
        ({"items": {}}, "rules[0].items is an object, expected a list"),
        ({"items": [{"value": 1}]}, "rules[0].items[0].key is null, expected a text"),
        ({"items": [{"key": "", "value": 1}]}, 'rules[0].items[0].key is "", expected the name of a setting'),
        ({"items": [{"key": 5, "value": 1}]}, "rules[0].items[0].key is 5, expected a text"),
        ({"items": [{"key": "a"}]}, "rules[0].items[0] has no value; null is a value too"),
        ({"items": [{"key": "a", "value": 1, "override": "true"}]}, 'rules[0].items[0].override is "true", expected'),
        (
            {"items": [{"key": "a", "value": 1}, {"key": "a", "value": 1}]},
            'rules[0].items[1].key is "a", which items[0] sets already',
        ),
        ({"items": [{"key": "a", "value": {1: 2}}]}, "a key in rules[0].items[0].value is 1, expected a text"),
        ({"items": [{"key": "a", "value": [b""]}]}, "rules[0].items[0].value is no JSON value, expected a value that"),
        ({"items": [{"key": "a", "value": "x" * 65536}]}, "rules[0].items[0].value has 65538 bytes as JSON, at most"),
    ],
)
def test_faults_of_a_rule(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_one(**fields)
    assert str(caught.value).startswith(message)


def test_a_value_that_nests_too_deeply_is_refused() -> None:
    value: Any = 1
    for _ in range(16):
        value = [value]
    assert read_one(items=[{"key": "a", "value": value}]).items[0].value == value
    with pytest.raises(BadRequest, match=r"rules\[0\].items\[0\].value nests deeper than 16 levels"):
        read_one(items=[{"key": "a", "value": [value]}])
    for _ in range(5000):
        value = [value]
    with pytest.raises(BadRequest, match="nests deeper"):
        read_one(items=[{"key": "a", "value": value}])


def test_there_is_a_limit_to_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRequest, match=r"^rules has 501 entries, at most 500 are taken$"):
        read_rules({"rules": [{"name": str(number)} for number in range(501)]})
    items = [{"key": str(number), "value": 1} for number in range(201)]
    with pytest.raises(BadRequest, match=r"^rules\[0\].items has 201 entries, at most 200 are taken$"):
        read_one(items=items)
    with pytest.raises(BadRequest, match=r"^rules\[0\].match.env has 101 conditions, at most 100 are taken$"):
        read_one(match={"env": {f"V{number}": "x" for number in range(101)}})
    monkeypatch.setattr(document, "DOCUMENT_LIMIT_BYTES", 200)
    with pytest.raises(BadRequest, match=r"^rules have \d+ bytes together, at most 200 are taken$"):
        read_one(description="x" * 200)
