# SPDX-License-Identifier: Apache-2.0
"""``metrics``: the samples of nodes, or with ``--rate`` how fast their counters grow."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmcache_frontend.errors import UsageError
from lmcache_frontend.exposition.render import Metric

from ...command_line import Example
from ...connection import seconds
from ..frame import Command, CommandContext, Needs
from ..output import Field, Row, plain
from ..patterns import add_grep, pattern_of
from ..reading import ItemReading, read_items, report
from ..selection import Selection, select
from ..wording import count
from .facts import no_more_words, show_rows

_COUNTING_SUFFIXES = ("_bucket", "_count", "_sum")


def _labels(labels: Any) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


_FIELDS = (
    Field("name"),
    Field("labels", show=_labels, flexible=True),
    Field("value", right=True),
    Field("type", extra=True),
    Field("help", extra=True),
)
_RATE_FIELDS = (
    Field("name"),
    Field("labels", show=_labels, flexible=True),
    Field("per_s", right=True, show=count),
    Field("increase", right=True, show=count),
    Field("value", extra=True, right=True),
    Field("reset", extra=True),
)


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Show the samples, or their rates."""
    selection = select(context, options.words)
    no_more_words(selection)
    if options.rate is not None:
        return _run_rate(options, context, selection)
    readings = read_items(context, selection.nodes, "metrics")
    matches = pattern_of(options)
    families = [family for reading in readings if reading.state == "ok" for family in reading.data["families"]]
    texts = {family["name"]: (family["type"], family["help"]) for family in families}

    def rows(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for family in data["families"]:
            for sample in family["samples"]:
                if matches(f"{sample['name']}{{{_labels(sample['labels'])}}}"):
                    yield {**sample, "type": family["type"], "help": family["help"], "family": family["name"]}

    show_rows(
        context,
        selection,
        readings,
        (*_FIELDS, Field("family", extra=True)),
        rows,
        metrics=lambda found: _families(found, texts, selection),
    )
    return report(context, readings, selection.nodes)


def _families(rows: Sequence[Row], texts: Mapping[str, tuple[str, str]], selection: Selection) -> list[Metric]:
    """Give the samples by family, with the node as a label where there may be several."""
    samples: dict[str, list[tuple[str, Mapping[str, str], float]]] = {}
    for row in rows:
        own = {"node": str(row["node"])} if selection.is_plural else {}
        suffix = str(row["name"])[len(str(row["family"])) :]
        samples.setdefault(str(row["family"]), []).append((suffix, {**own, **row["labels"]}, float(row["value"])))
    return [Metric(name, *texts[name], found) for name, found in samples.items()]


def _run_rate(options: argparse.Namespace, context: CommandContext, selection: Selection) -> int:
    """Read twice and show what grew meanwhile."""
    if options.format == "prom":
        raise UsageError("--rate: rates are not for Prometheus, which has rate() for them")
    before = read_items(context, selection.nodes, "metrics")
    begun_at = context.now()
    context.console.note(f"waiting {options.rate:g} s")
    context.sleep(options.rate)
    after = read_items(context, selection.nodes, "metrics")
    elapsed_s = max(context.now() - begun_at, 0.001)
    earlier = {reading.node: _counters(reading) for reading in before}
    matches = pattern_of(options)
    still = 0

    def rows_of(reading: ItemReading) -> Iterator[dict[str, Any]]:
        nonlocal still
        known = earlier.get(reading.node, {})
        for key, sample in _counters(reading).items():
            if key not in known or not matches(f"{sample['name']}{{{_labels(sample['labels'])}}}"):
                continue
            row = _rate(known[key]["value"], sample, elapsed_s)
            if row["increase"] or options.format != "table" or context.console.verbose:
                yield row
            else:
                still += 1

    readings = [
        reading._replace(data=list(rows_of(reading))) if reading.state == "ok" else reading for reading in after
    ]
    show_rows(context, selection, readings, _RATE_FIELDS, lambda data: data)
    if still:
        context.console.note(f"{still} series did not grow; -v shows them")
    return report(context, readings, selection.nodes)


def _counters(reading: ItemReading) -> dict[tuple[str, str], dict[str, Any]]:
    """Give the samples that only ever grow, by name and labels."""
    if reading.state != "ok":
        return {}
    found = {}
    for family in reading.data["families"]:
        for sample in family["samples"]:
            counts = family["type"] == "counter" or (
                family["type"] in ("histogram", "summary") and sample["name"].endswith(_COUNTING_SUFFIXES)
            )
            if counts and isinstance(sample["value"], (int, float)):
                found[(sample["name"], plain(sorted(sample["labels"].items())))] = sample
    return found


def _rate(before: float, sample: Mapping[str, Any], elapsed_s: float) -> dict[str, Any]:
    """Give the growth of a sample; one that fell began anew at 0."""
    reset = sample["value"] < before
    increase = sample["value"] if reset else sample["value"] - before
    return {
        "name": sample["name"],
        "labels": sample["labels"],
        "per_s": increase / elapsed_s,
        "increase": increase,
        "value": sample["value"],
        "reset": reset,
    }


def _configure(parser: argparse.ArgumentParser) -> None:
    add_grep(parser, "NAME{LABELS}")
    parser.add_argument(
        "--rate", metavar="SECONDS", type=seconds, help="how fast counters grow within so long; without a number: 10"
    )


COMMANDS = {
    "metrics": Command(
        "NODE",
        run,
        (
            Example("lmcache-proxy metrics worker-0 --grep evict", "the samples with evict in their names or labels"),
            Example("lmcache-proxy metrics 'kind:worker' --grep lookup --rate 10", "what the workers look up a second"),
            Example(
                "lmcache-proxy metrics --all --format prom --output fleet.prom", "all of it, with the nodes as label"
            ),
        ),
        _configure,
        formats=("table", "json", "jsonl", "prom"),
        needs=Needs.NODES,
        watchable=True,
    )
}
