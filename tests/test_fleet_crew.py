# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from lmcache_frontend.fleet.crew import Crew, Lane
from tests.helpers.waiting import wait_until


class Gate:
    """A job that waits until it is let go, and counts how many do so at once."""

    def __init__(self) -> None:
        self.inside = 0
        self._lock = threading.Lock()
        self._open = threading.Event()

    def __call__(self) -> None:
        with self._lock:
            self.inside += 1
        self._open.wait(10)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def test_no_thread_is_started_before_there_is_work() -> None:
    assert Crew(4).stop() == []


def test_the_dead_and_the_new_leave_threads_for_the_living(gate: Gate) -> None:
    crew = Crew(8)
    for _ in range(50):
        crew.put(Lane.DEAD, gate)
        crew.put(Lane.NEW, gate)
    wait_until(lambda: gate.inside == 2 + 4)
    done = threading.Event()
    crew.put(Lane.LIVE, done.set)
    assert done.wait(5)
    assert gate.inside == 6
    gate.open()
    assert len(crew.stop()) <= 8


def test_the_living_may_have_all_threads(gate: Gate) -> None:
    crew = Crew(3)
    for _ in range(10):
        crew.put(Lane.LIVE, gate)
    wait_until(lambda: gate.inside == 3)
    threads = crew.stop()
    assert len(threads) == 3
    gate.open()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert gate.inside == 3, "what waited was dropped"


def test_what_waits_is_done_once_there_is_room(gate: Gate) -> None:
    crew = Crew(4)
    done = []
    crew.put(Lane.DEAD, gate)
    crew.put(Lane.DEAD, lambda: done.append(1))
    wait_until(lambda: gate.inside == 1)
    assert not done
    gate.open()
    wait_until(lambda: done)
    crew.stop()


def test_threads_are_used_again() -> None:
    crew = Crew(16)
    for _ in range(5):
        done = threading.Event()
        crew.put(Lane.LIVE, done.set)
        assert done.wait(5)
    # The thread may not have gone back to wait when the next job came.
    assert 1 <= len(crew.stop()) <= 5


def test_a_job_that_fails_is_logged_and_its_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    crew = Crew(1)

    def fault() -> None:
        raise RuntimeError("what a job may do")

    with caplog.at_level(logging.ERROR):
        crew.put(Lane.LIVE, fault)
        done = threading.Event()
        crew.put(Lane.LIVE, done.set)
        assert done.wait(5)
    assert "what a job may do" in caplog.text
    crew.stop()


def test_after_the_end_nothing_is_taken() -> None:
    crew = Crew(2)
    assert crew.stop() == []
    done = threading.Event()
    crew.put(Lane.LIVE, done.set)
    assert crew.stop() == []
    assert not done.is_set()
