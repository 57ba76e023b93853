# SPDX-License-Identifier: Apache-2.0
"""What a running service writes into its audit trail."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.routes.auditing import outcome_of, told
from tests.helpers.scripted import Script, ScriptedNode, Visit, always
from tests.helpers.talking import ask

StartApp = Callable[..., App]
StartNode = Callable[..., ScriptedNode]
VIEWER = {"Via": "1.1 edge"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
TOKEN = "operator-0123456789"


def trail(app: App, query: str = "") -> list[dict[str, Any]]:
    """Give the entries, the oldest first."""
    reply = ask(app.settings.port, "GET", f"/api/audit?limit=1000{query}")
    assert reply.status == 200
    return list(reversed(json.loads(reply.body)["entries"]))


def told_of(app: App) -> list[tuple[str, str, str]]:
    return [(entry["what"], entry["target"], entry["outcome"]) for entry in trail(app)]


def test_management_of_nodes_is_written_down(start_app: StartApp) -> None:
    app = start_app()
    node = {"name": "a", "host": "10.1.1.1", "port": 6999}
    for method, target, body in (
        ("POST", "/api/nodes", node),
        ("POST", "/api/nodes", node),
        ("POST", "/api/nodes", b"no JSON"),
        ("PUT", "/api/nodes/a", {**node, "name": "b"}),
        ("POST", "/api/proxies", {"name": "p", "host": "127.0.0.1", "port": 1}),
        ("POST", "/api/proxies/p/nodes", {**node, "name": "c"}),
        ("POST", "/api/nodes", {"name": "q", "host": "127.0.0.1", "port": 2, "is_proxy": True}),
        ("PUT", "/api/nodes/q", {"name": "q", "host": "127.0.0.1", "port": 3, "is_proxy": True}),
        ("POST", "/api/proxies/p/refresh", None),
        ("DELETE", "/api/nodes/b", None),
        ("DELETE", "/api/nodes/nobody", None),
    ):
        ask(app.settings.port, method, target, body)
    assert told_of(app) == [
        ("add node", "a", "done"),
        ("add node", "a", "refused"),
        ("change node", "a", "done"),
        ("add proxy", "p", "done"),
        ("add node", "p/c", "done"),
        ("add proxy", "q", "done"),
        ("change proxy", "q", "done"),
        ("refresh proxy", "p", "failed"),
        ("delete node", "b", "done"),
        ("delete node", "nobody", "refused"),
    ]
    first = trail(app)[0]
    assert (first["who"], first["address"], first["detail"]) == (getpass.getuser(), "127.0.0.1", "10.1.1.1 6999")
    assert "a" in trail(app)[1]["detail"]


def test_changes_of_nodes_are_written_down_without_their_secrets(start_app: StartApp, start_node: StartNode) -> None:
    bad = start_node(always(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
    good = start_node(always(OK))
    entries = [{**good.entry, "name": "good"}, {**bad.entry, "name": "bad"}, {**good.entry, "name": "off", "port": 1}]
    app = start_app(entries)
    for method, target in (
        ("POST", "/proxy2/good/conf?api=swordfish"),
        ("GET", "/proxy2/good/loglevel?logger_name=lmcache&level=DEBUG"),
        ("DELETE", "/proxy2/bad/cache/clear"),
        ("PUT", "/proxy2/off/conf"),
        ("GET", "/proxy2/good/metrics"),
    ):
        ask(app.settings.port, method, target, b"swordfish" if method != "GET" else None)
    assert told_of(app) == [
        ("POST /conf?...", "good", "done"),
        ("GET /loglevel?logger_name=lmcache&level=DEBUG", "good", "done"),
        ("DELETE /cache/clear", "bad", "refused"),
        ("PUT /conf", "off", "failed"),
    ]
    assert [entry["detail"] for entry in trail(app)[:3]] == ["status 200", "status 200", "status 400"]
    assert "swordfish" not in json.dumps(trail(app))


def test_strangers_are_named_by_their_address(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(OK))
    app = start_app()
    assert ask(app.settings.port, "POST", f"/proxy/127.0.0.1/{node.port}/run_script", b"x").status == 200
    assert told_of(app) == [("POST /run_script", f"127.0.0.1:{node.port}", "done")]


def breaking(visit: Visit) -> None:
    visit.read_head()


@pytest.mark.parametrize("script", [breaking, always(OK)])
def test_reading_what_may_hold_secrets_is_written_down_once_in_a_while(
    start_app: StartApp, start_node: StartNode, script: Script
) -> None:
    app = start_app([{**start_node(script).entry, "name": "n"}])
    for _ in range(3):
        for target in ("/env", "/conf?names=a", "/version"):
            ask(app.settings.port, "GET", f"/proxy2/n{target}")
    assert told_of(app) == [("GET /env", "n", "done"), ("GET /conf?...", "n", "done")]


def test_refused_attempts_are_written_down_and_limited(start_app: StartApp, start_node: StartNode) -> None:
    app = start_app([{**start_node(always(OK)).entry, "name": "n"}])
    assert ask(app.settings.port, "DELETE", "/api/nodes/n", fields=VIEWER).status == 403
    assert ask(app.settings.port, "POST", "/proxy2/n/conf?key=swordfish", fields=VIEWER).status == 403
    assert ask(app.settings.port, "GET", "/proxy/127.0.0.1/1/metrics", fields=VIEWER).status == 403
    assert ask(app.settings.port, "GET", "/api/nodes", fields={"Host": "evil.example.com"}).status == 421
    for _ in range(50):
        assert ask(app.settings.port, "GET", "/api/audit", fields=VIEWER).status == 403
    entries = trail(app)
    assert [(entry["what"], entry["outcome"], entry["detail"][:3]) for entry in entries] == [
        ("DELETE /api/nodes/n", "refused", "403"),
        ("POST /proxy2/n/conf", "refused", "403"),
        ("GET /proxy/127.0.0.1/1/metrics", "refused", "403"),
        ("GET /api/nodes", "refused", "421"),
        ("GET /api/audit", "refused", "403"),
    ]
    assert {entry["who"] for entry in entries} == {"anonymous"}
    assert "swordfish" not in json.dumps(entries)


def test_signing_in_and_failing_to_are_written_down(start_app: StartApp, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"ada: {TOKEN}\n")
    path.chmod(0o600)
    app = start_app(token_file=str(path))
    assert ask(app.settings.port, "POST", "/api/session", {"token": "swordfish-swordfish"}, VIEWER).status == 401
    reply = ask(app.settings.port, "POST", "/api/session", {"token": TOKEN}, VIEWER)
    assert reply.status == 204
    assert ask(app.settings.port, "GET", f"/sign-in?token={TOKEN}", fields=VIEWER).status == 303
    fields = {**VIEWER, "Authorization": f"Bearer {TOKEN}"}
    ask(app.settings.port, "POST", "/api/proxies", {"name": "p", "host": "h", "port": 1}, fields)
    entries = trail(app)
    assert [(entry["who"], entry["what"], entry["outcome"]) for entry in entries] == [
        ("anonymous", "POST /api/session", "refused"),
        ("ada", "sign in", "done"),
        *([("ada", "sign in", "done")] if len(entries) == 4 else []),
        ("ada", "add proxy", "done"),
    ]
    assert sum(entry.get("times", 1) for entry in entries) == 4
    for secret in ("swordfish", TOKEN):
        assert secret not in json.dumps(entries)


def test_the_trail_outlives_the_service(start_app: StartApp, tmp_path: Path) -> None:
    where = f"sqlite:{tmp_path / 'state.db'}"
    app = start_app(store=where)
    for number in range(60):
        ask(app.settings.port, "DELETE", f"/api/nodes/{number}")
    app.stop()
    assert len(trail(start_app(store=where))) == 60


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/conf", "/conf"),
        ("/conf?a=b", "/conf?..."),
        ("/loglevel?level=DEBUG", "/loglevel?level=DEBUG"),
        ("/proxy2/n/loglevel?level=DEBUG", "/proxy2/n/loglevel?..."),
    ],
)
def test_queries_are_told_only_where_they_hold_no_secrets(target: str, shown: str) -> None:
    assert told(target) == shown


@pytest.mark.parametrize(
    ("status", "word"), [(200, "done"), (304, "done"), (404, "refused"), (499, "failed"), (502, "failed")]
)
def test_a_status_has_a_word(status: int, word: str) -> None:
    assert outcome_of(status) == word
