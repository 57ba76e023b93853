# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lmcache_frontend.fleet import texts as module
from lmcache_frontend.fleet.documents import fleet_document, node_document, problem_document
from lmcache_frontend.fleet.snapshot import (
    NO_TRAFFIC,
    OK,
    STALE,
    Figure,
    Figures,
    FleetSnapshot,
    NodeState,
    Problem,
    Quota,
    unknown,
)
from lmcache_frontend.fleet.texts import KEPT, Texts, event_text, fleet_text, node_text
from tests.helpers.demo import START
from tests.helpers.fleet import make_node

NAMES = {"a_per_s": 0, "b_total": 1, "c": 2, "d": 3}
FIGURES = Figures(NAMES, {"a_per_s": Figure(0.1, OK), "b_total": Figure(1e22, STALE), "c": Figure(None, NO_TRAFFIC)})
PROBLEM = Problem("warning", "one", "slow", START, "slow", ("one", "other"))


def state(name: str) -> NodeState:
    found = unknown(make_node(name), START)
    quotas = (Quota("salt", 1.0, 2.0),)
    return found._replace(figures=FIGURES, labels={"rack": 'a "b" \\ é'}, quotas=quotas, remarks=("odd\n",))


def snapshot(number: int, *states: NodeState) -> FleetSnapshot:
    return FleetSnapshot(number, START, 10.0, {one.key: one for one in states}, FIGURES, (PROBLEM,))


@pytest.mark.parametrize("names", [None, (), ("c", "a_per_s"), ("a_per_s", "nobody")])
def test_a_text_says_what_the_document_does(names: tuple[str, ...] | None) -> None:
    one, fleet = state("one"), snapshot(1, state("one"), state("ünder\u2028"))
    assert json.loads(node_text(one, names)) == node_document(one, names)
    assert json.loads(fleet_text(fleet, names)) == fleet_document(fleet, None, names)


def test_a_fleet_of_nothing_is_strict_json() -> None:
    assert json.loads(fleet_text(snapshot(1)))["nodes"] == []


def test_values_that_json_has_not_are_texts_or_nothing() -> None:
    odd = Figures(NAMES, {"a_per_s": Figure(math.inf, OK), "b_total": Figure(-math.inf, OK), "c": Figure(None, OK)})
    node = state("one")._replace(figures=odd)
    figures = json.loads(node_text(node))["figures"]
    assert [figures[name]["value"] for name in NAMES] == ["Infinity", "-Infinity", None, None]
    assert figures == node_document(node)["figures"]


def test_an_event_has_what_changed() -> None:
    before, after = snapshot(1, state("one"), state("two")), snapshot(2, state("one"), state("three"))
    event = json.loads(event_text(before, after, ("c",)))
    assert event["changed"] == [node_document(after.nodes["three"], ("c",))]
    assert event["gone"] == ["two"]
    assert event["problems"] == [problem_document(PROBLEM)]
    assert (event["snapshot"], event["complete"]) == (2, False)


def test_who_knows_nothing_gets_everything() -> None:
    event = json.loads(event_text(snapshot(0), snapshot(2, state("one"))))
    assert ([node["name"] for node in event["changed"]], event["complete"]) == (["one"], True)


def test_each_document_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    began = threading.Event()

    def slowly(fleet: FleetSnapshot, names: object) -> str:
        made.append(fleet.number)
        began.wait(20)
        return f"{fleet.number} {names}"

    monkeypatch.setattr(module, "fleet_text", slowly)
    texts, one = Texts(), snapshot(1)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(texts.fleet, one, None) for _ in range(4)]
        began.set()
        assert [ask.result(20) for ask in asked] == [b"1 None"] * 4
    assert made == [1]
    assert texts.fleet(one, frozenset({"c"})) == b"1 frozenset({'c'})"
    assert texts.fleet(snapshot(2), None) == b"2 None"
    assert texts.fleet(one, None, compress=lambda body: body[::-1]) == b"enoN 1"
    assert made == [1, 1, 2, 1]


def test_events_are_shared_by_those_who_know_the_same() -> None:
    texts, old, new = Texts(), snapshot(1, state("one")), snapshot(2, state("two"))
    event = texts.event(old, new, None)
    assert texts.event(old, new, None) is event
    assert json.loads(texts.event(snapshot(0), new, None))["complete"]


def test_what_was_made_is_forgotten() -> None:
    texts = Texts()
    for number in range(KEPT + 1):
        texts.fleet(snapshot(number), None)
    # A number stands for one snapshot only, but for those here.
    assert json.loads(texts.fleet(snapshot(0, state("one")), None))["nodes"]
    assert not json.loads(texts.fleet(snapshot(KEPT, state("one")), None))["nodes"]
