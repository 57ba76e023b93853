# SPDX-License-Identifier: Apache-2.0
"""The history of the rules in the store: snapshots that never change, and a key that says which one is in force.

A snapshot and the head are written in one transaction that compares the head: of two frontends that edit at once, one
is told that it is late.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from lmcache_frontend.errors import BadRequest, NotFound, ServiceUnavailable
from lmcache_frontend.remote_config.differences import differences
from lmcache_frontend.remote_config.document import read_rules, write_rules
from lmcache_frontend.remote_config.rules import Rules
from lmcache_frontend.remote_config.values import compact
from lmcache_frontend.store.protocol import Put, Store

HEAD_KEY = "config/head"
SNAPSHOT_PREFIX = "config/revisions/"
LAST_NUMBER = 10**12 - 1
# Snapshots may be large: so many are read at once.
_PAGE = 10


class Revision(NamedTuple):
    """The rules as somebody left them; ``changes`` counts the differences from its parent."""

    number: int
    parent: int | None
    at: float | None
    author: str
    message: str
    changes: int
    rules: Rules

    def summary(self) -> dict[str, Any]:
        """Give all but the rules, as it is listed."""
        return {
            "revision": self.number,
            "parent": self.parent,
            "at": self.at,
            "author": self.author,
            "message": self.message,
            "changes": self.changes,
        }

    def document(self) -> dict[str, Any]:
        """Give the revision with its rules."""
        return {**self.summary(), **write_rules(self.rules)}


# What is in force before anybody has written rules.
NOTHING = Revision(0, None, None, "", "", 0, ())


class Head(NamedTuple):
    """The revision in force, the revision of its key in the store (0: not there), and the store's when it was read."""

    revision: Revision
    key_revision: int
    read_at_revision: int


class Revisions:
    """Reads and appends revisions; may be used from many threads."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        """Take the store, and the time in seconds since the epoch."""
        self._store = store
        self._clock = clock

    def head(self) -> Head:
        """Read which revision is in force.

        Raises: ServiceUnavailable, also where it cannot be understood.
        """
        listing = self._store.list(HEAD_KEY, limit=1)
        if not listing.entries or listing.entries[0].key != HEAD_KEY:
            return Head(NOTHING, 0, listing.revision)
        entry = listing.entries[0]
        try:
            number = int(json.loads(entry.value)["revision"])
            return Head(self.get(number), entry.revision, listing.revision)
        except (ValueError, KeyError, TypeError, NotFound) as exc:
            message = f"{HEAD_KEY} in {self._store.where} names no revision that is there"
            raise ServiceUnavailable(message) from exc

    def get(self, number: int) -> Revision:
        """Read a revision; 0 is what there was before the first.

        Raises: NotFound, ServiceUnavailable.
        """
        if number == 0:
            return NOTHING
        entry = self._store.get(_key(number)) if 0 < number <= LAST_NUMBER else None
        if entry is None:
            raise NotFound(f"there is no revision {number}")
        return self._read(entry.value, number)

    def history(self, limit: int, before: int | None = None) -> list[Revision]:
        """Read the newest revisions, of before a number where one is given.

        Raises: ServiceUnavailable.
        """
        found: list[Revision] = []
        after = "" if before is None or before > LAST_NUMBER else _key(before)
        while len(found) < limit:
            wanted = min(_PAGE, limit - len(found))
            entries = self._store.list(SNAPSHOT_PREFIX, after=after, limit=wanted, newest_first=True).entries
            found += [self._read(entry.value, int(entry.key[len(SNAPSHOT_PREFIX) :])) for entry in entries]
            if len(entries) < wanted:
                break
            after = entries[-1].key
        return found

    def append(self, head: Head, rules: Rules, *, message: str, author: str) -> Revision:
        """Put rules in force, if the head is still the one that is given.

        Raises: RevisionConflict where it is not; ServiceUnavailable.
        """
        parent = head.revision
        changes = len(differences(parent.rules, rules))
        revision = Revision(parent.number + 1, parent.number, self._clock(), author, message, changes, rules)
        self._store.transact(
            [
                Put(_key(revision.number), compact(revision.document()).encode(), expect_revision=0),
                Put(HEAD_KEY, compact({"revision": revision.number}).encode(), expect_revision=head.key_revision),
            ]
        )
        return revision

    def _read(self, value: bytes, number: int) -> Revision:
        try:
            document = json.loads(value)
            rules = read_rules(document)
            parent, at = document["parent"], document["at"]
            return Revision(number, parent, at, document["author"], document["message"], document["changes"], rules)
        except (ValueError, KeyError, TypeError, RecursionError, BadRequest) as exc:
            reason = str(exc) if isinstance(exc, BadRequest) else "it is not what is expected there"
            raise ServiceUnavailable(f"revision {number} in {self._store.where} cannot be read: {reason}") from exc


def _key(number: int) -> str:
    return f"{SNAPSHOT_PREFIX}{number:012d}"
