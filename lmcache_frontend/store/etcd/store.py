# SPDX-License-Identifier: Apache-2.0
"""The store in etcd, for several frontends that share state.

Leaves failing members to the gateway. A change whose answer was lost is sent again only where it names a revision that
it changes itself, so that it fails the second time; any other might undo what somebody else did in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lmcache_frontend.errors import RevisionConflict
from lmcache_frontend.store.etcd import leases, messages
from lmcache_frontend.store.etcd.address import Address
from lmcache_frontend.store.etcd.exchange import Refused
from lmcache_frontend.store.etcd.gateway import Gateway, OutcomeUnknown, Repeat
from lmcache_frontend.store.etcd.marker import Marker
from lmcache_frontend.store.etcd.watch import EtcdWatch
from lmcache_frontend.store.keys import Span, check_limit, check_operations, encoded, span_of
from lmcache_frontend.store.protocol import Delete, Entry, Listing, Operation, Put


class _Done(NamedTuple):
    revision: int
    was_there: bool


class EtcdStore:
    """A store under a prefix of an etcd cluster."""

    fault = ""
    is_shared = True

    def __init__(self, address: Address, gateway: Gateway | None = None) -> None:
        """Connect to nobody yet."""
        self.where = address.shown
        self._prefix = address.prefix
        self._gateway = gateway or Gateway(address)
        self._marker = Marker(self._gateway, address.prefix.encode())
        self._watches: tuple[EtcdWatch, ...] = ()

    def get(self, key: str) -> Entry | None:
        """Give an entry, None where it is not there."""
        request = {"key": messages.as_text(self._name(key))}
        with messages.understood(self.where):
            entries = messages.read_entries(self._gateway.call("kv/range", request).document, self._prefix)
        return entries[0] if entries else None

    def list(self, prefix: str, *, after: str = "", limit: int | None = None, newest_first: bool = False) -> Listing:
        """Give the entries under a prefix, and the revision of the cluster."""
        check_limit(limit)
        span = self._span(prefix, after, backwards=newest_first)
        request = messages.range_request(span, limit=limit, backwards=newest_first)
        with messages.understood(self.where):
            reply = self._gateway.call("kv/range", request).document
            entries = messages.read_entries(reply, self._prefix) if span.start < span.end else ()
            return Listing(tuple(entries), messages.revision_of(reply))

    def put(self, key: str, value: bytes, *, expect_revision: int | None = None, ttl_s: float | None = None) -> int:
        """Write a value and give its revision."""
        return self.transact([Put(key, value, expect_revision, ttl_s)])

    def delete(self, key: str, *, expect_revision: int | None = None) -> bool:
        """Delete a key and tell whether it was there."""
        return self._change([Delete(key, expect_revision)]).was_there

    def transact(self, operations: Sequence[Operation]) -> int:
        """Do all of it at one revision, which is given, or nothing of it."""
        return self._change(operations).revision

    def renew(self, key: str, ttl_s: float) -> bool:
        """Let an entry live for its TTL again."""
        request = {"key": messages.as_text(self._name(key))}
        with messages.understood(self.where):
            found = self._gateway.call("kv/range", request).document.get("kvs", ())
            numbers = leases.leases_of(found)
            return bool(found) and (not numbers or leases.keep_alive(self._gateway, numbers[0]))

    def watch(self, prefix: str, since: int) -> EtcdWatch:
        """Give the changes under a prefix after a revision."""
        watch = EtcdWatch(self._gateway, self._prefix, self._span(prefix), since)
        self._watches = (*(other for other in self._watches if not other.is_closed), watch)
        return watch

    def close(self) -> None:
        """End the watches and ask nobody any more."""
        self._gateway.close()
        for watch in self._watches:
            watch.close()

    def _change(self, operations: Sequence[Operation]) -> _Done:
        check_operations(operations)
        with messages.understood(self.where):
            return self._commit(operations)

    def _commit(self, operations: Sequence[Operation]) -> _Done:
        granted = leases.grant_all(self._gateway, operations)
        names = [self._name(operation.key) for operation in operations]
        request = messages.transaction_request(operations, names, granted)
        is_guarded = any(map(_guards, operations))
        try:
            if is_guarded:
                reply, earlier_revision = self._marker.commit(request)
            else:
                reply, earlier_revision = self._gateway.call("kv/txn", request, Repeat.NEVER).document, None
        except Refused as exc:
            if exc.is_out_of_room and not is_guarded:
                raise OutcomeUnknown(f"{exc}; it is not known whether the change was kept") from exc
            leases.revoke(self._gateway, granted.values())
            raise
        if earlier_revision is not None:
            return _Done(earlier_revision, True)
        if reply.get("succeeded"):
            replaced = messages.replaced(reply)
            leases.revoke(self._gateway, leases.leases_of(replaced))
            return _Done(messages.revision_of(reply), bool(replaced))
        leases.revoke(self._gateway, granted.values())
        raise _conflict(operations, messages.read_found(reply, self._prefix))

    def _name(self, key: str) -> bytes:
        return self._prefix.encode() + encoded(key)

    def _span(self, prefix: str, after: str = "", *, backwards: bool = False) -> Span:
        span = span_of(prefix, after, backwards=backwards)
        return Span(self._prefix.encode() + span.start, self._prefix.encode() + span.end)


def _guards(operation: Operation) -> bool:
    """Tell whether an operation makes its own expectation fail the second time."""
    expected = operation.expect_revision
    return expected is not None and (isinstance(operation, Put) or expected > 0)


def _conflict(operations: Sequence[Operation], found: Sequence[Entry | None]) -> RevisionConflict:
    for operation, entry in zip(operations, found, strict=True):
        actual = 0 if entry is None else entry.revision
        if operation.expect_revision not in (None, actual):
            return RevisionConflict(operation.key, actual)
    raise LookupError("a transaction failed whose expectations hold")
