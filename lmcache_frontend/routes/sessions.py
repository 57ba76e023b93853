# SPDX-License-Identifier: Apache-2.0
"""Signing in and out: a token is exchanged for a session, which a cookie stands for."""

from __future__ import annotations

from lmcache_frontend.errors import BadRequest, Forbidden, FrontendError, TooManyRequests, Unauthorized
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.routes.auditing import note_sign_in
from lmcache_frontend.routes.metrics import query_of
from lmcache_frontend.routes.services import Services, read_json

_NEVER_KEPT = (("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"))


def sign_in(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Begin a session for the token in the body.

    Raises: BadRequest, Unauthorized, TooManyRequests, Forbidden.
    """
    token = read_json(exchange).get("token")
    if not isinstance(token, str) or not token.strip():
        raise BadRequest('expected {"token": "..."}')
    who, cookie = services.gate.sign_in(exchange, token.strip())
    note_sign_in(services, who)
    exchange.respond(204, fields=(("Set-Cookie", cookie), *_NEVER_KEPT))


def sign_out(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """End the session."""
    exchange.respond(204, fields=(("Set-Cookie", services.gate.sign_out(exchange)), *_NEVER_KEPT))


def follow_invitation(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Exchange the token in the address for a session, and lead to the page, whose address has none.

    A browser is led there with a token that is refused too: the page says why, and asks for another.

    Raises: Unauthorized, TooManyRequests, Forbidden.
    """
    token = query_of(exchange).get("token", [""])[-1].strip()
    fields = [("Location", "./"), *_NEVER_KEPT]
    # Whoever only wants to know where it leads is no browser, and is to get no session.
    if token and exchange.request.method == "GET":
        try:
            who, cookie = services.gate.sign_in(exchange, token)
        except (Unauthorized, TooManyRequests, Forbidden) as exc:
            if "text/html" not in exchange.request.combined.get("accept", ""):
                raise
            exchange.respond(303, fields=(("Location", _told_by_page(exc)), *_NEVER_KEPT))
            return
        note_sign_in(services, who)
        fields.append(("Set-Cookie", cookie))
    exchange.respond(303, fields=fields)


def _told_by_page(error: FrontendError) -> str:
    """Give the address at which the page tells of a refused token; a fragment is sent to nobody."""
    if isinstance(error, TooManyRequests):
        return f"./#/?sign-in=wait&seconds={dict(error.fields).get('Retry-After', '60')}"
    return "./#/?sign-in=wrong" if isinstance(error, Unauthorized) else "./#/?sign-in=none"
