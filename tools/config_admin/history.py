# SPDX-License-Identifier: Apache-2.0
"""``history``, ``diff`` and ``rollback``: revisions of the rules."""

from __future__ import annotations

import argparse
import json
import re
import time
from typing import Any

from lmcache_frontend.errors import UsageError
from lmcache_frontend.remote_config.differences import differences

from ..command_line import Example
from ..frontend_client import FrontendClient
from ..terminal import Cell, Column, painted_diff, table
from .documents import Named, differing_lines, read_answer, rules_in_force, rules_of_file, rules_of_revision
from .rules import carry_out, tell_findings
from .task import DIFFERS, DONE, NEWEST_LISTED, PROGRAM, Command, Task

REVISION_COLUMNS = (
    Column("revision", right=True),
    Column("made at"),
    Column("author"),
    Column("changes", right=True),
    Column("message", flexible=True),
)
HEAD = "head"


def time_text(seconds: Any) -> str:
    """Give a time in seconds since the epoch as people read it, in UTC."""
    if not isinstance(seconds, (int, float)):
        return "-"
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))
    except (OSError, OverflowError, ValueError):
        return "-"


def _configure_history(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--limit", metavar="N", type=int, default=NEWEST_LISTED, help=f"so many at most; default: {NEWEST_LISTED}"
    )
    parser.add_argument("--before", metavar="N", type=int, help="those before this revision")


def history(task: Task) -> int:
    """List revisions, the newest first."""
    options = task.options
    query = {"limit": options.limit, "before": options.before}
    client = task.client()
    document = read_answer(client.get("/api/config/revisions", query), client, "revisions")
    if not task.is_table:
        task.console.result(json.dumps(document, indent=2, ensure_ascii=False).splitlines())
        return DONE
    rows: list[list[str | Cell]] = [
        [
            Cell(str(revision.get("revision", "")), "bold"),
            time_text(revision.get("at")),
            str(revision.get("author") or "-"),
            str(revision.get("changes", "-")),
            str(revision.get("message") or ""),
        ]
        for revision in document.get("revisions", [])
    ]
    if rows:
        task.console.result(table(REVISION_COLUMNS, rows, task.console.out))
    else:
        task.console.note("there are no revisions")
    return DONE


def _configure_diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", metavar="A", help="a revision, head for the rules in force, or a file")
    parser.add_argument("second", metavar="B", nargs="?", help="the same; without it A is compared with the head")
    parser.add_argument("--check", action="store_true", help="give 4 where something differs")


def diff(task: Task) -> int:
    """Show what differs between two revisions, or between the rules in force and a file."""
    options = task.options
    first, second = options.first, options.second
    if second is None:
        # What would become of the rules in force, or what became of older ones.
        first, second = (first, HEAD) if _is_revision(first) else (HEAD, first)
    client = task.client() if _is_revision(first) or _is_revision(second) else None
    before, after = _named(first, client), _named(second, client)
    lines = list(differing_lines(before, after, secrets=task.secrets))
    if task.is_table:
        task.console.result(painted_diff(lines, task.console.out))
    else:
        document = {"diff": differences(before.rules, after.rules)}
        task.console.result(json.dumps(document, indent=2, ensure_ascii=False).splitlines())
    if not lines:
        task.console.note(f"{before.label} and {after.label} are the same")
    return DIFFERS if options.check and lines else DONE


def _is_revision(text: str) -> bool:
    return text == HEAD or re.fullmatch(r"[0-9]{1,12}", text) is not None


def _named(text: str, client: FrontendClient | None) -> Named:
    if client is None or not _is_revision(text):
        return rules_of_file(text)
    return rules_in_force(client) if text == HEAD else rules_of_revision(client, int(text))


def _configure_rollback(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("revision", metavar="N", type=int, help="the revision whose rules are to be in force again")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument(
        "--expected-revision", metavar="N", type=int, help="refuse if other rules than those of this one are in force"
    )
    parser.add_argument("-m", "--message", metavar="TEXT", default="", help="why, for the history")


def rollback(task: Task) -> int:
    """Put the rules of an older revision in force again, as a new revision."""
    options, console, client = task.options, task.console, task.client()
    if options.revision < 0:
        raise UsageError(f"expected the number of a revision, got {options.revision}")
    present, wanted = rules_in_force(client), rules_of_revision(client, options.revision)
    lines = list(differing_lines(present, wanted, secrets=task.secrets))
    document: dict[str, Any] = {"revision": present.revision, "changed": False}
    if lines and not options.dry_run:
        expected = present.revision if options.expected_revision is None else options.expected_revision
        request = {"to": options.revision, "expected_revision": expected, "message": options.message}
        document = carry_out(task, client, "POST", "/api/config/rollback", request)
    if task.is_table:
        console.result(painted_diff(lines, console.out))
    else:
        console.result(json.dumps(document, indent=2, ensure_ascii=False).splitlines())
    tell_findings(document.get("findings", []), console)
    if not lines:
        console.note(f"nothing to change: {present.label} has the rules of {wanted.label}")
    elif options.dry_run:
        console.note(f"dry run: {present.label} stays")
    else:
        console.note(f"revision {document.get('revision')} is in force, with the rules of {options.revision}")
    return DONE


COMMANDS = (
    Command(
        "history",
        "list the revisions, the newest first",
        history,
        (Example(f"{PROGRAM} history --limit 5", "the last changes"),),
        _configure_history,
    ),
    Command(
        "diff",
        "show what differs between revisions, or from a file",
        diff,
        (
            Example(f"{PROGRAM} diff 3 5", "from revision 3 to 5"),
            Example(f"{PROGRAM} diff rules.yaml", "what applying this file would change"),
            Example(f"{PROGRAM} diff head rules.yaml --check", "the same; exit status 4 where something differs"),
        ),
        _configure_diff,
        shows_values=True,
    ),
    Command(
        "rollback",
        "put the rules of an older revision in force again",
        rollback,
        (
            Example(f"{PROGRAM} rollback 6 --dry-run", "what would change"),
            Example(f"{PROGRAM} rollback 6 -m 'Chat is slower with 512'", "back to revision 6"),
        ),
        _configure_rollback,
        shows_values=True,
    ),
)
