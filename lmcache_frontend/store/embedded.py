# SPDX-License-Identifier: Apache-2.0
"""A store within this process: what etcd does on its side, over a table of rows.

Decides revisions, conflicts and expiry. Leaves keeping the rows, and undoing a transaction, to the table.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from lmcache_frontend.errors import RevisionConflict, ServiceUnavailable
from lmcache_frontend.store.events import EventLog
from lmcache_frontend.store.keys import Span, check_limit, check_operations, encoded, span_of
from lmcache_frontend.store.protocol import Delete, Entry, Event, Listing, Operation, Put

_EXPIRY_RETRY_S = 1.0


class Row(NamedTuple):
    """What is kept of a key; ``expires_s`` is a time since the epoch, None for never."""

    value: bytes
    revision: int
    expires_s: float | None


class Table(Protocol):
    """Rows by key, and the revision of the store. Used by one thread at a time."""

    where: str

    def transaction(self) -> AbstractContextManager[None]:
        """Keep all that is done within on a clean way out, nothing otherwise. Raises: ServiceUnavailable."""

    def reading(self) -> AbstractContextManager[None]:
        """Enclose what only reads. Raises: ServiceUnavailable."""

    def revision(self) -> int:
        """Give the revision that was set last, 0 in a new table."""

    def set_revision(self, revision: int) -> None:
        """Set the revision."""

    def find(self, key: bytes) -> Row | None:
        """Give a row, expired or not."""

    def scan(self, span: Span, now_s: float, limit: int | None, backwards: bool) -> list[tuple[bytes, Row]]:
        """Give the rows of a span that have not expired, in the order of their keys or against it."""

    def write(self, key: bytes, row: Row) -> None:
        """Add or replace a row."""

    def remove(self, key: bytes) -> None:
        """Remove a row that is there."""

    def expired(self, now_s: float) -> list[bytes]:
        """Give the keys of rows whose time is over."""

    def next_expiry_s(self) -> float | None:
        """Give the earliest time that a row expires at, passed or not."""

    def close(self) -> None:
        """Close what is open."""


class EmbeddedStore:
    """A store over a table."""

    fault = ""
    is_shared = False

    def __init__(
        self, table: Table, clock: Callable[[], float] = time.time, *, log: Callable[[int], EventLog] = EventLog
    ) -> None:
        """Take over an open table; ``clock`` gives seconds since the epoch, which times to live are counted by."""
        self._table = table
        self._clock = clock
        self._lock = threading.Lock()
        self._is_closed = False
        with table.reading():
            self._log = log(table.revision())

    @property
    def where(self) -> str:
        """The place."""
        return self._table.where

    def get(self, key: str) -> Entry | None:
        """Give an entry, None where it is not there."""
        name = encoded(key)
        with self._lock, self._open().reading():
            row = self._living(name)
        return None if row is None else Entry(key, row.value, row.revision)

    def list(self, prefix: str, *, after: str = "", limit: int | None = None, newest_first: bool = False) -> Listing:
        """Give the entries under a prefix, and the revision of the store."""
        check_limit(limit)
        span = span_of(prefix, after, backwards=newest_first)
        with self._lock, self._open().reading():
            rows = self._table.scan(span, self._clock(), limit, newest_first)
            revision = self._table.revision()
        return Listing(tuple(Entry(_text(name), row.value, row.revision) for name, row in rows), revision)

    def put(self, key: str, value: bytes, *, expect_revision: int | None = None, ttl_s: float | None = None) -> int:
        """Write a value and give its revision."""
        return self.transact([Put(key, value, expect_revision, ttl_s)])

    def delete(self, key: str, *, expect_revision: int | None = None) -> bool:
        """Delete a key and tell whether it was there."""
        return bool(self._change([Delete(key, expect_revision)])[0])

    def transact(self, operations: Sequence[Operation]) -> int:
        """Do all of it at one revision, which is given, or nothing of it."""
        return self._change(operations)[1]

    def renew(self, key: str, ttl_s: float) -> bool:
        """Let an entry live for its TTL again."""
        name = encoded(key)
        with self._lock, self._open().transaction():
            row = self._living(name)
            if row is not None and row.expires_s is not None:
                self._table.write(name, row._replace(expires_s=self._clock() + ttl_s))
        return row is not None

    def watch(self, prefix: str, since: int) -> EmbeddedWatch:
        """Give the changes under a prefix after a revision."""
        return EmbeddedWatch(self._log, self.expire, prefix, since)

    def close(self) -> None:
        """Close the table."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._table.close()
        self._log.close()

    def expire(self) -> float:
        """Delete what has expired, so that watches hear of it, and give the seconds until more does."""
        with self._lock:
            try:
                with self._open().reading():
                    due_s = self._table.next_expiry_s()
                if due_s is None or due_s > self._clock():
                    return math.inf if due_s is None else due_s - self._clock()
                with self._table.transaction():
                    events = self._expire()
            except ServiceUnavailable:
                # Readers are not shown what has expired in any case.
                return _EXPIRY_RETRY_S
            self._log.append(events)
            return 0.0

    def _change(self, operations: Sequence[Operation]) -> tuple[Sequence[Event], int]:
        check_operations(operations)
        with self._lock:
            with self._open().transaction():
                expired = self._expire()
                changed = self._apply(operations)
                revision = self._table.revision()
            self._log.append([*expired, *changed])
        return changed, revision

    def _open(self) -> Table:
        if self._is_closed:
            raise ServiceUnavailable(f"{self.where} is closed")
        return self._table

    def _living(self, name: bytes) -> Row | None:
        row = self._table.find(name)
        return None if row is None or (row.expires_s is not None and row.expires_s <= self._clock()) else row

    def _expire(self) -> Sequence[Event]:
        revision = self._table.revision() + 1
        names = self._table.expired(self._clock())
        for name in names:
            self._table.remove(name)
        if names:
            self._table.set_revision(revision)
        return [Event(_text(name), None, revision) for name in names]

    def _apply(self, operations: Sequence[Operation]) -> Sequence[Event]:
        present = {operation.key: self._table.find(operation.key.encode()) for operation in operations}
        for operation in operations:
            row = present[operation.key]
            actual = 0 if row is None else row.revision
            if operation.expect_revision is not None and operation.expect_revision != actual:
                raise RevisionConflict(operation.key, actual)
        revision = self._table.revision() + 1
        events = []
        for operation in operations:
            name = operation.key.encode()
            if isinstance(operation, Put):
                expires_s = None if operation.ttl_s is None else self._clock() + operation.ttl_s
                self._table.write(name, Row(operation.value, revision, expires_s))
                events.append(Event(operation.key, operation.value, revision))
            elif present[operation.key] is not None:
                self._table.remove(name)
                events.append(Event(operation.key, None, revision))
        if events:
            self._table.set_revision(revision)
        return events


def _text(name: bytes) -> str:
    # What another program wrote need not be Unicode.
    return name.decode("utf-8", "replace")


class EmbeddedWatch:
    """The changes under a prefix."""

    def __init__(self, log: EventLog, expire: Callable[[], float], prefix: str, since: int) -> None:
        """Follow a log; ``expire`` is called before waiting and tells for how long at most."""
        self._log = log
        self._expire = expire
        self._prefix = prefix
        self._since = since
        self._is_closed = False

    def next(self, timeout_s: float) -> list[Event]:
        """Wait for changes and give them."""
        deadline_s = time.monotonic() + timeout_s
        while not self._is_over():
            until_expiry_s = self._expire()
            events, self._since = self._log.read(self._since, self._prefix)
            remaining_s = deadline_s - time.monotonic()
            if events or remaining_s <= 0:
                return events
            self._log.wait(self._since, min(remaining_s, until_expiry_s), self._is_over)
        return []

    def close(self) -> None:
        """Give the watch up."""
        self._is_closed = True
        self._log.wake()

    def _is_over(self) -> bool:
        return self._is_closed or self._log.is_closed
