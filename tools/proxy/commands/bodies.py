# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests out of ``-d`` and ``-F``: files are read while they are sent, and their size is known before.

Source: RFC 7578 for forms.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lmcache_frontend.errors import UsageError

_PIECE_BYTES = 256 * 1024
_split_field = re.compile(r"([^=]+)=(@?)(.*)", re.DOTALL).fullmatch

# A piece of a body: bytes, or the path of a file.
Part = bytes | Path


class Body(NamedTuple):
    """What is sent, what it is, and how large."""

    parts: tuple[Part, ...]
    content_type: str
    size_bytes: int

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes.

        Raises: UsageError where a file can no longer be read, or is shorter than it was.
        """
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from _pieces_of(part)

    def read(self) -> bytes:
        """Give the whole of it."""
        return b"".join(self.pieces())


def body_of_data(text: str) -> Body:
    """Make a body of what ``-d`` says: the text itself, ``@FILE``, or ``@-`` for standard input.

    Raises: UsageError for a file that cannot be read.
    """
    if text == "@-":
        content = sys.stdin.buffer.read()
        return Body((content,), _type_of(content), len(content))
    if text.startswith("@"):
        path = Path(text[1:])
        size_bytes = _size_of(path, "-d")
        content_type = _type_of(path.read_bytes()) if size_bytes <= _PIECE_BYTES else "application/octet-stream"
        return Body((path,), content_type, size_bytes)
    content = text.encode("utf-8", "surrogateescape")
    return Body((content,), _type_of(content), len(content))


def body_of_form(fields: Sequence[str]) -> Body:
    """Make a form of what each ``-F`` says: ``NAME=TEXT`` or ``NAME=@FILE``.

    Raises: UsageError.
    """
    boundary = secrets.token_hex(16)
    parts: list[Part] = []
    for field in fields:
        match = _split_field(field)
        if match is None:
            raise UsageError(f"-F: expected NAME=TEXT or NAME=@FILE, got {field!r}")
        name, at, value = match.groups()
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        if at:
            path = Path(value)
            _size_of(path, "-F")
            file_name = _quoted(path.name)
            parts.append(f'{head}; filename="{file_name}"\r\nContent-Type: application/octet-stream\r\n\r\n'.encode())
            parts.append(path)
        else:
            parts.append(f"{head}\r\n\r\n{value}".encode("utf-8", "surrogateescape"))
        parts.append(b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    size_bytes = sum(len(part) if isinstance(part, bytes) else _size_of(part, "-F") for part in parts)
    return Body(tuple(parts), f"multipart/form-data; boundary={boundary}", size_bytes)


def _pieces_of(path: Path) -> Iterator[bytes]:
    expected = _size_of(path, "the body")
    sent = 0
    with path.open("rb") as file:
        while sent < expected and (piece := file.read(min(_PIECE_BYTES, expected - sent))):
            sent += len(piece)
            yield piece
    if sent < expected:
        raise UsageError(f"{path} became shorter while it was sent")


def _size_of(path: Path, what: str) -> int:
    try:
        if not path.is_file():
            raise UsageError(f"{what}: {path} is {'no file' if path.exists() else 'not there'}")
        if not os.access(path, os.R_OK):
            raise UsageError(f"{what}: cannot read {path}: Permission denied")
        return path.stat().st_size
    except (OSError, ValueError) as exc:
        raise UsageError(f"{what}: cannot read {path}: {getattr(exc, 'strerror', None) or exc}") from exc


def _type_of(content: bytes) -> str:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return "application/octet-stream"
    return "application/json"


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
