# SPDX-License-Identifier: Apache-2.0
"""Rows in the format that was asked for: a table for people, JSON and lines of JSON for programs, Prometheus's text.

What is shown to people may be rounded and shortened; JSON has the values themselves, under the names of the fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lmcache_frontend.errors import UsageError
from lmcache_frontend.exposition.render import Metric, render

from ..terminal import Cell, Column, printable, table
from .frame import CommandContext

Row = Mapping[str, Any]


def plain(value: Any) -> str:
    """Give a value as people read it: ``-`` for none, lists with commas, objects as JSON."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)) and all(isinstance(part, (str, int, float)) for part in value):
        return ", ".join(map(plain, value))
    return json.dumps(value)


class Field(NamedTuple):
    """A member of rows and how it is shown in a table; an ``extra`` one only where ``--fields`` names it."""

    name: str
    title: str = ""
    right: bool = False
    flexible: bool = False
    show: Callable[[Any], str | Cell] = plain
    extra: bool = False


class Listing(NamedTuple):
    """What a command found.

    ``document`` is what ``--format json`` gives, the list of the rows where there is none; ``metrics`` what ``--format
    prom`` does. ``empty`` is said where there are no rows and a table was asked for.
    """

    fields: Sequence[Field]
    rows: Sequence[Row]
    document: Any = None
    metrics: Sequence[Metric] = ()
    empty: str = ""


def show(context: CommandContext, listing: Listing) -> None:
    """Write the result in the format of ``--format``, with the fields of ``--fields``.

    Raises: UsageError for a field that there is not.
    """
    options = context.options
    names = _chosen(options.fields, listing)
    if options.format == "json":
        whole = listing.document is not None and names is None
        context.console.result([as_json(listing.document if whole else _restricted(listing.rows, names), indent=2)])
    elif options.format == "jsonl":
        context.console.result(as_json(row) for row in _restricted(listing.rows, names))
    elif options.format == "prom":
        lines = render(listing.metrics).decode().split("\n")[:-1]
        # Texts for programs go as they are, unless a person's terminal takes them for commands.
        context.console.result(map(printable, lines) if context.console.out.interactive else lines)
    else:
        context.console.result(_table(context, listing, names))
        if listing.empty and not listing.rows:
            context.console.note(listing.empty)


def as_json(value: Any, indent: int | None = None) -> str:
    """Give a value as JSON in ASCII, which no terminal is steered by."""
    return json.dumps(value, indent=indent, separators=None if indent else (",", ":"))


def _chosen(text: str | None, listing: Listing) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = {field.name: None for field in listing.fields}
    for row in listing.rows:
        known.update(dict.fromkeys(row))
    unknown = [name for name in names if name.partition(".")[0] not in known and name not in known]
    if unknown or not names:
        what = f"no field is called {unknown[0]!r}" if unknown else "no field was named"
        raise UsageError(f"--fields: {what}, expected some of {', '.join(known)}")
    return names


def _restricted(rows: Iterable[Row], names: Sequence[str] | None) -> list[Row]:
    return [row if names is None else {name: member(row, name) for name in names} for row in rows]


def member(row: Row, name: str) -> Any:
    """Give a member of a row; ``a.b`` is b in a, None where there is none."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _table(context: CommandContext, listing: Listing, names: Sequence[str] | None) -> Iterator[str]:
    known = {field.name: field for field in listing.fields}
    if names is None:
        fields = [field for field in listing.fields if not field.extra]
    else:
        fields = [known.get(name, Field(name)) for name in names]
    columns = [
        Column(field.title or field.name.replace("_", " "), right=field.right, flexible=field.flexible)
        for field in fields
    ]
    rows = [[field.show(member(row, field.name)) for field in fields] for row in listing.rows]
    return table(columns, rows, context.console.out, headers=bool(rows) and not context.options.no_headers)
