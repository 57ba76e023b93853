# SPDX-License-Identifier: Apache-2.0
"""The command line of ``lmcache-config``: finds the command, gives it its console, and gives the exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..command_line import Example, add_command, command_first, make_parser
from ..connection import add_connection_options
from ..console import add_console_options, console_of, run
from . import history, rules, settings, workers
from .task import PROGRAM, Command, Online, Task

COMMANDS: tuple[Command, ...] = (
    *(command for command in rules.COMMANDS if command.name.startswith("rules ")),
    *history.COMMANDS,
    *workers.COMMANDS,
    *(command for command in rules.COMMANDS if not command.name.startswith("rules ")),
    *settings.COMMANDS,
)
EXAMPLES = (
    Example(f"{PROGRAM} rules get > rules.yaml", "the rules as they are"),
    Example(f"{PROGRAM} preview --app-id chat --rules rules.yaml", "what the edited ones would give a worker"),
    Example(f"{PROGRAM} rules apply rules.yaml -m 'Larger chunks for chat'", "put them in force"),
    Example(f"{PROGRAM} rollback 6", "and back"),
)
EXIT = """
exit status:
  0  done
  1  failed; validate: there are errors
  2  usage
  3  the frontend cannot be reached
  4  diff --check: something differs
  5  not allowed
  6  conflict: somebody else has changed the rules"""
_DESCRIPTION = "Rules of remote configuration: see them, change them, preview what workers get."
# The options that may stand before the command and take a value of their own.
_VALUED = frozenset({"--server", "--token-file", "--timeout", "--ca", "--format", "--output", "--color"})


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run the tool and give its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    variables = os.environ if environment is None else environment
    return run(PROGRAM, lambda: _main(given, variables))


def make_whole_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = make_parser(PROGRAM, _DESCRIPTION, EXAMPLES)
    parser.epilog = f"{parser.epilog}\n{EXIT}"
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups: dict[str, Any] = {}
    for command in COMMANDS:
        group, _, name = command.name.rpartition(" ")
        if group and group not in groups:
            words = ", ".join(other.name for other in COMMANDS if other.name.startswith(f"{group} "))
            examples = [entry.examples[0] for entry in COMMANDS if entry.name.startswith(f"{group} ")]
            outer = add_command(commands, group, f"see and change the {group}: {words}", examples)
            groups[group] = outer.add_subparsers(title="commands", metavar="COMMAND", required=True)
        _add(groups.get(group, commands), name, command)
    return parser


def _add(commands: Any, name: str, command: Command) -> None:
    parser = add_command(commands, name, command.summary, command.examples, description=command.description)
    command.configure(parser)
    if command.shows_values:
        parser.add_argument("--show-secrets", action="store_true", help="hide nothing; JSON never does")
    add_console_options(parser, command.formats)
    if command.online is Online.YES:
        add_connection_options(parser)
    parser.set_defaults(command=command)


def _main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    options = make_whole_parser().parse_args(command_first(arguments, _VALUED))
    command: Command = options.command
    return command.run(Task(options, console_of(PROGRAM, options, environment), environment))
