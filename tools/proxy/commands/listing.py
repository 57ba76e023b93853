# SPDX-License-Identifier: Apache-2.0
"""``nodes``: all nodes, or those that match, as the frontend saw them last."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from lmcache_frontend.errors import UsageError
from lmcache_frontend.exposition.render import Metric

from ...command_line import Example
from ..frame import DONE, Command, CommandContext
from ..output import Field, Listing, Row, show
from ..selection import fleet, is_glob, key_of
from ..wording import ago, count, level_cell, number_of, percent

_FIELDS = (
    Field("node"),
    Field("level", "state", show=level_cell),
    Field("kind"),
    Field("version"),
    Field("lookup_hit_rate", "hits", right=True, show=percent),
    Field("tokens_requested_per_s", "tokens/s", right=True, show=count),
    Field("cpu_fill", "fill", right=True, show=percent),
    Field("evictions_per_s", "evict/s", right=True, show=count),
    Field("address"),
    Field("seen_ago_s", "seen", right=True, show=ago),
    Field("reasons", "why", flexible=True),
    Field("role", extra=True),
    Field("proxy", extra=True),
    Field("instance", extra=True),
)
_PROXY_FIELDS = (Field("name"), Field("host"), Field("port"), Field("nodes", right=True))


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """List the nodes."""
    if options.proxies:
        return _run_proxies(context)
    words = " ".join(options.filter)
    glob = words if is_glob(words) and " " not in words else None
    document = fleet(context, None if glob else words or None)
    rows = [_row(node, document["taken_at"]) for node in document["nodes"]]
    if glob is not None:
        rows = [row for row in rows if fnmatchcase(row["node"], glob) or fnmatchcase(row["name"], glob)]
    _sort(rows, options.sort)
    empty = "no node matches" if words else "there are no nodes: add NAME HOST:PORT adds one"
    show(context, Listing(_FIELDS, rows, metrics=_metrics(rows), empty=empty))
    return DONE


def _row(node: Mapping[str, Any], taken_at: float) -> dict[str, Any]:
    """Give a node with its figures' values as members, and their states where there are no values."""
    figures = node.get("figures", {})
    last_seen = number_of(node.get("last_seen"))
    return {
        "node": key_of(node),
        **{key: value for key, value in node.items() if key != "figures"},
        "seen_ago_s": None if last_seen is None else max(0.0, round(taken_at - last_seen, 3)),
        **{name: figure["value"] for name, figure in figures.items()},
        "figure_states": {name: figure["state"] for name, figure in figures.items() if figure["state"] != "ok"},
    }


def _sort(rows: list[dict[str, Any]], name: str | None) -> None:
    """Sort by a member; a minus before it turns the order, and what has none goes last.

    Raises: UsageError where no node has such a member.
    """
    if name is None:
        return
    down, member = name.startswith("-"), name.lstrip("-")
    if rows and not any(member in row for row in rows):
        raise UsageError(f"--sort: no field is called {member!r}, expected a field of --format json")
    known = [row for row in rows if row.get(member) is not None]
    unknown = [row for row in rows if row.get(member) is None]
    is_number = all(number_of(row[member]) is not None for row in known)
    known.sort(key=lambda row: row[member] if is_number else str(row[member]), reverse=down)
    rows[:] = [*known, *unknown]


def _metrics(rows: Sequence[Row]) -> list[Metric]:
    """Give the figures as gauges, with the nodes' names as labels."""
    names = {name: None for row in rows for name in row if name in row and number_of(row[name]) is not None}
    return [
        Metric(
            f"lmcache_fleet_node_{name}",
            "gauge",
            "",
            [
                ("", {"node": row["node"], "kind": str(row["kind"])}, float(row[name]))
                for row in rows
                if number_of(row.get(name)) is not None
            ],
        )
        for name in names
    ]


def _run_proxies(context: CommandContext) -> int:
    """List the frontends behind this one."""
    tree = context.client.get("/api/nodes")["nodes"]
    rows = [
        {"name": proxy["name"], "host": proxy["host"], "port": proxy["port"], "nodes": len(proxy.get("children", ()))}
        for proxy in tree
    ]
    show(context, Listing(_PROXY_FIELDS, rows, empty="there are no proxies"))
    return DONE


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "filter",
        nargs="*",
        metavar="FILTER",
        help="words, and terms such as state:degraded kind:mp version:0.5 proxy:P label:zone=a; or a glob of names",
    )
    parser.add_argument("--sort", metavar="FIELD", help="sort by a field, with a minus before it from the largest")
    parser.add_argument("--proxies", action="store_true", help="list the frontends behind this one instead")


COMMANDS = {
    "nodes": Command(
        "[FILTER ...]",
        run,
        (
            Example("lmcache-proxy nodes", "all nodes"),
            Example("lmcache-proxy nodes state:unreachable kind:worker", "the workers that cannot be reached"),
            Example(
                "lmcache-proxy nodes --sort=-evictions_per_s --format jsonl --fields node,cpu_fill", "for programs"
            ),
        ),
        _configure,
        formats=("table", "json", "jsonl", "prom"),
        watchable=True,
    )
}
