# SPDX-License-Identifier: Apache-2.0
"""Read a store's file that cannot be written, such as on a full or read-only disk, as it is at this moment.

Source: https://sqlite.org/wal.html#readonly, /uri.html.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from urllib.parse import quote

from lmcache_frontend.errors import FrontendError
from lmcache_frontend.store.embedded import EmbeddedStore, Row
from lmcache_frontend.store.memory import MemoryTable
from lmcache_frontend.store.sqlite_file import inspect, require_local

SIZE_LIMIT_BYTES = 256 << 20


def read_snapshot(path: str, clock: Callable[[], float] = time.time) -> EmbeddedStore | None:
    """Give what a file holds, None where there is none or it is not sound."""
    path = os.path.realpath(path)
    # Without room for its shared memory SQLite reads only what it is told that nobody writes to: so it is where there
    # is no log of writes beside it.
    for mode in ("mode=ro", "immutable=1"):
        try:
            require_local(path)
            if os.path.getsize(path) > SIZE_LIMIT_BYTES:
                return None
            if mode == "immutable=1" and os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal"):
                return None
            uri = f"file:{quote(os.fsencode(path))}?{mode}"
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                return _copied(connection, path, clock)
        except (OSError, sqlite3.Error, FrontendError):
            continue
    return None


def _copied(connection: sqlite3.Connection, path: str, clock: Callable[[], float]) -> EmbeddedStore:
    connection.execute("BEGIN")
    inspect(connection, path)
    table = MemoryTable()
    table.where = f"sqlite:{path}"
    for key, *row in connection.execute("SELECT key, value, revision, expires_s FROM entries"):
        table.write(key, Row(*row))
    table.set_revision(connection.execute("SELECT revision FROM counter").fetchone()[0])
    return EmbeddedStore(table, clock)
