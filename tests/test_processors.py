# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn

import pytest

from lmcache_frontend.http1 import processors
from lmcache_frontend.http1.processors import GATHER_AT, SCATTER_BELOW, Gathering, should_gather
from tests.helpers.parts import missing


@pytest.mark.parametrize(
    ("gathered", "share", "wanted"),
    [
        (False, 0.0, False),
        (False, 0.5, False),
        (False, SCATTER_BELOW, False),
        (False, GATHER_AT - 0.001, False),
        (False, GATHER_AT, True),
        (False, 3.0, True),
        (True, 3.0, True),
        (True, GATHER_AT, True),
        (True, SCATTER_BELOW, True),
        (True, SCATTER_BELOW - 0.001, False),
        (True, 0.5, False),
        (True, 0.0, False),
        (True, -1.0, False),
    ],
)
def test_when_threads_belong_together(gathered: bool, share: float, wanted: bool) -> None:
    assert should_gather(gathered, share) is wanted


def test_half_a_processor_is_too_little_to_stay_together() -> None:
    assert 0.5 < SCATTER_BELOW < GATHER_AT < 1.0


class Clock:
    """In place of the ``time`` module."""

    def __init__(self) -> None:
        self.wall_s = 100.0
        self.used_s = 10.0

    def monotonic(self) -> float:
        return self.wall_s

    def process_time(self) -> float:
        return self.used_s

    def pass_by(self, wall_s: float, used_s: float) -> None:
        self.wall_s += wall_s
        self.used_s += used_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(processors, "time", clock)
    return clock


def threads() -> dict[int, set[int]]:
    """Give the processors that each thread of this process may use."""
    found = {}
    for name in os.listdir("/proc/self/task"):
        with suppress(OSError):
            found[int(name)] = set(os.sched_getaffinity(int(name)))
    return found


@pytest.fixture
def given() -> Iterator[set[int]]:
    """Give the processors that the tests may use, start a few threads, and set all free again at the end."""
    if sys.platform != "linux":
        pytest.skip("processors are chosen on Linux only")
    before = set(os.sched_getaffinity(0))
    if len(before) < 2:
        missing("two processors")
    ended = threading.Event()
    started = [threading.Thread(target=ended.wait) for _ in range(4)]
    for thread in started:
        thread.start()
    try:
        yield before
    finally:
        for thread in threads():
            with suppress(OSError):
                os.sched_setaffinity(thread, before)
        ended.set()
        for waiting in started:
            waiting.join(10)


def test_busy_threads_are_gathered_and_quiet_ones_set_free(given: set[int], clock: Clock) -> None:
    own = threading.get_native_id()
    gathering = Gathering()
    clock.pass_by(0.5, 0.5 * (GATHER_AT - 0.01))
    gathering.adjust()
    assert all(allowed == given for allowed in threads().values())

    clock.pass_by(0.5, 0.5)
    gathering.adjust()
    found = threads()
    assert found.pop(own) == given
    assert len(found) >= 4
    (together,) = {frozenset(allowed) for allowed in found.values()}
    assert len(together) == 1
    assert together < given

    clock.pass_by(0.5, 0.5 * (SCATTER_BELOW + 0.01))
    gathering.adjust()
    assert {frozenset(allowed) for thread, allowed in threads().items() if thread != own} == {together}

    clock.pass_by(0.5, 0.5 * (SCATTER_BELOW - 0.01))
    gathering.adjust()
    assert all(allowed == given for allowed in threads().values())


def test_a_new_thread_of_a_gathered_one_is_with_the_others(given: set[int], clock: Clock) -> None:
    begin = threading.Event()
    seen: list[set[int]] = []

    def accept() -> None:
        begin.wait(10)
        child = threading.Thread(target=lambda: seen.append(set(os.sched_getaffinity(0))))
        child.start()
        child.join(10)

    parent = threading.Thread(target=accept)
    parent.start()
    gathering = Gathering()
    clock.pass_by(1.0, 1.0)
    gathering.adjust()
    begin.set()
    parent.join(10)
    assert [len(allowed) for allowed in seen] == [1]


def test_only_what_was_given_is_used(given: set[int], clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[set[int]] = []
    monkeypatch.setattr(processors, "_set_affinity", chosen.append)
    gathering = Gathering()
    monkeypatch.setattr(processors, "_current_processor", lambda: max(given) + 1000)
    clock.pass_by(1.0, 1.0)
    gathering.adjust()
    assert chosen == [given]


def test_nothing_is_set_again_while_nothing_changes(
    given: set[int], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[set[int]] = []
    monkeypatch.setattr(processors, "_set_affinity", chosen.append)
    gathering = Gathering()
    for used_s in (1.0, 1.0, 0.6, 1.0, 0.0, 0.0, 0.6):
        clock.pass_by(1.0, used_s)
        gathering.adjust()
    assert [len(allowed) for allowed in chosen] == [1, len(given)]


def test_a_clock_that_stands_still_is_no_division_by_zero(
    given: set[int], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[set[int]] = []
    monkeypatch.setattr(processors, "_set_affinity", chosen.append)
    gathering = Gathering()
    gathering.adjust()
    clock.pass_by(-5.0, 0.0)
    gathering.adjust()
    assert chosen == []


def test_a_thread_that_has_ended_is_passed_over(given: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.listdir("/proc/self/task")
    monkeypatch.setattr(processors.os, "listdir", lambda path: [str(2**31 - 1), *listed])
    one = {min(given)}
    processors._set_affinity(one)
    found = threads()
    assert found.pop(threading.get_native_id()) == given
    assert all(allowed == one for allowed in found.values())


def test_the_current_processor_is_one_of_those_given(given: set[int]) -> None:
    assert processors._current_processor() in given


def forbidden(*_: object) -> NoReturn:
    raise AssertionError("processors were set")


def test_one_processor_is_left_alone(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_set_affinity", forbidden)
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda thread: {0}, raising=False)
    gathering = Gathering()
    clock.pass_by(1.0, 1.0)
    gathering.adjust()


def test_a_system_that_cannot_choose_is_left_alone(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_set_affinity", forbidden)
    monkeypatch.delattr(processors.os, "sched_getaffinity", raising=False)
    gathering = Gathering()
    clock.pass_by(1.0, 1.0)
    gathering.adjust()
