# SPDX-License-Identifier: Apache-2.0
"""Made-up traffic: which prompt comes next, and how many are due by when. Pure; the clock is the caller's.

Prompts are turns of conversations. Few conversations are popular and many are not (Zipf's law with exponent 1); each
starts with the system prompt of one of a few applications, grows from turn to turn, and is at last replaced.
"""

from __future__ import annotations

import math
import random
from array import array
from typing import NamedTuple

CHUNK_TOKENS = 256

_APPLICATIONS = 4
_CONVERSATIONS = 24
_LONGEST_CHUNKS = 36
_INDEX_BITS = 6


class Prompt(NamedTuple):
    """A prompt as the keys of its whole chunks, its length in tokens, and how many chunks were never seen before."""

    chunks: list[int]
    tokens: int
    fresh_chunks: int


class Traffic:
    """An endless sequence of prompts, the same for the same seed."""

    __slots__ = ("_chunks_of", "_generation_of", "random")

    def __init__(self, seed: int) -> None:
        """Start all conversations at their first turn."""
        self.random = random.Random(seed)
        self._chunks_of = array("B", bytes(_CONVERSATIONS))
        self._generation_of = array("L", [0]) * _CONVERSATIONS

    def next_prompt(self) -> Prompt:
        """Give the next turn of a conversation, popular ones more often."""
        draw = self.random.random
        rank = int(_CONVERSATIONS ** draw()) - 1
        before = self._chunks_of[rank]
        length = before + 1 + int(draw() * 3)
        if length > _LONGEST_CHUNKS:
            before, length = 0, 1 + int(draw() * 6)
            self._generation_of[rank] += 1
        self._chunks_of[rank] = length
        application = rank % _APPLICATIONS
        identity = _APPLICATIONS + rank + self._generation_of[rank] * _CONVERSATIONS
        chunks = _keys(application, 2 + 2 * application) + _keys(identity, length)
        return Prompt(chunks, len(chunks) * CHUNK_TOKENS + int(draw() * CHUNK_TOKENS), length - before)


class Pace:
    """How many requests are due: a mean rate that swells and ebbs, so that figures are not straight lines."""

    __slots__ = ("_done", "_last_at", "_rate_per_s", "_start_at", "_turn")

    MOST_STEPS = 500
    _PERIOD_S = 420.0
    _SWING = 0.5

    def __init__(self, rate_per_s: float, turn: float, start_at: float) -> None:
        """Start at a time (seconds) and a turn (0..1) of the swell, with nothing due."""
        self._rate_per_s = rate_per_s
        self._turn = turn
        self._start_at = start_at
        self._last_at = start_at
        self._done = 0

    def due(self, now: float) -> list[float]:
        """Give the times of the requests due since the last call, at most `MOST_STEPS`: of more the rest is skipped."""
        total = int(self._volume(now - self._start_at))
        steps = total - self._done
        if steps <= 0:
            return []
        self._done = total
        begin, self._last_at = self._last_at, now
        steps = min(steps, self.MOST_STEPS)
        gap_s = (now - begin) / steps
        return [begin + gap_s * step for step in range(1, steps + 1)]

    def rate_per_s(self, now: float) -> float:
        """Give the rate at a time, in requests per second."""
        angle = self._angle(now - self._start_at)
        return self._rate_per_s * (1 + self._SWING * math.sin(angle))

    def _volume(self, elapsed_s: float) -> float:
        """Integrate the rate from the start."""
        swell = math.cos(self._angle(0.0)) - math.cos(self._angle(elapsed_s))
        return self._rate_per_s * (elapsed_s + self._SWING * self._PERIOD_S / math.tau * swell)

    def _angle(self, elapsed_s: float) -> float:
        return math.tau * (elapsed_s / self._PERIOD_S + self._turn)


def _keys(identity: int, count: int) -> list[int]:
    first = identity << _INDEX_BITS
    return list(range(first, first + count))
