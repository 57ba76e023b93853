# SPDX-License-Identifier: Apache-2.0
"""``threads``: where the threads of nodes are, and with ``--diff`` which of them have moved since a moment ago."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...command_line import Example
from ...connection import seconds
from ...terminal import Cell, painted, printable
from ..frame import Command, CommandContext, Needs
from ..output import Field
from ..reading import ItemReading, read_items, report
from ..selection import Selection, select
from .facts import no_more_words, show_rows

_FIELDS = (
    Field("name", "thread"),
    Field("state"),
    Field("daemon"),
    Field("at"),
    Field("ident", extra=True),
    Field("class", extra=True),
    Field("frames", extra=True),
)
_CHANGE_STYLES = {"same": "yellow", "moved": "green", "new": "cyan", "gone": "cyan"}
_CHANGE_FIELDS = (
    Field("name", "thread"),
    Field("change", show=lambda change: Cell(change, _CHANGE_STYLES.get(change, ""))),
    Field("before"),
    Field("at", "now"),
    Field("ident", extra=True),
    Field("frames", extra=True),
)


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Show the threads, once or compared with a moment later."""
    selection = select(context, options.words)
    no_more_words(selection)
    readings = read_items(context, selection.nodes, "threads")
    if options.diff is not None and any(reading.state == "ok" for reading in readings):
        context.console.note(f"waiting {options.diff:g} s")
        context.sleep(options.diff)
        later = read_items(context, selection.nodes, "threads")
        return _show_changes(options, context, selection, readings, later)
    if options.stacks and options.format == "table":
        context.console.result(_stacks(options, context, selection, readings))
    else:
        show_rows(context, selection, readings, _FIELDS, lambda data: map(_row, _wanted(options, data)))
    return report(context, readings, selection.nodes)


def _wanted(options: argparse.Namespace, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    wanted = (options.name or "").lower()
    return [thread for thread in data["threads"] if wanted in thread["name"].lower()]


def _row(thread: Mapping[str, Any]) -> dict[str, Any]:
    members = ("name", "class", "state", "daemon", "ident")
    frames = thread.get("frames") or []
    return {**{name: thread.get(name) for name in members}, "at": _place(frames), "frames": frames}


def _place(frames: Sequence[Mapping[str, Any]]) -> str | None:
    """Say where the newest call is: ``function (file.py:12)``."""
    if not frames:
        return None
    newest = frames[-1]
    return f"{newest['function']} ({str(newest['file']).rpartition('/')[2]}:{newest['line']})"


def _stacks(
    options: argparse.Namespace, context: CommandContext, selection: Selection, readings: Iterable[ItemReading]
) -> Iterator[str]:
    """Give whole stacks, the oldest call first."""
    out = context.console.out
    for reading in readings:
        if reading.state != "ok":
            continue
        if selection.is_plural:
            yield painted(f"=== {printable(reading.node)}", "bold", out)
        for thread in _wanted(options, reading.data):
            kind = " daemon" if thread["daemon"] else ""
            yield painted(printable(f"{thread['name']} ({thread['state']}{kind}, {thread['ident']})"), "bold", out)
            for frame in thread["frames"]:
                yield printable(f"  {frame['file']}:{frame['line']} in {frame['function']}")
                if frame.get("source"):
                    yield printable(f"    {frame['source']}")
            yield ""


def _show_changes(
    options: argparse.Namespace,
    context: CommandContext,
    selection: Selection,
    before: Sequence[ItemReading],
    after: Sequence[ItemReading],
) -> int:
    earlier = {reading.node: _by_thread(options, reading) for reading in before}
    readings = []
    for reading in after:
        if reading.state == "ok":
            rows = _changes(earlier.get(reading.node, {}), _by_thread(options, reading))
            readings.append(reading._replace(data=list(rows)))
        else:
            readings.append(reading)
    rows_shown = show_rows(context, selection, readings, _CHANGE_FIELDS, lambda data: data)
    if any(reading.state == "ok" for reading in readings):
        same = sum(row["change"] == "same" for row in rows_shown)
        context.console.note(f"{same} of {len(rows_shown)} threads are where they were")
    return report(context, readings, selection.nodes)


def _by_thread(options: argparse.Namespace, reading: ItemReading) -> dict[tuple[str, Any], dict[str, Any]]:
    if reading.state != "ok":
        return {}
    return {(thread["name"], thread["ident"]): _row(thread) for thread in _wanted(options, reading.data)}


def _changes(
    before: Mapping[tuple[str, Any], dict[str, Any]], after: Mapping[tuple[str, Any], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Compare whole stacks: a thread that waits at the same place deep in a loop may have moved all the same."""
    for key, row in after.items():
        known = before.get(key)
        change = "new" if known is None else "same" if known["frames"] == row["frames"] else "moved"
        yield {**row, "change": change, "before": known["at"] if known else None}
    for key, row in before.items():
        if key not in after:
            yield {**row, "change": "gone", "before": row["at"], "at": None, "frames": []}


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="TEXT", help="only threads with this in their names, in any case")
    parser.add_argument("--stacks", action="store_true", help="show whole stacks, the oldest call first")
    parser.add_argument(
        "--diff", metavar="SECONDS", type=seconds, help="look twice, so long apart, and compare; without a number: 5"
    )


COMMANDS = {
    "threads": Command(
        "NODE",
        run,
        (
            Example("lmcache-proxy threads worker-0 --diff 5", "which threads stand still"),
            Example("lmcache-proxy threads worker-0 --name lookup --stacks", "whole stacks of some"),
        ),
        _configure,
        needs=Needs.NODES,
        watchable=True,
    )
}
