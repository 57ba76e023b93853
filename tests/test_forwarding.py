# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.errors import LoopDetected
from lmcache_frontend.http1 import forwarding, heads
from lmcache_frontend.http1.forwarding import Own
from lmcache_frontend.http1.framing import CHUNKED


def forwarded(lines: str, *, body_length: int = 0, own: Own = Own("ours")) -> list[tuple[str, str]]:
    request = heads.parse_request(f"GET /p HTTP/1.1\r\nHost: front:8000\r\n{lines}\r\n".encode())
    return forwarding.request_fields(request, host="node:1", body_length=body_length, client_host="10.1.1.1", own=own)


def test_the_node_gets_its_own_host_and_the_way_the_request_came() -> None:
    assert forwarded("Accept: */*\r\n") == [
        ("Host", "node:1"),
        ("Accept", "*/*"),
        ("Via", "1.1 lmcache_frontend"),
        ("X-Forwarded-For", "10.1.1.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "front:8000"),
    ]


def test_earlier_hops_are_kept() -> None:
    fields = dict(
        forwarded("Via: 1.0 edge\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n")
    )
    assert fields["Via"] == "1.0 edge, 1.1 lmcache_frontend"
    assert fields["X-Forwarded-For"] == "9.9.9.9, 10.1.1.1"
    assert (fields["X-Forwarded-Proto"], fields["X-Forwarded-Host"]) == ("https", "h")


def test_hop_by_hop_fields_and_those_that_connection_names_go() -> None:
    lines = (
        "Connection: keep-alive, X-Secret\r\nKeep-Alive: timeout=5\r\nX-Secret: 1\r\nUpgrade: h2c\r\nTE: trailers\r\n"
        "Proxy-Authorization: Basic x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nX-Kept: 1\r\n"
    )
    names = [name for name, _ in forwarded(lines, body_length=CHUNKED)]
    assert names == [
        "Host",
        "X-Kept",
        "Transfer-Encoding",
        "Via",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
    ]


def test_an_explicit_empty_body_stays_explicit() -> None:
    assert ("Content-Length", "0") in forwarded("Content-Length: 0\r\n")
    assert ("Content-Length", "7") in forwarded("Content-Length: 7, 7\r\n", body_length=7)


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ("ours=secret", None),
        ("a=1; ours=secret; b=2", "a=1; b=2"),
        ("a=1;ours=s;b=2", "a=1; b=2"),
        ("ours2=1; xours=2", "ours2=1; xours=2"),
    ],
)
def test_our_cookie_never_reaches_a_node(sent: str, passed: str | None) -> None:
    assert dict(forwarded(f"Cookie: {sent}\r\n")).get("Cookie") == passed


def test_a_loop_of_frontends_ends() -> None:
    hops = ", ".join(["1.1 lmcache_frontend"] * 8)
    with pytest.raises(LoopDetected, match="list each other"):
        forwarded(f"Via: {hops}\r\n")


def returned(lines: str, *, target: str = "/version") -> list[tuple[str, str]]:
    response = heads.parse_response(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode())
    return forwarding.response_fields(response, host="node:1", target=target, own_cookie="ours")


def test_what_a_node_says_of_the_whole_origin_is_dropped_and_guards_are_added() -> None:
    lines = (
        "Content-Type: text/html\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nContent-Length: 3\r\n"
        "Strict-Transport-Security: max-age=1\r\nClear-Site-Data: *\r\nX-Content-Type-Options: none\r\n"
        "Content-Security-Policy: default-src *\r\nSet-Cookie: a=1\r\nSet-Cookie: ours=x; Path=/\r\nSet-Cookie: b=2\r\n"
        "Report-To: {}\r\nReporting-Endpoints: a=b\r\nNEL: {}\r\nAccept-CH: DPR\r\nSet-Login: logged-in\r\n"
    )
    assert returned(lines) == [
        ("Content-Type", "text/html"),
        ("Content-Security-Policy", "default-src *"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", "sandbox"),
    ]


@pytest.mark.parametrize("cookie", ["ours=x", " ours =x", "=ours=x; Path=/", "= ours=x", "ours", "; ours=x"])
def test_a_node_cannot_set_our_cookie(cookie: str) -> None:
    # Without a name, browsers send the value alone, which then reads as a name and a value.
    passed = ("; ours=x",) if cookie.startswith(";") else ()
    assert tuple(value for name, value in returned(f"Set-Cookie: {cookie}\r\n") if name == "Set-Cookie") == passed
    interim = heads.parse_response(f"HTTP/1.1 103 Early\r\nSet-Cookie: {cookie}\r\nLink: </a>\r\n\r\n".encode())
    assert forwarding.interim_fields(interim) == [("Link", "</a>")]


def test_interim_answers_lose_what_connection_names() -> None:
    interim = heads.parse_response(b"HTTP/1.1 103 Early\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Other: 2\r\n\r\n")
    assert forwarding.interim_fields(interim) == [("X-Other", "2")]


@pytest.mark.parametrize(
    ("location", "target", "expected"),
    [
        ("http://node:1/version", "/version/", "../version"),
        ("http://NODE:1/version?x=1#f", "/version", "version?x=1#f"),
        ("//node:1/a/b", "/x/y/z?q=/1/2", "../../a/b"),
        ("/login", "/", "login"),
        ("/", "/a", "./"),
        ("http://node:1", "/a/", "../"),
        ("/a:b", "/x", "./a:b"),
        ("/a:b", "/x/y", "../a:b"),
        ("relative", "/x/", "relative"),
        ("?q=1", "/x", "?q=1"),
        ("http://elsewhere/version", "/version/", "http://elsewhere/version"),
        ("https://node:2/", "/", "https://node:2/"),
        ("../x", "/a/b", "../x"),
        ("../x/./y/..", "/a/b/c", "../../a/x/"),
        # What would lead to another node, or to us, leads to this node as its own address would.
        ("../../api/proxies/p/refresh", "/a", "api/proxies/p/refresh"),
        ("../b/loglevel?level=DEBUG", "/version", "b/loglevel?level=DEBUG"),
        ("/../../b/loglevel", "/version", "b/loglevel"),
        ("/%2e%2E/..%2f/x", "/version", "..%2f/x"),
        ("..\\..\\b", "/version", "b"),
        (".\t./b", "/version", "b"),
        ("http://node:1/../../b", "/version/", "../b"),
        ("/a/..", "/x", "./"),
        ("http:../../b", "/x", "b"),
        ("HTTPS:/../b", "/x", "b"),
        ("http:\\\\node:1/../b", "/x", "b"),
        ("#/../..", "/x", "#/../.."),
        ("mailto:a/../..", "/x", "mailto:a/../.."),
    ],
)
def test_a_redirect_of_the_node_to_itself_stays_under_the_proxy(location: str, target: str, expected: str) -> None:
    assert forwarding.relative_location(location, host="node:1", target=target) == expected
    assert ("Location", expected) in returned(f"Location: {location}\r\n", target=target)
