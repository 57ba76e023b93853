# SPDX-License-Identifier: Apache-2.0
"""Documents about rules as viewers get them: with the values of secrets hidden. Pure.

A setting stands in them as ``{"key": name, "value": ...}``, a condition as ``{name: ...}``: what is secret is told by
the name. Workers get their answer without anything hidden, and operators what they edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmcache_frontend.masking import masked, masked_mapping, masked_text

# Of settings in a preview, beside the value: what is there now, what is sent, what comes of it.
_VALUES = ("value", "current", "remote", "result")
_TEXTS = ("description", "message", "why", "text")
_LISTS = ("rules", "items", "configs", "explain", "unmatched", "result", "revisions", "diff", "findings")


def hidden(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give a document of rules, of revisions, of differences or a preview with its secrets hidden."""
    return {name: _part(name, value) for name, value in document.items()}


def _part(name: str, value: Any) -> Any:
    if name in _LISTS and isinstance(value, list):
        return [_entry(entry) for entry in value]
    if name in _TEXTS and isinstance(value, str):
        return masked_text(value)
    if name == "match" and isinstance(value, dict):
        return {part: masked_mapping(asked) if isinstance(asked, dict) else asked for part, asked in value.items()}
    if name in ("before", "after") and isinstance(value, dict):
        return hidden(value)
    return value


def _entry(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    key = entry.get("key")
    if not isinstance(key, str):
        return hidden(entry)
    known = {name: masked(key, value) if name in _VALUES else _part(name, value) for name, value in entry.items()}
    for name in ("lost", "merged"):
        if isinstance(entry.get(name), list):
            known[name] = [{**part, "value": masked(key, part.get("value"))} for part in entry[name]]
    return known
