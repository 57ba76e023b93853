# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from lmcache_frontend.audit import trail as module
from lmcache_frontend.audit.deeds import Deed, Wanted
from lmcache_frontend.audit.trail import KEPT_S, PREFIX, AuditTrail, Page
from lmcache_frontend.errors import ServiceUnavailable
from lmcache_frontend.masking import MASK
from lmcache_frontend.store.memory import open_memory
from lmcache_frontend.store.unavailable import UnavailableStore

DEED = Deed("ada", "127.0.0.1", "change rules", "remote configuration", "done")


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def trail() -> tuple[AuditTrail, Clock]:
    clock = Clock()
    store = open_memory(clock)
    return AuditTrail(lambda: store, clock), clock


def details(page: Page) -> list[str]:
    return [entry["detail"] for entry in page.entries]


def test_the_newest_comes_first_and_pages_follow_each_other() -> None:
    audit, clock = trail()
    for number in range(5):
        audit.record(DEED._replace(detail=str(number)))
        clock.now += 1
    page = audit.entries(2)
    assert details(page) == ["4", "3"]
    last: dict[str, Any] = page.entries[-1]
    assert page.next_before == last["at"]
    rest = audit.entries(10, Wanted(before=last["at"]))
    assert (details(rest), rest.next_before) == (["2", "1", "0"], None)
    assert last == {"at": 1_800_000_003.0, **DEED._asdict(), "detail": "3"}


def test_deeds_of_one_moment_are_all_kept_and_paged_through() -> None:
    audit, _ = trail()
    for number in range(100):
        audit.record(DEED._replace(detail=str(number)))
    found, before = [], None
    for _ in range(20):
        page = audit.entries(7, Wanted(before=before))
        found += details(page)
        before = page.next_before
        if before is None:
            break
    assert found == [str(number) for number in reversed(range(100))]


def test_the_same_over_and_over_is_one_entry_a_moment() -> None:
    audit, _ = trail()
    for _ in range(1000):
        audit.record(DEED)
    assert sum(entry.get("times", 1) for entry in audit.entries(1000).entries) == 1000
    assert len(audit.entries(1000).entries) < 500


def test_entries_go_after_their_time() -> None:
    audit, clock = trail()
    audit.record(DEED)
    assert len(audit.entries().entries) == 1
    clock.now += KEPT_S + 1
    assert audit.entries().entries == []


def test_secrets_in_urls_are_hidden_and_texts_have_a_limit() -> None:
    audit, _ = trail()
    audit.record(DEED._replace(target="redis://user:pass@host", detail="x" * 10_000))
    (entry,) = audit.entries().entries
    assert entry["target"] == f"redis://{MASK}@host"
    assert len(entry["detail"]) == 500


def test_what_another_program_wrote_is_left_out() -> None:
    store = open_memory()
    audit = AuditTrail(lambda: store, Clock())
    audit.record(DEED)
    for number, value in enumerate((b"no json", b"[]", b"\xff", b"[" * 100_000, b"{}", b'{"at": "x"}')):
        store.put(f"{PREFIX}9{number}", value)
    assert [entry["who"] for entry in audit.entries().entries] == ["ada"]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted(), "3210"),
        (Wanted(who="ADA"), "10"),
        (Wanted(who="*a*"), "10"),
        (Wanted(what="rules"), "3210"),
        (Wanted(what="ROLL"), "3"),
        (Wanted(what="change*"), "210"),
        (Wanted(node="w-?"), "2"),
        (Wanted(outcome="refused"), "1"),
        (Wanted(since=1_800_000_002.0), "32"),
        (Wanted(since=1_800_000_001.0, before=1_800_000_003.0), "21"),
        (Wanted(who="nobody"), ""),
    ],
)
def test_entries_are_chosen(wanted: Wanted, numbers: str) -> None:
    audit, clock = trail()
    deeds = [
        DEED,
        DEED._replace(outcome="refused"),
        DEED._replace(who="ben", target="w-0"),
        DEED._replace(who="ben", what="roll back rules"),
    ]
    for number, deed in enumerate(deeds):
        audit.record(deed._replace(detail=str(number)))
        clock.now += 1
    assert "".join(details(audit.entries(wanted=wanted))) == numbers


def test_a_search_without_end_says_where_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LOOKED_AT", 100)
    audit, _ = trail()
    for number in range(150):
        audit.record(DEED._replace(detail=str(number)))
    page = audit.entries(10, Wanted(what="nothing like it"))
    assert page.entries == []
    assert page.next_before is not None
    assert audit.entries(10, Wanted(what="nothing like it", before=page.next_before)).next_before is None


def test_the_oldest_go_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 50)
    monkeypatch.setattr(module, "_PAGE", 25)
    audit, _ = trail()
    for number in range(200):
        audit.record(DEED._replace(detail=str(number)))
    kept = details(audit.entries(200))
    assert kept == [str(number) for number in range(199, 199 - len(kept), -1)]
    assert 50 <= len(kept) <= 50 + 25 + 40


def test_of_refused_attempts_some_are_kept_and_the_rest_counted() -> None:
    audit, clock = trail()
    for number in range(100):
        audit.refuse(DEED._replace(outcome="refused", detail=str(number)))
    audit.refuse(DEED._replace(address="10.0.0.9", detail="another"))
    assert details(audit.entries()) == ["another", "4", "3", "2", "1", "0"]
    clock.now += 601
    newest = audit.entries().entries[0]
    assert (newest["address"], newest["outcome"]) == ("127.0.0.1", "refused")
    assert newest["detail"] == "95 more refused attempts within 10 minutes, the last: 99"
    audit.refuse(DEED._replace(detail="again"))
    assert details(audit.entries())[0] == "again"


def test_many_clients_together_are_limited_too() -> None:
    audit, clock = trail()
    for number in range(1000):
        audit.refuse(DEED._replace(address=f"10.0.{number // 256}.{number % 256}"))
    assert len(audit.entries(1000).entries) == 100
    clock.now += 601
    newest = audit.entries().entries[0]
    assert (newest["who"], newest["address"]) == ("others", "")
    assert newest["detail"].startswith("900 more")


def test_what_programs_repeat_is_kept_once_in_a_while() -> None:
    audit, clock = trail()
    for _ in range(5):
        audit.record_once(DEED, within_s=60)
        audit.record_once(DEED._replace(target="another"), within_s=60)
        clock.now += 1
    assert len(audit.entries().entries) == 2
    clock.now += 60
    audit.record_once(DEED, within_s=60)
    assert len(audit.entries().entries) == 3


def test_a_deed_that_cannot_be_kept_is_logged(warnings: Callable[[], list[str]]) -> None:
    audit = AuditTrail(lambda: UnavailableStore("away"), Clock())
    audit.record(DEED)
    assert audit.flush(10)
    (line,) = warnings()
    assert "away" in line
    assert "change rules" in line


def test_nothing_is_lost_at_an_end_and_what_comes_after_it_is_logged(warnings: Callable[[], list[str]]) -> None:
    store = open_memory()
    audit = AuditTrail(lambda: store, Clock())
    for number in range(500):
        audit.record(DEED._replace(detail=str(number)))
    for _ in range(9):
        audit.refuse(DEED)
    audit.close(10)
    assert len(store.list(PREFIX).entries) == 502
    assert b"4 more refused" in store.list(PREFIX, newest_first=True, limit=1).entries[0].value
    assert warnings() == []
    audit.record(DEED)
    assert "change rules" in warnings()[0]
    assert audit.entries(1).entries


def test_a_store_that_is_stuck_holds_nobody_up(warnings: Callable[[], list[str]]) -> None:
    goes_on = threading.Event()

    def stuck() -> Any:
        goes_on.wait(10)
        raise ServiceUnavailable("stuck")

    audit = AuditTrail(stuck, Clock())
    for number in range(module.MOST_WAITING + 100):
        audit.record(DEED._replace(detail=str(number)))
    assert not audit.flush(0.01)
    goes_on.set()
    assert audit.flush(20)
    assert any("deeds, as too many waited" in line for line in warnings())
