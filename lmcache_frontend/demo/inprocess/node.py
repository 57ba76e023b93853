# SPDX-License-Identifier: Apache-2.0
"""Simulated in-process LMCache nodes, worker or scheduler, with everything they answer: of 0.5.6, and of 0.3.13.

Source of what the older one lacks: the in-process HTTP interface of LMCache 0.3.13, 0.3.14 and 0.3.15.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lmcache_frontend.demo.answers import Handler, Router
from lmcache_frontend.demo.inprocess import cache, configuration, keys, switches
from lmcache_frontend.demo.inprocess.state import InProcessState
from lmcache_frontend.demo.node import COMMON_ROUTES

_ROUTES: tuple[tuple[str, str, Handler[Any]], ...] = (
    *COMMON_ROUTES,
    *configuration.ROUTES,
    *switches.ROUTES,
    *cache.ROUTES,
)
_SINCE_0_3_14 = ("POST", "/conf")
_SINCE_0_3_15 = ("/backends", "/bypass/", "/hot_cache/", "/lookup/", "/metrics/reset")


class InProcessNode(InProcessState):
    """A worker or scheduler: ask it with `answer`."""

    __slots__ = ()

    router: ClassVar[Router[Any]] = Router(_ROUTES)


class OldInProcessNode(InProcessState):
    """A worker or scheduler of LMCache 0.3.13, which cannot be configured while it runs; its metrics are newer."""

    __slots__ = ()

    version = "0.3.13"
    defaults = keys.defaults_of(version)
    router: ClassVar[Router[Any]] = Router(
        route for route in _ROUTES if route[:2] != _SINCE_0_3_14 and not route[1].startswith(_SINCE_0_3_15)
    )
