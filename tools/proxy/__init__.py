# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy``: an LMCache cluster from a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run ``lmcache-proxy``, by default with this process's arguments and variables; give its exit status."""
    try:
        from .program import main as run

        return run(arguments, environment)
    except KeyboardInterrupt:
        # While there was nothing yet that would see to it.
        return 130
