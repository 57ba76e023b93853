# SPDX-License-Identifier: Apache-2.0
"""``node``: everything about one node on one screen."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from lmcache_frontend.errors import UsageError
from lmcache_frontend.masking import masked_mapping

from ...command_line import Example
from ...frontend_client import ServerError
from ...terminal import Cell, Column, painted, printable, table
from ..frame import DONE, UNREACHABLE, Command, CommandContext, Needs
from ..output import Listing, as_json, plain, show
from ..reading import ItemReading, direct_reading, read_item, spread
from ..selection import fleet, key_of, select_one
from ..wording import LEVEL_STYLES, ago, figure_words
from .facts import GOOD_LEVELS, add_reveal, backend_rows
from .fleet import problem_lines
from .quota import users_of

ITEMS = (
    "version",
    "health",
    "conf",
    "meta",
    "threads",
    "loggers",
    "periodic",
    "backends",
    "status",
    "inference",
    "quota",
)
_SHOWN_CONF = (
    *("chunk_size", "local_cpu", "max_local_cpu_size", "local_disk", "max_local_disk_size", "remote_url"),
    *("save_unfull_chunk", "min_retrieve_tokens", "enable_async_loading", "enable_p2p", "enable_pd", "cache_policy"),
)
_FEATURED = ("lookup_hit_rate", "tokens_requested_per_s", "tokens_hit_per_s", "tokens_stored_per_s", "cpu_fill")
_LONGEST_VALUE = 160
_SECRETS = ("conf", "meta", "inference")


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Read it all and show it."""
    name, words = select_one(context, options.words)
    if words:
        raise UsageError(f"unexpected words: {' '.join(words)}")
    items = _read(context, name)
    if not options.reveal:
        items = {item: _masked(item, reading) for item, reading in items.items()}
    whole = _document(context, name, items)
    if options.format == "table" and options.fields is None:
        context.console.result(_screen(context, whole))
    else:
        show(context, Listing((), [whole], whole))
    return UNREACHABLE if _level(whole) == "unreachable" else DONE


def _level(whole: Mapping[str, Any]) -> Any:
    """Give how the node is by its own words, or else as the fleet knows it."""
    health = whole["items"]["health"]["data"] or {}
    return health.get("level") or (whole["node"] or {}).get("level", "unknown")


def _read(context: CommandContext, name: str) -> dict[str, ItemReading]:
    if context.direct is not None:
        identity = context.direct.identify()
        return {item: direct_reading(context, identity, item) for item in ITEMS}

    def read(item: str) -> ItemReading:
        try:
            return read_item(context, name, item)
        except ServerError as exc:
            # Who may not see all of it is to see the rest.
            return ItemReading(name, "failed", str(exc))

    return dict(zip(ITEMS, spread(read, ITEMS, at_once=4), strict=True))


def _masked(item: str, reading: ItemReading) -> ItemReading:
    if item not in _SECRETS or not isinstance(reading.data, dict):
        return reading
    if item == "conf":
        return reading._replace(data={**reading.data, "values": masked_mapping(reading.data["values"])})
    return reading._replace(data=masked_mapping(reading.data))


def _document(context: CommandContext, name: str, items: Mapping[str, ItemReading]) -> dict[str, Any]:
    """Give what the fleet knows of the node, null without one, its problems, and all items that were read."""
    known, problems, taken_at = None, [], context.now()
    if context.direct is None:
        document = fleet(context)
        taken_at = document["taken_at"]
        known = next((node for node in document["nodes"] if key_of(node) == name), None)
        problems = [problem for problem in document["problems"] if problem["node"] == name]
    read = {
        item: {"state": reading.state, "reason": reading.reason, "data": reading.data}
        for item, reading in items.items()
    }
    return {"name": name, "taken_at": taken_at, "node": known, "problems": problems, "items": read}


def _screen(context: CommandContext, whole: Mapping[str, Any]) -> Iterator[str]:
    yield from _head(context, whole)
    node = whole["node"]
    if whole["problems"]:
        yield ""
        yield from problem_lines(context, whole["problems"], whole["taken_at"])
    if node and node.get("figures"):
        yield ""
        yield from _figures(context, node["figures"])
    for title, lines in _sections(whole["items"]):
        if lines:
            yield ""
            yield painted(title.upper(), "bold", context.console.out)
            rows = [(Cell(name), Cell(value)) for name, value in lines]
            columns = (Column("name"), Column("value", flexible=True))
            yield from table(columns, rows, context.console.out, headers=False)
    unread = {item: read["reason"] for item, read in whole["items"].items() if read["state"] != "ok"}
    if unread:
        yield ""
        yield painted("NOT READ", "bold", context.console.out)
        yield from (printable(f"{item}: {reason}") for item, reason in unread.items())


def _head(context: CommandContext, whole: Mapping[str, Any]) -> Iterator[str]:
    node, out = whole["node"] or {}, context.console.out
    health = whole["items"]["health"]["data"] or {}
    level = _level(whole)
    reasons = health.get("reasons") or node.get("reasons") or []
    why = f": {'; '.join(reasons)}" if reasons and level not in GOOD_LEVELS else ""
    yield (
        painted(printable(whole["name"]), "bold", out)
        + "  "
        + painted(printable(plain(level)), LEVEL_STYLES.get(level, ""), out)
        + (printable(why))
    )
    version = whole["items"]["version"]["data"] or node.get("version")
    parts = [node.get("kind"), version and f"LMCache {version}", node.get("address")]
    parts.append(node.get("instance") and f"instance {node['instance']}")
    if node.get("last_seen") is not None:
        parts.append(f"seen {ago(whole['taken_at'] - node['last_seen'])} ago")
    line = ", ".join(str(part) for part in parts if part)
    if line:
        yield printable(line)


def _figures(context: CommandContext, figures: Mapping[str, Any]) -> Iterator[str]:
    """Give the figures in two columns, the most asked for first; what the node has none of is left out."""
    names = [name for name in figures if figures[name]["value"] is not None]
    names.sort(key=lambda name: (name not in _FEATURED, name))
    cells = [(name.replace("_", " "), figure_words(name, figures[name]["value"])) for name in names]
    half = (len(cells) + 1) // 2
    rows = [(*cells[at], *(cells[half + at] if half + at < len(cells) else ("", ""))) for at in range(half)]
    columns = (Column("figure"), Column("value", right=True), Column("figure"), Column("value", right=True))
    yield from table(columns, rows, context.console.out, headers=False)


def _sections(items: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield what is worth knowing of the items, as titles and pairs."""
    data = {item: read["data"] for item, read in items.items() if read["state"] == "ok"}
    values = data.get("conf", {}).get("values", {})
    chosen = [(key, plain(values[key])) for key in _SHOWN_CONF if key in values]
    infinite = data.get("conf", {}).get("infinite", [])
    if infinite:
        chosen.append(("infinite", ", ".join(infinite)))
    yield "configuration", chosen
    meta = data.get("meta", {})
    yield (
        "engine",
        [(key, plain(meta[key])) for key in ("model_name", "kv_dtype", "kv_shape", "world_size") if key in meta],
    )
    yield "backends", [(row["name"], plain(row["type"])) for row in backend_rows(None, data.get("backends", {}))]
    yield (
        "quotas",
        [
            (tenant, f"{plain(one.get('current_usage_gb'))} of {plain(one.get('limit_gb'))} GB")
            for tenant, one in users_of(data.get("quota", {})).items()
        ],
    )
    yield "status", [(key, _short(value)) for key, value in data.get("status", {}).items()]
    yield "activity", list(_activity(data))


def _short(value: Any) -> str:
    """Give a value on one line; of a large one only that it is there."""
    text = as_json(value) if isinstance(value, (dict, list)) else plain(value)
    return text if len(text) <= _LONGEST_VALUE else f"{len(value)} members, see --format json"


def _activity(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "threads" in data:
        yield "threads", f"{data['threads']['total']}"
    periodic = [thread for thread in data.get("periodic", {}).get("threads", ()) if isinstance(thread, dict)]
    if periodic:
        late = [
            str(thread.get("name")) for thread in periodic if thread.get("is_running") and not thread.get("is_active")
        ]
        yield "periodic threads", f"{len(periodic)}" + (f", late: {', '.join(late)}" if late else ", none is late")
    if "loggers" in data:
        loud = [logger["name"] for logger in data["loggers"]["loggers"] if logger["level"] == "DEBUG"]
        yield (
            "loggers at DEBUG",
            ", ".join(loud[:8]) + (f" and {len(loud) - 8} more" if len(loud) > 8 else "") or "none",
        )


COMMANDS = {
    "node": Command(
        "NODE",
        run,
        (
            Example("lmcache-proxy node worker-0", "all that is known of it"),
            Example(
                "lmcache-proxy node --direct 10.0.0.9:7000 --format json", "the same without a frontend, for programs"
            ),
        ),
        add_reveal,
        formats=("table", "json"),
        needs=Needs.NODES,
        watchable=True,
        description="Show everything about one node on one screen; --format json gives each item as it was read.",
    )
}
