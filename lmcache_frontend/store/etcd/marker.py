# SPDX-License-Identifier: Apache-2.0
"""Send a change that can be sent twice, and know which attempt it was that did it.

A change that names a revision fails the second time; what is found then could be somebody else's change to the very
same value. So each change also writes a number of its own into a key that only this process writes, and that ends
with a lease when it is not written any more. The key starts with a byte that no text starts with: it is in no listing.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any, NamedTuple

from lmcache_frontend.store.etcd import leases
from lmcache_frontend.store.etcd.exchange import Refused
from lmcache_frontend.store.etcd.gateway import Gateway, Repeat
from lmcache_frontend.store.etcd.messages import as_text

TTL_S = 3600


class Committed(NamedTuple):
    """The last answer, and the revision at which an earlier attempt had done it all, None where none had."""

    document: dict[str, Any]
    earlier_revision: int | None


class Marker:
    """The key of one store object, for one change at a time. Thread-safe."""

    def __init__(self, gateway: Gateway, prefix: bytes) -> None:
        """Choose a key that nobody else has."""
        self._gateway = gateway
        self._key = as_text(prefix + b"\xffwriter-" + secrets.token_hex(12).encode())
        self._turn = threading.Lock()
        self._lease = 0
        self._new_lease_at_s = 0.0

    def commit(self, request: dict[str, Any]) -> Committed:
        """Send a transaction of which at least one operation fails the second time.

        Raises: Refused, OutcomeUnknown, ServiceUnavailable.
        """
        with self._turn:
            number = as_text(secrets.token_hex(12).encode())
            put = {"key": self._key, "value": number, "lease": str(self._living_lease())}
            request["success"].append({"request_put": put})
            request["failure"].append({"request_range": {"key": self._key}})
            try:
                document, is_repeat = self._gateway.call("kv/txn", request, Repeat.GUARDED)
            except Refused as exc:
                # It may be that the lease is gone, with all that the cluster had.
                self._new_lease_at_s = 0.0
                kept_at = self._revision_of(number) if exc.is_out_of_room else None
                if kept_at is None:
                    raise
                return Committed({}, kept_at)
        if document.get("succeeded"):
            return Committed(document, None)
        found = document["responses"].pop()["response_range"].get("kvs", ())
        is_ours = is_repeat and found and found[0].get("value") == number
        return Committed(document, int(found[0]["mod_revision"]) if is_ours else None)

    def _revision_of(self, number: str) -> int | None:
        """Tell at which revision the change of that number was kept, None where it was not."""
        found = self._gateway.call("kv/range", {"key": self._key}).document.get("kvs", ())
        return int(found[0]["mod_revision"]) if found and found[0].get("value") == number else None

    def _living_lease(self) -> int:
        if time.monotonic() >= self._new_lease_at_s:
            self._lease = leases.grant(self._gateway, TTL_S)
            self._new_lease_at_s = time.monotonic() + TTL_S / 2
        return self._lease
