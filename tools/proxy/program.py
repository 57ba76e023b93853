# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy``: finds the command, reads its options, runs it.

How a command is added: a line in `COMMANDS` below names it, the module beside this one that has it, and what it does
in a few words for the list of commands. The module, which is imported when the command is run or its help is shown,
has a mapping ``COMMANDS`` from the names of its commands to values of `frame.Command`::

    COMMANDS = {"drift": Command("", run, (Example("lmcache-proxy drift", "what differs between the nodes"),))}

    def run(options: argparse.Namespace, context: CommandContext) -> int:
        document = context.client.get("/api/fleet/drift")
        show(context, Listing(FIELDS, rows_of(document), document=document))
        return DONE

``context.console`` has ``result(lines)`` for standard output (or the file of ``--output``), ``note``, ``detail`` and
``warn`` for standard error, and the terminals ``out`` and ``err``; `output.show` renders rows in all formats;
`selection.select` finds the nodes that NODE, ``--all`` and ``--filter`` mean, `reading.read_items` asks several of them
for something, `acting.act` changes several of them. Whatever goes wrong is raised as an error of
`lmcache_frontend.errors`, which becomes a line on standard error and an exit status; a status of its own, such as
`frame.UNHEALTHY`, a command returns. Help comes from the examples, which a test wants of every command, as it wants a
section ``### NAME`` of every command in docs/lmcache-proxy.md. `parser_of` gives the whole parser of a command, for
completion scripts, say.
"""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from lmcache_frontend import __version__
from lmcache_frontend.errors import BadGateway, FrontendError, UsageError

from .. import console
from ..command_line import Example, examples_text
from ..connection import add_connection_options, client_of, seconds
from ..console import Console, add_console_options, console_of
from ..terminal import printable
from .frame import PROGRAM, Command, CommandContext, Needs


class Entry(NamedTuple):
    """A command's name, the module that has it, and what it does."""

    name: str
    module: str
    summary: str


COMMANDS = (
    Entry("nodes", "commands.listing", "list the nodes and how they do"),
    Entry("node", "commands.one_node", "show everything about one node on one screen"),
    Entry("fleet", "commands.fleet", "show the totals and the problems of the fleet"),
    Entry("top", "top.command", "watch the fleet live, on the full screen"),
    Entry("watch", "watch.command", "print changes of state as they happen"),
    Entry("doctor", "doctor.command", "find what people get wrong, and say what to do"),
    Entry("drift", "commands.drift", "show where configurations and versions differ"),
    Entry("add", "commands.membership", "add a node or a proxy"),
    Entry("edit", "commands.membership", "change the entry of a node or a proxy"),
    Entry("remove", "commands.membership", "remove the entries of nodes or proxies"),
    Entry("refresh", "commands.membership", "ask a proxy for its nodes anew"),
    Entry("request", "commands.request", "send any request to a node"),
    Entry("get", "commands.request", "send a GET to a node"),
    Entry("post", "commands.request", "send a POST to a node"),
    Entry("put", "commands.request", "send a PUT to a node"),
    Entry("delete", "commands.request", "send a DELETE to a node"),
    Entry("version", "commands.facts", "show the versions of nodes"),
    Entry("health", "commands.facts", "show how nodes do, and why"),
    Entry("metrics", "commands.metrics", "show metrics, or how fast they grow"),
    Entry("threads", "commands.threads", "show what the threads of nodes do, or what they did meanwhile"),
    Entry("loglevel", "commands.loglevel", "show or set the levels of loggers"),
    Entry("conf", "commands.conf", "show or change the configuration of running nodes"),
    Entry("meta", "commands.facts", "show the metadata of nodes' engines"),
    Entry("inference", "commands.facts", "show the inference engines that nodes are in"),
    Entry("env", "commands.facts", "show the environment variables of nodes"),
    Entry("periodic", "commands.facts", "show the periodic threads of nodes"),
    Entry("backends", "commands.facts", "show the storage backends of nodes"),
    Entry("freeze", "commands.switches", "freeze caches, let them go on, or show which are frozen"),
    Entry("hot-cache", "commands.switches", "switch hot caches on or off, or show which are on"),
    Entry("clear", "commands.clear", "empty caches"),
    Entry("quota", "commands.quota", "show or set what tenants may keep"),
    Entry("run-script", "commands.script", "run a script in nodes' processes"),
    Entry("actions", "commands.running", "show or stop changes of many nodes that run or ran"),
    Entry("open", "commands.dashboard", "print the address of the dashboard, and open it where there is a screen"),
    Entry("context", "commands.context", "name frontends, and choose which one is meant"),
    Entry("completion", "completion.command", "print the completion script of a shell"),
)
_EXAMPLES = (
    Example(f"{PROGRAM} nodes state:degraded", "the nodes that do not do well"),
    Example(
        f"{PROGRAM} conf --all blocking_timeout_secs=20 --canary", "change a setting everywhere, on one node first"
    ),
    Example(f"{PROGRAM} COMMAND --help", "all about a command"),
)
# The options that may stand before the command and take a value of their own.
VALUED_FLAGS = frozenset(
    {"--server", "--token-file", "--timeout", "--ca", "--format", "--fields", "--output", "--color", "--direct"}
    | {"--filter"}
)
# The options whose value may be left out: what they mean then.
DEFAULT_VALUES = {"--watch": "2", "--rate": "10", "--diff": "5"}


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run ``lmcache-proxy``; give the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    variables = os.environ if environment is None else environment
    return console.run(PROGRAM, lambda: _run(given, variables))


def load(name: str) -> Command:
    """Give a command by its name.

    Raises: UsageError where there is none.
    """
    for entry in COMMANDS:
        if entry.name == name:
            command: Command = import_module(f".{entry.module}", __package__).COMMANDS[name]
            return command
    near = difflib.get_close_matches(name, [entry.name for entry in COMMANDS], 1)
    hint = f"did you mean {near[0]}?" if near else f"{PROGRAM} --help lists all"
    raise UsageError(f"no command is called {name!r}: {hint}")


def parser_of(name: str) -> argparse.ArgumentParser:
    """Give the whole parser of a command; it is to be used with ``parse_intermixed_args``.

    Raises: UsageError where there is no such command.
    """
    command = load(name)
    summary = next(entry.summary for entry in COMMANDS if entry.name == name)
    parser = argparse.ArgumentParser(
        f"{PROGRAM} {name}",
        usage=" ".join(part for part in (f"{PROGRAM} {name}", "[OPTION ...]", command.arguments) if part),
        description=command.description or f"{summary[:1].upper()}{summary[1:]}.",
        epilog=examples_text(command.examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.configure(parser)
    if command.needs is Needs.NODES:
        _add_node_options(parser)
    add_console_options(parser, command.formats)
    if command.formats:
        _add_format_options(parser)
    if command.watchable:
        parser.add_argument(
            "--watch", metavar="SECONDS", type=seconds, help="do it again every so often; without a number: 2"
        )
    add_connection_options(parser)
    return parser


def main_parser() -> argparse.ArgumentParser:
    """Give the parser of the program without a command: its help lists them all."""
    width = max(len(entry.name) for entry in COMMANDS)
    listed = "\n".join(f"  {entry.name:<{width}}  {entry.summary}" for entry in COMMANDS)
    parser = argparse.ArgumentParser(
        PROGRAM,
        usage=f"{PROGRAM} COMMAND [OPTION ...]",
        description="The LMCache cluster from a terminal, through a running frontend or, with --direct, without one.",
        epilog=f"commands:\n{listed}\n\n{examples_text(_EXAMPLES)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _add_node_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="NODE", help="a name, a glob, a filter; several with commas")
    group = parser.add_argument_group("nodes")
    group.add_argument("--all", action="store_true", help="all nodes, in place of NODE")
    group.add_argument("--filter", metavar="TEXT", help="the nodes that match, such as 'state:degraded kind:mp'")
    group.add_argument("--direct", metavar="ADDRESS", help="one node at HOST:PORT or SOCKET, without a frontend")


def _add_format_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fields", metavar="A,B", help="show these fields only, in this order")
    parser.add_argument("--no-headers", action="store_true", help="show a table without its titles")


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    name, rest = split_command(arguments)
    if name is None:
        main_parser().parse_args(rest)
        raise UsageError(f"which command? {PROGRAM} --help lists all")
    command = load(name)
    options = parser_of(name).parse_intermixed_args(with_values(rest))
    context = _context(command, options, environment)
    if command.watchable and options.watch is not None:
        return _watch(command, options, context)
    return _run_once(command, options, context)


def _run_once(command: Command, options: argparse.Namespace, context: CommandContext) -> int:
    """Run a command; what is not made as commands know it comes from whoever answered.

    Raises: FrontendError.
    """
    try:
        return command.run(options, context)
    except UnicodeEncodeError as exc:
        raise UsageError("a word of the command line is no UTF-8 text") from exc
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as exc:
        if command.needs is Needs.NOTHING:
            raise
        if context.console.verbose:
            context.console.tell(map(printable, "".join(traceback.format_exception(exc)).splitlines()))
        where = context.client.shown if context.direct is None else context.direct.name
        hint = "is it a frontend, and not of another release?" if context.direct is None else "is it a node of LMCache?"
        raise BadGateway(f"{where} answered something that was not expected: {hint} (-v tells where)") from exc


def split_command(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Part the command from its options, also from those before it; there is none where only options are."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] not in ("-", "--"):
        at += 2 if arguments[at] in VALUED_FLAGS else 1
    if at >= len(arguments) or any(early in arguments[:at] for early in ("-h", "--help", "--version")):
        return None, list(arguments)
    return arguments[at], [*arguments[:at], *arguments[at + 1 :]]


def with_values(arguments: Sequence[str]) -> list[str]:
    """Add the usual value to options of which it was left out, so that the next word is not taken for it."""
    result: list[str] = []
    for at, word in enumerate(arguments):
        if word == "--":
            return [*result, *arguments[at:]]
        following = arguments[at + 1] if at + 1 < len(arguments) else ""
        missing = word in DEFAULT_VALUES and not following[:1].isdigit()
        result.append(f"{word}={DEFAULT_VALUES[word]}" if missing else word)
    return result


def _context(command: Command, options: argparse.Namespace, environment: Mapping[str, str]) -> CommandContext:
    if options.output == "-":
        options.output = None
    talk = console_of(PROGRAM, options, environment)
    if command.needs is Needs.NOTHING:
        return CommandContext(talk, environment, options)
    if command.needs is Needs.NODES and options.direct is not None:
        from .direct import direct_node

        return CommandContext(talk, environment, options, direct=direct_node(options.direct, options.timeout))
    client = client_of(options, environment)
    if options.server and client.base.user_information is not None:
        raise UsageError(
            "--server: other users see arguments: give a token with --token-file, and an address alone here"
        )
    return CommandContext(talk, environment, options, client)


def _watch(command: Command, options: argparse.Namespace, context: CommandContext) -> int:
    """Run a command again and again; on a terminal each round takes the place of the one before.

    What fails in the first round fails; later it is told, and tried again, as frontends are restarted.
    """
    rounds = 0
    while True:
        try:
            _show_round(command, options, context)
        except (UsageError, BrokenPipeError):
            raise
        except FrontendError as exc:
            if rounds == 0:
                raise
            context.console.warn(f"{time.strftime('%H:%M:%S')} {exc}")
        rounds += 1
        context.sleep(options.watch)


def _show_round(command: Command, options: argparse.Namespace, context: CommandContext) -> None:
    terminal = context.console.out
    if not terminal.interactive:
        _run_once(command, options, context)
        return
    # Shown at once when it is whole, or the screen would flicker.
    held = io.StringIO()
    talk: Console = context.console._replace(out=terminal._replace(stream=held))
    _run_once(command, options, context._replace(console=talk))
    title = f"every {options.watch:g} s, {time.strftime('%H:%M:%S', time.localtime(context.now()))}"
    terminal.stream.write(f"\x1b[H\x1b[2J{printable(title)}\n\n{held.getvalue()}")
    terminal.stream.flush()
