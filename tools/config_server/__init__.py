# SPDX-License-Identifier: Apache-2.0
"""``lmcache-config-server``: remote configuration, and nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from lmcache_frontend.command import CONFIGURATION_SERVER, run


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run the server until SIGTERM or Ctrl-C; give the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    return run(given, os.environ if environment is None else environment, CONFIGURATION_SERVER)
