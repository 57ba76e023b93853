# SPDX-License-Identifier: Apache-2.0
"""``python3 -m tools.proxy`` from a clone."""

from __future__ import annotations

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
