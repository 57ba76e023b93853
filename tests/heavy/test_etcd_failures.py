# SPDX-License-Identifier: Apache-2.0
"""Real etcd that is down, goes away and comes back, loses members, answers or data, or has no room."""

from __future__ import annotations

import http.client
import itertools
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.errors import RevisionConflict, ServiceUnavailable, StartError
from lmcache_frontend.store.etcd.address import read_address
from lmcache_frontend.store.etcd.gateway import Gateway
from lmcache_frontend.store.etcd.store import EtcdStore
from lmcache_frontend.store.etcd.watch import EtcdWatch
from lmcache_frontend.store.keys import span_of
from lmcache_frontend.store.opening import open_store
from lmcache_frontend.store.protocol import Compacted, Delete, Event, Put, Store, Watch
from tests.helpers.etcd_cluster import Cluster, running_cluster
from tests.helpers.ports import free_port
from tests.helpers.scripted import ScriptedNode, Visit
from tests.helpers.waiting import wait_until

_numbers = itertools.count()


def open_etcd(authority: str, prefix: str) -> Store:
    return open_store(f"etcd://{authority}/{prefix}", port=0, environment={})


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("single"), 1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("three"), 3) as cluster:
        yield cluster


@pytest.fixture
def three(members: Cluster) -> Cluster:
    """Give the cluster of three once all of it serves: the test before may have stopped one."""
    members.wait()
    return members


@pytest.fixture
def prefix() -> str:
    return f"test{next(_numbers)}"


@pytest.fixture
def store(single: Cluster, prefix: str) -> Iterator[Store]:
    with closing(open_etcd(single.authority, prefix)) as made:
        yield made


def take(watch: Watch, count: int, timeout_s: float = 30.0) -> list[Event]:
    """Take so many events, though the store be away meanwhile."""
    found: list[Event] = []

    def has_all() -> bool:
        with suppress(ServiceUnavailable):
            found.extend(watch.next(1.0))
        return len(found) >= count

    wait_until(has_all, timeout_s)
    return found


def works(act: Callable[[], Any]) -> bool:
    try:
        act()
    except ServiceUnavailable:
        return False
    return True


def leases_of(cluster: Cluster) -> int:
    return int(re.search(r"found (\d+) leases", cluster.control("lease", "list"))[1])  # type: ignore[index]


def test_an_etcd_that_is_down_at_the_start_is_said() -> None:
    port = free_port()
    with pytest.raises(StartError, match=f"etcd://127.0.0.1:{port}/x cannot be used: no member .* Connection refused"):
        open_etcd(f"user:hidden@127.0.0.1:{port}", "x")


def test_one_member_that_is_there_is_enough_to_start(single: Cluster, prefix: str) -> None:
    with closing(open_etcd(f"127.0.0.1:{free_port()},{single.authority}", prefix)) as store:
        assert store.get("a") is None


def test_an_etcd_that_goes_away_and_comes_back(single: Cluster, store: Store) -> None:
    revision = store.put("a", b"1")
    watch = store.watch("", revision)
    assert watch.next(0.2) == []
    single.kill()
    for act in (
        lambda: store.get("a"),
        lambda: store.list(""),
        lambda: store.put("a", b"2"),
        lambda: store.put("a", b"2", expect_revision=revision),
        lambda: store.put("a", b"2", ttl_s=5),
        lambda: store.delete("a"),
        lambda: store.renew("a", 5),
    ):
        with pytest.raises(ServiceUnavailable, match="Connection refused") as caught:
            act()
        assert "not known" not in str(caught.value)
    with pytest.raises(ServiceUnavailable, match="Connection refused"):
        wait_until(lambda: watch.next(0.2))
    single.start()
    assert store.get("a") == ("a", b"1", revision)
    assert store.put("a", b"2", expect_revision=revision) == revision + 1
    assert take(watch, 1) == [("a", b"2", revision + 1)]


def test_a_watch_misses_nothing_while_it_cannot_be_connected(single: Cluster, store: Store, prefix: str) -> None:
    watch = store.watch("", store.list("").revision)
    assert watch.next(0.2) == []
    for number in range(5):
        single.kill()
        single.start()
        single.control("put", f"/{prefix}/k{number}", "x")
    assert [event.key for event in take(watch, 5)] == [f"k{number}" for number in range(5)]


def test_a_watch_of_what_was_compacted_says_so(single: Cluster, store: Store) -> None:
    old = store.put("a", b"1")
    for _ in range(3):
        new = store.put("a", b"2")
    single.control("compaction", str(new))
    with pytest.raises(Compacted):
        wait_until(lambda: store.watch("", old).next(1.0))
    later = store.watch("", new)
    store.put("a", b"3")
    assert take(later, 1) == [("a", b"3", new + 1)]


def test_a_watch_that_was_away_during_compaction_says_so(single: Cluster, store: Store, prefix: str) -> None:
    # The port is ours, so the watch can be cut off while etcd runs on.
    old = store.put("a", b"1")
    gate = Gate(single.members[0].port)
    with closing(open_etcd(f"127.0.0.1:{gate.port}", prefix)) as behind:
        watch = behind.watch("", old)
        assert watch.next(0.3) == []
        gate.is_shut = True
        gate.cut()
        for _ in range(3):
            new = store.put("a", b"2")
        single.control("compaction", str(new))
        gate.is_shut = False
        with pytest.raises(Compacted):
            take(watch, 99)
        with pytest.raises(Compacted):
            watch.next(0.1)
    gate.close()


def test_an_etcd_that_lost_its_data_is_noticed_by_watches(tmp_path: Path) -> None:
    with running_cluster(tmp_path, 1) as cluster, closing(open_etcd(cluster.authority, "x")) as store:
        for _ in range(5):
            revision = store.put("a", b"1")
        watch = store.watch("", revision)
        assert watch.next(0.2) == []
        cluster.wipe()
        cluster.start()
        with pytest.raises(Compacted):
            take(watch, 1)


def test_times_to_live_leave_no_leases_behind(single: Cluster, store: Store) -> None:
    # The first guarded change gets a lease for what marks it.
    store.put("a", b"0", expect_revision=0)
    before = leases_of(single)
    for _ in range(20):
        store.put("a", b"1", ttl_s=600)
    assert leases_of(single) == before + 1
    revision = store.transact([Put("a", b"2", None, 600), Put("b", b"2", None, 600)])
    assert leases_of(single) == before + 2
    with pytest.raises(RevisionConflict):
        store.put("a", b"3", expect_revision=revision - 1, ttl_s=600)
    assert leases_of(single) == before + 2
    store.put("a", b"4")
    assert leases_of(single) == before + 1
    assert store.get("a") is not None
    store.transact([Delete("a"), Delete("b")])
    assert leases_of(single) == before


class Gate:
    """Stands before a member and hands requests on; may be shut, or swallow answers to transactions."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._node = ScriptedNode(self._hand_on)
        self.port = self._node.port
        self.is_shut = False
        self.swallow = 0
        self.before_swallow: Callable[[], object] = lambda: None
        self.after_swallow: Callable[[], object] = lambda: None

    def cut(self) -> None:
        """Break all connections off."""
        for visit in self._node.visits:
            try:
                visit.sock.shutdown(2)
            except OSError:
                continue

    def close(self) -> None:
        self._node.close()
        assert self._node.faults == []

    def _hand_on(self, visit: Visit) -> None:
        head = visit.read_head()
        if self.is_shut or not head:
            return
        body = visit.read(int(re.search(rb"Content-Length: (\d+)", head)[1]))  # type: ignore[index]
        path = head.split(b" ")[1].decode()
        swallows = path == "/v3/kv/txn" and self.swallow > 0
        if swallows:
            self.swallow -= 1
            self.before_swallow()
        with closing(http.client.HTTPConnection("127.0.0.1", self._target, timeout=30)) as connection:
            connection.request("POST", path, body)
            response = connection.getresponse()
            if swallows:
                response.read()
                self.after_swallow()
                return
            visit.send(b"HTTP/1.0 %d X\r\n\r\n" % response.status)
            while data := response.read1(65536):
                visit.send(data)
            response.close()


@pytest.fixture
def gate(single: Cluster) -> Iterator[Gate]:
    made = Gate(single.members[0].port)
    yield made
    made.close()


@pytest.fixture
def behind(gate: Gate, prefix: str) -> Iterator[Store]:
    with closing(open_etcd(f"127.0.0.1:{gate.port}", prefix)) as made:
        yield made


def test_a_lost_answer_to_a_guarded_change_is_found_out(gate: Gate, behind: Store, store: Store) -> None:
    gate.swallow = 1
    first = behind.put("a", b"1", expect_revision=0)
    assert store.list("") == ((("a", b"1", first),), first)
    gate.swallow = 1
    second = behind.transact([Put("a", b"2", first), Put("b", b""), Delete("c")])
    assert store.list("") == ((("a", b"2", second), ("b", b"", second)), second)
    assert second == first + 1
    gate.swallow = 1
    assert behind.delete("a", expect_revision=second) is True
    assert store.list("").revision == second + 1


def test_a_lost_answer_to_a_change_with_a_time_to_live_keeps_its_lease(
    gate: Gate, behind: Store, store: Store, single: Cluster
) -> None:
    before = leases_of(single)
    gate.swallow = 1
    behind.put("a", b"1", expect_revision=0, ttl_s=600)
    # One of the entry, and one of what marks the change.
    assert leases_of(single) == before + 2
    assert store.get("a") is not None
    store.delete("a")


def test_a_lost_answer_does_not_hide_a_conflict(gate: Gate, behind: Store, store: Store) -> None:
    revision = store.put("a", b"somebody else's")
    gate.swallow = 1
    with pytest.raises(RevisionConflict) as caught:
        behind.put("a", b"mine", expect_revision=revision - 1)
    assert caught.value.revision == revision
    assert store.get("a") == ("a", b"somebody else's", revision)


def test_a_lost_answer_is_not_taken_for_somebody_elses_change_to_the_same_value(
    gate: Gate, behind: Store, store: Store
) -> None:
    revision = store.put("a", b"1")
    gate.before_swallow = lambda: store.put("a", b"2")
    gate.swallow = 1
    with pytest.raises(RevisionConflict) as caught:
        behind.put("a", b"2", expect_revision=revision)
    assert caught.value.revision == revision + 1


def test_a_change_that_somebody_wrote_over_before_its_answer_was_due_was_made(
    gate: Gate, behind: Store, store: Store
) -> None:
    gate.swallow = 1
    gate.after_swallow = lambda: store.put("a", b"theirs")
    revision = behind.put("a", b"mine", expect_revision=0)
    assert store.get("a") == ("a", b"theirs", revision + 1)


def test_what_marks_a_change_is_in_no_listing_and_no_watch(single: Cluster, store: Store, prefix: str) -> None:
    since = store.put("a", b"1", expect_revision=0)
    last = store.put("a", b"2", expect_revision=since)
    assert store.list("").entries == (("a", b"2", last),)
    assert take(store.watch("", since), 1) == [("a", b"2", last)]
    assert len(single.control("get", "--prefix", f"/{prefix}/", "--keys-only", "--hex").split()) == 2


def test_a_lost_answer_to_any_other_change_is_said(gate: Gate, behind: Store, store: Store) -> None:
    for act in (
        lambda: behind.put("a", b"1"),
        lambda: behind.delete("a"),
        lambda: behind.delete("a", expect_revision=0),
    ):
        gate.swallow = 9
        with pytest.raises(ServiceUnavailable, match="it is not known whether the change was kept"):
            act()
        assert gate.swallow == 8, "sent more than once"
    gate.swallow = 9
    with pytest.raises(ServiceUnavailable, match="it is not known whether the change was kept"):
        behind.put("a", b"1", expect_revision=0)
    entry = store.get("a")
    assert entry is not None
    assert entry.value == b"1"


def test_a_password_is_asked_for_and_never_shown(tmp_path: Path) -> None:
    with running_cluster(tmp_path, 1) as cluster:
        for words in (
            "user add root:top",
            "user grant-role root root",
            "role add ours",
            "role grant-permission --prefix=true ours readwrite /ours/",
            "user add frontend:pass%word@",
            "user grant-role frontend ours",
            "auth enable",
        ):
            cluster.control(*words.split())
        for user in ("", "frontend:hidden@", "nobody:hidden@"):
            with pytest.raises(StartError, match="127.0.0.1") as caught:
                open_etcd(f"{user}{cluster.authority}", "ours")
            assert "hidden" not in str(caught.value)
        with pytest.raises(StartError, match="permission denied"):
            open_etcd(f"frontend:pass%25word%40@{cluster.authority}", "theirs")
        with closing(open_etcd(f"frontend:pass%25word%40@{cluster.authority}", "ours")) as store:
            revision = store.put("a", b"1", ttl_s=600)
            watch = store.watch("", revision)
            assert "word" not in store.where
            # Tokens do not outlive the member that made them.
            cluster.kill()
            cluster.start()
            assert store.renew("a", 600)
            assert store.put("a", b"2", expect_revision=revision) == revision + 1
            assert take(watch, 1) == [("a", b"2", revision + 1)]


def fill(store: Store, written: list[int], expect_revision: int | None) -> None:
    for number in range(20):
        written.append(store.put(f"k{number}", bytes(1 << 20), expect_revision=expect_revision))


@pytest.mark.parametrize(("expect_revision", "said"), [(None, "; it is not known whether"), (0, "exceeded$")])
def test_an_etcd_without_room_refuses_and_is_read_on(tmp_path: Path, expect_revision: int | None, said: str) -> None:
    with (
        running_cluster(tmp_path, 1, "--quota-backend-bytes=8388608") as cluster,
        closing(open_etcd(cluster.authority, "x")) as store,
    ):
        revision = store.put("a", b"1")
        written: list[int] = []
        with pytest.raises(ServiceUnavailable, match="database space exceeded") as caught:
            fill(store, written, expect_revision)
        assert re.search(said, str(caught.value))
        assert store.get("a") == ("a", b"1", revision)
        # etcd keeps the change that uses up the room, or refuses it before, as it comes.
        kept = [entry.revision for entry in store.list("k").entries]
        unknown = 0 if expect_revision == 0 else len(kept) - len(written)
        assert sorted(kept)[: len(kept) - unknown] == written
        assert unknown in (0, 1)


class Counting:
    """Writers that count up one key, each time expecting the revision that they read."""

    def __init__(self, store: Store, writers: int) -> None:
        self._store = store
        self._stop = threading.Event()
        self.acknowledged: list[tuple[int, int]] = []
        self.unknown = 0
        self.faults: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(writers)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
        assert self.faults == []

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._count()
        except BaseException as exc:
            self.faults.append(exc)

    def _count(self) -> None:
        try:
            entry = self._store.get("counter")
            number = 1 + (int(entry.value) if entry else 0)
            revision = self._store.put("counter", b"%d" % number, expect_revision=entry.revision if entry else 0)
        except RevisionConflict:
            return
        except ServiceUnavailable as exc:
            self.unknown += "not known" in str(exc)
            return
        self.acknowledged.append((revision, number))


def test_of_three_members_one_after_the_other_is_killed_during_edits(three: Cluster, prefix: str) -> None:
    with closing(open_etcd(three.authority, prefix)) as store:
        watch = store.watch("", store.list("").revision)
        counting = Counting(store, writers=2)
        for round_number in range(3):
            victim = three.leader() if round_number != 1 else three.members[0]
            seen = len(counting.acknowledged)
            wait_until(lambda seen=seen: len(counting.acknowledged) > seen + 5, 60)
            victim.kill()
            seen = len(counting.acknowledged)
            wait_until(lambda seen=seen: len(counting.acknowledged) > seen + 20, 60)
            three.start(victim)
        counting.stop()
        last = store.get("counter")
        assert last is not None
        by_revision = dict(counting.acknowledged)
        assert len(by_revision) == len(counting.acknowledged), "a revision was given twice"
        # Nothing that was acknowledged is lost, and nothing was done twice.
        assert int(last.value) - len(by_revision) <= counting.unknown
        events = take(watch, int(last.value))
        assert [int(event.value or b"") for event in events] == list(range(1, int(last.value) + 1))
        found = {event.revision: int(event.value or b"") for event in events}
        assert by_revision.items() <= found.items()


def test_without_a_majority_nothing_is_promised_and_all_is_well_afterwards(three: Cluster, prefix: str) -> None:
    with closing(open_etcd(three.authority, prefix)) as store:
        revision = store.put("a", b"1")
        watch = store.watch("", revision)
        for member in three.members[:2]:
            member.kill()
        for act in (lambda: store.get("a"), lambda: store.put("a", b"2", expect_revision=revision)):
            with pytest.raises(ServiceUnavailable):
                act()
        three.start(*three.members[:2])
        wait_until(lambda: works(lambda: store.get("a")), 30)
        entry = store.get("a")
        assert entry is not None
        # The change may have waited in the log of the member that was left.
        assert entry.value in (b"1", b"2")
        last = store.put("a", b"3", expect_revision=entry.revision)
        assert take(watch, last - revision)[-1] == ("a", b"3", last)


def test_a_member_that_hangs_is_passed_by(three: Cluster, prefix: str) -> None:
    with closing(open_etcd(three.authority, prefix)) as store:
        revision = store.put("a", b"1")
        victim = three.members[0]
        victim.signal(signal.SIGSTOP)
        try:
            wait_until(lambda: works(lambda: store.get("a")), 40)
            assert store.put("a", b"2", expect_revision=revision) == revision + 1
        finally:
            victim.signal(signal.SIGCONT)


def test_a_watch_on_a_member_that_hangs_moves_on(three: Cluster, prefix: str) -> None:
    address = read_address(f"etcd://{three.authority}/{prefix}")
    gateway = Gateway(address, answer_timeout_s=1.0)
    with closing(EtcdStore(address, gateway)) as store:
        revision = store.put("a", b"1")
        span = span_of(address.prefix)
        with closing(EtcdWatch(gateway, address.prefix, span, revision, silence_s=2.0)) as watch:
            assert watch.next(0.3) == []
            three.members[0].signal(signal.SIGSTOP)
            try:
                wait_until(lambda: works(lambda: store.get("a")), 40)
                three.control("put", f"/{prefix}/a", "2", members=three.members[1:])
                # Silence is what such a member has in common with one where nothing happens.
                assert take(watch, 1) == [("a", b"2", revision + 1)]
            finally:
                three.members[0].signal(signal.SIGCONT)
