# SPDX-License-Identifier: Apache-2.0
"""Actions over real sockets: simulated and scripted nodes, and callers that stay, go, and come back."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.cluster.model import Proxy
from lmcache_frontend.demo.cluster import start_cluster
from lmcache_frontend.http1.client import Endpoint
from lmcache_frontend.http1.fetch import Question
from tests.helpers.acting import ActionsBench
from tests.helpers.fleet import make_node
from tests.helpers.scripted import ScriptedNode, Visit
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until

StartNode = Callable[..., ScriptedNode]
StartApp = Callable[..., App]
LEVEL: dict[str, Any] = {"action": "loglevel", "arguments": {"logger": "lmcache", "level": "DEBUG"}}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nSet x"


@pytest.fixture
def bench() -> Iterator[ActionsBench]:
    with ExitStack() as cleanup:
        made = ActionsBench()
        cleanup.callback(made.close)
        yield made


@pytest.fixture
def with_demo(bench: ActionsBench, tmp_path: Path) -> Iterator[ActionsBench]:
    """Give the bench with a scheduler, two workers and an MP server."""
    cluster = start_cluster(4, tmp_path)
    try:
        for entry in cluster.entries:
            bench.add(entry["name"], entry["port"])
        bench.collector.collect_once()
        yield bench
    finally:
        cluster.stop()


class Gate:
    """A node that says what it is at once, and to a change of a log level answers only when it is let to."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.heads: list[bytes] = []

    def __call__(self, visit: Visit) -> None:
        head = visit.read_head()
        if b"level=" not in head:
            body = (
                b'{"chunk_size": 1}' if b"/conf" in head else b'{"role": "worker"}' if b"/meta" in head else b'"0.5.6"'
            )
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            return
        self.heads.append(head)
        self.opened.wait(20)
        visit.send(OK)


@pytest.fixture
def gate(bench: ActionsBench, start_node: StartNode) -> Iterator[Gate]:
    """Give what keeps the nodes ``slow0`` to ``slow2`` waiting."""
    made = Gate()
    node = start_node(made)
    for number in range(3):
        bench.add(f"slow{number}", node.port)
    yield made
    made.opened.set()


def test_an_action_is_told_line_by_line(with_demo: ActionsBench) -> None:
    conf = {"action": "conf", "arguments": {"values": {"min_retrieve_tokens": 9}}}
    status, lines = with_demo.ask("POST", body={**conf, "filter": "*", "canary": True})
    assert status == 200
    assert set(lines[0]) == {"id", "nodes"}
    assert lines[0]["nodes"] == 4
    assert lines[-1] == {"summary": {"done": 3, "failed": 0, "unsupported": 1, "skipped": 0, "planned": 0}}
    by_node = {line["node"]: line for line in lines[1:-1]}
    assert set(by_node) == {"demo_scheduler", "demo_worker0", "demo_worker1", "demo_mp0"}
    worker = by_node["demo_worker1"]
    assert worker.pop("seconds") >= 0
    assert worker == {
        "node": "demo_worker1",
        "outcome": "done",
        "status": 200,
        "detail": "set min_retrieve_tokens=9",
        "keys": {"min_retrieve_tokens": {"value": 9}},
    }
    assert "keys" not in by_node["demo_mp0"]
    assert by_node["demo_mp0"]["outcome"] == "unsupported"
    assert by_node["demo_mp0"]["status"] is None
    node = with_demo.registry.snapshot.local_nodes["demo_worker1"]
    held = with_demo.send(node, Question("GET", "/conf?names=min_retrieve_tokens"), 5.0)
    assert json.loads(held.body) == {"min_retrieve_tokens": 9}
    assert [(deed.who, deed.address, deed.what) for deed in with_demo.deeds] == [
        ("local", "127.0.0.1", "conf min_retrieve_tokens=9")
    ] * 5


def test_nodes_behind_another_frontend_are_reached_through_it(
    bench: ActionsBench, start_app: Callable[..., App]
) -> None:
    child = start_app(demo=4, collecting=True)
    address = make_node("child", endpoint=Endpoint("127.0.0.1", child.settings.port))
    names = list(child.registry.snapshot.local_nodes)
    bench.registry.add_proxy(Proxy("child", address, {name: make_node(name, 1, "child") for name in names}))
    lines = bench.run(**LEVEL)
    assert {name: line["outcome"] for name, line in lines.items()} == {f"child/{name}": "done" for name in names}
    lines = bench.run("freeze", {"enabled": True}, nodes=["child/demo_worker0", "child/demo_scheduler", "child"])
    assert {name: line["detail"] for name, line in lines.items()} == {
        "child/demo_worker0": "Freeze mode enabled successfully",
        "child/demo_scheduler": "a scheduler has no cache engine",
        "child": "a frontend cannot be frozen",
    }
    bench.collector.collect_once()
    child.registry.delete("demo_worker0")
    line = bench.run(**LEVEL, nodes=["demo_worker0"])["child/demo_worker0"]
    assert (line["outcome"], line["detail"]) == ("failed", "404: no node or proxy is called 'demo_worker0'")


def test_what_cannot_be_begun_is_an_error_and_no_stream(with_demo: ActionsBench) -> None:
    assert with_demo.ask("POST", body={**LEVEL, "nodes": ["nobody"]}) == (
        404,
        {"detail": "no node or proxy is called 'nobody'"},
    )
    assert with_demo.ask("POST", body={"action": "loglevel"})[0] == 400
    assert with_demo.ask("POST", body=b"no")[0] == 400
    assert with_demo.ask("GET", "/nothing") == (404, {"detail": "no action has this id, or it is too long ago"})
    assert with_demo.ask("DELETE", "/nothing")[0] == 404
    assert with_demo.ask("GET") == (200, {"actions": []})


class Caller:
    """Who begins an action and reads its lines as they come."""

    def __init__(self, port: int, document: Any) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        body = json.dumps(document).encode()
        head = f"POST /api/fleet/actions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sock.sendall(head.encode() + body)
        self.file = self.sock.makefile("rb")
        self.lines: list[bytes] = []
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def line(self) -> Any:
        """Give the next line; None at the end."""
        if not self.lines:
            size = int(self.file.readline(), 16)
            self.lines += self.file.read(size).splitlines()
            self.file.readline()
        return json.loads(self.lines.pop(0)) if self.lines else None

    def close(self) -> None:
        self.file.close()
        self.sock.close()


def test_lines_come_as_nodes_finish(bench: ActionsBench, gate: Gate, start_node: StartNode) -> None:
    quick = Gate()
    quick.opened.set()
    bench.add("quick", start_node(quick).port)
    caller = Caller(bench.port, {**LEVEL, "nodes": ["slow0", "quick"]})
    try:
        assert caller.line()["nodes"] == 2
        assert caller.line()["node"] == "quick"
        gate.opened.set()
        assert caller.line()["node"] == "slow0"
        assert caller.line()["summary"]["done"] == 2
        assert caller.line() is None
    finally:
        caller.close()


def test_an_action_outlives_its_caller(bench: ActionsBench, gate: Gate) -> None:
    caller = Caller(bench.port, {**LEVEL, "filter": "slow", "parallel": 1})
    action = caller.line()["id"]
    wait_until(lambda: len(gate.heads) == 1)
    caller.close()
    assert bench.ask("GET", f"/{action}") == (200, [{"id": action, "nodes": 3}])
    listed = bench.ask("GET")[1]["actions"]
    assert [(entry["id"], entry["state"], entry["nodes"]) for entry in listed] == [(action, "running", 3)]
    assert listed[0]["what"] == "loglevel lmcache=DEBUG"
    gate.opened.set()
    status, lines = bench.ask("GET", f"/{action}?follow=1")
    assert status == 200
    assert [line["outcome"] for line in lines[1:-1]] == ["done"] * 3
    assert bench.ask("GET", f"/{action}")[1] == lines
    assert lines[-1]["summary"]["done"] == 3
    assert bench.ask("GET")[1]["actions"][0]["state"] == "ended"
    assert len(gate.heads) == 3


def test_the_connection_of_a_caller_who_went_is_given_up(bench: ActionsBench, gate: Gate) -> None:
    caller = Caller(bench.port, {**LEVEL, "nodes": ["slow0"]})
    caller.line()
    caller.close()
    wait_until(lambda: bench.server.connections.count == 0)


def test_an_action_can_be_stopped(bench: ActionsBench, gate: Gate) -> None:
    caller = Caller(bench.port, {**LEVEL, "filter": "slow", "parallel": 1})
    try:
        action = caller.line()["id"]
        wait_until(lambda: len(gate.heads) == 1)
        status, document = bench.ask("DELETE", f"/{action}")
        assert (status, document["state"], document["stop_reason"]) == (200, "stopping", "stopped on request")
        gate.opened.set()
        lines = [caller.line() for _ in range(4)]
        assert [line["outcome"] for line in lines[:3]] == ["done", "skipped", "skipped"]
        assert lines[1]["detail"] == "stopped on request"
        assert lines[3]["summary"] == {"done": 1, "failed": 0, "unsupported": 0, "skipped": 2, "planned": 0}
        assert len(gate.heads) == 1
        document = bench.ask("DELETE", f"/{action}")[1]
        assert document["state"] == "ended"
    finally:
        caller.close()


def test_when_the_service_ends_the_caller_is_told_what_is_left_alone(bench: ActionsBench, gate: Gate) -> None:
    caller = Caller(bench.port, {**LEVEL, "filter": "slow", "parallel": 1})
    try:
        caller.line()
        wait_until(lambda: len(gate.heads) == 1)
        bench.actions.end()
        gate.opened.set()
        lines = [caller.line() for _ in range(4)]
        assert [line.get("outcome") for line in lines] == ["done", "skipped", "skipped", None]
        assert lines[1]["detail"] == "stopped, as this service is ending"
    finally:
        caller.close()
    assert bench.ask("POST", body={**LEVEL, "nodes": ["slow0"]}) == (503, {"detail": "this service is ending"})


def test_the_end_waits_for_what_is_under_way(bench: ActionsBench, gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    Caller(bench.port, {**LEVEL, "filter": "slow", "parallel": 1}).close()
    wait_until(lambda: len(gate.heads) == 1)
    bench.actions.end()
    assert not bench.actions.wait(0.0)
    assert "loglevel lmcache=DEBUG: cut off with 0 of 3 nodes told of" in caplog.text
    gate.opened.set()
    assert bench.actions.wait(10.0)
    assert [(deed.target, deed.outcome, deed.detail) for deed in bench.deeds] == [
        ("3 nodes", "started", ""),
        ("slow0", "done", "Set x"),
        ("3 nodes", "ended", "1 done, 2 skipped"),
    ]


def test_a_node_that_does_not_answer_in_time_fails(bench: ActionsBench, gate: Gate) -> None:
    _, lines = bench.ask("POST", body={**LEVEL, "nodes": ["slow0"], "timeout_s": 0.2})
    assert lines[1]["outcome"] == "failed"
    assert lines[1]["detail"] == "timed out after 0.2 s; it may have been done all the same"
    assert lines[1]["status"] is None


def test_head_has_no_lines(with_demo: ActionsBench) -> None:
    action = with_demo.ask("POST", body={**LEVEL, "nodes": ["demo_worker0"]})[1][0]["id"]
    for query in ("", "?follow=1"):
        reply = ask(with_demo.port, "HEAD", f"/api/fleet/actions/{action}{query}")
        assert (reply.status, reply.body) == (200, b"")


def test_what_is_under_way_is_written_down_before_the_service_ends(
    start_app: StartApp, start_node: StartNode, tmp_path: Path
) -> None:
    gate = Gate()
    node = start_node(gate)
    entry = {"name": "slow", "host": "127.0.0.1", "port": node.port}
    app = start_app([entry], store=f"sqlite:{tmp_path / 'state.db'}", drain_timeout_s=10.0)
    Caller(app.settings.port, {**LEVEL, "nodes": ["slow"]}).close()
    wait_until(lambda: len(gate.heads) == 1)
    ending = threading.Thread(target=app.stop)
    ending.start()
    try:
        # Nobody is connected any more: all that there is to wait for is the node.
        wait_until(lambda: app.server.connections.draining and app.server.connections.count == 0)
        ending.join(0.3)
    finally:
        gate.opened.set()
        ending.join(20)
    again = start_app([], store=f"sqlite:{tmp_path / 'state.db'}")
    entries = json.loads(ask(again.settings.port, "GET", "/api/audit").body)["entries"]
    assert {(one["target"], one["outcome"]) for one in entries} == {
        ("1 node", "started"),
        ("slow", "done"),
        ("1 node", "ended"),
    }
