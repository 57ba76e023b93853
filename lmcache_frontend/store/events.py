# SPDX-License-Identifier: Apache-2.0
"""The latest changes of a store within this process, kept for those who watch.

Older ones go, as they do where etcd is compacted. Leaves to the store when something changes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from lmcache_frontend.store.protocol import Compacted, Event

EVENTS_KEPT = 1000
BYTES_KEPT = 4 << 20


class EventLog:
    """The changes after some revision, up to the present one. Thread-safe."""

    def __init__(self, revision: int, *, events_kept: int = EVENTS_KEPT, bytes_kept: int = BYTES_KEPT) -> None:
        """Start without changes at the revision that the store is at."""
        self._changed = threading.Condition()
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._kept_after = revision
        self._revision = revision
        self._events_kept = events_kept
        self._bytes_kept = bytes_kept
        self.is_closed = False

    def append(self, events: Sequence[Event]) -> None:
        """Add changes in the order of their revisions, all of a revision at once."""
        if not events:
            return
        with self._changed:
            self._events.extend(events)
            self._bytes += sum(map(_size, events))
            self._revision = events[-1].revision
            while len(self._events) > self._events_kept or self._bytes > self._bytes_kept:
                self._drop_oldest_revision()
            self._changed.notify_all()

    def read(self, since: int, prefix: str) -> tuple[list[Event], int]:
        """Give the changes under a prefix after a revision, and the revision that this goes up to.

        Raises: Compacted.
        """
        with self._changed:
            if not self._kept_after <= since <= self._revision:
                kept = f"those after {self._kept_after} up to {self._revision} are kept"
                raise Compacted(f"changes after revision {since} are asked for, {kept}")
            found = [event for event in self._events if event.revision > since and event.key.startswith(prefix)]
            return found, self._revision

    def wait(self, since: int, timeout_s: float, is_over: Callable[[], bool]) -> None:
        """Wait until something changes after a revision, or it is over, which ``wake`` must follow."""
        with self._changed:
            self._changed.wait_for(lambda: self._revision > since or self.is_closed or is_over(), timeout_s)

    def wake(self) -> None:
        """Let all who wait look whether it is over."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        self.is_closed = True
        self.wake()

    def _drop_oldest_revision(self) -> None:
        self._kept_after = self._events[0].revision
        while self._events and self._events[0].revision == self._kept_after:
            self._bytes -= _size(self._events.popleft())


def _size(event: Event) -> int:
    return len(event.key) + len(event.value or b"")
