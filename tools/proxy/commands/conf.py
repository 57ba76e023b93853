# SPDX-License-Identifier: Apache-2.0
"""``conf``: the configuration of running nodes, and changing it after a look at what would change.

What LMCache makes of a value is told before, as it takes many that it does not mean. The change itself is an action.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from lmcache_frontend.errors import BadGateway, Unreachable, UsageError

from ...command_line import Example
from ..acting import Change, add_action_options, carry_out, confirm, show_outcomes, status_of
from ..frame import DONE, FAILURE, UNHEALTHY, Command, CommandContext, Needs
from ..output import Field
from ..patterns import add_grep
from ..reading import read_items, report
from ..selection import Selection, select
from .conf_changes import Plan, lines_of, parse_value, plan_of, put_back, remarks
from .facts import add_reveal, key_rows, show_rows

_FIELDS = (Field("key"), Field("value", flexible=True))


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Show values, or change some."""
    selection = select(context, options.words)
    given = [word for word in selection.words if "=" in word]
    if not given:
        return _show(options, context, selection)
    if len(given) < len(selection.words):
        raise UsageError("expected either KEYs to show or KEY=VALUEs to set")
    return _change(context, selection, _values(given))


def _show(options: argparse.Namespace, context: CommandContext, selection: Selection) -> int:
    readings = read_items(context, selection.nodes, "conf")
    rows = show_rows(
        context,
        selection,
        readings,
        _FIELDS,
        lambda data: [row for row in key_rows(options, data["values"]) if _is_wanted(row["key"], selection.words)],
    )
    for word in selection.words if any(reading.state == "ok" for reading in readings) else ():
        if not any(fnmatchcase(row["key"], word) for row in rows):
            context.console.note(f"no key is called {word!r} there")
    return report(context, readings, selection.nodes)


def _is_wanted(key: str, words: Sequence[str]) -> bool:
    return not words or any(fnmatchcase(key, word) for word in words)


def _values(words: Sequence[str]) -> dict[str, Any]:
    values = {}
    for word in words:
        key, _, text = word.partition("=")
        if not key:
            raise UsageError(f"expected KEY=VALUE, got {word!r}")
        values[key] = parse_value(text)
    return values


def _change(context: CommandContext, selection: Selection, values: Mapping[str, Any]) -> int:
    """Show what would change, ask, and change it; say how it is put back."""
    readings = read_items(context, selection.nodes, "conf")
    plan = plan_of(readings, values)
    if len(plan.unread) == len(readings):
        return report(context, readings, selection.nodes)
    _tell(context, selection, plan, values)
    affected = selection._replace(nodes=tuple(node for node in selection.nodes if node.name not in plan.same))
    if not affected.nodes:
        context.console.note("nothing is to be changed")
        return DONE
    confirm(context, f"Change this on {affected.names}?")
    try:
        lines = carry_out(context, affected, Change("conf", {"values": dict(values)}))
    except (KeyboardInterrupt, BadGateway, Unreachable):
        # Which nodes were reached is not known here, and on the others it does no harm.
        _tell_way_back(context, plan, {node.name for node in affected.nodes})
        raise
    show_outcomes(context, lines)
    # Of several values some may have been set on a node where it failed.
    _tell_way_back(context, plan, {line["node"] for line in lines if line["outcome"] in ("done", "failed")})
    return UNHEALTHY if plan.same and status_of(lines) == FAILURE else status_of(lines)


def _tell(context: CommandContext, selection: Selection, plan: Plan, values: Mapping[str, Any]) -> None:
    console = context.console
    for remark in remarks(values, selection.nodes):
        console.warn(remark)
    for names, reason in plan.unread.items():
        console.warn(f"{names}: {reason}")
    # Who is asked must see what it is about, also with --quiet.
    if not console.quiet or not context.options.yes:
        console.out.stream.flush()
        for line in lines_of(plan, console.err):
            console.err.stream.write(line + "\n")
    if plan.same:
        console.note(f"as wished already: {', '.join(plan.same)}")


def _tell_way_back(context: CommandContext, plan: Plan, touched: Collection[str]) -> None:
    if context.options.dry_run:
        return
    # Pasted, it must not go to another frontend, the usual one.
    where = ("--server", context.options.server) if context.options.server and context.direct is None else ()
    for command in put_back(plan, touched, _wording(context), where=where):
        context.console.note(f"to put it back: {command}")


def _wording(context: CommandContext) -> tuple[str, ...]:
    """Give the words that choose the same nodes again, nothing where those are their names.

    What matched a filter may not match it any more, now that something has changed.
    """
    options = context.options
    if options.direct is not None:
        return ("--direct", options.direct)
    return ("--all",) if options.all else ()


def _configure(parser: argparse.ArgumentParser) -> None:
    add_grep(parser, "KEY=VALUE")
    add_reveal(parser)
    add_action_options(parser)


COMMANDS = {
    "conf": Command(
        "NODE [KEY ... | KEY=VALUE ...]",
        run,
        (
            Example("lmcache-proxy conf worker-0 chunk_size 'max_local_*'", "some values of a node"),
            Example("lmcache-proxy conf kind:worker min_retrieve_tokens=512 --dry-run", "what would change where"),
            Example("lmcache-proxy conf kind:worker min_retrieve_tokens=512 --canary", "one node first, then the rest"),
        ),
        _configure,
        needs=Needs.NODES,
        watchable=False,
        description=(
            "Show or change the configuration of running nodes. A VALUE is read as JSON where it is JSON, else as a\n"
            "text. What would change is shown, and asked about, before anything is written. Changes last until the\n"
            "node is started anew."
        ),
    )
}
