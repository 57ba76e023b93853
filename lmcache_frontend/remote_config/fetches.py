# SPDX-License-Identifier: Apache-2.0
"""How often workers have asked for configuration, by application and outcome, with a histogram of the durations."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple

from lmcache_frontend.traffic import BUCKETS_S, Durations

# An application is a label value, and anybody can name one: not more of them than Prometheus would like.
MOST_APPLICATIONS = 200
NAME_LIMIT = 128
OTHERS = "other"


class FetchStatistics(NamedTuple):
    """All counts at one moment: ``{(app_id, outcome): fetches}`` and the durations over `BUCKETS_S`."""

    fetches: Mapping[tuple[str, str], int]
    durations: Durations


class Fetches:
    """Counts fetches; may be used from many threads."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._fetches: dict[tuple[str, str], int] = {}
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def note(self, app_id: str, outcome: str, duration_s: float) -> None:
        """Count one fetch; an application that is one too many is counted among the others."""
        bucket = bisect_left(BUCKETS_S, duration_s)
        with self._lock:
            if app_id not in self._names:
                if len(self._names) < MOST_APPLICATIONS and len(app_id) <= NAME_LIMIT:
                    self._names.add(app_id)
                else:
                    app_id = OTHERS
            key = (app_id, outcome)
            self._fetches[key] = self._fetches.get(key, 0) + 1
            self._counts[bucket] += 1
            self._sum_s += duration_s

    def read(self) -> FetchStatistics:
        """Give all counts."""
        with self._lock:
            return FetchStatistics(dict(self._fetches), Durations(tuple(self._counts), self._sum_s))
