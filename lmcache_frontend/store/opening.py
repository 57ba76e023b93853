# SPDX-License-Identifier: Apache-2.0
"""Open the store that the settings name, or the default one.

A store that was named has to work. The default place is only a guess: where it cannot be used the service runs without
one, and says so, with what can still be read of it; nothing is quietly kept in memory in its place. Source of the
default: the XDG Base Directory Specification.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lmcache_frontend.errors import ServiceUnavailable, StartError, UsageError

if TYPE_CHECKING:
    from lmcache_frontend.store.protocol import Store

logger = logging.getLogger(__name__)

FOLDER = "lmcache-frontend"


def open_store(
    spec: str | None, *, port: int, environment: Mapping[str, str], clock: Callable[[], float] = time.time
) -> Store:
    """Open ``memory:``, ``sqlite:PATH``, ``etcd://HOST:PORT/PREFIX``, or for None the file that belongs to a port.

    Raises: UsageError for a malformed spec; StartError where a named store cannot be used, and where another process
    has the file, the default one too.
    """
    if spec is None:
        return _open_default(default_path(port, environment), clock)
    kind, colon, rest = spec.partition(":")
    if spec == "memory:":
        from lmcache_frontend.store.memory import open_memory

        return open_memory(clock)
    if kind == "sqlite" and rest and "\0" not in rest:
        from lmcache_frontend.store.sqlite_file import open_sqlite

        return open_sqlite(rest, clock)
    if kind == "etcd" and colon:
        return _open_etcd(spec)
    shown = f"one that starts with {kind[:20]!r}" if colon else "one without a colon"
    raise UsageError(f"--store: expected memory:, sqlite:PATH or etcd://HOST:PORT/PREFIX, got {shown}")


def default_path(port: int, environment: Mapping[str, str]) -> str:
    """Give the file that belongs to a port, empty where there is not even a home folder."""
    base = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        home = environment.get("HOME") or os.path.expanduser("~")
        base = os.path.join(home, ".local", "state")
    return os.path.join(base, FOLDER, f"{port}.db") if os.path.isabs(base) else ""


def _open_default(path: str, clock: Callable[[], float]) -> Store:
    from lmcache_frontend.store.pid_lock import InUse
    from lmcache_frontend.store.sqlite_file import open_sqlite
    from lmcache_frontend.store.unavailable import UnavailableStore

    try:
        if not path:
            raise StartError("there is no home folder, and XDG_STATE_HOME names none")
        return open_sqlite(path, clock)
    except InUse:
        raise
    except StartError as exc:
        logger.warning("no state is kept, and edits are refused until --store names another place: %s", exc)
        return UnavailableStore(str(exc), _kept_before(path, clock))


def _kept_before(path: str, clock: Callable[[], float]) -> Store | None:
    """Give what can still be read of a default file that cannot be written, None where that is nothing."""
    if not path or not os.path.exists(path):
        return None
    from lmcache_frontend.store.snapshot import read_snapshot

    return read_snapshot(path, clock)


def _open_etcd(spec: str) -> Store:
    from lmcache_frontend.store.etcd.address import read_address
    from lmcache_frontend.store.etcd.store import EtcdStore

    store = EtcdStore(read_address(spec))
    try:
        store.list("", limit=1)
    except ServiceUnavailable as exc:
        store.close()
        raise StartError(f"{store.where} cannot be used: {exc}") from exc
    return store
