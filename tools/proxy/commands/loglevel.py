# SPDX-License-Identifier: Apache-2.0
"""``loglevel``: the levels of loggers, and setting one.

Loggers are read as a list and chosen here: a node that is asked for one by name makes it, if it is not there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from lmcache_frontend.actions.arguments import LEVELS
from lmcache_frontend.errors import UsageError

from ...command_line import Example
from ..acting import Change, act, add_action_options
from ..frame import Command, CommandContext, Needs
from ..output import Field
from ..reading import read_items, report
from ..selection import is_glob, select
from .facts import show_rows

_FIELDS = (Field("logger"), Field("level"))


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Show levels, or set one."""
    selection = select(context, options.words)
    if len(selection.words) > 2:
        raise UsageError("expected NODE, NODE LOGGER or NODE LOGGER LEVEL")
    if len(selection.words) == 2:
        logger, level = selection.words[0], selection.words[1].upper()
        if level not in LEVELS:
            raise UsageError(f"expected one of {', '.join(LEVELS)} as LEVEL, got {selection.words[1]!r}")
        return act(context, selection, Change("loglevel", {"logger": logger, "level": level}))
    wanted = selection.words[0] if selection.words else None
    readings = read_items(context, selection.nodes, "loggers")
    rows = show_rows(context, selection, readings, _FIELDS, lambda data: _rows(data, wanted))
    if wanted and not rows and not is_glob(wanted) and any(reading.state == "ok" for reading in readings):
        context.console.note(f"no logger is called {wanted!r} so far; globs such as 'lmcache.*' are understood")
    return report(context, readings, selection.nodes)


def _rows(data: Mapping[str, Any], wanted: str | None) -> list[dict[str, Any]]:
    loggers = [{"logger": logger["name"], "level": logger["level"]} for logger in data["loggers"]]
    loggers.sort(key=lambda row: row["logger"])
    return [row for row in loggers if wanted is None or fnmatchcase(row["logger"], wanted)]


def _configure(parser: argparse.ArgumentParser) -> None:
    add_action_options(parser, asks=False)


COMMANDS = {
    "loglevel": Command(
        "NODE [LOGGER [LEVEL]]",
        run,
        (
            Example("lmcache-proxy loglevel worker-0 'lmcache.v1.*'", "the loggers of a part of LMCache"),
            Example("lmcache-proxy loglevel kind:scheduler lmcache DEBUG", "say more on all schedulers"),
        ),
        _configure,
        needs=Needs.NODES,
    )
}
