# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from lmcache_frontend.fleet.health import Outcome, condition, faults_in_words
from lmcache_frontend.fleet.snapshot import Level

HEALTHY = {"level": "healthy", "reasons": []}
LATE = {"level": "degraded", "reasons": ["periodic thread x is late"]}
GONE = {"level": "unreachable", "reasons": ["timed out after 5 s"]}
SERVING = {"level": "serving", "reasons": ["LMCache 0.3.9 does not say how it is"]}
STRANGE = {"level": "answering", "reasons": ["answers HTTP (404), but nothing that is LMCache's"]}


@pytest.mark.parametrize(
    ("said", "metrics", "reason", "level", "reasons"),
    [
        (HEALTHY, Outcome.GOOD, None, Level.HEALTHY, ()),
        (HEALTHY, Outcome.OFF, "answered 404", Level.HEALTHY, ()),
        (SERVING, Outcome.GOOD, None, Level.SERVING, ("LMCache 0.3.9 does not say how it is",)),
        (LATE, Outcome.GOOD, None, Level.DEGRADED, ("periodic thread x is late",)),
        (
            HEALTHY,
            Outcome.FAULTY,
            "line 12: x, 3 lines dropped",
            Level.DEGRADED,
            ("metrics: line 12: x, 3 lines dropped",),
        ),
        (SERVING, Outcome.FAILED, "answered 500", Level.DEGRADED, ("metrics: answered 500",)),
        (LATE, Outcome.FAILED, "no", Level.DEGRADED, ("periodic thread x is late", "metrics: no")),
        (GONE, Outcome.FAILED, "timed out after 5 s", Level.UNREACHABLE, ("timed out after 5 s",)),
        (GONE, Outcome.GOOD, None, Level.DEGRADED, ("health: timed out after 5 s",)),
        (STRANGE, Outcome.OFF, None, Level.ANSWERING, ("answers HTTP (404), but nothing that is LMCache's",)),
        (None, Outcome.GOOD, None, Level.ANSWERING, ("health: not understood",)),
    ],
)
def test_level_and_reasons(
    said: Any, metrics: Outcome, reason: str | None, level: Level, reasons: tuple[str, ...]
) -> None:
    assert condition(said, metrics, reason) == (level, reasons)


def test_faults_are_told_with_what_was_lost() -> None:
    assert faults_in_words(["line 12: no number", "line 13: x"], 3) == "line 12: no number, 3 lines dropped"
    assert faults_in_words([], 1) == "1 line dropped"
