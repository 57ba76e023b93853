# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.cluster.entries import read_listing, read_node, read_proxy
from lmcache_frontend.cluster.membership import PREFIX, Membership
from lmcache_frontend.cluster.model import LOCAL_PROXY, Node, Proxy, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import Conflict, NotFound, ServiceUnavailable
from lmcache_frontend.store.memory import open_memory
from lmcache_frontend.store.protocol import Store
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until

StartApp = Callable[..., App]


def entry(name: str, port: int = 7000, **fields: Any) -> dict[str, Any]:
    return {"name": name, "host": "127.0.0.1", "port": port, **fields}


def node(name: str, proxy: str = LOCAL_PROXY, port: int = 7000) -> Node:
    return read_node(entry(name, port, labels={"zone": "a"}, note=[1]), proxy, Source.API)


def proxy(name: str, *children: str) -> Proxy:
    return read_proxy(entry(name, nodes=[entry(child) for child in children]), Source.API, [])


def frontend(store: Store) -> Registry:
    registry = Registry()
    membership = Membership(registry, lambda: store)
    membership.load()
    registry.keep_with(membership.keep)
    return registry


@pytest.fixture
def store() -> Store:
    return open_memory()


def test_what_is_registered_is_there_after_a_restart(store: Store) -> None:
    registry = frontend(store)
    registry.add_node(node("a/b ü"))
    registry.add_proxy(proxy("rack", "x", "y"))
    registry.add_node(node("z", "rack"))
    registry.add_node(node("gone"))
    registry.delete("gone")
    registry.update_node("a/b ü", node("renamed", port=7001))
    registry.update_proxy("rack", proxy("rack 2"), keep_nodes=True)
    again = frontend(store).snapshot
    assert set(again.proxies) == {LOCAL_PROXY, "rack 2"}
    assert set(again.proxies["rack 2"].nodes) == {"x", "y", "z"}
    assert dict(again.proxies[LOCAL_PROXY].nodes) == {"renamed": node("renamed", port=7001)}


def test_deleting_a_proxy_deletes_what_is_registered_behind_it(store: Store) -> None:
    registry = frontend(store)
    registry.add_proxy(proxy("rack", "x"))
    registry.delete("rack")
    assert store.list("").entries == ()


def test_what_others_say_is_not_kept(store: Store) -> None:
    registry = frontend(store)
    registry.replace_source(Source.FILE, read_listing([entry("f")], Source.FILE).proxies)
    registry.add_proxy(proxy("rack"))
    reported = read_node(entry("child"), "rack", Source.PROXY)
    registry.set_children("rack", {"child": reported})
    registry.add_node(node("a"))
    assert len(store.list(PREFIX).entries) == 2
    registry.add_node(node("of ours", "rack"))
    assert len(store.list(PREFIX).entries) == 3
    registry.set_children("rack", {"child": reported})
    assert len(store.list(PREFIX).entries) == 2
    assert set(registry.snapshot.proxies["rack"].nodes) == {"child"}


def test_a_change_that_cannot_be_kept_does_not_happen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: Any) -> int:
        raise ServiceUnavailable("away")

    monkeypatch.setattr(store, "transact", away)
    registry = frontend(store)
    with pytest.raises(ServiceUnavailable):
        registry.add_node(node("a"))
    assert registry.snapshot.proxies[LOCAL_PROXY].nodes == {}


def test_two_frontends_cannot_register_one_name(store: Store) -> None:
    one, other = frontend(store), frontend(store)
    one.add_node(node("a", port=7001))
    with pytest.raises(Conflict, match="another frontend"):
        other.add_node(node("a", port=7002))
    assert frontend(store).snapshot.find("a").node.port == 7001


def test_nodes_that_name_a_proxy_of_ours_leave_it_where_it_is(store: Store) -> None:
    registry = Registry()
    membership = Membership(registry, lambda: store)
    membership.load()
    flags = [entry("rack", nodes=[entry("x")])]
    registry.replace_source(Source.FLAG, read_listing(flags, Source.FLAG).proxies)
    registry.keep_with(membership.keep)
    registry.add_node(node("z", "rack"))
    for _ in range(2):
        membership.load()
        assert registry.snapshot.proxies["rack"].address is not None
        assert set(registry.snapshot.proxies["rack"].nodes) == {"x", "z"}


def test_nodes_of_a_proxy_that_is_not_known_here_are_shown_deleted_and_never_reached(store: Store) -> None:
    one = frontend(store)
    one.add_proxy(proxy("rack", "x"))
    store.delete(PREFIX + "rack")
    registry = frontend(store)
    assert set(registry.snapshot.proxies["rack"].nodes) == {"x"}
    for name in ("x", "rack/x"):
        with pytest.raises(NotFound, match="'rack', the frontend of 'x', is not known"):
            registry.snapshot.find(name)
    registry.delete("rack/x")
    assert store.list("").entries == ()


def test_a_proxy_that_another_frontend_deleted_is_gone_though_a_node_names_it(store: Store) -> None:
    registry = Registry()
    membership = Membership(registry, lambda: store)
    registry.keep_with(membership.keep)
    registry.add_proxy(proxy("rack", "x"))
    store.delete(PREFIX + "rack")
    membership.load()
    assert registry.snapshot.proxies["rack"].address is None


def test_what_became_of_a_change_is_found_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    membership = Membership(registry, lambda: store)
    registry.keep_with(membership.keep)
    transact, calls = store.transact, iter(range(9))

    def second_fails(operations: Any) -> int:
        if next(calls) == 1:
            raise ServiceUnavailable("no room")
        return transact(operations)

    monkeypatch.setattr(store, "transact", second_fails)
    with pytest.raises(ServiceUnavailable):
        registry.add_proxy(proxy("rack", *map(str, range(150))))
    assert "rack" not in registry.snapshot.proxies
    membership.catch_up()
    assert len(registry.snapshot.proxies["rack"].nodes) == 99
    registry.delete("rack")
    assert store.list("").entries == ()


def test_what_another_frontend_registers_arrives(store: Store) -> None:
    one, other = frontend(store), Registry()
    ended = threading.Event()
    thread = threading.Thread(target=Membership(other, lambda: store).follow, args=(ended.wait,))
    thread.start()
    try:
        one.add_node(node("a"))
        wait_until(lambda: "a" in other.snapshot.proxies[LOCAL_PROXY].nodes)
        one.delete("a")
        wait_until(lambda: "a" not in other.snapshot.proxies[LOCAL_PROXY].nodes)
    finally:
        ended.set()
        # Whoever waits for changes sees the end at the next one.
        one.add_node(node("b"))
        thread.join(10)
    assert not thread.is_alive()


def test_what_cannot_be_read_is_left_alone(store: Store, warnings: Callable[[], list[str]]) -> None:
    registry = frontend(store)
    registry.add_node(node("a"))
    elsewhere = json.dumps(entry("a", 7999)).encode()
    unreadable = {
        "x": b"not json",
        "y": b"[]",
        "z": b'{"name": "z"}',
        "deep": b"[" * 100_000,
        "another key": elsewhere,
        "bytes": b"\xff\0",
    }
    for key, value in unreadable.items():
        store.put(PREFIX + key, value)
    again = Registry()
    membership = Membership(again, lambda: store)
    membership.load()
    assert again.snapshot.find("a").node.port == 7000
    assert len(warnings()) == len(unreadable)
    assert len(store.list(PREFIX).entries) == len(unreadable) + 1
    store.put(PREFIX + "later", b"")
    membership.load()
    assert len(warnings()) == 1


def test_of_very_many_faults_the_beginning_is_told(store: Store, warnings: Callable[[], list[str]]) -> None:
    for number in range(60):
        store.put(f"{PREFIX}{number}", b"")
    frontend(store)
    told = warnings()
    assert len(told) == 51
    assert told[-1] == "registered nodes: 10 more entries were refused"


def test_following_goes_on_after_any_fault_and_says_it_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, warnings: Callable[[], list[str]]
) -> None:
    listing, faults = store.list, iter([OSError("odd"), ServiceUnavailable("away"), ServiceUnavailable("away")])
    waits: list[float] = []

    def list_or_fail(*arguments: Any) -> Any:
        for fault in faults:
            raise fault
        return listing(*arguments)

    monkeypatch.setattr(store, "list", list_or_fail)
    registry = Registry()
    ended = threading.Event()

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return ended.is_set()

    thread = threading.Thread(target=Membership(registry, lambda: store).follow, args=(wait,))
    thread.start()
    try:
        wait_until(lambda: len([seconds for seconds in waits if seconds]) == 3)
        frontend(store).add_node(node("a"))
        wait_until(lambda: "a" in registry.snapshot.proxies[LOCAL_PROXY].nodes)
        frontend(store).delete("a")
        wait_until(lambda: "a" not in registry.snapshot.proxies[LOCAL_PROXY].nodes)
    finally:
        ended.set()
        thread.join(10)
    away = "what other frontends register is not seen for now: "
    assert warnings() == [f"{away}odd", f"{away}away", "what other frontends register is seen again"]


def test_very_long_names_have_keys_of_their_own(store: Store) -> None:
    registry = frontend(store)
    names = {"😀" * 200 + "a", "😀" * 200 + "b"}
    for name in names:
        registry.add_node(node(name))
    assert set(frontend(store).snapshot.proxies[LOCAL_PROXY].nodes) == names


def test_over_http_and_over_a_restart(start_app: StartApp, tmp_path: Path) -> None:
    where = f"sqlite:{tmp_path / 'state.db'}"
    app = start_app([entry("flag")], store=where)
    assert ask(app.settings.port, "POST", "/api/nodes", json.dumps(entry("kept")).encode()).status == 200
    assert ask(app.settings.port, "PUT", "/api/nodes/flag", json.dumps(entry("flag", 7009)).encode()).status == 200
    app.stop()
    again = start_app([entry("flag")], store=where)
    found = again.registry.snapshot.proxies[LOCAL_PROXY].nodes
    assert {name: each.port for name, each in found.items()} == {"kept": 7000, "flag": 7009}
