# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from lmcache_frontend.fleet.derive import positions_of
from lmcache_frontend.fleet.health import Outcome, condition, faults_in_words, problems
from lmcache_frontend.fleet.snapshot import OK, STALE, Figure, Figures, Level, NodeState, Problem, unknown
from tests.helpers.demo import START
from tests.helpers.fleet import make_node


def state(name: str = "w", level: Level = Level.HEALTHY, reasons: tuple[str, ...] = (), **changes: Any) -> NodeState:
    found = unknown(make_node(name), START)._replace(
        kind="worker", version="0.5.6", level=level, reasons=reasons, last_seen=START
    )
    return found._replace(**changes)


def figures(kind: str, figure_state: str = OK, **values: float) -> Figures:
    return Figures(positions_of(kind), {name: Figure(value, figure_state) for name, value in values.items()})


def texts(*states: NodeState, groups: Any = (), before: Any = ()) -> list[tuple[str, str | None, str]]:
    found = problems({one.name: one for one in states}, groups, before, START + 60)
    return [(problem.severity, problem.node, problem.text) for problem in found]


HEALTHY = {"level": "healthy", "reasons": []}
LATE = {"level": "degraded", "reasons": ["periodic thread x is late"]}
GONE = {"level": "unreachable", "reasons": ["timed out after 5 s"]}
SERVING = {"level": "serving", "reasons": ["LMCache 0.3.9 does not say how it is"]}
STRANGE = {"level": "answering", "reasons": ["answers HTTP (404), but nothing that is LMCache's"]}


@pytest.mark.parametrize(
    ("said", "metrics", "reason", "level", "reasons"),
    [
        (HEALTHY, Outcome.GOOD, None, Level.HEALTHY, ()),
        (HEALTHY, Outcome.OFF, "answered 404", Level.HEALTHY, ()),
        (SERVING, Outcome.GOOD, None, Level.SERVING, ("LMCache 0.3.9 does not say how it is",)),
        (LATE, Outcome.GOOD, None, Level.DEGRADED, ("periodic thread x is late",)),
        (
            HEALTHY,
            Outcome.FAULTY,
            "line 12: x, 3 lines dropped",
            Level.DEGRADED,
            ("metrics: line 12: x, 3 lines dropped",),
        ),
        (SERVING, Outcome.FAILED, "answered 500", Level.DEGRADED, ("metrics: answered 500",)),
        (LATE, Outcome.FAILED, "no", Level.DEGRADED, ("periodic thread x is late", "metrics: no")),
        (GONE, Outcome.FAILED, "timed out after 5 s", Level.UNREACHABLE, ("timed out after 5 s",)),
        (GONE, Outcome.GOOD, None, Level.DEGRADED, ("health: timed out after 5 s",)),
        (STRANGE, Outcome.OFF, None, Level.ANSWERING, ("answers HTTP (404), but nothing that is LMCache's",)),
        (None, Outcome.GOOD, None, Level.ANSWERING, ("health: not understood",)),
    ],
)
def test_level_and_reasons(
    said: Any, metrics: Outcome, reason: str | None, level: Level, reasons: tuple[str, ...]
) -> None:
    assert condition(said, metrics, reason) == (level, reasons)


def test_faults_are_told_with_what_was_lost() -> None:
    assert faults_in_words(["line 12: no number", "line 13: x"], 3) == "line 12: no number, 3 lines dropped"
    assert faults_in_words([], 1) == "1 line dropped"


def test_a_fleet_that_is_well_has_no_problems() -> None:
    idle = state("idle", figures=figures("worker", failures_per_s=0, evictions_per_s=0, cpu_fill=1))
    assert texts(state("a"), idle, unknown(make_node("new"), START)) == []


def test_the_worst_comes_first() -> None:
    found = texts(
        state("full", figures=figures("worker", cpu_fill=0.97, evictions_per_s=2)),
        state("late", Level.DEGRADED, ("periodic thread x is late",)),
        state("gone", Level.UNREACHABLE, ("refused",)),
    )
    assert found == [
        ("critical", "gone", "unreachable: refused"),
        ("warning", "late", "degraded: periodic thread x is late"),
        ("notice", "full", "the CPU tier is full (97%) and evicts: 120 a minute"),
    ]


def test_failures_are_told_by_what_failed() -> None:
    found = texts(state(figures=figures("worker", failures_per_s=0.1, failed_puts_per_s=0.1, failed_gets_per_s=0)))
    assert found == [("warning", "w", "failures rising: 6 a minute (puts)")]


def test_an_event_bus_that_drops_is_a_problem() -> None:
    found = texts(state("m", kind="mp", figures=figures("mp", event_bus_drops_per_s=1)))
    assert found == [("warning", "m", "the event bus drops events: 60 a minute")]


def test_an_mp_server_is_full_at_its_watermark() -> None:
    def l1(fill: float) -> NodeState:
        return state("m", kind="mp", figures=figures("mp", cpu_fill=fill, evictions_per_s=1, l1_watermark=0.8))

    assert texts(l1(0.78)) == [("notice", "m", "L1 is full (78%) and evicts: 60 a minute")]
    assert texts(l1(0.5)) == []


def test_large_amounts_are_written_without_an_exponent() -> None:
    full = figures("worker", cpu_fill=0.99, evictions_per_s=22.85)
    assert texts(state("w", figures=full))[0][2] == "the CPU tier is full (99%) and evicts: 1371 a minute"


def test_old_figures_are_no_new_problem() -> None:
    gone = state("w", Level.UNREACHABLE, ("refused",), figures=figures("worker", STALE, failures_per_s=3))
    assert [text for _, _, text in texts(gone)] == ["unreachable: refused"]


def test_versions_that_differ_are_one_problem_of_the_fleet() -> None:
    nodes = [state(f"n{number}") for number in range(5)]
    found = texts(*nodes, state("old", version="0.5.5"), state("gone", Level.UNREACHABLE, ("x",), version="0.3.9"))
    assert found[-1] == ("warning", None, "several versions of LMCache run: 0.5.6 on 5 nodes, 0.5.5 on old")
    assert texts(*nodes, state("page", kind="frontend", version="1.0")) == []


def test_drift_is_told_without_values() -> None:
    keys = [{"key": f"key{number}", "values": []} for number in range(7)]
    groups = [{"kind": "worker", "nodes": 4, "keys": keys}, {"kind": "mp", "nodes": 2, "keys": []}]
    (found,) = texts(groups=groups)
    assert found == (
        "warning",
        None,
        "configuration differs among 4 workers: key0, key1, key2, key3, key4 and 2 more",
    )


def test_a_problem_keeps_the_time_since_when_it_is_there() -> None:
    full = state("full", figures=figures("worker", cpu_fill=0.97, evictions_per_s=2))
    (first,) = problems({"full": full}, [], [], START)
    fuller = full._replace(figures=figures("worker", cpu_fill=0.99, evictions_per_s=3))
    (second,) = problems({"full": fuller}, [], [first], START + 100)
    assert second.text != first.text
    assert second.since == START
    assert problems({"full": fuller}, [], [], START + 100)[0].since == START + 100


def test_a_node_is_a_problem_since_it_changed() -> None:
    gone = state("gone", Level.UNREACHABLE, ("refused",), level_since=START - 500)
    assert problems({"gone": gone}, [], [], START) == (
        Problem("critical", "gone", "unreachable: refused", START - 500, "unreachable"),
    )
