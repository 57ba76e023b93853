# SPDX-License-Identifier: Apache-2.0
"""The settings of LMCache by release: names, types, defaults, meanings. Pure.

The data is in ``catalogue_keys``; what becomes of a value is ``coerce``'s. Source: LMCache 0.3.4 to 0.5.6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from lmcache_frontend.remote_config.catalogue_keys import ALIASES, ALIASES_SINCE, EARLIER, METHODS, TABLE

Release = tuple[int, ...]

LATEST = "0.5.6"
VARIABLE_PREFIX = "LMCACHE_"

_OLDEST: Release = (0, 3, 4)
# Compiled when first needed: that takes longer than the rest of the import.
_NUMBER = r"\s*v?([0-9]{1,6})\.([0-9]{1,6})(?:\.([0-9]{1,6}))?(?:[.+-]?post([0-9]{1,6}))?"

# Kind in the table: the type shown (a "?" after it says that null is a value) and the converter.
_KINDS = {
    "int": ("int", "int"),
    "float": ("float", "float"),
    "bool": ("bool", "bool"),
    "str": ("str", "str"),
    "ints": ("list[int]", "list[int]"),
    "floats": ("list[float]", "list[float]"),
    "strs": ("list[str]", "list[str]"),
    "one": ("list[str]", "str->[str]"),
    "path": ("str", "path"),
    "paths": ("str", "path-list"),
    "object": ("dict", "json-object"),
    "mode": ("str", "enum"),
    "raw-str": ("str", ""),
    "raw-strs": ("list[str]", ""),
}


class Key(NamedTuple):
    """A setting. ``converter`` is empty where LMCache takes a value as it is; ``since`` is a release."""

    name: str
    type: str
    converter: str
    default: Any
    since: str
    meaning: str
    variable: str


def catalogue(version: str | None = LATEST) -> Mapping[str, Key]:
    """Give the keys of a release by name, in the order of ``GET /conf``.

    A release that is not known has the keys of the nearest one below; what is no version has those of the newest.
    """
    return _catalogue(release_of(version))


def release_of(version: str | None) -> Release:
    """Give the release as numbers that compare: ``v0.4.7.dev3`` is (0, 4, 7), ``0.3.9.post1`` is (0, 3, 9, 1)."""
    match = re.match(_NUMBER, version or "")
    if match is None:
        match = re.match(_NUMBER, LATEST)
        assert match is not None
    major, minor, patch, post = match.groups()
    release = (int(major), int(minor), int(patch or 0))
    return max((*release, int(post)) if post else release, _OLDEST)


def is_version(text: str) -> bool:
    """Say whether a text is a version, or begins as one."""
    return re.match(_NUMBER, text) is not None


def release_text(release: Release) -> str:
    """Give a release as LMCache writes it."""
    number = ".".join(map(str, release[:3]))
    return f"{number}.post{release[3]}" if len(release) > 3 else number


def aliases(release: Release) -> Mapping[str, str]:
    """Give the old names that a file or a variable may use, with the keys that they stand for."""
    return ALIASES if release >= release_of(ALIASES_SINCE) else {}


def is_attribute(name: str) -> bool:
    """Say whether LMCache's configuration object has something of this name that is no key, such as a method."""
    return name in METHODS or hasattr(object(), name)


@lru_cache(maxsize=32)
def _catalogue(release: Release) -> Mapping[str, Key]:
    earlier = _earlier(release)
    keys = {}
    for name, span, kind, default, meaning in _rows(TABLE, 5):
        since, _, until = span.partition("-")
        if release_of(since) <= release and not (until and release >= release_of(until)):
            keys[name] = _key(name, since, earlier.get(name, (kind, default)), meaning)
    return MappingProxyType(keys)


def _key(name: str, since: str, kind_and_default: tuple[str, str], meaning: str) -> Key:
    kind, default = kind_and_default
    shown, converter = _KINDS[kind.removesuffix("?")]
    optional = "?" if kind.endswith("?") else ""
    return Key(
        name, shown + optional, converter, json.loads(default), since, meaning, f"{VARIABLE_PREFIX}{name.upper()}"
    )


def _earlier(release: Release) -> dict[str, tuple[str, str]]:
    """Give kind and default of the keys that were another thing at a release."""
    rows = _rows(EARLIER, 4)
    return {name: (kind, default) for name, until, kind, default in rows if release < release_of(until)}


def _rows(table: str, columns: int) -> Iterator[list[str]]:
    for line in table.strip().splitlines():
        row = re.split(" {2,}", line, maxsplit=columns - 1)
        assert len(row) == columns, line
        yield row
