# SPDX-License-Identifier: Apache-2.0
"""The store that is gone with the process: for the demo, for tests, and for who asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from operator import itemgetter

from lmcache_frontend.store.embedded import EmbeddedStore, Row
from lmcache_frontend.store.keys import Span


class MemoryTable:
    """Rows in a dictionary."""

    where = "memory:"

    def __init__(self) -> None:
        """Start empty."""
        self._rows: dict[bytes, Row] = {}
        self._revision = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Put everything back where something is raised."""
        before = self._rows.copy(), self._revision
        try:
            yield
        except BaseException:
            self._rows, self._revision = before
            raise

    def reading(self) -> AbstractContextManager[None]:
        """Enclose nothing: memory does not fail."""
        return nullcontext()

    def revision(self) -> int:
        """Give the revision."""
        return self._revision

    def set_revision(self, revision: int) -> None:
        """Set the revision."""
        self._revision = revision

    def find(self, key: bytes) -> Row | None:
        """Give a row."""
        return self._rows.get(key)

    def scan(self, span: Span, now_s: float, limit: int | None, backwards: bool) -> list[tuple[bytes, Row]]:
        """Give the living rows of a span."""
        rows = [
            (key, row)
            for key, row in self._rows.items()
            if span.start <= key < span.end and (row.expires_s is None or row.expires_s > now_s)
        ]
        return sorted(rows, key=itemgetter(0), reverse=backwards)[:limit]

    def write(self, key: bytes, row: Row) -> None:
        """Add or replace a row."""
        self._rows[key] = row

    def remove(self, key: bytes) -> None:
        """Remove a row."""
        del self._rows[key]

    def expired(self, now_s: float) -> list[bytes]:
        """Give the keys of rows whose time is over."""
        return sorted(key for key, row in self._rows.items() if row.expires_s is not None and row.expires_s <= now_s)

    def next_expiry_s(self) -> float | None:
        """Give the earliest time that a row expires at."""
        return min((row.expires_s for row in self._rows.values() if row.expires_s is not None), default=None)

    def close(self) -> None:
        """Forget everything."""
        self._rows.clear()


def open_memory(clock: Callable[[], float] = time.time) -> EmbeddedStore:
    """Give an empty store."""
    return EmbeddedStore(MemoryTable(), clock)
