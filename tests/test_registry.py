# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from lmcache_frontend.cluster.entries import read_listing, read_node, read_proxy
from lmcache_frontend.cluster.model import LOCAL_PROXY, Cluster, Node, Proxy, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import BadRequest, Conflict, FrontendError, NotFound


def node(name: str, proxy: str = LOCAL_PROXY, port: int = 7000, source: Source = Source.API) -> Node:
    return read_node({"name": name, "host": "10.0.0.1", "port": port}, proxy, source)


def proxy(name: str, *children: str, port: int = 8000, source: Source = Source.API) -> Proxy:
    nodes = [{"name": child, "host": "10.0.0.2", "port": 7000} for child in children]
    entry = {"name": name, "host": "10.0.0.9", "port": port, "nodes": nodes}
    return read_proxy(entry, source, [])


def shape(cluster: Cluster) -> dict[str, list[str]]:
    return {name: list(proxy.nodes) for name, proxy in cluster.proxies.items()}


def said(*entries: Any, source: Source = Source.FILE) -> dict[str, Proxy]:
    listing = read_listing(list(entries), source)
    assert not listing.faults
    return listing.proxies


def flat(name: str, port: int = 1) -> dict[str, Any]:
    return {"name": name, "host": "10.0.0.3", "port": port}


def tree(name: str, *children: str, port: int = 1) -> dict[str, Any]:
    return {"name": name, "host": "10.0.0.4", "port": port, "nodes": [flat(child) for child in children]}


@pytest.fixture
def registry() -> Registry:
    filled = Registry()
    for name in ("a", "b", "c"):
        filled.add_node(node(name))
    filled.add_proxy(proxy("p", "x", "y"))
    filled.add_proxy(proxy("q", "x"))
    return filled


START = {LOCAL_PROXY: ["a", "b", "c"], "p": ["x", "y"], "q": ["x"]}


def test_a_new_registry_is_empty() -> None:
    assert shape(Registry().snapshot) == {LOCAL_PROXY: []}


def test_a_snapshot_stays_as_it_was_taken(registry: Registry) -> None:
    before = registry.snapshot
    registry.delete("a")
    registry.set_children("p", {})
    registry.update_node("b", node("b2"))
    assert shape(before) == START
    assert before.find("a").node.name == "a"
    assert shape(registry.snapshot) == {LOCAL_PROXY: ["b2", "c"], "p": [], "q": ["x"]}


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda r: r.add_node(node("a")), Conflict, "local_proxy has a node called 'a' already"),
        (lambda r: r.add_node(node("x", "p")), Conflict, "p has a node called 'x' already"),
        (lambda r: r.add_node(node("n", "none")), NotFound, "no proxy is called 'none'"),
        (lambda r: r.add_proxy(proxy("p")), Conflict, "a proxy called 'p' is there already"),
        (lambda r: r.add_proxy(proxy(LOCAL_PROXY)), Conflict, "a proxy called 'local_proxy' is there already"),
        (lambda r: r.set_children("none", {}), NotFound, "no proxy is called 'none'"),
        (lambda r: r.update_node("none", node("n")), NotFound, "no node or proxy is called 'none'"),
        (lambda r: r.update_node("a", node("b")), Conflict, "local_proxy has a node called 'b' already"),
        (lambda r: r.update_node("a", node("x", "p")), Conflict, "p has a node called 'x' already"),
        (lambda r: r.update_node("a", node("a", "none")), NotFound, "no proxy is called 'none'"),
        (lambda r: r.update_node("p", node("p")), BadRequest, "'p' is a proxy, and a proxy cannot become a node"),
        (
            lambda r: r.update_node("x", node("z", "p")),
            Conflict,
            "'x' is the name of several nodes, expected one of p/x, q/x",
        ),
        (lambda r: r.update_proxy("none", proxy("n"), keep_nodes=True), NotFound, "no proxy is called 'none'"),
        (lambda r: r.update_proxy("a", proxy("n"), keep_nodes=True), NotFound, "no proxy is called 'a'"),
        (
            lambda r: r.update_proxy("p", proxy("q"), keep_nodes=True),
            Conflict,
            "a proxy called 'q' is there already",
        ),
        (
            lambda r: r.update_proxy("p", proxy(LOCAL_PROXY), keep_nodes=True),
            Conflict,
            "a proxy called 'local_proxy' is there already",
        ),
        (lambda r: r.delete("none"), NotFound, "no node or proxy is called 'none'"),
        (lambda r: r.delete(LOCAL_PROXY), NotFound, "no node or proxy is called 'local_proxy'"),
        (lambda r: r.delete("p/none"), NotFound, "no node or proxy is called 'p/none'"),
        (lambda r: r.delete("x"), Conflict, "'x' is the name of several nodes, expected one of p/x, q/x"),
    ],
)
def test_a_refused_change_changes_nothing(
    registry: Registry, change: Callable[[Registry], None], error: type[FrontendError], says: str
) -> None:
    before = registry.snapshot
    with pytest.raises(error) as caught:
        change(registry)
    assert type(caught.value) is error
    assert str(caught.value) == says
    assert registry.snapshot is before
    assert shape(before) == START


def test_a_change_that_fails_halfway_lets_the_next_one_in(registry: Registry) -> None:
    with pytest.raises(Conflict):
        registry.update_node("a", node("x", "p"))
    registry.add_node(node("d"))
    assert shape(registry.snapshot)[LOCAL_PROXY] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (lambda r: r.add_node(node("x")), {**START, LOCAL_PROXY: ["a", "b", "c", "x"]}),
        (lambda r: r.add_node(node("a", "p")), {**START, "p": ["x", "y", "a"]}),
        (lambda r: r.add_proxy(proxy("a", "n")), {**START, "a": ["n"]}),
        (lambda r: r.update_node("b", node("d")), {**START, LOCAL_PROXY: ["a", "d", "c"]}),
        (lambda r: r.update_node("b", node("b", port=9)), START),
        (lambda r: r.update_node("b", node("b", "p")), {LOCAL_PROXY: ["a", "c"], "p": ["x", "y", "b"], "q": ["x"]}),
        (lambda r: r.update_node("p/x", node("z", "q")), {**START, "p": ["y"], "q": ["x", "z"]}),
        (lambda r: r.update_node("y", node("y")), {LOCAL_PROXY: ["a", "b", "c", "y"], "p": ["x"], "q": ["x"]}),
        (
            lambda r: r.update_proxy("p", proxy("r"), keep_nodes=True),
            {LOCAL_PROXY: ["a", "b", "c"], "r": ["x", "y"], "q": ["x"]},
        ),
        (lambda r: r.update_proxy("p", proxy("p", "z"), keep_nodes=False), {**START, "p": ["z"]}),
        (lambda r: r.set_children("q", {"n": node("n", "q")}), {**START, "q": ["n"]}),
        (lambda r: r.delete("b"), {**START, LOCAL_PROXY: ["a", "c"]}),
        (lambda r: r.delete("p"), {LOCAL_PROXY: ["a", "b", "c"], "q": ["x"]}),
        (lambda r: r.delete("q/x"), {**START, "q": []}),
        (lambda r: r.delete("y"), {**START, "p": ["x"]}),
    ],
)
def test_changes(registry: Registry, change: Callable[[Registry], None], after: dict[str, list[str]]) -> None:
    change(registry)
    assert shape(registry.snapshot) == after
    assert list(registry.snapshot.proxies) == list(after)
    for name, held in registry.snapshot.proxies.items():
        assert all(child.name == key and child.proxy == name for key, child in held.nodes.items())


def test_a_changed_proxy_is_reached_at_its_new_address(registry: Registry) -> None:
    registry.update_proxy("p", proxy("r", port=8001), keep_nodes=True)
    way = registry.snapshot.find("r/y")
    assert (way.node.endpoint.port, way.child) == (8001, "y")
    assert ("10.0.0.9", 8001) in registry.snapshot.targets


def test_the_same_name_again_is_no_conflict_with_itself(registry: Registry) -> None:
    registry.update_node("a", node("a", port=9))
    registry.update_proxy("p", proxy("p", port=9), keep_nodes=True)
    assert registry.snapshot.find("a").node.port == 9
    assert registry.snapshot.find("p").node.port == 9


def test_a_source_replaces_what_it_said_and_nothing_else() -> None:
    registry = Registry()
    registry.add_node(node("by hand"))
    assert registry.replace_source(Source.FILE, said(flat("a"), flat("b"))) == []
    assert registry.replace_source(Source.FLAG, said(flat("c"), source=Source.FLAG)) == []
    assert registry.replace_source(Source.FILE, said(flat("b", 2), flat("d"))) == []
    assert set(registry.snapshot.local_nodes) == {"by hand", "b", "c", "d"}
    assert registry.snapshot.local_nodes["b"].port == 2
    assert registry.replace_source(Source.FILE, said()) == []
    assert set(registry.snapshot.local_nodes) == {"by hand", "c"}


def test_a_name_that_another_source_holds_is_refused() -> None:
    registry = Registry()
    registry.replace_source(Source.FLAG, said(flat("a", 1), source=Source.FLAG))
    refused = registry.replace_source(Source.FILE, said(flat("a", 2), flat("b", 2)))
    assert refused == ["node 'a': the name is held by a node from the flag"]
    assert {name: held.port for name, held in registry.snapshot.local_nodes.items()} == {"a": 1, "b": 2}
    registry.replace_source(Source.FLAG, said(source=Source.FLAG))
    assert registry.replace_source(Source.FILE, said(flat("a", 2))) == []
    assert {name: held.port for name, held in registry.snapshot.local_nodes.items()} == {"a": 2}


def test_a_proxy_that_another_source_holds_is_refused_with_its_nodes() -> None:
    registry = Registry()
    registry.replace_source(Source.FLAG, said(tree("p", "x", port=1), source=Source.FLAG))
    refused = registry.replace_source(Source.FILE, said(tree("p", "x", "y", port=2), tree("q", "z")))
    assert refused == ["proxy 'p': the name is held by a proxy from the flag"]
    assert shape(registry.snapshot) == {LOCAL_PROXY: [], "p": ["x"], "q": ["z"]}
    assert registry.snapshot.find("p").node.port == 1
    assert registry.snapshot.find("x").node.port == 1


def test_children_that_a_proxy_reported_stay_while_a_source_names_it() -> None:
    registry = Registry()
    registry.replace_source(Source.FILE, said(tree("p"), tree("q", "z")))
    registry.set_children("p", {"n": node("n", "p")})
    registry.replace_source(Source.FILE, said(tree("p", port=2)))
    assert shape(registry.snapshot) == {LOCAL_PROXY: [], "p": ["n"]}
    assert registry.snapshot.find("n").node.port == 2
    registry.replace_source(Source.FILE, said())
    assert shape(registry.snapshot) == {LOCAL_PROXY: []}


def test_a_source_can_name_nodes_of_our_own_and_proxies_at_once() -> None:
    registry = Registry()
    own = {"name": LOCAL_PROXY, "nodes": [flat("a")]}
    registry.replace_source(Source.FILE, said(own, tree("p", "x")))
    registry.replace_source(Source.FILE, said(flat("b")))
    assert shape(registry.snapshot) == {LOCAL_PROXY: ["b"]}


def test_changes_from_many_threads_lose_nothing_and_readers_never_stumble() -> None:
    registry = Registry()
    registry.add_proxy(proxy("p", "stays"))
    registry.add_node(node("stays here"))
    faults: list[BaseException] = []
    ended = threading.Event()

    def write(number: int) -> None:
        for step in range(40):
            name = f"{number}-{step}"
            registry.add_node(node(name))
            registry.add_node(node(name, "p"))
            registry.update_node(f"p/{name}", node(f"moved {name}"))
            if step % 2:
                registry.delete(name)
            registry.replace_source(Source.FILE, said(flat(f"file {number} {step}")))

    def read() -> None:
        # The pause leaves the interpreter to the writers.
        while not ended.wait(0.0005):
            snapshot = registry.snapshot
            assert snapshot.find("stays").child == "stays"
            assert snapshot.find("stays here").child is None
            for name in list(snapshot.local_nodes)[-3:]:
                assert snapshot.find(f"{LOCAL_PROXY}/{name}").node.name == name

    def guarded(run: Callable[..., None], *arguments: Any) -> threading.Thread:
        def body() -> None:
            try:
                run(*arguments)
            except BaseException as exc:
                faults.append(exc)

        thread = threading.Thread(target=body)
        thread.start()
        return thread

    readers = [guarded(read) for _ in range(2)]
    writers = [guarded(write, number) for number in range(4)]
    for thread in writers:
        thread.join(60)
    ended.set()
    for thread in readers:
        thread.join(60)
    assert not faults
    steps = [(number, step) for number in range(4) for step in range(40)]
    expected = {"stays here"} | {f"moved {number}-{step}" for number, step in steps}
    expected |= {f"{number}-{step}" for number, step in steps if step % 2 == 0}
    left = set(registry.snapshot.local_nodes)
    assert {name for name in left if not name.startswith("file ")} == expected
    assert len([name for name in left if name.startswith("file ")]) == 1
    assert list(registry.snapshot.proxies["p"].nodes) == ["stays"]
