# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.cluster.model import LOCAL_PROXY, Node, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.cluster.sources import (
    load_listing,
    parse_listing,
    refresh_empty_proxies,
    refresh_proxy,
)
from lmcache_frontend.errors import BadGateway, NotFound
from tests.helpers.listings import entry, names, swap, text
from tests.helpers.scripted import Script, ScriptedNode, Visit, always, answering
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until

StartApp = Callable[..., App]
StartNode = Callable[..., ScriptedNode]


Warnings = Callable[[], list[str]]
PROXY = {**entry("p", 8000), "nodes": [entry("x"), entry("y")]}
OWN = {"name": LOCAL_PROXY, "nodes": [entry("a")]}


TREE = {
    "nodes": [
        {
            "id": "proxy_local_proxy",
            "name": "local_proxy",
            "host": "0.0.0.0",
            "port": 8080,
            "is_proxy": True,
            "children": [
                {
                    "id": "node_n1",
                    "name": "n1",
                    "host": "10.0.0.5",
                    "port": "9091",
                    "is_proxy": False,
                    "proxy_id": "local_proxy",
                },
                {
                    "id": "node_n2",
                    "name": "n2",
                    "host": "localhost",
                    "port": "/tmp/n2",
                    "is_proxy": False,
                    "proxy_id": "local_proxy",
                },
            ],
        },
        {
            "id": "proxy_far",
            "name": "far",
            "host": "10.0.0.6",
            "port": 8080,
            "is_proxy": True,
            "children": [
                {"id": "node_n1", "name": "n1", "host": "10.1.0.1", "port": 1, "is_proxy": False, "proxy_id": "far"},
                {"id": "node_n3", "name": "n3", "host": "10.1.0.3", "port": 3, "is_proxy": False, "proxy_id": "far"},
                {"id": "node_n4", "name": "n4", "host": "10.1.0.4", "port": 0, "is_proxy": False, "proxy_id": "far"},
            ],
        },
    ]
}


@pytest.fixture
def tree() -> Registry:
    registry = Registry()
    load_listing(registry, parse_listing(json.dumps([OWN, PROXY]), Source.FILE), Source.FILE, "test")
    return registry


def test_a_refresh_takes_the_nodes_that_a_proxy_reports(tree: Registry, warnings: Warnings) -> None:
    asked: list[tuple[str, str]] = []

    def fetch_json(node: Node, target: str) -> Any:
        asked.append((str(node.endpoint), target))
        return TREE

    nodes = refresh_proxy(tree, "p", fetch_json)
    assert asked == [("10.0.0.1:8000", "/api/nodes")]
    assert [(node.name, node.port, node.proxy) for node in nodes] == [
        ("n1", "9091", "p"),
        ("n2", "/tmp/n2", "p"),
        ("far/n1", 1, "p"),
        ("n3", 3, "p"),
    ]
    assert list(tree.snapshot.proxies["p"].nodes) == ["n1", "n2", "far/n1", "n3"]
    assert tree.snapshot.find("p/far/n1").child == "far/n1"
    assert names(tree) == ["a"]
    (line,) = warnings()
    assert line.startswith("nodes of p: entry 3 ('n4'): port is 0, ")


@pytest.mark.parametrize("answer", [None, [], "no", 7, {}, {"nodes": None}, {"nodes": {"a": 1}}, {"detail": "none"}])
def test_a_refresh_that_gets_no_tree_changes_nothing(tree: Registry, answer: Any) -> None:
    before = tree.snapshot
    with pytest.raises(BadGateway, match="^p answered no list of nodes: expected "):
        refresh_proxy(tree, "p", lambda node, target: answer)
    assert tree.snapshot is before


def test_a_refresh_of_an_unknown_proxy_asks_nobody(tree: Registry) -> None:
    for name in ("none", "a", "x"):
        with pytest.raises(NotFound, match=f"^no proxy is called '{name}'$"):
            refresh_proxy(tree, name, lambda node, target: pytest.fail("asked"))


def test_a_refresh_of_ourselves_asks_nobody(tree: Registry) -> None:
    before = tree.snapshot
    nodes = refresh_proxy(tree, LOCAL_PROXY, lambda node, target: pytest.fail("asked"))
    assert [node.name for node in nodes] == ["a"]
    assert tree.snapshot is before


def test_a_proxy_that_is_deleted_while_it_is_asked_does_not_come_back(tree: Registry) -> None:
    def fetch_json(node: Node, target: str) -> Any:
        tree.delete("p")
        return TREE

    with pytest.raises(NotFound):
        refresh_proxy(tree, "p", fetch_json)
    assert list(tree.snapshot.proxies) == [LOCAL_PROXY]


def test_a_flood_of_bad_entries_does_not_flood_the_log(tree: Registry, warnings: Warnings) -> None:
    refresh_proxy(tree, "p", lambda node, target: {"nodes": [{"port": 0}] * 5000})
    lines = warnings()
    assert len(lines) < 100
    assert lines[-1] == f"nodes of p: {5000 - (len(lines) - 1)} more entries were refused"


def test_only_proxies_without_known_nodes_are_asked_by_themselves(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lmcache_frontend")
    registry = Registry()
    empty = [{**entry(name, port), "nodes": []} for name, port in (("dead", 1), ("empty", 2))]
    load_listing(registry, parse_listing(json.dumps([PROXY, *empty]), Source.FILE), Source.FILE, "test")
    asked: list[str] = []

    def fetch_json(node: Node, target: str) -> Any:
        asked.append(node.name)
        if node.name == "dead":
            raise BadGateway("refused")
        return TREE

    refresh_empty_proxies(registry, fetch_json)
    refresh_empty_proxies(registry, fetch_json)
    assert asked == ["dead", "empty", "dead"]
    assert len(registry.snapshot.proxies["empty"].nodes) == 4
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == [
        "nodes of proxy dead are not known yet: refused"
    ] * 2


def http(body: bytes, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def silent(visit: Visit) -> None:
    visit.read_head()
    visit.read(1)


def trickling(visit: Visit) -> None:
    """Send the line of a chunk's size, a byte at a time, for as long as somebody listens."""
    visit.read_head()
    visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;")
    visit.sock.settimeout(0.02)
    for _ in range(1000):
        visit.send(b"x")
        try:
            if not visit.sock.recv(1):
                return
        except TimeoutError:
            pass


@pytest.mark.parametrize(
    ("script", "status", "says"),
    [
        (answering(http(b"<html>hello</html>", content_type="text/html")), 502, "did not answer with JSON"),
        (answering(http(b"")), 502, "did not answer with JSON"),
        (answering(http(b"\xff\xfe\xfd")), 502, "did not answer with JSON"),
        (answering(http(b"[" * 200_000)), 502, "did not answer with JSON"),
        (answering(http(b'{"nodes": ' + b"1" * 5000 + b"}")), 502, "did not answer with JSON"),
        (answering(http(b"[]")), 502, "p answered no list of nodes: expected"),
        (answering(http(b'{"nodes": []}', "500 Oh")), 502, "answered 500, expected 200"),
        (answering(http(b"", "302 Found")), 502, "answered 302, expected 200"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), 502, "answer of 99999999 bytes, at most"),
        (answering(b"SSH-2.0-x\r\n\r\n"), 502, "did not answer with an HTTP/1.1 status line"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), 502, "connection ended 7 bytes before"),
        (answering(b""), 502, "connection ended before the answer"),
    ],
)
def test_a_proxy_that_answers_something_else_is_not_believed(
    start_app: StartApp, start_node: StartNode, script: Script, status: int, says: str
) -> None:
    node = start_node(script)
    app = start_app([{**node.entry, "name": "p", "nodes": [entry("x")]}])
    before = app.registry.snapshot
    reply = ask(app.settings.port, "POST", "/api/proxies/p/refresh")
    assert reply.status == status
    assert says in reply.detail
    assert app.registry.snapshot is before


@pytest.mark.parametrize("script", [silent, trickling])
def test_a_proxy_that_is_too_slow_is_given_up(start_app: StartApp, start_node: StartNode, script: Script) -> None:
    node = start_node(script)
    app = start_app([{**node.entry, "name": "p", "nodes": [entry("x")]}], connect_timeout_s=0.1)
    before = app.registry.snapshot
    reply = ask(app.settings.port, "POST", "/api/proxies/p/refresh")
    assert (reply.status, "did not answer within 0.1 s" in reply.detail) == (504, True)
    assert app.registry.snapshot is before


def test_a_refresh_over_http(start_app: StartApp, start_node: StartNode) -> None:
    heads: list[bytes] = []
    node = start_node(always(http(json.dumps(TREE).encode()), heads))
    app = start_app([{**node.entry, "name": "p", "nodes": [entry("x")]}])
    for method in ("POST", "GET"):
        reply = ask(app.settings.port, method, "/api/proxies/p/refresh")
        assert reply.status == 200
        document = json.loads(reply.body)
        assert document["status"] == "success"
        assert [node["name"] for node in document["nodes"]] == ["n1", "n2", "far/n1", "n3"]
    assert heads[0].startswith(b"GET /api/nodes HTTP/1.1\r\nHost: 127.0.0.1:")
    assert ask(app.settings.port, "POST", "/api/proxies/none/refresh").status == 404


def test_a_silent_proxy_does_not_keep_us_from_reading_the_file_again(
    start_app: StartApp, start_node: StartNode, tmp_path: Path
) -> None:
    node = start_node(silent)
    path = tmp_path / "nodes.json"
    path.write_text(text("a"))
    app = start_app([{**node.entry, "name": "p", "nodes": []}], config=str(path), connect_timeout_s=60.0)
    wait_until(lambda: node.visits)
    swap(path, text("b"))
    wait_until(lambda: names(app.registry) == ["b"])


def test_a_proxy_without_nodes_is_asked_at_the_start(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(http(json.dumps(TREE).encode())))
    app = start_app([{**node.entry, "name": "p", "nodes": []}])
    wait_until(lambda: len(app.registry.snapshot.proxies["p"].nodes) == 4)
