# SPDX-License-Identifier: Apache-2.0
"""Ask the members of an etcd cluster, one after the other, until one answers.

Leaves the single exchange to ``exchange`` and what to ask to the store. Source: etcd 3.4, authentication included.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

from lmcache_frontend.errors import ServiceUnavailable
from lmcache_frontend.store.etcd.address import Address
from lmcache_frontend.store.etcd.exchange import Exchange, Lost, NotSent, Refused

ANSWER_TIMEOUT_S = 5.0
# The second round is for a cluster that was choosing a leader in the first; where that took long, it has one by now.
ROUNDS = 2
PAUSE_S = 0.2
_UNAUTHENTICATED = 16
_OLD_TOKEN = "revision of auth store is old"
T = TypeVar("T")


class Repeat(enum.Enum):
    """What it means to send a request again whose answer was lost."""

    HARMLESS = "it changes nothing, or the same once more"
    GUARDED = "it fails the second time"
    NEVER = "it might undo what somebody else did in between"


class OutcomeUnknown(ServiceUnavailable):
    """The request was sent, and whether it was carried out is not known."""


class Reply(NamedTuple):
    """An answer; ``is_repeat`` where an earlier attempt may have been carried out as well."""

    document: dict[str, Any]
    is_repeat: bool


class Gateway:
    """The members of a cluster. Thread-safe."""

    def __init__(self, address: Address, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        """Connect to nobody yet."""
        self._address = address
        self._answer_timeout_s = answer_timeout_s
        self._preferred = 0
        self._token = ""
        self._closed = threading.Event()

    def call(self, method: str, request: Mapping[str, Any], repeat: Repeat = Repeat.HARMLESS) -> Reply:
        """Ask for something, such as ``kv/range``.

        Raises: Refused, OutcomeUnknown, or ServiceUnavailable where nothing was done.
        """

        def ask(endpoint: tuple[str, int]) -> dict[str, Any]:
            with closing(self._open(endpoint, method, request)) as exchange:
                return exchange.whole()

        return Reply(*self._try_members(ask, repeat))

    def stream(self, method: str, request: Mapping[str, Any]) -> Exchange:
        """Ask for something whose answer goes on and on; the caller closes it.

        Raises: Refused, ServiceUnavailable.
        """
        return self._try_members(lambda endpoint: self._open(endpoint, method, request), Repeat.HARMLESS)[0]

    def close(self) -> None:
        """Refuse whatever is asked from now on."""
        self._closed.set()

    def _try_members(self, ask: Callable[[tuple[str, int]], T], repeat: Repeat) -> tuple[T, bool]:
        """Give the first answer, and whether a request before it may have been carried out."""
        reasons: list[str] = []
        is_repeat = False
        for number in self._order():
            try:
                answer = ask(self._address.endpoints[number])
            except NotSent as exc:
                reasons.append(str(exc))
                continue
            except Lost as exc:
                reasons.append(str(exc))
                is_repeat = True
                if repeat is Repeat.NEVER:
                    break
                continue
            except Refused as exc:
                if not is_repeat or repeat is Repeat.HARMLESS:
                    raise
                reasons.append(str(exc))
                break
            self._preferred = number
            return answer, is_repeat
        message = f"no member of {self._address.shown} answered: {'; '.join(dict.fromkeys(reasons))}"
        if is_repeat and repeat is not Repeat.HARMLESS:
            raise OutcomeUnknown(f"{message}; it is not known whether the change was kept")
        raise ServiceUnavailable(message)

    def _order(self) -> Iterator[int]:
        """Yield members, the one that answered last first, for as long as the gateway is open."""
        count = len(self._address.endpoints)
        first = self._preferred
        began_s = time.monotonic()
        for attempt in range(count * ROUNDS):
            if attempt == count:
                if time.monotonic() - began_s >= self._answer_timeout_s:
                    return
                self._closed.wait(PAUSE_S)
            if self._closed.is_set():
                raise ServiceUnavailable(f"{self._address.shown} is closed")
            yield (first + attempt) % count

    def _open(self, endpoint: tuple[str, int], method: str, request: Mapping[str, Any]) -> Exchange:
        """Send a request, with a token where there is a user, and once more where the token was too old."""
        if not self._address.user:
            return self._post(endpoint, method, request)
        token = self._token or self._authenticate(endpoint)
        try:
            return self._post(endpoint, method, request, token)
        except Refused as exc:
            if exc.code != _UNAUTHENTICATED and _OLD_TOKEN not in str(exc):
                raise
        return self._post(endpoint, method, request, self._authenticate(endpoint))

    def _authenticate(self, endpoint: tuple[str, int]) -> str:
        credentials = {"name": self._address.user, "password": self._address.password}
        try:
            with closing(self._post(endpoint, "auth/authenticate", credentials)) as exchange:
                self._token = str(exchange.whole().get("token", ""))
        except Lost as exc:
            raise NotSent(str(exc)) from exc
        return self._token

    def _post(self, endpoint: tuple[str, int], method: str, request: Mapping[str, Any], token: str = "") -> Exchange:
        exchange = Exchange(endpoint, self._answer_timeout_s)
        try:
            exchange.send(method, request, token)
        except BaseException:
            exchange.close()
            raise
        return exchange
