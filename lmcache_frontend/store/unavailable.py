# SPDX-License-Identifier: Apache-2.0
"""The store where nothing can be kept: it takes nothing, and has only what was kept before, where that can be read."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NoReturn

from lmcache_frontend.errors import ServiceUnavailable
from lmcache_frontend.store.protocol import Entry, Event, Listing, Operation, Store


class UnavailableStore:
    """A store that takes nothing."""

    where = "nowhere"
    is_shared = False

    def __init__(self, fault: str, kept: Store | None = None) -> None:
        """Take the reason, in words for who operates the service, and what can be read of before."""
        self.fault = fault
        self._kept = kept

    def get(self, key: str) -> Entry | None:
        """Give an entry of before."""
        return None if self._kept is None else self._kept.get(key)

    def list(self, prefix: str, *, after: str = "", limit: int | None = None, newest_first: bool = False) -> Listing:
        """Give entries of before."""
        if self._kept is None:
            return Listing((), 0)
        return self._kept.list(prefix, after=after, limit=limit, newest_first=newest_first)

    def put(self, key: str, value: bytes, *, expect_revision: int | None = None, ttl_s: float | None = None) -> int:
        """Refuse."""
        self._refuse()

    def delete(self, key: str, *, expect_revision: int | None = None) -> bool:
        """Refuse."""
        self._refuse()

    def transact(self, operations: Sequence[Operation]) -> int:
        """Refuse."""
        self._refuse()

    def renew(self, key: str, ttl_s: float) -> bool:
        """Refuse."""
        self._refuse()

    def watch(self, prefix: str, since: int) -> IdleWatch:
        """Give a watch on which nothing happens."""
        return IdleWatch()

    def close(self) -> None:
        """Do nothing."""

    def _refuse(self) -> NoReturn:
        raise ServiceUnavailable(f"nothing can be stored: {self.fault}; name another place with --store")


class IdleWatch:
    """A watch on which nothing happens."""

    def __init__(self) -> None:
        """Wait for being closed."""
        self._closed = threading.Event()

    def next(self, timeout_s: float) -> list[Event]:
        """Wait."""
        self._closed.wait(timeout_s)
        return []

    def close(self) -> None:
        """Let who waits go."""
        self._closed.set()
