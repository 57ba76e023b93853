# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from lmcache_frontend.errors import NotFound
from lmcache_frontend.fleet.heat import LEVELS, heat_text, level_number
from lmcache_frontend.fleet.history import LEVEL, SERIES, History
from lmcache_frontend.fleet.snapshot import Level
from tests.helpers.demo import START, ManualClock, server, worker
from tests.helpers.fleet import REFUSED, FakeNode, Fleet


def document(name: str, *histories: History, since: float | None = START, step_s: float = 0.0) -> Any:
    columns = [history.column(name, START + 20, since=since, step_s=step_s) for history in (*histories, History())]
    rows = [(f"n{number}", column) for number, column in enumerate(columns[:-1])]
    return json.loads(heat_text(name, rows, columns[-1]), parse_constant=pytest.fail)


def filled(*values: float | None, name: str = "cpu_fill") -> History:
    history = History()
    for number, value in enumerate(values):
        history.add(START + number * 10, {name: value})
    return history


def test_a_row_a_node_and_nothing_for_gaps() -> None:
    assert document("cpu_fill", filled(0.25, None, 0.5), filled(1.0)) == {
        "name": "cpu_fill",
        "start": START,
        "step_s": 10,
        "nodes": ["n0", "n1"],
        "values": [[0.25, None, 0.5], [1, None, None]],
    }


def test_a_fleet_without_nodes_has_its_steps_all_the_same() -> None:
    assert document("cpu_fill") == {"name": "cpu_fill", "start": START, "step_s": 10, "nodes": [], "values": []}


def test_values_have_four_digits_and_what_is_not_finite_is_none() -> None:
    history = filled(1 / 3, float("inf"), float("-inf"))
    assert document("cpu_fill", history)["values"] == [[0.3333, None, None]]
    assert document("cpu_fill", filled(17179869184.0))["values"][0][0] == 17180000000


def test_names_are_texts_whatever_is_in_them() -> None:
    column = filled(1.0).column("cpu_fill", START, since=START)
    key = 'a"b\\<\u202e\U0001f525\nc'
    assert json.loads(heat_text("cpu_fill", [(key, column)], column))["nodes"] == [key]


def test_states_are_numbers_that_the_answer_explains() -> None:
    found = document(LEVEL, filled(level_number(Level.HEALTHY), level_number(Level.UNREACHABLE), name=LEVEL))
    assert [found["levels"][value] for value in found["values"][0][:2]] == ["healthy", "unreachable"]
    assert set(LEVELS) == set(Level)


def test_of_a_long_step_the_worst_state_is_told() -> None:
    numbers = [level_number(level) for level in (Level.HEALTHY, Level.DEGRADED, Level.HEALTHY)]
    (values,) = document(LEVEL, filled(*numbers, name=LEVEL), step_s=60)["values"]
    assert values[-1] == level_number(Level.DEGRADED)


def test_the_collector_keeps_the_state_of_the_dead_as_well() -> None:
    clock = ManualClock()
    fleet = Fleet({"w": FakeNode(worker(clock)), "m": FakeNode(server(clock))}, clock)
    begin = fleet.clock()
    fleet.rounds(2)
    fleet.nodes["w"].down = REFUSED
    fleet.rounds(2)
    states = json.loads(fleet.collector.heat(LEVEL, begin + 10))
    healthy, unreachable = level_number(Level.HEALTHY), level_number(Level.UNREACHABLE)
    assert dict(zip(states["nodes"], states["values"], strict=True)) == {
        "w": [healthy, healthy, unreachable, unreachable],
        "m": [healthy] * 4,
    }
    fills = json.loads(fleet.collector.heat("cpu_fill", begin + 10))["values"]
    assert [[value is None for value in row] for row in fills] == [[False, False, True, True], [False] * 4]


def test_only_what_is_kept_can_be_asked_for() -> None:
    with pytest.raises(NotFound, match="expected one of level, lookup_hit_rate"):
        Fleet({}).collector.heat("colour", None)
    assert LEVEL not in SERIES
