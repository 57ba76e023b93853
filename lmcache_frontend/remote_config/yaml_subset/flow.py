# SPDX-License-Identifier: Apache-2.0
"""Lists and maps in brackets, over as many lines as they like. Source: YAML 1.1, 8.2 as PyYAML has it."""

from __future__ import annotations

from typing import Any

from lmcache_frontend.remote_config.yaml_subset.faults import Refusal, fault, refused
from lmcache_frontend.remote_config.yaml_subset.source import END, is_marker, next_content, skip_spaces
from lmcache_frontend.remote_config.yaml_subset.words import checked_key, read_scalar, text_key

DEPTH_LIMIT = 64  # levels; twice what any known configuration would need many times over


def read_flow(text: str, at: int, depth: int) -> tuple[Any, int]:
    """Read the list or map whose bracket is here; ``depth`` is how many there are around it.

    Gives the value and the place after its closing bracket. Raises: YamlError.
    """
    check_depth(text, at, depth)
    return _read_list(text, at, depth) if text[at] == "[" else _read_map(text, at, depth)


def check_depth(text: str, at: int, depth: int) -> None:
    """Raise YamlError where one more level would be too many."""
    if depth >= DEPTH_LIMIT:
        raise refused(text, at, Refusal.DEPTH, DEPTH_LIMIT)


def _read_list(text: str, opened: int, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    at = _next(text, opened + 1, opened)
    while text[at] != "]":
        start = at
        value, at = _read_node(text, start, depth)
        colon = skip_spaces(text, at)
        if text[colon] == ":":
            key = checked_key(text, start, colon, _scalar_key(text, start, value))
            check_depth(text, start, depth + 1)
            value, at = _read_value(text, colon, opened, depth + 1)
            value = {key: value}
        items.append(value)
        at = _next_entry(text, at, opened)
    return items, at + 1


def _read_map(text: str, opened: int, depth: int) -> tuple[dict[str, Any], int]:
    entries: dict[str, Any] = {}
    at = _next(text, opened + 1, opened)
    while text[at] != "}":
        start = at
        value, at = _read_node(text, start, depth)
        word = _scalar_key(text, start, value)
        colon = skip_spaces(text, at)
        if text[colon] == ":":
            key = checked_key(text, start, colon, word)
            value, at = _read_value(text, colon, opened, depth)
        else:
            key, value = text_key(text, start, at, word), None
        if key in entries:
            raise refused(text, start, Refusal.DUPLICATE_KEY, key)
        entries[key] = value
        at = _next_entry(text, at, opened)
    return entries, at + 1


def _scalar_key(text: str, at: int, value: Any) -> Any:
    if isinstance(value, (list, dict)):
        raise refused(text, at, Refusal.COMPLEX_KEY)
    return value


def _read_value(text: str, colon: int, opened: int, depth: int) -> tuple[Any, int]:
    at = _next(text, colon + 1, opened)
    return (None, at) if text[at] in ",]}" else _read_node(text, at, depth)


def _read_node(text: str, at: int, depth: int) -> tuple[Any, int]:
    return read_flow(text, at, depth + 1) if text[at] in "[{" else read_scalar(text, at, None)


def _next_entry(text: str, at: int, opened: int) -> int:
    """Give the place of the next entry or of the closing bracket."""
    at = _next(text, at, opened)
    closing = "]" if text[opened] == "[" else "}"
    if text[at] == ",":
        return _next(text, at + 1, opened)
    if text[at] != closing:
        raise fault(text, at, f"expected a comma or {closing}, got {text[at]!r}: a text that holds it needs quotes")
    return at


def _next(text: str, at: int, opened: int) -> int:
    at = next_content(text, at)
    if text[at] == END or is_marker(text, at):
        raise fault(text, opened, f"the bracket {text[opened]} that opens here is never closed")
    return at
