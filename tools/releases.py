# SPDX-License-Identifier: Apache-2.0
"""The flag of tools that says which release of LMCache is meant."""

from __future__ import annotations

import argparse
from typing import Any

from lmcache_frontend.remote_config.catalogue import LATEST, is_version


def add_release_option(group: Any, meaning: str = "") -> None:
    """Add ``--lmcache-version`` to a parser or to a group of one, with what it is for before its default."""
    meaning = f"{meaning}; default: {LATEST}" if meaning else f"default: {LATEST}"
    group.add_argument("--lmcache-version", metavar="VERSION", type=_release, default=LATEST, help=meaning)


def _release(text: str) -> str:
    """Read a release for argparse: a word would silently mean the newest."""
    if not is_version(text):
        raise argparse.ArgumentTypeError(f"expected a release of LMCache such as {LATEST}, got {text!r}")
    return text
