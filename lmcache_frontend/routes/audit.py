# SPDX-License-Identifier: Apache-2.0
"""The audit trail as operators read it; what is written into it is the business of `auditing`."""

from __future__ import annotations

import math

from lmcache_frontend.audit.deeds import Wanted
from lmcache_frontend.audit.trail import MOST_LISTED
from lmcache_frontend.errors import BadRequest
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.routes.metrics import query_of
from lmcache_frontend.routes.services import Services, respond_json, whole_number


def entries(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """List who changed what, the newest first; ``?limit=&before=`` page through it.

    ``who``, ``what``, ``node`` and ``outcome`` choose by patterns with ``*``, ``since`` and ``before`` by time.

    Raises: BadRequest.
    """
    query = {name: values[-1] for name, values in query_of(exchange).items()}
    limit = whole_number(query.get("limit", "100"), "limit")
    if not 0 < limit <= MOST_LISTED:
        raise BadRequest(f"limit is {limit}, expected 1 to {MOST_LISTED}")
    words = {name: query.get(name, "") for name in ("who", "what", "node", "outcome")}
    page = services.state.audit.entries(
        limit, Wanted(**words, since=_time(query, "since"), before=_time(query, "before"))
    )
    respond_json(exchange, {"entries": page.entries, "next_before": page.next_before})


def _time(query: dict[str, str], name: str) -> float | None:
    text = query.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e11:
        raise BadRequest(f"{name} is {ascii(text)[:40]}, expected seconds since the epoch")
    return value
