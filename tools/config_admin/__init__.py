# SPDX-License-Identifier: Apache-2.0
"""``lmcache-config``: the rules of remote configuration from a terminal or a pipeline."""

from __future__ import annotations

from .command import main

__all__ = ["main"]
