# SPDX-License-Identifier: Apache-2.0
"""``watch``: changes of state as they happen, a line each."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator

from lmcache_frontend.errors import UsageError
from lmcache_frontend.fleet.snapshot import Level

from ...command_line import Example
from ...connection import seconds
from ...terminal import Cell, painted, printable, reader_is_gone
from ..events import GONE, Change, Step, is_reached, step, wanted_nodes
from ..frame import DONE, PROGRAM, UNHEALTHY, Command, CommandContext
from ..output import Field, Listing, member, plain, show
from ..wording import LEVEL_STYLES
from .feed import Follower, Told

FIELDS = tuple(map(Field, Change._fields))
# How often it is looked whether anybody still reads.
READER_CHECK_S = 1.0
STATES = (*(level.value for level in Level), GONE)


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Print changes until the wanted state is there, the time is over, or for ever.

    Raises: FrontendError where the frontend does not answer from the start, or says no.
    """
    if options.any and options.until is None:
        raise UsageError("--any says when --until is reached, and --until is missing")
    wanted = wanted_nodes(options.words, options.filter)
    end = None if options.duration is None else time.monotonic() + options.duration
    follower = Follower(context.client)
    follower.start()
    printer = Printer(context)
    known: Step | None = None
    while True:
        told = _next(follower, end, context)
        if told is None:
            break
        if told.document is None:
            _report(context, told.error, is_fatal=known is None or told.is_final)
            continue
        first, known = known is None, step(known.levels if known else {}, told.document, wanted)
        if first and not known.levels and options.words:
            context.console.warn(f"no node is called {' '.join(options.words)} yet")
        if not first or options.initial:
            printer.print(known.changes)
        if options.until and is_reached(known.levels, options.until, by_any=options.any):
            return DONE
    if options.until is None:
        return DONE
    levels = known.levels if known else {}
    missing = [
        f"{key} is {level}"
        for key, level in levels.items()
        if not is_reached({key: level}, options.until, by_any=False)
    ]
    context.console.warn(f"not {options.until} within {options.duration:g} s: {'; '.join(missing[:5]) or 'no node'}")
    return UNHEALTHY


def _next(follower: Follower, end: float | None, context: CommandContext) -> Told | None:
    """Wait for what is told next; give None when the time is over.

    Raises: BrokenPipeError where nobody reads any more: the next change may be long in coming.
    """
    while True:
        look = time.monotonic() + READER_CHECK_S
        told = follower.next(look if end is None else min(look, end))
        if told is not None or (end is not None and time.monotonic() >= end):
            return told
        if context.console.output_path is None and reader_is_gone(context.console.out.stream):
            raise BrokenPipeError


def _report(context: CommandContext, error: Exception | None, *, is_fatal: bool) -> None:
    """Say that a stream ended, or fail where it never began or cannot begin again."""
    if error is not None and is_fatal:
        raise error
    context.console.detail(f"the stream of events ended{f': {error}' if error else ''}; it is taken up again")


class Printer:
    """Prints changes in the format that was asked for; with ``--output`` all of them so far are in the file."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context
        self._kept: list[Change] = []

    def print(self, changes: Iterable[Change]) -> None:
        """Print changes."""
        new = list(changes)
        if not new:
            return
        if self._context.console.output_path is not None:
            new = self._kept = self._kept + new
        options = self._context.options
        if options.format == "table":
            self._context.console.result(self._lines(new))
        else:
            show(self._context, Listing(FIELDS, [change._asdict() for change in new]))

    def _lines(self, changes: Iterable[Change]) -> Iterator[str]:
        names = self._context.options.fields
        for change in changes:
            if names is not None:
                row = change._asdict()
                yield "  ".join(printable(plain(member(row, name.strip()))) for name in names.split(","))
            else:
                yield self._line(change)

    def _line(self, change: Change) -> str:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change.at))
        cells = [_cell(change.before, "new"), _cell(change.after, GONE)]
        out = self._context.console.out
        states = " -> ".join(painted(cell.text, cell.style, out) for cell in cells)
        reasons = f": {printable('; '.join(change.reasons))}" if change.reasons else ""
        return f"{at}  {printable(change.node)}  {states}{reasons}"


def _cell(level: str | None, otherwise: str) -> Cell:
    return Cell(otherwise, "dim") if level is None else Cell(level, LEVEL_STYLES.get(level, ""))


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="NODE", help="names or globs; by default all nodes")
    parser.add_argument("--filter", metavar="TEXT", help="the nodes that match, such as 'kind:worker'")
    parser.add_argument(
        "--until", metavar="STATE", choices=STATES, help=f"end when all these nodes are: {', '.join(STATES)}"
    )
    parser.add_argument("--any", action="store_true", help="with --until: when one of them is")
    parser.add_argument(
        "--for",
        dest="duration",
        metavar="SECONDS",
        type=seconds,
        help="end after this time; with --until: with status 4",
    )
    parser.add_argument("--initial", action="store_true", help="print the states at the start too")


COMMANDS = {
    "watch": Command(
        "[NODE ...]",
        run,
        (
            Example(f"{PROGRAM} watch", "what changes from now on, on all nodes"),
            Example(f"{PROGRAM} watch 'prefill-*' --until healthy --for 600", "wait for nodes after a restart"),
            Example(f"{PROGRAM} watch --format jsonl | jq .node", "changes for a program"),
        ),
        _configure,
        formats=("table", "jsonl"),
        description=(
            "Print changes of state as they happen. Broken connections are taken up again, and nothing is missed that\n"
            "the frontend still knows. With --until the status is 0 once the state is reached; answering and serving\n"
            "are reached by better states too, and gone is when none of the nodes is left."
        ),
    )
}
