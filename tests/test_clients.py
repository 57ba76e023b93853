# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from lmcache_frontend.access import clients, rules
from lmcache_frontend.errors import Forbidden, MisdirectedRequest


def client(**facts: Any) -> clients.Client:
    values: dict[str, Any] = {
        "peer_host": "127.0.0.1",
        "http_minor_version": 1,
        "host": "localhost:8000",
        "fields": {},
        "own_uid": 500,
        "owner": None,
        **facts,
    }
    return clients.Client(**values)


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]", "[::1]:8000", "localhost."])
def test_a_client_of_this_machine_is_local(peer: str, host: str) -> None:
    assert clients.why_not_local(client(peer_host=peer, host=host)) == ""


@pytest.mark.parametrize(
    "facts",
    [
        {"peer_host": "127.0.0.2"},
        {"peer_host": "10.0.0.1"},
        {"peer_host": "::ffff:10.0.0.1"},
        {"peer_host": ""},
        {"http_minor_version": 0},
        {"host": "example.com"},
        {"host": "localhost.example.com"},
        {"host": "127.0.0.1.nip.io"},
        {"host": ""},
        {"host": "localhost:80:80"},
        {"host": "user@localhost"},
        {"fields": {"forwarded": "for=1.2.3.4"}},
        {"fields": {"x-forwarded-for": "127.0.0.1"}},
        {"fields": {"x-forwarded-host": "localhost"}},
        {"fields": {"x-forwarded-anything": ""}},
        {"fields": {"x-real-ip": "127.0.0.1"}},
        {"fields": {"via": "1.1 edge"}},
        {"fields": {"cf-connecting-ip": "127.0.0.1"}},
        {"fields": {"true-client-ip": "127.0.0.1"}},
        {"owner": lambda: None},
        {"owner": lambda: 33},
        {"owner": lambda: 999},
        {"owner": lambda: 65534},
    ],
)
def test_any_other_client_is_not_and_told_why(facts: dict[str, Any]) -> None:
    assert clients.why_not_local(client(**facts))


@pytest.mark.parametrize("uid", [0, 500, 1000, 60000])
def test_sockets_of_root_ourselves_and_people_are_trusted(uid: int) -> None:
    assert clients.why_not_local(client(owner=lambda: uid)) == ""


def test_the_owner_is_looked_up_last() -> None:
    def owner() -> int:
        raise AssertionError("asked")

    assert clients.why_not_local(client(peer_host="10.0.0.1", owner=owner))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"user-agent": "curl/8"},
        {"origin": "http://localhost:8000"},
        {"origin": "http://LOCALHOST:8000", "sec-fetch-site": "same-origin"},
        {"referer": "http://localhost:8000/sub/page?x#y"},
    ],
)
def test_a_change_from_our_own_page_or_from_a_tool_passes(fields: dict[str, str]) -> None:
    clients.check_page(client(fields=fields), "POST", rules.CHANGES)


@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost:9000"},
        {"origin": "http://localhost"},
        {"origin": "http://localhost:8000.evil.example"},
        {"origin": "http://localhost:8000@evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"referer": "http://evil.example/http://localhost:8000/"},
        {"origin": "http://localhost:8000", "sec-fetch-site": "cross-site"},
        {"origin": "http://localhost:8000", "referer": "http://evil.example/"},
    ],
)
def test_a_change_for_another_site_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(Forbidden, match="another site"):
        clients.check_page(client(fields=fields), "POST", rules.CHANGES)


@pytest.mark.parametrize(
    ("site", "allowed"), [("same-origin", True), ("none", True), ("cross-site", False), ("same-site", False)]
)
def test_secrets_are_not_read_for_another_site(site: str, allowed: bool) -> None:
    asking = client(fields={"sec-fetch-site": site})
    if allowed:
        clients.check_page(asking, "GET", rules.READS_SECRETS)
    else:
        with pytest.raises(Forbidden, match="another site"):
            clients.check_page(asking, "GET", rules.READS_SECRETS)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("front", "http://front"),
        ("front", "https://front"),
        ("front:80", "http://front"),
        ("front:443", "https://front"),
    ],
)
def test_default_ports_may_be_left_out(host: str, origin: str) -> None:
    clients.check_same_origin(client(host=host, fields={"origin": origin}), "POST")


def test_a_changing_get_from_a_browser_must_say_where_it_comes_from() -> None:
    browser = client(fields={"user-agent": "Mozilla/5.0 (X11)"})
    with pytest.raises(Forbidden, match="does not say which page"):
        clients.check_page(browser, "GET", rules.CHANGES)
    clients.check_page(browser, "GET", rules.READS_SECRETS)
    clients.check_page(client(fields={"user-agent": "curl/8"}), "GET", rules.CHANGES)


def check(host: str, allowed: frozenset[str] = frozenset()) -> None:
    clients.check_host(host, allowed=allowed, own_names=lambda: frozenset({"my.host.example"}))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost:8000",
        "10.1.2.3",
        "[fe80::1]:80",
        "frontend",
        "gpu-7:8000",
        "a.local",
        "a.b.internal",
        "a.ns.svc",
        "a.ns.svc.cluster.local:8000",
        "box.lan",
        "MY.Host.Example.:8000",
    ],
)
def test_hosts_that_cannot_be_rebound_are_accepted(host: str) -> None:
    check(host)


@pytest.mark.parametrize("host", ["evil.example", "1.2.3.4.evil.example:80", "local.evil.example", "x.locals"])
def test_other_hosts_are_refused_and_the_flag_named(host: str) -> None:
    with pytest.raises(MisdirectedRequest, match="--allow-host"):
        check(host)
    check(host, allowed=frozenset({host.partition(":")[0]}))


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "[::1", "a:b", "a:1:2"])
def test_a_malformed_host_is_refused(host: str) -> None:
    with pytest.raises(MisdirectedRequest, match="malformed"):
        check(host)


def test_machines_may_ask_under_any_name_for_what_machines_ask() -> None:
    assert not clients.host_matters("/metrics", {"user-agent": "Prometheus/3.1.0", "accept": "text/plain"})
    assert not clients.host_matters("/config", {"user-agent": "python-requests/2.32"})
    assert clients.host_matters("/api/nodes", {})
    assert clients.host_matters("/proxy2/n/metrics", {})


@pytest.mark.parametrize(
    "fields",
    [
        {"user-agent": "Mozilla/5.0 (X11)"},
        # A page of some browsers can have them call themselves curl.
        {"user-agent": "curl/8", "accept-language": "en"},
        {"sec-fetch-site": "same-origin"},
        {"referer": "http://evil.example:8000/"},
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/api/sd", "/config", "/health"])
def test_a_browser_is_no_machine(path: str, fields: dict[str, str]) -> None:
    assert clients.host_matters(path, fields)


@pytest.mark.parametrize("field", [{"sec-fetch-mode": "navigate"}, {"upgrade-insecure-requests": "1"}])
def test_going_to_an_address_changes_nothing(field: dict[str, str]) -> None:
    # A node may have redirected the browser there from a link of our own page.
    page = {"referer": "http://localhost:8000/", **field}
    with pytest.raises(Forbidden, match="redirect"):
        clients.check_same_origin(client(fields={"sec-fetch-site": "same-origin", **page}), "GET")
    clients.check_same_origin(client(fields={"sec-fetch-mode": "cors", "referer": page["referer"]}), "GET")
    clients.check_same_origin(client(fields=page), "POST")
