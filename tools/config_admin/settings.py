# SPDX-License-Identifier: Apache-2.0
"""``catalogue``: the settings of an LMCache, without a frontend."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from difflib import get_close_matches

from lmcache_frontend.errors import NotFound
from lmcache_frontend.remote_config.catalogue import Key, catalogue, release_of, release_text
from lmcache_frontend.remote_config.documents import catalogue_document
from lmcache_frontend.remote_config.values import strict

from ..command_line import Example
from ..releases import add_release_option
from ..terminal import Cell, Column, painted, table
from .task import DONE, PROGRAM, Command, Online, Task

KEY_COLUMNS = (
    Column("key"),
    Column("type"),
    Column("default", flexible=True),
    Column("since"),
    Column("meaning", flexible=True),
)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", nargs="?", help="one setting, or a part of names; without it all")
    add_release_option(parser)


def show(task: Task) -> int:
    """Show the settings of a release, or one of them."""
    version, name = task.options.lmcache_version, task.options.key
    known = catalogue(version)
    found = _found(known, name, version) if name else known
    if not task.is_table:
        document = catalogue_document(version, found)
        task.console.result(json.dumps(document, indent=2, ensure_ascii=False).splitlines())
    elif name in known:
        task.console.result(_details(known[name], task))
    else:
        task.console.result(table(KEY_COLUMNS, map(_row, found.values()), task.console.out))
    return DONE


def _found(known: Mapping[str, Key], name: str, version: str) -> Mapping[str, Key]:
    if name in known:
        return {name: known[name]}
    found = {key: entry for key, entry in known.items() if name.lower() in key}
    if not found:
        near = get_close_matches(name, known, 1)
        hint = f"; perhaps {near[0]} is meant" if near else ""
        raise NotFound(f"LMCache {release_text(release_of(version))} has no setting {name}{hint}")
    return found


def _row(key: Key) -> list[str | Cell]:
    return [Cell(key.name, "bold"), key.type, _default(key), key.since, key.meaning]


def _default(key: Key) -> str:
    return json.dumps(strict(key.default), ensure_ascii=False)


def _details(key: Key, task: Task) -> list[str]:
    facts = {
        "type": key.type,
        "default": _default(key),
        "since": f"LMCache {key.since}",
        "variable": key.variable,
        "meaning": key.meaning,
    }
    out = task.console.out
    rows: list[list[str | Cell]] = [[Cell(name, "dim"), text] for name, text in facts.items()]
    columns = (Column("name"), Column("text", flexible=True))
    return [painted(key.name, "bold", out), *table(columns, rows, out, headers=False)]


COMMANDS = (
    Command(
        "catalogue",
        "show the settings that an LMCache has, without a frontend",
        show,
        (
            Example(f"{PROGRAM} catalogue chunk_size", "one setting"),
            Example(f"{PROGRAM} catalogue --lmcache-version 0.4.7", "all of an older LMCache"),
        ),
        _configure,
        online=Online.NO,
    ),
)
