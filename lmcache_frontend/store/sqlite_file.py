# SPDX-License-Identifier: Apache-2.0
"""Open the file of a SQLite store, or say why it cannot be used; a file that is not ours or damaged stays untouched.

Files are made for their owner alone, and so is their folder if it is missing; what is there keeps its mode.
Source: https://sqlite.org/uri.html, /pragma.html.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from urllib.parse import quote

from lmcache_frontend.errors import ServiceUnavailable, StartError
from lmcache_frontend.store import pid_lock
from lmcache_frontend.store.embedded import EmbeddedStore
from lmcache_frontend.store.mounts import network_file_system
from lmcache_frontend.store.sqlite import APPLICATION_ID, FORMAT, SqliteTable

BUSY_TIMEOUT_S = 5.0
_MOUNTINFO = "/proc/self/mountinfo"
_SMALLEST_PAGE_BYTES = 512
_LARGEST_REVISION = 1 << 62
# Only another program can have written such rows, and much would fail at them later.
_FOREIGN_ROWS = (
    "SELECT (SELECT count(*) FROM entries WHERE typeof(key) != 'blob' OR typeof(value) != 'blob'"
    " OR typeof(revision) != 'integer' OR typeof(expires_s) NOT IN ('real', 'null')) + (SELECT count(*) != 1"
    " OR coalesce(max(typeof(revision) != 'integer' OR revision NOT BETWEEN 0 AND ?), 1) FROM counter)"
)


def open_sqlite(
    path: str, clock: Callable[[], float] = time.time, *, mountinfo_path: str = _MOUNTINFO
) -> EmbeddedStore:
    """Open a store in a file, which is made where it is missing.

    Raises: StartError, of which InUse where another process has it.
    """
    path = os.path.realpath(path)
    require_local(path, mountinfo_path)
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        lock = pid_lock.hold(path, f"{path}.lock")
    except OSError as exc:
        raise StartError(f"{path} cannot be used: {exc.strerror} ({exc.filename or 'its lock'})") from exc
    with ExitStack() as undo:
        undo.callback(os.close, lock)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            _inspect(path)
            connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            undo.callback(connection.close)
            store = EmbeddedStore(SqliteTable(connection, path, lock), clock)
        except OSError as exc:
            raise StartError(f"{path} cannot be used: {exc.strerror}") from exc
        except (sqlite3.Error, ServiceUnavailable) as exc:
            raise StartError(f"{path} cannot be used: {exc}{_room(path)}") from exc
        undo.pop_all()
    return store


def _room(path: str) -> str:
    """Say that a disk is full, which SQLite calls by many names when it cannot make its files."""
    return "; its disk is full" if os.statvfs(os.path.dirname(path)).f_bavail == 0 else ""


def require_local(path: str, mountinfo_path: str = _MOUNTINFO) -> None:
    """Refuse a path on a network file system.

    Raises: StartError.
    """
    try:
        with open(mountinfo_path, encoding="utf-8", errors="surrogateescape") as file:
            mountinfo = file.read()
    except OSError:
        # Only Linux has it.
        return
    if kind := network_file_system(path, mountinfo):
        raise StartError(f"{path} cannot be used: it is on a network file system ({kind})")


def _inspect(path: str) -> None:
    """Look at a file without writing to it.

    Raises: StartError, sqlite3.Error.
    """
    if 0 < os.path.getsize(path) < _SMALLEST_PAGE_BYTES:
        # SQLite would take it for empty and write over it.
        raise StartError(f"{path} is damaged or no store of ours (it is too short); it was left as it is")
    # Only the very first steps of a new store use a rollback journal; one that stayed behind has to be rolled back.
    mode = "rw" if os.path.exists(f"{path}-journal") else "ro"
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        inspect(connection, path)


def inspect(connection: sqlite3.Connection, path: str) -> None:
    """See whether a database is empty, or a sound store of this release or an earlier one.

    Raises: StartError, sqlite3.Error.
    """
    try:
        application = _first(connection, "PRAGMA application_id")
        form = _first(connection, "PRAGMA user_version")
        tables = _first(connection, "SELECT count(*) FROM sqlite_master")
        verdict = _first(connection, "PRAGMA quick_check(1)")
        is_known = verdict == "ok" and application == APPLICATION_ID and form == FORMAT
        foreign = is_known and _first(connection, _FOREIGN_ROWS, _LARGEST_REVISION)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as exc:
        raise StartError(f"{path} is damaged or no store of ours ({exc}); it was left as it is") from exc
    if tables and application != APPLICATION_ID:
        raise StartError(f"{path} is another program's database; it was left as it is")
    if isinstance(form, int) and form > FORMAT:
        newer = f"has format {form}, this release reads up to {FORMAT}"
        raise StartError(f"{path} was written by a newer release ({newer}); it was left as it is")
    if verdict != "ok":
        raise StartError(f"{path} is damaged ({verdict}); it was left as it is")
    if foreign:
        raise StartError(f"{path} is damaged (another program has written to it); it was left as it is")


def _first(connection: sqlite3.Connection, statement: str, *values: object) -> object:
    return connection.execute(statement, values).fetchone()[0]
