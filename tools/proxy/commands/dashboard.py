# SPDX-License-Identifier: Apache-2.0
"""``open``: the address of the dashboard, which is opened where there is a screen to open it on."""

from __future__ import annotations

import argparse
import sys
from urllib.parse import quote

from ...command_line import Example
from ..frame import DONE, Command, CommandContext


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Print the address, and open it."""
    address = f"{context.client.shown}/"
    if options.node is not None:
        address += f"#/node/{quote(options.node, safe='')}"
    context.console.result([address])
    if not options.print and _has_screen(context):
        import webbrowser

        if not webbrowser.open(address):
            context.console.note("no browser was found to open it with")
    return DONE


def _has_screen(context: CommandContext) -> bool:
    """Tell whether a browser would open in a window: one in the terminal would take it over."""
    if not context.console.out.interactive or context.environment.get("SSH_CONNECTION"):
        return False
    return sys.platform == "darwin" or any(context.environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", nargs="?", metavar="NODE", help="the page of this node")
    parser.add_argument("--print", action="store_true", help="print the address only")


COMMANDS = {
    "open": Command(
        "[NODE]",
        run,
        (
            Example("lmcache-proxy open", "the dashboard"),
            Example("lmcache-proxy open worker-0 --print", "the address of a node's page"),
        ),
        _configure,
        formats=(),
    )
}
