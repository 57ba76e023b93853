# SPDX-License-Identifier: Apache-2.0
"""The whole rule table on running servers, with each identity: who gets what, and who is told to sign in.

What is expected stands here a second time: a row that is loosened by mistake differs from it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lmcache_frontend.access import rules
from lmcache_frontend.access.rules import Role
from lmcache_frontend.app import App
from lmcache_frontend.routes.router import ROUTES
from lmcache_frontend.settings import Settings
from tests.helpers.scripted import ScriptedNode, always
from tests.helpers.talking import ask

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
OPERATOR_TOKEN, VIEWER_TOKEN = "operator-0123456789", "viewer-0123456789"
REFUSALS = (401, 403, 421, 429)
FORWARDED = {"Via": "1.1 edge"}

ANYBODYS = """
GET / /health /livez /readyz /api/whoami /config /static/{path...} /sign-in
POST /config /api/session
DELETE /api/session
"""
VIEWERS = """
GET /api/nodes /api/proxies /api/proxies/{proxy}/nodes /metrics /api/sd /api/config/catalogue
GET /api/fleet /api/fleet/events /api/fleet/series /api/fleet/drift /api/fleet/env
GET /api/nodes/{node}/version /api/nodes/{node}/health /api/nodes/{node}/metrics /api/nodes/{node}/threads
GET /api/nodes/{node}/loggers /api/nodes/{node}/periodic /api/nodes/{node}/backends /api/nodes/{node}/status
GET /api/nodes/{node}/series /api/nodes/{node}/quota /api/nodes/{node}/conf /api/nodes/{node}/meta
GET /api/nodes/{node}/inference /api/nodes/{node}/env /api/fleet/heat
GET /api/config/rules /api/config/revisions /api/config/revisions/{revision} /api/config/clients
GET /api/config/revisions/{revision}/diff
POST /api/config/preview
"""
# The rest is an operator's, and a change, but for these.
OPERATORS_TO_READ = "GET /api/about /api/audit /api/fleet/actions /api/fleet/actions/{action}"

NODES_FOR_VIEWERS = (
    *("/", "/version", "/lmc_version", "/commit_id", "/inference_version", "/metrics", "/loglevel", "/threads"),
    *("/threads?name=a&thread_id=1", "/periodic-threads", "/periodic-threads?level=high", "/periodic-threads/a"),
    *("/periodic-threads-health", "/backends", "/bypass/list", "/freeze/status", "/hot_cache/status", "/lookup/info"),
    *("/chunk_statistics/status", "/cache/kvcache/info", "/controller/key-stats", "/controller/workers", "/health"),
    *("/controller/workers?instance_id=a", "/healthcheck", "/api/healthcheck", "/status", "/api/status", "/quota"),
    *("/config/adapters", "/quota/a", "/healthz", "/instances", "/instances/usage", "/%76ersion"),
)
NODES_TO_READ_FOR_OPERATORS = ("/conf", "/conf?names=a", "/meta", "/inference_info", "/config", "/env")
NODES_FOR_OPERATORS = (
    *("/loglevel?level=DEBUG", "/loglevel?logger_name=a", "/run_script", "/unknown", "/metrics?a=1", "/version/"),
    *("/./version", "/a/../version", "//version", "/env?a=1", "/cache/clear", "/docs", "/openapi.json"),
    *("/proxy/127.0.0.1/1/metrics", "/proxy2/a/metrics", "/api/nodes", "/version%2f..%2fenv"),
)
FRONTENDS_FOR_VIEWERS = ("/", "/health", "/livez", "/metrics", "/api/nodes", "/api/fleet", "/api/sd", "/api/proxies")
FRONTENDS_FOR_OPERATORS = (
    *("/proxy/127.0.0.1/1/metrics", "/proxy2/a/proxy2/b/metrics", "/proxy2/a/", "/proxy2/a/loglevel?level=DEBUG"),
    *("/api/nodes/a/env", "/api/nodes/a/conf?reveal=1", "/api/fleet/drift", "/api/audit", "/api/config/rules"),
    *("/api/session", "/sign-in?token=a", "/api/proxies/a/refresh", "/%70roxy/127.0.0.1/1/metrics", "/config"),
)


class Client(NamedTuple):
    """Somebody who asks: settings of the server, fields of the request, and what the table should take him for."""

    name: str
    settings: dict[str, Any]
    fields: dict[str, str]
    role: Role
    # What sending a token could make of him.
    could_be: Role = Role.NONE
    is_read_only: bool = False
    is_at_home: bool = False
    # How a token is sent that browsers would send for any page.
    is_basic: bool = False
    signs_in: bool = False


CLIENTS = (
    Client("anonymous none", {"anonymous": "none"}, FORWARDED, Role.NONE),
    Client("anonymous none, tokens", {"anonymous": "none", "tokens": True}, FORWARDED, Role.NONE, Role.OPERATOR),
    Client("anonymous viewer", {}, FORWARDED, Role.VIEWER),
    Client("anonymous viewer, tokens", {"tokens": True}, FORWARDED, Role.VIEWER, Role.OPERATOR),
    Client("anonymous operator", {"anonymous": "operator"}, FORWARDED, Role.OPERATOR),
    Client(
        "viewer token",
        {"anonymous": "none", "tokens": True},
        {**FORWARDED, "Authorization": f"Bearer {VIEWER_TOKEN}"},
        Role.VIEWER,
    ),
    Client(
        "operator token", {"tokens": True}, {**FORWARDED, "Authorization": f"Bearer {OPERATOR_TOKEN}"}, Role.OPERATOR
    ),
    Client(
        "operator token, Basic",
        {"tokens": True},
        {**FORWARDED, "Authorization": f"Basic {b64encode(f'x:{OPERATOR_TOKEN}'.encode()).decode()}"},
        Role.OPERATOR,
        is_basic=True,
    ),
    Client("session", {"tokens": True}, dict(FORWARDED), Role.OPERATOR, signs_in=True),
    Client("local", {}, {}, Role.OPERATOR, is_at_home=True),
    Client("local, not trusted", {"trust_loopback": False}, {}, Role.VIEWER),
    Client("network", {"operator_network": ("127.0.0.0/8",)}, {"Host": "fleet.lan"}, Role.OPERATOR, is_at_home=True),
    Client("read-only", {"read_only": True}, {}, Role.OPERATOR, is_read_only=True, is_at_home=True),
)


class Bench:
    """A server, and somebody who asks it over one connection."""

    def __init__(self, client: Client, directory: Path) -> None:
        ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        self.client = client
        self.nodes = [ScriptedNode(always(ok)) for _ in range(3)]
        entries = [
            {"name": "local_proxy", "host": "localhost", "port": 1, "nodes": [{**self.nodes[0].entry, "name": "node"}]},
            {**self.nodes[1].entry, "name": "child", "nodes": [{"name": "far", "host": "10.9.9.9", "port": 1}]},
        ]
        settings = dict(client.settings)
        if settings.pop("tokens", False):
            for name, token in (("token_file", OPERATOR_TOKEN), ("viewer_token_file", VIEWER_TOKEN)):
                path = directory / name
                path.write_text(f"somebody: {token}\n")
                path.chmod(0o600)
                settings[name] = str(path)
        self.app = App(
            Settings(
                host="127.0.0.1", port=0, store="memory:", nodes=json.dumps(entries), drain_timeout_s=1.0
            )._replace(**settings)
        )
        self.app.start(collecting=False)
        self.connection = HTTPConnection("127.0.0.1", self.app.settings.port, timeout=20)

    def status(self, method: str, target: str) -> int:
        """Ask for something, and give the status; of an answer without end only that is read."""
        if self.client.signs_in and "Cookie" not in self.client.fields:
            self._sign_in()
        # No round of polls comes here that a scrape could wait for.
        fields = {"X-Prometheus-Scrape-Timeout-Seconds": "0.51", **self.client.fields}
        self.connection.request(method, target, headers=fields)
        response = self.connection.getresponse()
        if target.startswith("/api/fleet/events"):
            response.close()
            self.connection.close()
        else:
            response.read()
        if (method, target) == ("DELETE", "/api/session"):
            self.client.fields.pop("Cookie", None)
        return response.status

    def _sign_in(self) -> None:
        reply = ask(self.app.settings.port, "POST", "/api/session", {"token": OPERATOR_TOKEN}, FORWARDED)
        assert reply.status == 204
        self.client.fields["Cookie"] = reply.fields["Set-Cookie"].partition(";")[0]

    def close(self) -> None:
        self.connection.close()
        self.app.stop()
        for node in self.nodes:
            node.close()

    def expected(self, need: rules.Need, method: str) -> int:
        """Give 0 where a request passes, or the status of the refusal."""
        if self.client.is_basic and need == rules.CHANGES and method in ("GET", "HEAD"):
            return 403
        if need.changes and need.role > Role.NONE and self.client.is_read_only:
            return 403
        if self.client.role >= need.role:
            return 0
        return 401 if self.client.could_be >= need.role else 403


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name, scope="module")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as cleanup:
        bench = Bench(request.param, tmp_path_factory.mktemp("tokens"))
        cleanup.callback(bench.close)
        yield bench


def listed(text: str) -> set[tuple[str, str]]:
    return {(line.split()[0], path) for line in text.strip().splitlines() for path in line.split()[1:]}


def expected_need(method: str, path: str) -> rules.Need:
    key = ("GET" if method == "HEAD" else method, path)
    if key in listed(ANYBODYS):
        return rules.Need(Role.NONE, path == "/api/session")
    if key in listed(VIEWERS):
        return rules.READS
    return rules.READS_SECRETS if key in listed(OPERATORS_TO_READ) else rules.CHANGES


def test_every_route_has_a_row_and_a_line_here() -> None:
    routes = {(route.method, route.path) for route in ROUTES}
    assert routes == {(row.method, row.path) for row in rules.OWN_ROWS}
    assert listed(ANYBODYS) | listed(VIEWERS) | listed(OPERATORS_TO_READ) <= routes


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
@pytest.mark.parametrize("method", METHODS)
def test_each_row_is_as_expected(method: str, path: str) -> None:
    assert rules.own_need(method, path) == expected_need(method, path)
    secrets = rules.READS_SECRETS if path in rules.REVEALABLE and method in ("GET", "HEAD") else None
    for query in ("reveal=1", "a=b&reveal=true", "r%65veal=x", "reveal=0&reveal=1", "reveal=%31"):
        assert rules.own_need(method, path, query) == (secrets or expected_need(method, path))
    for query in ("reveal=0", "reveal", "reveal=", "reveals=1", "a=reveal", "reveal=false"):
        assert rules.own_need(method, path, query) == expected_need(method, path)


def test_our_own_routes(bench: Bench) -> None:
    routes = {(route.method, route.path) for route in ROUTES}
    for path in sorted({path for _, path in routes}):
        target = path.replace("{path...}", "nothing").replace("{revision}", "0")
        for name in ("node", "proxy", "action"):
            target = target.replace(f"{{{name}}}", "nobody")
        for method in METHODS:
            status = bench.status(method, target)
            case = f"{method} {target}: {status}"
            if ("GET" if method == "HEAD" else method, path) not in routes:
                assert status == (204 if method == "OPTIONS" else 405), case
                continue
            refusal = bench.expected(expected_need(method, path), method)
            assert status == refusal if refusal else status not in REFUSALS, case


def test_secrets_that_are_asked_for(bench: Bench) -> None:
    for path in sorted(rules.REVEALABLE):
        status = bench.status("GET", path.replace("{node}", "nobody") + "?reveal=1")
        refusal = bench.expected(rules.READS_SECRETS, "GET")
        assert status == refusal if refusal else status not in REFUSALS, f"{path}: {status}"


def targets_of(bench: Bench) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Give, of each way to a node, its prefix and what a viewer may ask for beyond it."""
    node, child, _ = (node.port for node in bench.nodes)
    return {
        "by name": ("/proxy2/node", NODES_FOR_VIEWERS),
        "by address": (f"/proxy/127.0.0.1/{node}", NODES_FOR_VIEWERS),
        "by name of the host": (f"/proxy/localhost/{node}", NODES_FOR_VIEWERS),
        "behind a frontend": ("/proxy2/child/proxy2/far", NODES_FOR_VIEWERS[1:]),
        "behind a frontend, by its name alone": ("/proxy2/far", NODES_FOR_VIEWERS),
        "behind a frontend, by full name": ("/proxy2/child%2Ffar", NODES_FOR_VIEWERS),
        "behind a frontend, by its address": (f"/proxy/127.0.0.1/{child}/proxy2/far", NODES_FOR_VIEWERS[1:]),
    }


@pytest.mark.parametrize("way", list(range(7)))
def test_nodes(bench: Bench, way: int) -> None:
    prefix, for_viewers = list(targets_of(bench).values())[way]
    cases = [(method, target, rules.READS) for target in for_viewers for method in ("GET", "HEAD")]
    cases += [("GET", target, rules.READS_SECRETS) for target in NODES_TO_READ_FOR_OPERATORS]
    cases += [("GET", target, rules.CHANGES) for target in NODES_FOR_OPERATORS]
    cases += [
        (method, target, rules.CHANGES)
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")
        for target in ("/version", "/conf", "/nothing")
    ]
    for method, target, need in cases:
        status = bench.status(method, prefix + target)
        assert status == (bench.expected(need, method) or 200), f"{method} {prefix}{target}: {status}"


@pytest.mark.parametrize("prefix", ["/proxy2/child", "/proxy/127.0.0.1/{child}"])
def test_frontends_behind_us(bench: Bench, prefix: str) -> None:
    prefix = prefix.replace("{child}", str(bench.nodes[1].port))
    cases = [(target, rules.READS) for target in FRONTENDS_FOR_VIEWERS]
    cases += [("/proxy2/a/env", rules.READS_SECRETS), *((target, rules.CHANGES) for target in FRONTENDS_FOR_OPERATORS)]
    for target, need in cases:
        status = bench.status("GET", prefix + target)
        assert status == (bench.expected(need, "GET") or 200), f"{prefix}{target}: {status}"


def test_other_addresses_are_for_who_is_at_home(bench: Bench) -> None:
    stranger = bench.nodes[2].port
    for host in ("127.0.0.1", "localhost", "[::1]"):
        for method, target in (("GET", "/metrics"), ("GET", "/env"), ("POST", "/conf")):
            status = bench.status(method, f"/proxy/{host}/{stranger}{target}")
            if bench.client.is_at_home and not bench.client.is_read_only:
                assert status == (502 if host == "[::1]" else 200)
            else:
                assert status in (401, 403), f"{method} {host} {target}: {status}"


def test_methods_that_nobody_passes_on(bench: Bench) -> None:
    for method in ("TRACE", "BREW"):
        assert bench.status(method, "/proxy2/node/version") == (bench.expected(rules.READS, "GET") or 405)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "target", ["/nothing", "/api", "/api/nodes/a/b/c", "/proxy2", "/proxy", "/proxy/a", "/metrics/"]
)
def test_what_is_nowhere_is_nowhere_for_everybody(start_app: Callable[..., App], method: str, target: str) -> None:
    with HTTPConnectionTo(start_app()) as connection:
        connection.request(method, target)
        assert connection.getresponse().status == 404


class HTTPConnectionTo(HTTPConnection):
    """A connection that is closed at the end of a block."""

    def __init__(self, app: App) -> None:
        super().__init__("127.0.0.1", app.settings.port, timeout=20)

    def __enter__(self) -> HTTPConnectionTo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
