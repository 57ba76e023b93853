# SPDX-License-Identifier: Apache-2.0
"""The remote configuration service: answers workers from memory, and keeps rules, their history and who has asked.

Answering reads no store. Whoever edits takes turns within this process; against other frontends on the same store the
comparison of the head decides.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from lmcache_frontend.errors import BadRequest, Conflict, FrontendError, NotFound, StartError
from lmcache_frontend.remote_config.clients import Answered, Client, Clients, client_of, read_remember
from lmcache_frontend.remote_config.differences import differences
from lmcache_frontend.remote_config.document import read_rules, write_rules
from lmcache_frontend.remote_config.editing import Edit, Outcome, carry_out, check_rules, check_words, compare
from lmcache_frontend.remote_config.evaluation import Evaluation, answer_digest, evaluate
from lmcache_frontend.remote_config.fetches import Fetches, FetchStatistics
from lmcache_frontend.remote_config.findings import Finding, findings
from lmcache_frontend.remote_config.matching import Facts, plain_address
from lmcache_frontend.remote_config.preview import preview_document, read_question
from lmcache_frontend.remote_config.refusals import LateEdit, RefusedRules
from lmcache_frontend.remote_config.revisions import HEAD_KEY, NOTHING, Revision, Revisions
from lmcache_frontend.remote_config.rules_file import RulesFile
from lmcache_frontend.remote_config.values import compact
from lmcache_frontend.store.protocol import Store

__all__ = ["LateEdit", "RefusedRules", "RemoteConfiguration", "WorkerAnswer"]

logger = logging.getLogger(__name__)

_PATIENCE_S = 2.0
_WATCH_S = 1.0


class WorkerAnswer(NamedTuple):
    """What a worker gets: ``outcome`` is matched, empty, denied or malformed; ``denied_by`` names the rule that did."""

    outcome: str
    configs: list[dict[str, Any]]
    denied_by: str | None


class _InForce(NamedTuple):
    """The revision that answers, and a digest of its rules."""

    revision: Revision
    digest: str


class RemoteConfiguration:
    """Rules for workers; may be used from many threads."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        *,
        remember: Sequence[str],
        strict: bool,
        rules_file: Path | None = None,
    ) -> None:
        """Read the rules in force, from the file where one is given, else from the store.

        ``remember`` has patterns of the variables that may be kept; ``strict`` refuses keys that LMCache lacks.
        Raises: StartError where the file is no good, BadRequest for a pattern, ServiceUnavailable.
        """
        self._store = store
        self._clock = clock
        self._strict = strict
        self._remember = read_remember(remember)
        self._revisions = Revisions(store, clock)
        self._clients = Clients(store, clock)
        self._fetches = Fetches()
        self._turn = threading.Lock()
        self._in_force = _in_force(NOTHING)
        self._file = (
            None if rules_file is None else RulesFile(rules_file, lambda rules: check_rules(rules, strict=strict))
        )
        if self._file is None:
            self._refresh()
        else:
            try:
                self._file.load()
            except BadRequest as exc:
                raise StartError(f"the rules cannot be served: {exc}") from exc
            self._take_from_file(self._file)

    def answer(
        self,
        app_id: str,
        current_config: Any,
        env_variables: Any,
        address: str,
        *,
        took_s: Callable[[], float] | None = None,
    ) -> WorkerAnswer:
        """Give a worker its settings, and note that it asked; whatever it says of itself is put up with.

        ``took_s`` gives how long answering took, where more belongs to it than this.
        """
        began_s = time.perf_counter()
        in_force = self._in_force
        facts = Facts(app_id, _texts(env_variables), _mapping(current_config), plain_address(address))
        evaluation = evaluate(in_force.revision.rules, facts)
        is_malformed = not isinstance(current_config, dict) or not isinstance(env_variables, dict)
        outcome = _outcome(evaluation, is_malformed=is_malformed)
        if not is_malformed:
            answered = Answered(in_force.revision.number, in_force.digest, answer_digest(evaluation))
            self._clients.note(client_of(facts, answered, self._remember, self._clock()))
        self._fetches.note(app_id, outcome, took_s() if took_s is not None else time.perf_counter() - began_s)
        return WorkerAnswer(outcome, evaluation.configs, evaluation.denied_by)

    def note_unread(self, app_id: str, took_s: float) -> None:
        """Count a worker that asked in a way that cannot be read."""
        self._fetches.note(app_id, "malformed", took_s)

    def rules(self) -> dict[str, Any]:
        """Give the rules in force, and why they cannot be edited where that is so."""
        revision = self._in_force.revision
        return {**revision.document(), "read_only": self._why_read_only() or None}

    def change(
        self,
        document: Any,
        expected_revision: int | None = None,
        message: str = "",
        author: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Put rules in force and give ``{"revision", "findings", "changed", "diff"}``; the same rules change nothing.

        Without an expected revision the edit is never late. Raises: BadRequest; RefusedRules for values that LMCache
        refuses; LateEdit; Conflict where the rules come from a file; ServiceUnavailable.
        """
        edit = Edit(read_rules(document), expected_revision, message, author)
        check_words(message, author)
        found = check_rules(edit.rules, strict=self._strict)
        return _outcome_document(self._compare(edit) if dry_run else self._carry_out(edit), found)

    def rollback(
        self, to: int, expected_revision: int | None = None, message: str = "", author: str = ""
    ) -> dict[str, Any]:
        """Put the rules of a revision in force again, as a new one, whatever is to be said of them; as `change`.

        Raises: NotFound, LateEdit, Conflict, ServiceUnavailable, BadRequest.
        """
        check_words(message, author)
        if self._file is not None:
            raise Conflict(self._why_read_only())
        rules = self._revisions.get(to).rules
        edit = Edit(rules, expected_revision, message or f"Roll back to revision {to}", author)
        return _outcome_document(self._carry_out(edit), findings(rules))

    def revisions(self, limit: int = 50, before: int | None = None) -> dict[str, Any]:
        """List the newest revisions, of before a number where one is given; there are none of a file.

        Raises: ServiceUnavailable.
        """
        history = [] if self._file is not None else self._revisions.history(limit, before)
        return {"revisions": [revision.summary() for revision in history]}

    def revision(self, number: int) -> dict[str, Any]:
        """Give a revision with its rules.

        Raises: NotFound, ServiceUnavailable.
        """
        return self._revision(number).document()

    def diff(self, number: int, to: int | None = None) -> dict[str, Any]:
        """Give what differs between two revisions, the one in force where no second is given.

        Raises: NotFound, ServiceUnavailable.
        """
        end = self._in_force.revision if to is None else self._revision(to)
        return {"diff": differences(self._revision(number).rules, end.rules)}

    def preview(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Say what a worker would get, why, and what LMCache would make of it.

        Raises: BadRequest, NotFound for a client that is not kept, ServiceUnavailable.
        """
        question = read_question(request)
        facts = question.facts or self._clients.find(question.client_id).facts()
        rules = self._in_force.revision.rules if question.rules is None else question.rules
        document = preview_document(rules, facts, question.version)
        if question.rules is not None:
            document["findings"] = [finding._asdict() for finding in findings(rules, version=question.version)]
        return document

    def clients(self) -> dict[str, Any]:
        """List the workers that have asked in the last 30 days, the last one first.

        Raises: ServiceUnavailable.
        """
        in_force = self._in_force
        documents = [_client_document(client, in_force) for client in self._clients.each()]
        return {"clients": sorted(documents, key=lambda document: -float(document["fetched_at"]))}

    def flush_clients(self) -> int:
        """Write down who has asked, and give how many were written; what fails is tried again next time."""
        return self._clients.flush()

    def statistics(self) -> FetchStatistics:
        """Give the counts of fetches."""
        return self._fetches.read()

    @property
    def fault(self) -> str:
        """Say what is wrong with the file of rules or the store; empty where nothing is."""
        return self._file.fault if self._file is not None else self._store.fault

    def reload_file_if_changed(self) -> None:
        """Read the file of rules again where there is one and it has changed."""
        if self._file is not None and self._file.reload_if_changed():
            self._take_from_file(self._file)

    def follow(self, wait: Callable[[float], bool]) -> None:
        """Take over what other frontends put in force, until ``wait(seconds)`` says to end."""
        fault = ""
        while self._file is None and not wait(0.0):
            try:
                watch = self._store.watch(HEAD_KEY, self._refresh())
                fault = ""
                try:
                    while not wait(0.0):
                        if watch.next(_WATCH_S):
                            self._refresh()
                finally:
                    watch.close()
            except FrontendError as exc:
                if str(exc) != fault:
                    logger.warning("the rules of before stay, changes by others are not seen for now: %s", exc)
                fault = str(exc)
                wait(_PATIENCE_S)

    def _refresh(self) -> int:
        """Take over what is in force by the store, and give the store's revision at which it was read."""
        with self._turn:
            head = self._revisions.head()
            self._set(head.revision)
            return head.read_at_revision

    def _set(self, revision: Revision) -> None:
        before = self._in_force.revision
        if revision != before:
            self._in_force = _in_force(revision)
            logger.info("rules of revision %d are in force, after those of %d", revision.number, before.number)

    def _take_from_file(self, file: RulesFile) -> None:
        for finding in findings(file.rules):
            logger.warning("%s, rule %s, %s: %s", file.path, finding.rule, finding.key, finding.text)
        self._set(NOTHING._replace(number=file.loads, at=self._clock(), rules=file.rules))

    def _compare(self, edit: Edit) -> Outcome:
        """Say what an edit would change; there is no being late with a file."""
        if self._file is not None:
            return compare(self._revisions, self._in_force.revision, edit._replace(expected=None))
        return compare(self._revisions, self._revisions.head().revision, edit)

    def _carry_out(self, edit: Edit) -> Outcome:
        if self._file is not None:
            raise Conflict(self._why_read_only())
        with self._turn:
            outcome = carry_out(self._revisions, edit)
            self._set(outcome.revision)
            return outcome

    def _revision(self, number: int) -> Revision:
        if self._file is None:
            return self._revisions.get(number)
        if number != self._in_force.revision.number:
            raise NotFound(f"there is no revision {number}: {self._why_read_only()}")
        return self._in_force.revision

    def _why_read_only(self) -> str:
        if self._file is not None:
            return f"the rules come from the file {self._file.path} and are edited there"
        return self._store.fault


def _in_force(revision: Revision) -> _InForce:
    return _InForce(revision, sha256(compact(write_rules(revision.rules), ordered=True).encode()).hexdigest()[:32])


def _outcome_document(outcome: Outcome, found: list[Finding]) -> dict[str, Any]:
    return {
        "revision": outcome.revision.number,
        "findings": [finding._asdict() for finding in found],
        "changed": outcome.changed,
        "diff": outcome.diff,
    }


def _client_document(client: Client, in_force: _InForce) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "app_id": client.app_id,
        "instance": client.instance,
        "address": client.address,
        "lmcache_keys": client.lmcache_keys,
        "fetched_at": client.fetched_at,
        "revision": client.revision,
        "would_change": _would_change(client, in_force),
    }


def _would_change(client: Client, in_force: _InForce) -> bool | None:
    """Say whether a worker would be answered otherwise now; None where that hangs on what is not kept of it."""
    if client.rules == in_force.digest:
        return False
    evaluation = evaluate(in_force.revision.rules, client.facts())
    if evaluation.unknown and evaluation.denied_by is None:
        return None
    return answer_digest(evaluation) != client.answer


def _outcome(evaluation: Evaluation, *, is_malformed: bool) -> str:
    if evaluation.denied_by is not None:
        return "denied"
    return "malformed" if is_malformed else "matched" if evaluation.configs else "empty"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> dict[str, str]:
    """Give the variables of an environment; what is none is left out."""
    return {name: text for name, text in _mapping(value).items() if isinstance(text, str)}
