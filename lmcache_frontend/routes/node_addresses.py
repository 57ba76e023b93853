# SPDX-License-Identifier: Apache-2.0
"""Which IP addresses the hosts of nodes stand for, kept for a moment.

Whoever asks for an address that is no node's as it is written has it compared with those of all nodes on that port:
without this, each such request of anybody would have as many names looked up as there are nodes.
"""

from __future__ import annotations

from collections.abc import Callable

from lmcache_frontend.access.clients import plain_address
from lmcache_frontend.errors import BadGateway
from lmcache_frontend.http1.client import Endpoint, resolve

KEPT_S = 5.0
_MOST_KEPT = 10_000


class NodeAddresses:
    """Looks names up; any thread may ask."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take a clock in seconds that never goes back."""
        self._clock = clock
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}

    def of(self, endpoint: Endpoint) -> list[str]:
        """Give the addresses of a node's host, IPv4 ones in their own form; none where the name is unknown just now."""
        key = (endpoint.host, endpoint.port)
        known = self._known.get(key)
        if known is not None and known[0] > self._clock():
            return known[1]
        try:
            found = [plain_address(address) for address in resolve(endpoint.host, endpoint.port)]
        except BadGateway:
            found = []
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        self._known[key] = (self._clock() + KEPT_S, found)
        return found
