# SPDX-License-Identifier: Apache-2.0
"""Where a worker stands in a gradual rollout. Pure.

The scheduler and every worker of an engine ask by themselves and must get one answer, today and tomorrow: so the place
comes from the application and from a name that they share, never from an instance id, which each may generate anew.
"""

from __future__ import annotations

import json
from hashlib import sha256

STEPS = 10_000
# Asked in this order, after the variable that a rule names; then the address.
SHARED_VARIABLES = ("POD_NAME", "HOSTNAME")


def place(app_id: str, key: str) -> int:
    """Give the place among `STEPS`, the same for the same application and key, and spread evenly over all keys."""
    digest = sha256(json.dumps([app_id, key]).encode()).digest()
    return int.from_bytes(digest[:8], "big") % STEPS


def reaches(percent: float, place_reached: int) -> bool:
    """Say whether a rollout has come to a place: what 20 percent reach, 30 percent reach too."""
    return place_reached < round(percent * STEPS / 100)
