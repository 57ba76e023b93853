# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from lmcache_frontend.actions.requests import read_request
from lmcache_frontend.actions.targets import Target, select
from lmcache_frontend.cluster.model import LOCAL_PROXY, Proxy, make_cluster
from lmcache_frontend.errors import BadRequest, Conflict, NotFound
from lmcache_frontend.fleet.snapshot import FleetSnapshot, Level, unknown
from tests.helpers.fleet import make_node, proxy_with

LOCAL = {name: make_node(name) for name in ("w0", "w1", "mp")}
CLUSTER = make_cluster(
    {
        LOCAL_PROXY: Proxy(LOCAL_PROXY, None, LOCAL),
        "east": proxy_with("east", "w9", "w1"),
        "west": proxy_with("west", "w9"),
    }
)


def snapshot() -> FleetSnapshot:
    """Give a snapshot that has not seen all nodes yet, and holds one that is gone."""
    states = {name: unknown(LOCAL[name], 0.0)._replace(kind="worker", level=Level.HEALTHY) for name in ("w0", "w1")}
    gone = {"gone": unknown(make_node("gone"), 0.0)._replace(kind="worker")}
    return FleetSnapshot(1, 0.0, 10.0, {**states, **gone}, {}, ())


def keys(**selection: Any) -> list[str]:
    request = read_request({"action": "metrics_reset", **selection})
    return [target.key for target in select(request, CLUSTER, snapshot())]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"nodes": ["w1", "w0"]}, ["w1", "w0"]),
        ({"nodes": ["w0", "local_proxy/w0", "w0"]}, ["w0"]),
        ({"nodes": ["east/w9", "west/w9"]}, ["east/w9", "west/w9"]),
        ({"nodes": ["east", "east/w1"]}, ["east", "east/w1"]),
        ({"filter": "*"}, ["w0", "w1", "mp", "east/w9", "east/w1", "west/w9"]),
        ({"filter": " * "}, ["w0", "w1", "mp", "east/w9", "east/w1", "west/w9"]),
        ({"filter": "kind:worker state:healthy"}, ["w0", "w1"]),
        ({"filter": "kind:unknown"}, ["mp", "east/w9", "east/w1", "west/w9"]),
        ({"filter": "proxy:east"}, ["east/w9", "east/w1"]),
        ({"filter": "w1"}, ["w1", "east/w1"]),
    ],
)
def test_nodes_are_found_by_name_or_filter(selection: dict[str, Any], expected: list[str]) -> None:
    assert keys(**selection) == expected


def test_a_node_behind_a_frontend_is_that_node_and_a_frontend_is_itself() -> None:
    request = read_request({"action": "metrics_reset", "nodes": ["east/w9", "west", "w0"]})
    east = CLUSTER.proxies["east"].nodes["w9"]
    assert select(request, CLUSTER, snapshot()) == [
        Target("east/w9", east),
        Target("west", CLUSTER.proxies["west"].address, is_frontend=True),  # type: ignore[arg-type]
        Target("w0", LOCAL["w0"]),
    ]


@pytest.mark.parametrize(
    ("selection", "error", "message"),
    [
        ({"nodes": ["w0", "nobody"]}, NotFound, "no node or proxy is called 'nobody'"),
        ({"nodes": ["gone"]}, NotFound, "no node or proxy is called 'gone'"),
        ({"nodes": ["local_proxy"]}, NotFound, "no node or proxy is called 'local_proxy'"),
        ({"nodes": ["w9"]}, Conflict, "'w9' is the name of several nodes, expected one of east/w9, west/w9"),
        ({"filter": "version:9"}, NotFound, "no node matches 'version:9'"),
        ({"filter": "colour:red"}, BadRequest, "the filter term 'colour:red' is unknown"),
    ],
)
def test_who_is_not_there_is_said(selection: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        keys(**selection)
    assert message in str(caught.value)
