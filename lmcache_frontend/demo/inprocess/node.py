# SPDX-License-Identifier: Apache-2.0
"""A simulated in-process LMCache 0.5.6 node, worker or scheduler, with everything it answers."""

from __future__ import annotations

from typing import Any, ClassVar

from lmcache_frontend.demo.answers import Router
from lmcache_frontend.demo.inprocess import cache, configuration, switches
from lmcache_frontend.demo.inprocess.state import InProcessState
from lmcache_frontend.demo.node import COMMON_ROUTES


class InProcessNode(InProcessState):
    """A worker or scheduler: ask it with `answer`."""

    __slots__ = ()

    router: ClassVar[Router[Any]] = Router(
        (
            *COMMON_ROUTES,
            *configuration.ROUTES,
            *switches.ROUTES,
            *cache.ROUTES,
        )
    )
