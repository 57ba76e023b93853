# SPDX-License-Identifier: Apache-2.0
"""What can stand where on the command line, taken from the parsers of the commands, for the scripts of all shells."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from lmcache_frontend.access.rules import NODE_ROWS
from lmcache_frontend.remote_config.catalogue import catalogue

from .. import program
from ..frame import Command, Needs

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# What stands in place of NODE.
NODE_FLAGS = ("--all", "--filter", "--direct")
# What names the frontend that is asked for names.
CONNECTION_FLAGS = ("--server", "--token-file", "--ca")
_FILE_METAVARS = frozenset({"FILE", "PATH", "ADDRESS"})
_TOKEN = re.compile(r"[^\s\[\]]+")


class Kind(Enum):
    """What a word is: one of a list, the name of a node, a context or a proxy, a file, or anything."""

    CHOICES = "choices"
    NODES = "nodes"
    CONTEXTS = "contexts"
    PROXIES = "proxies"
    FILE = "file"
    ANYTHING = "anything"


class Slot(NamedTuple):
    """A word that is wanted."""

    title: str
    kind: Kind = Kind.ANYTHING
    choices: tuple[str, ...] = ()


class Option(NamedTuple):
    """An option: ``value`` is the word that it wants, None for none; it may be left out where it ``is_optional``."""

    flags: tuple[str, ...]
    summary: str
    value: Slot | None = None
    is_optional: bool = False


class CommandWords(NamedTuple):
    """A command with its options and the words it wants in order, the last of which may be wanted many times.

    The first word is left out where one of `NODE_FLAGS` stands in its place, if the command ``has_node``.
    """

    name: str
    summary: str
    options: tuple[Option, ...]
    slots: tuple[Slot, ...]
    repeats: bool
    has_node: bool


class ProgramWords(NamedTuple):
    """The whole program: its commands, and the options that may stand before one."""

    commands: tuple[CommandWords, ...]
    early: tuple[Option, ...]

    @property
    def valued(self) -> tuple[str, ...]:
        """Give the flags, of any command, that a word of their own follows."""
        return self._flags(is_optional=False)

    @property
    def optional(self) -> tuple[str, ...]:
        """Give the flags that a number may follow."""
        return self._flags(is_optional=True)

    @property
    def shared(self) -> dict[Option, tuple[str, ...]]:
        """Give each different option with the names of the commands that have it."""
        found: dict[Option, list[str]] = {}
        for command in self.commands:
            for option in command.options:
                found.setdefault(option, []).append(command.name)
        return {option: tuple(names) for option, names in found.items()}

    def _flags(self, *, is_optional: bool) -> tuple[str, ...]:
        options = [option for command in self.commands for option in command.options]
        found = [
            flag
            for option in options
            if option.value is not None and option.is_optional == is_optional
            for flag in option.flags
        ]
        return tuple(sorted(set(found)))


def program_words() -> ProgramWords:
    """Take the words of all commands from their parsers."""
    commands = [_command(entry, program.load(entry.name)) for entry in program.COMMANDS]
    early = {flag: option for command in commands for option in command.options for flag in option.flags}
    wanted = [early[flag] for flag in sorted(program.VALUED_FLAGS) if flag in early]
    version = Option(("--version",), "show the version")
    return ProgramWords(tuple(commands), (*dict.fromkeys(wanted), _HELP, version))


_HELP = Option(("-h", "--help"), "show the help")


def _command(entry: program.Entry, command: Command) -> CommandWords:
    actions = [action for action in program.parser_of(entry.name)._actions if action.help != argparse.SUPPRESS]
    options = tuple(_option(action) for action in actions if action.option_strings)
    positionals = [action for action in actions if not action.option_strings]
    slots = tuple(_slot(entry.name, title) for title in _TOKEN.findall(command.arguments) if _is_title(title))
    choices = {action.metavar: action.choices for action in positionals if action.choices}
    slots = tuple(
        Slot(slot.title, Kind.CHOICES, tuple(choices[slot.title])) if choices.get(slot.title) else slot
        for slot in slots
    )
    return CommandWords(
        entry.name, entry.summary, options, slots, "..." in command.arguments, command.needs is Needs.NODES
    )


def _is_title(token: str) -> bool:
    """Tell the words of a usage line from the signs in it; of two that exclude each other the first stands for both."""
    return token not in ("...", "|") and not token.startswith(("KEY=", "="))


def _slot(command: str, title: str) -> Slot:
    title = title.partition("=")[0]
    if title in ("NODE", "FILTER") or (title == "NAME" and command in ("edit", "remove")):
        return Slot(title, Kind.NODES)
    if title == "PROXY":
        return Slot(title, Kind.PROXIES)
    if title == "NAME" and command == "context":
        return Slot(title, Kind.CONTEXTS)
    if title == "FILE":
        return Slot(title, Kind.FILE)
    if "|" in title:
        return Slot(title, Kind.CHOICES, tuple(title.split("|")))
    known = {"METHOD": METHODS, "LEVEL": LEVELS, "PATH": _paths(), "KEY": tuple(catalogue())}
    return Slot(title, Kind.CHOICES, known[title]) if title in known else Slot(title)


def _paths() -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.path for row in NODE_ROWS if "{" not in row.path and row.path != "/"))


def _option(action: argparse.Action) -> Option:
    flags, summary = tuple(action.option_strings), _one_line(action.help)
    if action.nargs == 0:
        return Option(flags, summary)
    title = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices:
        value = Slot(title, Kind.CHOICES, tuple(map(str, action.choices)))
    else:
        value = Slot(title, Kind.FILE if title in _FILE_METAVARS else Kind.ANYTHING)
    return Option(flags, summary, value, is_optional=any(flag in program.DEFAULT_VALUES for flag in flags))


def _one_line(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())


def slots_without_node(command: CommandWords) -> tuple[Slot, ...]:
    """Give the words that are wanted where NODE is not, since an option says which nodes."""
    return tuple(slot for slot in command.slots if slot.title != "NODE")


def unique(words: Iterable[str]) -> list[str]:
    """Give words once each, in order."""
    return list(dict.fromkeys(words))


def flags_of(options: Sequence[Option]) -> list[str]:
    """Give all flags of options."""
    return unique(flag for option in options for flag in option.flags)
