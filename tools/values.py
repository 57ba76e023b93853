# SPDX-License-Identifier: Apache-2.0
"""Settings' values as tools show them: secrets hidden, and strict JSON. Pure."""

from __future__ import annotations

import json
from typing import Any

from lmcache_frontend.masking import masked
from lmcache_frontend.remote_config.values import strict


def shown(key: str, value: Any, *, secrets: bool = False) -> str:
    """Give a value as compact JSON, a text without quotes where it cannot be taken for something else."""
    value = strict(value if secrets else hidden(key, value))
    if isinstance(value, str) and value and value == value.strip() and not _is_json(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def hidden(key: str, value: Any) -> Any:
    """Give a value with its secrets hidden; a text that is JSON within, as `extra_config` may be, is looked through."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return json.dumps(masked(key, json.loads(value)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return f"a text of {len(value)} characters" if key == "extra_config" else masked(key, value)
    return masked(key, value)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
