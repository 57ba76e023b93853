# SPDX-License-Identifier: Apache-2.0
"""What a change of configuration comes to on each node: differences, remarks, and the way back. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lmcache_frontend.masking import masked
from lmcache_frontend.remote_config.catalogue import LATEST
from lmcache_frontend.remote_config.coerce import Severity, coerce

from ...terminal import Terminal, painted, painted_diff, printable
from ..frame import PROGRAM
from ..reading import ItemReading
from ..selection import Target

_SHOWN_NAMES = 6
_MISSING = object()
_AS_READ = {float("inf"): "Infinity", float("-inf"): "-Infinity"}

# Keys with their values before and after; before is `_MISSING` where the node has no such key.
Changes = tuple[tuple[str, Any, Any], ...]


class Plan(NamedTuple):
    """Groups of nodes on which the same would change, nodes where nothing would, and ``{node: why}`` of the unread."""

    groups: tuple[tuple[tuple[str, ...], Changes], ...]
    same: tuple[str, ...]
    unread: Mapping[str, str]


def parse_value(text: str) -> Any:
    """Read a value: as JSON where it is JSON, else as it stands; ``Infinity`` and the like stay texts."""
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text


def value_text(value: Any) -> str:
    """Give the text that `parse_value` reads as this value."""
    if isinstance(value, str) and parse_value(value) == value:
        return value
    return json.dumps(value)


def plan_of(readings: Sequence[ItemReading], values: Mapping[str, Any]) -> Plan:
    """Say what setting these values would change on the nodes of these readings of ``conf``."""
    groups: dict[str, tuple[list[str], Changes]] = {}
    same, unread = [], {}
    for reading in readings:
        if reading.state != "ok":
            unread[reading.node] = reading.reason or reading.state
            continue
        changes = _changes(reading.data["values"], values)
        if changes:
            mark = repr([(key, value_text(before) if before is not _MISSING else None) for key, before, _ in changes])
            groups.setdefault(mark, ([], changes))[0].append(reading.node)
        else:
            same.append(reading.node)
    return Plan(tuple((tuple(nodes), changes) for nodes, changes in groups.values()), tuple(same), unread)


def _changes(held: Mapping[str, Any], values: Mapping[str, Any]) -> Changes:
    return tuple(
        (key, held.get(key, _MISSING), value)
        for key, value in values.items()
        if not _is_same(held.get(key, _MISSING), _held_after(key, value))
    )


def _held_after(key: str, value: Any) -> Any:
    verdict = coerce(key, value)
    return verdict.value if verdict.severity in (Severity.FINE, Severity.SURPRISE) else value


def _is_same(before: Any, after: Any) -> bool:
    if before is _MISSING:
        return False
    # 5 and 5.0 are one number, 1 and true are not the same; infinity is a text in what was read.
    one, other = (_AS_READ.get(value, value) if isinstance(value, float) else value for value in (before, after))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def remarks(values: Mapping[str, Any], nodes: Sequence[Target]) -> list[str]:
    """Say what LMCache makes of values that it takes for something else, refuses or does not know."""
    found: dict[str, None] = {}
    for version in dict.fromkeys(node.version or LATEST for node in nodes):
        for key, value in values.items():
            verdict = coerce(key, value, version=version)
            if verdict.text:
                found[f"{key}: {verdict.text}"] = None
    return list(found)


def lines_of(plan: Plan, terminal: Terminal) -> Iterator[str]:
    """Give the differences as people know them, a block for each group of nodes; secrets are hidden."""
    for nodes, changes in plan.groups:
        shown = ", ".join(nodes[:_SHOWN_NAMES]) + (
            f" and {len(nodes) - _SHOWN_NAMES} more" if len(nodes) > _SHOWN_NAMES else ""
        )
        yield painted(printable(f"{len(nodes)} {'node' if len(nodes) == 1 else 'nodes'}: {shown}"), "bold", terminal)
        lines = []
        for key, before, after in changes:
            if before is not _MISSING:
                lines.append(f"-{key}: {json.dumps(masked(key, before))}")
            new = " (no such key there so far)" if before is _MISSING else ""
            lines.append(f"+{key}: {json.dumps(masked(key, after))}{new}")
        yield from painted_diff(lines, terminal)


def put_back(
    plan: Plan, touched: Collection[str], wording: Sequence[str], *, where: Sequence[str] = ()
) -> Iterator[str]:
    """Give the command lines that bring back what was before; what is secret, or was not there, is left out.

    ``wording`` are words that choose all the nodes, and ``where`` those that name the frontend, if it was named.
    """
    for nodes, changes in plan.groups:
        changed = [node for node in nodes if node in touched]
        earlier = [
            f"{key}={value_text(before)}"
            for key, before, _ in changes
            if before is not _MISSING and masked(key, before) == before
        ]
        if changed and earlier:
            is_all = len(plan.groups) == 1 and len(changed) == len(nodes) and not plan.same
            chosen = wording if wording and is_all else (",".join(changed),)
            yield shlex.join([PROGRAM, "conf", *chosen, *earlier, *where])
