# SPDX-License-Identifier: Apache-2.0
"""Identities over real sockets: tokens, sessions, what anonymous clients may, and what reaches nodes of it."""

from __future__ import annotations

import json
import logging
import re
import socket
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.settings import Settings
from tests.helpers.proxy_tool import run
from tests.helpers.scripted import ScriptedNode, always
from tests.helpers.talking import Reply, ask

StartApp = Callable[..., App]
StartNode = Callable[..., ScriptedNode]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OPERATOR_TOKEN = "operator-token-0123"
VIEWER_TOKEN = "viewer-token-012345"
WRONG_TOKEN = "wrong-token-0123456"
NODE = {"name": "n1", "host": "10.0.0.1", "port": 6999}


@pytest.fixture
def start(start_app: StartApp, tmp_path: Path) -> StartApp:
    """Give what starts a frontend to whom this machine is like any other, with a token for each role."""
    for name, token in (("operators", f"team: {OPERATOR_TOKEN}"), ("viewers", f"wall display: {VIEWER_TOKEN}")):
        (tmp_path / name).write_text(token)
        (tmp_path / name).chmod(0o600)

    def started(nodes: Any = (), **settings: Any) -> App:
        files = {"token_file": str(tmp_path / "operators"), "viewer_token_file": str(tmp_path / "viewers")}
        return start_app(nodes, **{"trust_loopback": False, **files, **settings})

    return started


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"me:{token}".encode()).decode()}


def whoami(app: App, fields: dict[str, str] | None = None) -> Any:
    return json.loads(ask(app.settings.port, "GET", "/api/whoami", fields=fields).body)


def sign_in(app: App, token: str, fields: dict[str, str] | None = None) -> Reply:
    return ask(app.settings.port, "POST", "/api/session", {"token": token}, fields)


def session(reply: Reply) -> dict[str, str]:
    return {"Cookie": reply.fields["Set-Cookie"].partition(";")[0]}


def add(app: App, fields: dict[str, str] | None = None) -> Reply:
    return ask(app.settings.port, "POST", "/api/nodes", NODE, fields)


def test_who_one_is(start: StartApp) -> None:
    app = start()
    assert whoami(app) | {"version": ""} == {
        "role": "viewer",
        "name": "anonymous",
        "how": "anonymous",
        "read_only": False,
        "sign_in": True,
        "version": "",
        "tls": False,
    }
    team = whoami(app, bearer(OPERATOR_TOKEN))
    assert [team[key] for key in ("role", "name", "how", "sign_in")] == ["operator", "team", "token", False]
    display = whoami(app, basic(VIEWER_TOKEN))
    assert [display[key] for key in ("role", "name", "how", "sign_in")] == ["viewer", "wall display", "token", True]
    assert whoami(app, bearer(WRONG_TOKEN))["how"] == "anonymous"


def test_a_session_from_its_beginning_to_its_end(start: StartApp) -> None:
    app = start()
    assert add(app).status == 401
    reply = sign_in(app, OPERATOR_TOKEN, {"Origin": f"http://127.0.0.1:{app.settings.port}"})
    assert (reply.status, reply.body) == (204, b"")
    assert reply.fields["Set-Cookie"].startswith(f"lmcache_frontend_{app.settings.port}=")
    assert reply.fields["Set-Cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert reply.fields["Cache-Control"] == "no-store"
    cookie = session(reply)
    assert OPERATOR_TOKEN not in str(reply)
    assert whoami(app, cookie)["how"] == "session"
    assert add(app, {**cookie, "Origin": "http://evil.example"}).status == 403
    assert add(app, {**cookie, "Origin": f"http://127.0.0.1:{app.settings.port}"}).status == 200
    out = ask(app.settings.port, "DELETE", "/api/session", fields=cookie)
    assert (out.status, "Max-Age=0" in out.fields["Set-Cookie"]) == (204, True)
    assert whoami(app, cookie)["how"] == "anonymous"


@pytest.mark.parametrize("body", [{}, {"token": 5}, {"token": " "}, [], b"token"])
def test_signing_in_without_a_token_is_refused(body: Any, start: StartApp) -> None:
    assert ask(start().settings.port, "POST", "/api/session", body).status == 400


def test_nobody_is_signed_in_by_another_sites_page(start: StartApp) -> None:
    app = start()
    assert sign_in(app, OPERATOR_TOKEN, {"Origin": "http://evil.example"}).status == 403
    assert ask(app.settings.port, "DELETE", "/api/session", fields={"Sec-Fetch-Site": "cross-site"}).status == 403


def test_an_invitation_is_exchanged_for_a_session(start: StartApp, caplog: pytest.LogCaptureFixture) -> None:
    app = start()
    caplog.set_level(logging.DEBUG)
    port = app.settings.port
    reply = ask(port, "GET", f"/sign-in?token={OPERATOR_TOKEN}", fields={"User-Agent": "Mozilla/5.0"})
    assert (reply.status, reply.fields["Location"], reply.body) == (303, "./", b"")
    assert (reply.fields["Referrer-Policy"], reply.fields["Cache-Control"]) == ("no-referrer", "no-store")
    assert whoami(app, session(reply))["name"] == "team"
    assert ask(port, "HEAD", f"/sign-in?token={OPERATOR_TOKEN}").fields["Set-Cookie"] is None
    assert ask(port, "GET", "/sign-in").fields["Set-Cookie"] is None
    wrong = ask(port, "GET", f"/sign-in?token={WRONG_TOKEN}")
    assert (wrong.status, wrong.fields["Set-Cookie"]) == (401, None)
    assert OPERATOR_TOKEN not in caplog.text
    assert WRONG_TOKEN not in caplog.text + str(wrong)
    trail = ask(port, "GET", "/api/audit", fields=bearer(OPERATOR_TOKEN)).body.decode()
    assert OPERATOR_TOKEN not in trail
    assert WRONG_TOKEN not in trail


def test_wrong_tokens_are_told_to_wait_and_a_right_one_is_not(start: StartApp) -> None:
    app = start()
    assert [sign_in(app, WRONG_TOKEN).status for _ in range(7)] == [401] * 5 + [429] * 2
    reply = add(app, bearer(WRONG_TOKEN))
    assert reply.status == 429
    assert 0 < int(reply.fields["Retry-After"]) <= 60
    assert sign_in(app, OPERATOR_TOKEN).status == 204
    assert add(app, bearer(OPERATOR_TOKEN)).status == 200


def test_a_refusal_offers_basic_to_what_is_no_browser(start: StartApp) -> None:
    app = start()
    assert "Basic" in add(app).fields["WWW-Authenticate"]
    browser = add(app, {"User-Agent": "Mozilla/5.0", "Origin": f"http://127.0.0.1:{app.settings.port}"})
    assert (browser.status, browser.fields["WWW-Authenticate"]) == (401, 'Bearer realm="lmcache_frontend"')
    assert add(app, bearer(VIEWER_TOKEN)).status == 403


def test_without_anonymous_viewers_only_what_signing_in_takes_is_open(start: StartApp, start_node: StartNode) -> None:
    node = start_node(always(OK))
    app = start([{"name": "n", "host": "127.0.0.1", "port": node.port}], anonymous="none")

    def status(target: str, fields: dict[str, str] | None = None) -> int:
        return ask(app.settings.port, "GET", target, fields=fields).status

    for target in ("/", "/static/index.html", "/health", "/livez", "/readyz", "/api/whoami", "/sign-in", "/config"):
        assert status(target) < 400, target
    assert status("/metrics") == status("/api/sd") == status("/api/fleet/events") == 401
    for target in ("/api/nodes", "/api/fleet", "/proxy2/n/metrics", "/api/config/catalogue"):
        assert status(target) == 401, target
        assert status(target, bearer(VIEWER_TOKEN)) == 200, target
        assert status(target) == 401, target
    assert whoami(app)["role"] == "none"


def test_anonymous_operators_change_things_but_not_for_another_site(start: StartApp) -> None:
    app = start(anonymous="operator")
    assert add(app, {"Origin": "http://evil.example"}).status == 403
    assert add(app).status == 200


def test_read_only_holds_for_nodes_too(start: StartApp, start_node: StartNode) -> None:
    heads: list[bytes] = []
    node = start_node(always(OK, heads))
    app = start([{"name": "n", "host": "127.0.0.1", "port": node.port}], read_only=True, trust_loopback=True)
    for method, target in (
        ("POST", "/api/nodes"),
        ("POST", "/proxy2/n/conf"),
        ("GET", "/proxy2/n/loglevel?logger_name=a&level=DEBUG"),
        ("POST", f"/proxy/127.0.0.1/{node.port}/cache/clear"),
        ("POST", "/api/fleet/actions"),
        ("PUT", "/api/config/rules"),
    ):
        reply = ask(app.settings.port, method, target, {}, bearer(OPERATOR_TOKEN))
        assert (reply.status, "--read-only" in reply.detail) == (403, True), target
    assert heads == []
    assert ask(app.settings.port, "GET", "/proxy2/n/conf").status == 200
    assert (whoami(app)["read_only"], sign_in(app, OPERATOR_TOKEN).status) == (True, 204)


def test_our_credentials_do_not_reach_a_node_and_others_do(start: StartApp, start_node: StartNode) -> None:
    heads: list[bytes] = []
    node = start_node(always(OK, heads))
    app = start([{"name": "n", "host": "127.0.0.1", "port": node.port}])
    cookie = session(sign_in(app, OPERATOR_TOKEN))["Cookie"]

    def seen(target: str, fields: dict[str, str]) -> str:
        assert ask(app.settings.port, "GET", target, fields=fields).status == 200
        return heads[-1].decode()

    for target in ("/proxy2/n/metrics", "/proxy2/n/conf", f"/proxy/127.0.0.1/{node.port}/conf"):
        assert "uthorization" not in seen(target, bearer(OPERATOR_TOKEN))
        assert "uthorization" not in seen(target, basic(OPERATOR_TOKEN))
        head = seen(target, {"Cookie": f"a=b; {cookie}; c=d", **bearer("the-nodes-own-key-1")})
        assert "\r\nAuthorization: Bearer the-nodes-own-key-1\r\n" in head
        assert "\r\nCookie: a=b; c=d\r\n" in head
    assert "uthorization" not in seen("/proxy2/n/metrics", bearer(VIEWER_TOKEN))


def test_a_token_operator_reaches_no_stranger(start: StartApp, start_node: StartNode) -> None:
    heads: list[bytes] = []
    node = start_node(always(OK, heads))
    target = f"/proxy/127.0.0.1/{node.port}/metrics"
    for app in (start(), start(anonymous="operator")):
        reply = ask(app.settings.port, "GET", target, fields=bearer(OPERATOR_TOKEN))
        assert (reply.status, "--allow-target" in reply.detail) == (403, True)
    assert ask(start(trust_loopback=True).settings.port, "GET", target).status == 200
    assert len(heads) == 1


def test_workers_are_asked_for_a_token_where_that_is_wanted(start: StartApp) -> None:
    assert ask(start().settings.port, "GET", "/config").status == 200
    app = start(config_auth=True)
    refused = ask(app.settings.port, "POST", "/config", {})
    assert (refused.status, "Basic" in refused.fields["WWW-Authenticate"]) == (401, True)
    assert ask(app.settings.port, "POST", "/config", {}, basic(VIEWER_TOKEN)).status == 200
    assert ask(app.settings.port, "GET", "/config", fields=basic(OPERATOR_TOKEN)).status == 200
    assert ask(app.settings.port, "GET", "/config", fields=basic(WRONG_TOKEN)).status == 401


def test_tokens_are_read_again_and_a_broken_file_leaves_the_old(
    start: StartApp, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = start()
    cookie = session(sign_in(app, OPERATOR_TOKEN))
    path = tmp_path / "operators"
    path.write_text("short")
    app.reload()
    assert whoami(app, cookie)["how"] == "session"
    assert "--token-file" in caplog.text
    assert "short" not in caplog.text.replace("too short", "")
    path.write_text("another-token-012345")
    app.reload()
    assert whoami(app, cookie)["how"] == whoami(app, bearer(OPERATOR_TOKEN))["how"] == "anonymous"
    assert whoami(app, bearer("another-token-012345"))["how"] == "token"


def test_a_browser_with_a_wrong_invitation_is_led_to_the_page(start: StartApp) -> None:
    app = start()
    fields = {"Accept": "text/html,application/xhtml+xml", "User-Agent": "Mozilla/5.0"}
    replies = [ask(app.settings.port, "GET", f"/sign-in?token={WRONG_TOKEN}", fields=fields) for _ in range(7)]
    assert {reply.status for reply in replies} == {303}
    assert {reply.fields["Set-Cookie"] for reply in replies} == {None}
    assert replies[0].fields["Location"] == "./#/?sign-in=wrong"
    assert re.fullmatch(r"\./#/\?sign-in=wait&seconds=[1-9]\d?", str(replies[-1].fields["Location"]))
    assert WRONG_TOKEN not in str(replies)
    assert whoami(app)["how"] == "anonymous"


def test_a_service_that_others_reach_makes_a_token_and_invites(
    start_app: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("lmcache_frontend.access.token_files.is_loopback", lambda host: False)
    app = start_app(trust_loopback=False)
    path = tmp_path / "lmcache-frontend" / f"{app.settings.port}.token"
    token = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600
    invitation = app.invitation(to_terminal=True)
    assert invitation.endswith(f"http://127.0.0.1:{app.settings.port}/sign-in?token={token}")
    assert str(path) in app.invitation(to_terminal=False)
    assert token not in app.invitation(to_terminal=False)
    target = invitation[invitation.index("/sign-in") :]
    assert whoami(app, session(ask(app.settings.port, "GET", target)))["role"] == "operator"
    quiet = App(Settings(host="127.0.0.1", port=0, store="memory:"), configuration_only=True)
    quiet.start()
    try:
        assert quiet.invitation(to_terminal=True) == ""
    finally:
        quiet.stop()


def test_the_variable_holds_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(
        Settings(host="127.0.0.1", port=0, store="memory:", trust_loopback=False),
        token=("LMCACHE_FRONTEND_TOKEN", OPERATOR_TOKEN),
    )
    app.start(collecting=False)
    try:
        assert whoami(app, bearer(OPERATOR_TOKEN))["name"] == "LMCACHE_FRONTEND_TOKEN"
    finally:
        app.stop()


def test_the_tools_take_tokens_by_file_and_variable_and_say_what_to_do(start: StartApp, tmp_path: Path) -> None:
    app = start()
    server = ("--server", f"http://127.0.0.1:{app.settings.port}")
    command = ("add", "n1", "10.0.0.1:6999")
    refused = run(*command, *server)
    assert refused.status == 5
    assert "--token-file" in refused.err
    wrong = run(*command, *server, LMCACHE_FRONTEND_TOKEN=WRONG_TOKEN)
    assert (wrong.status, "another token" in wrong.err, WRONG_TOKEN in wrong.err) == (5, True, False)
    assert run(*command, *server, "--token-file", str(tmp_path / "operators")).status == 0
    assert run("remove", "n1", "--yes", *server, LMCACHE_FRONTEND_TOKEN=OPERATOR_TOKEN).status == 0
    lesser = run(*command, *server, "--token-file", str(tmp_path / "viewers"))
    assert (lesser.status, "wall display is a viewer" in lesser.err) == (5, True)


def test_who_may_not_read_learns_of_no_node(start: StartApp) -> None:
    child = {"name": "same", "host": "10.0.0.1", "port": 1}
    proxies = [{"name": name, "host": "127.0.0.1", "port": 9, "nodes": [child]} for name in ("rack1", "rack2")]
    app = start([*proxies, {"name": "local_proxy", "nodes": [NODE]}], anonymous="none")
    for target in (
        "/proxy2/same/",
        "/proxy2/unknown/",
        "/proxy2/n1",
        "/proxy/no.such.name.invalid/6999/",
        "/proxy/a/b/",
    ):
        for method in ("GET", "POST", "BREW"):
            reply = ask(app.settings.port, method, target)
            assert (reply.status, "rack" in reply.detail) == (401, False), (method, target)
    assert ask(app.settings.port, "GET", "/proxy2/same/", fields=bearer(VIEWER_TOKEN)).status == 409


def test_a_stream_ends_with_the_session_it_was_asked_for_by(start: StartApp) -> None:
    app = start(anonymous="none", demo=1, collecting=True, poll_interval_s=0.25)
    cookie = session(sign_in(app, VIEWER_TOKEN))
    with socket.create_connection(("127.0.0.1", app.settings.port), timeout=30) as sock:
        head = f"GET /api/fleet/events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie['Cookie']}\r\n\r\n"
        sock.sendall(head.encode())
        received = b""
        while b"event: snapshot" not in received:
            received += sock.recv(65536)
        assert ask(app.settings.port, "DELETE", "/api/session", fields=cookie).status == 204
        while not received.endswith(b"\r\n0\r\n\r\n"):
            piece = sock.recv(65536)
            assert piece, "broken off"
            received += piece


def test_a_page_of_a_name_that_was_turned_to_us_reads_nothing(start: StartApp) -> None:
    app = start(trust_loopback=True, collecting=True)
    evil = {"Host": f"evil.example:{app.settings.port}"}
    for target in ("/config", "/metrics", "/api/sd", "/health", "/api/fleet"):
        for browser in ({"User-Agent": "Mozilla/5.0"}, {"User-Agent": "curl/8", "Accept-Language": "en"}):
            assert ask(app.settings.port, "GET", target, fields={**evil, **browser}).status == 421, target
    scraper = {**evil, "User-Agent": "Prometheus/3.1"}
    for target in ("/config", "/metrics", "/api/sd", "/health"):
        assert ask(app.settings.port, "GET", target, fields=scraper).status == 200, target


def test_what_entries_hold_beside_is_shown_to_viewers_without_secrets(start: StartApp) -> None:
    app = start([{**NODE, "rack": "r1", "password": "hunter2", "url": "http://u:hunter2@h"}])
    for target in ("/api/nodes", "/api/proxies/local_proxy/nodes"):
        seen = ask(app.settings.port, "GET", target, fields=bearer(VIEWER_TOKEN)).body.decode()
        assert ("r1" in seen, "hunter2" in seen) == (True, False), target
        assert "hunter2" in ask(app.settings.port, "GET", target, fields=bearer(OPERATOR_TOKEN)).body.decode()
        foreign = {**bearer(OPERATOR_TOKEN), "Sec-Fetch-Site": "same-site"}
        assert "hunter2" not in ask(app.settings.port, "GET", target, fields=foreign).body.decode()


def test_a_refusal_is_not_kept(start: StartApp) -> None:
    reply = add(start())
    assert (reply.fields["Cache-Control"], reply.fields["X-Content-Type-Options"]) == ("no-store", "nosniff")
