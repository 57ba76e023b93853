# SPDX-License-Identifier: Apache-2.0
"""Keep one node's exposition small and ready to be merged: checked, relabelled, cut by family, compressed.

The text is compressed in chunks of some 16 KiB of whole families: a merge then holds one chunk of each node, not all of
them whole. HELP and TYPE are not in the text but in a table that nodes of the same layout share.

Timestamps are left out. A merged exposition is read later than the node was asked, so a timestamp would be old by then,
and Prometheus does not mark a timestamped series stale when its node goes. Leaves the order of families to ``merge``.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from lmcache_frontend.exposition.diagnosis import FAULTS_TOLD
from lmcache_frontend.exposition.labels import Labels, excerpt, identity, put_in, render_pairs
from lmcache_frontend.exposition.scan import Scan, scan

_CHUNK_BYTES = 16384
# Level 1 takes half the time of 6 and a tenth more space: the text repeats itself at short distance.
_LEVEL = 1
_SHARED_HEADS = 2000


class Head(NamedTuple):
    """What is said once about a family; help without escapes."""

    name: str
    type: str
    help: str


class Chunk(NamedTuple):
    """Compressed text of some families in a row; ``start`` and ``end`` are offsets in the whole text, in bytes."""

    start: int
    end: int
    data: bytes


class Blocks(NamedTuple):
    """One node's exposition: ``offsets`` (an ``array("I")`` as bytes) i and i + 1 bound the text of ``heads[i]``."""

    labels: Labels
    heads: tuple[Head, ...]
    offsets: bytes
    chunks: tuple[Chunk, ...]
    samples: int

    @property
    def stored_bytes(self) -> int:
        """About what these blocks alone take in memory; what is shared with others is left out."""
        return 400 + len(self.offsets) + sum(160 + len(chunk.data) for chunk in self.chunks)


class MadeBlocks(NamedTuple):
    """Blocks, the first faults of the body in words, and the count of all lines that were dropped."""

    blocks: Blocks
    faults: list[str]
    dropped: int


def make_blocks(body: str | Scan, labels: Sequence[tuple[str, str]]) -> MadeBlocks:
    """Check a body, put these labels into every sample, and compress it.

    A label of such a name that is there already becomes ``exported_`` and its name. No labels at all mark families of
    our own, which win over those of nodes in a merge.
    """
    scanned = scan(body) if isinstance(body, str) else body
    rendered, meanings = _relabel(scanned.label_sets, tuple(labels))
    faults, dropped = scanned.faults, scanned.dropped
    texts = []
    for family in scanned.families.values():
        samples = family.samples
        if meanings:
            samples, repeated = _without_collisions(samples, meanings)
            dropped += len(repeated)
            faults = [*faults, *repeated[: max(0, FAULTS_TOLD - len(faults))]]
        text = "".join([f"{name}{rendered[pairs]} {value}\n" for (name, pairs), value in samples.items()])
        texts.append(text.encode("utf-8", "replace"))
    heads = tuple(Head(family.name, family.type, family.help) for family in scanned.families.values())
    offsets, chunks = _cut(texts)
    count = sum(len(family.samples) for family in scanned.families.values()) - (dropped - scanned.dropped)
    return MadeBlocks(Blocks(tuple(labels), _shared(heads), offsets, chunks, count), faults, dropped)


def _relabel(label_sets: dict[str, Labels], added: Labels) -> tuple[dict[str, str], dict[str, Labels]]:
    """Render each label set with the labels put in; also give what each means then, where two came to mean the same."""
    names = {name for name, _ in added}
    prefix = render_pairs(added)
    rendered: dict[str, str] = {}
    renamed = False
    for text, pairs in label_sets.items():
        if names.isdisjoint([name for name, _ in pairs]):
            inner = render_pairs(pairs)
            inner = f"{prefix},{inner}" if prefix and inner else prefix or inner
        else:
            renamed = True
            inner = render_pairs(put_in(pairs, added))
        rendered[text] = f"{{{inner}}}" if inner else ""
    meanings = {text: identity(put_in(pairs, added)) for text, pairs in label_sets.items()} if renamed else {}
    return rendered, meanings if len(set(meanings.values())) < len(meanings) else {}


def _without_collisions(
    samples: dict[tuple[str, str], str], meanings: dict[str, Labels]
) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Leave out what a renamed label made equal to an earlier sample: ``{node=..}`` beside ``{exported_node=..}``."""
    seen: set[tuple[str, Labels]] = set()
    kept: dict[tuple[str, str], str] = {}
    repeated: list[str] = []
    for key, value in samples.items():
        meaning = (key[0], meanings[key[1]])
        if meaning in seen:
            repeated.append(f"{excerpt(key[0])} has the same labels as one before it, once they are renamed")
        else:
            seen.add(meaning)
            kept[key] = value
    return kept, repeated


def _cut(texts: list[bytes]) -> tuple[bytes, tuple[Chunk, ...]]:
    offsets = array("I", [0])
    chunks: list[Chunk] = []
    pending: list[bytes] = []
    start = end = 0
    for text in texts:
        pending.append(text)
        end += len(text)
        offsets.append(end)
        if end - start >= _CHUNK_BYTES:
            chunks.append(Chunk(start, end, zlib.compress(b"".join(pending), _LEVEL)))
            pending, start = [], end
    if end > start:
        chunks.append(Chunk(start, end, zlib.compress(b"".join(pending), _LEVEL)))
    return offsets.tobytes(), tuple(chunks)


def _shared(heads: tuple[Head, ...]) -> tuple[Head, ...]:
    return _first_of_equals(heads) if len(heads) <= _SHARED_HEADS else heads


@lru_cache(maxsize=64)
def _first_of_equals(heads: tuple[Head, ...]) -> tuple[Head, ...]:
    """Give the first table equal to this one: nodes of one version have the same, some 20 KB of it."""
    return heads
