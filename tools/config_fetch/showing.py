# SPDX-License-Identifier: Apache-2.0
"""How an outcome is shown: a table for people, JSON for programs. Secrets are hidden in both unless they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lmcache_frontend.remote_config.application import Row
from lmcache_frontend.remote_config.values import strict

from ..terminal import Cell, Column, Terminal, table
from ..values import hidden, shown

COLUMNS = (
    Column("key"),
    Column("current", flexible=True),
    Column("remote", flexible=True),
    Column("override"),
    Column("result", flexible=True),
    Column("why", flexible=True),
)


def table_lines(rows: list[Row], terminal: Terminal, *, secrets: bool, headers: bool = True) -> Iterator[str]:
    """Yield the table: a line for each item, what changes in green, what is not taken in yellow."""
    return table(COLUMNS, [_cells(row, secrets=secrets) for row in rows], terminal, headers=headers)


def _cells(row: Row, *, secrets: bool) -> list[str | Cell]:
    style = "green" if row.changed else "dim"
    is_odd = not row.key or ":" in row.why
    return [
        Cell(row.key or "-", "bold" if row.changed else ""),
        Cell(shown(row.key, row.current, secrets=secrets), "dim"),
        shown(row.key, row.remote, secrets=secrets),
        "yes" if row.override else "no",
        Cell(shown(row.key, row.result, secrets=secrets), style),
        Cell(row.why, "dim" if row.why.startswith("kept") else "yellow" if is_odd else ""),
    ]


def row_document(row: Row, *, secrets: bool) -> dict[str, Any]:
    """Give a row as JSON has it."""
    document = row._asdict()
    if not secrets:
        document.update({name: hidden(row.key, document[name]) for name in ("current", "remote", "result")})
    shape: dict[str, Any] = strict(document)
    return shape
