# SPDX-License-Identifier: Apache-2.0
"""Figures over longer times than are kept here, from a Prometheus that scrapes this service's ``/metrics``.

What to ask is pure; `fetch_series` does the asking, with the function that it is given. Source: Prometheus's HTTP API,
``/api/v1/query_range``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from lmcache_frontend.errors import BadGateway
from lmcache_frontend.fleet.counters import COUNTERS, GAUGES, HISTOGRAMS
from lmcache_frontend.fleet.derive import EVENTS

MOST_POINTS = 1000
SHORTEST_STEP_S = 10.0
# A rate needs two scrapes at least, and many a Prometheus scrapes once a minute.
SHORTEST_WINDOW_S = 240.0

Get = Callable[[str], bytes]

_RATES = {
    "tokens_requested_per_s": ("tokens_requested",),
    "tokens_hit_per_s": ("tokens_hit",),
    "tokens_stored_per_s": ("tokens_stored",),
    "lookups_per_s": ("lookups",),
    "retrieves_per_s": ("retrieves",),
    "stores_per_s": ("stores",),
    **{f"{name}_per_s": counted for name, counted in EVENTS.items()},
}
_SHARES = {
    "lookup_hit_rate": ("lookup_hits", "lookup_tokens"),
    "lookup_hit_rate_l1": ("lookup_hits_l1", "lookup_tokens"),
    "lookup_hit_rate_l2": ("lookup_hits_l2", "lookup_tokens"),
    "retrieve_hit_share": ("retrieve_hits", "retrieve_tokens"),
}
_QUANTILES = {
    "retrieve_speed_p50": ("retrieve_speed", 0.5),
    "retrieve_speed_p95": ("retrieve_speed", 0.95),
    "retrieve_time_p50_s": ("retrieve_time", 0.5),
    "retrieve_time_p95_s": ("retrieve_time", 0.95),
    "store_time_p50_s": ("store_time", 0.5),
    "store_time_p95_s": ("store_time", 0.95),
    "l1_load_gb_per_s_p50": ("l1_load", 0.5),
    "l1_load_gb_per_s_p95": ("l1_load", 0.95),
    "l1_store_gb_per_s_p50": ("l1_store", 0.5),
    "l1_store_gb_per_s_p95": ("l1_store", 0.95),
    "l2_load_gb_per_s_p50": ("l2_load", 0.5),
    "l2_load_gb_per_s_p95": ("l2_load", 0.95),
}
_SUMS = {"cpu_used_bytes": "cpu_used", "disk_used_bytes": "disk_used", "remote_used_bytes": "remote_used"}


def expression(figure: str, labels: dict[str, str], *, window_s: float, cpu_capacity_bytes: float | None) -> str | None:
    """Give the PromQL of a figure of the node with these labels, of the fleet without any; None where there is none."""
    chosen = "".join(f",{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())

    def rate(*names: str, suffix: str = "", by: str = "") -> str:
        families = [family + suffix for name in names for family in {**COUNTERS, **HISTOGRAMS}[name]]
        selector = f"{{__name__=~{json.dumps('|'.join(families))}{chosen}}}"
        return f"sum{by}(rate({selector}[{window_s:.0f}s]))"

    if figure in _RATES:
        return rate(*_RATES[figure])
    if figure in _SHARES:
        hits, asked = _SHARES[figure]
        return f"{rate(hits)}/({rate(asked)}>0)"
    if figure in _QUANTILES:
        name, quantile = _QUANTILES[figure]
        return f"histogram_quantile({quantile},{rate(name, suffix='_bucket', by=' by (le) ')})"
    if figure == "cpu_fill" and not cpu_capacity_bytes:
        return None
    names = GAUGES["cpu_used" if figure == "cpu_fill" else _SUMS[figure]]
    total = f"sum({{__name__=~{json.dumps('|'.join(names))}{chosen}}})"
    return f"{total}/{cpu_capacity_bytes}" if figure == "cpu_fill" else total


def fetch_series(
    get: Get,
    names: Iterable[str],
    labels: dict[str, str],
    *,
    since: float,
    until: float,
    step_s: float,
    cpu_capacity_bytes: float | None,
) -> dict[str, Any]:
    """Give figures from ``since`` to ``until``, seconds since the epoch, in the shape of the series endpoints.

    ``get`` asks Prometheus for a path with a query and gives the body. The step is widened where there would be more
    than `MOST_POINTS`. Raises: BadGateway, and what ``get`` raises.
    """
    step = max(step_s, SHORTEST_STEP_S, math.ceil((until - since) / MOST_POINTS))
    start = since - since % step
    count = int((until - start) // step) + 1
    window_s = max(SHORTEST_WINDOW_S, step)
    series: dict[str, list[float | None]] = {}
    for name in names:
        asked = expression(name, labels, window_s=window_s, cpu_capacity_bytes=cpu_capacity_bytes)
        series[name] = [None] * count
        if asked is not None:
            query = urlencode({"query": asked, "start": start, "end": start + (count - 1) * step, "step": step})
            for at, value in _points(get(f"/api/v1/query_range?{query}")):
                position = round((at - start) / step)
                if 0 <= position < count:
                    series[name][position] = value
    return {"step_s": step, "start": start, "series": series}


def _points(body: bytes) -> list[tuple[float, float]]:
    """Read the one series of an answer; values that are no finite numbers are left out."""
    try:
        document = json.loads(body)
        if document["status"] != "success":
            raise BadGateway(f"Prometheus answered {str(document.get('error'))[:200]!r}")
        result = document["data"]["result"]
        points = [(float(at), float(value)) for at, value in result[0]["values"]] if result else []
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
        raise BadGateway("Prometheus did not answer as its API does") from exc
    return [(at, value) for at, value in points if math.isfinite(value)]
