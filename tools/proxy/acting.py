# SPDX-License-Identifier: Apache-2.0
"""Change nodes: an action of the frontend's on all of them, or the same by ourselves on the node of ``--direct``.

What an action is on a kind of node, and what its answer means, is the server's and `lmcache_frontend.actions`'s to
know. Ctrl-C stops an action: nodes that were not begun are left alone. An action whose caller is cut off goes on.
"""

from __future__ import annotations

import argparse
import select
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

from lmcache_frontend.actions.requests import LONGEST_TIMEOUT_S, MOST_NODES, MOST_PARALLEL
from lmcache_frontend.errors import BadGateway, FrontendError, UsageError

from ..connection import seconds
from ..frontend_client import FrontendClient
from ..terminal import Cell, painted, printable
from .direct import DirectNode
from .frame import DONE, FAILURE, UNHEALTHY, CommandContext
from .output import Field, Listing, show
from .progress import Bar
from .selection import Selection

# Longer than the server waits for the slowest node.
SILENCE_S = 660.0
OUTCOMES = ("done", "failed", "unsupported", "skipped", "planned")
_LOOK_INTERVAL_S = 0.2
_STYLES = {"done": "green", "failed": "red", "unsupported": "yellow", "skipped": "yellow", "planned": "cyan"}

Line = dict[str, Any]


class Change(NamedTuple):
    """An action by the name and with the arguments that it has on the wire."""

    action: str
    arguments: Mapping[str, Any]


def add_action_options(parser: argparse.ArgumentParser, *, asks: bool = True) -> None:
    """Add what every change of nodes has: ``--dry-run``, ``--parallel``, ``--canary`` and the like."""
    group = parser.add_argument_group("change")
    if asks:
        group.add_argument("-y", "--yes", action="store_true", help="do it without asking")
    group.add_argument("--dry-run", action="store_true", help="say what would be sent, and change nothing")
    group.add_argument("--canary", action="store_true", help="one node first; the rest only if that one stays well")
    at_once, failures = partial(_count, MOST_PARALLEL), partial(_count, MOST_NODES)
    group.add_argument("--parallel", metavar="N", type=at_once, help="so many nodes at once; default: 8")
    group.add_argument("--max-failures", metavar="N", type=failures, help="stop after so many failed; default: never")
    group.add_argument("--node-timeout", metavar="SECONDS", type=_seconds, help="how long a node may take to answer")


def _count(most: int, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {most}, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    if seconds(text) > LONGEST_TIMEOUT_S:
        raise argparse.ArgumentTypeError(f"expected at most {LONGEST_TIMEOUT_S:g} seconds, got {text!r}")
    return float(text)


def confirm(context: CommandContext, question: str) -> None:
    """Ask on the terminal whether to go on, unless ``--yes`` or ``--dry-run`` was given.

    Raises: UsageError where there is no terminal to ask on; Declined for anything but yes.
    """
    options = context.options
    if options.yes or getattr(options, "dry_run", False):
        return
    if not (sys.stdin.isatty() and context.console.err.interactive):
        raise UsageError(f"{question} There is no terminal to ask on: give --yes")
    stream = context.console.err.stream
    stream.write(f"{painted(printable(question), 'bold', context.console.err)} [y/N] ")
    stream.flush()
    if _typed_line().strip().lower() not in ("y", "yes"):
        raise Declined("nothing was changed")


def _typed_line() -> str:
    """Read a line from the terminal; Ctrl-C in the moment before the reading begins is heard too, not kept from us."""
    with suppress(OSError, ValueError):
        while not select.select([sys.stdin], [], [], _LOOK_INTERVAL_S)[0]:
            pass
    return sys.stdin.readline()


class Declined(FrontendError):
    """Who was asked did not say yes."""


def act(context: CommandContext, selection: Selection, change: Change) -> int:
    """Change the nodes, with a bar on a terminal; show a line a node and give the exit status.

    0 where it was done, or planned, on each; 4 on some; 1 on none.
    Raises: ServerError; Unreachable; KeyboardInterrupt when the action has been stopped.
    """
    lines = carry_out(context, selection, change)
    show_outcomes(context, lines)
    return status_of(lines)


def carry_out(context: CommandContext, selection: Selection, change: Change) -> list[Line]:
    """Change the nodes and give the lines ``{"node", "outcome", "status", "detail", "seconds"}``, in their order.

    Raises: as `act`.
    """
    if context.direct is not None:
        return _directly(context.direct, change, context.options)
    order = {node.name: number for number, node in enumerate(selection.nodes)}
    lines = list(_followed(context, selection, change))
    return sorted(lines, key=lambda line: order.get(line["node"], len(order)))


def show_outcomes(context: CommandContext, lines: Sequence[Line]) -> None:
    """Show what came of each node, and how often what did, to the side."""
    fields = (
        Field("node"),
        Field("outcome", show=lambda outcome: Cell(outcome, _STYLES.get(outcome, ""))),
        Field("status", right=True),
        Field("seconds", right=True, show=lambda seconds: f"{seconds:.2f}"),
        Field("detail", flexible=True),
    )
    show(context, Listing(fields, lines))
    if len(lines) > 1:
        context.console.note(summary_of(lines))


def summary_of(lines: Sequence[Line]) -> str:
    """Say how many nodes there were of each outcome."""
    counts = {outcome: sum(line["outcome"] == outcome for line in lines) for outcome in OUTCOMES}
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)


def status_of(lines: Sequence[Line]) -> int:
    """Give the exit status of an action."""
    good = sum(line["outcome"] in ("done", "planned") for line in lines)
    if good == len(lines):
        return DONE
    return UNHEALTHY if good else FAILURE


def _body(selection: Selection, change: Change, options: argparse.Namespace) -> dict[str, Any]:
    body = {
        "action": change.action,
        "nodes": [node.name for node in selection.nodes],
        "arguments": dict(change.arguments),
        "dry_run": getattr(options, "dry_run", False),
        "canary": getattr(options, "canary", False),
    }
    wire_names = (("parallel", "parallel"), ("max_failures", "max_failures"), ("timeout_s", "node_timeout"))
    for wire_name, option in wire_names:
        value = getattr(options, option, None)
        if value is not None:
            body[wire_name] = value
    return body


def patient(client: FrontendClient) -> FrontendClient:
    """Give a client that waits for as long as a frontend may be silent about an action."""
    return client._replace(wire=client.wire._replace(timeout_s=max(client.wire.timeout_s, SILENCE_S)))


def _followed(context: CommandContext, selection: Selection, change: Change) -> Iterator[Line]:
    """Begin an action and yield its lines as they come."""
    body = _body(selection, change, context.options)
    documents = patient(context.client).lines("POST", "/api/fleet/actions", body)
    yield from followed(context, documents, len(selection.nodes))


def followed(context: CommandContext, documents: Iterator[Any], total: int, *, is_ours: bool = True) -> Iterator[Line]:
    """Yield the lines of an action's answer, with a bar on a terminal; Ctrl-C stops an action that ``is_ours``.

    Raises: BadGateway where it ends without its summary; KeyboardInterrupt, when an action of ours has been stopped.
    """
    try:
        head = next(documents, None)
    except KeyboardInterrupt:
        if is_ours:
            context.console.warn("nothing was answered yet; if the action was begun, it goes on: actions")
        raise
    if not isinstance(head, dict) or "id" not in head:
        raise BadGateway(f"{context.client.shown} answered something other than the lines of an action")
    context.console.detail(f"action {head['id']}")
    bar = Bar(context.console.err, total, quiet=context.console.quiet)
    seen: list[Line] = []
    with _minding(context, head["id"], bar, seen, is_ours=is_ours):
        bar.show(0)
        for document in documents:
            if "summary" in document:
                bar.clear()
                return
            seen.append(document)
            bar.show(len(seen), summary_of(seen))
            yield document
    bar.clear()
    raise BadGateway(f"the frontend broke off after {len(seen)} of {total} nodes; see: actions {head['id']}")


@contextmanager
def _minding(
    context: CommandContext, action_id: str, bar: Bar, seen: Sequence[Line], *, is_ours: bool
) -> Iterator[None]:
    """On Ctrl-C stop an action of ours, and say what was done so far."""
    try:
        yield
    except KeyboardInterrupt:
        bar.clear()
        if not is_ours:
            context.console.note(f"it goes on; to stop it: actions {action_id} --stop")
            raise
        told = summary_of(seen) or "nothing yet"
        try:
            context.client.send("DELETE", f"/api/fleet/actions/{action_id}")
            context.console.warn(f"stopped; until then: {told}; what was under way is finished: actions {action_id}")
        except FrontendError as exc:
            context.console.warn(f"could not be stopped ({exc}), and goes on: actions {action_id}")
        raise
    except FrontendError:
        bar.clear()
        context.console.warn(f"cut off; where the frontend still runs, the action goes on: actions {action_id}")
        raise


def _directly(direct: DirectNode, change: Change, options: argparse.Namespace) -> list[Line]:
    """Do the same without a frontend."""
    from lmcache_frontend.actions.engine import Job, Tools, perform
    from lmcache_frontend.actions.ledger import Progress, Title
    from lmcache_frontend.actions.requests import read_request
    from lmcache_frontend.actions.targets import Target as ActionTarget

    request = read_request({**_body(Selection((), (), False), change, options), "nodes": [direct.name]})
    identity = direct.identify()
    progress = Progress(Title(change.action, "", 1, request.dry_run, time.time()))
    tools = Tools(
        lambda node, question, timeout_s: direct.send(question, timeout_s),
        lambda key: identity,
        direct.timeout_s,
        time.time,
        time.monotonic,
    )
    perform(Job(request, [ActionTarget(direct.name, direct.node)], progress, tools, lambda *_: None))
    return [dict(line._asdict()) for line in progress.lines]
