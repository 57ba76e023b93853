# SPDX-License-Identifier: Apache-2.0
"""What every command is given, and how a command is described to the parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from ..command_line import Example
from ..connection import client_of
from ..console import Console
from ..frontend_client import FrontendClient

PROGRAM = "lmcache-config"
DONE = 0
FAILURE = 1
DIFFERS = 4
NEWEST_LISTED = 50


class Task(NamedTuple):
    """A command line that has been read, and what there is to carry it out with."""

    options: argparse.Namespace
    console: Console
    environment: Mapping[str, str]

    @property
    def secrets(self) -> bool:
        """Say whether secrets are shown to people."""
        return bool(self.options.show_secrets)

    def client(self) -> FrontendClient:
        """Give the frontend that is meant.

        Raises: UsageError.
        """
        return client_of(self.options, self.environment)

    @property
    def is_table(self) -> bool:
        """Say whether people read the result."""
        return bool(self.options.format == "table")


class Online(Enum):
    """Whether a command talks to a frontend."""

    YES = "yes"
    NO = "no"


class Command(NamedTuple):
    """A command: its words, what it does in a few of them, and how.

    ``configure`` adds its own flags to a parser; the first of ``formats`` is the default. One that ``shows_values`` has
    ``--show-secrets``.
    """

    name: str
    summary: str
    run: Callable[[Task], int]
    examples: tuple[Example, ...]
    configure: Callable[[argparse.ArgumentParser], Any] = lambda parser: None
    formats: tuple[str, ...] = ("table", "json")
    online: Online = Online.YES
    shows_values: bool = False
    description: str | None = None
