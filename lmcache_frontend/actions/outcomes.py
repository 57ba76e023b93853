# SPDX-License-Identifier: Apache-2.0
"""What can come of an action on a node. Values alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

DONE, FAILED, UNSUPPORTED, SKIPPED, PLANNED = "done", "failed", "unsupported", "skipped", "planned"
OUTCOMES = (DONE, FAILED, UNSUPPORTED, SKIPPED, PLANNED)


class Verdict(NamedTuple):
    """What an answer means: an outcome, and why or with what effect, in words that are safe to show.

    ``keys`` is what a node said of each configuration key: ``{"value": held}`` or ``{"error": words}``.
    """

    outcome: str
    detail: str
    keys: Mapping[str, Mapping[str, Any]] | None = None


class Line(NamedTuple):
    """What came of an action on one node; ``status`` is that of the answer, if one came; ``keys`` as in a verdict."""

    node: str
    outcome: str
    detail: str
    status: int | None = None
    seconds: float = 0.0
    keys: Mapping[str, Mapping[str, Any]] | None = None
