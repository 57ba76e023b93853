# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lmcache_frontend.audit import KEPT_S, PREFIX, AuditTrail, Deed
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


def test_the_newest_comes_first_and_pages_follow_each_other() -> None:
    audit, clock = trail()
    for number in range(5):
        audit.record(DEED._replace(detail=str(number)))
        clock.now += 1
    assert [entry["detail"] for entry in audit.entries(2)] == ["4", "3"]
    last: dict[str, Any] = audit.entries(2)[-1]
    assert [entry["detail"] for entry in audit.entries(10, before=last["at"])] == ["2", "1", "0"]
    assert last == {"at": 1_800_000_003.0, **DEED._asdict(), "detail": "3"}


def test_deeds_of_one_moment_are_all_kept() -> None:
    audit, _ = trail()
    for _ in range(20):
        audit.record(DEED)
    assert len(audit.entries(100)) == 20


def test_entries_go_after_their_time() -> None:
    audit, clock = trail()
    audit.record(DEED)
    clock.now += KEPT_S + 1
    assert audit.entries() == []


def test_secrets_in_urls_are_hidden_and_texts_have_a_limit() -> None:
    audit, _ = trail()
    audit.record(DEED._replace(target="redis://user:pass@host", detail="x" * 10_000))
    (entry,) = audit.entries()
    assert entry["target"] == f"redis://{MASK}@host"
    assert len(entry["detail"]) == 500


def test_what_another_program_wrote_is_left_out() -> None:
    store = open_memory()
    audit = AuditTrail(lambda: store, Clock())
    audit.record(DEED)
    for number, value in enumerate((b"no json", b"[]", b"\xff", b"[" * 100_000)):
        store.put(f"{PREFIX}9{number}", value)
    assert [entry["who"] for entry in audit.entries()] == ["ada"]


def test_a_deed_that_cannot_be_kept_is_logged(warnings: Callable[[], list[str]]) -> None:
    AuditTrail(lambda: UnavailableStore("away"), Clock()).record(DEED)
    (line,) = warnings()
    assert "away" in line
    assert "change rules" in line
