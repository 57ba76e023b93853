# SPDX-License-Identifier: Apache-2.0
"""What a worker makes of a configuration server's answer: key by key, with the reason. Pure.

Leaves asking to others, and a value on its own to ``coerce``. Source: ``apply_remote_configs`` and
``validate_and_set_config_value`` in ``lmcache/v1/config_base.py``, 0.3.13 to 0.5.6.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple

from lmcache_frontend.remote_config.catalogue import LATEST, Key, Release, catalogue, release_of, release_text
from lmcache_frontend.remote_config.coerce import FETCHES, Severity, coerce, expected, shown, taken
from lmcache_frontend.remote_config.conversion import FAILURES

# From here on an empty or null extra_config without override never replaces what is there.
_KEEPS_EMPTY: Release = (0, 3, 15)
_MADE_UP_INSTANCE = r"lmcacheengineconfig_[0-9a-f]{32}"
_FATAL = "LMCache fails at its start over this"


class Row(NamedTuple):
    """One item of an answer: the value before and after it, and why that is so.

    ``key`` is a text that is empty where the item has none; ``current`` and ``result`` are None for what is no key.
    """

    key: str
    current: Any
    remote: Any
    override: bool
    result: Any
    changed: bool
    why: str


class _Worker(NamedTuple):
    """A worker's configuration while items are applied to it; ``values`` changes."""

    values: dict[str, Any]
    user_set: Set[str] | None
    known: Mapping[str, Key]
    release: Release


def apply(configs: Any, current: Mapping[str, Any], *, user_set: Set[str] | None, version: str = LATEST) -> list[Row]:
    """Give what becomes of each item of ``configs``, as a worker of a version received it, in the same order.

    A key that ``current`` lacks has its default. ``user_set`` names the keys that came from the file and the
    environment; None where that is not known: then a value that is not the default is taken for such a one.
    An answer or an item that LMCache fails over ends the list, with a row that says so.
    """
    known = catalogue(version)
    values = {name: current.get(name, key.default) for name, key in known.items()}
    worker = _Worker(values, user_set, known, release_of(version))
    if not configs:
        return []
    if not isinstance(configs, Iterable):
        return [_unapplied("", configs, f"{_FATAL}: configs is neither a list nor null")]
    rows = []
    for item in configs:
        row, goes_on = _applied(item, worker)
        rows.append(row)
        if not goes_on:
            break
    return rows


def same(left: Any, right: Any) -> bool:
    """Say whether two values are one to LMCache: 5 and 5.0 are, 1 and true are not; NaN is NaN."""
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)


def _applied(item: Any, worker: _Worker) -> tuple[Row, bool]:
    """Apply an item; give its row and whether LMCache goes on to the next."""
    if not isinstance(item, dict):
        return _unapplied("", item, "skipped: no object with key and value"), True
    name, remote = item.get("key"), item.get("value")
    if not name:
        return _unapplied("", remote, "skipped: no key"), True
    if not isinstance(name, str):
        return _unapplied(str(name), remote, f"{_FATAL}: the key is no text"), False
    override = bool(item.get("override", True))
    if worker.release >= FETCHES and name in worker.known:
        return _set(worker.known[name], remote, override, worker), True
    held = worker.values.get(name)
    return Row(name, held, remote, override, held, False, _why_not(name, remote, worker.release)), True


def _why_not(name: str, remote: Any, release: Release) -> str:
    version = release_text(release)
    if release < FETCHES:
        return f"LMCache {version} asks no configuration server, 0.3.13 and later do"
    verdict = coerce(name, remote, version=version)
    return f"skipped: {verdict.text}" if verdict.severity is Severity.UNKNOWN else verdict.text


def _unapplied(name: str, remote: Any, why: str) -> Row:
    return Row(name, None, remote, True, None, False, why)


def _set(key: Key, remote: Any, override: bool, worker: _Worker) -> Row:
    before = worker.values[key.name]
    try:
        value = taken(key, remote, worker.release)
    except FAILURES:
        why = f"refused: got {shown(key.name, remote)}, expected {expected(key)}"
        return Row(key.name, before, remote, override, before, False, why)
    if key.name == "extra_config" and not override:
        after, why = _merged(before, value, worker.release)
    else:
        kept = "" if override else _why_kept(key, before, worker.user_set)
        after, why = (before, kept) if kept else (value, "")
    worker.values[key.name] = after
    changed = not same(before, after)
    why = why or ("set" if changed else "the same already")
    surprise = coerce(key.name, remote, version=release_text(worker.release)).text
    return Row(key.name, before, remote, override, after, changed, f"{why}: {surprise}" if surprise else why)


def _merged(before: Any, value: Any, release: Release) -> tuple[Any, str]:
    """Give ``extra_config`` after an item without override, and why it is that."""
    if isinstance(before, dict):
        if isinstance(value, dict):
            return {**before, **value}, "merged"
        return before, "kept: there is no object to merge"
    if isinstance(value, dict) or release < _KEEPS_EMPTY:
        return value, ""
    return before, "kept: there is no object to merge"


def _why_kept(key: Key, before: Any, user_set: Set[str] | None) -> str:
    """Say why an item without override leaves the value; empty where it does not."""
    if user_set is not None:
        return "kept: set by file or environment, and override is false" if key.name in user_set else ""
    if _is_default(key, before):
        return ""
    return "kept: probably set by file or environment as it is not the default, and override is false"


def _is_default(key: Key, value: Any) -> bool:
    if key.name == "lmcache_instance_id" and isinstance(value, str) and re.fullmatch(_MADE_UP_INSTANCE, value):
        return True
    if isinstance(key.default, float) and value == "Infinity":
        value = math.inf
    return same(value, key.default)
