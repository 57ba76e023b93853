# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.errors import BadGateway, BadRequest, FrontendError, HeadTooLarge, UriTooLong, VersionNotSupported
from lmcache_frontend.http1 import heads


def test_a_request_is_parsed_as_it_came() -> None:
    head = heads.parse_request(b"GET /a%2Fb?x=1;y HTTP/1.1\r\nHost: n:1\r\nX-One:  a \t\r\nx-ONE: b\r\nEmpty:\r\n\r\n")
    assert (head.method, head.target, head.minor_version, head.host) == ("GET", "/a%2Fb?x=1;y", 1, "n:1")
    assert head.fields == [("Host", "n:1"), ("X-One", "a"), ("x-ONE", "b"), ("Empty", "")]
    assert head.get("x-one") == "a, b"
    assert head.get("absent") is None


def test_bytes_beyond_ascii_in_a_value_survive() -> None:
    head = heads.parse_request(b"GET / HTTP/1.1\r\nHost: n\r\nX: \xc3\xa9\xff\r\n\r\n")
    assert heads.render_request("GET", "/", head.fields).endswith(b"X: \xc3\xa9\xff\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "origin_form", "host"),
    [
        ("http://other:81/p?q", "/p?q", "other:81"),
        ("HTTPS://other", "/", "other"),
        ("http://other?q", "/?q", "other"),
    ],
)
def test_the_authority_of_an_absolute_target_stands_for_the_host(target: str, origin_form: str, host: str) -> None:
    head = heads.parse_request(f"GET {target} HTTP/1.1\r\nHost: first\r\n\r\n".encode())
    assert (head.target, head.host) == (origin_form, host)


def test_cookies_are_joined_as_cookies() -> None:
    head = heads.parse_request(b"GET / HTTP/1.1\r\nHost: n\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n")
    assert head.get("cookie") == "a=1; b=2"


@pytest.mark.parametrize(
    ("raw", "error", "says"),
    [
        (b"GET /\r\n\r\n", BadRequest, "2 parts"),
        (b"GET  / HTTP/1.1\r\nHost: n\r\n\r\n", BadRequest, "4 parts"),
        (b"GE(T / HTTP/1.1\r\nHost: n\r\n\r\n", BadRequest, "method is not a token"),
        (b"GET \xc3\xa9 HTTP/1.1\r\nHost: n\r\n\r\n", BadRequest, "percent-encode"),
        (b"GET /a\tb HTTP/1.1\r\nHost: n\r\n\r\n", BadRequest, "printable ASCII"),
        (b"GET /#f HTTP/1.1\r\nHost: n\r\n\r\n", BadRequest, "'#'"),
        (b"GET path HTTP/1.1\r\nHost: n\r\n\r\n", BadRequest, "neither a path"),
        (b"GET * HTTP/1.1\r\nHost: n\r\n\r\n", BadRequest, "neither a path"),
        (b"CONNECT n:1 HTTP/1.1\r\nHost: n\r\n\r\n", BadRequest, "neither a path"),
        (b"GET http://u:p@n/ HTTP/1.1\r\nHost: n\r\n\r\n", BadRequest, "user information"),
        (b"GET / HTTP/1.1 \r\nHost: n\r\n\r\n", BadRequest, "4 parts"),
        (b"GET / http/1.1\r\nHost: n\r\n\r\n", BadRequest, "version"),
        (b"GET / HTTP/11\r\nHost: n\r\n\r\n", BadRequest, "version"),
        (b"PRI * HTTP/2.0\r\n\r\n", VersionNotSupported, "HTTP/2.0"),
        (b"GET / HTTP/0.9\r\n\r\n", VersionNotSupported, "HTTP/0.9"),
        (b"GET / HTTP/1.1\r\n\r\n", BadRequest, "no Host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", BadRequest, "more than one Host"),
        (b"GET / HTTP/1.1\r\nHost : n\r\n\r\n", BadRequest, "white space before the colon"),
        (b"GET / HTTP/1.1\r\nHost: n\r\nX: a\r\n b\r\n\r\n", BadRequest, "line 3 is folded"),
        (b"GET / HTTP/1.1\r\n Host: n\r\n\r\n", BadRequest, "line 1 is folded"),
        (b"GET / HTTP/1.1\r\nHost: n\r\nX: a\rb\r\n\r\n", BadRequest, "bare CR in header line 2"),
        (b"GET / HTTP/1.1\r\nHost: n\nX: a\r\n\r\n", BadRequest, "bare LF in header line 1"),
        (b"GET / HTTP/1.1\nHost: n\r\n\r\n", BadRequest, "bare LF in the request line"),
        (b"GET / HTTP/1.1\r\nHost: n\r\nX: a\0\r\n\r\n", BadRequest, "NUL in header line 2"),
        (b"GET / HTTP/1.1\r\nHost: n\r\nX: a\x1b\r\n\r\n", BadRequest, "control character in header line 2"),
        (b"GET / HTTP/1.1\r\nHost: n\r\nnonsense\r\n\r\n", BadRequest, "line 2 has no colon"),
        (b"GET / HTTP/1.1\r\nHost: n\r\n: v\r\n\r\n", BadRequest, "not a token"),
        (b"GET / HTTP/1.1\r\nHost: n\r\nX@Y: v\r\n\r\n", BadRequest, "not a token"),
        (b"GET /" + b"a" * 16384 + b" HTTP/1.1\r\nHost: n\r\n\r\n", UriTooLong, "16385 bytes"),
        (b"GET / HTTP/1.1\r\nHost: n\r\n" + b"X: 1\r\n" * 200 + b"\r\n", HeadTooLarge, "201 header fields"),
    ],
)
def test_a_malformed_request_is_refused_in_words(raw: bytes, error: type[FrontendError], says: str) -> None:
    with pytest.raises(error, match="(?s)" + says.replace("(", r"\(").replace("*", r"\*")):
        heads.parse_request(raw)


def test_the_largest_target_and_the_most_fields_pass() -> None:
    assert len(heads.parse_request(b"GET /" + b"a" * 16383 + b" HTTP/1.1\r\nHost: n\r\n\r\n").target) == 16384
    raw = b"GET / HTTP/1.1\r\nHost: n\r\n" + b"X: 1\r\n" * 199 + b"\r\n"
    assert len(heads.parse_request(raw).fields) == 200


def test_http_1_0_needs_no_host() -> None:
    head = heads.parse_request(b"GET / HTTP/1.0\r\n\r\n")
    assert (head.host, head.minor_version) == ("", 0)


def test_a_response_is_parsed() -> None:
    head = heads.parse_response(b"HTTP/1.1 404 File not found\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n")
    assert (head.status, head.reason, head.minor_version) == (404, "File not found", 1)
    assert head.fields == [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]


@pytest.mark.parametrize("line", [b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.0 200 OK"])
def test_a_reason_may_be_missing(line: bytes) -> None:
    assert heads.parse_response(line + b"\r\n\r\n").status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 0200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 201 + b"\r\n",
    ],
)
def test_a_malformed_response_is_the_nodes_fault(raw: bytes) -> None:
    with pytest.raises(BadGateway):
        heads.parse_response(raw)


@pytest.mark.parametrize(
    ("minor", "connection", "persistent"),
    [
        (1, "", True),
        (1, "Connection: close\r\n", False),
        (1, "Connection: Keep-Alive , CLOSE\r\n", False),
        (1, "Connection: x\r\nConnection: close\r\n", False),
        (0, "", False),
        (0, "Connection: keep-alive\r\n", True),
    ],
)
def test_persistence(minor: int, connection: str, persistent: bool) -> None:
    head = heads.parse_request(f"GET / HTTP/1.{minor}\r\nHost: n\r\n{connection}\r\n".encode())
    assert heads.is_persistent(head) is persistent


def test_rendering() -> None:
    assert heads.render_response(204, [("A", "b")]) == b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"
    assert heads.render_response(299, [], "Odd") == b"HTTP/1.1 299 Odd\r\n\r\n"
    assert heads.render_response(599, []) == b"HTTP/1.1 599 \r\n\r\n"
