# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.fleet.history import RINGS, SERIES, History, rings_for
from tests.helpers.demo import START


def filled(rounds: int, step_s: float = 10.0) -> tuple[History, float]:
    history = History()
    for number in range(rounds):
        history.add(START + number * step_s, {"a": float(number)})
    return history, START + (rounds - 1) * step_s


def test_values_come_back_in_the_order_of_time() -> None:
    history, now = filled(5)
    found = history.read(["a"], now, since=START)
    assert found == {"step_s": 10.0, "start": START, "series": {"a": [0.0, 1.0, 2.0, 3.0, 4.0]}}


def test_a_step_without_a_value_is_a_gap() -> None:
    history = History()
    history.add(START, {"a": 1.0, "b": None})
    history.add(START + 30, {"a": 2.0})
    found = history.read(["a", "b", "c"], START + 40, since=START)["series"]
    assert found == {"a": [1.0, None, None, 2.0, None], "b": [None] * 5, "c": [None] * 5}


def test_a_series_that_begins_late_has_gaps_before() -> None:
    history = History()
    history.add(START, {"a": 1.0})
    history.add(START + 10, {"a": 1.0, "b": 5.0})
    assert history.read(["b"], START + 10, since=START)["series"] == {"b": [None, 5.0]}


def test_what_is_older_than_a_ring_is_forgotten() -> None:
    history, now = filled(200)
    found = history.read(["a"], now, since=None)
    assert found["series"]["a"] == [float(number) for number in range(110, 200)]
    assert found["start"] == START + 1100


@pytest.mark.parametrize(
    ("ago_s", "step_s", "expected"),
    [
        (600, 0, 10),
        (890, 0, 10),
        (901, 0, 60),
        (3500, 0, 60),
        (4000, 0, 600),
        (10**7, 0, 600),
        (300, 60, 60),
        (300, 30, 60),
        (300, 10**6, 600),
    ],
)
def test_the_finest_ring_that_reaches_back_is_read(ago_s: float, step_s: float, expected: float) -> None:
    history, now = filled(500)
    found = history.read(["a"], now, since=now - ago_s, step_s=step_s)
    assert found["step_s"] == expected
    count = len(found["series"]["a"])
    assert count <= 144
    assert found["start"] + (count - 1) * expected <= now < found["start"] + count * expected


def test_coarse_steps_are_means_of_what_came_in_them() -> None:
    history, now = filled(12)
    assert history.read(["a"], now, since=START, step_s=60)["series"]["a"] == [2.5, 8.5]


def test_gaps_do_not_count_in_a_mean() -> None:
    history = History()
    history.add(START, {"a": 4.0})
    history.add(START + 10, {"a": None})
    history.add(START + 20, {"a": 8.0})
    assert history.read(["a"], START + 20, since=START, step_s=60)["series"]["a"] == [6.0]


def test_two_values_in_one_step_are_averaged() -> None:
    history = History()
    history.add(START + 1, {"a": 1.0})
    history.add(START + 9, {"a": 3.0})
    assert history.read(["a"], START + 9, since=START)["series"]["a"] == [2.0]


def test_reading_ends_now_and_not_with_the_last_value() -> None:
    history, now = filled(3)
    assert history.read(["a"], now + 20, since=START)["series"]["a"] == [0.0, 1.0, 2.0, None, None]
    assert history.read(["a"], now + 86400 * 2, since=now + 86400 * 2 - 50)["series"]["a"] == [None] * 6


def test_a_time_that_is_still_to_come_is_a_gap() -> None:
    history, now = filled(3)
    assert history.read(["a"], now, since=now + 1000)["series"]["a"] == [None]


def test_nothing_was_before_anything_was_added() -> None:
    assert History().read(["a"], START, since=START - 20)["series"]["a"] == [None] * 3


def test_a_long_silence_leaves_no_old_values() -> None:
    history, now = filled(90)
    history.add(now + 100000, {"a": 7.0})
    assert history.read(["a"], now + 100000, since=None)["series"]["a"] == [None] * 89 + [7.0]


def test_a_clock_that_is_corrected_loses_nothing_and_one_set_back_begins_anew() -> None:
    history, now = filled(5)
    history.add(now - 10, {"a": 6.0})
    assert history.read(["a"], now, since=START)["series"]["a"] == [0.0, 1.0, 2.0, 3.0, 5.0]
    history.add(now - 4000, {"a": 9.0})
    assert history.read(["a"], now - 4000, since=now - 4000)["series"]["a"] == [9.0]
    assert history.read(["a"], now, since=START)["series"]["a"] == [None] * 5


def test_rings_are_no_finer_than_the_rounds() -> None:
    assert rings_for(10.0) == RINGS
    assert rings_for(1.0) == RINGS
    assert rings_for(30.0)[0] == (30.0, 90)
    assert [step for step, _ in rings_for(120.0)] == [120.0, 600.0]


def test_no_series_is_kept_twice() -> None:
    assert len(SERIES) == len(set(SERIES)) == 28
