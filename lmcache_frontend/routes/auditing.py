# SPDX-License-Identifier: Apache-2.0
"""What the endpoints write into the audit trail: changes, reading of secrets, and refused attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lmcache_frontend.access import rules
from lmcache_frontend.access.identity import Identity
from lmcache_frontend.audit.deeds import Deed
from lmcache_frontend.audit.trail import AuditTrail
from lmcache_frontend.errors import FrontendError, PeerClosed
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.routes.services import Services, actor

DONE = "done"
REFUSED = "refused"
FAILED = "failed"
# Programs read what may hold secrets again and again.
READING_ONCE_WITHIN_S = 600.0
# Whose query is the change itself and holds no secrets; any other may.
_TOLD_QUERIES = frozenset({"/loglevel"})


@contextmanager
def recording(exchange: Exchange, services: Services, what: str, target: str, detail: str = "") -> Iterator[None]:
    """Write down what the body does, by whoever sent the request, and what came of it."""
    who, address = actor(exchange, services)
    deed = Deed(who, address, what, target, DONE, detail)
    try:
        yield
    except FrontendError as exc:
        services.state.audit.record(deed._replace(outcome=outcome_of(exc.status), detail=str(exc)))
        raise
    services.state.audit.record(deed)


def carry_out(exchange: Exchange, services: Services, request: str, node: str, relay: Callable[[], None]) -> None:
    """Pass a request on to a node and write down that, and how the node answered; ``request`` is the node's target."""
    who, address = actor(exchange, services)
    status, detail = 0, ""
    try:
        relay()
        status = exchange.status
        detail = f"status {status}"
    except PeerClosed as exc:
        status, detail = exc.status, "broken off"
        raise
    except FrontendError as exc:
        status, detail = exc.status, str(exc)
        raise
    finally:
        what = f"{exchange.request.method} {told(request)}"
        services.state.audit.record(Deed(who, address, what, node, outcome_of(status or 500), detail))


def note_reading(exchange: Exchange, services: Services, request: str, node: str) -> None:
    """Write down, once in a while, that somebody reads of a node what may hold secrets."""
    who, address = actor(exchange, services)
    deed = Deed(who, address, f"{exchange.request.method} {told(request)}", node, DONE, "may hold secrets")
    services.state.audit.record_once(deed, within_s=READING_ONCE_WITHIN_S)


def revealed(exchange: Exchange, services: Services, what: str, target: str) -> bool:
    """Say whether secrets are asked for, which the rule table lets operators do, and write that down."""
    if not rules.reveals(exchange.request.target.partition("?")[2]):
        return False
    who, address = actor(exchange, services)
    services.state.audit.record(Deed(who, address, f"read {what} with secrets", target, DONE))
    return True


def note_sign_in(services: Services, who: Identity) -> None:
    """Write down that somebody has signed in."""
    services.state.audit.record(Deed(who.name, who.address, "sign in", "", DONE, f"as {who.role.name.lower()}"))


def note_refusal(audit: AuditTrail, who: Identity, exchange: Exchange, error: FrontendError) -> None:
    """Write a refused request down."""
    request = exchange.request
    what = f"{request.method} {request.target.partition('?')[0]}"
    audit.refuse(Deed(who.name, who.address, what, "", REFUSED, f"{error.status}: {error}"))


def told(target: str) -> str:
    """Give a request's target as it may be kept: the path, and the query only where that is known to be harmless."""
    path, mark, _ = target.partition("?")
    return target if path in _TOLD_QUERIES else f"{path}?..." if mark else path


def outcome_of(status: int) -> str:
    """Give the word for a status."""
    return DONE if status < 400 else FAILED if status >= 499 else REFUSED
