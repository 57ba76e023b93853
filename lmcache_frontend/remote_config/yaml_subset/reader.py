# SPDX-License-Identifier: Apache-2.0
"""Read a document: lists with dashes and maps by indentation, and in them what the other modules read.

What is accepted has the value that PyYAML 6 ``safe_load`` gives it; anything else is refused with line and reason.
"""

from __future__ import annotations

from typing import Any

from lmcache_frontend.remote_config.yaml_subset.block_scalars import read_block_scalar
from lmcache_frontend.remote_config.yaml_subset.faults import Refusal, fault, refused
from lmcache_frontend.remote_config.yaml_subset.flow import check_depth, read_flow
from lmcache_frontend.remote_config.yaml_subset.source import (
    BLANK,
    END,
    column_of,
    is_end,
    is_marker,
    line_end,
    next_content,
    prepare,
)
from lmcache_frontend.remote_config.yaml_subset.words import find_key, read_scalar


def load(text: str) -> Any:
    """Read a YAML document; an empty one is None. Keys are texts.

    Raises: YamlError with the line and the reason.
    """
    text = prepare(text)
    at = next_content(text, 0)
    marked = is_marker(text, at, ("---",))
    if is_marker(text, at, ("...",)):
        raise refused(text, at, Refusal.DOCUMENTS)
    start = at + 3 if marked else at
    at = next_content(text, start)
    value: Any = None
    if is_end(text, at):
        pass
    elif marked and "\n" not in text[start:at]:
        value, at = _read_line_value(text, at, -1, 0)
    else:
        value, at = _read_node(text, at, -1, 0)
    _check_end(text, at)
    return value


def _check_end(text: str, at: int) -> None:
    if is_marker(text, at, ("...",)):
        at = next_content(text, line_end(text, at + 3))
        if text[at] == END:
            return
    if is_end(text, at) and text[at] != END:
        raise refused(text, at, Refusal.DOCUMENTS)
    if text[at] != END:
        raise fault(text, at, "this belongs to nothing above: it stands at a column where no list or map began")


def _read_node(text: str, at: int, indent: int, depth: int) -> tuple[Any, int]:
    """Read a node that may be a list or a map of further lines, within what stands at column ``indent``.

    Gives the value and the place of the next content, as all readers here do.
    """
    if _is_entry(text, at):
        return _read_list(text, at, depth)
    if find_key(text, at) is not None:
        return _read_map(text, at, depth)
    return _read_line_value(text, at, indent, depth)


def _read_line_value(text: str, at: int, indent: int, depth: int) -> tuple[Any, int]:
    """Read a value where no list with dashes and no map of further lines can begin."""
    value: Any
    if text[at] in "|>":
        value, at = read_block_scalar(text, at, indent)
        return value, next_content(text, at)
    value, at = read_flow(text, at, depth) if text[at] in "[{" else read_scalar(text, at, indent)
    return value, next_content(text, line_end(text, at))


def _read_list(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    check_depth(text, at, depth)
    column = column_of(text, at)
    items: list[Any] = []
    while True:
        at = next_content(text, at + 1)
        value = None
        if _is_below(text, at, column):
            value, at = _read_node(text, at, column, depth + 1)
        items.append(value)
        if not _continues(text, at, column) or not _is_entry(text, at):
            return items, at


def _read_map(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    check_depth(text, at, depth)
    column = column_of(text, at)
    entries: dict[str, Any] = {}
    while True:
        start = at
        key, at = _read_key(text, start)
        if key in entries:
            raise refused(text, start, Refusal.DUPLICATE_KEY, key)
        entries[key], at = _read_map_value(text, at, column, depth)
        if not _continues(text, at, column):
            return entries, at


def _read_key(text: str, at: int) -> tuple[str, int]:
    if _is_entry(text, at):
        raise fault(text, at, "a dash cannot stand among the keys of a map")
    found = find_key(text, at)
    if found is None:
        raise fault(text, at, "expected a key, then a colon and a space")
    return found


def _read_map_value(text: str, colon_end: int, column: int, depth: int) -> tuple[Any, int]:
    at = next_content(text, colon_end)
    if "\n" not in text[colon_end:at] and text[at] != END:
        return _read_line_value(text, at, column, depth + 1)
    if _is_below(text, at, column):
        return _read_node(text, at, column, depth + 1)
    # A list as the value of a key may stand under the key itself.
    if _continues(text, at, column) and _is_entry(text, at):
        return _read_list(text, at, depth + 1)
    return None, at


def _is_below(text: str, at: int, column: int) -> bool:
    """Tell whether what comes next belongs to the entry of a list or map at a column."""
    if is_end(text, at):
        return False
    here = column_of(text, at)
    if here == column and text[at] in "|>":
        raise refused(text, at, Refusal.BLOCK_COLUMN)
    return here > column


def _continues(text: str, at: int, column: int) -> bool:
    """Tell whether the list or map at a column goes on; raise YamlError for what is indented deeper."""
    if is_end(text, at):
        return False
    here = column_of(text, at)
    if here > column:
        raise fault(text, at, f"indented by {here}, where {column} or less is expected")
    return here == column


def _is_entry(text: str, at: int) -> bool:
    return text[at] == "-" and text[at + 1] in BLANK
