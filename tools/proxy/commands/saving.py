# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of an answer go while they come: standard output, or a file that is there whole or not at all."""

from __future__ import annotations

import codecs
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lmcache_frontend.errors import FrontendError

from ...files import WriteFailed
from ...terminal import Terminal, printable

Sink = Callable[[bytes], None]


class BinaryOutput(FrontendError):
    """What came is no text, and a person looks at it."""


@contextmanager
def sink_to(path: str | None, terminal: Terminal) -> Iterator[Sink]:
    """Give what takes the bytes; without a path, or with ``-``, they go to standard output.

    Raises: WriteFailed; BinaryOutput for bytes that a terminal should not be sent.
    """
    if path is not None and path != "-":
        with _file(path) as sink:
            yield sink
    elif terminal.interactive:
        yield _shown_on(terminal)
    else:
        terminal.stream.flush()
        raw = getattr(terminal.stream, "buffer", None)
        if raw is None:
            yield lambda piece: _discard_count(terminal.stream.write(piece.decode("utf-8", "replace")))
        else:
            yield lambda piece: _discard_count(raw.write(piece))
            raw.flush()


def _discard_count(_: int) -> None:
    """Take what writing gives."""


@contextmanager
def _file(path: str) -> Iterator[Sink]:
    try:
        present = os.stat(path) if os.path.exists(path) else None
        if present is not None and not stat.S_ISREG(present.st_mode):
            with open(path, "wb") as special:
                yield lambda piece: _discard_count(special.write(piece))
            return
        target = Path(os.path.realpath(path))
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as exc:
        raise WriteFailed(f"cannot write {path}: {exc.strerror or exc}") from exc
    try:
        with open(descriptor, "wb") as file:
            yield lambda piece: _written(file.write, piece, path)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0o077)
        os.umask(mask)
        os.chmod(name, stat.S_IMODE(present.st_mode) if present is not None else 0o666 & ~mask)
        Path(name).replace(target)
    except OSError as exc:
        raise WriteFailed(f"cannot write {path}: {exc.strerror or exc}") from exc
    finally:
        with suppress(OSError):
            os.unlink(name)


def _written(write: Callable[[bytes], int], piece: bytes, path: str) -> None:
    try:
        write(piece)
    except OSError as exc:
        raise WriteFailed(f"cannot write {path}: {exc.strerror or exc}") from exc


def _shown_on(terminal: Terminal) -> Sink:
    """Give what shows text on a terminal, with everything escaped that could steer it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(piece: bytes) -> None:
        if b"\0" in piece:
            raise BinaryOutput("the answer is no text: save it with -o FILE, or show it all the same with | cat")
        text = decoder.decode(piece)
        lines = text.replace("\r\n", "\n").split("\n")
        terminal.stream.write("\n".join("\t".join(map(printable, line.split("\t"))) for line in lines))
        terminal.stream.flush()

    return show
