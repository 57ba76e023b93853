# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from lmcache_frontend.fleet.derive import positions_of
from lmcache_frontend.fleet.problems import IDLE_S, problems
from lmcache_frontend.fleet.snapshot import (
    NO_TRAFFIC,
    OK,
    STALE,
    Figure,
    Figures,
    Level,
    NodeState,
    Problem,
    unknown,
)
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


def test_a_fleet_that_is_well_has_no_problems() -> None:
    idle = state("idle", figures=figures("worker", failures_per_s=0, evictions_per_s=0, cpu_fill=1))
    assert texts(state("a"), idle, unknown(make_node("new"), START)) == []


def test_the_worst_comes_first() -> None:
    found = texts(
        state("idle", idle_since=START - 600, instance="a", figures=figures("worker", NO_TRAFFIC, lookups_per_s=0)),
        state("busy", instance="b", figures=figures("worker", lookups_per_s=1)),
        state("late", Level.DEGRADED, ("periodic thread x is late",)),
        state("gone", Level.UNREACHABLE, ("refused",)),
    )
    assert found == [
        ("critical", "gone", "unreachable: refused"),
        ("warning", "late", "degraded: periodic thread x is late"),
        ("notice", "idle", "no traffic, while 1 of 1 other workers have some"),
    ]


def test_failures_are_told_by_what_failed() -> None:
    found = texts(state(figures=figures("worker", failures_per_s=0.1, failed_puts_per_s=0.1, failed_gets_per_s=0)))
    assert found == [("warning", "w", "failures rising: 6 a minute (puts)")]


def test_an_event_bus_that_drops_is_a_problem() -> None:
    found = texts(state("m", kind="mp", figures=figures("mp", event_bus_drops_per_s=1)))
    assert found == [("warning", "m", "the event bus drops events: 60 a minute")]


def worker_evicting(held: float, *, fill: float = 0.97) -> NodeState:
    return state("full", figures=figures("worker", cpu_fill=fill, evictions_per_s=2, active_objects=held))


def test_a_full_tier_is_a_problem_where_nothing_stays_for_long() -> None:
    text = "the CPU tier is full (97%) and too small: it evicts 120 a minute, a chunk stays for 5 s"
    assert texts(worker_evicting(10)) == [("warning", "full", text)]
    assert texts(worker_evicting(1000)) == []
    assert texts(worker_evicting(10, fill=0.8)) == []


def test_large_amounts_are_written_without_an_exponent() -> None:
    full = figures("worker", cpu_fill=0.99, evictions_per_s=22.85, active_objects=10)
    assert "it evicts 1,371 a minute" in texts(state("w", figures=full))[0][2]


def l1(fill: float, **more: float) -> NodeState:
    return state("m", kind="mp", figures=figures("mp", cpu_fill=fill, evictions_per_s=1, l1_watermark=0.8, **more))


def test_an_mp_server_is_full_at_its_watermark() -> None:
    text = "L1 is full (78%) and too small: it evicts 60 a minute, half of it is wanted again within 12 s"
    assert texts(l1(0.78, evict_reuse_gap_p50_s=12.3, chunk_lifetime_p50_s=5)) == [("warning", "m", text)]
    assert texts(l1(0.5, evict_reuse_gap_p50_s=12.3)) == []
    assert texts(l1(0.78, evict_reuse_gap_p50_s=900, chunk_lifetime_p50_s=300)) == []
    assert texts(l1(0.78, chunk_lifetime_p50_s=5))[0][2].endswith("evicts 60 a minute, a chunk stays for 5 s")


def test_a_node_that_is_slow_says_why_where_it_knows() -> None:
    slow = state(scrape_seconds=2.54)
    assert texts(slow) == [("warning", "w", "answers slowly: 2.5 s for its metrics")]
    talkative = slow._replace(remarks=("the logger lmcache is at DEBUG",))
    assert texts(talkative)[0][2] == "answers slowly: 2.5 s for its metrics; the logger lmcache is at DEBUG"
    assert texts(state(scrape_seconds=0.3)) == []
    gone = slow._replace(level=Level.UNREACHABLE, reasons=("refused",))
    assert [text for _, _, text in texts(gone)] == ["unreachable: refused"]


@pytest.mark.parametrize(
    ("stores", "what"), [(0.0, "stores nothing"), (0.5, "finds nothing in its cache")], ids=["stores", "finds"]
)
def test_what_is_switched_off_is_told_with_what_it_does(stores: float, what: str) -> None:
    node = state(figures=figures("worker", lookups_per_s=0.9, stores_per_s=stores), remarks=("a", "b"))
    assert texts(node) == [("warning", "w", f"{what}, with lookups at 54 a minute: a, b")]


def idle(name: str, instance: str | None = "i", since: float = START - 600, **changes: Any) -> NodeState:
    node = state(name, instance=instance, idle_since=since, figures=figures("worker", NO_TRAFFIC, lookups_per_s=0))
    return node._replace(**changes)


def busy(name: str, instance: str | None = "i") -> NodeState:
    return state(name, instance=instance, figures=figures("worker", lookups_per_s=1))


def test_an_idle_worker_beside_busy_ones_of_its_instance_is_a_problem_since_it_is_idle() -> None:
    nodes = {one.name: one for one in (busy("a"), busy("b"), idle("c"), busy("d", "other"))}
    (found,) = problems(nodes, [], [], START)
    assert (found.severity, found.node, found.since, found.code) == ("warning", "c", START - 600, "no_traffic")
    assert found.text == "no traffic, while 2 of 2 other workers of i have some"


def test_idle_nodes_alone_are_no_problem() -> None:
    assert texts(idle("a"), idle("b")) == []
    assert texts(idle("a"), idle("b"), idle("c"), busy("d")) == []
    assert texts(idle("a", since=START + 60 - IDLE_S + 1), busy("b")) == []
    assert texts(idle("a", kind="scheduler"), state("s", kind="scheduler", figures=busy("x").figures)) == []
    assert texts(idle("a", figures=figures("worker", STALE, lookups_per_s=0)), busy("b")) == []


def test_an_idle_node_without_an_instance_in_common_is_worth_a_notice() -> None:
    found = texts(idle("a", "one"), busy("b", "two"), busy("c", "two"))
    assert found == [("notice", "a", "no traffic, while 2 of 2 other workers have some")]
    unnamed = texts(idle("a", None), busy("b", None))
    assert unnamed == [("notice", "a", "no traffic, while 1 of 1 other workers have some")]


def test_old_figures_are_no_new_problem() -> None:
    gone = state("w", Level.UNREACHABLE, ("refused",), figures=figures("worker", STALE, failures_per_s=3))
    assert [text for _, _, text in texts(gone)] == ["unreachable: refused"]


def test_versions_that_differ_are_one_problem_of_the_fleet() -> None:
    nodes = [state(f"n{number}") for number in range(5)]
    found = texts(*nodes, state("old", version="0.5.5"), state("gone", Level.UNREACHABLE, ("x",), version="0.3.9"))
    assert found[-1] == ("warning", "old", "several versions of LMCache run: 0.5.6 on 5 nodes, 0.5.5 on old")
    old = [state(f"old{number}", version="0.5.5") for number in range(4)]
    assert texts(*nodes, *old) == [
        ("warning", None, "several versions of LMCache run: 0.5.6 on 5 nodes, 0.5.5 on 4 nodes")
    ]
    (two,) = problems({one.name: one for one in (*nodes, *old[:2])}, [], [], START)
    assert (two.node, two.nodes) == (None, ("old0", "old1"))
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


def differing(key: str, *groups: list[str]) -> dict[str, Any]:
    return {"key": key, "values": [{"value": number, "nodes": names} for number, names in enumerate(groups)]}


def test_few_nodes_that_differ_from_the_others_are_told_by_name() -> None:
    many = [f"n{number}" for number in range(8)]
    keys = [differing("chunk_size", many[2:], ["n0"], ["n1"]), differing("save_decode_cache", many[1:], ["n0"])]
    other = [differing("blocking_timeout_secs", many[:4], many[4:])]
    groups = [{"kind": "worker", "nodes": 8, "keys": [*keys, *other]}]
    assert texts(groups=groups) == [
        ("warning", "n0", "configuration differs from that of the other workers: chunk_size, save_decode_cache"),
        ("warning", "n1", "configuration differs from that of the other workers: chunk_size"),
        ("warning", None, "configuration differs among 8 workers: blocking_timeout_secs"),
    ]


def test_of_two_nodes_none_is_the_odd_one() -> None:
    groups = [{"kind": "mp", "nodes": 2, "keys": [differing("chunk_size", ["a"], ["b"])]}]
    assert texts(groups=groups) == [("warning", None, "configuration differs among 2 MP servers: chunk_size")]


def test_a_problem_keeps_the_time_since_when_it_is_there() -> None:
    full = worker_evicting(10)
    (first,) = problems({"full": full}, [], [], START)
    fuller = worker_evicting(12, fill=0.99)
    (second,) = problems({"full": fuller}, [], [first], START + 100)
    assert second.text != first.text
    assert second.since == START
    assert problems({"full": fuller}, [], [], START + 100)[0].since == START + 100


def test_a_node_is_a_problem_since_it_changed() -> None:
    gone = state("gone", Level.UNREACHABLE, ("refused",), level_since=START - 500)
    assert problems({"gone": gone}, [], [], START) == (
        Problem("critical", "gone", "unreachable: refused", START - 500, "unreachable"),
    )
