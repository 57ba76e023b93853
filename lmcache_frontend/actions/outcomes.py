# SPDX-License-Identifier: Apache-2.0
"""What can come of an action on a node. Values alone."""

from __future__ import annotations

from typing import NamedTuple

DONE, FAILED, UNSUPPORTED, SKIPPED, PLANNED = "done", "failed", "unsupported", "skipped", "planned"
OUTCOMES = (DONE, FAILED, UNSUPPORTED, SKIPPED, PLANNED)


class Verdict(NamedTuple):
    """What an answer means: an outcome, and why or with what effect, in words that are safe to show."""

    outcome: str
    detail: str


class Line(NamedTuple):
    """What came of an action on one node; ``status`` is that of the answer, where one came."""

    node: str
    outcome: str
    detail: str
    status: int | None = None
    seconds: float = 0.0
