# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.store.embedded import EmbeddedStore
from lmcache_frontend.store.events import EventLog
from lmcache_frontend.store.memory import MemoryTable
from lmcache_frontend.store.protocol import Compacted, Delete, Event, Put


def event(revision: int, key: str = "a", value: bytes = b"x") -> Event:
    return Event(key, value, revision)


def test_changes_are_read_after_a_revision_and_under_a_prefix() -> None:
    log = EventLog(10)
    log.append([event(11), event(11, "b"), event(12)])
    assert log.read(10, "") == ([event(11), event(11, "b"), event(12)], 12)
    assert log.read(11, "") == ([event(12)], 12)
    assert log.read(10, "b") == ([event(11, "b")], 12)
    assert log.read(12, "") == ([], 12)


@pytest.mark.parametrize("since", [9, 13, -1])
def test_what_is_not_kept_is_said(since: int) -> None:
    log = EventLog(10)
    log.append([event(11), event(12)])
    with pytest.raises(Compacted, match=f"changes after revision {since} are asked for, those after 10 up to 12"):
        log.read(since, "")


def test_old_changes_go_by_whole_revisions() -> None:
    log = EventLog(0, events_kept=3)
    log.append([event(1), event(1, "b")])
    log.append([event(2), event(2, "b")])
    assert log.read(1, "")[0] == [event(2), event(2, "b")]
    with pytest.raises(Compacted):
        log.read(0, "")


def test_old_changes_go_by_size() -> None:
    log = EventLog(0, bytes_kept=1000)
    for revision in range(1, 6):
        log.append([event(revision, value=bytes(400))])
    assert [found.revision for found in log.read(3, "")[0]] == [4, 5]
    with pytest.raises(Compacted):
        log.read(2, "")


def test_a_change_past_all_limits_leaves_nothing_but_its_revision() -> None:
    log = EventLog(0, bytes_kept=10)
    log.append([event(1, value=bytes(11))])
    assert log.read(1, "") == ([], 1)
    with pytest.raises(Compacted):
        log.read(0, "")


def test_a_watch_that_is_too_slow_is_told_and_one_of_a_quiet_prefix_is_not() -> None:
    store = EmbeddedStore(MemoryTable(), log=lambda revision: EventLog(revision, events_kept=10))
    slow, quiet = store.watch("", 0), store.watch("quiet/", 0)
    for number in range(30):
        store.transact([Put(f"k{number}", b""), Delete("nothing")])
        assert quiet.next(0) == []
    with pytest.raises(Compacted):
        slow.next(0)
    since = store.list("").revision
    store.put("quiet/a", b"1")
    assert quiet.next(0) == store.watch("", since).next(0) == [("quiet/a", b"1", since + 1)]
    store.close()


def test_a_watch_from_the_future_is_told_so() -> None:
    store = EmbeddedStore(MemoryTable())
    store.put("a", b"")
    with pytest.raises(Compacted):
        store.watch("", 99).next(0)
