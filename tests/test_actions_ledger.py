# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading

import pytest

from lmcache_frontend.actions.ledger import MOST_KEPT, MOST_LINES_KEPT, MOST_RUNNING, Ledger, Progress
from lmcache_frontend.actions.outcomes import DONE, FAILED, Line
from lmcache_frontend.errors import NotFound, ServiceUnavailable


def ledger() -> Ledger:
    return Ledger(lambda: 7.0)


def opened(book: Ledger, total: int = 1) -> Progress:
    return book.open("freeze", "freeze on", total)


def test_progress_is_told_from_any_position() -> None:
    progress = opened(ledger(), 2)
    assert progress.follow(0, 0.0) == ([], False)
    one, two = Line("a", DONE, "x", 200, 0.5), Line("b", FAILED, "y")
    progress.add(one)
    progress.add(two)
    assert progress.follow(0, 0.0) == ([one, two], False)
    assert progress.follow(1, 9.0) == ([two], False)
    assert progress.lines == [one, two]
    assert progress.failures == 1
    progress.end(9.0)
    assert progress.follow(2, 9.0) == ([], True)
    assert progress.summary == {"done": 1, "failed": 1, "unsupported": 0, "skipped": 0, "planned": 0}


def test_who_waits_is_woken_by_a_line() -> None:
    progress = opened(ledger())
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(progress.follow(0, 30.0)))
    thread.start()
    progress.add(Line("a", DONE, ""))
    thread.join(10)
    assert got == [([Line("a", DONE, "")], False)]


def test_the_first_reason_to_stop_counts() -> None:
    progress = opened(ledger())
    assert not progress.wait_for_stop(0.0)
    progress.stop("one")
    progress.stop("two")
    assert progress.wait_for_stop(30.0)
    assert progress.stop_reason == "one"


def test_documents_say_how_far_it_is() -> None:
    progress = ledger().open("freeze", "freeze on", 3, dry_run=True)
    expected = {
        "id": progress.id,
        "action": "freeze",
        "what": "freeze on",
        "nodes": 3,
        "dry_run": True,
        "state": "running",
        "stop_reason": None,
        "started_at": 7.0,
        "ended_at": None,
        "summary": progress.summary,
    }
    assert progress.document == expected
    progress.stop("why")
    assert progress.document == {**expected, "state": "stopping", "stop_reason": "why"}
    progress.end(8.0)
    assert progress.document == {**expected, "state": "ended", "stop_reason": "why", "ended_at": 8.0}


def test_actions_are_found_by_ids_that_cannot_be_guessed() -> None:
    book = ledger()
    one, two = opened(book), opened(book)
    assert len({one.id, two.id}) == 2
    assert min(len(one.id), len(two.id)) >= 22
    assert book.find(one.id) is one
    assert book.recent() == [two, one]
    with pytest.raises(NotFound, match="no action has this id, or it is too long ago"):
        book.find("1")


def test_old_actions_are_forgotten_and_running_ones_are_not() -> None:
    book = ledger()
    first = opened(book)
    ended = []
    for _ in range(MOST_KEPT):
        ended.append(opened(book))
        ended[-1].end(1.0)
    assert len(book.recent()) == MOST_KEPT
    assert book.find(first.id) is first
    with pytest.raises(NotFound):
        book.find(ended[0].id)
    assert book.find(ended[1].id) is ended[1]


def test_the_number_of_lines_is_bounded() -> None:
    book = ledger()
    for _ in range(4):
        opened(book, MOST_LINES_KEPT // 2).end(1.0)
    assert len(book.recent()) == 2


def test_only_so_many_run_at_once() -> None:
    book = ledger()
    running = [opened(book) for _ in range(MOST_RUNNING)]
    with pytest.raises(ServiceUnavailable, match="16 actions are under way, no more at once") as caught:
        opened(book)
    assert caught.value.fields == (("Retry-After", "5"),)
    running[0].end(1.0)
    opened(book)


def test_closing_stops_what_runs_and_takes_no_more() -> None:
    book = ledger()
    running, ended = opened(book), opened(book)
    ended.end(1.0)
    book.close("over")
    assert (running.stop_reason, ended.stop_reason) == ("over", "")
    with pytest.raises(ServiceUnavailable, match="this service is ending"):
        opened(book)
