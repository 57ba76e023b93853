# SPDX-License-Identifier: Apache-2.0
"""What an action is on a node of a kind and a release: the request to send, or the reason why it cannot be done. Pure.

What the answer means is left to `judging`. A node whose release is not known is tried.

Source: LMCache's ``internal_api_server`` of 0.3.4 to 0.5.6, which only gained paths, and ``multiprocess/http_apis`` of
0.4.1 to 0.5.6, whose paths changed; up to 0.3.9 a controller takes no more than its own POSTs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from lmcache_frontend.actions.arguments import (
    READ_METHODS,
    Arguments,
    Backend,
    Bypass,
    CacheClear,
    Conf,
    Freeze,
    HotCache,
    LogLevel,
    MetricsReset,
    Request,
    RunScript,
)
from lmcache_frontend.cluster.adapters.kinds import Identity, Kind, Paths, Release, in_words, release_of
from lmcache_frontend.http1.fetch import Question

# As the proxy has it: a script, or a cache to be emptied, takes its time.
SLOW_TIMEOUT_S = 600.0
MP_LOCATION = "l1"


class Plan(NamedTuple):
    """A request to a node; ``since`` is the release that the path came with, ``changes`` whether it does anything."""

    question: Question
    since: Release | None = None
    is_slow: bool = False
    changes: bool = True


def plan(arguments: Arguments, identity: Identity) -> Plan | str:
    """Give the request that does it on such a node, or the reason in words why nothing can be sent."""
    if isinstance(arguments, Request):
        return _any_request(arguments)
    release = release_of(identity.version)
    since = _SINCE.get(identity.paths, {}).get(type(arguments))
    if since is None:
        return f"{identity.paths.value} {_LACKS[type(arguments)]}"
    if identity.kind is Kind.SCHEDULER and isinstance(arguments, _OF_THE_ENGINE):
        return "a scheduler has no cache engine"
    if isinstance(arguments, CacheClear) and identity.kind is Kind.MP:
        if arguments.locations not in ((), (MP_LOCATION,)):
            return f"an MP server clears its L1 as a whole: it has no location but {MP_LOCATION}"
        question = _MP_CLEAR[identity.paths]
    else:
        question = _QUESTIONS[type(arguments)](arguments)
    if release is not None and release < since:
        path = question.target.partition("?")[0]
        return f"LMCache {in_words(release)} has no {question.method} {path} (since {in_words(since)})"
    return Plan(question, since, is_slow=isinstance(arguments, (CacheClear, RunScript)))


def _any_request(arguments: Request) -> Plan:
    path = arguments.path.partition("?")[0]
    return Plan(
        Question(arguments.method, arguments.path, arguments.fields, arguments.body),
        is_slow="/run_script" in path or "/cache/" in path,
        changes=arguments.method not in READ_METHODS,
    )


def _log_level(arguments: LogLevel) -> Question:
    query = urlencode({"logger_name": arguments.logger, "level": arguments.level}, quote_via=quote)
    return Question("GET", f"/loglevel?{query}")


def _conf(arguments: Conf) -> Question:
    return Question("POST", "/conf", _JSON, json.dumps(arguments.values, ensure_ascii=False).encode())


def _freeze(arguments: Freeze) -> Question:
    return Question("PUT", f"/freeze/{'enable' if arguments.enabled else 'disable'}")


def _hot_cache(arguments: HotCache) -> Question:
    return Question("PUT", f"/hot_cache/{'enable' if arguments.enabled else 'disable'}")


def _bypass(arguments: Bypass) -> Question:
    query = urlencode({"backend_name": arguments.backend}, quote_via=quote)
    return Question("PUT", f"/bypass/{'add' if arguments.bypassed else 'remove'}?{query}")


def _backend(arguments: Backend) -> Question:
    name = quote(arguments.name, safe="")
    if arguments.operation == "create":
        return Question("POST", "/backends")
    if arguments.operation == "close":
        return Question("DELETE", f"/backends/{name}")
    return Question("POST", f"/backends/{name}/recreate")


def _cache_clear(arguments: CacheClear) -> Question:
    query = urlencode([("locations", location) for location in arguments.locations], quote_via=quote)
    return Question("DELETE", "/cache/clear" + (f"?{query}" if query else ""))


def _metrics_reset(arguments: MetricsReset) -> Question:
    return Question("POST", "/metrics/reset")


def _run_script(arguments: RunScript) -> Question:
    script = arguments.script.encode()
    # Nothing holds its own digest; a boundary has at most 70 characters (RFC 2046).
    boundary = f"script-{sha256(script).hexdigest()[:48]}"
    disposition = 'Content-Disposition: form-data; name="script"; filename="script.py"'
    head = f"--{boundary}\r\n{disposition}\r\nContent-Type: text/x-python\r\n\r\n".encode()
    body = head + script + f"\r\n--{boundary}--\r\n".encode()
    return Question("POST", "/run_script", (("Content-Type", f"multipart/form-data; boundary={boundary}"),), body)


_JSON = (("Content-Type", "application/json"),)
_QUESTIONS: Mapping[type, Callable[[Any], Question]] = {
    LogLevel: _log_level,
    Conf: _conf,
    Freeze: _freeze,
    HotCache: _hot_cache,
    Bypass: _bypass,
    Backend: _backend,
    CacheClear: _cache_clear,
    MetricsReset: _metrics_reset,
    RunScript: _run_script,
}
_OF_THE_ENGINE = (Freeze, HotCache, Bypass, Backend, CacheClear)
# What is in use stays, on the releases too that would clear it by default: doing so may corrupt transfers under way.
_MP_CLEAR: Mapping[Paths, Question] = {
    Paths.MP_API_STATUS: Question("POST", "/api/clear-cache"),
    Paths.MP_CONF: Question("POST", "/clear-cache"),
    Paths.MP_CONFIG: Question("POST", "/cache/clear", _JSON, b'{"tier":"l1","force":false}'),
}
_SINCE: Mapping[Paths, Mapping[type, Release]] = {
    Paths.IN_PROCESS: {
        LogLevel: (0, 3, 4),
        RunScript: (0, 3, 4),
        CacheClear: (0, 3, 9),
        Freeze: (0, 3, 11),
        Conf: (0, 3, 14),
        HotCache: (0, 3, 15),
        Bypass: (0, 3, 15),
        Backend: (0, 3, 15),
        MetricsReset: (0, 3, 15),
    },
    Paths.MP_API_STATUS: {CacheClear: (0, 4, 1)},
    Paths.MP_CONF: {LogLevel: (0, 4, 5), CacheClear: (0, 4, 5), RunScript: (0, 4, 6)},
    Paths.MP_CONFIG: {LogLevel: (0, 5, 1), CacheClear: (0, 5, 1), RunScript: (0, 5, 1)},
    Paths.CONTROLLER: {LogLevel: (0, 3, 10), RunScript: (0, 3, 10)},
}
_LACKS: Mapping[type, str] = {
    LogLevel: "has no log levels to set",
    Conf: "takes its configuration only at its start",
    Freeze: "cannot be frozen",
    HotCache: "has no hot cache to switch",
    Bypass: "has no backends to bypass",
    Backend: "has no backends to open or close",
    CacheClear: "has no cache to clear",
    MetricsReset: "has no metrics that a reset would reach",
    RunScript: "runs no scripts",
}
