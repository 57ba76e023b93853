# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lmcache_frontend.cluster.adapters.kinds import Ask
from lmcache_frontend.cluster.entries import read_listing
from lmcache_frontend.cluster.model import LOCAL_PROXY, Node, Proxy, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.demo.cluster import DemoCluster, start_cluster
from lmcache_frontend.errors import GatewayTimeout, NotFound
from lmcache_frontend.fleet import collector as collector_module
from lmcache_frontend.fleet.collector import Collector
from lmcache_frontend.fleet.snapshot import NO_TRAFFIC, OK, STALE, FleetSnapshot, Level
from lmcache_frontend.http1.client import Pool
from lmcache_frontend.http1.fetch import Answer, fetch
from tests.helpers import demo
from tests.helpers.fleet import REFUSED, FakeNode, Fleet, answer, make_node, proxy_with
from tests.helpers.waiting import wait_until


@pytest.fixture
def fleet() -> Fleet:
    clock = demo.ManualClock()
    nodes = {"w": demo.worker(clock), "s": demo.scheduler(clock), "m": demo.server(clock)}
    return Fleet({name: FakeNode(node) for name, node in nodes.items()}, clock)


def problems(snapshot: FleetSnapshot) -> list[str]:
    return [f"{problem.node}: {problem.text}" for problem in snapshot.problems if problem.code != "tier_full"]


def test_before_the_first_round_there_is_a_snapshot_of_nothing(fleet: Fleet) -> None:
    snapshot = fleet.collector.snapshot
    assert (snapshot.number, dict(snapshot.nodes), snapshot.problems) == (0, {}, ())


def test_a_round_gives_a_new_snapshot_of_all_nodes(fleet: Fleet) -> None:
    fleet.rounds(3)
    before = fleet.collector.snapshot
    fleet.rounds(1)
    after = fleet.collector.snapshot
    assert (before.number, after.number) == (3, 4)
    assert (after.taken_at, after.interval_s) == (fleet.clock(), 10.0)
    assert [(key, state.kind, state.level) for key, state in after.nodes.items()] == [
        ("w", "worker", Level.HEALTHY),
        ("s", "scheduler", Level.HEALTHY),
        ("m", "mp", Level.HEALTHY),
    ]
    assert problems(after) == []
    assert before.nodes["w"].scraped_at == fleet.clock() - 10, "the earlier snapshot is as it was"


def test_totals_are_of_all_that_counted(fleet: Fleet) -> None:
    fleet.rounds(4)
    snapshot = fleet.collector.snapshot
    tokens = demo.counter(fleet.nodes["w"].demo, "lmcache:num_lookup_tokens_total")  # type: ignore[arg-type]
    tokens += demo.counter(fleet.nodes["m"].demo, "lmcache_mp_lookup_requested_tokens_total")  # type: ignore[arg-type]
    hits = demo.counter(fleet.nodes["w"].demo, "lmcache:num_lookup_hits_total")  # type: ignore[arg-type]
    hits += demo.counter(fleet.nodes["m"].demo, "lmcache_mp_lookup_hit_tokens_total")  # type: ignore[arg-type]
    assert snapshot.totals["lookup_hit_rate_total"] == (hits / tokens, OK)
    rates = [snapshot.nodes[key].figures["lookups_per_s"].value for key in ("w", "m")]
    assert snapshot.totals["lookups_per_s"].value == pytest.approx(sum(rate or 0 for rate in rates))


def test_a_dead_node_leaves_the_totals_and_is_a_problem(fleet: Fleet) -> None:
    fleet.rounds(3)
    fleet.nodes["w"].down = REFUSED
    fleet.rounds(1)
    snapshot = fleet.collector.snapshot
    assert problems(snapshot) == ["w: unreachable: refused"]
    assert snapshot.totals["lookups_per_s"] == snapshot.nodes["m"].figures["lookups_per_s"]
    for name in ("s", "m"):
        fleet.nodes[name].down = REFUSED
    last = snapshot.totals["lookups_per_s"].value
    fleet.rounds(2)
    assert fleet.collector.snapshot.totals["lookups_per_s"] == (last, STALE)


def test_a_dead_node_is_not_asked_each_round(fleet: Fleet) -> None:
    fleet.nodes["w"].down = REFUSED
    fleet.rounds(30)
    # After 10, 20, 40, 80, 120 and 120 s: at 0, 10, 30, 70, 150, 260 (a round before 270).
    assert len(fleet.nodes["w"].asked) == 6
    assert fleet.nodes["s"].asked.count("/metrics") == 30


def test_changes_are_logged_once(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        fleet.rounds(3)
        assert not caplog.messages
        fleet.nodes["w"].down = REFUSED
        fleet.rounds(5)
        assert caplog.messages == ["node w is unreachable: refused"]
        fleet.nodes["w"].down = None
        fleet.rounds(5)
    assert caplog.messages[1:] == ["node w is healthy"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_node_that_is_dead_from_the_start_is_logged(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    fleet.nodes["w"].down = REFUSED
    fleet.rounds(3)
    assert caplog.messages == ["node w is unreachable: refused"]


def test_nodes_come_and_go_with_the_registry(fleet: Fleet) -> None:
    fleet.rounds(2)
    fleet.nodes["new"] = FakeNode(demo.worker(fleet.clock))
    fleet.registry.add_node(make_node("new", 7100))
    fleet.registry.delete("s")
    fleet.rounds(1)
    assert list(fleet.collector.snapshot.nodes) == ["w", "m", "new"]
    assert fleet.collector.snapshot.nodes["new"].level is Level.HEALTHY
    with pytest.raises(NotFound):
        fleet.collector.series("s", ["cpu_fill"], None)


def test_a_node_at_another_address_begins_anew_and_one_with_other_labels_does_not(fleet: Fleet) -> None:
    fleet.rounds(3)
    fleet.registry.update_node("w", make_node("w", labels={"rack": "7"}))
    fleet.rounds(1)
    state = fleet.collector.snapshot.nodes["w"]
    assert state.labels == {"rack": "7"}
    assert state.figures["lookup_hit_rate"].state == OK
    fleet.registry.update_node("w", make_node("w", 7777))
    fleet.rounds(1)
    state = fleet.collector.snapshot.nodes["w"]
    assert state.address == "127.0.0.1:7777"
    assert state.figures["lookup_hit_rate"].state == NO_TRAFFIC


def test_nodes_behind_frontends_and_the_frontends_are_watched(fleet: Fleet) -> None:
    page = FakeNode()
    page.instead["/health"] = answer('{"status":"healthy","service":"lmcache-monitor"}')
    fleet.nodes |= {"p": page, "c": FakeNode(demo.worker(fleet.clock))}
    fleet.registry.add_proxy(proxy_with("p", "c"))
    fleet.rounds(3)
    nodes = fleet.collector.snapshot.nodes
    assert list(nodes) == ["w", "s", "m", "p/c", "p"]
    assert (nodes["p"].kind, nodes["p"].level) == ("frontend", Level.HEALTHY)
    assert (nodes["p/c"].kind, nodes["p/c"].proxy) == ("worker", "p")
    assert fleet.collector.series("p/c", ["cpu_fill"], None)["series"]["cpu_fill"][-1] is not None


def test_an_unforeseen_fault_is_that_nodes_alone(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    def fault(node: Node) -> Ask:
        raise ZeroDivisionError

    ask_node = fleet.collector._ask_node
    fleet.collector._ask_node = lambda node: fault(node) if node.name == "w" else ask_node(node)
    fleet.rounds(4)
    nodes = fleet.collector.snapshot.nodes
    assert nodes["m"].level is Level.HEALTHY
    assert nodes["w"].reasons == ("answer of 127.0.0.1:7000 not understood: ZeroDivisionError",)
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_series_of_a_node_and_of_the_fleet(fleet: Fleet) -> None:
    start = fleet.clock()
    fleet.rounds(3)
    fleet.nodes["w"].down = REFUSED
    fleet.rounds(2)
    found = fleet.collector.series("w", ["cpu_fill", "lookups_per_s"], since=start)
    assert (found["step_s"], found["start"]) == (10.0, start)
    assert found["series"]["cpu_fill"] == [None, 1.0, 1.0, 1.0, None, None]
    rates = found["series"]["lookups_per_s"]
    assert rates[:2] == [None, None], "one reading gives no rate"
    assert rates[2] is not None
    total = fleet.collector.series(None, ["lookups_per_s"], since=start, step_s=60)
    assert total["step_s"] == 60
    with pytest.raises(NotFound, match="expected one of lookup_hit_rate, "):
        fleet.collector.series("w", ["nonsense"], since=None)


def test_an_idle_node_has_a_rate_of_zero_in_its_history(fleet: Fleet) -> None:
    fleet.rounds(3)
    assert fleet.collector.snapshot.nodes["s"].figures["lookups_per_s"].state == NO_TRAFFIC
    found = fleet.collector.series("s", ["lookups_per_s", "lookup_hit_rate"], since=fleet.clock() - 10)["series"]
    assert found == {"lookups_per_s": [0.0, 0.0], "lookup_hit_rate": [None, None]}


def test_drift_is_told_and_told_anew_when_it_changes(fleet: Fleet) -> None:
    clock = fleet.clock
    fleet.nodes["w2"] = FakeNode(demo.worker(clock))
    fleet.registry.add_node(make_node("w2", 7100))
    fleet.rounds(1)
    first = fleet.collector.drift()
    assert fleet.collector.drift() is first
    assert {"kind": "worker", "nodes": 2, "keys": []} in first["groups"]
    conf = fleet.nodes["w2"].ask("/conf", None).body.replace(b'"chunk_size": 256', b'"chunk_size": 128')
    fleet.nodes["w2"].instead["/conf"] = answer(conf)
    fleet.rounds(7)
    (group,) = [group for group in fleet.collector.drift()["groups"] if group["kind"] == "worker"]
    assert group["keys"] == [
        {"key": "chunk_size", "values": [{"value": 256, "nodes": ["w"]}, {"value": 128, "nodes": ["w2"]}]}
    ]
    assert problems(fleet.collector.snapshot) == ["None: configuration differs among 2 workers: chunk_size"]


def test_statistics(fleet: Fleet) -> None:
    fleet.nodes["w"].down = REFUSED
    fleet.rounds(4)
    found = fleet.collector.statistics()
    assert found.rounds == 4
    assert found.errors == {("w", "refused"): 3}


def test_what_a_node_is_can_be_asked(fleet: Fleet) -> None:
    fleet.rounds(1)
    identity = fleet.collector.identity("m")
    assert identity is not None
    assert identity.kind.value == "mp"
    with pytest.raises(NotFound):
        fleet.collector.identity("nobody")


def test_a_node_where_something_was_changed_is_asked_for_all_there_is_to_know(fleet: Fleet) -> None:
    fleet.rounds(2)
    fleet.nodes["w"].asked.clear()
    fleet.nodes["m"].asked.clear()
    fleet.collector.renew("w")
    fleet.collector.renew("nobody")
    fleet.rounds(1)
    assert "/conf" in fleet.nodes["w"].asked
    assert "/config" not in fleet.nodes["m"].asked


# With threads, and real time from here on.


class Asked:
    """Answers for any node like one demo node, as slowly as is said, and looks whether one is asked twice at once."""

    def __init__(self) -> None:
        self.demo = FakeNode(demo.worker(demo.ManualClock()))
        self.dead: set[str] = set()
        self.slow: set[str] = set()
        self.let_go = threading.Event()
        self.lock = threading.Lock()
        self.asking: set[str] = set()
        self.twice = False
        self.count: dict[str, int] = {}

    def __call__(self, node: Node) -> Ask:
        def ask(target: str, timeout_s: float | None) -> Answer:
            with self.lock:
                self.twice |= node.name in self.asking
                self.asking.add(node.name)
                self.count[node.name] = self.count.get(node.name, 0) + (target == "/metrics")
            try:
                if node.name in self.dead:
                    limit_s = 5.0 if timeout_s is None else timeout_s
                    self.let_go.wait(limit_s)
                    raise GatewayTimeout(f"it did not answer within {limit_s:g} s")
                if node.name in self.slow and timeout_s is not None:
                    raise GatewayTimeout(f"it did not answer within {timeout_s:g} s")
                return self.demo.ask(target, timeout_s)
            finally:
                with self.lock:
                    self.asking.discard(node.name)

        return ask


@pytest.fixture
def run() -> Iterator[Callable[..., Collector]]:
    with ExitStack() as cleanup:

        def start(registry: Registry, ask_node: Callable[[Node], Ask], interval_s: float = 0.1) -> Collector:
            collector = Collector(registry, ask_node, interval_s=interval_s)
            cleanup.callback(collector.stop)
            collector.start()
            return collector

        yield start


def many(*names: str) -> Registry:
    registry = Registry()
    nodes = {name: make_node(name, port) for port, name in enumerate(names, 1000)}
    registry.replace_source(Source.API, {LOCAL_PROXY: Proxy(LOCAL_PROXY, None, nodes)})
    return registry


def test_the_dead_delay_no_living_node(run: Callable[..., Collector], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "FIRST_ANSWER_TIMEOUT_S", 0.05)
    asked = Asked()
    asked.dead = {f"dead{number}" for number in range(40)}
    living = [f"n{number}" for number in range(10)]
    # The dead are first in line.
    collector = run(many(*sorted(asked.dead), *living), asked)
    wait_until(lambda: all(asked.count.get(name, 0) >= 4 for name in living))
    assert len(asked.asking & asked.dead) <= 8, "half of the threads at most are spent on them"
    assert not asked.twice
    snapshot = wait_until(lambda: collector.snapshot if collector.snapshot.nodes["n0"].last_seen else None)
    assert snapshot.nodes["n0"].level is Level.HEALTHY
    asked.let_go.set()


def test_a_node_found_dead_is_asked_with_patience_by_few(run: Callable[..., Collector]) -> None:
    asked = Asked()
    asked.dead = {f"dead{number}" for number in range(30)}
    asked.let_go.set()
    collector = run(many(*asked.dead), asked)
    wait_until(lambda: len(collector.snapshot.nodes) == 30 and all(s.failures for s in collector._watches.values()))
    snapshot = wait_until(lambda: collector.snapshot if len(collector.snapshot.problems) == 30 else None)
    assert all(problem.text.startswith("unreachable: timed out after ") for problem in snapshot.problems)
    asked.let_go.clear()
    wait_until(lambda: len(asked.asking) == 4)
    snapshot = collector.snapshot
    assert collector.wait_for(snapshot.number + 2, 5) is not None
    assert len(asked.asking) == 4, "a quarter of the threads at most"
    asked.let_go.set()


def test_a_node_that_is_slow_at_first_is_asked_again_at_once(run: Callable[..., Collector]) -> None:
    asked = Asked()
    asked.slow = {"slow"}
    collector = run(many("slow"), asked, interval_s=3600.0)
    wait_until(lambda: _levels(collector) == {Level.HEALTHY})
    assert collector.statistics().errors == {("slow", "timeout"): 1}


def test_stopping_waits_for_nobody(run: Callable[..., Collector], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "FIRST_ANSWER_TIMEOUT_S", 30.0)
    monkeypatch.setattr(collector_module, "STOP_TIMEOUT_S", 0.05)
    asked = Asked()
    asked.dead = {"dead"}
    collector = run(many("dead"), asked)
    wait_until(lambda: "dead" in asked.asking)
    begun = time.monotonic()
    collector.stop()
    # Generous: the limit is far less than a second, a node's time-out would be thirty.
    assert time.monotonic() - begun < 3
    assert collector.wait_for(10**6, 30) is None, "who waits is told at once"
    asked.let_go.set()


def test_listeners_wait_for_the_next_snapshot(run: Callable[..., Collector]) -> None:
    collector = run(many("n"), Asked())
    first = collector.wait_for(1, 10)
    assert first is not None
    second = collector.wait_for(first.number + 1, 10)
    assert second is not None
    assert second.number > first.number
    assert collector.wait_for(first.number, 0) is not None, "what is there already is given at once"
    assert collector.wait_for(10**6, 0.01) is None


def test_a_refresh_asks_all_now_and_once_for_all_who_want_it(run: Callable[..., Collector]) -> None:
    asked = Asked()
    names = [f"n{number}" for number in range(20)]
    collector = run(many(*names), asked, interval_s=3600.0)
    wait_until(lambda: collector.snapshot.number and all(s.last_seen for s in collector.snapshot.nodes.values()))
    before = dict(asked.count)
    assert collector.refresh(max_age_s=3600, timeout_s=10) is collector.snapshot, "young enough"
    results: list[FleetSnapshot] = []
    threads = [
        threading.Thread(target=lambda: results.append(collector.refresh(max_age_s=0, timeout_s=10))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(asked.count[name] > before[name] for name in names)
    assert max(asked.count[name] - before[name] for name in names) <= len(threads)
    assert not asked.twice
    assert min(result.number for result in results) > 1


def test_a_node_where_something_was_changed_is_asked_at_once(run: Callable[..., Collector]) -> None:
    asked = Asked()
    collector = run(many("n0"), asked, interval_s=600.0)
    wait_until(lambda: asked.count.get("n0", 0) == 1 and not asked.asking)
    wait_until(lambda: not collector._watches["n0"].busy)
    collector.renew("n0")
    wait_until(lambda: asked.count["n0"] == 2)


def test_a_refresh_in_vain_gives_the_last_snapshot() -> None:
    collector = Collector(Registry(), Asked())
    assert collector.refresh(max_age_s=0, timeout_s=0.01).number == 0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DemoCluster]:
    begun = time.time()
    # Its time passes ten times as fast, so that there is soon something to tell.
    cluster = start_cluster(8, tmp_path / "n", clock=lambda: begun + 10 * (time.time() - begun))
    yield cluster
    cluster.stop()


def test_real_sockets(cluster: DemoCluster, run: Callable[..., Collector]) -> None:
    registry = Registry()
    registry.replace_source(Source.DEMO, read_listing(cluster.entries, Source.DEMO).proxies)
    pool = Pool(connect_timeout_s=2.0, send_timeout_s=2.0, permit=lambda address, port: None)

    def ask_node(node: Node) -> Ask:
        def ask(target: str, timeout_s: float | None) -> Answer:
            limit = timeout_s or 2.0
            return fetch(pool, node.endpoint, node.authority, target, timeout_s=limit, limit_bytes=1 << 24)

        return ask

    collector = run(registry, ask_node)
    healthy = wait_until(lambda: _levels(collector) == {Level.HEALTHY} and collector.snapshot)
    assert {state.kind for state in healthy.nodes.values()} == {"worker", "scheduler", "mp"}
    wait_until(lambda: _total(collector, "lookup_hit_rate") == OK)
    cluster.stop()
    gone = wait_until(lambda: _levels(collector) == {Level.UNREACHABLE} and collector.snapshot)
    reasons = {reason for state in gone.nodes.values() for reason in state.reasons}
    # One that was being asked just then may have another reason.
    assert reasons & {"refused", "no such socket"}
    assert _total(collector, "lookup_hit_rate_total") == STALE


def _levels(collector: Collector) -> set[Level]:
    return {state.level for state in collector.snapshot.nodes.values()}


def _total(collector: Collector, name: str) -> str:
    return collector.snapshot.totals[name].state
