# SPDX-License-Identifier: Apache-2.0
"""Write the expositions of many nodes as one: each family once, with the samples of all nodes in a row.

Family after family is taken from one open chunk of each node, so a merge holds some 16 KiB a node in place of whole
bodies, and gives its first bytes at once. Leaves what goes in to ``plan`` and all checks of lines to ``blocks``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

from lmcache_frontend.exposition.blocks import Blocks
from lmcache_frontend.exposition.labels import Labels, identity, read_labels
from lmcache_frontend.exposition.plan import Conflict, Entry, Group, Plan, make_plan
from lmcache_frontend.exposition.render import END_OF_OPENMETRICS

# Less than this is not worth a piece of its own.
_PIECE_BYTES = 65536


def merge(
    blocks: Iterable[Blocks], *, families: Callable[[str], bool] | None = None, openmetrics: bool = False
) -> Iterator[bytes]:
    """Yield one exposition of all these nodes, in pieces of 64 KiB or more.

    ``families`` tells by the name that nodes use which to write. Blocks must differ in their labels. Families that had
    to be left out are named in comments, which OpenMetrics does not have; ``conflicts`` gives them as values.
    """
    plan = make_plan(blocks, families, openmetrics=openmetrics)
    pending: list[bytes] = []
    size = 0
    for text in _texts(plan, notes=not openmetrics):
        pending.append(text)
        size += len(text)
        if size >= _PIECE_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
    if openmetrics:
        pending.append(END_OF_OPENMETRICS)
    if pending:
        yield b"".join(pending)


def conflicts(
    blocks: Iterable[Blocks], *, families: Callable[[str], bool] | None = None, openmetrics: bool = False
) -> list[Conflict]:
    """Give the families that ``merge`` leaves out because others have their names."""
    return make_plan(blocks, families, openmetrics=openmetrics).conflicts


class _Reader:
    """One node's text with one chunk of it open; all of it, once the order asked for is not the node's own."""

    __slots__ = ("_chunks", "_data", "_end", "_offsets", "_start", "own")

    def __init__(self, blocks: Blocks) -> None:
        self.own = not blocks.labels
        self._offsets = memoryview(blocks.offsets).cast("I")
        self._chunks = blocks.chunks
        self._data = b""
        self._start = self._end = 0

    def family(self, position: int) -> bytes:
        start, end = self._offsets[position], self._offsets[position + 1]
        if start == end:
            return b""
        if not self._start <= start < self._end:
            self._open(start)
        return self._data[start - self._start : end - self._start]

    def _open(self, start: int) -> None:
        wanted = [chunk for chunk in self._chunks if start < chunk.end][:1] if start >= self._end else self._chunks
        self._data = b"".join([zlib.decompress(chunk.data) for chunk in wanted])
        self._start, self._end = wanted[0].start, wanted[-1].end


def _texts(plan: Plan, *, notes: bool) -> Iterator[bytes]:
    readers = [(group, [_Reader(blocks) for blocks in group.members]) for group in plan.groups]
    if notes:
        yield from (f"# left out: {conflict.text}\n".encode("utf-8", "replace") for conflict in plan.conflicts)
    for entry in plan.entries:
        yield entry.head
        yield from _family(entry, readers)


def _family(entry: Entry, readers: list[tuple[Group, list[_Reader]]]) -> Iterator[bytes]:
    holders = [(group.positions[entry.key], members) for group, members in readers if entry.key in group.positions]
    own = [(position, reader) for position, members in holders for reader in members if reader.own]
    if own and sum(len(members) for _, members in holders) > len(own):
        yield from _own_first(own, holders)
        return
    for position, members in holders:
        yield b"".join([reader.family(position) for reader in members])


def _own_first(own: list[tuple[int, _Reader]], holders: list[tuple[int, list[_Reader]]]) -> Iterator[bytes]:
    """Let no node repeat a sample of ours: ours may bear the label that is put into theirs."""
    seen: set[tuple[str, Labels]] = set()
    for position, reader in own:
        text = reader.family(position)
        seen.update(map(_meaning, _lines(text)))
        yield text
    for position, members in holders:
        for reader in members:
            if not reader.own:
                yield b"".join([line for line in _lines(reader.family(position)) if _meaning(line) not in seen])


def _lines(text: bytes) -> list[bytes]:
    # Not splitlines: a carriage return is an ordinary character in a label value.
    return [line + b"\n" for line in text.split(b"\n")[:-1]]


def _meaning(line: bytes) -> tuple[str, Labels]:
    name, _, labels = line.decode().rpartition(" ")[0].partition("{")
    return name, identity(read_labels(labels[:-1]))
