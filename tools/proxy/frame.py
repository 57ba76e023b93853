# SPDX-License-Identifier: Apache-2.0
"""What a command is made of, and what it is given to work with. How one is added is said in `program`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from lmcache_frontend.errors import UsageError

from ..command_line import Example
from ..console import Console
from ..frontend_client import FrontendClient

if TYPE_CHECKING:
    from .direct import DirectNode

PROGRAM = "lmcache-proxy"
# What the exit statuses of all commands mean; errors bring theirs themselves.
DONE, FAILURE, USAGE, UNREACHABLE, UNHEALTHY, NOT_ALLOWED, CONFLICT = range(7)


class Needs(Enum):
    """Whom a command talks to."""

    NOTHING = "nothing"
    FRONTEND = "a frontend"
    NODES = "nodes through a frontend, or one node with --direct"


class CommandContext(NamedTuple):
    """What a command is given beside its options.

    ``frontend`` is None for commands that need nothing, and with ``--direct``, where ``direct`` is the node;
    ``sleep`` and ``now`` (seconds since the epoch) are the clock.
    """

    console: Console
    environment: Mapping[str, str]
    options: argparse.Namespace
    frontend: FrontendClient | None = None
    direct: DirectNode | None = None
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time

    @property
    def client(self) -> FrontendClient:
        """Give the frontend.

        Raises: UsageError where there is none.
        """
        if self.frontend is None:
            raise UsageError("--direct: this is asked of a frontend, and not of a node")
        return self.frontend


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing to a parser."""


class Command(NamedTuple):
    """A command of the tool.

    ``arguments`` are its words in the usage line; ``run(options, context)`` gives the exit status; ``configure`` adds
    what is its own to a parser that has the common options already. The first of ``formats`` is the default; without
    any there is no ``--format``, ``--fields`` and ``--no-headers``. A ``watchable`` one has ``--watch``: it is run
    again and again then, and must not change anything. With `Needs.NODES` there are ``--all``, ``--filter``,
    ``--direct`` and the positional ``words``, the first of which is NODE where none of the three is given.
    """

    arguments: str
    run: Callable[[argparse.Namespace, CommandContext], int]
    examples: tuple[Example, ...]
    configure: Callable[[argparse.ArgumentParser], None] = no_arguments
    formats: tuple[str, ...] = ("table", "json", "jsonl")
    needs: Needs = Needs.FRONTEND
    watchable: bool = False
    description: str | None = None
