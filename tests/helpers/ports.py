# SPDX-License-Identifier: Apache-2.0
"""Free ports for processes that cannot be told to take port 0."""

from __future__ import annotations

import contextlib
import random
import socket

# Below the range from which systems draw the ports of outgoing connections: those come and go all the time.
_RANGE = (20_000, 32_000)


def free_port(following: int = 0) -> int:
    """Find a port of 127.0.0.1 that is free, and as many after it as asked for."""
    for _ in range(200):
        first = random.randrange(*_RANGE)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + following + 1):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports beside each other")
