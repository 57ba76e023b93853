# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

from lmcache_frontend.remote_config.differences import differences, is_same
from lmcache_frontend.remote_config.document import read_rules, write_rule
from lmcache_frontend.remote_config.rules import Rule, Rules


def rules(names: str) -> Rules:
    return tuple(Rule(name) for name in names)


def moved(before: str, after: str) -> list[tuple[str, str, int, int]]:
    return [tuple(change.values()) for change in differences(rules(before), rules(after))]  # type: ignore[misc]


def test_the_same_rules_do_not_differ() -> None:
    assert differences((), ()) == []
    assert differences(rules("abc"), rules("abc")) == []


def test_rules_that_came_went_and_changed() -> None:
    changed = Rule("b", enabled=False)
    assert differences((Rule("a"), Rule("b"), Rule("c")), (changed, Rule("c"), Rule("d"))) == [
        {"op": "removed", "rule": "a", "before": write_rule(Rule("a")), "after": None},
        {"op": "changed", "rule": "b", "before": write_rule(Rule("b")), "after": write_rule(changed)},
        {"op": "added", "rule": "d", "before": None, "after": write_rule(Rule("d"))},
    ]


def test_as_few_as_possible_have_moved() -> None:
    assert moved("abcd", "dabc") == [("moved", "d", 3, 0)]
    assert moved("abcd", "bcda") == [("moved", "a", 0, 3)]
    assert len(moved("ab", "ba")) == 1
    assert moved("abc", "xbc") == [
        ("removed", "a", write_rule(Rule("a")), None),
        ("added", "x", None, write_rule(Rule("x"))),
    ]
    assert [change[1] for change in moved("abcdef", "fabced")] in (["f", "e"], ["f", "d"])


def test_what_is_not_said_to_have_moved_has_kept_its_order() -> None:
    chooser = random.Random(1)
    for _ in range(200):
        before = chooser.sample("abcdefgh", chooser.randrange(9))
        after = chooser.sample("abcdefgh", chooser.randrange(9))
        changes = moved("".join(before), "".join(after))
        named = {name for operation, name, *_ in changes if operation == "moved"}
        stayed = [name for name in after if name in before and name not in named]
        assert stayed == [name for name in before if name in stayed]
        assert (before == after) == (changes == [])


def test_a_rule_may_have_changed_and_moved() -> None:
    changes = differences(rules("abc"), (Rule("c", deny=True), Rule("a"), Rule("b")))
    assert [(change["op"], change["rule"]) for change in changes] == [("changed", "c"), ("moved", "c")]


def test_the_order_within_objects_is_no_difference() -> None:
    def read(first: str, second: str) -> Rule:
        match = {"env": {first: "x", second: "x"}}
        items = [{"key": "extra_config", "value": {first: 1, second: 1}}]
        return read_rules({"rules": [{"name": "r", "match": match, "items": items}]})[0]

    assert is_same(read("a", "b"), read("b", "a"))
    assert not is_same(read("a", "b"), read("a", "c"))
