# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.errors import UsageError
from tools.config_fetch.proxies import is_loopback, proxy_for
from tools.exchange import read_url

PROXY = {"http_proxy": "http://p:1"}


def proxy(url: str, environment: dict[str, str]) -> str | None:
    found = proxy_for(read_url(url, "--url"), environment)
    return None if found is None else found.authority


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("http://h/", {}, None),
        ("http://h/", {"http_proxy": "http://p:1"}, "p:1"),
        ("http://h/", {"HTTP_PROXY": "p:1"}, "p:1"),
        ("http://h/", {"HTTP_PROXY": "http://big:1", "http_proxy": "http://small:2"}, "small:2"),
        ("http://h/", {"http_proxy": " ", "ALL_PROXY": "http://a:3"}, "a:3"),
        ("http://h/", {"https_proxy": "http://p:1"}, None),
        ("https://h/", {"https_proxy": "http://p:1"}, "p:1"),
        ("https://h/", {"all_proxy": "http://p:1", "http_proxy": "http://q:2"}, "p:1"),
    ],
)
def test_the_proxy_is_that_of_the_scheme(url: str, environment: dict[str, str], expected: str | None) -> None:
    assert proxy(url, environment) == expected


@pytest.mark.parametrize("url", ["http://localhost:1/", "http://a.localhost/", "http://127.0.0.9/", "http://[::1]:8/"])
def test_a_loopback_address_is_never_asked_for_through_a_proxy(url: str) -> None:
    assert proxy(url, PROXY) is None


@pytest.mark.parametrize(
    ("url", "exceptions", "is_excepted"),
    [
        ("http://h.example/", "*", True),
        ("http://h.example/", "h.example", True),
        ("http://h.example/", ".example", True),
        ("http://h.example/", "*.example", True),
        ("http://h.example/", "other, example", True),
        ("http://H.EXAMPLE./", "h.example", True),
        ("http://h.example/", "ample", False),
        ("http://h.example:81/", "h.example:81", True),
        ("http://h.example:81/", "h.example:82", False),
        ("http://10.1.2.3/", "10.0.0.0/8", True),
        ("http://10.1.2.3/", "10.1.2.3", True),
        ("http://11.1.2.3/", "10.0.0.0/8", False),
        ("http://[fd00::7]/", "fd00::/8", True),
        ("http://h.example/", "10.0.0.0/8,,", False),
    ],
)
def test_exceptions(url: str, exceptions: str, is_excepted: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        assert (proxy(url, {**PROXY, name: exceptions}) is None) is is_excepted


@pytest.mark.parametrize("text", ["socks5://p:1", "https://p:1", "http://p:x"])
def test_other_proxies_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="http_proxy: "):
        proxy("http://h/", {"http_proxy": text})


def test_loopback_names() -> None:
    assert is_loopback("LocalHost.")
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("localhost.example")
    assert not is_loopback("10.0.0.1")
