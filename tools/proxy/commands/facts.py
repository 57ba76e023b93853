# SPDX-License-Identifier: Apache-2.0
"""Commands that show one item of nodes in rows: version, health, meta, inference, env, periodic and backends.

Each node's data becomes rows, which have the node's name as their first member. Values whose names say that they are
secret are hidden, unless asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lmcache_frontend.errors import UsageError
from lmcache_frontend.exposition.render import Metric
from lmcache_frontend.masking import masked_mapping

from ...command_line import Example
from ..frame import DONE, UNHEALTHY, UNREACHABLE, Command, CommandContext, Needs
from ..output import Field, Listing, Row, plain, show
from ..patterns import add_grep, pattern_of
from ..reading import ItemReading, read_items, report, unread
from ..selection import Selection, select
from ..wording import ago, level_cell, seconds_words

GOOD_LEVELS = ("serving", "healthy")
NODE = Field("node")


class Fact(NamedTuple):
    """An item, the fields of its rows beside the node, and what makes rows out of a node's data."""

    item: str
    fields: tuple[Field, ...]
    rows: Callable[[argparse.Namespace, Any], Iterable[dict[str, Any]]]


def show_rows(
    context: CommandContext,
    selection: Selection,
    readings: Sequence[ItemReading],
    fields: Sequence[Field],
    rows: Callable[[Any], Iterable[dict[str, Any]]],
    *,
    metrics: Callable[[Sequence[Row]], Sequence[Metric]] | None = None,
    empty: str = "nothing to show",
) -> list[dict[str, Any]]:
    """Show the rows of all nodes that were read, and give them; programs are told of the other nodes as well."""
    found = [
        {"node": reading.node, **row} for reading in readings if reading.state == "ok" for row in rows(reading.data)
    ]
    told = found if context.options.format in ("table", "prom") else [*found, *unread(readings)]
    node = NODE if selection.is_plural else NODE._replace(extra=True)
    is_empty = any(reading.state == "ok" for reading in readings)
    listing = Listing((node, *fields), told, metrics=metrics(found) if metrics else (), empty=empty if is_empty else "")
    show(context, listing)
    return found


def _run(fact: Fact, options: argparse.Namespace, context: CommandContext) -> int:
    selection = select(context, options.words)
    no_more_words(selection)
    readings = read_items(context, selection.nodes, fact.item)
    show_rows(context, selection, readings, fact.fields, lambda data: fact.rows(options, data))
    return report(context, readings, selection.nodes)


def no_more_words(selection: Selection) -> None:
    """See that nothing was given beyond the nodes.

    Raises: UsageError.
    """
    if selection.words:
        raise UsageError(f"unexpected words: {' '.join(selection.words)}; give filters in quotes")


def _running(fact: Fact) -> Callable[[argparse.Namespace, CommandContext], int]:
    return lambda options, context: _run(fact, options, context)


def run_version(options: argparse.Namespace, context: CommandContext) -> int:
    """Show the versions, in Prometheus's format as a label of a gauge."""
    selection = select(context, options.words)
    no_more_words(selection)
    readings = read_items(context, selection.nodes, "version")
    context.console.detail(f"asked {selection.names}")
    plural = selection._replace(is_plural=True)
    show_rows(context, plural, readings, (Field("version"),), lambda data: [{"version": data}], metrics=_versions)
    return report(context, readings, selection.nodes)


def _versions(rows: Sequence[Row]) -> Sequence[Metric]:
    samples = [("", {"node": str(row["node"]), "version": str(row["version"])}, 1.0) for row in rows]
    return [Metric("lmcache_frontend_node_version_info", "gauge", "1, with the version as a label.", samples)]


def run_health(options: argparse.Namespace, context: CommandContext) -> int:
    """Show levels and reasons: 4 where a node is less than serving, or degraded, 3 for a single unreachable one."""
    selection = select(context, options.words)
    no_more_words(selection)
    # Who cannot even be asked what it is, is no failure of this command's.
    readings = [
        reading
        if reading.state == "ok"
        else reading._replace(state="ok", data={"level": "unreachable", "reasons": [reading.reason]})
        for reading in read_items(context, selection.nodes, "health")
    ]
    rows = show_rows(
        context,
        selection._replace(is_plural=True),
        readings,
        (Field("level", show=level_cell), Field("reasons", flexible=True)),
        lambda data: [{"level": data["level"], "reasons": data["reasons"]}],
        metrics=_levels,
    )
    if all(row["level"] in GOOD_LEVELS for row in rows):
        return DONE
    return UNREACHABLE if [row["level"] for row in rows] == ["unreachable"] else UNHEALTHY


def _levels(rows: Sequence[Row]) -> Sequence[Metric]:
    samples = [
        ("", {"node": str(row["node"]), "state": level}, float(row["level"] == level))
        for row in rows
        for level in ("unreachable", "answering", "serving", "healthy", "degraded")
    ]
    help_text = "1 for the state that the node is in, 0 for the others."
    return [Metric("lmcache_frontend_node_state", "gauge", help_text, samples)]


def key_rows(options: argparse.Namespace, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give a row a member of an object, without the secrets, and only what ``--grep`` matches."""
    shown = values if options.reveal else masked_mapping(values)
    matches = pattern_of(options)
    return [{"key": key, "value": value} for key, value in shown.items() if matches(f"{key}={plain(value)}")]


def add_reveal(parser: argparse.ArgumentParser) -> None:
    """Add ``--reveal``."""
    parser.add_argument("--reveal", action="store_true", help="show values too whose names say that they are secret")


def _add_key_options(parser: argparse.ArgumentParser) -> None:
    add_grep(parser, "KEY=VALUE")
    add_reveal(parser)


def _periodic_rows(options: argparse.Namespace, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {name: thread.get(name) for name in _PERIODIC_MEMBERS}
        for thread in data.get("threads", ())
        if isinstance(thread, dict)
    ]


def backend_rows(options: argparse.Namespace | None, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the backends of an in-process node, ``{name: class}``, or the adapters of an MP server."""
    adapters = data.get("adapters", data.get("backends"))
    if isinstance(adapters, list):
        return [
            {"name": str(adapter.get("index", number)), "type": adapter.get("type_name"), **_rest(adapter)}
            if isinstance(adapter, dict)
            else {"name": str(adapter), "type": None}
            for number, adapter in enumerate(adapters)
        ]
    return [{"name": name, "type": kind} for name, kind in data.items()]


def _rest(adapter: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in adapter.items() if key not in ("index", "type_name")}


_PERIODIC_MEMBERS = (
    *("name", "level", "interval", "is_running", "is_active", "last_run_ago", "total_runs", "failed_runs"),
    *("success_rate", "last_summary"),
)
_KEY_FIELDS = (Field("key"), Field("value", flexible=True))
_META = Fact("meta", _KEY_FIELDS, key_rows)
_INFERENCE = Fact("inference", _KEY_FIELDS, key_rows)
_ENV = Fact("env", _KEY_FIELDS, key_rows)
_BACKENDS = Fact("backends", (Field("name"), Field("type")), backend_rows)
_PERIODIC = Fact(
    "periodic",
    (
        Field("name"),
        Field("level"),
        Field("interval", "every", right=True, show=seconds_words),
        Field("is_running", "running"),
        Field("is_active", "active"),
        Field("last_run_ago", "last run", right=True, show=ago),
        Field("total_runs", "runs", right=True),
        Field("failed_runs", "failed", right=True),
        Field("success_rate", "success %", right=True),
        Field("last_summary", extra=True),
    ),
    _periodic_rows,
)
_SAMPLE_FORMATS = ("table", "json", "jsonl", "prom")

COMMANDS = {
    "version": Command(
        "NODE",
        run_version,
        (Example("lmcache-proxy version --all", "which releases run where"),),
        formats=_SAMPLE_FORMATS,
        needs=Needs.NODES,
        watchable=True,
    ),
    "health": Command(
        "NODE",
        run_health,
        (
            Example("lmcache-proxy health --all", "how all nodes do: exit status 4 if one is not well"),
            Example("lmcache-proxy health --direct /run/lmcache/socket_6999", "one node, without a frontend"),
        ),
        formats=_SAMPLE_FORMATS,
        needs=Needs.NODES,
        watchable=True,
        description="Show how nodes do, and why. The nodes are asked now; `nodes` shows what the frontend saw last.",
    ),
    "meta": Command(
        "NODE",
        _running(_META),
        (Example("lmcache-proxy meta worker-0 --grep kv_", "what the engine of a node told LMCache about its cache"),),
        _add_key_options,
        needs=Needs.NODES,
    ),
    "inference": Command(
        "NODE",
        _running(_INFERENCE),
        (Example("lmcache-proxy inference worker-0", "which vLLM, and which model, a node is in"),),
        _add_key_options,
        needs=Needs.NODES,
    ),
    "env": Command(
        "NODE",
        _running(_ENV),
        (Example("lmcache-proxy env --all --grep ^LMCACHE_", "what the nodes were told by variables"),),
        _add_key_options,
        needs=Needs.NODES,
    ),
    "periodic": Command(
        "NODE",
        _running(_PERIODIC),
        (Example("lmcache-proxy periodic worker-0 --watch", "whether its periodic threads run, every 2 s"),),
        needs=Needs.NODES,
        watchable=True,
    ),
    "backends": Command(
        "NODE",
        _running(_BACKENDS),
        (Example("lmcache-proxy backends kind:worker", "where the workers keep their caches"),),
        needs=Needs.NODES,
    ),
}
