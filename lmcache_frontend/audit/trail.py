# SPDX-License-Identifier: Apache-2.0
"""Who changed what, on what, and what came of it: entries in the store, the newest first. Nothing is ever rewritten.

Whoever did something does not wait for the store: a thread writes down what has gathered for a moment. An ordinary end
writes the rest; what cannot be kept is logged in its place. Refused attempts could be made without end, by anybody: of
each client a few are kept, and how many there were beyond these.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from lmcache_frontend.audit.deeds import Deed, Wanted, document_of, is_wanted
from lmcache_frontend.audit.refusals import Refusals
from lmcache_frontend.errors import FrontendError

if TYPE_CHECKING:
    from lmcache_frontend.store.protocol import Store

logger = logging.getLogger(__name__)

PREFIX = "audit/"
KEPT_S = 90 * 86400.0
MOST_KEPT = 100_000
MOST_LISTED = 1000
# A question that nearly nothing meets ends somewhere; the answer says where to go on.
MOST_LOOKED_AT = 20_000
MOST_WAITING = 10_000
READER_PATIENCE_S = 2.0
GATHERING_S = 0.2
# Together they stay far below the 1.25 MiB of a transaction.
_BATCH = 40
_PAGE = 1000
_MOST_SEEN = 1024


class Page(NamedTuple):
    """Entries, the newest first, and the time before which to go on; None where there are no more."""

    entries: list[dict[str, Any]]
    next_before: float | None


class _Waiting(NamedTuple):
    """A deed that is to be written: its time in microseconds, and how often it was done within the moment."""

    at_us: int
    deed: Deed
    times: list[int]


class AuditTrail:
    """Writes deeds down and reads them back; any thread may call."""

    def __init__(self, store: Callable[[], Store], clock: Callable[[], float]) -> None:
        """Take what gives the store, and the time in seconds since the epoch."""
        self._store = store
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._writing = False
        self._hurried = 0
        self._ended = False
        self._writer: threading.Thread | None = None
        self._last_us = 0
        self._lost = 0
        self._uncounted = 0
        self._refusals = Refusals()
        self._seen: dict[Deed, float] = {}

    def record(self, deed: Deed) -> None:
        """Keep a deed for 90 days; where that cannot be, it is logged, since the deed itself is done.

        The same within a moment becomes one entry, with how many ``times``.
        """
        with self._changed:
            self._add(deed)
            for summary in self._refusals.summaries(self._clock()):
                self._add(summary)

    def record_once(self, deed: Deed, *, within_s: float) -> None:
        """Keep a deed of the kind that programs repeat, unless the same was kept lately."""
        with self._changed:
            now = self._clock()
            if self._seen.get(deed, 0.0) > now:
                return
            self._seen.pop(deed, None)
            self._seen[deed] = now + within_s
            if len(self._seen) > _MOST_SEEN:
                del self._seen[next(iter(self._seen))]
            self._add(deed)

    def refuse(self, deed: Deed) -> None:
        """Keep a refused attempt, or count it where its client has made several lately."""
        with self._changed:
            now = self._clock()
            for summary in self._refusals.summaries(now):
                self._add(summary)
            if self._refusals.admits(deed, now):
                self._add(deed)

    def entries(self, limit: int = 100, wanted: Wanted = Wanted()) -> Page:
        """Give the newest entries that are wanted.

        Raises: ServiceUnavailable.
        """
        with self._changed:
            for summary in self._refusals.summaries(self._clock()):
                self._add(summary)
        self.flush(READER_PATIENCE_S)
        found: list[dict[str, Any]] = []
        looked_at, reached = 0, wanted.before
        after = "" if wanted.before is None else f"{PREFIX}{round(wanted.before * 1e6):016d}"
        while looked_at < MOST_LOOKED_AT:
            page = self._store().list(PREFIX, after=after, limit=min(_PAGE, max(limit, 100)), newest_first=True).entries
            for entry in page:
                document = _read(entry.key, entry.value)
                if document is None:
                    continue
                if wanted.since is not None and document["at"] < wanted.since:
                    return Page(found, None)
                if is_wanted(document, wanted):
                    found.append(document)
                if len(found) == limit:
                    return Page(found, document["at"])
                reached = document["at"]
            if not page:
                return Page(found, None)
            after, looked_at = page[-1].key, looked_at + len(page)
        return Page(found, reached)

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was recorded is written, and say whether it is."""
        with self._changed:
            self._hurried += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._waiting and not self._writing, timeout_s)
            finally:
                self._hurried -= 1

    def close(self, timeout_s: float) -> None:
        """Write the rest, for so long at most; what is recorded afterwards is logged."""
        with self._changed:
            for summary in self._refusals.summaries(float("inf")):
                self._add(summary)
            self._ended = True
            self._changed.notify_all()
        if not self.flush(timeout_s):
            logger.warning("the audit trail could not be written to its end within %g s", timeout_s)

    def _add(self, deed: Deed) -> None:
        """Put a deed where the writer finds it. The lock is held."""
        if self._ended:
            logger.warning("not in the audit trail (the service ends): %s", json.dumps(document_of(deed)))
            return
        for waiting in reversed(self._waiting[-_BATCH:]):
            if waiting.deed == deed:
                waiting.times[0] += 1
                return
        if len(self._waiting) >= MOST_WAITING:
            self._lost += 1
            return
        self._last_us = max(int(self._clock() * 1e6), self._last_us + 1)
        self._waiting.append(_Waiting(self._last_us, deed, [1]))
        if self._writer is None:
            writer = threading.Thread(target=self._write_all, name="audit", daemon=True)
            # Where no thread is left, the next deed tries again.
            with contextlib.suppress(RuntimeError):
                writer.start()
                self._writer = writer
        if len(self._waiting) == 1:
            self._changed.notify_all()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    return
                self._changed.wait_for(lambda: self._hurried or self._ended, GATHERING_S)
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                self._writing = True
            try:
                self._write(batch)
            finally:
                with self._changed:
                    self._writing = False
                    self._changed.notify_all()

    def _write(self, batch: list[_Waiting]) -> None:
        from lmcache_frontend.store.protocol import Put

        documents = [_stamped(waiting) for waiting in batch]
        # Microseconds in fixed width sort as time does; the rest keeps two frontends on one store apart.
        puts = [
            Put(f"{PREFIX}{waiting.at_us:016d}-{os.urandom(4).hex()}", json.dumps(document).encode(), 0, KEPT_S)
            for waiting, document in zip(batch, documents, strict=True)
        ]
        try:
            self._store().transact(puts)
            self._keep_bounds(len(puts))
        except Exception as exc:
            for document in documents:
                logger.warning(
                    "not in the audit trail (%s): %s",
                    exc,
                    json.dumps(document),
                    exc_info=not isinstance(exc, FrontendError),
                )
        lost, self._lost = self._lost, 0
        if lost:
            logger.warning("not in the audit trail: %d deeds, as too many waited for the store", lost)

    def _keep_bounds(self, written: int) -> None:
        """See now and then that there are not too many entries, and delete the oldest where there are."""
        self._uncounted += written
        if self._uncounted < _PAGE:
            return
        self._uncounted = 0
        from lmcache_frontend.store.protocol import Delete

        store, after, count = self._store(), "", 0
        while count < MOST_KEPT and (page := store.list(PREFIX, after=after, limit=_PAGE, newest_first=True).entries):
            after, count = page[-1].key, count + len(page)
        if count < MOST_KEPT:
            return
        while old := store.list(PREFIX, after=after, limit=_BATCH, newest_first=True).entries:
            store.transact([Delete(entry.key) for entry in old])


def _stamped(waiting: _Waiting) -> dict[str, Any]:
    times = {"times": waiting.times[0]} if waiting.times[0] > 1 else {}
    return {"at": waiting.at_us / 1e6, **document_of(waiting.deed), **times}


def _read(key: str, value: bytes) -> dict[str, Any] | None:
    """Read an entry; one that is not understood is left out, since another release may have written it."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError) as exc:
        logger.debug("%s in the store cannot be read: %s", key, exc)
        return None
    return document if isinstance(document, dict) and isinstance(document.get("at"), (int, float)) else None
