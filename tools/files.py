# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from lmcache_frontend.errors import FrontendError, UsageError

FILE_LIMIT_BYTES = 16 * 1024 * 1024


class WriteFailed(FrontendError):
    """A file could not be written; what was there before is untouched."""


def write_atomically(path: str, content: bytes, *, new_mode: int | None = None) -> None:
    """Replace a file by one that has been written and synced beside it; a symbolic link keeps leading to it.

    A file that was there keeps its mode, and its owner if that is allowed; a new one gets ``new_mode``, by default what
    the umask leaves. Something that is no file, such as /dev/stdout, is written to as it is.
    Raises: WriteFailed.
    """
    try:
        present = os.stat(path) if os.path.exists(path) else None
        if present is not None and not stat.S_ISREG(present.st_mode):
            Path(path).write_bytes(content)
        else:
            _replace(Path(os.path.realpath(path)), content, present, new_mode)
    except OSError as exc:
        raise WriteFailed(f"cannot write {path}: {exc.strerror or exc}") from exc


def _replace(target: Path, content: bytes, present: os.stat_result | None, new_mode: int | None) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as file:
            if present is not None:
                # Another's file that we may only write: a new one is ours, and only root may give it back.
                with suppress(PermissionError):
                    os.fchown(file.fileno(), present.st_uid, present.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(present.st_mode))
            else:
                os.fchmod(file.fileno(), _default_mode() if new_mode is None else new_mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    _sync_folder(target.parent)


def _default_mode() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make the new name durable too; some file systems cannot, and lose nothing but the name."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_text(path: str, what: str) -> str:
    """Read a text file that an operator named; ``-`` is standard input.

    Raises: UsageError, naming ``what`` and the path.
    """
    try:
        if path == "-":
            content = sys.stdin.buffer.read(FILE_LIMIT_BYTES + 1)
        else:
            with open(path, "rb") as file:
                content = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as exc:
        raise UsageError(f"{what}: cannot read {path}: {exc.strerror or exc}") from exc
    if len(content) > FILE_LIMIT_BYTES:
        raise UsageError(f"{what}: {path} is larger than {FILE_LIMIT_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UsageError(f"{what}: {path} is not UTF-8 text: {exc.reason} at byte {exc.start}") from exc
