# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lmcache_frontend.errors import BadGateway
from tests.helpers.scripted import Script, ScriptedNode, Visit
from tools.exchange import Url
from tools.frontend_client import FrontendClient, ServerError

StartNode = Callable[..., ScriptedNode]


def answer(document: Any, status: str = "200 OK", fields: str = "") -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


def noting(reply: bytes, seen: list[str]) -> Script:
    def script(visit: Visit) -> None:
        head = visit.read_head().decode()
        length = next((int(line[15:]) for line in head.splitlines() if line.startswith("Content-Length:")), 0)
        seen.append(head + visit.read(length).decode())
        visit.send(reply)
        visit.sock.close()

    return script


def client_of(node: ScriptedNode, path: str = "/", **fields: Any) -> FrontendClient:
    return FrontendClient(Url("http", "127.0.0.1", node.port, path), **fields)


def test_documents_go_in_and_come_out_under_a_sub_path(start_node: StartNode) -> None:
    seen: list[str] = []
    client = client_of(start_node(noting(answer({"revision": 3}), seen)), "/lmcache/", token="secret")
    document = client.send("PUT", "/api/config/rules", {"rules": []}, query={"a": "b c", "none": None})
    assert document == {"revision": 3}
    assert seen[0].startswith("PUT /lmcache/api/config/rules?a=b+c HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer secret\r\n" in seen[0]
    assert "\r\nContent-Type: application/json\r\n" in seen[0]
    assert seen[0].endswith('\r\n\r\n{"rules": []}')


def test_user_information_is_sent_but_not_shown(start_node: StartNode) -> None:
    seen: list[str] = []
    node = start_node(noting(answer({}), seen))
    client = FrontendClient(Url("http", "127.0.0.1", node.port, "/x/", "", "user:pass"))
    assert client.get("/health?a=1", {"b": 2}) == {}
    assert seen[0].startswith("GET /x/health?a=1&b=2 HTTP/1.1\r\n")
    assert "\r\nAuthorization: Basic dXNlcjpwYXNz\r\n" in seen[0]
    assert client.shown == f"http://127.0.0.1:{node.port}/x"


def test_an_empty_answer_is_none(start_node: StartNode) -> None:
    client = client_of(start_node(noting(b"HTTP/1.1 204 No Content\r\n\r\n", [])))
    assert client.send("DELETE", "/api/session") is None


@pytest.mark.parametrize(
    ("status", "exit_status"),
    [("400 Bad", 1), ("401 Who", 5), ("403 No", 5), ("404 Gone", 1), ("409 Late", 6), ("503 Away", 1)],
)
def test_refusals_say_what_the_frontend_said(start_node: StartNode, status: str, exit_status: int) -> None:
    client = client_of(start_node(noting(answer({"detail": "just so", "revision": 7}, status), [])))
    with pytest.raises(ServerError, match=rf"^just so \(status {status[:3]} of http://127") as caught:
        client.get("/api/nodes")
    assert (caught.value.status, caught.value.exit_status) == (int(status[:3]), exit_status)
    assert caught.value.document == {"detail": "just so", "revision": 7}


@pytest.mark.parametrize(
    ("body", "text"), [(b"Internal Server Error", "Internal Server Error"), (b"[1]", r"\[1\]"), (b"", "Broken")]
)
def test_refusals_of_others_are_shown_as_they_are(start_node: StartNode, body: bytes, text: str) -> None:
    client = client_of(start_node(noting(answer(body, "500 Broken"), [])))
    with pytest.raises(ServerError, match=rf"^{text} \(status 500") as caught:
        client.get("/")
    assert caught.value.document is None


def test_a_missing_token_is_asked_for(start_node: StartNode) -> None:
    client = client_of(start_node(noting(answer({"detail": "a token, please"}, "401 Who"), [])))
    with pytest.raises(ServerError, match="--token-file"):
        client.get("/")


def test_a_redirect_is_told_and_not_followed(start_node: StartNode) -> None:
    seen: list[str] = []
    reply = answer(b"", "301 Moved", "Location: https://elsewhere/\r\n")
    client = client_of(start_node(noting(reply, seen)), token="secret")
    with pytest.raises(ServerError, match="leads on to https://elsewhere/"):
        client.get("/")
    assert len(seen) == 1


def test_something_else_than_a_frontend(start_node: StartNode) -> None:
    client = client_of(start_node(noting(answer(b"<html>"), [])))
    with pytest.raises(BadGateway, match="is a frontend there"):
        client.get("/")


def test_lines_come_one_by_one(start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n{"id": 1}\n\r\n')
        visit.read(1)
        visit.send(b'e\r\n\n{"id": 2}\n{}\n\r\n0\r\n\r\n')

    node = start_node(script)
    lines = client_of(node).lines("POST", "/api/fleet/actions", {"action": "freeze"})
    assert next(lines) == {"id": 1}
    assert list(lines) == [{"id": 2}, {}]


def test_lines_of_a_refusal_raise(start_node: StartNode) -> None:
    client = client_of(start_node(noting(answer({"detail": "no"}, "403 No"), [])))
    with pytest.raises(ServerError, match="no"):
        list(client.lines("GET", "/"))


def test_a_line_past_the_limit_is_refused(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.frontend_client.LINE_LIMIT_BYTES", 3)
    client = client_of(start_node(noting(answer(b'{"a": 1}\n'), [])))
    with pytest.raises(BadGateway, match="more than 3 bytes"):
        list(client.lines("GET", "/"))


def test_any_status_of_a_request_is_an_answer(start_node: StartNode) -> None:
    client = client_of(start_node(noting(answer(b"gone", "404 Gone"), [])))
    result = client.request("GET", "/proxy2/n/x", fields={"Accept": "*/*"})
    assert (result.status, result.body) == (404, b"gone")
