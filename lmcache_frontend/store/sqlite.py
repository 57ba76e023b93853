# SPDX-License-Identifier: Apache-2.0
"""The store in a file: SQLite with a write-ahead log, synced to the disk before a write is acknowledged.

Leaves to ``sqlite_file`` whether a place can be used. Source: https://sqlite.org/wal.html, /pragma.html, /rescode.html.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lmcache_frontend.errors import ServiceUnavailable
from lmcache_frontend.store.embedded import Row
from lmcache_frontend.store.keys import Span

FORMAT = 1
APPLICATION_ID = 0x4C4D4366
_SCHEMA = (
    "CREATE TABLE entries (key BLOB NOT NULL UNIQUE, value BLOB NOT NULL, revision INTEGER NOT NULL, expires_s REAL)",
    "CREATE INDEX entries_by_expiry ON entries (expires_s) WHERE expires_s IS NOT NULL",
    "CREATE TABLE counter (only INTEGER PRIMARY KEY CHECK (only = 1), revision INTEGER NOT NULL)",
    "INSERT INTO counter VALUES (1, 0)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)


class SqliteTable:
    """Rows in a database."""

    def __init__(self, connection: sqlite3.Connection, path: str, lock: int) -> None:
        """Take over a connection in autocommit mode to a database that may be empty, and the descriptor of its lock.

        Raises: sqlite3.Error, OSError.
        """
        self.where = f"sqlite:{path}"
        self._connection = connection
        self._path = path
        self._lock = lock
        self._identity = _identity(path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # Fails on a read-only file, and writes nothing to one that is a store already: its disk may be full.
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            for statement in _SCHEMA:
                connection.execute(statement)
        connection.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end, or roll back."""
        self._check_identity()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as exc:
            self._roll_back()
            raise ServiceUnavailable(f"{self.where} {_write_fault(exc)}") from exc
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Map what SQLite raises."""
        try:
            yield
        except sqlite3.Error as exc:
            raise ServiceUnavailable(f"{self.where} cannot be read: {exc}") from exc

    def revision(self) -> int:
        """Give the revision."""
        return int(self._connection.execute("SELECT revision FROM counter").fetchone()[0])

    def set_revision(self, revision: int) -> None:
        """Set the revision."""
        self._connection.execute("UPDATE counter SET revision = ?", (revision,))

    def find(self, key: bytes) -> Row | None:
        """Give a row."""
        found = self._connection.execute("SELECT value, revision, expires_s FROM entries WHERE key = ?", (key,))
        row = found.fetchone()
        return None if row is None else Row(*row)

    def scan(self, span: Span, now_s: float, limit: int | None, backwards: bool) -> list[tuple[bytes, Row]]:
        """Give the living rows of a span."""
        found = self._connection.execute(
            "SELECT key, value, revision, expires_s FROM entries WHERE key >= ? AND key < ?"
            " AND (expires_s IS NULL OR expires_s > ?)"
            f" ORDER BY key {'DESC' if backwards else 'ASC'} LIMIT ?",
            (*span, now_s, -1 if limit is None else limit),
        )
        return [(key, Row(*row)) for key, *row in found]

    def write(self, key: bytes, row: Row) -> None:
        """Add or replace a row."""
        self._connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", (key, *row))

    def remove(self, key: bytes) -> None:
        """Remove a row."""
        self._connection.execute("DELETE FROM entries WHERE key = ?", (key,))

    def expired(self, now_s: float) -> list[bytes]:
        """Give the keys of rows whose time is over."""
        found = self._connection.execute("SELECT key FROM entries WHERE expires_s <= ? ORDER BY key", (now_s,))
        return [key for (key,) in found]

    def next_expiry_s(self) -> float | None:
        """Give the earliest time that a row expires at."""
        found = self._connection.execute("SELECT min(expires_s) FROM entries WHERE expires_s IS NOT NULL").fetchone()
        return None if found[0] is None else float(found[0])

    def close(self) -> None:
        """Close the database and let go of the lock."""
        with suppress(sqlite3.Error):
            self._connection.close()
        os.close(self._lock)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _check_identity(self) -> None:
        """Refuse to write into a file that is no longer at its path: it would be gone with the process."""
        try:
            present = _identity(self._path)
        except OSError:
            present = None
        if present != self._identity:
            raise ServiceUnavailable(f"{self.where} was removed or replaced: nothing was written; start again")


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _write_fault(exc: sqlite3.Error) -> str:
    """Say what went wrong with a write; only the texts are the same from Python 3.10 on."""
    text = str(exc)
    if "disk is full" in text:
        return "has no room left on its disk: nothing was written"
    if "readonly" in text or "locked" in text:
        return f"cannot be written ({text}): nothing was written"
    return f"failed ({text}): it is not known whether the change was kept"
