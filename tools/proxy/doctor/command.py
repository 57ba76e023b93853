# SPDX-License-Identifier: Apache-2.0
"""``doctor``: find what people get wrong, and say what to do about it."""

from __future__ import annotations

import argparse
from collections import Counter

from ...command_line import Example
from ..frame import DONE, UNHEALTHY, Command, CommandContext, Needs
from ..output import Field, Listing, show
from ..selection import select
from ..wording import severity_cell
from .facts import CRITICAL, SEVERITIES, WARNING
from .fleet import findings
from .reading import Read, read_direct, read_fleet

FIELDS = (
    Field("severity", show=severity_cell),
    Field("node", show=lambda node: "fleet" if node is None else str(node)),
    Field("code", extra=True),
    Field("seen", "what is seen", flexible=True),
    Field("advice", "what to do", flexible=True),
)


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Show what is wrong; the status is 4 where anything is, apart from notices."""
    read = _read(options, context)
    found = findings(read.fleet)
    rows = [finding._asdict() for finding in found]
    names = [node.name for node in read.fleet.nodes]
    document = {
        "nodes": names,
        "findings": rows,
        "unchecked": [missing._asdict() for missing in read.unchecked],
    }
    number = f"{len(names)} node{'' if len(names) == 1 else 's'}"
    show(context, Listing(FIELDS, rows, document, empty=f"nothing wrong was found on {number}"))
    for reason, count in Counter(missing.reason for missing in read.unchecked).items():
        first = next(missing for missing in read.unchecked if missing.reason == reason)
        more = f", and {count - 1} more" if count > 1 else ""
        context.console.warn(f"not looked at: {first.item} of {first.node}{more}: {reason}")
    if found:
        counts = Counter(finding.severity for finding in found)
        said = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity])
        context.console.note(f"{number}: {said}")
    return UNHEALTHY if any(finding.severity in (CRITICAL, WARNING) for finding in found) else DONE


def _read(options: argparse.Namespace, context: CommandContext) -> Read:
    if context.direct is not None:
        return read_direct(context)
    if options.all or not (options.words or options.filter is not None):
        return read_fleet(context, None)
    return read_fleet(context, [node.name for node in select(context, options.words).nodes])


COMMANDS = {
    "doctor": Command(
        "[NODE]",
        run,
        (
            Example("lmcache-proxy doctor", "everything that is wrong with the fleet, and what to do"),
            Example("lmcache-proxy doctor 'prefill-*'", "the nodes with such names only"),
            Example("lmcache-proxy doctor --direct 127.0.0.1:7000", "one node, without a frontend"),
            Example(
                "lmcache-proxy doctor --format json | jq '.findings[].code'", "the kinds of findings, for programs"
            ),
        ),
        needs=Needs.NODES,
        description=(
            "Find what people get wrong, and say what to do: nodes that cannot be reached, names and ports that\n"
            "collide, old releases, settings that never arrive, caches that cannot work. The exit status is 4 where\n"
            "anything but notices is found. Metrics of nodes on TCP are read twice; nothing is changed."
        ),
    )
}
