# SPDX-License-Identifier: Apache-2.0
"""Wait for something to become true, in place of sleeping for as long as it might take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(probe: Callable[[], T], timeout_s: float = 10.0, interval_s: float = 0.01) -> T:
    """Give what the probe gives once it is true; fail after the time-out with what it gave last."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() >= deadline_s:
            raise AssertionError(f"not within {timeout_s:g} s; last seen: {result!r}")
        time.sleep(interval_s)
