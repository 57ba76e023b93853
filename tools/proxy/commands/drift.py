# SPDX-License-Identifier: Apache-2.0
"""``drift``: where configurations differ among nodes of a kind, and which versions run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from lmcache_frontend.masking import masked

from ...command_line import Example
from ..frame import DONE, Command, CommandContext
from ..output import Field, Listing, plain, show

_SHOWN_NODES = 4


def _few(nodes: Any) -> str:
    shown = ", ".join(nodes[:_SHOWN_NODES])
    return shown if len(nodes) <= _SHOWN_NODES else f"{shown} and {len(nodes) - _SHOWN_NODES} more"


_FIELDS = (
    Field("kind"),
    Field("key"),
    Field("value", show=plain, flexible=True),
    Field("count", "on", right=True),
    Field("nodes", show=_few, flexible=True),
)


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Show what differs."""
    document = context.client.get("/api/fleet/drift")
    rows = _rows(document, options.key)
    show(context, Listing(_FIELDS, rows, None if options.key else document, empty="nothing differs"))
    return DONE


def _rows(document: Mapping[str, Any], key: str | None) -> list[dict[str, Any]]:
    """Give a row for each value of each key, the most common first; versions are a key of all kinds."""
    rows = [
        _row(group["kind"], entry["key"], masked(entry["key"], value["value"]), value["nodes"])
        for group in document["groups"]
        for entry in group["keys"]
        for value in sorted(entry["values"], key=lambda value: -len(value["nodes"]))
    ]
    if len(document["versions"]) > 1:
        rows += [_row("all", "version", one["version"], one["nodes"]) for one in document["versions"]]
    return [row for row in rows if key is None or row["key"] == key]


def _row(kind: str, key: str, value: Any, nodes: list[str]) -> dict[str, Any]:
    return {"kind": kind, "key": key, "value": value, "count": len(nodes), "nodes": nodes}


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", nargs="?", metavar="KEY", help="a key of the configuration, or version")


COMMANDS = {
    "drift": Command(
        "[KEY]",
        run,
        (
            Example("lmcache-proxy drift", "what is not the same on nodes of the same kind"),
            Example("lmcache-proxy drift chunk_size --format json", "who has which chunk size, if they differ"),
        ),
        _configure,
        watchable=True,
        description="Show where configurations and versions differ, as the frontend read them last: once a minute.",
    )
}
