# SPDX-License-Identifier: Apache-2.0
"""``clear``: empty the caches of nodes, all of it or some locations."""

from __future__ import annotations

import argparse

from ...command_line import Example
from ..acting import Change, act, add_action_options, confirm
from ..frame import Command, CommandContext, Needs
from ..selection import select
from .facts import no_more_words


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Ask, and empty the caches."""
    selection = select(context, options.words)
    no_more_words(selection)
    what = f"the {', '.join(options.location)} of" if options.location else "the cache of"
    confirm(context, f"Clear {what} {selection.names}?")
    arguments = {"locations": options.location} if options.location else {}
    return act(context, selection, Change("cache_clear", arguments))


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--location", metavar="NAME", action="append", help="this backend only, such as LocalCPUBackend; repeatable"
    )
    add_action_options(parser)


COMMANDS = {
    "clear": Command(
        "NODE",
        run,
        (
            Example("lmcache-proxy clear worker-0 --location LocalCPUBackend", "one tier of one node"),
            Example("lmcache-proxy clear kind:worker --yes --max-failures 1", "all workers, up to the first failure"),
        ),
        _configure,
        needs=Needs.NODES,
        description="Empty caches; asks before. What is being read or written at the time stays on MP servers.",
    )
}
