# SPDX-License-Identifier: Apache-2.0
"""What the fleet keeps of a node's configuration: its sizes, and all of it packed, for comparison. Pure.

In-process nodes have about a hundred keys side by side, MP servers have sections; both become one level of keys, with
dots. Source: LMCache 0.5.6, ``/conf`` and ``/config``.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from lmcache_frontend.fleet.derive import NO_SIZES, Sizes
from lmcache_frontend.fleet.snapshot import Quota

GIB = 1024**3
# A tenant is a label value of ours: not more of them than Prometheus would like.
MOST_QUOTAS = 200
_DEPTH_LIMIT = 16


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give ``{"section.key": value}``; lists stay as they are."""
    return dict(_leaves(values, "", 0))


def packed(flat: Mapping[str, Any]) -> bytes:
    """Give a configuration in about a kilobyte; equal ones are equal bytes."""
    return zlib.compress(json.dumps(flat, sort_keys=True, separators=(",", ":")).encode(), 6)


def unpacked(data: bytes) -> dict[str, Any]:
    """Give back what was packed."""
    flat: dict[str, Any] = json.loads(zlib.decompress(data))
    return flat


def sizes_of(kind: str, flat: Mapping[str, Any]) -> Sizes:
    """Find the sizes of the tiers, in-process ones in GiB, and the eviction watermark."""
    if kind == "mp":
        return _mp_sizes(flat)
    if kind not in ("worker", "scheduler"):
        return NO_SIZES
    disk = _number(flat.get("max_local_disk_size")) if flat.get("local_disk") else None
    return Sizes(_bytes(_number(flat.get("max_local_cpu_size"))), _bytes(disk), None)


def _mp_sizes(flat: Mapping[str, Any]) -> Sizes:
    storage = "storage_manager."
    managers = flat.get(f"{storage}l1_manager_configs")
    sizes: list[float | None] = []
    if isinstance(managers, list) and managers:
        flat_ones = [flattened(one) for one in managers if isinstance(one, dict)]
        sizes = [_number(one.get("memory_config.size_in_bytes")) for one in flat_ones]
    if not sizes:
        sizes = [_number(flat.get(f"{storage}l1_manager_config.memory_config.size_in_bytes"))]
    known = [size for size in sizes if size]
    places = (f"{storage}eviction_config.trigger_watermark", f"{storage}l1_manager_config.eviction.trigger_watermark")
    watermarks = [mark for mark in (_number(flat.get(place)) for place in places) if mark]
    return Sizes(sum(known) if known else None, None, watermarks[0] if watermarks else None)


def _bytes(gib: float | None) -> float | None:
    return gib * GIB if gib else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _leaves(values: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value and depth < _DEPTH_LIMIT:
            yield from _leaves(value, f"{prefix}{key}.", depth + 1)
        else:
            yield f"{prefix}{key}", value


def quotas_in(document: Any) -> tuple[Quota, ...]:
    """Give the tenants' quotas in an MP server's ``/quota``, in GiB there; whatever else it holds is left out."""
    users = document.get("users") if isinstance(document, dict) else None
    found: list[Quota] = []
    for salt, entry in users.items() if isinstance(users, dict) else ():
        used, limit = map(entry.get, ("current_usage_gb", "limit_gb")) if isinstance(entry, dict) else (None, None)
        if isinstance(used, (int, float)) and isinstance(limit, (int, float)) and len(found) < MOST_QUOTAS:
            found.append(Quota(str(salt), float(used) * GIB, float(limit) * GIB))
    return tuple(found)
