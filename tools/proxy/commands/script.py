# SPDX-License-Identifier: Apache-2.0
"""``run-script``: run a Python script in the processes of nodes."""

from __future__ import annotations

import argparse

from lmcache_frontend.errors import UsageError

from ...command_line import Example
from ...files import read_text
from ..acting import Change, act, add_action_options, confirm
from ..frame import DONE, Command, CommandContext, Needs
from ..selection import select
from .bodies import body_of_form
from .request import Message, channel, pass_on


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Ask, and run the script: what one node says is written as it is, of several a line each."""
    selection = select(context, options.words)
    if len(selection.words) != 1:
        raise UsageError("expected NODE and the FILE that has the script")
    path = selection.words[0]
    script = read_text(path, "FILE")
    confirm(
        context, f"Run {path} in the {'process' if len(selection.nodes) == 1 else 'processes'} of {selection.names}?"
    )
    # A script may say more than an outcome holds; and what is a file can be sent as it is.
    if selection.is_plural or options.dry_run or options.format != "table" or path == "-":
        return act(context, selection, Change("run_script", {"script": script}))
    client, prefix = channel(context, selection.nodes[0].name)
    body = body_of_form([f"script=@{path}"])
    fields = {"Accept": "*/*", "Content-Type": body.content_type, "Content-Length": str(body.size_bytes)}
    patient = client._replace(wire=client.wire._replace(timeout_s=options.node_timeout or 600.0))
    status = pass_on(context, patient, Message("POST", f"{prefix}/run_script", fields, body), fails=True)
    if status != DONE:
        context.console.note("LMCache runs scripts since 0.3.4, from 0.5.6 on only with run_script_api_enabled")
    return status


COMMANDS = {
    "run-script": Command(
        "NODE FILE",
        run,
        (
            Example("lmcache-proxy run-script worker-0 probe.py --yes", "see what it says"),
            Example("lmcache-proxy run-script 'kind:worker' probe.py --dry-run", "which workers would take it"),
        ),
        add_action_options,
        needs=Needs.NODES,
        description="Run a script in the processes of nodes; what it assigns to `result` is shown. Asks before.",
    )
}
