# SPDX-License-Identifier: Apache-2.0
"""Documents of rules: read from a file or a frontend, written for people, and compared."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from lmcache_frontend.errors import BadGateway, BadRequest
from lmcache_frontend.remote_config.document import read_rules, write_rule, write_rules
from lmcache_frontend.remote_config.rules import Rules
from lmcache_frontend.remote_config.rules_file import parse_document
from lmcache_frontend.remote_config.yaml_subset import dump

from ..files import read_text
from ..frontend_client import FrontendClient
from ..values import hidden

_DEFAULTS: dict[str, Any] = {"description": "", "enabled": True, "deny": False, "match": {}}


class Named(NamedTuple):
    """Rules, where they are from, and the number of their revision where they are of one."""

    rules: Rules
    label: str
    revision: int | None = None
    read_only: str | None = None


def rules_of_file(path: str) -> Named:
    """Read a file of rules, JSON or YAML; ``-`` is standard input. A revision in it is the one it was made from.

    Raises: UsageError where it cannot be read, BadRequest where it holds no rules; both name it.
    """
    shown = "standard input" if path == "-" else path
    try:
        document = parse_document(read_text(path, "FILE"), path)
        rules = read_rules(document)
    except BadRequest as exc:
        raise BadRequest(f"{shown}: {exc}") from exc
    revision = document.get("revision")
    is_number = isinstance(revision, int) and not isinstance(revision, bool)
    return Named(rules, shown, revision if is_number else None)


def rules_in_force(client: FrontendClient) -> Named:
    """Read the rules in force.

    Raises: as the client, BadGateway where the answer is not understood.
    """
    return _named(client.get("/api/config/rules"), client)


def rules_of_revision(client: FrontendClient, number: int) -> Named:
    """Read the rules of a revision.

    Raises: as `rules_in_force`, ServerError where there is none.
    """
    return _named(client.get(f"/api/config/revisions/{number}"), client)


def _named(document: Any, client: FrontendClient) -> Named:
    try:
        rules = read_rules({"rules": document["rules"]})
        revision = int(document["revision"])
    except (BadRequest, KeyError, TypeError, ValueError) as exc:
        raise BadGateway(f"{client.shown} answered with something other than rules") from exc
    return Named(rules, f"revision {revision}", revision, document.get("read_only"))


def read_answer(answer: Any, client: FrontendClient, *lists: str) -> dict[str, Any]:
    """Give an answer that is an object; what is named of it, where it is there, is a list of objects.

    Raises: BadGateway.
    """
    if not isinstance(answer, dict) or not all(_holds_objects(answer.get(name, [])) for name in lists):
        raise BadGateway(f"{client.shown} answered with something else than asked for: is a frontend there?")
    return answer


def _holds_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def rules_text(rules: Rules, *, secrets: bool = True) -> str:
    """Give rules as YAML, without what is as it is by default, and without secrets where these are not wanted."""
    documents = [brief(write_rule(rule)) for rule in rules]
    return dump({"rules": documents if secrets else [_hidden_rule(document, {}) for document in documents]})


def rules_json(named: Named) -> str:
    """Give rules as JSON, with the number of their revision where they are of one."""
    document = write_rules(named.rules)
    if named.revision is not None:
        document = {"revision": named.revision, **document}
    return json.dumps(document, indent=2, ensure_ascii=False)


def brief(rule: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a rule what says nothing."""
    result = {name: value for name, value in rule.items() if name not in _DEFAULTS or value != _DEFAULTS[name]}
    if rule["deny"] and not rule["items"]:
        del result["items"]
    return result


def differing_lines(before: Named, after: Named, *, secrets: bool) -> Iterator[str]:
    """Yield the unified difference of two documents; nothing where they say the same.

    Secrets are hidden where they are not wanted; that one has changed is to be seen all the same.
    """
    old, new = rules_text(before.rules, secrets=secrets), rules_text(after.rules, secrets=True)
    if not secrets:
        earlier = {rule.name: brief(write_rule(rule)) for rule in before.rules}
        documents = [brief(write_rule(rule)) for rule in after.rules]
        new = dump({"rules": [_hidden_rule(document, earlier.get(document["name"], {})) for document in documents]})
    return difflib.unified_diff(old.splitlines(), new.splitlines(), before.label, after.label, n=3, lineterm="")


def _hidden_rule(rule: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """Hide the secrets of a rule as it is written, with a word on those that are others than in an earlier one."""
    result = dict(rule)
    if "match" in rule:
        result["match"] = _hidden("", rule["match"], earlier.get("match"))
    if "items" in rule:
        values = {item["key"]: item["value"] for item in earlier.get("items", [])}
        result["items"] = [
            {**item, "value": _hidden(item["key"], item["value"], values.get(item["key"], item["value"]))}
            for item in rule["items"]
        ]
    return result


def _hidden(name: str, value: Any, earlier: Any) -> Any:
    if isinstance(value, dict) and isinstance(earlier, dict):
        return {key: _hidden(key, part, earlier.get(key, part)) for key, part in value.items()}
    shown = hidden(name, value)
    is_other_secret = earlier is not None and value != earlier and shown == hidden(name, earlier)
    return f"{shown} (changed)" if is_other_secret else shown
