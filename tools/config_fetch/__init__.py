# SPDX-License-Identifier: Apache-2.0
"""``lmcache-config-fetch``: ask a configuration server as an LMCache worker would, and show what comes of it."""

from __future__ import annotations

from .command import main

__all__ = ["main"]
