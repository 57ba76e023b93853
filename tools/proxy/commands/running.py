# SPDX-License-Identifier: Apache-2.0
"""``actions``: the changes of many nodes that run or ran lately; they go on when who began them is gone."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from lmcache_frontend.errors import UsageError

from ...command_line import Example
from ..acting import followed, patient, show_outcomes, status_of, summary_of
from ..frame import DONE, Command, CommandContext
from ..output import Field, Listing, show
from ..wording import ago

_FIELDS = (
    Field("id"),
    Field("state"),
    Field("ago_s", "began", right=True, show=ago),
    Field("nodes", right=True),
    Field("outcomes"),
    Field("what", flexible=True),
    Field("stop_reason", extra=True),
)


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """List the actions, show one, follow one or stop one."""
    if options.id is None:
        if options.stop or options.follow:
            raise UsageError("expected the ID of an action; without one all are listed")
        return _list(context)
    path = f"/api/fleet/actions/{quote(options.id, safe='')}"
    if options.stop:
        document = context.client.send("DELETE", path)
        context.console.note(f"{document['what']}: {document['state']}")
        return DONE
    if options.follow:
        documents = patient(context.client).lines("GET", f"{path}?follow=1")
        head: dict[str, Any] = next(documents, {})
        lines = list(followed(context, _again(head, documents), head.get("nodes", 0), is_ours=False))
    else:
        lines = [document for document in context.client.lines("GET", path) if "outcome" in document]
    show_outcomes(context, lines)
    return status_of(lines)


def _again(head: Any, documents: Iterator[Any]) -> Iterator[Any]:
    yield head
    yield from documents


def _list(context: CommandContext) -> int:
    rows = [
        {
            **action,
            "ago_s": round(context.now() - action["started_at"], 1),
            "outcomes": summary_of_counts(action.get("summary", {})),
        }
        for action in context.client.get("/api/fleet/actions")["actions"]
    ]
    show(context, Listing(_FIELDS, rows, empty="no action runs, or ran lately"))
    return DONE


def summary_of_counts(counts: dict[str, int]) -> str:
    """Say how many nodes there were of each outcome."""
    return summary_of([{"outcome": outcome} for outcome, number in counts.items() for _ in range(number)])


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="an action, to see what came of each node so far")
    parser.add_argument("--follow", action="store_true", help="wait for what is still to come of it")
    parser.add_argument("--stop", action="store_true", help="begin no further node of it")


COMMANDS = {
    "actions": Command(
        "[ID]",
        run,
        (
            Example("lmcache-proxy actions", "what runs, and what ran lately"),
            Example("lmcache-proxy actions 3kXq... --follow", "go on looking at one whose caller was cut off"),
        ),
        _configure,
        watchable=True,
    )
}
