# SPDX-License-Identifier: Apache-2.0
"""Each fault of the demo can be found among the fleet's problems, and undone as on a real node, where it can be."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.cluster.adapters.kinds import Ask
from lmcache_frontend.cluster.model import Node
from lmcache_frontend.demo.cluster import make_load, make_node, seats, start_cluster
from lmcache_frontend.demo.faults import FAULTS, place_faults
from lmcache_frontend.demo.node import Node as DemoNode
from lmcache_frontend.errors import UsageError
from lmcache_frontend.fleet.snapshot import Problem
from lmcache_frontend.settings import DEMO_FAULTS, Settings
from tests.helpers.demo import ManualClock
from tests.helpers.fleet import REFUSED, FakeNode, Fleet
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until

ACTIVE = "lmcache:periodic_threads_critical_active{"
KINDS = {seat.name: seat.kind for seat in seats(16)}
SICK = {"worker": "demo_worker3", "scheduler": "demo_scheduler", "mp": "demo_mp0"}


class TimedFleet(Fleet):
    """A fleet of sixteen simulated nodes of which one has a fault, whose answers take their time by the clock."""

    def __init__(self, sick: str, fault: str) -> None:
        clock = ManualClock()
        load = partial(make_load, seed=1, warm_up_requests=40)
        self.demo: dict[str, DemoNode] = {
            seat.name: make_node(seat, "/tmp/x", load, clock, fault if seat.name == sick else "") for seat in seats(16)
        }
        super().__init__({name: FakeNode(node) for name, node in self.demo.items()}, clock)
        if fault == "down":
            self.nodes[sick].down = REFUSED

    def ask_node(self, node: Node) -> Ask:
        def asking(target: str, timeout_s: float | None) -> Any:
            self.clock.pass_time(self.demo[node.name].delay_s)
            return self.nodes[node.name].ask(target, timeout_s)

        return asking

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self.collector.snapshot.problems


def test_a_demo_without_faults_has_no_problems_for_a_long_time() -> None:
    fleet = TimedFleet("", "")
    for _ in range(10):
        fleet.rounds(6)
        assert fleet.problems == ()


# Where each fault can be, and what is said of it.
TOLD = [
    ("down", "worker", "unreachable", "unreachable: refused"),
    ("slow", "worker", "slow", "answers slowly: 2.5 s for its metrics; the logger lmcache is at DEBUG"),
    ("slow", "mp", "slow", "answers slowly: 2.5 s for its metrics; the logger lmcache is at DEBUG"),
    ("stranger", "worker", "answering", "nothing that is LMCache's"),
    ("frozen", "worker", "switched_off", "stores nothing, with lookups at "),
    ("bypassed", "worker", "switched_off", "LocalCPUBackend is bypassed"),
    ("drift", "worker", "drift", "configuration differs from that of the other workers: min_retrieve_tokens"),
    ("old-version", "worker", "versions", "0.3.13-g3e11e108 on demo_worker3"),
    ("old-version", "scheduler", "versions", "0.3.13-g3e11e108 on demo_scheduler"),
    ("full-tier", "worker", "tier_full", "the CPU tier is full (100%) and too small"),
    ("full-tier", "mp", "tier_full", "L1 is full"),
    ("late-thread", "worker", "degraded", "degraded: periodic thread PinMonitor-thread is late"),
    ("late-thread", "mp", "degraded", "degraded: periodic thread DeviceHostFuncDispatcher is late"),
    ("no-traffic", "worker", "no_traffic", "no traffic, while 5 of 5 other workers of demo have some"),
    ("no-traffic", "mp", "no_traffic", "no traffic, while 1 of 1 other MP servers have some"),
    ("stale-metrics", "scheduler", "degraded", "degraded: metrics: answered 500: Internal Server Error"),
]


@pytest.mark.parametrize(("fault", "kind", "code", "text"), TOLD)
def test_each_fault_is_told_of_the_node_that_has_it(fault: str, kind: str, code: str, text: str) -> None:
    sick = SICK[kind]
    fleet = TimedFleet(sick, fault)
    fleet.rounds(5)
    # Of two MP servers that differ, none is the odd one.
    assert {problem.node or sick for problem in fleet.problems} == {sick}, fleet.problems
    assert any(problem.code == code and text in problem.text for problem in fleet.problems), fleet.problems


def test_every_fault_is_tried() -> None:
    assert {fault for fault, *_ in TOLD} == set(FAULTS) == set(DEMO_FAULTS)


@pytest.mark.parametrize(
    ("fault", "method", "target", "body"),
    [
        ("slow", "GET", "/loglevel?logger_name=lmcache&level=INFO", ""),
        ("frozen", "PUT", "/freeze/disable", ""),
        ("bypassed", "PUT", "/bypass/remove?backend_name=LocalCPUBackend", ""),
        ("drift", "POST", "/conf", '{"min_retrieve_tokens": 0}'),
        ("stale-metrics", "POST", "/metrics/reset", ""),
    ],
)
def test_what_an_operator_can_undo_is_no_problem_any_more(fault: str, method: str, target: str, body: str) -> None:
    fleet = TimedFleet(SICK["worker"], fault)
    fleet.rounds(5)
    assert fleet.problems
    path, _, query = target.partition("?")
    assert fleet.demo[SICK["worker"]].answer(method, path, query, body.encode()).status == 200
    fleet.collector.renew(SICK["worker"])
    fleet.rounds(2)
    assert fleet.problems == ()


def test_a_node_too_old_to_be_configured_has_what_it_had() -> None:
    seat = seats(8)[1]
    node = make_node(seat, "/tmp/x", partial(make_load, seed=1, warm_up_requests=40), ManualClock(), "old-version")
    statuses = {
        (method, path): node.answer(method, path).status
        for method, path in (("POST", "/conf"), ("GET", "/backends"), ("GET", "/freeze/status"), ("GET", "/metrics"))
    }
    assert list(statuses.values()) == [405, 404, 200, 200]
    conf = json.loads(node.answer("GET", "/conf").body)
    assert "chunk_size" in conf
    assert "run_script_api_enabled" not in conf


def test_a_late_thread_is_seen_by_all_that_tell_of_threads() -> None:
    seat = seats(8)[1]
    node = make_node(seat, "/tmp/x", partial(make_load, seed=1, warm_up_requests=40), ManualClock(), "late-thread")
    name = "PinMonitor-thread"
    health = json.loads(node.answer("GET", "/periodic-threads-health").body)
    (late,) = health["unhealthy_threads"]
    assert (health["healthy"], health["unhealthy_count"], late["name"], late["level"]) == (False, 1, name, "critical")
    one = json.loads(node.answer("GET", f"/periodic-threads/{name}").body)
    assert (one["is_running"], one["is_active"]) == (True, False)
    assert one["last_run_ago"] == late["last_run_ago"] > 3 * one["interval"]
    summary = json.loads(node.answer("GET", "/periodic-threads").body)["summary"]
    assert (summary["running_count"], summary["active_count"]) == (1, 0)
    dump = node.answer("GET", "/threads", f"name={name}").body.decode()
    assert "_objects_lock" in dump
    line = next(line for line in node.answer("GET", "/metrics").body.decode().splitlines() if ACTIVE in line)
    assert line.endswith(" 0.0")


def test_faults_are_placed_by_name_or_by_choice() -> None:
    placed = place_faults(("frozen", "down:demo_mp0", "slow:demo1_worker2"), KINDS)
    assert {placed["demo_mp0"], placed["demo1_worker2"]} == {"down", "slow"}
    assert [KINDS[name] for name, fault in placed.items() if fault == "frozen"] == ["worker"]
    assert place_faults(DEMO_FAULTS, KINDS) == place_faults(DEMO_FAULTS, KINDS)
    assert set(place_faults(DEMO_FAULTS, KINDS).values()) == set(DEMO_FAULTS)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("melted",), "'melted', expected one of down, slow"),
        (("frozen:nobody",), "'nobody', expected one of the demo, as demo_scheduler"),
        (("frozen:demo_mp0",), "frozen can be on a worker, and demo_mp0 is none"),
        (("down:demo_mp0", "slow:demo_mp0"), "puts down and slow on demo_mp0"),
        (("frozen",) * 13, "frozen finds no node left"),
    ],
)
def test_faults_that_cannot_be_are_refused(wanted: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        place_faults(wanted, KINDS)
    with pytest.raises(UsageError, match="--demo-fault"):
        start_cluster(16, tmp_path / "sockets", faults=wanted)


def test_faults_need_a_demo() -> None:
    with pytest.raises(UsageError, match="--demo-fault needs --demo"):
        App(Settings(host="127.0.0.1", port=0, demo_fault=("down",)))


def test_a_sick_node_is_found_and_mended_through_the_service() -> None:
    faults = ("frozen:demo_worker2", "down:demo_worker4")
    settings = Settings(host="127.0.0.1", port=0, demo=8, demo_fault=faults, poll_interval_s=1.0, drain_timeout_s=1.0)
    app = App(settings)
    app.start()

    def problems() -> dict[str, str]:
        found = json.loads(ask(app.settings.port, "GET", "/api/fleet").body)["problems"]
        return {problem["node"]: problem["code"] for problem in found}

    try:
        wait_until(lambda: problems() == {"demo_worker2": "switched_off", "demo_worker4": "unreachable"}, 30)
        body = {"action": "freeze", "nodes": ["demo_worker2"], "arguments": {"enabled": False}}
        answer = ask(app.settings.port, "POST", "/api/fleet/actions", body)
        assert b'"outcome":"done"' in answer.body.replace(b" ", b"")
        wait_until(lambda: problems() == {"demo_worker4": "unreachable"}, 30)
    finally:
        app.stop()
