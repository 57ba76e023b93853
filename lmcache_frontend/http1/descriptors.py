# SPDX-License-Identifier: Apache-2.0
"""Make room for as many connections as are wished for, or say how many there is room for.

A proxied request takes two descriptors, the client's and the node's. Source: getrlimit(2).
"""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger(__name__)

PER_CONNECTION = 2
RESERVED = 128


def connections_within_limits(wanted: int) -> int:
    """Raise this process's limit of open files for so many connections, and give how many it allows."""
    needed = wanted * PER_CONNECTION + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_enough(soft, needed):
        return wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed if _is_enough(hard, needed) else hard, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except (OSError, ValueError):
        pass
    if _is_enough(soft, needed):
        return wanted
    fitting = max((soft - RESERVED) // PER_CONNECTION, 8)
    logger.warning("%d open files are allowed: at most %d connections are taken, not %d", soft, fitting, wanted)
    return fitting


def _is_enough(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
