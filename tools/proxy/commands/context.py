# SPDX-License-Identifier: Apache-2.0
"""``context``: names for frontends in a file of the user's, one of which is in use."""

from __future__ import annotations

import argparse
import os

from lmcache_frontend.errors import NotFound, UsageError

from ...command_line import Example
from ...contexts import Context, Contexts, contexts_path, read_contexts, write_contexts
from ...exchange import read_url
from ..frame import DONE, Command, CommandContext, Needs
from ..output import Field, Listing, show

_FIELDS = (
    Field("current", "", show=lambda current: "*" if current else ""),
    Field("name"),
    Field("server"),
    Field("token_file"),
)


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """List, choose, set or remove contexts."""
    path = contexts_path(context.environment)
    contexts = read_contexts(path)
    if options.operation == "list":
        rows = [
            {"current": name == contexts.current, "name": name, **known._asdict()}
            for name, known in contexts.known.items()
        ]
        show(context, Listing(_FIELDS, rows, empty=f"there are no contexts in {path}"))
        return DONE
    if options.name is None:
        raise UsageError(f"context {options.operation}: expected NAME")
    changed = _CHANGES[options.operation](contexts, options)
    write_contexts(path, changed)
    used = f"in use: {changed.current}" if changed.current else "none is in use"
    context.console.note(f"wrote {path}; {used}")
    return DONE


def _use(contexts: Contexts, options: argparse.Namespace) -> Contexts:
    if options.name not in contexts.known:
        known = ", ".join(contexts.known) or "none"
        raise NotFound(f"no context is called {options.name!r}, there are: {known}")
    return contexts._replace(current=options.name)


def _set(contexts: Contexts, options: argparse.Namespace) -> Contexts:
    """Make or change a context; the first one is in use at once."""
    before = contexts.known.get(options.name)
    server = options.server or (before.server if before else None)
    if server is None:
        raise UsageError("context set: expected --server URL")
    url = read_url(server, "--server")
    if url.user_information is not None or url.query:
        raise UsageError("--server: expected an address alone; a token goes into a file, named with --token-file")
    # The file is found from everywhere, and not only from here.
    given = None if options.token_file is None else os.path.abspath(os.path.expanduser(options.token_file))
    token_file = given or (before.token_file if before else None)
    known = {**contexts.known, options.name: Context(url.text.rstrip("/"), token_file)}
    return Contexts(contexts.current or options.name, known)


def _remove(contexts: Contexts, options: argparse.Namespace) -> Contexts:
    _use(contexts, options)
    known = {name: known for name, known in contexts.known.items() if name != options.name}
    return Contexts(None if contexts.current == options.name else contexts.current, known)


_CHANGES = {"use": _use, "set": _set, "remove": _remove}


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("operation", choices=("list", *_CHANGES), metavar="list|use|set|remove", help="what to do")
    parser.add_argument("name", nargs="?", metavar="NAME", help="the context")


COMMANDS = {
    "context": Command(
        "list|use|set|remove [NAME]",
        run,
        (
            Example(
                "lmcache-proxy context set prod --server https://lmcache.internal --token-file ~/.lmcache", "name one"
            ),
            Example("lmcache-proxy context use prod", "talk to this one from now on"),
            Example("lmcache-proxy context list", "all of them, and which one is in use"),
        ),
        _configure,
        needs=Needs.NOTHING,
        description="Name frontends, and choose which one is meant where neither --server nor LMCACHE_FRONTEND_URL is.",
    )
}
