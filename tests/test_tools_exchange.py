# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from lmcache_frontend.errors import BadGateway, Unreachable, UsageError
from tests.helpers.scripted import Script, ScriptedNode, Visit
from tools import exchange as module
from tools.exchange import Url, Wire, exchange, opened, read_url

StartNode = Callable[..., ScriptedNode]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Field: v\r\n\r\n{}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h", Url("http", "h", 80, "/")),
        ("h:8000", Url("http", "h", 8000, "/")),
        ("HTTPS://H.example/a/b?c=d#e", Url("https", "h.example", 443, "/a/b", "c=d")),
        ("http://[::1]:8000/x", Url("http", "::1", 8000, "/x")),
        ("http://us%40er:p%3Aw@h/", Url("http", "h", 80, "/", "", "us@er:p:w")),
        ("http://user@h/", Url("http", "h", 80, "/", "", "user:")),
        ("http://h/ä%20b?q=ü", Url("http", "h", 80, "/%C3%A4%20b", "q=%C3%BC")),
        (" http://h/ ", Url("http", "h", 80, "/")),
    ],
)
def test_addresses_are_read(text: str, url: Url) -> None:
    assert read_url(text, "--url") == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "ftp://h/",
        "http://h:0/",
        "http://h:99999/",
        "http://h:x/",
        "http://a b/",
        "http://h/\n",
        "http://[",
    ],
)
def test_what_is_no_address_is_a_usage_error(text: str) -> None:
    if text == "http://h/\n":
        text = "http://h/\nx"
    with pytest.raises(UsageError, match="--url: "):
        read_url(text, "--url")


def test_a_password_is_never_shown() -> None:
    url = read_url("https://user:hunter2@h:444/p?token=abc&n=1", "--url")
    assert url.shown == "https://h:444/p?token=********&n=1"
    with pytest.raises(UsageError) as caught:
        read_url("ftp://user:hunter2@h/", "--url")
    assert "hunter2" not in str(caught.value)


def test_authorities_are_written_as_in_urls() -> None:
    assert Url("http", "::1", 80).authority == "[::1]"
    assert Url("https", "::1", 80).authority == "[::1]:80"
    assert Url("https", "h", 443, "/a", "b").text == "https://h/a?b"


def url_of(node: ScriptedNode, path: str = "/p", query: str = "") -> Url:
    return Url("http", "127.0.0.1", node.port, path, query)


def answering(answer: bytes) -> Script:
    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(answer)
        visit.sock.close()

    return script


def test_an_exchange_sends_what_it_is_given_and_gives_what_came(start_node: StartNode) -> None:
    seen: list[bytes] = []

    def script(visit: Visit) -> None:
        seen.extend((visit.read_head(), visit.read(4)))
        visit.send(OK)

    node = start_node(script)
    url = url_of(node, "/a/b", "c=d")._replace(user_information="user:pass")
    answer = exchange(url, "GET", {"X-Mine": "1"}, b"body", Wire())
    assert (answer.status, answer.body, answer.fields["x-field"]) == (200, b"{}", "v")
    head = seen[0].decode()
    assert head.startswith("GET /a/b?c=d HTTP/1.1\r\n")
    for line in (f"Host: 127.0.0.1:{node.port}", "Content-Length: 4", "X-Mine: 1", "Authorization: Basic dXNlcjpwYXNz"):
        assert f"\r\n{line}\r\n" in head
    assert seen[1] == b"body"


def test_a_proxy_gets_the_whole_address(start_node: StartNode) -> None:
    seen: list[bytes] = []

    def script(visit: Visit) -> None:
        seen.append(visit.read_head())
        visit.send(OK)

    node = start_node(script)
    proxy = url_of(node)._replace(user_information="p:q")
    url = Url("http", "worker.example", 8088, "/config", "", "user:pass")
    assert exchange(url, "GET", {}, None, Wire(proxy=proxy)).status == 200
    head = seen[0].decode()
    assert head.startswith("GET http://worker.example:8088/config HTTP/1.1\r\n")
    assert "\r\nHost: worker.example:8088\r\n" in head
    assert "\r\nProxy-Authorization: Basic cDpx\r\n" in head


def test_https_goes_through_a_tunnel_of_the_proxy(start_node: StartNode) -> None:
    seen: list[bytes] = []

    def script(visit: Visit) -> None:
        seen.append(visit.read_head())
        visit.send(b"HTTP/1.1 407 Who are you\r\n\r\n")
        visit.sock.close()

    node = start_node(script)
    with pytest.raises(Unreachable, match=r"https://h/p through the proxy http://127\..*reached.*407"):
        exchange(Url("https", "h", 443, "/p"), "GET", {}, None, Wire(proxy=url_of(node)))
    assert seen[0].startswith(b"CONNECT h:443 HTTP/1.")


def test_nobody_at_the_address(unused_port: int) -> None:
    with pytest.raises(Unreachable, match="cannot be reached: Connection refused"):
        exchange(Url("http", "127.0.0.1", unused_port), "GET", {}, None, Wire())


def test_a_name_that_is_none() -> None:
    with pytest.raises(Unreachable, match=r"the name nobody\.invalid cannot be resolved"):
        exchange(Url("http", "nobody.invalid", 80), "GET", {}, None, Wire())


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"", Unreachable, "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", BadGateway, "did not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", BadGateway, "broke its answer off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", BadGateway, "broke its answer off"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", BadGateway, "did not answer in HTTP"),
    ],
)
def test_bad_answers_are_told_apart(start_node: StartNode, answer: bytes, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        exchange(url_of(start_node(answering(answer))), "GET", {}, None, Wire())


def test_an_answer_past_the_limit_is_refused(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_LIMIT_BYTES", 1)
    with pytest.raises(BadGateway, match="more than 1 bytes"):
        exchange(url_of(start_node(answering(OK))), "GET", {}, None, Wire())


def test_the_time_out_holds_for_the_whole_exchange(start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            for _ in range(200):
                visit.send(b"x")
                time.sleep(0.02)
        except OSError:
            pass

    with pytest.raises(Unreachable, match=r"did not answer within 0\.1 s"):
        exchange(url_of(start_node(script)), "GET", {}, None, Wire(timeout_s=0.1))


def test_silence_ends_a_stream(start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\n\r\nline\n")
        visit.sock.recv(1)

    with opened(url_of(start_node(script)), "GET", {}, None, Wire(timeout_s=0.3)) as incoming:
        assert incoming.read_line(100) == b"line\n"
        with pytest.raises(Unreachable, match=r"within 0\.3 s"):
            incoming.read_line(100)


@pytest.mark.parametrize(
    ("head", "body"),
    [(b"Content-Length: 99\r\n", b"a\nb"), (b"Transfer-Encoding: chunked\r\n", b"2\r\na\n\r\n5\r\nb")],
)
def test_a_stream_that_breaks_off_does_not_end_cleanly(start_node: StartNode, head: bytes, body: bytes) -> None:
    node = start_node(answering(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body))
    with opened(url_of(node), "GET", {}, None, Wire()) as incoming:
        assert incoming.read_line(100) == b"a\n"
        with pytest.raises(BadGateway, match="broke its answer off"):
            incoming.read_line(100)


def test_what_the_block_raises_is_the_blocks_own(start_node: StartNode) -> None:
    with (
        pytest.raises(BrokenPipeError),
        opened(url_of(start_node(answering(OK))), "GET", {}, None, Wire()),
    ):
        raise BrokenPipeError


def test_a_file_of_certificates_that_is_none(tmp_path: Any) -> None:
    (tmp_path / "ca").write_text("nothing")
    with pytest.raises(UsageError, match="cannot read the certificates"):
        exchange(Url("https", "127.0.0.1", 1), "GET", {}, None, Wire(ca=str(tmp_path / "ca")))
