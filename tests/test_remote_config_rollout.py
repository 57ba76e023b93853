# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from lmcache_frontend.remote_config.rollout import STEPS, place, reaches


def test_places_never_change() -> None:
    # Written out: another place would move running fleets from one side of a rollout to the other.
    assert [place("a", "vllm-0"), place("a", "vllm-1"), place("b", "vllm-0"), place("", "")] == [5806, 8304, 8567, 391]


def test_application_and_key_are_kept_apart() -> None:
    assert place("ab", "c") != place("a", "bc")
    assert place('a","', "b") != place("a", '","b')
    assert 0 <= place("\ud800", "é") < STEPS


def test_places_are_spread_evenly() -> None:
    shares = [0] * 10
    for number in range(5000):
        shares[place("app", f"pod-{number}") * 10 // STEPS] += 1
    assert min(shares) > 400
    assert max(shares) < 600


def test_what_a_smaller_rollout_reaches_a_larger_one_reaches_too() -> None:
    for number in range(200):
        reached = place("app", f"pod-{number}")
        answers = [reaches(percent / 100, reached) for percent in range(STEPS + 1)]
        assert answers == sorted(answers)
        assert (answers[0], answers[-1]) == (False, True)


def test_steps_are_a_hundredth_of_a_percent() -> None:
    assert [reaches(0.01, 0), reaches(0.01, 1), reaches(0.02, 1)] == [True, False, True]
    for step in range(STEPS):
        assert reaches((step + 1) / 100, step)
        assert not reaches(step / 100, step)
