# SPDX-License-Identifier: Apache-2.0
"""``audit``: who changed what, or was refused to, the newest first."""

from __future__ import annotations

import argparse
import re
from typing import Any

from ...command_line import Example
from ..frame import DONE, Command, CommandContext
from ..output import Field, Listing, show
from ..wording import ago

_PAGE = 1000
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FIELDS = (
    Field("ago_s", "ago", right=True, show=ago),
    Field("who"),
    Field("address"),
    Field("what", flexible=True),
    Field("target", "on"),
    Field("outcome"),
    Field("detail", flexible=True),
    Field("times", extra=True),
    Field("at", extra=True),
)


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """List entries until there are as many as wanted."""
    query: dict[str, Any] = {
        "who": options.who,
        "what": options.what,
        "node": options.on,
        "outcome": options.outcome,
        "since": None if options.since is None else context.now() - options.since,
    }
    entries: list[dict[str, Any]] = []
    before = None
    while len(entries) < options.limit:
        limit = min(options.limit - len(entries), _PAGE)
        page = context.client.get("/api/audit", {**query, "limit": limit, "before": before})
        entries += page["entries"]
        before = page.get("next_before")
        if before is None:
            break
    rows = [{**entry, "ago_s": round(context.now() - entry["at"], 1)} for entry in entries]
    show(context, Listing(_FIELDS, rows, empty="nothing was written down"))
    return DONE


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected a time as 90s, 10m, 2h or 7d, got {text!r}")
    return float(match[1]) * _UNITS_S[match[2]]


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 999999, got {text!r}")
    return int(text)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--who", metavar="PATTERN", help="of such people alone")
    parser.add_argument("--what", metavar="PATTERN", help="such deeds alone, or with this text in them")
    parser.add_argument("--on", metavar="PATTERN", help="on such nodes alone")
    parser.add_argument("--outcome", choices=("done", "refused", "failed"), help="with this outcome alone")
    parser.add_argument("--since", metavar="TIME", type=_seconds, help="not older than this: 90s, 10m, 2h or 7d")
    parser.add_argument("--limit", metavar="N", type=_number, default=50, help="the newest N; 50 by default")


COMMANDS = {
    "audit": Command(
        "",
        run,
        (
            Example("lmcache-proxy audit", "who changed what lately"),
            Example("lmcache-proxy audit --outcome refused --since 2h", "what was tried in vain"),
            Example("lmcache-proxy audit --what conf --on 'worker-*' --format jsonl", "for programs"),
        ),
        _configure,
        watchable=True,
        description="Show who changed what, or was refused to, the newest first. This needs an operator.",
    )
}
