# SPDX-License-Identifier: Apache-2.0
"""The remote configuration over HTTP: what workers, people and tools send, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from tests.helpers.talking import Reply, ask
from tests.helpers.waiting import wait_until

StartApp = Callable[..., App]
CHUNKS = {"name": "chunks", "match": {"app_id": ["chat"]}, "items": [{"key": "chunk_size", "value": 512}]}
WORKER = {"current_config": {"chunk_size": 256}, "env_variables": {"POD_NAME": "p-1", "HF_TOKEN": "hf_secret"}}


@pytest.fixture
def app(start_app: StartApp) -> App:
    return start_app()


def send(app: App, method: str, path: str, document: Any = None, **fields: str) -> Reply:
    body = None if document is None else json.dumps(document).encode()
    return ask(app.settings.port, method, path, body, fields=fields)


def read(app: App, path: str) -> Any:
    reply = send(app, "GET", path)
    assert reply.status == 200
    return json.loads(reply.body)


def put(app: App, *rules: Any, **fields: Any) -> Reply:
    return send(app, "PUT", "/api/config/rules", {"rules": list(rules), **fields})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_worker_gets_what_the_rules_give(app: App, method: str) -> None:
    assert json.loads(send(app, method, "/config?appId=chat", WORKER).body) == {"configs": []}
    assert put(app, CHUNKS).status == 200
    reply = send(app, method, "/config?appId=chat", WORKER)
    assert json.loads(reply.body) == {"configs": [{"key": "chunk_size", "value": 512, "override": True}]}
    assert reply.fields["Content-Type"] == "application/json"
    assert json.loads(send(app, method, "/config?appId=other", WORKER).body) == {"configs": []}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"current_config": null, "env_variables": []}',
        b'{"current_config": {"pd_allocation_timeout_sec": Infinity, "x": NaN}, "env_variables": {}}',
        b'{"current_config": {"a": {"b": [[[[]]]]}}, "env_variables": {"A": 1}}',
    ],
)
def test_whatever_a_worker_says_of_itself_is_put_up_with(app: App, body: bytes) -> None:
    put(app, CHUNKS)
    reply = ask(app.settings.port, "GET", "/config?appId=chat", body)
    assert (reply.status, len(json.loads(reply.body)["configs"])) == (200, 1)


@pytest.mark.parametrize("body", [b"x", b"[]", b'"a"', b"[" * 100_000])
def test_what_is_no_object_is_a_bad_request(app: App, body: bytes) -> None:
    assert ask(app.settings.port, "POST", "/config", body).status == 400


def test_bodies_have_a_limit(app: App) -> None:
    fits = json.dumps({"current_config": {}, "env_variables": {"A": "x" * 1_000_000}}).encode()
    assert ask(app.settings.port, "POST", "/config", fits).status == 200
    assert ask(app.settings.port, "POST", "/config", b" " * (1 << 20) + fits).status == 413


def test_a_denied_worker_gets_403(app: App) -> None:
    put(app, {"name": "no lab", "deny": True, "match": {"client": ["127.0.0.0/8"]}})
    reply = send(app, "POST", "/config?appId=chat", WORKER)
    assert reply.status == 403
    assert "no lab" in json.loads(reply.body)["detail"]


def test_pages_get_no_configuration_and_any_host_does(app: App) -> None:
    assert send(app, "GET", "/config", Origin=f"http://localhost:{app.settings.port}").status == 403
    assert send(app, "GET", "/config", Host="rules.example.com").status == 200


def test_late_edits_get_what_the_other_changed(app: App) -> None:
    assert json.loads(put(app, CHUNKS, expected_revision=0, message="first").body)["revision"] == 1
    reply = put(app, expected_revision=0)
    late = json.loads(reply.body)
    assert (reply.status, late["revision"], late["message"]) == (409, 1, "first")
    assert [change["op"] for change in late["diff"]] == ["added"]


def test_values_that_lmcache_refuses_are_not_saved(app: App) -> None:
    bad = {"name": "bad", "items": [{"key": "chunk_size", "value": "3.9"}]}
    reply = put(app, bad)
    assert reply.status == 400
    (finding, *_) = json.loads(reply.body)["findings"]
    assert (finding["rule"], finding["key"], finding["severity"]) == ("bad", "chunk_size", "error")
    assert read(app, "/api/config/rules")["revision"] == 0


def test_unknown_keys_are_said_and_refused_if_wanted(app: App, start_app: StartApp) -> None:
    unknown = {"name": "new", "items": [{"key": "chunk_sise", "value": 1}]}
    (finding,) = json.loads(put(app, unknown).body)["findings"]
    assert finding["severity"] == "unknown"
    assert put(start_app(strict_config=True), unknown).status == 400


def test_a_dry_run_changes_nothing(app: App) -> None:
    reply = json.loads(put(app, CHUNKS, dry_run=True).body)
    assert [change["op"] for change in reply["diff"]] == ["added"]
    assert read(app, "/api/config/rules")["rules"] == []
    assert read(app, "/api/audit")["entries"] == []


def test_revisions_differences_and_rollback(app: App) -> None:
    put(app, CHUNKS, message="one")
    put(app, message="two")
    assert [entry["message"] for entry in read(app, "/api/config/revisions")["revisions"]] == ["two", "one"]
    assert [entry["revision"] for entry in read(app, "/api/config/revisions?limit=1&before=2")["revisions"]] == [1]
    assert read(app, "/api/config/revisions/1")["rules"][0]["name"] == "chunks"
    assert read(app, "/api/config/revisions/1/diff?to=2")["diff"][0]["op"] == "removed"
    assert read(app, "/api/config/revisions/1/diff")["diff"] == read(app, "/api/config/revisions/1/diff?to=2")["diff"]
    reply = send(app, "POST", "/api/config/rollback", {"to": 1, "expected_revision": 2, "message": "back"})
    assert json.loads(reply.body)["revision"] == 3
    assert read(app, "/api/config/rules")["rules"][0]["name"] == "chunks"
    assert send(app, "POST", "/api/config/rollback", {"to": 1, "expected_revision": 2}).status in (200, 409)
    assert send(app, "POST", "/api/config/rollback", {"to": 9}).status == 404


def test_every_edit_is_in_the_audit_trail(app: App) -> None:
    put(app, CHUNKS)
    put(app, expected_revision=7)
    send(app, "POST", "/api/config/rollback", {"to": 0})
    entries = read(app, "/api/audit")["entries"]
    assert [(entry["what"], entry["outcome"]) for entry in entries] == [
        ("roll back rules to revision 0", "done"),
        ("change rules", "refused"),
        ("change rules", "done"),
    ]
    assert {entry["address"] for entry in entries} == {"127.0.0.1"}
    assert read(app, f"/api/audit?limit=1&before={entries[0]['at']}")["entries"] == entries[1:2]


def test_a_preview_says_what_why_and_what_becomes_of_it(app: App) -> None:
    put(app, CHUNKS)
    asked = {"app_id": "chat", "env": {}, "current_config": {"chunk_size": 256}}
    found = json.loads(send(app, "POST", "/api/config/preview", asked).body)
    assert found["configs"] == [{"key": "chunk_size", "value": 512, "override": True}]
    assert found["explain"][0]["rule"] == "chunks"
    (row,) = found["result"]
    assert (row["current"], row["remote"], row["result"]) == (256, 512, 512)
    found = json.loads(send(app, "POST", "/api/config/preview", {**asked, "app_id": "x"}).body)
    assert [entry["rule"] for entry in found["unmatched"]] == ["chunks"]
    assert send(app, "POST", "/api/config/preview", {"client_id": "nobody"}).status == 404


def test_a_client_is_known_without_its_secrets(app: App) -> None:
    send(app, "POST", "/config?appId=chat", WORKER)
    (client,) = read(app, "/api/config/clients")["clients"]
    assert (client["app_id"], client["instance"], client["would_change"]) == ("chat", "p-1", False)
    put(app, CHUNKS)
    assert read(app, "/api/config/clients")["clients"][0]["would_change"] is True
    found = send(app, "POST", "/api/config/preview", {"client_id": client["client_id"]})
    assert json.loads(found.body)["result"][0]["result"] == 512
    wait_until(lambda: any(entry.key.startswith("config/clients/") for entry in store_of(app)))
    assert not any(b"hf_secret" in entry.value for entry in store_of(app))


def store_of(app: App) -> Any:
    return app._state.store().list("").entries


def test_the_catalogue_of_a_release(app: App) -> None:
    newest = read(app, "/api/config/catalogue")
    assert (newest["version"], len(newest["keys"])) == ("0.5.6", 108)
    oldest = read(app, "/api/config/catalogue?version=0.3.9")
    assert len(oldest["keys"]) == 64
    timeout = next(key for key in newest["keys"] if key["key"] == "pd_allocation_timeout_sec")
    assert timeout["default"] == "Infinity"


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("PUT", "/api/config/rules", []),
        ("PUT", "/api/config/rules", {}),
        ("PUT", "/api/config/rules", {"rules": [], "expected_revision": "x"}),
        ("PUT", "/api/config/rules", {"rules": [], "dry_run": 1}),
        ("PUT", "/api/config/rules", {"rules": [], "message": 1}),
        ("PUT", "/api/config/rules", {"rules": [], "dry-run": True}),
        ("POST", "/api/config/rollback", {}),
        ("POST", "/api/config/rollback", {"to": 0, "dry_run": True}),
        ("POST", "/api/config/preview", {"rules": 1}),
        ("GET", "/api/config/revisions?limit=0", None),
        ("GET", "/api/config/revisions?before=-1", None),
        ("GET", "/api/config/revisions/x", None),
        ("GET", "/api/config/revisions/1/diff?to=x", None),
        ("GET", "/api/audit?limit=x", None),
        ("GET", "/api/audit?before=nan", None),
        ("GET", "/api/audit?before=1e400", None),
    ],
)
def test_bad_requests_say_so(app: App, method: str, path: str, document: Any) -> None:
    reply = send(app, method, path, document)
    assert reply.status == 400
    assert json.loads(reply.body)["detail"]


@pytest.mark.parametrize(("method", "path"), [("PUT", "/api/config/rules"), ("POST", "/api/config/preview")])
def test_a_match_that_is_there_twice_is_not_passed_over(app: App, method: str, path: str) -> None:
    body = b'{"rules": [{"name": "a", "match": {"app_id": ["x"]}, "match": {}, "items": []}]}'
    reply = ask(app.settings.port, method, path, body)
    assert reply.status == 400
    assert "match" in json.loads(reply.body)["detail"]
    assert read(app, "/api/config/rules")["revision"] == 0


def test_an_answer_of_ours_can_be_put_back(app: App) -> None:
    put(app, CHUNKS, message="one")
    document = read(app, "/api/config/revisions/1")
    assert send(app, "PUT", "/api/config/rules", document).status == 200
    assert send(app, "PUT", "/api/config/rules", {**read(app, "/api/config/rules"), "rules": []}).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/config/rules"),
        ("GET", "/api/config/clients"),
        ("GET", "/api/audit"),
        ("POST", "/api/config/preview"),
        ("PUT", "/api/config/rules"),
        ("POST", "/api/config/rollback"),
    ],
)
def test_viewers_are_refused(app: App, method: str, path: str) -> None:
    assert send(app, method, path, {} if method != "GET" else None, **{"X-Forwarded-For": "1.2.3.4"}).status == 403


def test_the_asking_is_counted(start_app: StartApp) -> None:
    app = start_app(collecting=True)
    put(app, CHUNKS)
    for app_id in ("chat", "chat", "x"):
        send(app, "GET", f"/config?appId={app_id}", WORKER)
    for body in (b"no JSON", b"x" * ((1 << 20) + 1)):
        assert ask(app.settings.port, "POST", "/config?appId=chat", body).status in (400, 413)
    text = ask(app.settings.port, "GET", "/metrics").body.decode()
    assert 'lmcache_frontend_config_fetches_total{app_id="chat",outcome="matched"} 2.0' in text
    assert 'lmcache_frontend_config_fetches_total{app_id="x",outcome="empty"} 1.0' in text
    assert 'lmcache_frontend_config_fetches_total{app_id="chat",outcome="malformed"} 2.0' in text
    assert "lmcache_frontend_config_fetch_duration_seconds_count 5.0" in text


def test_rules_from_a_file(start_app: StartApp, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n  - name: file\n    items:\n      - {key: chunk_size, value: 128}\n")
    app = start_app(config_rules=str(path))
    assert read(app, "/api/config/rules")["rules"][0]["name"] == "file"
    assert str(path) in read(app, "/api/config/rules")["read_only"]
    reply = put(app, CHUNKS)
    assert (reply.status, str(path) in json.loads(reply.body)["detail"]) == (409, True)
    path.write_text(path.read_text().replace("128", "1024"))
    wait_until(lambda: json.loads(send(app, "GET", "/config").body)["configs"][0]["value"] == 1024)
    path.write_text("rules: [")
    again = path.stat().st_mtime_ns
    wait_until(lambda: app._state.configuration().fault)
    assert path.stat().st_mtime_ns == again
    assert json.loads(send(app, "GET", "/config").body)["configs"][0]["value"] == 1024


def test_rules_outlive_the_service(start_app: StartApp, tmp_path: Path) -> None:
    where = f"sqlite:{tmp_path / 'state.db'}"
    app = start_app(store=where)
    put(app, CHUNKS)
    send(app, "POST", "/config?appId=chat", WORKER)
    app.stop()
    again = start_app(store=where)
    assert len(json.loads(send(again, "POST", "/config?appId=chat", WORKER).body)["configs"]) == 1
    assert len(read(again, "/api/config/clients")["clients"]) == 1
    assert len(read(again, "/api/audit")["entries"]) == 1


def test_a_server_of_configuration_alone(tmp_path: Path) -> None:
    from lmcache_frontend.command import CONFIGURATION_SERVER

    app = App(
        CONFIGURATION_SERVER.defaults._replace(host="127.0.0.1", port=0, store="memory:"), configuration_only=True
    )
    app.start()
    try:
        assert app.greeting.endswith("/config")
        assert put(app, CHUNKS).status == 200
        assert len(json.loads(send(app, "GET", "/config?appId=chat").body)["configs"]) == 1
        assert read(app, "/health")["status"] == "healthy"
        assert b"config_fetches_total" in send(app, "GET", "/metrics").body
        for path in ("/", "/static/js/app.js", "/api/nodes", "/api/fleet", "/proxy2/x/", "/proxy/h/1/"):
            assert send(app, "GET", path).status == 404
    finally:
        app.stop()
