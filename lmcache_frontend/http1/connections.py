# SPDX-License-Identifier: Apache-2.0
"""Which connections a server has open, and which of them wait for a request: what a drain needs to know."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from lmcache_frontend.http1.streams import Wire


class Connections:
    """The open connections of a server."""

    def __init__(self) -> None:
        """Start with none."""
        self._changed = threading.Condition()
        self._open: set[Wire] = set()
        self._idle: set[Wire] = set()
        self.draining = False

    @property
    def count(self) -> int:
        """Give the number of open connections."""
        return len(self._open)

    def opened(self, sock: Wire) -> None:
        """Note a new connection."""
        with self._changed:
            self._open.add(sock)

    def closed(self, sock: Wire) -> None:
        """Note that a connection has ended."""
        with self._changed:
            self._open.discard(sock)
            self._idle.discard(sock)
            if self.draining:
                self._changed.notify_all()

    def waits(self, sock: Wire) -> None:
        """Note that a connection waits for its next request; a set's own methods are atomic."""
        self._idle.add(sock)
        if self.draining:
            _stop_receiving(sock)

    def works(self, sock: Wire) -> None:
        """Note that a request has come on a connection."""
        self._idle.discard(sock)

    def drain(self, timeout_s: float) -> bool:
        """End idle connections, wait for the others, and say whether all ended in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self.draining = True
            for sock in list(self._idle):
                _stop_receiving(sock)
            while self._open and (remaining_s := deadline - time.monotonic()) > 0:
                self._changed.wait(remaining_s)
            return not self._open


def _stop_receiving(sock: Wire) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RD)
