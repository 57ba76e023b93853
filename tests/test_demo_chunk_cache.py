# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import pytest

from lmcache_frontend.demo.chunk_cache import ChunkCache


def test_a_prompt_is_found_as_far_as_its_leading_chunks_are_held():
    cache = ChunkCache(10)
    cache.put([1, 2, 4], 0.0)
    assert cache.prefix([1, 2, 3, 4]) == 2
    assert cache.prefix([3, 1, 2]) == 0
    assert cache.prefix([1, 2]) == 2
    assert cache.prefix([]) == 0


def test_the_least_recently_used_goes_first_and_of_a_prompt_its_last_chunk():
    cache = ChunkCache(4)
    cache.put([1, 2], 0.0)
    cache.put([3, 4], 10.0)
    cache.touch([1, 2])
    assert cache.put([5], 30.0) == [20.0]
    assert [chunk in cache for chunk in (1, 2, 3, 4, 5)] == [True, True, True, False, True]
    assert cache.age_s(1, 30.0) == 30.0


def test_of_more_chunks_than_there_is_room_for_the_first_are_kept():
    cache = ChunkCache(3)
    cache.put([9], 0.0)
    assert len(cache.put([1, 2, 3, 4, 5], 1.0)) == 1
    assert cache.prefix([1, 2, 3, 4]) == 3
    assert len(cache) == 3


def test_evicting_and_clearing_tell_what_there_was():
    cache = ChunkCache(5)
    cache.put([1, 2, 3], 0.0)
    assert cache.evict(2, 4.0) == [4.0, 4.0]
    assert cache.evict(-1, 4.0) == []
    assert cache.clear() == 1
    assert cache.clear() == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_never_holds_more_than_it_may_and_never_evicts_while_there_is_room(seed):
    draw = random.Random(seed)
    cache = ChunkCache(40)
    for step in range(3000):
        held = len(cache)
        first = draw.randrange(300)
        keys = [key for key in range(first, first + draw.randrange(1, 20)) if key not in cache]
        evicted = cache.put(keys, float(step))
        assert len(cache) == held + len(keys) - len(evicted) <= 40
        assert not evicted or len(cache) == 40
        assert all(age >= 0 for age in evicted)
