# SPDX-License-Identifier: Apache-2.0
"""What a service or a tool does every now and then, done often, so that no test has to wait for it."""

from __future__ import annotations

import pytest

from lmcache_frontend.actions.service import Actions

_INTERVALS = {
    "lmcache_frontend.app.LATE_START_S": 0.02,
    "lmcache_frontend.app.HOUSEKEEPING_INTERVAL_S": 0.05,
    "lmcache_frontend.state.INTERVAL_S": 0.05,
    "lmcache_frontend.fleet.collector.PUBLICATION_INTERVAL_S": 0.05,
    "lmcache_frontend.fleet.collector.TICK_S": 0.05,
    "lmcache_frontend.routes.actions.LIVENESS_CHECK_S": 0.02,
    "tools.proxy.watch.feed.FIRST_PAUSE_S": 0.05,
}


def shorten_intervals(patch: pytest.MonkeyPatch) -> None:
    """Shorten what services and tools in this process wait for between two looks; time-outs stay as they are."""
    for name, interval_s in _INTERVALS.items():
        patch.setattr(name, interval_s)
    defaults = Actions.__init__.__kwdefaults__
    assert defaults is not None
    patch.setitem(defaults, "health_pause_s", 0.05)
