# SPDX-License-Identifier: Apache-2.0
"""Follow the changes under a prefix of an etcd cluster, over whichever member answers.

A thread of its own reads the stream, so that nobody who asks for something else waits for it. A stream that breaks is
begun again after the last change that came through; one that is silent is too, since a member that hangs looks just
like that. Source: the watch API of etcd 3.4.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import closing
from typing import Any

from lmcache_frontend.errors import ServiceUnavailable
from lmcache_frontend.store.etcd import messages
from lmcache_frontend.store.etcd.exchange import Exchange
from lmcache_frontend.store.etcd.gateway import Gateway
from lmcache_frontend.store.keys import Span
from lmcache_frontend.store.protocol import Compacted, Event

SILENCE_S = 30.0
FIRST_RETRY_S = 0.2
LAST_RETRY_S = 5.0
# Further ones wait in the socket until these are taken.
EVENTS_LIMIT = 1000
_JOIN_TIMEOUT_S = 1.0


class EtcdWatch:
    """The changes of a span."""

    def __init__(self, gateway: Gateway, prefix: str, span: Span, since: int, *, silence_s: float = SILENCE_S) -> None:
        """Begin to follow; ``prefix`` is what keys lose."""
        self._gateway = gateway
        self._prefix = prefix
        self._span = span
        self._since = since
        self._silence_s = silence_s
        self._changed = threading.Condition()
        self._events: deque[Event] = deque()
        self._fault = ""
        self._compacted = ""
        self._exchange: Exchange | None = None
        self.is_closed = False
        self._thread = threading.Thread(target=self._run, name="etcd-watch", daemon=True)
        self._thread.start()

    def next(self, timeout_s: float) -> list[Event]:
        """Wait for changes and give them."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._compacted or self.is_closed, timeout_s)
            events = list(self._events)
            self._events.clear()
            self._changed.notify_all()
            if events or self.is_closed:
                return events
            if self._compacted:
                raise Compacted(self._compacted)
            if self._fault:
                raise ServiceUnavailable(self._fault)
            return []

    def close(self) -> None:
        """Give the watch up."""
        with self._changed:
            self.is_closed = True
            if self._exchange is not None:
                self._exchange.interrupt()
            self._changed.notify_all()
        self._thread.join(_JOIN_TIMEOUT_S)

    def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while not self.is_closed:
            fault = ""
            try:
                with messages.understood("what is at the address of etcd"):
                    self._follow()
                retry_s = FIRST_RETRY_S
            except Compacted as exc:
                self._end(str(exc))
                return
            except ServiceUnavailable as exc:
                fault = str(exc)
                retry_s = min(2 * retry_s, LAST_RETRY_S)
            with self._changed:
                self._fault = fault
                self._changed.wait_for(lambda: self.is_closed, retry_s)

    def _follow(self) -> None:
        """Read one stream to its end.

        Raises: Compacted, ServiceUnavailable.
        """
        self._check_revision()
        with closing(self._gateway.stream("watch", messages.watch_request(self._span, self._since))) as exchange:
            with self._changed:
                self._exchange = exchange
            try:
                self._read(exchange)
            finally:
                with self._changed:
                    self._exchange = None

    def _check_revision(self) -> None:
        """Find out whether the cluster has ever been where we are: one that lost its data has not."""
        reply = self._gateway.call("kv/range", messages.count_request(self._span)).document
        revision = messages.revision_of(reply)
        if revision < self._since:
            raise Compacted(f"changes after revision {self._since} are asked for, etcd is at {revision}")

    def _read(self, exchange: Exchange) -> None:
        fragments: list[Event] = []
        for line in exchange.lines(self._silence_s):
            if self.is_closed:
                return
            result: dict[str, Any] = line.get("result", {})
            if "compact_revision" in result:
                kept = f"those from {result['compact_revision']} on are kept"
                raise Compacted(f"changes after revision {self._since} are asked for, {kept}")
            if result.get("canceled"):
                raise ServiceUnavailable(f"etcd ended the watch: {result.get('cancel_reason', 'without a reason')}")
            self._fault = ""
            fragments += messages.read_events(result.get("events", ()), self._prefix)
            if fragments and not result.get("fragment"):
                self._deliver(fragments)
                fragments = []

    def _deliver(self, events: list[Event]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.is_closed or len(self._events) < EVENTS_LIMIT)
            self._events.extend(events)
            self._since = events[-1].revision
            self._changed.notify_all()

    def _end(self, reason: str) -> None:
        with self._changed:
            self._compacted = reason
            self._changed.notify_all()
