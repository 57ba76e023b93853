# SPDX-License-Identifier: Apache-2.0
"""What a change of configuration comes to, and the way back."""

from __future__ import annotations

import io
import shlex
from typing import Any

import pytest

from tools.proxy.commands.conf_changes import lines_of, parse_value, plan_of, put_back, remarks, value_text
from tools.proxy.reading import ItemReading
from tools.proxy.selection import Target
from tools.terminal import Terminal

PLAIN = Terminal(io.StringIO())


def reading(node: str, **values: Any) -> ItemReading:
    return ItemReading(node, "ok", None, {"values": values, "infinite": []})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("5", 5), ("5.5", 5.5), ("true", True), ("null", None), ('["a"]', ["a"]), ('"5"', "5"), ("", "")),
        *(("redis://h:1", "redis://h:1"), ("yes", "yes"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity")),
        ('{"a": 1}', {"a": 1}),
    ],
)
def test_values_are_json_or_texts_and_go_back(text: str, value: Any) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)
    again = parse_value(value_text(value))
    assert (again, type(again)) == (value, type(value))


def test_nodes_are_grouped_by_what_would_change() -> None:
    readings = [
        *(reading("a", x=1, y=2), reading("b", x=1.0, y=2), reading("c", x=3, y=2), reading("d", x=9, y=2)),
        *(reading("e", y=2), ItemReading("f", "failed", "refused")),
    ]
    plan = plan_of(readings, {"x": 9, "y": 2})
    assert [nodes for nodes, _ in plan.groups] == [("a",), ("b",), ("c",), ("e",)]
    assert plan.same == ("d",)
    assert plan.unread == {"f": "refused"}
    assert list(lines_of(plan, PLAIN))[:3] == ["1 node: a", "-x: 1", "+x: 9"]
    assert list(lines_of(plan, PLAIN))[-2:] == ["1 node: e", "+x: 9 (no such key there so far)"]


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        *((5.0, 5, False), (True, 1, True), (1, True, True), ("Infinity", "Infinity", False), (None, None, False)),
        *((0, False, True), ([1], [1], False), ("a", "b", True)),
    ],
)
def test_what_is_the_same_is_not_changed(before: Any, after: Any, changes: bool) -> None:
    assert bool(plan_of([reading("a", unheard_of=before)], {"unheard_of": after}).groups) == changes


def test_what_lmcache_makes_of_a_value_counts() -> None:
    held = [reading("a", local_cpu=False, pd_allocation_timeout_sec="Infinity", chunk_size=256)]
    assert plan_of(held, {"local_cpu": "yes"}).same == ("a",)
    assert plan_of(held, {"pd_allocation_timeout_sec": "inf"}).same == ("a",)
    assert plan_of(held, {"chunk_size": 256.9}).same == ("a",)


def test_secrets_are_neither_shown_nor_put_back() -> None:
    plan = plan_of(
        [reading("a", api_key="one", remote_url="redis://u:p@h", x=1)],
        {
            **{"api_key": "two", "remote_url": "redis://v:q@h", "x": 2},
        },
    )
    text = "\n".join(lines_of(plan, PLAIN))
    for secret in ("one", "two", "u:p", "v:q"):
        assert secret not in text
    assert list(put_back(plan, {"a"}, ())) == ["lmcache-proxy conf a x=1"]


def test_the_way_back_is_a_command_line() -> None:
    plan = plan_of([reading("a 1", x="it's"), reading("b", x="it's"), reading("c", x=None)], {"x": 1})
    ways = [shlex.split(line) for line in put_back(plan, {"a 1", "b", "c"}, ("--all",))]
    assert ways == [
        ["lmcache-proxy", "conf", "a 1,b", "x=it's"],
        ["lmcache-proxy", "conf", "c", "x=null"],
    ]
    assert [shlex.split(line)[2] for line in put_back(plan, {"b"}, ())] == ["b"]
    same = plan_of([reading("a", x=1), reading("b", x=1)], {"x": 2})
    assert list(put_back(same, {"a", "b"}, ("--all",))) == ["lmcache-proxy conf --all x=1"]
    assert list(put_back(same, {"a"}, ("--all",))) == ["lmcache-proxy conf a x=1"]
    assert list(put_back(same, set(), ("--all",))) == []


def test_remarks_are_of_the_releases_that_run() -> None:
    nodes = [Target("a", version="0.3.9"), Target("b", version="0.5.6"), Target("c", version="0.5.6")]
    assert remarks({"chunk_size": 128}, nodes) == []
    found = remarks({"min_retrieve_tokens": 1}, nodes)
    assert len(found) == 1
    assert found[0].startswith("min_retrieve_tokens: LMCache 0.3.9 has no such key")


def test_the_way_back_leads_to_the_same_frontend() -> None:
    plan = plan_of([reading("a", x=1)], {"x": 2})
    where = ("--server", "http://h:1")
    assert list(put_back(plan, ["a"], (), where=where)) == ["lmcache-proxy conf a x=1 --server http://h:1"]
