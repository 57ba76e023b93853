# SPDX-License-Identifier: Apache-2.0
"""``completion``: the completion scripts of shells, and the names that they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from lmcache_frontend.cluster.model import LOCAL_PROXY
from lmcache_frontend.errors import FrontendError, UsageError

from ...command_line import Example
from ...connection import client_of
from ...contexts import contexts_path, read_contexts
from ...terminal import printable
from ..frame import DONE, Command, CommandContext, Needs

SHELLS = ("bash", "zsh", "fish")
# Somebody waits for the next character meanwhile.
NAMES_TIMEOUT_S = 1.0
_NAMES = ("nodes", "proxies", "contexts")


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Print a script; or names, a line each, and nothing at all where they cannot be had."""
    if options.names is not None:
        context.console.result(_names(options, context))
        return DONE
    if options.shell is None:
        raise UsageError(f"completion: expected one of {', '.join(SHELLS)}")
    context.console.result(_script(options.shell).splitlines())
    return DONE


def _script(shell: str) -> str:
    from .words import program_words

    words = program_words()
    if shell == "bash":
        from .bash import bash_script

        return bash_script(words)
    if shell == "zsh":
        from .zsh import zsh_script

        return zsh_script(words)
    from .fish import fish_script

    return fish_script(words)


def _names(options: argparse.Namespace, context: CommandContext) -> list[str]:
    try:
        if options.names == "contexts":
            return offered(read_contexts(contexts_path(context.environment)).known)
        client = client_of(options, context.environment)
        client = client._replace(wire=client.wire._replace(timeout_s=NAMES_TIMEOUT_S))
        proxies = client.get("/api/nodes")["nodes"]
        if options.names == "proxies":
            return offered(proxy["name"] for proxy in proxies if proxy["name"] != LOCAL_PROXY)
        return offered(
            node["name"] if proxy["name"] == LOCAL_PROXY else f"{proxy['name']}/{node['name']}"
            for proxy in proxies
            for node in proxy.get("children") or ()
        )
    except (FrontendError, OSError, AttributeError, KeyError, TypeError):
        return []


def offered(names: Iterable[str]) -> list[str]:
    """Sort names, without those that could not be typed, or that would steer the terminal."""
    return sorted({name for name in names if name and printable(name) == name})


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", nargs="?", choices=SHELLS, metavar="|".join(SHELLS), help="the shell")
    # What the scripts ask with.
    parser.add_argument("--names", choices=_NAMES, help=argparse.SUPPRESS)


COMMANDS = {
    "completion": Command(
        "|".join(SHELLS),
        run,
        (
            Example('eval "$(lmcache-proxy completion bash)"', "completion in this bash"),
            Example("lmcache-proxy completion zsh > ~/.zfunc/_lmcache-proxy", "in every zsh, ~/.zfunc being in $fpath"),
            Example("lmcache-proxy completion fish | source", "completion in this fish"),
        ),
        _configure,
        formats=(),
        needs=Needs.NOTHING,
        description=(
            "Print the completion script of a shell: commands, options and their values, and the names of nodes, for\n"
            "which the frontend is asked while one types, for a second at most and without a word if it is not there."
        ),
    )
}
