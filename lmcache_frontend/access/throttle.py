# SPDX-License-Identifier: Apache-2.0
"""How often a client may send wrong tokens before it is told to wait. A right one is never asked about here."""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

WINDOW_S = 60.0
MOST_WRONG = 5
MOST_CLIENTS = 4096
# What one subscriber has of IPv6, and more than a site has: single addresses there cost nothing.
_IPV6_PREFIX_BITS = 64


class _Count(NamedTuple):
    since_s: float
    wrong: int


class Throttle:
    """Counts wrong tokens a client; of more clients than `MOST_CLIENTS` the earliest are forgotten."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take a clock in seconds that never goes back."""
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def note_wrong(self, address: str) -> int:
        """Count a wrong token from an address; give for how many seconds it is to wait, 0 while it need not."""
        client = client_of(address)
        with self._lock:
            now_s = self._clock()
            count = self._counts.get(client)
            if count is None or now_s - count.since_s >= WINDOW_S:
                self._counts.pop(client, None)
                while len(self._counts) >= MOST_CLIENTS:
                    self._counts.popitem(last=False)
                count = _Count(now_s, 0)
            count = count._replace(wrong=count.wrong + 1)
            self._counts[client] = count
        return 0 if count.wrong <= MOST_WRONG else max(1, math.ceil(count.since_s + WINDOW_S - now_s))


def client_of(address: str) -> str:
    """Give what stands for all addresses that one client can easily have."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX_BITS), strict=False))
