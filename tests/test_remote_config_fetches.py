# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.remote_config.fetches import MOST_APPLICATIONS, Fetches
from lmcache_frontend.traffic import BUCKETS_S


def test_fetches_are_counted_by_application_and_outcome() -> None:
    fetches = Fetches()
    assert fetches.read().fetches == {}
    for app_id, outcome in (("a", "matched"), ("a", "matched"), ("a", "denied"), ("", "empty")):
        fetches.note(app_id, outcome, 0.002)
    read = fetches.read()
    assert read.fetches == {("a", "matched"): 2, ("a", "denied"): 1, ("", "empty"): 1}
    assert read.durations.counts == (0, 4, *[0] * (len(BUCKETS_S) - 1))
    assert read.durations.sum_s == pytest.approx(0.008)
    fetches.note("a", "matched", 1e6)
    assert read.fetches[("a", "matched")] == 2
    assert fetches.read().durations.counts[-1] == 1


def test_applications_that_are_too_many_or_too_long_are_counted_together() -> None:
    fetches = Fetches()
    fetches.note("x" * 129, "empty", 0)
    for number in range(MOST_APPLICATIONS + 5):
        fetches.note(f"app-{number}", "empty", 0)
    fetches.note("app-0", "matched", 0)
    counts = fetches.read().fetches
    assert counts[("other", "empty")] == 6
    assert counts[("app-0", "matched")] == 1
    assert len({app_id for app_id, _ in counts}) == MOST_APPLICATIONS + 1
