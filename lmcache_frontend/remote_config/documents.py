# SPDX-License-Identifier: Apache-2.0
"""What others show of the remote configuration: the catalogue as JSON, and its metric families. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmcache_frontend.exposition.render import Metric, histogram_samples
from lmcache_frontend.remote_config.catalogue import Key, release_of, release_text
from lmcache_frontend.remote_config.fetches import FetchStatistics
from lmcache_frontend.remote_config.values import strict
from lmcache_frontend.traffic import BUCKETS_S


def catalogue_document(version: str, keys: Mapping[str, Key]) -> dict[str, Any]:
    """Give ``{"version", "keys": [{"key", "type", "default", "since", "meaning"}]}``."""
    listed = [
        {
            "key": key.name,
            "type": key.type,
            "default": strict(key.default),
            "since": key.since,
            "meaning": key.meaning,
            "variable": key.variable,
        }
        for key in keys.values()
    ]
    return {"version": release_text(release_of(version)), "keys": listed}


def fetch_metrics(statistics: FetchStatistics) -> list[Metric]:
    """Give the families that count the asking of workers."""
    fetches: list[tuple[str, Mapping[str, str], float]] = [
        ("", {"app_id": app_id, "outcome": outcome}, float(count))
        for (app_id, outcome), count in sorted(statistics.fetches.items())
    ]
    durations = histogram_samples(BUCKETS_S, statistics.durations.counts, statistics.durations.sum_s, {})
    prefix = "lmcache_frontend_config_fetch"
    return [
        Metric(f"{prefix}es_total", "counter", "Times that workers asked for configuration.", fetches),
        Metric(f"{prefix}_duration_seconds", "histogram", "How long their answers took.", durations),
    ]
