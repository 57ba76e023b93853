# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.access import rules
from lmcache_frontend.routes.router import ROUTES

# They take a body to read with, and keep nothing of it; or begin and end what is the client's own.
POSTS_FOR_OTHERS = {
    *(("POST", "/config"), ("POST", "/api/config/preview")),
    *(("POST", "/api/session"), ("DELETE", "/api/session")),
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    rows = [(row.method, row.path) for row in rules.OWN_ROWS]
    assert len(rows) == len(set(rows))
    assert {(route.method, route.path) for route in ROUTES} == set(rows)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
def test_what_no_row_names_needs_an_operator(method: str, path: str) -> None:
    row = {(row.method, row.path): row.need for row in rules.OWN_ROWS}.get(
        ("GET" if method == "HEAD" else method, path)
    )
    assert rules.own_need(method, path) == (row or rules.CHANGES)
    if method not in ("GET", "HEAD") and (method, path) not in POSTS_FOR_OTHERS:
        assert rules.own_need(method, path) == rules.CHANGES


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/version",
        "/lmc_version",
        "/commit_id",
        "/metrics",
        "/threads",
        "/threads?name=x&thread_id=1",
        "/loglevel",
        "/periodic-threads?level=high",
        "/periodic-threads/PinMonitor-thread",
        "/periodic-threads-health",
        "/backends",
        "/bypass/list",
        "/freeze/status",
        "/hot_cache/status",
        "/lookup/info",
        "/status",
        "/api/status",
        "/healthcheck",
        "/quota",
        "/quota/tenant-a",
        "/config/adapters",
        "/inference_version",
        "/%76ersion",
        "/version?",
    ],
)
def test_what_a_viewer_may_read_of_a_node(target: str) -> None:
    assert rules.node_need("GET", target) == rules.READS
    assert rules.node_need("HEAD", target) == rules.READS


@pytest.mark.parametrize("target", ["/conf", "/conf?names=a", "/meta", "/config", "/env", "/inference_info"])
def test_what_may_hold_secrets_needs_an_operator_and_changes_nothing(target: str) -> None:
    assert rules.node_need("GET", target) == rules.READS_SECRETS


@pytest.mark.parametrize(
    "target",
    [
        "/loglevel?logger_name=x&level=DEBUG",
        "/loglevel?logger_name=x",
        "/loglevel?x",
        "/run_script",
        "/unknown",
        "/version/",
        "//version",
        "/./version",
        "/a/../version",
        "/%2e/version",
        "/version%2f",
        "/version%00",
        "/%25version",
        "/ver%73ion/../env",
        "/quota/a%2Fb",
        "/metrics?x=1",
        "/threads?name=x&other=1",
        "/threads?name=x;other=1",
        "/threads?%6eame=x&nam%65x=1",
        "/periodic-threads/",
        "/cache/kvcache/check",
        "/docs",
        "/\\version",
        "/\xff",
        "/%ff",
        "*",
        "/proxy2/n/metrics",
        "/proxy/h/1/metrics",
        "/api/nodes",
    ],
)
def test_whatever_else_is_asked_of_a_node_needs_an_operator(target: str) -> None:
    assert rules.node_need("GET", target) == rules.CHANGES


@pytest.mark.parametrize("method", [method for method in METHODS if method not in ("GET", "HEAD")])
def test_any_other_method_needs_an_operator(method: str) -> None:
    assert rules.node_need(method, "/version") == rules.CHANGES
    assert rules.node_need(method, "/api/nodes", is_frontend=True) == rules.CHANGES


@pytest.mark.parametrize(
    ("target", "need"),
    [
        ("/api/nodes", rules.READS),
        ("/api/proxies/p/nodes", rules.READS),
        ("/health", rules.READS),
        ("/api/proxies/p/refresh", rules.CHANGES),
        ("/proxy2/n/metrics", rules.READS),
        ("/proxy2/n/threads?name=x", rules.READS),
        ("/proxy2/p%2Fn/metrics", rules.READS),
        ("/proxy2/n/env", rules.READS_SECRETS),
        ("/proxy2/n/conf?names=a", rules.READS_SECRETS),
        ("/proxy2/n/loglevel?level=DEBUG", rules.CHANGES),
        ("/proxy2/n/proxy2/m/metrics", rules.CHANGES),
        ("/proxy2/n/", rules.CHANGES),
        ("/proxy2/n", rules.CHANGES),
        ("/%70roxy2/n/metrics", rules.CHANGES),
        ("/proxy2/../env", rules.CHANGES),
        ("/proxy/h/1/metrics", rules.CHANGES),
        ("/metrics", rules.READS),
        ("/api/fleet", rules.READS),
        ("/api/nodes/n/version", rules.READS),
        ("/api/nodes/n/env", rules.CHANGES),
        ("/api/nodes/n/series?name=a", rules.CHANGES),
        ("/conf", rules.CHANGES),
        ("/static/js/app.js", rules.CHANGES),
    ],
)
def test_a_nested_hop_is_judged_by_the_same_table(target: str, need: rules.Need) -> None:
    assert rules.node_need("GET", target, is_frontend=True) == need
