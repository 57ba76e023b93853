# SPDX-License-Identifier: Apache-2.0
"""What the readings of one round make of a node's level. Pure.

How a node itself says it is comes from `cluster.adapters`; here that meets what came of its metrics. What is wrong with
a fleet as a whole, is in `problems`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from lmcache_frontend.fleet.snapshot import Level


class Outcome(Enum):
    """What came of asking for metrics."""

    GOOD = "good"
    FAULTY = "faulty"
    OFF = "off"
    FAILED = "failed"


class Condition(NamedTuple):
    """A level, with the reasons for it in words."""

    level: Level
    reasons: tuple[str, ...]


def condition(said: Mapping[str, Any] | None, metrics: Outcome, metrics_reason: str | None) -> Condition:
    """Give a node's level out of its ``{"level", "reasons"}`` and of what came of its metrics.

    ``said`` is None where it was not understood.
    """
    level = Level(said["level"]) if said else Level.ANSWERING
    reasons = tuple(said["reasons"]) if said else ("health: not understood",)
    spoke = metrics in (Outcome.GOOD, Outcome.FAULTY)
    if level is Level.UNREACHABLE and spoke:
        level, reasons = Level.DEGRADED, tuple(f"health: {reason}" for reason in reasons)
    if metrics in (Outcome.FAULTY, Outcome.FAILED) and level not in (Level.UNREACHABLE, Level.ANSWERING):
        if level is not Level.DEGRADED:
            level, reasons = Level.DEGRADED, ()
        reasons = (*reasons, f"metrics: {metrics_reason}")
    return Condition(level, reasons)


def faults_in_words(faults: Sequence[str], dropped: int) -> str:
    """Say what was wrong with a body: the first fault, and how much was lost."""
    lines = f"{dropped} line{'' if dropped == 1 else 's'} dropped"
    return f"{faults[0]}, {lines}" if faults else lines
