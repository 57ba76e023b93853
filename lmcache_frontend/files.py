# SPDX-License-Identifier: Apache-2.0
"""Text files that people write for the service and that are read again when they change."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import NamedTuple

from lmcache_frontend.errors import BadRequest


class Stamp(NamedTuple):
    """What changes when a file does: one that is swapped by renaming has another inode."""

    modified_ns: int
    size_bytes: int
    inode: int


def stamp_of(path: Path) -> Stamp | None:
    """Give a file's stamp, None where it cannot be had."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Stamp(status.st_mtime_ns, status.st_size, status.st_ino)


def read_text(path: Path, *, limit_bytes: int) -> str:
    """Read a file of UTF-8 text, a byte order mark before it or not.

    Raises: BadRequest, with what is wrong but not the name.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadRequest("not a file")
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise BadRequest(f"over {limit_bytes} bytes")
        return data.decode("utf-8-sig")
    except OSError as exc:
        raise BadRequest(f"cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise BadRequest(f"not UTF-8 text (byte {exc.start})") from exc
