# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy request`` and its short forms: bytes in, bytes out, byte for byte."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lmcache_frontend.app import App
from tests.helpers.proxy_tool import Result, run
from tests.helpers.scripted import Script, ScriptedNode, Visit, answering

ROOT = Path(__file__).resolve().parents[1]
StartNode = Callable[..., ScriptedNode]
StartApp = Callable[..., App]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhello"


def taking(seen: list[tuple[str, bytes]], answer: bytes = OK) -> Script:
    """Give a script that keeps a request's head and body."""

    def script(visit: Visit) -> None:
        head = visit.read_head().decode("latin-1")
        if not head:
            return
        length = next((int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:")), 0)
        seen.append((head, visit.read(length)))
        visit.send(answer)

    return script


@pytest.fixture(params=["through", "directly"])
def talk(request: pytest.FixtureRequest, start_app: StartApp, start_node: StartNode) -> Callable[..., Result]:
    """Give a function that runs the tool against a node with a script, through a frontend and without one."""

    def call(script: Script, *arguments: str) -> Result:
        node = start_node(script)
        if request.param == "directly":
            return run(*(word for word in arguments if word != "n"), "--direct", f"127.0.0.1:{node.port}")
        app = start_app([{"name": "n", "host": "127.0.0.1", "port": node.port}])
        return run(*arguments, "--server", f"http://127.0.0.1:{app.settings.port}")

    return call


def test_an_answer_is_given_as_it_is(talk: Callable[..., Result]) -> None:
    seen: list[tuple[str, bytes]] = []
    result = talk(taking(seen), "get", "n", "/a b?x=%2F&y=é")
    assert (result.status, result.out, result.err) == (0, "hello", "")
    assert seen[0][0].startswith("GET /a%20b?x=%2F&y=%C3%A9 HTTP/1.1\r\n")
    assert "accept: */*\r\n" in seen[0][0].lower()


def test_the_head_is_shown_when_wished(talk: Callable[..., Result]) -> None:
    result = talk(taking([]), "request", "get", "n", "version", "-i")
    head, _, body = result.out.partition("\n\n")
    assert head.startswith("HTTP/1.1 200 OK\n")
    assert "Set-Cookie: a=1\nSet-Cookie: b=2" in head
    assert body == "hello"


def test_data_is_sent_with_its_type(talk: Callable[..., Result]) -> None:
    seen: list[tuple[str, bytes]] = []
    assert talk(taking(seen), "post", "n", "/conf", "-d", '{"a": 1}', "-H", "x-y: 1").status == 0
    head, body = seen[0]
    assert head.startswith("POST /conf HTTP/1.1\r\n")
    assert "content-type: application/json\r\n" in head.lower()
    assert "x-y: 1\r\n" in head.lower()
    assert body == b'{"a": 1}'


def test_a_type_of_ones_own_takes_the_place_of_the_guessed_one(talk: Callable[..., Result]) -> None:
    seen: list[tuple[str, bytes]] = []
    assert talk(taking(seen), "put", "n", "/x", "-d", "a=b", "-H", "content-type: text/x").status == 0
    assert seen[0][0].lower().count("content-type:") == 1
    assert "content-type: text/x\r\n" in seen[0][0].lower()


def test_a_file_is_sent_whole(talk: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "body"
    content = os.urandom(700_000)
    path.write_bytes(content)
    seen: list[tuple[str, bytes]] = []
    assert talk(taking(seen), "post", "n", "/x", "-d", f"@{path}").status == 0
    assert seen[0][1] == content
    assert "content-type: application/octet-stream\r\n" in seen[0][0].lower()


def test_a_form_has_texts_and_files(talk: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / 'pro"be.py'
    path.write_bytes(b"result = 1\r\n\xff")
    seen: list[tuple[str, bytes]] = []
    assert talk(taking(seen), "post", "n", "/run_script", "-F", f"script=@{path}", "-F", "a=b=c").status == 0
    head, body = seen[0]
    boundary = head.lower().partition("boundary=")[2].partition("\r\n")[0]
    parts = body.split(b"--" + boundary.encode())
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    assert b'name="script"; filename="pro%22be.py"\r\n' in parts[1]
    assert parts[1].endswith(b"\r\n\r\nresult = 1\r\n\xff\r\n")
    assert parts[2].endswith(b'name="a"\r\n\r\nb=c\r\n')


def test_a_body_without_any_is_empty(talk: Callable[..., Result]) -> None:
    seen: list[tuple[str, bytes]] = []
    assert talk(taking(seen), "post", "n", "/metrics/reset").status == 0
    assert "content-length: 0\r\n" in seen[0][0].lower()


def test_a_dry_run_sends_nothing(talk: Callable[..., Result]) -> None:
    seen: list[tuple[str, bytes]] = []
    result = talk(taking(seen), "delete", "n", "/backends/x", "--dry-run", "--format", "jsonl")
    assert (result.status, result.lines[0]["outcome"]) == (0, "planned")
    assert result.lines[0]["detail"].startswith("DELETE /backends/x")
    assert all(head.startswith("GET ") for head, _ in seen)


NOT_FOUND = b'HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\n\r\n{"detail":"Not Found"}'


def test_a_refusal_is_an_answer_like_others(talk: Callable[..., Result]) -> None:
    result = talk(answering(NOT_FOUND), "get", "n", "/x")
    assert (result.status, result.out) == (0, '{"detail":"Not Found"}')


def test_what_the_frontend_answers_in_place_of_the_node_is_no_answer(start_node: StartNode) -> None:
    fleet = b'{"nodes": [{"name": "n", "proxy": "local_proxy"}]}'
    nodes = b'{"nodes": [{"name": "local_proxy", "children": [{"name": "n"}]}]}'

    def script(visit: Visit) -> None:
        target = visit.read_head().split(b" ")[1]
        body = {b"/api/fleet": fleet, b"/api/nodes": nodes}.get(target, b'{"detail": "no node is called \'n\'"}')
        status = b"404 Not Found" if b"detail" in body else b"200 OK"
        visit.send(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

    result = run("get", "n", "/x", "--server", f"http://127.0.0.1:{start_node(script).port}")
    assert (result.status, result.out) == (1, "")
    assert result.err == "warning: answered 404 Not Found: no node is called 'n'\n"


def test_a_field_that_is_given_twice_is_sent_with_both_values(talk: Callable[..., Result]) -> None:
    seen: list[tuple[str, bytes]] = []
    assert talk(taking(seen), "get", "n", "/x", "-H", "X-A: 1", "-H", "x-a: 2").status == 0
    assert "\r\nX-A: 1, 2\r\n" in seen[0][0]


@pytest.mark.parametrize(
    ("status", "expected"), [("404 Not Found", 1), ("403 Forbidden", 5), ("409 Conflict", 6), ("500 Oh", 1)]
)
def test_a_refusal_fails_when_wished(talk: Callable[..., Result], status: str, expected: int) -> None:
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno".encode()
    result = talk(answering(answer), "get", "n", "/x", "--fail")
    assert (result.status, result.out) == (expected, "")
    assert result.err == f"warning: answered {status}: no\n"


def test_a_node_that_cannot_be_reached_is_no_answer(start_app: StartApp, start_node: StartNode, tmp_path: Path) -> None:
    node = start_node(answering())
    node.close()
    app = start_app([{"name": "n", "host": "127.0.0.1", "port": node.port}])
    path = tmp_path / "out"
    result = run("get", "n", "/x", "-o", str(path), "--server", f"http://127.0.0.1:{app.settings.port}")
    assert (result.status, path.exists()) == (3, False)
    assert result.err.startswith("warning: answered 502 Bad Gateway: ")
    assert run("get", "/x", "--direct", f"127.0.0.1:{node.port}").status == 3


def test_an_answer_goes_into_a_file(talk: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("before")
    path.chmod(0o640)
    result = talk(taking([]), "get", "n", "/x", "-o", str(path))
    assert (result.status, result.out, result.err) == (0, "", "")
    assert path.read_text() == "hello"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_an_answer_that_breaks_off_is_no_answer(talk: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "out"
    result = talk(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhel"), "get", "n", "/x", "-o", str(path))
    assert result.status in (1, 3)
    assert result.err.startswith("lmcache-proxy: ")
    assert list(tmp_path.iterdir()) == []


def test_chunks_that_break_off_are_no_answer(talk: Callable[..., Result]) -> None:
    broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nhel"
    assert talk(answering(broken), "get", "n", "/x").status in (1, 3)


def test_a_file_that_cannot_be_written_is_told(talk: Callable[..., Result]) -> None:
    result = talk(taking([]), "get", "n", "/x", "-o", "/nonexistent/out")
    assert result.status == 1
    assert result.err == "lmcache-proxy: cannot write /nonexistent/out: No such file or directory\n"


def test_what_is_read_need_not_end_before_it_is_shown(start_node: StartNode) -> None:
    """The first half is there while the second has not been sent."""

    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        visit.read(1)

    node = start_node(script)
    command = [sys.executable, "-m", "tools.proxy", "get", "--direct", f"127.0.0.1:{node.port}", "/x"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"first"
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("request",), "expected METHOD NODE PATH"),
        (("request", "G E T", "--direct", ":1", "/x"), "'G E T' is no method"),
        (("get", "--direct", ":1"), "expected the PATH that is asked for"),
        (("get", "--direct", ":1", "/x", "/y"), "expected the PATH that is asked for alone"),
        (("post", "--direct", ":1", "/x", "-d", "a", "-F", "b=c"), "-d and -F exclude each other"),
        (("post", "--direct", ":1", "/x", "-d", "@/nonexistent"), "-d: /nonexistent is not there"),
        (("post", "--direct", ":1", "/x", "-F", "script"), "-F: expected NAME=TEXT or NAME=@FILE, got 'script'"),
        (("get", "--direct", ":1", "/x", "-H", "bad\nfield: x"), "-H: expected 'NAME: VALUE'"),
    ],
)
def test_what_cannot_be_asked_is_told(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert (result.status, result.out) == (2, "")
    assert message in result.err
