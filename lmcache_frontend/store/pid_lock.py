# SPDX-License-Identifier: Apache-2.0
"""Let one process at a time use a file, and tell the others which one it is.

The kernel drops the lock with the process, however that ends, so a lock file that stayed behind is no obstacle; it is
never deleted, or two processes could hold locks on two files of one name. Source: flock(2).
"""

from __future__ import annotations

import fcntl
import os

from lmcache_frontend.errors import StartError


class InUse(StartError):
    """Another process has the file."""


def hold(path: str, lock_path: str) -> int:
    """Lock a file by another one beside it, and give the descriptor that holds the lock until it is closed.

    Raises: InUse, OSError.
    """
    descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise InUse(f"{path} is in use by process {holder or '(just starting)'}") from exc
    except BaseException:
        os.close(descriptor)
        raise
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except OSError:
        # A full disk: the lock holds without a number.
        pass
    return descriptor
