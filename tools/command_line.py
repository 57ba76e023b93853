# SPDX-License-Identifier: Apache-2.0
"""Parsers of command lines whose help always ends in examples."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from lmcache_frontend import __version__


def file_path(text: str) -> str:
    """Read a path for argparse; an empty one is a variable that was not set, and no wish to do without."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got an empty text")
    return text


class Example(NamedTuple):
    """A command line as one types it, and what it does in a few words."""

    command: str
    meaning: str


def make_parser(program: str, description: str, examples: Sequence[Example]) -> argparse.ArgumentParser:
    """Make a tool's parser; ``--version`` is there already."""
    parser = argparse.ArgumentParser(
        program,
        description=description,
        epilog=examples_text(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def add_command(
    commands: Any, name: str, summary: str, examples: Sequence[Example], *, description: str | None = None
) -> argparse.ArgumentParser:
    """Add a command to what ``add_subparsers`` gave, with a help of its own that ends in examples."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description or f"{summary[:1].upper()}{summary[1:]}.",
        epilog=examples_text(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def examples_text(examples: Sequence[Example]) -> str:
    """Give the end of a help: each command with what it does above it."""
    return "examples:\n" + "\n".join(f"  # {example.meaning}\n  {example.command}\n" for example in examples).rstrip()


def command_first(arguments: Sequence[str], valued: frozenset[str]) -> list[str]:
    """Move options that stand before the command behind everything, where parsers of commands look for them.

    ``valued`` are the options that take a value of their own. Help and version are the program's: they go alone. Where
    there is no command nothing is left, so that it is missed, and no option's value is taken for it.
    """
    at = 0
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] not in ("-", "--"):
        if arguments[at] in ("-h", "--help", "--version"):
            return [arguments[at]]
        at += 2 if arguments[at] in valued else 1
    return [*arguments[at:], *arguments[:at]] if at < len(arguments) else []
