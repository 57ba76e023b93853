# SPDX-License-Identifier: Apache-2.0
"""What every kind of store does: one list of cases, run against memory, SQLite and a real etcd."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

from lmcache_frontend.errors import BadRequest, ContentTooLarge, RevisionConflict, ServiceUnavailable
from lmcache_frontend.store.protocol import Delete, Event, Operation, Put, Store
from tests.helpers.waiting import wait_until

TTL_S = 3.0


class Bench(Protocol):
    """A store under test."""

    store: Store

    def restart(self) -> None:
        """Close the store and open it again, where there is something to open."""

    def pass_time(self, seconds: float) -> None:
        """Let time go by, or wait for as long."""


Case = Callable[[Bench], None]
CASES: list[Case] = []

KEYS = [
    "a",
    " ",
    "a/b/c",
    "/leading/and/trailing/",
    "nul\0inside",
    "\0",
    "line\nbreak",
    "\x7f",
    "ünï/ço∂é",
    "\U0010ffff",
    "日本語",
    "\u0301combining",
    "%2F ?#&+",
    "'; DROP TABLE entries; --",
    "glob*[a-z]?",
    "k" * 512,
    "é" * 256,
]
VALUES = {
    "empty": b"",
    "nul": b"\0",
    "all bytes": bytes(range(256)),
    "no unicode": b"\xff\xfe\xc3",
    "looks like base64": b"AAAA====",
    "large": bytes(range(256)) * 4096,
}


def case(function: Case) -> Case:
    """Add a case to the list."""
    CASES.append(function)
    return function


def keys_of(store: Store, prefix: str = "", **options: object) -> list[str]:
    """Give the keys of a listing."""
    return [entry.key for entry in store.list(prefix, **options).entries]  # type: ignore[arg-type]


def put_all(store: Store, keys: Iterable[str]) -> None:
    """Write each key with itself as value."""
    for key in keys:
        store.put(key, key.encode())


def conflict(act: Callable[[], object]) -> tuple[str, int]:
    """Give what a conflict says, after seeing that there is one."""
    with pytest.raises(RevisionConflict) as caught:
        act()
    return caught.value.key, caught.value.revision


def collect(store: Store, prefix: str, since: int, count: int) -> list[Event]:
    """Watch until so many events have come."""
    watch = store.watch(prefix, since)
    found: list[Event] = []
    try:
        wait_until(lambda: found.extend(watch.next(1.0)) or len(found) >= count)
    finally:
        watch.close()
    return found


@case
def a_new_store_is_empty(bench: Bench) -> None:
    assert bench.store.get("a") is None
    assert bench.store.list("").entries == ()
    assert bench.store.fault == ""


@case
def what_is_put_is_there(bench: Bench) -> None:
    revision = bench.store.put("a", b"1")
    assert revision > 0
    assert bench.store.get("a") == ("a", b"1", revision)
    assert bench.store.list("a") == ((("a", b"1", revision),), revision)


@case
def each_change_has_the_next_revision(bench: Bench) -> None:
    store = bench.store
    first = store.put("a", b"1")
    assert store.put("a", b"1") == first + 1
    assert store.put("b", b"2") == first + 2
    assert store.delete("a")
    assert store.put("a", b"3") == first + 4
    assert store.list("").revision == first + 4


@case
def reading_changes_no_revision(bench: Bench) -> None:
    revision = bench.store.put("a", b"1")
    bench.store.get("a")
    bench.store.list("")
    assert not bench.store.delete("nothing")
    assert bench.store.transact([]) == revision
    assert bench.store.transact([Delete("nothing")]) == revision
    assert bench.store.list("").revision == revision


@case
def keys_are_any_text(bench: Bench) -> None:
    for key in KEYS:
        bench.store.put(key, key.encode())
    for key in KEYS:
        entry = bench.store.get(key)
        assert entry is not None
        assert (entry.key, entry.value) == (key, key.encode())
    assert keys_of(bench.store) == sorted(KEYS, key=str.encode)
    assert all(bench.store.delete(key) for key in KEYS)
    assert keys_of(bench.store) == []


@case
def values_are_any_bytes(bench: Bench) -> None:
    for name, value in VALUES.items():
        bench.store.put(name, value)
    found = {entry.key: entry.value for entry in bench.store.list("").entries}
    assert found == VALUES
    assert bench.store.get("empty") is not None


@case
def keys_and_values_past_their_limits_are_refused(bench: Bench) -> None:
    store = bench.store
    for key in ("", "k" * 513, "é" * 257, "lone\ud800"):
        for act in (store.get, store.delete, lambda key: store.put(key, b""), lambda key: store.renew(key, TTL_S)):
            with pytest.raises(BadRequest):
                act(key)
    with pytest.raises(BadRequest):
        store.list("lone\ud800")
    with pytest.raises(BadRequest):
        store.list("", limit=0)
    with pytest.raises(ContentTooLarge):
        store.put("a", bytes((1 << 20) + 1))
    with pytest.raises(ContentTooLarge):
        store.transact([Put("a", bytes(1 << 20)), Put("b", bytes(1 << 20))])
    assert store.list("").entries == ()


@case
def a_prefix_ends_where_its_keys_end(bench: Bench) -> None:
    keys = ["a", "a.", "a/", "a/1", "a/2/3", "a/\U0010ffff", "a0", "aa", "b"]
    put_all(bench.store, keys)
    assert keys_of(bench.store, "a/") == ["a/", "a/1", "a/2/3", "a/\U0010ffff"]
    assert keys_of(bench.store, "a") == keys[:-1]
    assert keys_of(bench.store, "a/2") == ["a/2/3"]
    assert keys_of(bench.store, "a/9") == []
    assert keys_of(bench.store, "") == keys


@case
def a_prefix_may_end_in_any_character(bench: Bench) -> None:
    keys = ["\x7f", "\x7fa", "\x80", "ÿ", "ÿ/", "Ā", "\U0010ffff", "\U0010ffffx", "\U0010ffff\U0010ffff"]
    put_all(bench.store, keys)
    assert keys_of(bench.store, "\x7f") == ["\x7f", "\x7fa"]
    assert keys_of(bench.store, "ÿ") == ["ÿ", "ÿ/"]
    assert keys_of(bench.store, "\U0010ffff") == ["\U0010ffff", "\U0010ffffx", "\U0010ffff\U0010ffff"]


@case
def a_listing_is_read_in_pages(bench: Bench) -> None:
    keys = [f"p/{number:03}" for number in range(7)]
    put_all(bench.store, ["o", *keys, "q"])
    assert keys_of(bench.store, "p/", limit=3) == keys[:3]
    assert keys_of(bench.store, "p/", limit=3, after="p/002") == keys[3:6]
    assert keys_of(bench.store, "p/", limit=3, after="p/005") == keys[6:]
    assert keys_of(bench.store, "p/", limit=3, after="p/006") == []
    assert keys_of(bench.store, "p/", after="p/0025") == keys[3:]
    assert keys_of(bench.store, "p/", after="a") == keys
    assert keys_of(bench.store, "p/", after="z") == []


@case
def a_listing_is_read_backwards(bench: Bench) -> None:
    keys = [f"p/{number:03}" for number in range(7)]
    put_all(bench.store, ["o", *keys, "q"])
    assert keys_of(bench.store, "p/", newest_first=True) == keys[::-1]
    assert keys_of(bench.store, "p/", newest_first=True, limit=2) == ["p/006", "p/005"]
    assert keys_of(bench.store, "p/", newest_first=True, limit=2, after="p/005") == ["p/004", "p/003"]
    assert keys_of(bench.store, "p/", newest_first=True, after="p/000") == []
    assert keys_of(bench.store, "p/", newest_first=True, after="z") == keys[::-1]
    assert keys_of(bench.store, "p/", newest_first=True, after="a") == []


@case
def a_delete_says_whether_it_was_there(bench: Bench) -> None:
    bench.store.put("a", b"1")
    bench.store.put("ab", b"2")
    assert bench.store.delete("a") is True
    assert bench.store.delete("a") is False
    assert keys_of(bench.store) == ["ab"]


@case
def a_put_that_expects_a_revision_needs_it(bench: Bench) -> None:
    store = bench.store
    assert conflict(lambda: store.put("a", b"1", expect_revision=7)) == ("a", 0)
    first = store.put("a", b"1", expect_revision=0)
    assert conflict(lambda: store.put("a", b"2", expect_revision=0)) == ("a", first)
    second = store.put("a", b"2", expect_revision=first)
    assert conflict(lambda: store.put("a", b"3", expect_revision=first)) == ("a", second)
    assert store.get("a") == ("a", b"2", second)
    assert store.list("").revision == second


@case
def a_delete_that_expects_a_revision_needs_it(bench: Bench) -> None:
    store = bench.store
    assert conflict(lambda: store.delete("a", expect_revision=1)) == ("a", 0)
    revision = store.put("a", b"1")
    assert conflict(lambda: store.delete("a", expect_revision=revision - 1)) == ("a", revision)
    assert store.delete("a", expect_revision=revision) is True
    assert store.delete("a", expect_revision=0) is False
    assert store.put("a", b"2", expect_revision=0) == revision + 2


@case
def a_transaction_has_one_revision(bench: Bench) -> None:
    store = bench.store
    first = store.put("gone", b"")
    revision = store.transact([Put("a", b"1", 0), Put("b", b"2"), Delete("gone", first), Delete("nothing")])
    assert revision == first + 1
    assert store.list("") == ((("a", b"1", revision), ("b", b"2", revision)), revision)


@case
def a_transaction_is_done_whole_or_not_at_all(bench: Bench) -> None:
    store = bench.store
    first = store.put("a", b"1")
    operations: list[Operation] = [Put("b", b"2"), Delete("a"), Put("c", b"3", 5), Put("d", b"4")]
    assert conflict(lambda: store.transact(operations)) == ("c", 0)
    assert conflict(lambda: store.transact([Put("b", b""), Delete("a", first + 1)])) == ("a", first)
    assert store.list("") == ((("a", b"1", first),), first)


@case
def a_transaction_takes_a_hundred_operations(bench: Bench) -> None:
    store = bench.store
    operations = [Put(f"k/{number:03}", b"x" * 10_000, 0) for number in range(100)]
    revision = store.transact(operations)
    assert {entry.revision for entry in store.list("k/").entries} == {revision}
    assert store.transact([Delete(put.key, revision) for put in operations]) == revision + 1
    assert store.list("").entries == ()
    with pytest.raises(ValueError, match="101 operations"):
        store.transact([*operations, Put("one more", b"")])
    with pytest.raises(ValueError, match="one key twice"):
        store.transact([Put("a", b""), Delete("a")])


@case
def a_transaction_of_the_largest_size_is_taken(bench: Bench) -> None:
    names = [f"{number:02}".ljust(512, "k") for number in range(99)]
    small = [Put(name, b"", 0) for name in names]
    bench.store.transact([Put("large", bytes(1 << 20), 0), *small])
    assert len(bench.store.list("").entries) == 100


@case
def of_writers_that_race_one_wins_each_round(bench: Bench) -> None:
    store = bench.store
    store.put("counter", b"0")
    faults: list[BaseException] = []

    def count(times: int) -> None:
        try:
            while times:
                entry = store.get("counter")
                assert entry is not None
                try:
                    store.put("counter", b"%d" % (int(entry.value) + 1), expect_revision=entry.revision)
                except RevisionConflict:
                    continue
                times -= 1
        except BaseException as exc:
            faults.append(exc)

    threads = [threading.Thread(target=count, args=(25,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    counter = store.get("counter")
    assert counter is not None
    assert counter.value == b"100"


@case
def of_writers_that_want_the_same_new_key_one_gets_it(bench: Bench) -> None:
    store = bench.store
    together = threading.Barrier(4)
    won: list[str] = []

    def take(name: str) -> None:
        together.wait(10)
        try:
            store.put("owner", name.encode(), expect_revision=0)
        except RevisionConflict:
            return
        won.append(name)

    threads = [threading.Thread(target=take, args=(f"writer {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    owner = store.get("owner")
    assert owner is not None
    assert [owner.value.decode()] == won


@case
def an_entry_expires_after_its_time(bench: Bench) -> None:
    store = bench.store
    revision = store.put("a", b"1", ttl_s=TTL_S)
    store.put("b", b"2")
    assert store.get("a") == ("a", b"1", revision)
    bench.pass_time(TTL_S)
    wait_until(lambda: store.get("a") is None)
    assert keys_of(store) == ["b"]
    assert store.delete("a") is False
    assert store.put("a", b"again", expect_revision=0) > revision + 1


@case
def an_expired_entry_is_in_nobodys_way(bench: Bench) -> None:
    store = bench.store
    revision = store.put("a", b"1", ttl_s=TTL_S)
    bench.pass_time(TTL_S)
    wait_until(lambda: store.get("a") is None)
    assert conflict(lambda: store.put("a", b"2", expect_revision=revision)) == ("a", 0)
    assert store.renew("a", TTL_S) is False


@case
def a_renewed_entry_lives_on_without_a_change(bench: Bench) -> None:
    store = bench.store
    revision = store.put("a", b"1", ttl_s=TTL_S)
    for _ in range(3):
        bench.pass_time(TTL_S * 0.6)
        assert store.renew("a", TTL_S) is True
    assert store.get("a") == ("a", b"1", revision)
    assert store.list("").revision == revision
    watch = store.watch("", revision)
    assert watch.next(0.2) == []
    watch.close()
    bench.pass_time(TTL_S)
    wait_until(lambda: store.get("a") is None)


@case
def what_has_no_time_to_live_needs_no_renewal(bench: Bench) -> None:
    store = bench.store
    store.put("a", b"1", ttl_s=TTL_S)
    revision = store.put("a", b"2")
    assert store.renew("a", TTL_S) is True
    assert store.renew("nothing", TTL_S) is False
    bench.pass_time(TTL_S * 2)
    assert store.get("a") == ("a", b"2", revision)


@case
def a_new_put_starts_the_time_again(bench: Bench) -> None:
    store = bench.store
    for _ in range(3):
        store.put("a", b"1", ttl_s=TTL_S)
        bench.pass_time(TTL_S * 0.6)
        assert store.get("a") is not None


@case
def a_watch_gives_what_came_after_a_revision(bench: Bench) -> None:
    store = bench.store
    store.put("w/a", b"before")
    since = store.list("").revision
    first = store.put("w/a", b"1")
    store.put("other", b"")
    second = store.transact([Put("w/b", b""), Delete("w/a")])
    store.delete("w/nothing")
    events = collect(store, "w/", since, 3)
    assert events[0] == ("w/a", b"1", first)
    assert sorted(events[1:]) == [("w/a", None, second), ("w/b", b"", second)]
    assert collect(store, "w/", first, 2) == events[1:]


@case
def a_watch_waits_for_what_comes(bench: Bench) -> None:
    store = bench.store
    watch = store.watch("w/", store.list("").revision)
    assert watch.next(0.05) == []
    revision = store.put("w/a", b"1")
    assert wait_until(lambda: watch.next(5.0)) == [("w/a", b"1", revision)]
    timer = threading.Timer(0.05, store.put, ("w/b", b"2"))
    timer.start()
    assert wait_until(lambda: watch.next(5.0)) == [("w/b", b"2", revision + 1)]
    timer.join()
    watch.close()


@case
def a_watch_keeps_to_its_prefix(bench: Bench) -> None:
    store = bench.store
    since = store.put("start", b"")
    put_all(store, ["w", "w.", "w/1", "w0", "w/\U0010ffff", "x/w/"])
    revision = store.put("w/end", b"")
    events = collect(store, "w/", since, 3)
    assert [event.key for event in events] == ["w/1", "w/\U0010ffff", "w/end"]
    assert events[-1].revision == revision


@case
def watches_hear_of_expiry(bench: Bench) -> None:
    store = bench.store
    store.put("a", b"1", ttl_s=TTL_S)
    since = store.list("").revision
    bench.pass_time(TTL_S)
    assert collect(store, "", since, 1) == [("a", None, since + 1)]


@case
def a_conflict_swallows_no_expiry(bench: Bench) -> None:
    store = bench.store
    store.put("a", b"1", ttl_s=TTL_S)
    since = store.put("b", b"2")
    bench.pass_time(TTL_S)
    wait_until(lambda: store.get("a") is None)
    assert conflict(lambda: store.put("b", b"3", expect_revision=0)) == ("b", since)
    assert collect(store, "", since, 1) == [("a", None, since + 1)]


@case
def many_watches_hear_the_same(bench: Bench) -> None:
    store = bench.store
    since = store.put("start", b"")
    watches = [store.watch("", since) for _ in range(5)]
    for number in range(20):
        store.put(f"k{number}", bytes(1000))
    for watch in watches:
        found: list[Event] = []
        wait_until(lambda found=found, watch=watch: found.extend(watch.next(1.0)) or len(found) >= 20)  # type: ignore[misc]
        assert [event.key for event in found] == [f"k{number}" for number in range(20)]
        assert [event.revision for event in found] == list(range(since + 1, since + 21))
        watch.close()


@case
def a_watch_carries_large_values(bench: Bench) -> None:
    store = bench.store
    since = store.put("start", b"")
    store.put("a", VALUES["large"])
    store.put("b", VALUES["all bytes"])
    assert [event.value for event in collect(store, "", since, 2)] == [VALUES["large"], VALUES["all bytes"]]


@case
def a_closed_watch_lets_go(bench: Bench) -> None:
    store = bench.store
    watch = store.watch("", store.list("").revision)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(watch.next(60)))
    thread.start()
    watch.close()
    thread.join(10)
    assert found == [[]]
    store.put("a", b"")
    assert watch.next(0.05) == []
    watch.close()


@case
def a_waiting_watch_is_in_nobodys_way(bench: Bench) -> None:
    store = bench.store
    watch = store.watch("w/", store.list("").revision)
    thread = threading.Thread(target=watch.next, args=(60,))
    thread.start()
    for number in range(10):
        store.put(f"a{number}", b"")
    assert len(store.list("").entries) == 10
    assert thread.is_alive()
    watch.close()
    thread.join(10)
    assert not thread.is_alive()


@case
def everything_survives_a_restart(bench: Bench) -> None:
    bench.store.put("a", b"1")
    bench.store.put("lives", b"", ttl_s=1000)
    bench.store.delete("a")
    revision = bench.store.put("b", VALUES["all bytes"])
    before = bench.store.list("")
    bench.restart()
    assert bench.store.list("") == before
    assert bench.store.put("b", b"2", expect_revision=revision) == revision + 1
    assert collect(bench.store, "", before.revision, 1) == [("b", b"2", revision + 1)]


@case
def a_closed_store_says_so(bench: Bench) -> None:
    store = bench.store
    watch = store.watch("", store.list("").revision)
    store.close()
    store.close()
    for act in (lambda: store.get("a"), lambda: store.list(""), lambda: store.put("a", b""), lambda: store.delete("a")):
        with pytest.raises(ServiceUnavailable, match="is closed"):
            act()
    watch.close()
    assert watch.next(0.05) == []
