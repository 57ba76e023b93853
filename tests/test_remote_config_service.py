# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.errors import BadRequest, Conflict, NotFound, ServiceUnavailable, StartError
from lmcache_frontend.remote_config import service as module
from lmcache_frontend.remote_config.service import LateEdit, RefusedRules, RemoteConfiguration
from lmcache_frontend.store.memory import open_memory
from lmcache_frontend.store.protocol import Compacted, Store
from lmcache_frontend.store.unavailable import UnavailableStore
from tests.helpers.waiting import wait_until

ENVIRONMENT = {"POD_NAME": "vllm-0", "AWS_SECRET_ACCESS_KEY": "hidden", "TEAM": "search"}
CONFIG = {"chunk_size": 256, "pd_allocation_timeout_sec": math.inf, "remote_url": "redis://u:hidden@h"}


class Broken:
    """A store of which what is named fails."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.failing: dict[str, Exception] = {}
        self.used: list[str] = []

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **keywords: Any) -> Any:
            self.used.append(name)
            if name in self.failing:
                raise self.failing[name]
            return value(*arguments, **keywords)

        return call


def make(store: Any = None, *, strict: bool = False, rules_file: Path | None = None) -> RemoteConfiguration:
    return RemoteConfiguration(
        store or open_memory(),
        lambda: 1000.0,
        remember=["HOSTNAME", "POD_*", "NODE_*"],
        strict=strict,
        rules_file=rules_file,
    )


def rule(name: str = "r", key: str = "chunk_size", value: Any = 512, **fields: Any) -> dict[str, Any]:
    return {"name": name, "items": [{"key": key, "value": value}], **fields}


def document(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"rules": list(rules)}


def ask(service: RemoteConfiguration, app_id: str = "llama", **environment: str) -> Any:
    return service.answer(app_id, CONFIG, {**ENVIRONMENT, **environment}, "10.0.0.1")


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WATCH_S", 0.02)


@contextmanager
def following(service: RemoteConfiguration) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=service.follow, args=(lambda seconds: ended.wait(min(seconds, 0.01)),))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)
        assert not thread.is_alive()


def test_a_worker_is_answered_what_the_rules_give_it() -> None:
    service = make()
    assert ask(service) == ("empty", [], None)
    service.change(document(rule(match={"env": {"TEAM": "search"}}), rule("other", match={"app_id": ["x"]})))
    assert ask(service) == ("matched", [{"key": "chunk_size", "value": 512, "override": True}], None)
    assert ask(service, TEAM="x") == ("empty", [], None)
    service.change(document(rule("no", deny=True, items=[])))
    assert ask(service) == ("denied", [], "no")


@pytest.mark.parametrize(
    ("config", "environment"),
    [
        (None, None),
        ([], {}),
        ({}, []),
        ("x", 5),
        ({}, None),
        (None, {"TEAM": "search"}),
    ],
)
def test_whatever_a_worker_says_it_is_answered(config: Any, environment: Any) -> None:
    service = make()
    service.change(document(rule()))
    answer = service.answer("a", config, environment, "nowhere")
    assert answer == ("malformed", [{"key": "chunk_size", "value": 512, "override": True}], None)
    assert service.clients() == {"clients": []}
    service.change(document(rule("no", deny=True, match={"env": {"TEAM": {"present": False}}})))
    outcome = service.answer("a", config, environment, "").outcome
    assert outcome == ("denied" if environment != {"TEAM": "search"} else "malformed")


def test_variables_that_are_no_texts_are_absent() -> None:
    service = make()
    service.change(document(rule(match={"env": {"A": {"present": True}}})))
    assert service.answer("a", {}, {"A": 5}, "").outcome == "empty"
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    assert service.answer("a", {"chunk_size": deep}, {"A": "x", "B": deep}, "").outcome == "matched"


def test_answering_needs_no_store() -> None:
    store = Broken(open_memory())
    service = make(store)
    service.change(document(rule()))
    failure = ServiceUnavailable("gone")
    store.failing = dict.fromkeys(("get", "list", "put", "transact", "watch"), failure)
    store.used.clear()
    assert ask(service).outcome == "matched"
    assert store.used == []
    assert service.flush_clients() == 0
    assert ask(service).outcome == "matched"
    with pytest.raises(ServiceUnavailable, match="gone"):
        service.change(document(rule("b")))
    assert ask(service).configs[0]["value"] == 512
    store.failing = {}
    assert service.flush_clients() == 1


def test_fetches_are_counted() -> None:
    service = make()
    ask(service)
    service.change(document(rule()))
    service.answer("b", {}, {}, "", took_s=lambda: 2.0)
    service.answer("b", None, {}, "")
    statistics = service.statistics()
    assert statistics.fetches == {("llama", "empty"): 1, ("b", "matched"): 1, ("b", "malformed"): 1}
    assert sum(statistics.durations.counts) == 3
    assert 2.0 < statistics.durations.sum_s < 2.5


def test_no_variable_but_those_that_may_be_kept_leaves_memory(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = open_memory()
    service = make(store)
    service.change(document(rule(match={"env": {"AWS_SECRET_ACCESS_KEY": "x", "TEAM": "y"}})))
    ask(service)
    service.flush_clients()
    (client,) = service.clients()["clients"]
    preview = service.preview({"client_id": client["client_id"]})
    kept = b"".join(entry.value for entry in store.list("config/").entries).decode()
    for text in (kept, json.dumps(preview), json.dumps(client), caplog.text):
        assert "hidden" not in text
        assert "search" not in text
    assert "vllm-0" in kept


def test_rules_are_given_with_their_revision() -> None:
    service = make()
    assert service.rules() == {
        "revision": 0,
        "parent": None,
        "at": None,
        "author": "",
        "message": "",
        "changes": 0,
        "rules": [],
        "read_only": None,
    }
    outcome = service.change(document(rule()), 0, "begin", "ann")
    assert (outcome["revision"], outcome["changed"], outcome["findings"]) == (1, True, [])
    given = service.rules()
    assert (given["revision"], given["author"], given["message"], given["at"]) == (1, "ann", "begin", 1000.0)
    assert service.change(given, 1)["changed"] is False
    assert service.revision(1) == {key: value for key, value in given.items() if key != "read_only"}


def test_an_edit_may_be_tried_dry() -> None:
    service = make()
    outcome = service.change(document(rule(value=600.5)), expected_revision=0, dry_run=True)
    assert (outcome["revision"], outcome["changed"], outcome["diff"][0]["op"]) == (0, False, "added")
    assert outcome["findings"][0]["severity"] == "surprise"
    assert service.rules()["rules"] == []
    with pytest.raises(LateEdit):
        service.change(document(rule()), expected_revision=3, dry_run=True)
    with pytest.raises(RefusedRules):
        service.change(document(rule(value="x")), dry_run=True)


def test_faulty_edits_change_nothing() -> None:
    service = make(strict=True)
    with pytest.raises(RefusedRules):
        service.change(document(rule(key="chunk_sizes")))
    with pytest.raises(BadRequest, match=r"rules\[0\]"):
        service.change(document({"name": 5}))
    with pytest.raises(BadRequest, match="message has"):
        service.change(document(rule()), message="x" * 3000)
    assert service.revisions() == {"revisions": []}


def test_history_differences_and_the_way_back() -> None:
    service = make()
    service.change(document(rule()), 0, "one", "ann")
    service.change(document(rule(value=1024)), 1, "two", "bob")
    assert ask(service).configs[0]["value"] == 1024
    outcome = service.rollback(1, 2, author="cy")
    assert (outcome["revision"], outcome["changed"]) == (3, True)
    assert ask(service).configs[0]["value"] == 512
    summaries = service.revisions(2)["revisions"]
    assert [(each["revision"], each["parent"], each["author"], each["message"]) for each in summaries] == [
        (3, 2, "cy", "Roll back to revision 1"),
        (2, 1, "bob", "two"),
    ]
    assert service.revisions(5, 2)["revisions"][0]["revision"] == 1
    assert service.diff(1, 3) == service.diff(1) == {"diff": []}
    (change,) = service.diff(1, 2)["diff"]
    assert (change["op"], change["after"]["items"][0]["value"]) == ("changed", 1024)
    assert service.diff(2, 1)["diff"][0]["after"] == change["before"]
    assert service.rollback(0)["revision"] == 4
    assert ask(service).outcome == "empty"
    assert service.rollback(0)["changed"] is False
    with pytest.raises(NotFound):
        service.rollback(9)
    with pytest.raises(NotFound):
        service.diff(1, 9)
    with pytest.raises(LateEdit):
        service.rollback(1, 2)


def test_the_way_back_is_open_whatever_is_to_be_said_of_it() -> None:
    store = open_memory()
    make(store).change(document(rule(key="chunk_sizes")))
    strict = make(store, strict=True)
    strict.change(document(rule()))
    outcome = strict.rollback(1)
    assert (outcome["revision"], outcome["findings"][0]["severity"]) == (3, "unknown")


def test_rules_outlive_the_service() -> None:
    store = open_memory()
    make(store).change(document(rule()))
    assert ask(make(store)).outcome == "matched"


def test_a_worker_that_asked_is_listed_and_previewed() -> None:
    service = make()
    service.change(document(rule(match={"env": {"POD_NAME": "vllm-*"}})))
    ask(service)
    (client,) = service.clients()["clients"]
    client_id = client.pop("client_id")
    assert client == {
        "app_id": "llama",
        "instance": "vllm-0",
        "address": "10.0.0.1",
        "lmcache_keys": 3,
        "fetched_at": 1000.0,
        "revision": 1,
        "would_change": False,
    }
    service.flush_clients()
    preview = service.preview({"client_id": client_id})
    assert preview["configs"] == [{"key": "chunk_size", "value": 512, "override": True}]
    assert preview["result"][0]["current"] == 256
    assert preview["unknown"] == []
    rules = [rule("a", match={"env": {"TEAM": "x"}}), rule("b", value=600.5)]
    preview = service.preview({"client_id": client_id, "rules": rules})
    assert preview["unknown"] == ["a"]
    assert preview["findings"][0]["severity"] == "surprise"
    with pytest.raises(NotFound):
        service.preview({"client_id": "0" * 16})


def test_whether_a_worker_would_be_answered_otherwise_now() -> None:
    service = make()
    first = rule(match={"env": {"POD_NAME": "vllm-*"}})
    service.change(document(first))
    ask(service)

    def would_change(*rules: dict[str, Any]) -> Any:
        service.change(document(*rules))
        return service.clients()["clients"][0]["would_change"]

    assert would_change(first) is False
    assert would_change(first, rule("x", match={"app_id": ["other"]})) is False
    assert would_change(rule("b", value=1024)) is True
    assert would_change() is True
    assert would_change(first, rule("x", value=1, match={"env": {"TEAM": "search"}})) is None
    assert would_change(first, rule("x", value=1, match={"env": {"TEAM": "a"}, "app_id": ["other"]})) is False
    assert would_change(rule("x", match={"env": {"TEAM": "a"}}), rule("no", deny=True, items=[])) is True
    assert would_change(rule("again"), rule("x", enabled=False)) is False
    # What it was answered by is in force again: then nothing hangs on what is not kept.
    assert would_change(first) is False


def test_a_store_that_cannot_be_used_leaves_answers_and_previews() -> None:
    service = make(UnavailableStore("the folder is read-only"))
    assert ask(service).outcome == "empty"
    assert "read-only" in service.rules()["read_only"]
    assert "read-only" in service.fault
    assert service.preview({"rules": [rule()]})["configs"]
    assert service.clients() == {"clients": []}
    assert service.revisions() == {"revisions": []}
    with pytest.raises(ServiceUnavailable, match="--store"):
        service.change(document(rule()))
    assert service.change(document(rule()), dry_run=True)["changed"] is False


def test_a_store_whose_rules_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    store = open_memory()
    make(store).change(document(rule()))
    store.put("config/revisions/000000000001", b"{}")
    with pytest.raises(ServiceUnavailable, match="revision 1 in memory: cannot be read"):
        make(store)


def test_what_another_frontend_puts_in_force_arrives() -> None:
    store = open_memory()
    one, other = make(store), make(store)
    with following(other):
        one.change(document(rule()))
        wait_until(lambda: ask(other).outcome == "matched")
        assert other.rules()["revision"] == 1
        other.change(document(rule(value=1024)), 1, author="other")
    with pytest.raises(LateEdit) as caught:
        one.change(document(rule(value=2048)), 1)
    assert caught.value.document["author"] == "other"
    # One that was late or had nothing to change knows what is in force.
    one.change(document(rule(value=1024)))
    assert ask(one).configs[0]["value"] == 1024


@pytest.mark.parametrize("failure", [ServiceUnavailable("etcd is away"), Compacted("too old")])
@pytest.mark.parametrize("method", ["list", "watch"])
def test_following_goes_on_after_a_failure(failure: Exception, method: str, caplog: pytest.LogCaptureFixture) -> None:
    inner = open_memory()
    store = Broken(inner)
    service, other = make(store), make(inner)
    service.change(document(rule()))
    store.failing = {method: failure}
    store.used.clear()
    with following(service):
        wait_until(lambda: store.used.count(method) > 3)
        assert ask(service).configs[0]["value"] == 512
        assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
        other.change(document(rule(value=1024)))
        store.failing = {}
        wait_until(lambda: ask(service).configs[0]["value"] == 1024)
        other.change(document(rule(value=2048)))
        wait_until(lambda: ask(service).configs[0]["value"] == 2048)


def write(path: Path, *rules: dict[str, Any]) -> Path:
    fresh = path.with_name("fresh")
    fresh.write_text(json.dumps(document(*rules)), encoding="utf-8")
    os.replace(fresh, path)
    return path


def test_rules_of_a_file_are_served_and_edited_there(tmp_path: Path) -> None:
    store = open_memory()
    make(store).change(document(rule(value=1)))
    path = write(tmp_path / "rules.json", rule())
    service = make(store, rules_file=path)
    assert ask(service).configs[0]["value"] == 512
    given = service.rules()
    assert (given["revision"], given["read_only"]) == (1, f"the rules come from the file {path} and are edited there")
    for attempt in (lambda: service.change(document(rule("b"))), lambda: service.rollback(0)):
        with pytest.raises(Conflict, match="are edited there") as caught:
            attempt()
        assert caught.value.status == 409
    assert service.change(document(rule("b")), 7, dry_run=True)["diff"]
    assert service.revisions() == {"revisions": []}
    assert service.revision(1)["rules"][0]["name"] == "r"
    assert service.diff(1, 1) == {"diff": []}
    with pytest.raises(NotFound, match="come from the file"):
        service.revision(2)
    service.follow(lambda _: False)
    assert ask(make(store)).configs[0]["value"] == 1


def test_a_file_is_served_as_it_changes_and_its_last_good_rules_stay(tmp_path: Path) -> None:
    service = make(rules_file=write(tmp_path / "rules.json", rule()))
    write(tmp_path / "rules.json", rule(value=1024))
    service.reload_file_if_changed()
    assert ask(service).configs[0]["value"] == 1024
    assert service.rules()["revision"] == 2
    write(tmp_path / "rules.json", rule(value="x"))
    service.reload_file_if_changed()
    assert ask(service).configs[0]["value"] == 1024
    assert "chunk_size" in service.fault
    write(tmp_path / "rules.json", rule(value=2048))
    service.reload_file_if_changed()
    assert (ask(service).configs[0]["value"], service.fault) == (2048, "")
    make().reload_file_if_changed()


def test_a_file_that_is_no_good_at_the_start_ends_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StartError, match=r"the rules cannot be served: .*missing: cannot be read"):
        make(rules_file=tmp_path / "missing")
    path = write(tmp_path / "rules.json", rule(key="chunk_sizes"))
    with pytest.raises(StartError, match="chunk_sizes"):
        make(strict=True, rules_file=path)
    make(rules_file=path)
    assert "chunk_sizes" in caplog.text


def test_a_pattern_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadRequest, match="characters"):
        RemoteConfiguration(open_memory(), lambda: 0.0, remember=["x" * 300], strict=False)
