# SPDX-License-Identifier: Apache-2.0
"""``preview`` and ``clients``: what a worker would get, and which have asked."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from lmcache_frontend.errors import BadRequest, UsageError
from lmcache_frontend.remote_config.document import write_rules
from lmcache_frontend.remote_config.local import local_configuration
from lmcache_frontend.remote_config.values import strict
from lmcache_frontend.remote_config.yaml_subset import load

from ..command_line import Example
from ..files import read_text
from ..releases import add_release_option
from ..terminal import Cell, Column, painted, printable, table
from ..values import shown
from .documents import read_answer, rules_of_file
from .history import time_text
from .task import DONE, PROGRAM, Command, Task

RESULT_COLUMNS = (
    Column("key"),
    Column("rule"),
    Column("current", flexible=True),
    Column("remote", flexible=True),
    Column("override"),
    Column("result", flexible=True),
    Column("why", flexible=True),
)
CLIENT_COLUMNS = (
    Column("client id"),
    Column("app id"),
    Column("instance"),
    Column("address"),
    Column("keys", right=True),
    Column("asked at"),
    Column("revision", right=True),
    Column("would change"),
)


def _configure_preview(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--app-id", metavar="NAME", help="the worker's application")
    parser.add_argument(
        "--env", metavar="NAME=VALUE", action="append", type=_variable, help="a variable of the worker; may be repeated"
    )
    parser.add_argument("--config", metavar="FILE", help="the worker's YAML file; its LMCACHE_* variables go on top")
    parser.add_argument("--client", metavar="ADDRESS", help="the worker's IP address")
    parser.add_argument("--client-id", metavar="ID", help="a worker that has asked, of the list of `clients`, instead")
    parser.add_argument("--rules", metavar="FILE", help="with the rules of this file instead of those in force")
    add_release_option(parser)


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def preview(task: Task) -> int:
    """Show what a worker would get, and why."""
    client = task.client()
    answer = client.send("POST", "/api/config/preview", _question(task.options))
    document = read_answer(answer, client, "explain", "result", "unmatched", "doubts")
    for part in document.get("explain", []):
        read_answer(part, client, "lost")
    if not task.is_table:
        task.console.result(json.dumps(document, indent=2, ensure_ascii=False).splitlines())
        return DONE
    rules = {entry.get("key"): str(entry.get("rule", "")) for entry in document.get("explain", [])}
    rows = [_result_row(row, rules, secrets=task.secrets) for row in document.get("result", [])]
    lines = list(table(RESULT_COLUMNS, rows, task.console.out)) if rows else []
    task.console.result([*lines, *_reasons(task, document, is_first=not lines)])
    if not rows and not document.get("denied_by"):
        task.console.note(f"nothing is {'known to be ' if _doubts(document) else ''}set for this worker")
    return DONE


def _question(options: argparse.Namespace) -> dict[str, Any]:
    request: dict[str, Any] = {"lmcache_version": options.lmcache_version}
    if options.rules is not None:
        request["rules"] = write_rules(rules_of_file(options.rules).rules)["rules"]
    if options.client_id is not None:
        if any((options.app_id, options.env, options.config, options.client)):
            raise UsageError("--client-id is a worker that has asked; --app-id, --env, --config, --client describe one")
        return {**request, "client_id": options.client_id}
    environment = dict(options.env or ())
    document = _file_document(options.config)
    local = local_configuration(document, environment, version=options.lmcache_version)
    app_id = (local.values.get("app_id") or "") if options.app_id is None else options.app_id
    request.update(app_id=app_id, env=environment, current_config=strict(local.values))
    return request if options.client is None else {**request, "client": options.client}


def _file_document(path: str | None) -> Mapping[Any, Any] | None:
    if path is None:
        return None
    try:
        document = load(read_text(path, "--config")) or {}
    except BadRequest as exc:
        raise UsageError(f"--config: {path}: {exc}") from exc
    if not isinstance(document, dict):
        raise UsageError(f"--config: {path} holds no keys and values")
    return document


def _result_row(row: Mapping[str, Any], rules: Mapping[Any, str], *, secrets: bool) -> list[str | Cell]:
    key, is_changed, why = str(row.get("key", "")), bool(row.get("changed")), str(row.get("why", ""))
    return [
        Cell(key, "bold" if is_changed else ""),
        rules.get(key, "-"),
        Cell(shown(key, row.get("current"), secrets=secrets), "dim"),
        shown(key, row.get("remote"), secrets=secrets),
        "yes" if row.get("override", True) else "no",
        Cell(shown(key, row.get("result"), secrets=secrets), "green" if is_changed else "dim"),
        Cell(why, "dim" if why.startswith("kept") else "yellow" if ":" in why else ""),
    ]


def _reasons(task: Task, document: Mapping[str, Any], *, is_first: bool) -> Iterator[str]:
    """Yield what stands below the table: who denies, which values lost, and which rules are for others."""
    out = task.console.out
    sections = [
        ("lost", _lost(document, secrets=task.secrets)),
        ("not for this worker", [(entry.get("rule"), entry.get("why")) for entry in document.get("unmatched", [])]),
        ("not known", _doubts(document)),
    ]
    if document.get("denied_by"):
        text = f"the rule {document['denied_by']} denies the configuration: the worker keeps its own"
        yield painted(printable(text), "strong red", out)
        is_first = False
    for title, entries in sections:
        if entries:
            if not is_first:
                yield ""
            is_first = False
            yield painted(title.upper(), "bold", out)
            rows: list[list[str | Cell]] = [[str(name), Cell(str(why), "dim")] for name, why in entries]
            yield from table((Column("rule"), Column("why", flexible=True)), rows, out, headers=False)


def _lost(document: Mapping[str, Any], *, secrets: bool) -> list[tuple[Any, Any]]:
    return [
        (entry.get("rule"), f"{part.get('key')}={shown(str(part.get('key')), entry.get('value'), secrets=secrets)}")
        for part in document.get("explain", [])
        for entry in part.get("lost", [])
    ]


def _doubts(document: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    if "doubts" in document:
        return [(entry.get("rule"), entry.get("why")) for entry in document["doubts"]]
    unknown = document.get("unknown")
    return [(name, "") for name in unknown] if isinstance(unknown, list) else []


def clients(task: Task) -> int:
    """List the workers that have asked in the last 30 days."""
    client = task.client()
    document = read_answer(client.get("/api/config/clients"), client, "clients")
    if not task.is_table:
        task.console.result(json.dumps(document, indent=2, ensure_ascii=False).splitlines())
        return DONE
    rows = [_client_row(client) for client in document.get("clients", [])]
    if rows:
        task.console.result(table(CLIENT_COLUMNS, rows, task.console.out))
    else:
        task.console.note("no worker has asked yet")
    return DONE


def _client_row(client: Mapping[str, Any]) -> list[str | Cell]:
    would_change = client.get("would_change")
    answers = {True: Cell("yes", "yellow"), False: Cell("no", "dim")}
    return [
        Cell(str(client.get("client_id", "")), "bold"),
        str(client.get("app_id") or "-"),
        str(client.get("instance") or "-"),
        str(client.get("address") or "-"),
        str(client.get("lmcache_keys", "-")),
        time_text(client.get("fetched_at")),
        str(client.get("revision", "-")),
        answers[would_change] if isinstance(would_change, bool) else Cell("not known", "dim"),
    ]


COMMANDS = (
    Command(
        "preview",
        "show what a worker would get, and why",
        preview,
        (
            Example(f"{PROGRAM} preview --app-id chat --env POD_NAME=chat-0", "a worker that is described"),
            Example(f"{PROGRAM} preview --client-id 0123456789abcdef --rules rules.yaml", "one that has asked"),
        ),
        _configure_preview,
        shows_values=True,
        description="Show what a worker would get, and why: which rule sets what, what LMCache would make of it, which "
        "values\nlost against later rules, and why other rules are not for this worker. Nothing is changed.",
    ),
    Command(
        "clients",
        "list the workers that have asked",
        clients,
        (Example(f"{PROGRAM} clients", "who has asked in the last 30 days, and would be answered otherwise now"),),
    ),
)
