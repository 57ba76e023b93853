# SPDX-License-Identifier: Apache-2.0
"""LMCache's converters: what becomes of a value from a file, from a variable or from a configuration server. Pure.

They fail as LMCache's own do, since who asks for the conversion treats a ValueError otherwise than the rest: leaves it
to ``coerce`` and ``local`` what follows. Source: ``lmcache/v1/config.py`` and ``config_base.py``, 0.3.6 to 0.5.6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from lmcache_frontend.remote_config.catalogue import Key

# What a converter fails with. A value nested deeper than Python's stack makes it a RecursionError.
FAILURES = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)

_FILE_SCHEME = "file://"
_FILE_URL = r"file://(.*)/"
_MODES = {
    "prefix_strict": "prefix_strict",
    "prefixstrict": "prefix_strict",
    "skip_missing_chunks": "skip_missing_chunks",
    "skipmissingchunks": "skip_missing_chunks",
    "legacy": "skip_missing_chunks",
}


def convert(key: Key, value: Any) -> Any:
    """Give what the converter of a key makes of a value; null stays null.

    Raises: ValueError for a value that the converter refuses, any other of ``FAILURES`` for one that it trips over.
    """
    return None if value is None else _CONVERTERS[key.converter](value)


def read_object(value: Any) -> Any:
    """Give what a remote item for ``extra_config`` says: a text is read as JSON, an empty one is null.

    Raises: ValueError for a text that is no JSON.
    """
    if not isinstance(value, str):
        return value
    return json.loads(value) if value else None


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).strip().lower() in ("true", "1")


def _integers(value: Any) -> list[int]:
    if isinstance(value, int):
        return [value]
    return [int(part) for part in (value if isinstance(value, list) else _parts(str(value)))]


def _floats(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    return [float(part) for part in (value if isinstance(value, list) else _parts(str(value)))]


def _texts(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        raise AttributeError(f"a {type(value).__name__} cannot be split")
    return _parts(value)


def _one_or_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [value] if value else []


def _path(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} is no path")
    return value.removeprefix(_FILE_SCHEME) if re.match(_FILE_URL, value) else value


def _path_list(value: Any) -> str | None:
    parts = _parts(str(value))
    return ",".join(part.removeprefix(_FILE_SCHEME) for part in parts) if parts else None


def _object(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    return json.loads(value) if value else None


def _mode(value: Any) -> str:
    word = str(value).strip().lower().replace("-", "_")
    if word not in _MODES:
        raise ValueError("no such mode")
    return _MODES[word]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "": lambda value: value,
    "int": int,
    "float": float,
    "bool": _boolean,
    "str": str,
    "list[int]": _integers,
    "list[float]": _floats,
    "list[str]": _texts,
    "str->[str]": _one_or_list,
    "path": _path,
    "path-list": _path_list,
    "json-object": _object,
    "enum": _mode,
}
