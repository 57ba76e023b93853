# SPDX-License-Identifier: Apache-2.0
"""The configuration of a simulated in-process node: its defaults, and what becomes of a value that is posted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lmcache_frontend.demo.node import VERSION
from lmcache_frontend.remote_config.catalogue import catalogue
from lmcache_frontend.remote_config.coerce import Severity, coerce


def defaults_of(version: str) -> Mapping[str, Any]:
    """Give the keys of a release with their defaults."""
    return MappingProxyType({name: key.default for name, key in catalogue(version).items()})


DEFAULTS = defaults_of(VERSION)


def convert(key: str, value: Any) -> Any:
    """Give what a node makes of a value posted for a key; null stays null for every key.

    Raises: KeyError for an unknown key, ValueError for a value that is refused.
    """
    if key not in DEFAULTS:
        raise KeyError(key)
    verdict = coerce(key, value, version=VERSION)
    if verdict.severity is Severity.ERROR:
        raise ValueError(verdict.text)
    return verdict.value
