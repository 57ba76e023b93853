# SPDX-License-Identifier: Apache-2.0
"""Find the endpoint of a request and ask `access` whether it may be used.

Proxied requests are recognised first and judged by `routes.proxy`, since what they need depends on the node's path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

from lmcache_frontend.access import clients, rules
from lmcache_frontend.errors import BadRequest, MethodNotAllowed, NotFound
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.routes import late, pages, proxy
from lmcache_frontend.routes.services import Route, Services

ROUTES = (*pages.ROUTES, *late.ROUTES)
# What a server of remote configuration alone has.
CONFIGURATION_ROUTES = (*pages.HEALTH_ROUTES, *late.CONFIGURATION_ROUTES, late.CONFIGURATION_METRICS)
_Matches = Callable[[str], "re.Match[str] | None"]


def make_handler(services: Services, *, configuration_only: bool = False) -> Callable[[Exchange], None]:
    """Give the callable that serves every request, or only those for remote configuration."""
    table = Table(CONFIGURATION_ROUTES if configuration_only else ROUTES)

    def handle(exchange: Exchange) -> None:
        request = exchange.request
        target = request.target
        gate = services.gate
        if (exchange.stream.facts.get("host") != request.host or gate.trusts_proxies) and clients.host_matters(
            target.partition("?")[0], request.combined
        ):
            gate.check_host(exchange)
        if target.startswith("/proxy2/") and not configuration_only:
            proxy.by_name(exchange, services)
        elif target.startswith("/proxy/") and not configuration_only:
            proxy.by_address(exchange, services)
        else:
            _serve_own(exchange, services, table)

    return handle


class Table:
    """The endpoints by their paths: those without a variable part are found at once, the others by patterns.

    Patterns are compiled when the first is needed, since start-up has better things to do.
    """

    def __init__(self, routes: tuple[Route, ...]) -> None:
        """Take them; of two patterns that match, the first counts."""
        self._plain = _by_path(route for route in routes if "{" not in route.path)
        self._routes = tuple(route for route in routes if "{" in route.path)
        self._patterns: tuple[tuple[_Matches, dict[str, Route]], ...] | None = None

    def find(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        """Give the endpoints at a path by their methods, and what its variable parts are.

        Raises: NotFound.
        """
        methods = self._plain.get(path)
        if methods is not None:
            return methods, {}
        if self._patterns is None:
            self._patterns = tuple((rules.compile_path(path), found) for path, found in _by_path(self._routes).items())
        for matches, methods in self._patterns:
            match = matches(path)
            if match:
                return methods, match.groupdict()
        raise NotFound("there is nothing at this address")


def _serve_own(exchange: Exchange, services: Services, table: Table) -> None:
    request = exchange.request
    path = request.target.partition("?")[0]
    if path == "*":
        exchange.respond(204, fields=(("Allow", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),))
        return
    routes, parameters = table.find(path)
    route = routes.get("GET" if request.method == "HEAD" else request.method)
    allowed = ", ".join(sorted({*routes, *(["HEAD"] if "GET" in routes else []), "OPTIONS"}))
    if route is None:
        if request.method == "OPTIONS":
            exchange.respond(204, fields=(("Allow", allowed),))
            return
        raise MethodNotAllowed(
            f"{request.method[:20]} is not offered here, expected {allowed}", fields=(("Allow", allowed),)
        )
    need = rules.own_need(request.method, route.path, request.target[len(path) + 1 :])
    if not services.gate.passes_anyone(need):
        services.gate.authorize(exchange, need)
    route.handler(exchange, services, _decoded(parameters))


def _by_path(routes: Iterable[Route]) -> dict[str, dict[str, Route]]:
    table: dict[str, dict[str, Route]] = {}
    for route in routes:
        table.setdefault(route.path, {})[route.method] = route
    return table


def _decoded(parameters: dict[str, str]) -> dict[str, str]:
    try:
        return {name: unquote_to_bytes(value).decode("utf-8") for name, value in parameters.items()}
    except UnicodeDecodeError as exc:
        raise BadRequest("the path is percent-encoded, but not from UTF-8") from exc
