# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter

from lmcache_frontend.demo.traffic import CHUNK_TOKENS, Pace, Traffic


def test_the_same_seed_gives_the_same_prompts_and_another_seed_others():
    first, second, other = Traffic(5), Traffic(5), Traffic(6)
    prompts = [first.next_prompt() for _ in range(200)]
    assert prompts == [second.next_prompt() for _ in range(200)]
    assert prompts != [other.next_prompt() for _ in range(200)]


def test_a_prompt_has_distinct_chunks_and_less_than_a_chunk_of_tokens_more():
    traffic = Traffic(1)
    for _ in range(3000):
        prompt = traffic.next_prompt()
        assert len(set(prompt.chunks)) == len(prompt.chunks)
        assert 0 <= prompt.tokens - len(prompt.chunks) * CHUNK_TOKENS < CHUNK_TOKENS
        assert 0 < prompt.fresh_chunks < len(prompt.chunks)


def test_fresh_chunks_were_never_seen_and_the_others_begin_like_an_earlier_prompt():
    traffic = Traffic(2)
    seen: set[int] = set()
    for _ in range(3000):
        prompt = traffic.next_prompt()
        assert seen.isdisjoint(prompt.chunks[-prompt.fresh_chunks :])
        seen.update(prompt.chunks)


def test_few_prompts_are_popular_and_many_are_not():
    traffic = Traffic(3)
    firsts = Counter(traffic.next_prompt().chunks[-1] >> 6 for _ in range(4000))
    most, least = firsts.most_common()[0][1], firsts.most_common()[-1][1]
    assert len(firsts) > 90
    assert most > 10 * least


def test_the_pace_comes_to_the_mean_rate_and_swells():
    pace = Pace(2.0, 0.0, 100.0)
    per_minute = [len(pace.due(100.0 + 60.0 * minute)) for minute in range(1, 71)]
    assert abs(sum(per_minute) - 2 * 4200) <= 2
    assert max(per_minute) > 1.5 * min(per_minute)
    assert 1.0 <= pace.rate_per_s(250.0) <= 3.0


def test_times_lie_between_two_calls_and_in_order():
    pace = Pace(1.0, 0.3, 0.0)
    before = 0.0
    for now in (3.0, 3.5, 20.0, 90.0):
        times = pace.due(now)
        assert times == sorted(times)
        assert all(before < at <= now + 1e-6 for at in times)
        before = now if times else before


def test_a_long_absence_is_not_made_up_for_and_a_clock_set_back_gives_nothing():
    pace = Pace(1.0, 0.0, 0.0)
    assert len(pace.due(1_000_000.0)) == Pace.MOST_STEPS
    assert len(pace.due(1_000_010.0)) <= 16
    assert pace.due(500.0) == []
