# SPDX-License-Identifier: Apache-2.0
"""``python3 -m lmcache_frontend`` and ``lmcache-frontend``."""

from __future__ import annotations

import os
import sys

from lmcache_frontend.command import run


def main() -> int:
    """Run the service with this process's arguments and variables."""
    return run(sys.argv[1:], os.environ)


if __name__ == "__main__":
    sys.exit(main())
