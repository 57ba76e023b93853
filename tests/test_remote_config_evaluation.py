# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

from lmcache_frontend.remote_config.document import read_rules
from lmcache_frontend.remote_config.evaluation import Evaluation, answer_digest, evaluate
from lmcache_frontend.remote_config.matching import Facts

FACTS = Facts("llama", {"POD_NAME": "vllm-0"}, {"chunk_size": 256}, "10.1.2.3")
PARTIAL = FACTS._replace(partial=True)


def rule(name: str, *items: tuple[Any, ...], **fields: Any) -> dict[str, Any]:
    written = [{"key": item[0], "value": item[1], "override": (*item, True)[2]} for item in items]
    return {"name": name, "items": written, **fields}


def run(*rules: dict[str, Any], facts: Facts = FACTS) -> Evaluation:
    return evaluate(read_rules({"rules": list(rules)}), facts)


def explained(evaluation: Evaluation) -> dict[str, Any]:
    (explanation,) = evaluation.explain
    return explanation


def test_no_rules_give_nothing() -> None:
    assert run() == Evaluation([], None, [], [], [], [])


def test_later_rules_win_a_setting() -> None:
    evaluation = run(
        rule("a", ("chunk_size", 256), ("local_cpu", False)),
        rule("b", ("chunk_size", 512, False)),
        rule("c", ("chunk_size", 1024), match={"app_id": ["other"]}),
    )
    assert evaluation.configs == [
        {"key": "chunk_size", "value": 512, "override": False},
        {"key": "local_cpu", "value": False, "override": True},
    ]
    assert evaluation.explain == [
        {"key": "chunk_size", "rule": "b", "value": 512, "override": False, "lost": [{"rule": "a", "value": 256}]},
        {"key": "local_cpu", "rule": "a", "value": False, "override": True, "lost": []},
    ]
    assert evaluation.unmatched == [{"rule": "c", "why": 'app_id is "llama", not other'}]
    assert (evaluation.denied_by, evaluation.unknown) == (None, [])


def test_extra_configuration_is_merged_and_told_apart() -> None:
    evaluation = run(
        rule("a", ("extra_config", {"x": 1, "y": {"deep": 1}, "same": 5}, False)),
        rule("b", ("extra_config", '{"y": {"other": 2}, "z": 3}')),
        rule("c", ("extra_config", {"z": 4, "same": 5.0})),
    )
    merged = {"x": 1, "y": {"other": 2}, "z": 4, "same": 5.0}
    assert evaluation.configs == [{"key": "extra_config", "value": merged, "override": True}]
    explanation = explained(evaluation)
    assert explanation["rule"] == "c"
    assert explanation["lost"] == [{"rule": "a", "value": {"y": {"deep": 1}}}, {"rule": "b", "value": {"z": 3}}]
    assert explanation["merged"] == [
        {"rule": "a", "value": {"x": 1}},
        {"rule": "b", "value": {"y": {"other": 2}}},
        {"rule": "c", "value": {"z": 4, "same": 5.0}},
    ]


def test_extra_configuration_that_is_no_object_replaces_and_is_replaced() -> None:
    evaluation = run(
        rule("a", ("extra_config", {"x": 1})),
        rule("b", ("extra_config", {"y": 2})),
        rule("c", ("extra_config", None)),
        rule("d", ("extra_config", {"z": 3})),
    )
    assert evaluation.configs[0]["value"] == {"z": 3}
    assert explained(evaluation)["lost"] == [
        {"rule": "a", "value": {"x": 1}},
        {"rule": "b", "value": {"y": 2}},
        {"rule": "c", "value": None},
    ]
    assert "merged" not in explained(evaluation)
    assert run(rule("a", ("extra_config", {"x": 1})), rule("b", ("extra_config", ""))).configs[0]["value"] == ""
    assert run(rule("a", ("extra_config", {})), rule("b", ("extra_config", {}))).configs[0]["value"] == {}
    assert run(rule("a", ("extra_config", {"x": 1})), rule("b", ("extra_config", {}))).configs[0]["value"] == {"x": 1}


def test_objects_of_other_settings_are_replaced() -> None:
    assert run(rule("a", ("other", {"x": 1})), rule("b", ("other", {"y": 2}))).configs[0]["value"] == {"y": 2}


def test_one_rule_that_denies_is_enough() -> None:
    evaluation = run(
        rule("a", ("chunk_size", 512)),
        rule("b", deny=True, match={"env": {"POD_NAME": "vllm-*"}}),
        rule("c", deny=True),
        rule("d", ("chunk_size", 1024)),
    )
    assert (evaluation.denied_by, evaluation.configs, evaluation.explain) == ("b", [], [])
    assert run(rule("b", deny=True, match={"app_id": ["x"]}), rule("d", ("chunk_size", 1))).denied_by is None
    assert run(rule("b", deny=True, enabled=False)).denied_by is None


def test_rules_of_which_that_is_not_known_give_nothing_and_are_named() -> None:
    evaluation = run(
        rule("a", ("chunk_size", 512)),
        rule("b", ("chunk_size", 1024), match={"env": {"TEAM": "x"}}),
        rule("c", deny=True, match={"env": {"TEAM": "y"}}),
        facts=PARTIAL,
    )
    assert evaluation.configs == [{"key": "chunk_size", "value": 512, "override": True}]
    assert evaluation.unknown == ["b", "c"]
    assert evaluation.doubts[0] == {"rule": "b", "why": "the variable TEAM is not kept"}
    assert evaluation.denied_by is None


def test_the_document_is_strict_json_and_nobody_s_but_the_caller_s() -> None:
    rules = read_rules({"rules": [rule("a", ("extra_config", {"x": [1]}))]})
    evaluation = evaluate(rules, FACTS)
    json.dumps(evaluation.document(), allow_nan=False)
    evaluation.configs[0]["value"]["x"].append(2)
    assert evaluate(rules, FACTS).configs[0]["value"] == {"x": [1]}


def test_digests_tell_answers_apart() -> None:
    one = answer_digest(run(rule("a", ("chunk_size", 512))))
    assert one == answer_digest(run(rule("z"), rule("b", ("chunk_size", 512), description="x")))
    others = [
        run(rule("a", ("chunk_size", 512, False))),
        run(rule("a", ("chunk_size", "512"))),
        run(),
        run(rule("a", deny=True)),
    ]
    assert len({one, *map(answer_digest, others)}) == 5
