# SPDX-License-Identifier: Apache-2.0
"""Remote configuration: the answer that LMCache workers fetch at their start, and the rules behind it.

Source of ``/config``: LMCache 0.3.13 to 0.5.6 ask by GET with a JSON body; their documentation says POST.
"""

from __future__ import annotations

import json
import time
from typing import Any

from lmcache_frontend.audit.deeds import Deed
from lmcache_frontend.errors import BadRequest, ContentTooLarge, Forbidden, FrontendError
from lmcache_frontend.exposition.render import TEXT_TYPE, render
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.remote_config import documents
from lmcache_frontend.remote_config.catalogue import LATEST, catalogue
from lmcache_frontend.remote_config.hidden import hidden
from lmcache_frontend.remote_config.service import LateEdit, RefusedRules
from lmcache_frontend.remote_config.values import shown, without_doubles
from lmcache_frontend.routes.auditing import DONE, outcome_of
from lmcache_frontend.routes.metrics import query_of
from lmcache_frontend.routes.services import Services, actor, read_json, respond_json, sees_secrets, whole_number

MOST_LISTED = 1000
# What our own answers have beside the rules is passed over: one of them can be given back as it came.
_CHANGE_FIELDS = ("rules", "expected_revision", "message", "dry_run")
_ANSWERED_FIELDS = ("revision", "read_only", "parent", "at", "author", "changes")
_ROLLBACK_FIELDS = ("to", "expected_revision", "message")


def configuration(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Give a worker its configuration.

    Raises: BadRequest, ContentTooLarge; Forbidden where a rule denies it, or where a page asks; where
    workers need a token, Unauthorized and TooManyRequests.
    """
    began_s = time.perf_counter()
    if exchange.request.get("origin") is not None:
        raise Forbidden("configuration is for workers, and a page asks for it")
    if services.settings.config_auth:
        services.gate.require_known(exchange)
    app_id = query_of(exchange).get("appId", [""])[-1]
    service = services.state.configuration()

    def took_s() -> float:
        return time.perf_counter() - began_s

    try:
        asked = _asked(exchange)
    except (BadRequest, ContentTooLarge):
        service.note_unread(app_id, took_s())
        raise
    current_config, variables = asked.get("current_config"), asked.get("env_variables")
    answer = service.answer(app_id, current_config, variables, services.gate.client(exchange).address, took_s=took_s)
    if answer.denied_by is not None:
        raise Forbidden(f"the rule {answer.denied_by!r} denies this worker its configuration")
    respond_json(exchange, {"configs": answer.configs})


def rules(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Give the rules in force and the revision that they are of."""
    _respond_hidden(exchange, services, services.state.configuration().rules())


def change_rules(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Put other rules in force, or with ``dry_run`` say what is to be said of them.

    Raises: BadRequest, Conflict, ServiceUnavailable.
    """
    body = _read_edit(exchange, _CHANGE_FIELDS)
    service = services.state.configuration()
    dry_run = _boolean(body, "dry_run")
    who, address = actor(exchange, services)

    def change() -> dict[str, Any]:
        return service.change(
            {"rules": body.get("rules")},
            expected_revision=_expected_revision(body),
            message=_text(body, "message"),
            author=who,
            dry_run=dry_run,
        )

    if dry_run:
        _respond_outcome(exchange, change)
        return
    _respond_outcome(
        exchange,
        lambda: _recorded(services, Deed(who, address, "change rules", "remote configuration", ""), change),
    )


def roll_back(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Put the rules of an older revision in force again, as a new revision.

    Raises: BadRequest, NotFound, Conflict, ServiceUnavailable.
    """
    body = _read_edit(exchange, _ROLLBACK_FIELDS)
    service = services.state.configuration()
    who, address = actor(exchange, services)
    target = whole_number(body.get("to"), "to")

    def change() -> dict[str, Any]:
        return service.rollback(
            target, expected_revision=_expected_revision(body), message=_text(body, "message"), author=who
        )

    deed = Deed(who, address, f"roll back rules to revision {target}", "remote configuration", "")
    _respond_outcome(exchange, lambda: _recorded(services, deed, change))


def revisions(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """List revisions, the newest first; ``?limit=&before=`` page through them.

    Raises: BadRequest.
    """
    limit, before = _page(exchange)
    _respond_hidden(exchange, services, services.state.configuration().revisions(limit, before))


def revision(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """Give a revision.

    Raises: BadRequest, NotFound.
    """
    _respond_hidden(
        exchange,
        services,
        services.state.configuration().revision(whole_number(parameters["revision"], "the revision")),
    )


def difference(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """Give what differs between a revision and the one in ``?to=``, else the one in force.

    Raises: BadRequest, NotFound.
    """
    service = services.state.configuration()
    to = query_of(exchange).get("to")
    end = whole_number(to[-1], "to") if to else service.rules()["revision"]
    _respond_hidden(exchange, services, service.diff(whole_number(parameters["revision"], "the revision"), end))


def preview(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Say what a worker would get and what LMCache would make of it, with reasons; nothing is changed or kept.

    Raises: BadRequest, NotFound.
    """
    _respond_hidden(exchange, services, services.state.configuration().preview(read_json(exchange, without_doubles)))


def clients(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """List the workers that have asked in the last 30 days."""
    respond_json(exchange, services.state.configuration().clients())


def keys(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Give the configuration keys of a release of LMCache.

    Raises: BadRequest.
    """
    version = query_of(exchange).get("version", [LATEST])[-1]
    respond_json(exchange, documents.catalogue_document(version, catalogue(version)))


def fetch_metrics(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Give how often workers have asked, in Prometheus's text format."""
    metrics = documents.fetch_metrics(services.state.configuration().statistics())
    exchange.respond(200, render(metrics), TEXT_TYPE, (("Cache-Control", "no-store"),))


def _respond_hidden(exchange: Exchange, services: Services, document: dict[str, Any]) -> None:
    """Respond with a document of rules: whole to operators, who edit it, and without its secrets to others."""
    respond_json(exchange, document if sees_secrets(exchange, services) else hidden(document))


def _asked(exchange: Exchange) -> dict[str, Any]:
    """Read what a worker says of itself; ``Infinity`` and ``NaN`` are understood, as LMCache's settings hold them."""
    data = exchange.read_body()
    if not data.strip():
        return {}
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise BadRequest("the body is not JSON, expected current_config and env_variables in an object") from exc
    if not isinstance(document, dict):
        raise BadRequest("the body is JSON, but not an object with current_config and env_variables")
    return document


def _read_edit(exchange: Exchange, known: tuple[str, ...]) -> dict[str, Any]:
    """Read an edit; a misspelt ``dry_run`` that was passed over would make it one that is carried out.

    Raises: BadRequest, ContentTooLarge.
    """
    body = read_json(exchange, without_doubles)
    for name in body:
        if name not in known and not (known is _CHANGE_FIELDS and name in _ANSWERED_FIELDS):
            raise BadRequest(f"there is a field {shown(name)}, expected some of {', '.join(known)}")
    return body


def _recorded(services: Services, deed: Deed, change: Any) -> dict[str, Any]:
    """Make a change, and write down who made it and what came of it."""
    try:
        document: dict[str, Any] = change()
    except FrontendError as exc:
        services.state.audit.record(deed._replace(outcome=outcome_of(exc.status), detail=str(exc)))
        raise
    services.state.audit.record(deed._replace(outcome=DONE, detail=f"revision {document['revision']}"))
    return document


def _respond_outcome(exchange: Exchange, change: Any) -> None:
    """Respond with what came of a change; one that is refused or late has more to say than a line."""
    try:
        respond_json(exchange, change())
    except (LateEdit, RefusedRules) as exc:
        respond_json(exchange, exc.document, exc.status)


def _page(exchange: Exchange) -> tuple[int, int | None]:
    query = query_of(exchange)
    limit = whole_number(query.get("limit", ["100"])[-1], "limit")
    if not 0 < limit <= MOST_LISTED:
        raise BadRequest(f"limit is {limit}, expected 1 to {MOST_LISTED}")
    before = query.get("before")
    return limit, whole_number(before[-1], "before") if before else None


def _expected_revision(body: dict[str, Any]) -> int | None:
    value = body.get("expected_revision")
    return None if value is None else whole_number(value, "expected_revision")


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise BadRequest(f"{name} is not a text")
    return value


def _boolean(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{name} is neither true nor false")
    return value
