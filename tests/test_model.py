# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from lmcache_frontend.cluster.model import LOCAL_PROXY, Cluster, Node, Proxy, Source, make_cluster
from lmcache_frontend.errors import Conflict, NotFound
from lmcache_frontend.http1.client import Endpoint


def node(name: str, proxy: str = LOCAL_PROXY, *, host: str = "10.0.0.1", port: int = 7000) -> Node:
    return Node(name, host, port, Endpoint(host, port), Source.API, proxy)


def proxy(name: str, *children: str) -> Proxy:
    address = None if name == LOCAL_PROXY else node(name, host="10.0.0.9", port=8000)
    return Proxy(name, address, {child: node(child, name) for child in children})


def cluster(*proxies: Proxy) -> Cluster:
    return make_cluster({proxy.name: proxy for proxy in proxies})


TREE = cluster(
    proxy(LOCAL_PROXY, "own", "both", "p", "a/b"),
    proxy("p", "only", "both", "twice", "deep/child"),
    proxy("q", "twice", "q"),
    proxy("q/r", "s", "twice"),
)


@pytest.mark.parametrize(
    ("name", "connects_to", "child", "is_frontend", "place"),
    [
        ("own", "own", None, False, (LOCAL_PROXY, "own")),
        ("both", "both", None, False, (LOCAL_PROXY, "both")),
        ("a/b", "a/b", None, False, (LOCAL_PROXY, "a/b")),
        ("local_proxy/own", "own", None, False, (LOCAL_PROXY, "own")),
        ("p", "p", None, True, ("p", None)),
        ("local_proxy/p", "p", None, False, (LOCAL_PROXY, "p")),
        ("only", "p", "only", False, ("p", "only")),
        ("p/only", "p", "only", False, ("p", "only")),
        ("p/both", "p", "both", False, ("p", "both")),
        ("p/twice", "p", "twice", False, ("p", "twice")),
        ("q/twice", "q", "twice", False, ("q", "twice")),
        ("p/deep/child", "p", "deep/child", False, ("p", "deep/child")),
        ("deep/child", "p", "deep/child", False, ("p", "deep/child")),
        ("q", "q", None, True, ("q", None)),
        ("q/q", "q", "q", False, ("q", "q")),
        ("q/r", "q/r", None, True, ("q/r", None)),
        ("q/r/s", "q/r", "s", False, ("q/r", "s")),
        ("q/r/twice", "q/r", "twice", False, ("q/r", "twice")),
    ],
)
def test_names_lead_to_a_node(
    name: str, connects_to: str, child: str | None, is_frontend: bool, place: tuple[str, str | None]
) -> None:
    way = TREE.find(name)
    assert (way.node.name, way.child, way.is_frontend) == (connects_to, child, is_frontend)
    assert TREE.locate(name) == place


@pytest.mark.parametrize(
    "name", ["", "none", "P", "Own", LOCAL_PROXY, "local_proxy/only", "p/", "p/own", "/own", "p/q/r"]
)
def test_an_unknown_name_is_not_found(name: str) -> None:
    with pytest.raises(NotFound, match="^no node or proxy is called "):
        TREE.find(name)
    with pytest.raises(NotFound):
        TREE.locate(name)


def test_a_long_unknown_name_is_shown_in_part() -> None:
    with pytest.raises(NotFound) as caught:
        TREE.find("n" * 100_000)
    assert len(str(caught.value)) < 200


def test_an_ambiguous_name_lists_full_names_each_of_which_is_found() -> None:
    with pytest.raises(Conflict) as caught:
        TREE.find("twice")
    assert str(caught.value) == "'twice' is the name of several nodes, expected one of p/twice, q/twice, q/r/twice"
    for full_name in str(caught.value).partition("one of ")[2].split(", "):
        assert TREE.find(full_name).child == "twice"


def test_the_nodes_of_a_proxy_are_no_targets() -> None:
    assert set(TREE.targets) == {("10.0.0.1", 7000), ("10.0.0.9", 8000)}


@pytest.mark.parametrize(
    ("host", "port", "endpoint", "keys"),
    [
        ("Node.Example", 1, Endpoint("Node.Example", 1), {("node.example", 1)}),
        ("0.0.0.0", 2, Endpoint("127.0.0.1", 2), {("0.0.0.0", 2), ("127.0.0.1", 2)}),
        ("[::1]", 3, Endpoint("::1", 3), {("[::1]", 3), ("::1", 3)}),
        ("localhost", "/Tmp/A", Endpoint("/Tmp/A", 0), {("localhost", 0), ("/Tmp/A", 0)}),
    ],
)
def test_targets_are_found_as_written_and_as_meant(host: str, port: Any, endpoint: Endpoint, keys: set[Any]) -> None:
    found = cluster(Proxy(LOCAL_PROXY, None, {"n": Node("n", host, port, endpoint, Source.API)})).targets
    assert set(found) == keys


@pytest.mark.parametrize(
    ("endpoint", "authority"),
    [
        (Endpoint("127.0.0.1", 80), "127.0.0.1:80"),
        (Endpoint("::1", 81), "[::1]:81"),
        (Endpoint("/tmp/a.sock", 0), "localhost"),
    ],
)
def test_a_node_is_asked_by_its_own_authority(endpoint: Endpoint, authority: str) -> None:
    assert Node("n", "h", 1, endpoint, Source.API).authority == authority


def test_a_snapshot_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TREE.proxies["x"] = proxy("x")  # type: ignore[index]
    with pytest.raises(TypeError):
        TREE.ways["x"] = TREE.ways["own"]  # type: ignore[index]
    with pytest.raises(TypeError):
        TREE.targets["x", 1] = node("x")  # type: ignore[index]


def test_a_snapshot_does_not_follow_what_it_was_made_of() -> None:
    proxies = {"p": proxy("p")}
    made = make_cluster(proxies)
    proxies["q"] = proxy("q")
    assert list(made.proxies) == ["p", LOCAL_PROXY]
    assert made.local_nodes == {}
