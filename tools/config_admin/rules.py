# SPDX-License-Identifier: Apache-2.0
"""``rules get``, ``rules apply`` and ``validate``: rules between a file and a frontend."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import Any

from lmcache_frontend.remote_config.document import write_rule, write_rules
from lmcache_frontend.remote_config.findings import findings
from lmcache_frontend.remote_config.rules import Match, Rule

from ..command_line import Example
from ..console import Console
from ..frontend_client import FrontendClient, ServerError
from ..releases import add_release_option
from ..terminal import Cell, Column, painted_diff, table
from ..values import shown
from .documents import (
    Named,
    differing_lines,
    read_answer,
    rules_in_force,
    rules_json,
    rules_of_file,
    rules_of_revision,
    rules_text,
)
from .task import DONE, FAILURE, PROGRAM, Command, Online, Task

RULE_COLUMNS = (
    Column("rule"),
    Column("enabled"),
    Column("for", flexible=True),
    Column("sets", flexible=True),
)
FINDING_COLUMNS = (Column("severity"), Column("rule"), Column("key"), Column("text", flexible=True))
_SEVERITY_STYLES = {"error": "strong red", "surprise": "yellow", "unknown": "yellow"}


def _configure_get(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--revision", metavar="N", type=int, help="an older revision; else the rules in force")


def get(task: Task) -> int:
    """Show the rules in force, or those of a revision."""
    client, number = task.client(), task.options.revision
    named = rules_in_force(client) if number is None else rules_of_revision(client, number)
    if task.options.format == "json":
        task.console.result(rules_json(named).splitlines())
    elif task.is_table:
        rows = [_rule_row(rule, secrets=task.secrets) for rule in named.rules]
        task.console.result(table(RULE_COLUMNS, rows, task.console.out))
    else:
        # What is to be applied again is whole in files and pipes; eyes on a terminal need no secrets.
        secrets = task.secrets or not task.console.out.interactive
        text = rules_text(named.rules, secrets=secrets)
        if text != rules_text(named.rules):
            task.console.note("secrets are hidden on a terminal; --output FILE and --show-secrets do not hide them")
        task.console.result([f"# {named.label} of {client.shown}", *text.splitlines()])
    if named.read_only:
        task.console.note(named.read_only)
    return DONE


def _rule_row(rule: Rule, *, secrets: bool) -> list[str | Cell]:
    sets = ", ".join(
        f"{item.key}={shown(item.key, item.value, secrets=secrets)}{'' if item.override else ' unless set'}"
        for item in rule.items
    )
    return [
        Cell(rule.name, "bold"),
        "yes" if rule.enabled else Cell("no", "yellow"),
        match_text(rule.match),
        Cell("denies", "strong red") if rule.deny else sets or Cell("nothing", "dim"),
    ]


def match_text(match: Match) -> str:
    """Say in a line whom a rule is for."""
    parts = []
    if match.app_id:
        parts.append(f"app_id {' or '.join(glob.text for glob in match.app_id)}")
    if match.client:
        parts.append(f"from {' or '.join(network.text for network in match.client)}")
    written = write_rule(Rule("", match=match))["match"]
    for name in ("env", "config"):
        for key, asked in written.get(name, {}).items():
            parts.append(f"{key} {_question(key, asked)}")
    if match.rollout_percent is not None:
        parts.append(f"{match.rollout_percent:g} % of {match.rollout_by or 'workers'}")
    return ", ".join(parts) or "everybody"


def _question(key: str, asked: Any) -> str:
    if not isinstance(asked, dict):
        return f"is {shown(key, asked)}"
    words = {"equals": "is", "glob": "is like", "at_least": "at least", "at_most": "at most"}
    parts = [f"{words[name]} {shown(key, value)}" for name, value in asked.items() if name != "present"]
    if "present" in asked:
        parts.append("is set" if asked["present"] else "is not set")
    return " and ".join(parts)


def _configure_apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="rules in YAML or JSON; - is standard input")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument(
        "--expected-revision",
        metavar="N",
        type=int,
        help="refuse if other rules than those of this revision are in force; else the file's, else the newest seen",
    )
    parser.add_argument("-m", "--message", metavar="TEXT", default="", help="why, for the history")


def apply(task: Task) -> int:
    """Put the rules of a file in force; nothing is changed where they are already."""
    options, console, client = task.options, task.console, task.client()
    wanted = rules_of_file(options.file)
    present = rules_in_force(client)
    lines = list(differing_lines(present, wanted, secrets=task.secrets))
    if not lines and not options.dry_run:
        if task.options.format == "json":
            console.result([json.dumps({"revision": present.revision, "findings": [], "changed": False, "diff": []})])
        console.note(f"nothing to change: {present.label} has these rules")
        return DONE
    expected = options.expected_revision
    if expected is None:
        expected = present.revision if wanted.revision is None else wanted.revision
    request = {**write_rules(wanted.rules), "expected_revision": expected, "message": options.message}
    document = carry_out(task, client, "PUT", "/api/config/rules", {**request, "dry_run": options.dry_run})
    if task.is_table:
        console.result(painted_diff(lines, console.out))
    else:
        console.result(json.dumps(document, indent=2, ensure_ascii=False).splitlines())
    tell_findings(document.get("findings", []), console)
    if options.dry_run:
        console.note(f"dry run: {present.label} stays" + ("" if lines else ", and has these rules already"))
    else:
        console.note(f"revision {document.get('revision')} is in force, after {present.revision}")
    return DONE


def carry_out(task: Task, client: FrontendClient, method: str, path: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Send an edit; where it is refused or late, say all that is to be said before the error is raised.

    Raises: ServerError.
    """
    try:
        document = read_answer(client.send(method, path, request), client, "findings", "diff")
    except ServerError as exc:
        refusal = read_answer(exc.document or {}, client, "findings", "diff")
        tell_findings(refusal.get("findings", []), task.console)
        if refusal.get("diff"):
            _tell_others_change(refusal, task.console)
        raise
    return document


def tell_findings(found: Iterable[Mapping[str, Any]], console: Console) -> None:
    """Say what is to be said of settings, on standard error."""
    rows = [_finding_row(finding) for finding in found]
    console.tell(table(FINDING_COLUMNS, rows, console.err, headers=False))


def _finding_row(finding: Mapping[str, Any]) -> list[str | Cell]:
    severity = str(finding.get("severity", ""))
    texts = [str(finding.get(name, "")) for name in ("rule", "key", "text")]
    return [Cell(severity, _SEVERITY_STYLES.get(severity, "")), *texts]


def _tell_others_change(refusal: Mapping[str, Any], console: Console) -> None:
    who = f" by {refusal['author']}" if refusal.get("author") else ""
    why = f": {refusal['message']}" if refusal.get("message") else ""
    console.warn(f"meanwhile there is revision {refusal.get('revision')}{who}{why}")
    for change in refusal["diff"]:
        console.warn(f"  {change.get('op')} {change.get('rule')}")


def _configure_validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="rules in YAML or JSON; - is standard input")
    add_release_option(parser)
    parser.add_argument("--strict", action="store_true", help="settings that LMCache does not know are errors too")


def validate(task: Task) -> int:
    """Check a file of rules without a frontend."""
    options = task.options
    named: Named = rules_of_file(options.file)
    found = findings(named.rules, version=options.lmcache_version)
    fatal = {"error", "unknown"} if options.strict else {"error"}
    errors = sum(finding.severity in fatal for finding in found)
    documents = [finding._asdict() for finding in found]
    if not task.is_table:
        task.console.result(json.dumps({"findings": documents}, indent=2, ensure_ascii=False).splitlines())
    elif found:
        task.console.result(table(FINDING_COLUMNS, map(_finding_row, documents), task.console.out))
    task.console.note(
        f"{named.label} for LMCache {options.lmcache_version}: {_counted(len(named.rules), 'rule')}, "
        f"{_counted(len(found), 'finding')}, {_counted(errors, 'error')}"
    )
    return FAILURE if errors else DONE


def _counted(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


COMMANDS = (
    Command(
        "rules get",
        "show the rules in force, or those of an older revision",
        get,
        (
            Example(f"{PROGRAM} rules get > rules.yaml", "the rules, to be edited and applied"),
            Example(f"{PROGRAM} rules get --format table", "an overview"),
        ),
        _configure_get,
        ("yaml", "json", "table"),
        shows_values=True,
        description="Show the rules in force, or those of an older revision. YAML and JSON hold secrets, as they are "
        "to be applied\nagain; the table, and YAML on a terminal, hide them.",
    ),
    Command(
        "rules apply",
        "put the rules of a file in force",
        apply,
        (
            Example(f"{PROGRAM} rules apply rules.yaml --dry-run", "what would change"),
            Example(f"{PROGRAM} rules apply rules.yaml -m 'Larger chunks for chat'", "change it"),
        ),
        _configure_apply,
        shows_values=True,
        description="Put the rules of a file in force, as a new revision. Applying the same rules again changes "
        "nothing and is fine,\nso that this may stand in a pipeline. What LMCache would refuse is refused here.",
    ),
    Command(
        "validate",
        "check a file of rules, without a frontend",
        validate,
        (
            Example(f"{PROGRAM} validate rules.yaml", "before a commit"),
            Example(f"{PROGRAM} validate rules.yaml --strict --lmcache-version 0.4.7", "for an older LMCache"),
        ),
        _configure_validate,
        online=Online.NO,
        description="Check a file of rules, without a frontend: what LMCache refuses, takes for something else, or "
        "does not know.\nExit status 1 where it has errors.",
    ),
)
