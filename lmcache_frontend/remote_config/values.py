# SPDX-License-Identifier: Apache-2.0
"""JSON values of settings: compared, written strictly, and said in messages. Pure.

LMCache's own JSON holds bare ``Infinity`` and ``NaN``; what goes over the wire is strict and has them as texts, which
are taken for those numbers wherever numbers are compared.
"""

from __future__ import annotations

import json
import math
from typing import Any

from lmcache_frontend.errors import BadRequest

_NON_FINITE = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_SHOWN_CHARACTERS = 60
_HUGE = 10**18


def strict(value: Any) -> Any:
    """Give a copy that is strict JSON: numbers that are not finite as texts.

    Raises: RecursionError where it nests too deeply.
    """
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: strict(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(part) for part in value]
    return value


def compact(value: Any, *, ordered: bool = False) -> str:
    """Write strict JSON in ASCII, with the keys in order if asked: then equal documents are equal texts."""
    return json.dumps(strict(value), separators=(",", ":"), sort_keys=ordered, allow_nan=False)


def number(value: Any) -> int | float | None:
    """Give a value that is a number, or the text of one that is not finite; None for all others, booleans too."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return _NON_FINITE.get(value) if isinstance(value, str) else None


def equal(left: Any, right: Any) -> bool:
    """Compare two JSON values: 5 and 5.0 are one, 1 and true are not, NaN equals itself."""
    numbers = number(left), number(right)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] == numbers[1] or (numbers[0] != numbers[0] and numbers[1] != numbers[1])
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(part, right[key]) for key, part in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return type(left) is type(right) and bool(left == right)


def object_of(value: Any) -> dict[str, Any] | None:
    """Give the object that ``extra_config`` is, or holds as JSON text; None where it is none."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON, as an ``object_pairs_hook``; of a name that is there twice one would be passed over.

    Raises: BadRequest.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadRequest(f"the field {shown(name)} is there twice in one object")
        found[name] = value
    return found


def kind(value: Any) -> str:
    """Name the kind of a JSON value for a message."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else "no JSON value")


def shown(value: Any) -> str:
    """Give a value for a message, cut short; objects and lists by their kind."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= _SHOWN_CHARACTERS else value[: _SHOWN_CHARACTERS - 3] + "...")
    if isinstance(value, int) and abs(value) >= _HUGE:
        return "a huge number"
    return json.dumps(value) if isinstance(value, (int, float)) or value is None else kind(value)
