# SPDX-License-Identifier: Apache-2.0
"""What the service says of itself, and tests of connections, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend import __version__
from lmcache_frontend.app import App
from tests.helpers.ports import free_port
from tests.helpers.scripted import ScriptedNode, always
from tests.helpers.talking import ask

StartApp = Callable[..., App]
StartNode = Callable[..., ScriptedNode]
STRANGER = {"X-Forwarded-For": "203.0.113.9"}


def about(app: App) -> dict[str, Any]:
    reply = ask(app.settings.port, "GET", "/api/about")
    assert reply.status == 200, reply
    return dict(json.loads(reply.body))


def connection(app: App, entry: dict[str, Any], status: int = 200) -> dict[str, Any]:
    reply = ask(app.settings.port, "POST", "/api/connection-test", entry)
    assert reply.status == status, reply
    return dict(json.loads(reply.body))


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def test_the_service_describes_itself(start_app: StartApp) -> None:
    app = start_app()
    document = about(app)
    assert document["version"] == __version__
    assert document["port"] == app.settings.port
    assert document["node_file"] is None
    assert document["connections"]["clients"] >= 1
    assert document["store"] == {"kind": "memory", "where": "memory:", "fault": "", "is_shared": False, "revision": 0}


def test_who_told_of_each_node_is_said(start_app: StartApp, tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text('[{"name": "listed", "host": "h", "port": 1}, {"name": "", "host": "h", "port": 2}]')
    app = start_app([{"name": "named", "host": "h", "port": 3}], config=str(path))
    assert ask(app.settings.port, "POST", "/api/nodes", {"name": "added", "host": "h", "port": 4}).status == 200
    assert ask(app.settings.port, "POST", "/api/proxies", {"name": "rack", "host": "h", "port": 5}).status == 200
    document = about(app)
    assert document["sources"]["local_proxy"] == {
        "source": None,
        "nodes": {"named": "flag", "listed": "file", "added": "api"},
    }
    assert document["sources"]["rack"] == {"source": "api", "nodes": {}}
    assert document["store"]["revision"] == 2
    file = document["node_file"]
    assert (file["path"], file["fault"], file["refused_count"]) == (str(path), "", 1)
    assert "expected a text that is not empty" in file["refused"][0]
    assert file["read_at"] > 1e9


def test_a_file_that_breaks_is_told_of(start_app: StartApp, tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text('[{"name": "listed", "host": "h", "port": 1}]')
    app = start_app(config=str(path))
    before = about(app)["node_file"]
    path.write_text("[")
    app.reload()
    after = about(app)["node_file"]
    assert "not JSON" in after["fault"]
    assert after["read_at"] == before["read_at"]
    assert about(app)["sources"]["local_proxy"]["nodes"] == {"listed": "file"}


def test_a_store_that_cannot_be_used_is_told_of(
    start_app: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    store = about(start_app(store=None))["store"]
    assert store["kind"] == "none"
    assert store["fault"]


def test_a_node_that_answers_is_described(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(answer(b'{"chunk_size": 256, "lmcache_instance_id": "demo", "role": "worker"}')))
    app = start_app([{"name": "there", "host": "127.0.0.1", "port": node.port}])
    result = connection(app, {"host": "127.0.0.1", "port": node.port})
    assert (result["reached"], result["reason"], result["kind"]) == (True, None, "worker")
    assert result["instance"] == "demo"
    assert result["known_as"] == ["there"]
    assert [question["status"] for question in result["asked"]] == [200] * len(result["asked"])
    assert all(0 <= question["seconds"] < 10 for question in result["asked"])
    assert connection(app, {"node": "there"})["known_as"] == []


def test_that_nobody_answers_is_an_answer(start_app: StartApp) -> None:
    port = free_port()
    result = connection(start_app(), {"name": "x", "host": "127.0.0.1", "port": port})
    assert result["reached"] is False
    assert "refused" in result["reason"]
    assert result["asked"][0]["reason"] == result["reason"]
    assert result["address"] == f"127.0.0.1:{port}"


def test_a_frontend_says_how_many_nodes_it_has(start_app: StartApp) -> None:
    behind = start_app([{"name": f"n{number}", "host": "h", "port": 1} for number in range(3)])
    app = start_app()
    port = behind.settings.port
    result = connection(app, {"host": "127.0.0.1", "port": port, "is_proxy": True})
    assert (result["kind"], result["nodes"], result["version"]) == ("frontend", 3, __version__)
    assert (
        ask(app.settings.port, "POST", "/api/proxies", {"name": "p", "host": "127.0.0.1", "port": port}).status == 200
    )
    assert connection(app, {"node": "p"})["nodes"] == 3


def test_a_node_behind_a_frontend_is_asked_through_it(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(answer(b'{"chunk_size": 256, "role": "worker"}')))
    behind = start_app([{"name": "far", "host": "127.0.0.1", "port": node.port}])
    app = start_app([{"name": "p", "host": "127.0.0.1", "port": behind.settings.port, "nodes": []}])
    assert connection(app, {"name": "far", "host": "elsewhere", "port": 1, "proxy_id": "p"})["kind"] == "worker"
    assert connection(app, {"name": "no", "host": "elsewhere", "port": 1, "proxy_id": "p"})["reached"] is False


def test_what_is_no_lmcache_is_told_from_what_is_silent(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(answer(b"hello")))
    result = connection(start_app(), {"host": "127.0.0.1", "port": node.port})
    assert (result["reached"], result["kind"]) == (True, "unknown")


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ({"host": "h", "port": "x"}, 400),
        ({"host": "h", "port": 1, "is_proxy": "yes"}, 400),
        ({"host": "h", "port": 1, "proxy_id": 7}, 400),
        ({"node": 7}, 400),
        ({"node": "local_proxy"}, 404),
        ({"node": "nobody"}, 404),
        ({}, 400),
    ],
)
def test_a_malformed_question_is_refused(start_app: StartApp, entry: dict[str, Any], status: int) -> None:
    connection(start_app([{"name": "n", "host": "h", "port": 1}]), entry, status)


@pytest.mark.parametrize(("method", "target"), [("GET", "/api/about"), ("POST", "/api/connection-test")])
def test_only_operators_may(start_app: StartApp, method: str, target: str) -> None:
    body = {"host": "127.0.0.1", "port": 1} if method == "POST" else None
    reply = ask(start_app().settings.port, method, target, body, fields=STRANGER)
    assert reply.status == 403


def test_a_connection_is_tested_only_to_where_a_node_may_be(start_app: StartApp, tmp_path: Path) -> None:
    app = start_app(socket_dir=str(tmp_path / "sockets"))
    for host, port in (("localhost", "/run/docker.sock"), ("169.254.169.254", 80), ("0xa9fea9fe", 80)):
        reply = ask(app.settings.port, "POST", "/api/connection-test", {"host": host, "port": port})
        assert (reply.status, "--allow-target" in reply.detail) == (403, True), host
    assert not connection(app, {"port": str(tmp_path / "sockets" / "s")})["reached"]
