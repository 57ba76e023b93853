# SPDX-License-Identifier: Apache-2.0
"""Sessions of browsers that signed in: a random id in a cookie stands for the token. Kept in memory alone."""

from __future__ import annotations

import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from lmcache_frontend.access.tokens import Token, Tokens, digest_of

LASTING_S = 12 * 3600.0
MOST_SESSIONS = 1000
_ID_BYTES = 32


class _Session(NamedTuple):
    token_digest: bytes
    ends_s: float


class Sessions:
    """The sessions in force, by the digest of their id, the one unused for longest first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take a clock in seconds that never goes back."""
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    def begin(self, token: Token) -> str:
        """Begin a session that stands for a token, and give its id.

        Past the limit one ends of the token that has the most, the one unused for longest: nobody with a token can sign
        the others out.
        """
        session_id = os.urandom(_ID_BYTES).hex()
        with self._lock:
            self._drop_ended()
            while len(self._sessions) >= MOST_SESSIONS:
                self._end_one()
            self._sessions[digest_of(session_id)] = _Session(token.digest, self._clock() + LASTING_S)
        return session_id

    def find(self, session_id: str, tokens: Tokens) -> Token | None:
        """Give the token that a session stands for, and let it last anew; None where it has ended."""
        if len(session_id) != 2 * _ID_BYTES:
            return None
        digest = digest_of(session_id)
        with self._lock:
            session = self._sessions.get(digest)
            if session is None:
                return None
            token = tokens.by_digest(session.token_digest) if session.ends_s > self._clock() else None
            if token is None:
                del self._sessions[digest]
                return None
            self._sessions[digest] = session._replace(ends_s=self._clock() + LASTING_S)
            self._sessions.move_to_end(digest)
            return token

    def end(self, session_id: str) -> bool:
        """End a session; say whether there was one."""
        with self._lock:
            return self._sessions.pop(digest_of(session_id), None) is not None

    def _end_one(self) -> None:
        bearers = Counter(session.token_digest for session in self._sessions.values())
        most = bearers.most_common(1)[0][0]
        del self._sessions[next(key for key, session in self._sessions.items() if session.token_digest == most)]

    def _drop_ended(self) -> None:
        now_s = self._clock()
        while self._sessions and next(iter(self._sessions.values())).ends_s <= now_s:
            self._sessions.popitem(last=False)
