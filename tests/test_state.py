# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend import app as app_module
from lmcache_frontend import state as state_module
from lmcache_frontend.app import App
from lmcache_frontend.cluster.entries import read_node
from lmcache_frontend.cluster.membership import Membership
from lmcache_frontend.cluster.model import LOCAL_PROXY, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import ServiceUnavailable
from lmcache_frontend.fleet.collector import Collector
from lmcache_frontend.remote_config.clients import PREFIX as CLIENTS
from lmcache_frontend.remote_config.revisions import HEAD_KEY
from lmcache_frontend.settings import Settings
from lmcache_frontend.state import State
from lmcache_frontend.store.memory import open_memory
from lmcache_frontend.store.protocol import Store
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until

StartApp = Callable[..., App]
ASKING = json.dumps({"current_config": {}, "env_variables": {"HOSTNAME": "h"}}).encode()


class SharedStore:
    """A store in memory that others write to as well."""

    is_shared = True

    def __init__(self) -> None:
        self._store = open_memory()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@contextmanager
def keeping(state: State) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=state.keep, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)
        wait_until(lambda: not any(thread.name == "following" for thread in threading.enumerate()))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    made = SharedStore()
    monkeypatch.setattr(state_module, "open_store", lambda *_, **__: made)
    yield made
    made.close()


def test_nodes_are_followed_though_the_rules_cannot_be_read(store: Store, warnings: Callable[[], list[str]]) -> None:
    store.put(HEAD_KEY, b"written by another program")
    registry = Registry()
    with keeping(State(Settings(store="memory:"), registry)):
        other = Registry()
        other.keep_with(Membership(other, lambda: store).keep)
        wait_until(lambda: any("the state cannot be kept for now" in line for line in warnings()))
        other.add_node(read_node({"name": "a", "host": "h", "port": 1}, LOCAL_PROXY, Source.API))
        wait_until(lambda: "a" in registry.snapshot.local_nodes)


def test_where_the_default_file_cannot_be_written_nodes_and_rules_of_before_stay(
    start_app: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    rules = {"rules": [{"name": "r", "items": [{"key": "chunk_size", "value": 512, "override": True}]}]}
    node = json.dumps({"name": "a", "host": "127.0.0.1", "port": 1}).encode()
    app = start_app(store=None)
    port = app.settings.port
    assert ask(port, "PUT", "/api/config/rules", json.dumps(rules).encode()).status == 200
    assert ask(port, "POST", "/api/nodes", node).status == 200
    app.stop()
    lock = tmp_path / "lmcache-frontend" / f"{port}.db.lock"
    lock.unlink()
    lock.mkdir()
    again = start_app(store=None, port=port)
    assert "a" in again.registry.snapshot.local_nodes
    assert b'"value":512' in ask(port, "POST", "/config", ASKING).body
    assert b'"store_fault":' in ask(port, "GET", "/api/nodes").body
    assert ask(port, "DELETE", "/api/nodes/a").status == 503
    assert ask(port, "PUT", "/api/config/rules", json.dumps({"rules": []}).encode()).status == 503
    assert "a" in again.registry.snapshot.local_nodes


def test_workers_that_have_asked_are_written_down_at_the_end(start_app: StartApp, tmp_path: Path) -> None:
    app = start_app(store=f"sqlite:{tmp_path / 'state.db'}")
    assert ask(app.settings.port, "POST", "/config?appId=x", ASKING).status == 200
    app.stop()
    state = State(Settings(store=f"sqlite:{tmp_path / 'state.db'}"), Registry())
    assert len(state.store().list(CLIENTS).entries) == 1
    state.close()


def test_a_store_that_does_not_answer_does_not_hold_up_the_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_: Any) -> int:
        hangs.set()
        goes_on.wait(30)
        raise ServiceUnavailable("away")

    state = State(Settings(store="memory:"), Registry())
    state.configuration().answer("x", {}, {"HOSTNAME": "h"}, "127.0.0.1")
    monkeypatch.setattr(store, "transact", hang, raising=False)
    monkeypatch.setattr(state_module, "LAST_WRITES_S", 0.05)
    closing = threading.Thread(target=state.close)
    closing.start()
    assert hangs.wait(10)
    closing.join(10)
    assert not closing.is_alive()
    goes_on.set()
    wait_until(lambda: not any(thread.name == "last writes" for thread in threading.enumerate()))


def test_a_change_whose_outcome_is_not_known_is_found_out_soon(start_app: StartApp, tmp_path: Path) -> None:
    app = start_app(store=f"sqlite:{tmp_path / 'state.db'}")
    store = app._state.store()
    transact = store.transact

    def lose_the_answer(operations: Any) -> int:
        transact(operations)
        raise ServiceUnavailable("it is not known whether the change was kept")

    body = json.dumps({"name": "a", "host": "127.0.0.1", "port": 1}).encode()
    store.transact = lose_the_answer  # type: ignore[method-assign]
    assert ask(app.settings.port, "POST", "/api/nodes", body).status == 503
    del store.transact
    wait_until(lambda: "a" in app.registry.snapshot.local_nodes)


def test_an_end_while_the_collector_is_being_made_finds_it_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    made, started = threading.Event(), threading.Event()
    make = Collector.__init__

    def make_slowly(self: Collector, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        made.set()
        deadline_s = time.monotonic() + 10
        while not app._ended.is_set() and time.monotonic() < deadline_s:
            app._ended.wait(0.1)

    monkeypatch.setattr(Collector, "__init__", make_slowly)
    monkeypatch.setattr(Collector, "start", lambda _: started.set())
    monkeypatch.setattr(app_module, "LATE_START_S", 0.0)
    app = App(Settings(host="127.0.0.1", port=0, nodes="[]", store="memory:"))
    app.start()
    assert made.wait(10)
    app.stop()
    wait_until(lambda: not any(thread.name == "collector-start" for thread in threading.enumerate()))
    assert not started.is_set()
