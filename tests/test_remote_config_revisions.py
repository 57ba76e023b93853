# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from lmcache_frontend.errors import NotFound, RevisionConflict, ServiceUnavailable
from lmcache_frontend.remote_config.revisions import NOTHING, Revisions
from lmcache_frontend.remote_config.rules import Item, Rule
from lmcache_frontend.store.memory import open_memory
from lmcache_frontend.store.protocol import Store
from lmcache_frontend.store.unavailable import UnavailableStore

ONE = (Rule("a", items=(Item("chunk_size", "512"),)),)
TWO = (*ONE, Rule("b", deny=True))


def make(store: Store | None = None) -> tuple[Store, Revisions]:
    store = store or open_memory()
    return store, Revisions(store, lambda: 1000.5)


def fill(revisions: Revisions, count: int) -> None:
    for number in range(count):
        rules = (Rule(str(number)),)
        assert revisions.append(revisions.head(), rules, message="", author="").number == number + 1


def test_before_the_first_revision_there_is_nothing() -> None:
    _, revisions = make()
    head = revisions.head()
    assert (head.revision, head.key_revision) == (NOTHING, 0)
    assert revisions.history(10) == []
    assert revisions.get(0) == NOTHING
    assert make(UnavailableStore("x"))[1].head().revision == NOTHING


def test_a_revision_is_kept_with_who_and_why() -> None:
    store, revisions = make()
    first = revisions.append(revisions.head(), ONE, message="begin", author="ann")
    second = revisions.append(revisions.head(), TWO, message="", author="bob")
    assert first.summary() == {
        "revision": 1,
        "parent": 0,
        "at": 1000.5,
        "author": "ann",
        "message": "begin",
        "changes": 1,
    }
    assert (second.number, second.parent, second.changes, second.rules) == (2, 1, 1, TWO)
    assert revisions.head().revision == second
    assert make(store)[1].get(1) == first
    entry = store.get("config/revisions/000000000001")
    assert entry is not None
    assert json.loads(entry.value) == first.document()
    assert first.document()["rules"][0]["name"] == "a"


def test_of_two_who_append_to_one_head_the_second_is_told() -> None:
    store, revisions = make()
    for _ in range(2):
        head = revisions.head()
        revisions.append(head, ONE, message="", author="")
        with pytest.raises(RevisionConflict):
            make(store)[1].append(head, TWO, message="", author="")
        assert revisions.head().revision.rules == ONE


def test_history_is_read_in_pages() -> None:
    _, revisions = make()
    fill(revisions, 25)

    def numbers(limit: int, before: int | None = None) -> list[int]:
        return [revision.number for revision in revisions.history(limit, before)]

    assert numbers(100) == list(range(25, 0, -1))
    assert numbers(12) == list(range(25, 13, -1))
    assert numbers(3, 10) == [9, 8, 7]
    assert numbers(20, 20) == list(range(19, 0, -1))
    assert numbers(5, 1) == []
    assert numbers(2, 10**15) == [25, 24]


@pytest.mark.parametrize("number", [-1, 2, 10**12, 10**30])
def test_revisions_that_are_not_there(number: int) -> None:
    _, revisions = make()
    fill(revisions, 1)
    with pytest.raises(NotFound, match=f"there is no revision {number}"):
        revisions.get(number)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff", "it is not what is expected there"),
        (b"[]", "the document is a list"),
        (b'{"rules":[]}', "it is not what is expected there"),
        (b'{"rules":[{"name":"a","new":1}]}', 'rules.0. has a field "new"'),
        (b"[" * 100_000, "it is not what is expected there"),
    ],
)
def test_a_snapshot_that_cannot_be_read_says_so(value: bytes, reason: str) -> None:
    store, revisions = make()
    fill(revisions, 1)
    store.put("config/revisions/000000000001", value)
    with pytest.raises(ServiceUnavailable, match=f"revision 1 in memory: cannot be read: {reason}"):
        revisions.head()


@pytest.mark.parametrize("value", [b"", b"{}", b'{"revision":7}', b'{"revision":null}', b"[]"])
def test_a_head_that_names_nothing_says_so(value: bytes) -> None:
    store, revisions = make()
    store.put("config/head", value)
    with pytest.raises(ServiceUnavailable, match="config/head in memory: names no revision that is there"):
        revisions.head()


def test_other_keys_that_begin_alike_are_not_the_head() -> None:
    store, revisions = make()
    store.put("config/header", b"x")
    assert revisions.head().revision == NOTHING
