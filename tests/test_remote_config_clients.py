# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from lmcache_frontend.errors import BadRequest, NotFound, ServiceUnavailable
from lmcache_frontend.masking import MASK
from lmcache_frontend.remote_config import clients as module
from lmcache_frontend.remote_config.clients import Answered, Client, Clients, client_of, read_remember
from lmcache_frontend.remote_config.matching import Facts
from lmcache_frontend.store.memory import open_memory
from lmcache_frontend.store.protocol import Operation, Store
from lmcache_frontend.store.unavailable import UnavailableStore

REMEMBER = read_remember(["HOSTNAME", "POD_*"])
ANSWERED = Answered(3, "rules", "answer")
DAY_S = 86400.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Flaky:
    """A store that fails while it is told to, and counts what it is given at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.fails = False
        self.batches: list[int] = []
        self.listings = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, *arguments: Any, **keywords: Any) -> Any:
        self.listings += 1
        return self._store.list(*arguments, **keywords)

    def transact(self, operations: Sequence[Operation]) -> int:
        if self.fails:
            raise ServiceUnavailable("disk full")
        self.batches.append(len(operations))
        return self._store.transact(operations)


def client(
    app_id: str = "llama",
    environment: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    address: str = "10.0.0.1",
    at: float = 1000.0,
) -> Client:
    facts = Facts(app_id, {"POD_NAME": "vllm-0"} if environment is None else environment, config or {}, address)
    return client_of(facts, ANSWERED, REMEMBER, at)


def pod(number: int) -> Client:
    return client(environment={"POD_NAME": f"vllm-{number}"}, at=1000.0 + number)


def make() -> tuple[Flaky, Clock, Clients]:
    clock = Clock()
    store = Flaky(open_memory(clock))
    return store, clock, Clients(store, clock)


def test_only_variables_that_may_be_kept_are() -> None:
    environment = {
        "POD_NAME": "p",
        "HOSTNAME": "h",
        "AWS_SECRET": "hidden",
        "hostname": "hidden",
        "POD_TOKEN": "hidden",
    }
    kept = client(environment=environment)
    assert kept.environment == {"POD_NAME": "p", "HOSTNAME": "h", "POD_TOKEN": MASK}
    assert kept.remembered == ("HOSTNAME", "POD_*")
    assert client(environment={"POD_LABELS": "x" * 2000}).environment == {"POD_LABELS": MASK}
    assert "hidden" not in repr(kept)


def test_secrets_of_settings_are_masked() -> None:
    config = {
        "remote_url": "redis://u:hidden@h",
        "chunk_size": 256,
        "extra_config": '{"api_key": "hidden", "a": 1}',
        "pd_allocation_timeout_sec": math.inf,
    }
    kept = client(config=config)
    assert kept.config == {**config, "remote_url": f"redis://{MASK}@h", "extra_config": {"api_key": MASK, "a": 1}}
    assert kept.lmcache_keys == 4
    unreadable = client(config={"extra_config": "{api_key: hidden}"})
    assert unreadable.config == {"extra_config": MASK}
    assert client(config={"extra_config": ""}).config == {"extra_config": ""}


def test_an_engine_is_one_client_however_many_of_its_processes_ask() -> None:
    def name(**config: Any) -> tuple[str, str]:
        kept = client(config=config)
        return kept.client_id, kept.instance

    made_up = f"lmcacheengineconfig_{'0123456789abcdef' * 2}"
    assert name()[1] == "vllm-0"
    assert name(lmcache_instance_id=made_up) == name(lmcache_instance_id=None, chunk_size=1) == name()
    assert name(lmcache_instance_id="mine")[1] == "mine"
    assert name(lmcache_instance_id="mine")[0] != name()[0]
    assert client("other").client_id != name()[0]
    assert client(environment={"HOSTNAME": "h", "POD_NAME": ""}).instance == "h"
    assert client(environment={"RACK": "r"}, address="::ffff:10.0.0.9").instance == "10.0.0.9"
    assert client(environment={"POD_TOKEN": "x"}).instance == "10.0.0.1"


def test_a_name_that_may_not_be_kept_names_nobody() -> None:
    facts = Facts("a", {"POD_NAME": "hidden", "HOSTNAME": "h"}, {}, "10.0.0.1")
    kept = client_of(facts, ANSWERED, read_remember(["NODE_*"]), 0)
    assert (kept.instance, kept.environment) == ("10.0.0.1", {})
    assert kept.client_id == client_of(facts._replace(environment={}), ANSWERED, (), 0).client_id


def test_workers_are_written_and_read_back() -> None:
    store, clock, clients = make()
    one = client(config={"pd_allocation_timeout_sec": math.inf, "chunk_size": 256})
    clients.note(one)
    expected = one._replace(config={"pd_allocation_timeout_sec": "Infinity", "chunk_size": 256})
    assert clients.all() == [expected]
    assert clients.find(one.client_id) == expected
    assert clients.flush() == 1
    assert clients.flush() == 0
    again = Clients(store, clock)
    assert again.all() == [expected]
    assert again.find(one.client_id) == expected
    facts = expected.facts()
    assert (facts.partial, facts.config_is_whole, facts.address) == (True, True, "10.0.0.1")
    assert [glob.text for glob in facts.remembered] == ["HOSTNAME", "POD_*"]


@pytest.mark.parametrize("client_id", ["", "x", "0" * 16, "../../head", "0" * 600, "\0"])
def test_workers_that_are_not_kept(client_id: str) -> None:
    with pytest.raises(NotFound, match="has asked in the last 30 days"):
        make()[2].find(client_id)


def test_the_last_one_to_ask_comes_first_and_what_it_said_last_counts() -> None:
    _, _, clients = make()
    for number in (1, 3, 2):
        clients.note(pod(number))
    clients.flush()
    clients.note(pod(1)._replace(fetched_at=5000.0))
    assert [kept.instance for kept in clients.all()] == ["vllm-1", "vllm-3", "vllm-2"]
    assert clients.flush() == 1
    assert len(clients.all()) == 3


def test_workers_are_forgotten_30_days_after_they_asked_last() -> None:
    _, clock, clients = make()
    for number in (1, 2):
        clients.note(pod(number))
    clients.flush()
    clock.now += 29 * DAY_S
    clients.note(pod(1))
    clients.flush()
    clock.now += 2 * DAY_S
    assert [kept.instance for kept in clients.all()] == ["vllm-1"]
    clock.now += 29 * DAY_S
    assert clients.all() == []


def test_many_are_read_a_page_at_a_time() -> None:
    store, _, clients = make()
    for number in range(250):
        clients.note(pod(number))
    clients.flush()
    clients.note(pod(0))
    pages = store.listings
    one_by_one = clients.each()
    names = {next(one_by_one).client_id for _ in range(2)}
    assert store.listings == pages + 1
    names.update(kept.client_id for kept in one_by_one)
    assert (store.listings, len(names)) == (pages + 3, 250)


def test_batches_are_small_enough_for_a_transaction() -> None:
    store, _, clients = make()
    for number in range(120):
        clients.note(pod(number))
    assert clients.flush() == 120
    assert store.batches == [50, 50, 20]
    assert len(clients.all()) == 120
    store.batches.clear()
    for number in range(80):
        clients.note(pod(number)._replace(config={"a": "x" * 15_000}))
    assert clients.flush() == 80
    assert store.batches == [34, 34, 12]


def test_what_the_store_does_not_take_waits(caplog: pytest.LogCaptureFixture) -> None:
    store, _, clients = make()
    store.fails = True
    clients.note(pod(1))
    clients.note(pod(2))
    assert [clients.flush(), clients.flush()] == [0, 0]
    newer = pod(1)._replace(fetched_at=9000.0)
    clients.note(newer)
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    store.fails = False
    assert clients.flush() == 2
    assert clients.all()[0] == newer


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, clients = make()
    size_bytes = len(json.dumps(pod(1)._asdict(), separators=(",", ":")))
    monkeypatch.setattr(module, "QUEUE_LIMIT_BYTES", 3 * size_bytes)
    for number in range(9):
        clients.note(pod(number))
    clients.note(pod(0))
    assert len(clients.all()) == 3
    assert clients.flush() == 3
    clients.note(pod(7))
    assert clients.flush() == 1


def test_only_so_many_workers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CLIENTS", 3)
    _, clock, clients = make()
    for number in range(5):
        clients.note(pod(number))
    assert clients.flush() == 3
    clients.note(pod(4))
    clients.note(pod(0)._replace(fetched_at=clock.now + 5))
    assert clients.flush() == 1
    assert sorted(kept.instance for kept in clients.all()) == ["vllm-0", "vllm-1", "vllm-2"]
    clock.now += 31 * DAY_S
    clients.note(pod(4))
    assert clients.flush() == 1
    assert [kept.instance for kept in clients.all()] == ["vllm-4"]


def test_those_that_another_process_wrote_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CLIENTS", 2)
    store, clock, clients = make()
    for number in range(2):
        clients.note(pod(number))
    clients.flush()
    again = Clients(store, clock)
    again.note(pod(5))
    again.note(pod(1))
    assert again.flush() == 1


def test_what_is_too_large_is_kept_without_the_settings_or_not_at_all() -> None:
    _, _, clients = make()
    large = client(config={"a": "x" * 70_000})
    assert (large.config, large.lmcache_keys) == (None, 1)
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    assert client(config={"a": deep}).config is None
    clients.note(large)
    assert clients.all()[0].facts().config_is_whole is False
    clients.note(client("x" * 300))
    clients.note(client(environment={f"POD_{number}": "x" * 1000 for number in range(70)}))
    assert [kept.app_id for kept in clients.all()] == ["llama"]


def test_with_nowhere_to_keep_them_workers_are_not_even_queued() -> None:
    clients = Clients(UnavailableStore("read-only"), Clock())
    clients.note(pod(1))
    assert clients.flush() == 0
    assert clients.all() == []


@pytest.mark.parametrize("record", [b"", b"[]", b"{}", b"\xff"])
def test_records_that_are_not_understood_are_left_out(record: bytes) -> None:
    store, clock, clients = make()
    clients.note(pod(1))
    clients.flush()
    store.put("config/clients/" + "0" * 16, record)
    assert [kept.instance for kept in Clients(store, clock).all()] == ["vllm-1"]
    with pytest.raises(NotFound):
        clients.find("0" * 16)


def test_patterns_of_names_have_a_limit() -> None:
    with pytest.raises(BadRequest, match="over 256 characters"):
        read_remember(["x" * 257])
