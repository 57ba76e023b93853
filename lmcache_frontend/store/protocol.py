# SPDX-License-Identifier: Apache-2.0
"""What a store is: keys and values with revisions, shaped like etcd.

One counter for the whole store goes up by one with each transaction that changes anything; an entry bears the
revision of its last change. Keys are text of 1 to 512 bytes in UTF-8, ordered by those bytes; values are at most
1 MiB. Leaves to the modules beside it how anything is kept. Source: the data model of etcd 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from lmcache_frontend.errors import FrontendError


class Compacted(FrontendError):
    """The changes after a revision are no longer kept: whoever follows lists again and watches from there."""


class Entry(NamedTuple):
    """A key with its value, and the revision of its last change."""

    key: str
    value: bytes
    revision: int


class Listing(NamedTuple):
    """Entries in the order of reading, and the revision of the store that they were read at."""

    entries: tuple[Entry, ...]
    revision: int


class Event(NamedTuple):
    """A change; ``value`` is None where the key was deleted or expired."""

    key: str
    value: bytes | None
    revision: int


class Put(NamedTuple):
    """Write a value; ``expect_revision`` 0 means that the key must not be there, None that it does not matter."""

    key: str
    value: bytes
    expect_revision: int | None = None
    ttl_s: float | None = None


class Delete(NamedTuple):
    """Delete a key, there or not, unless ``expect_revision`` says at which revision it must be."""

    key: str
    expect_revision: int | None = None


Operation = Put | Delete


class Watch(Protocol):
    """What happens under a prefix, in order and without gaps."""

    def next(self, timeout_s: float) -> list[Event]:
        """Wait for changes and give them; nothing after the time-out or once closed.

        Raises: Compacted, after which the watch is of no more use; ServiceUnavailable at the end of the time-out where
        the store is away, after which the watch goes on where it was.
        """

    def close(self) -> None:
        """Give the watch up; a ``next`` that waits returns."""


class Store(Protocol):
    """Where state is kept. Every method may be called from any thread.

    Every method raises ServiceUnavailable where the store cannot do it now. Then nothing was written, or the message
    says that this is not known. A key or a value past its limit is a BadRequest.
    """

    @property
    def where(self) -> str:
        """The place, safe to show: ``sqlite:/path``, ``etcd://host:port/prefix``, ``memory:``."""

    @property
    def fault(self) -> str:
        """Why nothing can be kept at all, empty where it can."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may write to it too."""

    def get(self, key: str) -> Entry | None:
        """Give an entry, None where it is not there."""

    def list(self, prefix: str, *, after: str = "", limit: int | None = None, newest_first: bool = False) -> Listing:
        """Give the entries under a prefix in key order, or against it.

        ``after`` is a whole key, left out itself, past which reading starts in the direction of reading.
        """

    def put(self, key: str, value: bytes, *, expect_revision: int | None = None, ttl_s: float | None = None) -> int:
        """Write a value and give its revision; without ``ttl_s`` it stays.

        Raises: RevisionConflict where the key is not at the expected revision.
        """

    def delete(self, key: str, *, expect_revision: int | None = None) -> bool:
        """Delete a key and tell whether it was there.

        Raises: RevisionConflict.
        """

    def transact(self, operations: Sequence[Operation]) -> int:
        """Do all of it at one revision, which is given, or nothing of it.

        Keys are distinct; there are at most 100 operations of 1.25 MiB in all. Raises: RevisionConflict.
        """

    def renew(self, key: str, ttl_s: float) -> bool:
        """Let an entry live for its TTL again, without a new revision or event; False where it is not there.

        ``ttl_s`` is that of the put: etcd cannot change it. An entry without a TTL stays as it is.
        """

    def watch(self, prefix: str, since: int) -> Watch:
        """Give the changes under a prefix after a revision, which is that of a listing as a rule."""

    def close(self) -> None:
        """Give everything back; watches end. Whatever is asked afterwards is a ServiceUnavailable."""
