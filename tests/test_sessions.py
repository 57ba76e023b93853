# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from lmcache_frontend.access.rules import Role
from lmcache_frontend.access.sessions import LASTING_S, MOST_SESSIONS, Sessions
from lmcache_frontend.access.tokens import Tokens, make_token

TOKEN = make_token("0123456789abcdef", "mine", Role.OPERATOR)
TOKENS = Tokens([TOKEN])


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_session_stands_for_its_token_until_it_is_ended() -> None:
    sessions = Sessions(Clock())
    first, second = sessions.begin(TOKEN), sessions.begin(TOKEN)
    assert first != second
    assert len(first) == 64
    assert sessions.find(first, TOKENS) == TOKEN
    assert sessions.end(first)
    assert not sessions.end(first)
    assert sessions.find(first, TOKENS) is None
    assert sessions.find(second, TOKENS) == TOKEN
    assert sessions.find("", TOKENS) is None
    assert sessions.find("0" * 64, TOKENS) is None


def test_use_lets_it_last_and_disuse_ends_it() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    used, unused = sessions.begin(TOKEN), sessions.begin(TOKEN)
    clock.now_s += LASTING_S - 1
    assert sessions.find(used, TOKENS)
    clock.now_s += 1
    assert sessions.find(unused, TOKENS) is None
    clock.now_s += LASTING_S - 2
    assert sessions.find(used, TOKENS)
    clock.now_s += LASTING_S
    assert sessions.find(used, TOKENS) is None


def test_it_ends_with_its_token_for_good() -> None:
    sessions = Sessions(Clock())
    session_id = sessions.begin(TOKEN)
    assert sessions.find(session_id, Tokens()) is None
    assert sessions.find(session_id, TOKENS) is None


def test_a_role_that_changes_with_the_tokens_changes_in_the_session() -> None:
    sessions = Sessions(Clock())
    session_id = sessions.begin(TOKEN)
    lesser = TOKEN._replace(role=Role.VIEWER)
    assert sessions.find(session_id, Tokens([lesser])) == lesser


def test_there_are_so_many_and_the_one_unused_for_longest_goes() -> None:
    sessions = Sessions(Clock())
    oldest, used = sessions.begin(TOKEN), sessions.begin(TOKEN)
    assert sessions.find(oldest, TOKENS)
    others = [sessions.begin(TOKEN) for _ in range(MOST_SESSIONS - 1)]
    assert sessions.find(used, TOKENS) is None
    assert sessions.find(oldest, TOKENS)
    assert sessions.find(others[-1], TOKENS)


def test_nobody_signs_the_others_out_by_signing_in_again_and_again() -> None:
    sessions = Sessions(Clock())
    other = make_token("fedcba9876543210", "other", Role.VIEWER)
    tokens = Tokens([TOKEN, other])
    mine = [sessions.begin(TOKEN) for _ in range(3)]
    theirs = [sessions.begin(other) for _ in range(MOST_SESSIONS + 10)]
    assert [sessions.find(session_id, tokens) for session_id in mine] == [TOKEN] * 3
    assert sessions.find(theirs[12], tokens) is None
    assert sessions.find(theirs[13], tokens) == other
    assert sessions.begin(TOKEN)
    assert sessions.find(mine[0], tokens) == TOKEN
