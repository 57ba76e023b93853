# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from typing import Any

import pytest

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.remote_config.document import read_rules
from lmcache_frontend.remote_config.matching import Facts
from lmcache_frontend.remote_config.preview import preview_document, read_numbers, read_question
from lmcache_frontend.remote_config.rules import Rule


def test_a_question_about_any_worker() -> None:
    question = read_question(
        {
            "app_id": "llama",
            "env": {"POD_NAME": "p"},
            "current_config": {"chunk_size": 256},
            "client": "10.0.0.1",
            "lmcache_version": "0.4.7",
        }
    )
    assert question == (Facts("llama", {"POD_NAME": "p"}, {"chunk_size": 256}, "10.0.0.1"), "", "0.4.7", None)
    assert read_question({}) == (Facts("", {}, {}, ""), "", "0.5.6", None)
    nulls = dict.fromkeys(("app_id", "env", "current_config", "client", "lmcache_version", "rules"))
    assert read_question(nulls) == (Facts("", {}, {}, ""), "", "0.5.6", None)


def test_a_question_about_a_remembered_worker_and_about_other_rules() -> None:
    question = read_question({"client_id": "abc", "rules": [{"name": "r"}]})
    assert (question.facts, question.client_id, question.rules) == (None, "abc", (Rule("r"),))
    assert read_question({"rules": {"rules": [{"name": "r"}]}}).rules == (Rule("r"),)


@pytest.mark.parametrize(
    ("request_fields", "message"),
    [
        ({"appid": "a"}, 'there is a field "appid", expected some of app_id, env, current_config, client, client_id'),
        ({"app_id": 5}, "app_id is 5, expected a text"),
        ({"env": []}, "env is a list, expected an object"),
        ({"env": {"RANK": 0}}, "env.RANK is 0, expected a text, as every variable is one"),
        ({"current_config": "x"}, "current_config is a text, expected an object"),
        ({"client": "host"}, 'client is "host", expected an IP address'),
        ({"lmcache_version": 5}, "lmcache_version is 5, expected a text"),
        ({"client_id": 5}, "client_id is 5, expected a text"),
        ({"client_id": "a", "env": {}}, "client_id stands for a worker that asked, and env describes another"),
        ({"rules": [{"name": 5}]}, "rules[0].name is 5, expected a text"),
        ({"rules": "x"}, 'rules is "x", expected a list'),
    ],
)
def test_faults_of_a_question(request_fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_question(request_fields)
    assert str(caught.value).startswith(message)


def test_a_preview_says_what_lmcache_makes_of_the_answer() -> None:
    rules = read_rules(
        {
            "rules": [
                {
                    "name": "r",
                    "items": [
                        {"key": "chunk_size", "value": "512"},
                        {"key": "local_cpu", "value": False, "override": False},
                        {"key": "pd_allocation_timeout_sec", "value": "Infinity"},
                    ],
                }
            ]
        }
    )
    current = {"chunk_size": 256, "pd_allocation_timeout_sec": math.inf}
    document = preview_document(rules, Facts("a", {}, current, ""), "0.5.6")
    json.dumps(document, allow_nan=False)
    assert [config["key"] for config in document["configs"]] == ["chunk_size", "local_cpu", "pd_allocation_timeout_sec"]
    chunk_size, local_cpu, timeout = document["result"]
    assert (chunk_size["key"], chunk_size["current"], chunk_size["remote"], chunk_size["result"]) == (
        "chunk_size",
        256,
        "512",
        512,
    )
    assert local_cpu["result"] is False
    assert (timeout["current"], timeout["result"], timeout["changed"]) == ("Infinity", "Infinity", False)
    assert {"configs", "explain", "unmatched", "result", "unknown", "denied_by", "doubts"} == document.keys()
    raw = preview_document(rules, Facts("a", {}, current, ""), "0.3.13")
    assert raw["result"][0]["result"] == "512"


def test_one_that_is_denied_gets_nothing() -> None:
    document = preview_document((Rule("r", deny=True),), Facts("a", {}, {}, ""), "0.5.6")
    assert (document["configs"], document["result"], document["denied_by"]) == ([], [], "r")


def test_numbers_of_strict_json_are_numbers_where_lmcache_has_them() -> None:
    config = {"pd_allocation_timeout_sec": "Infinity", "remote_url": "Infinity", "x": "NaN", "chunk_size": 5}
    assert read_numbers(config, "0.5.6") == {**config, "pd_allocation_timeout_sec": math.inf}
