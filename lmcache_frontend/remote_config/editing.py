# SPDX-License-Identifier: Apache-2.0
"""Edits of the rules: what speaks against one, whether it comes too late, and what it changes."""

from __future__ import annotations

from typing import Any, NamedTuple

from lmcache_frontend.errors import BadRequest, NotFound, RevisionConflict, ServiceUnavailable
from lmcache_frontend.remote_config.coerce import Severity
from lmcache_frontend.remote_config.differences import differences
from lmcache_frontend.remote_config.findings import Finding, findings
from lmcache_frontend.remote_config.refusals import LateEdit, RefusedRules
from lmcache_frontend.remote_config.revisions import Revision, Revisions
from lmcache_frontend.remote_config.rules import Rules

MESSAGE_LIMIT = 2000
AUTHOR_LIMIT = 200
_ATTEMPTS = 5


class Edit(NamedTuple):
    """Rules to be put in force; ``expected`` is the revision that they were made from, None where that is no matter."""

    rules: Rules
    expected: int | None
    message: str
    author: str


class Outcome(NamedTuple):
    """The revision in force after an edit, whether the edit made it, and what the edit differs from the one before."""

    revision: Revision
    changed: bool
    diff: list[dict[str, Any]]


def check_rules(rules: Rules, *, strict: bool) -> list[Finding]:
    """Give what is to be said of rules; ``strict`` refuses names that LMCache does not have.

    Raises: RefusedRules.
    """
    found = findings(rules)
    refused = {Severity.ERROR.value, *([Severity.UNKNOWN.value] if strict else [])}
    worst = [finding for finding in found if finding.severity in refused]
    if worst:
        more = f", and {len(worst) - 1} more" if len(worst) > 1 else ""
        raise RefusedRules(f"rule {worst[0].rule!r}, {worst[0].key}: {worst[0].text}{more}", found)
    return found


def check_words(message: str, author: str) -> None:
    """Refuse what is too long to be kept with a revision.

    Raises: BadRequest.
    """
    for name, text, limit in (("message", message, MESSAGE_LIMIT), ("author", author, AUTHOR_LIMIT)):
        if len(text) > limit:
            raise BadRequest(f"{name} has {len(text)} characters, at most {limit} are taken")


def carry_out(revisions: Revisions, edit: Edit) -> Outcome:
    """Make a new revision; none where the rules in force are the same already, however late that is.

    Raises: LateEdit, ServiceUnavailable.
    """
    for _ in range(_ATTEMPTS):
        head = revisions.head()
        outcome = compare(revisions, head.revision, edit)
        if not outcome.diff:
            return outcome
        try:
            revision = revisions.append(head, edit.rules, message=edit.message, author=edit.author)
        except RevisionConflict:
            continue
        return Outcome(revision, True, outcome.diff)
    raise ServiceUnavailable("others change the rules all the time; nothing was written")


def compare(revisions: Revisions, current: Revision, edit: Edit) -> Outcome:
    """Say what an edit would change of the revision in force.

    Raises: LateEdit, ServiceUnavailable.
    """
    changes = differences(current.rules, edit.rules)
    if changes and edit.expected not in (None, current.number):
        raise _late(revisions, current, int(edit.expected or 0))
    return Outcome(current, False, changes)


def _late(revisions: Revisions, current: Revision, expected: int) -> LateEdit:
    """Tell of the changes by others since the revision that was expected."""
    stands = f"the rules are at revision {current.number}" + (f" by {current.author}" if current.author else "")
    try:
        changes = differences(revisions.get(expected).rules, current.rules)
        detail = f"{stands}, not at {expected} any more"
    except NotFound:
        changes = []
        detail = f"{stands}, and there is no revision {expected}"
    return LateEdit(detail, revision=current.number, author=current.author, message=current.message, diff=changes)
