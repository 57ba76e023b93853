# SPDX-License-Identifier: Apache-2.0
"""A cache of equally sized chunks that drops the least recently used first; nothing is stored but keys and times.

A prompt is found as far as its leading chunks are held, so leading chunks are kept newest. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence


class ChunkCache:
    """Chunk keys from least to most recently used, each with the time at which it was stored."""

    __slots__ = ("_stored_at", "capacity_chunks")

    def __init__(self, capacity_chunks: int) -> None:
        """Make an empty cache for so many chunks."""
        self.capacity_chunks = capacity_chunks
        # A plain dict keeps order and is less than half the size of an OrderedDict.
        self._stored_at: dict[int, float] = {}

    def __len__(self) -> int:
        """Give the number of chunks held."""
        return len(self._stored_at)

    def __contains__(self, key: int) -> bool:
        """Say whether a chunk is held."""
        return key in self._stored_at

    def prefix(self, keys: Sequence[int]) -> int:
        """Give how many leading keys are held."""
        for found, key in enumerate(keys):
            if key not in self._stored_at:
                return found
        return len(keys)

    def touch(self, keys: Sequence[int]) -> None:
        """Make held keys the most recently used, the first of them most of all."""
        stored_at = self._stored_at
        for key in reversed(keys):
            stored_at[key] = stored_at.pop(key)

    def age_s(self, key: int, now: float) -> float:
        """Give the seconds since a held key was stored."""
        return now - self._stored_at[key]

    def put(self, keys: Sequence[int], now: float) -> list[float]:
        """Store keys that are not held and give the ages (seconds) of those evicted to make room for them.

        Of more keys than there is room for in all, the first are kept.
        """
        keys = keys[: self.capacity_chunks]
        evicted = self.evict(len(self._stored_at) + len(keys) - self.capacity_chunks, now)
        for key in reversed(keys):
            self._stored_at[key] = now
        return evicted

    def evict(self, count: int, now: float) -> list[float]:
        """Drop the ``count`` least recently used chunks and give their ages in seconds."""
        ages = []
        for _ in range(count):
            oldest = next(iter(self._stored_at))
            ages.append(now - self._stored_at.pop(oldest))
        return ages

    def clear(self) -> int:
        """Drop everything and give the number of chunks there were."""
        count = len(self._stored_at)
        self._stored_at = {}
        return count
