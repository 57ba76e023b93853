# SPDX-License-Identifier: Apache-2.0
"""Who changed what, on what, and what came of it: entries in the store, the newest first. Nothing is ever rewritten."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from lmcache_frontend.errors import FrontendError

if TYPE_CHECKING:
    from lmcache_frontend.store.protocol import Store

logger = logging.getLogger(__name__)

PREFIX = "audit/"
KEPT_S = 90 * 86400.0
MOST_LISTED = 1000
_TEXT_LIMIT = 500


class Deed(NamedTuple):
    """Something that somebody did or was refused: who from where, what, on what, and the outcome in a word."""

    who: str
    address: str
    what: str
    target: str
    outcome: str
    detail: str = ""


class AuditTrail:
    """Writes deeds down and reads them back."""

    def __init__(self, store: Callable[[], Store], clock: Callable[[], float]) -> None:
        """Take what gives the store, and the time in seconds since the epoch."""
        self._store = store
        self._clock = clock

    def record(self, deed: Deed) -> None:
        """Keep a deed for 90 days; where that cannot be, it is logged, since the deed itself is done."""
        from lmcache_frontend.masking import masked_text

        at = self._clock()
        document = {"at": at, **{name: masked_text(value)[:_TEXT_LIMIT] for name, value in deed._asdict().items()}}
        # Microseconds in fixed width sort as time does; the rest keeps two frontends on one store apart.
        key = f"{PREFIX}{int(at * 1e6):016d}-{os.urandom(4).hex()}"
        try:
            self._store().put(key, json.dumps(document).encode(), expect_revision=0, ttl_s=KEPT_S)
        except FrontendError as exc:
            logger.warning("not in the audit trail (%s): %s", exc, json.dumps(document))

    def entries(self, limit: int = 100, before: float | None = None) -> list[dict[str, Any]]:
        """Give the newest entries, of before a time where one is given.

        Raises: ServiceUnavailable.
        """
        after = "" if before is None else f"{PREFIX}{int(before * 1e6):016d}"
        listing = self._store().list(PREFIX, after=after, limit=min(limit, MOST_LISTED), newest_first=True)
        return [document for entry in listing.entries if (document := _read(entry.key, entry.value)) is not None]


def _read(key: str, value: bytes) -> dict[str, Any] | None:
    """Read an entry; one that is not understood is left out, since another release may have written it."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError) as exc:
        logger.debug("%s in the store cannot be read: %s", key, exc)
        return None
    return document if isinstance(document, dict) else None
