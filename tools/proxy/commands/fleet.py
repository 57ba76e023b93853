# SPDX-License-Identifier: Apache-2.0
"""``fleet``: the totals and the problems of all nodes together."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from lmcache_frontend.exposition.render import Metric

from ...command_line import Example
from ...terminal import Cell, Column, painted, printable, table
from ..frame import DONE, Command, CommandContext
from ..output import Listing, show
from ..selection import fleet
from ..wording import LEVEL_STYLES, ago, figure_words, number_of, severity_cell

_TOTALS = (
    ("hit rate", "lookup_hit_rate", "lookup_hit_rate_total"),
    ("tokens asked for", "tokens_requested_per_s", "tokens_requested_total"),
    ("tokens found", "tokens_hit_per_s", "tokens_hit_total"),
    ("tokens stored", "tokens_stored_per_s", "tokens_stored_total"),
    ("lookups", "lookups_per_s", "lookups_total"),
    ("evictions", "evictions_per_s", "evictions_total"),
    ("failures", "failures_per_s", "failures_total"),
    ("memory used", "cpu_used_bytes", "cpu_capacity_bytes"),
    ("memory fill", "cpu_fill", None),
    ("disk used", "disk_used_bytes", "disk_capacity_bytes"),
    ("remote used", "remote_used_bytes", None),
)


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Show the fleet."""
    document = fleet(context, " ".join(options.filter) or None)
    whole = _document(document)
    if options.format != "table" or options.fields is not None:
        show(context, Listing((), [whole], whole, _metrics(whole)))
        return DONE
    context.console.result(_screen(context, whole))
    return DONE


def _document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fleet without its nodes, which are counted by level, kind and version instead."""
    nodes = document["nodes"]
    return {
        "snapshot": document["snapshot"],
        "taken_at": document["taken_at"],
        "nodes": len(nodes),
        "levels": Counter(node["level"] for node in nodes),
        "kinds": Counter(node["kind"] for node in nodes),
        "versions": Counter(node["version"] or "unknown" for node in nodes),
        "totals": document["totals"],
        "problems": document["problems"],
    }


def _screen(context: CommandContext, whole: Mapping[str, Any]) -> Iterator[str]:
    out = context.console.out
    levels = ", ".join(
        painted(printable(f"{number} {level}"), LEVEL_STYLES.get(level, ""), out)
        for level, number in whole["levels"].items()
    )
    yield f"{whole['nodes']} nodes: {levels or 'none'}"
    for what in ("kinds", "versions"):
        yield printable(f"{what}: " + ", ".join(f"{number} {name}" for name, number in whole[what].most_common()))
    yield ""
    columns = (Column("total"), Column("now", right=True), Column("since start or of", right=True))
    rows = [
        (title, _figure(whole, now, "/s"), _figure(whole, all_of_it, "") if all_of_it else "")
        for title, now, all_of_it in _TOTALS
    ]
    yield from table(columns, rows, out, headers=not context.options.no_headers)
    yield ""
    yield from problem_lines(context, whole["problems"], whole["taken_at"])


def _figure(whole: Mapping[str, Any], name: str, unit: str) -> str:
    figure = whole["totals"].get(name) or {"value": None, "state": "unsupported"}
    if figure["value"] is None:
        return str(figure["state"]).replace("_", " ")
    return figure_words(name, figure["value"]) + (unit if name.endswith("_per_s") else "")


def problem_lines(context: CommandContext, problems: list[dict[str, Any]], now: float) -> Iterator[str]:
    """Give a table of problems, the worst first; a line where there are none."""
    if not problems:
        yield "no problems"
        return
    order = {"critical": 0, "warning": 1, "notice": 2}
    rows = [
        (severity_cell(one["severity"]), one["node"] or "fleet", ago(now - one["since"]), Cell(one["text"]))
        for one in sorted(problems, key=lambda one: order.get(one["severity"], 3))
    ]
    columns = (Column("severity"), Column("node"), Column("for", right=True), Column("problem", flexible=True))
    yield from table(columns, rows, context.console.out, headers=not context.options.no_headers)


def _metrics(whole: Mapping[str, Any]) -> list[Metric]:
    levels = [("", {"state": level}, float(number)) for level, number in whole["levels"].items()]
    figures = [
        Metric(f"lmcache_fleet_{name}", "gauge", "", [("", {}, float(figure["value"]))])
        for name, figure in whole["totals"].items()
        if number_of(figure["value"]) is not None
    ]
    return [Metric("lmcache_fleet_nodes", "gauge", "Nodes by state.", levels), *figures]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("filter", nargs="*", metavar="FILTER", help="count these nodes and their problems only")


COMMANDS = {
    "fleet": Command(
        "[FILTER ...]",
        run,
        (
            Example("lmcache-proxy fleet", "how it all does, and what to look at"),
            Example("lmcache-proxy fleet --format json | jq '.problems[].text'", "the problems, for programs"),
        ),
        _configure,
        formats=("table", "json", "jsonl", "prom"),
        watchable=True,
        description="Show the totals and the problems of the fleet. Totals are always those of all nodes.",
    )
}
