# SPDX-License-Identifier: Apache-2.0
"""The rule table: what each request needs. What no row names needs an operator, and counts as a change.

A GET can change a node, so method, path and query are classified together. A path matches a row after one
percent-decoding and without dot or empty segments; a query is allowed only where the row names its keys.

Source of the node paths: the HTTP interfaces of LMCache 0.3.4 to 0.5.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes


class Role(IntEnum):
    """What a client may do: nothing, read, or change as well."""

    NONE = 0
    VIEWER = 1
    OPERATOR = 2


class Need(NamedTuple):
    """What a request needs, and whether it changes anything."""

    role: Role
    changes: bool


ANYBODY = Need(Role.NONE, False)
SIGNS_IN = Need(Role.NONE, True)
READS = Need(Role.VIEWER, False)
READS_SECRETS = Need(Role.OPERATOR, False)
CHANGES = Need(Role.OPERATOR, True)

READ_METHODS = frozenset({"GET", "HEAD"})


class Row(NamedTuple):
    """One line of the table; ``path`` may hold ``{name}`` for one segment and end in ``{path...}`` for any rest."""

    method: str
    path: str
    need: Need
    query_keys: frozenset[str] | None = frozenset()


def _rows(method: str, need: Need, *paths: str) -> list[Row]:
    return [Row(method, path, need) for path in paths]


# What is masked for everybody, and shown whole where an operator asks for it with ``?reveal=1``.
REVEALABLE = frozenset(
    {
        "/api/nodes/{node}/conf",
        "/api/nodes/{node}/meta",
        "/api/nodes/{node}/inference",
        "/api/nodes/{node}/env",
        "/api/fleet/env",
        "/api/fleet/drift",
    }
)

OWN_ROWS: tuple[Row, ...] = (
    *_rows("GET", ANYBODY, "/", "/health", "/livez", "/readyz", "/api/whoami", "/config"),
    *_rows("POST", ANYBODY, "/config"),
    Row("GET", "/static/{path...}", ANYBODY),
    *_rows("GET", ANYBODY, "/sign-in"),
    *_rows("POST", SIGNS_IN, "/api/session"),
    *_rows("DELETE", SIGNS_IN, "/api/session"),
    *_rows("GET", READS, "/api/nodes", "/api/proxies", "/api/proxies/{proxy}/nodes"),
    *_rows("GET", READS, "/metrics", "/api/sd", "/api/fleet", "/api/fleet/events", "/api/fleet/series"),
    *_rows("GET", READS, "/api/nodes/{node}/version", "/api/nodes/{node}/health", "/api/nodes/{node}/metrics"),
    *_rows("GET", READS, "/api/nodes/{node}/threads", "/api/nodes/{node}/loggers", "/api/nodes/{node}/periodic"),
    *_rows("GET", READS, "/api/nodes/{node}/backends", "/api/nodes/{node}/status", "/api/nodes/{node}/series"),
    *_rows("GET", READS, "/api/nodes/{node}/quota", "/api/fleet/heat", "/api/config/catalogue"),
    *_rows("GET", READS_SECRETS, "/api/audit"),
    *_rows("GET", READS, "/api/config/rules", "/api/config/revisions", "/api/config/revisions/{revision}"),
    *_rows("GET", READS, "/api/config/revisions/{revision}/diff", "/api/config/clients"),
    *_rows("POST", READS, "/api/config/preview"),
    *_rows("POST", CHANGES, "/api/config/rollback"),
    *_rows("PUT", CHANGES, "/api/config/rules"),
    *(Row("GET", path, READS) for path in sorted(REVEALABLE)),
    *_rows("GET", CHANGES, "/api/proxies/{proxy}/refresh"),
    *_rows("POST", CHANGES, "/api/nodes", "/api/proxies", "/api/proxies/{proxy}/nodes", "/api/proxies/{proxy}/refresh"),
    # What is asked here may be any address that this machine reaches.
    *_rows("POST", CHANGES, "/api/connection-test"),
    *_rows("GET", READS_SECRETS, "/api/about"),
    *_rows("GET", READS_SECRETS, "/api/fleet/actions", "/api/fleet/actions/{action}"),
    *_rows("POST", CHANGES, "/api/fleet/actions"),
    *_rows("DELETE", CHANGES, "/api/fleet/actions/{action}"),
    *_rows("PUT", CHANGES, "/api/nodes/{node}"),
    *_rows("DELETE", CHANGES, "/api/nodes/{node}"),
)

NODE_ROWS: tuple[Row, ...] = (
    *_rows("GET", READS, "/", "/version", "/lmc_version", "/commit_id", "/inference_version", "/metrics", "/loglevel"),
    *_rows("GET", READS, "/periodic-threads/{name}", "/periodic-threads-health", "/backends", "/bypass/list"),
    *_rows("GET", READS, "/freeze/status", "/hot_cache/status", "/lookup/info", "/chunk_statistics/status"),
    *_rows("GET", READS, "/cache/kvcache/info", "/controller/key-stats"),
    *_rows("GET", READS, "/health", "/healthcheck", "/api/healthcheck", "/status", "/api/status", "/config/adapters"),
    *_rows("GET", READS, "/quota", "/quota/{salt}", "/healthz", "/instances", "/instances/usage"),
    Row("GET", "/threads", READS, frozenset({"name", "thread_id"})),
    Row("GET", "/periodic-threads", READS, frozenset({"level", "running_only", "active_only"})),
    Row("GET", "/controller/workers", READS, frozenset({"instance_id", "worker_id"})),
    Row("GET", "/conf", READS_SECRETS, None),
    Row("GET", "/meta", READS_SECRETS, None),
    Row("GET", "/inference_info", READS_SECRETS, None),
    *_rows("GET", READS_SECRETS, "/config", "/env"),
)

# What a frontend behind us offers to viewers; its page is linked to and does not run through the proxy. What is masked
# is left out: another release may not mask it, or may take us for an operator. Nothing passes on for nobody.
FRONTEND_ROWS: tuple[Row, ...] = tuple(
    row._replace(need=READS)
    for row in OWN_ROWS
    if row.need.role <= Role.VIEWER
    and row.path not in REVEALABLE
    and (
        row.path == "/api/config/catalogue"
        or not row.path.startswith(("/static", "/sign-in", "/api/session", "/api/whoami", "/config", "/api/config"))
    )
)


def own_need(method: str, pattern: str, query: str = "") -> Need:
    """Give what a route of ours needs, by the pattern that it was matched with and the query."""
    if query and pattern in REVEALABLE and method in READ_METHODS and reveals(query):
        return READS_SECRETS
    return _OWN.get(("GET" if method == "HEAD" else method, pattern), CHANGES)


def reveals(query: str) -> bool:
    """Say whether a query asks for what is masked otherwise; whatever could be read as yes is one."""
    return any(
        unquote_to_bytes(name.replace("+", " ")).strip() == b"reveal"
        and unquote_to_bytes(value) not in (b"", b"0", b"false")
        for name, _, value in (pair.partition("=") for pair in query.replace(";", "&").split("&"))
    )


def node_need(method: str, target: str, *, is_frontend: bool = False) -> Need:
    """Give what a proxied request needs, by its method and the target (path and query) the node is asked for."""
    if method not in READ_METHODS:
        return CHANGES
    path, _, query = target.partition("?")
    if not query and not is_frontend:
        need = _PLAIN_NODE_PATHS.get(path)
        if need is not None:
            return need
    decoded = _decoded_path(path)
    if decoded is None:
        return CHANGES
    if is_frontend:
        return _frontend_need(method, path, decoded, query)
    return _lookup(NODE_ROWS, decoded, query)


def _frontend_need(method: str, path: str, decoded: str, query: str) -> Need:
    """Classify what is asked of a frontend behind us; one more hop is parsed, since what lies behind it is a node's."""
    if decoded.startswith("/proxy2/"):
        rest = path[len("/proxy2/") :].partition("/")[2] if path.startswith("/proxy2/") else ""
        return node_need(method, f"/{rest}?{query}" if query else f"/{rest}") if rest else CHANGES
    return _lookup(FRONTEND_ROWS, decoded, query)


def _decoded_path(path: str) -> str | None:
    """Decode a path once; None where it could mean different things to different readers."""
    try:
        decoded = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return None
    segments = decoded.split("/")[1:]
    if decoded != "/" and any(segment in ("", ".", "..") for segment in segments):
        return None
    if "\\" in decoded or any(ord(character) < 32 for character in decoded):
        return None
    return decoded


def _lookup(rows: tuple[Row, ...], path: str, query: str) -> Need:
    for matches, row in _matchers(rows):
        if matches(path):
            return row.need if _query_allowed(query, row.query_keys) else CHANGES
    return CHANGES


def _query_allowed(query: str, keys: frozenset[str] | None) -> bool:
    if not query or keys is None:
        return True
    names = [unquote_to_bytes(pair.partition("=")[0].replace("+", " ")) for pair in query.split("&") if pair]
    return ";" not in query and all(name.decode("latin-1") in keys for name in names)


def compile_path(path: str) -> Callable[[str], re.Match[str] | None]:
    """Give the function that matches a row's or a route's path and names its variable segments."""
    pattern = re.escape(path)
    pattern = re.sub(r"\\\{(\w+)\\\.\\\.\\\.\\\}", r"(?P<\1>.*)", pattern)
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)
    return re.compile(pattern, re.DOTALL).fullmatch


@lru_cache(maxsize=2)
def _matchers(rows: tuple[Row, ...]) -> list[tuple[Callable[[str], object], Row]]:
    """Compile a table when it is first looked into, since start-up has better things to do."""
    return [(compile_path(row.path), row) for row in rows]


_OWN = {(row.method, row.path): row.need for row in OWN_ROWS}
_PLAIN_NODE_PATHS = {row.path: row.need for row in NODE_ROWS if "{" not in row.path}
