# SPDX-License-Identifier: Apache-2.0
"""The actions there are, and the arguments that each takes: checked values, and the words for them. Pure.

What an action is on a node of some kind and release is left to `verbs`.

Source: LMCache 0.5.6, ``internal_api_server`` (logger levels are the names of Python's ``logging``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from lmcache_frontend.actions.wording import shown_target, shown_value
from lmcache_frontend.cluster.adapters.answers import one_line
from lmcache_frontend.errors import BadRequest
from lmcache_frontend.http1.heads import HOP_BY_HOP
from lmcache_frontend.masking import MASK, has_mask

LEVELS = ("NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "WARN", "FATAL")
OPERATIONS = ("create", "close", "recreate")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
READ_METHODS = ("GET", "HEAD", "OPTIONS")
NAME_LIMIT = 200
LOCATIONS_LIMIT = 50
PATH_LIMIT = 8192
REFUSED_FIELDS = HOP_BY_HOP | {"host", "content-length", "expect"}

_match_path = re.compile(r"/[!-\"$-~]*").fullmatch
_match_field_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}").fullmatch
_match_field_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch


class LogLevel(NamedTuple):
    """Set the level of a logger."""

    logger: str
    level: str

    def __str__(self) -> str:
        return f"loglevel {self.logger}={self.level}"


class Conf(NamedTuple):
    """Change configuration values of a running node."""

    values: Mapping[str, Any]

    def __str__(self) -> str:
        return "conf " + ", ".join(f"{key}={shown_value(key, value)}" for key, value in self.values.items())


class Freeze(NamedTuple):
    """Freeze the cache, so that nothing is stored, or let it go on."""

    enabled: bool

    def __str__(self) -> str:
        return f"freeze {'on' if self.enabled else 'off'}"


class HotCache(NamedTuple):
    """Use the hot cache in memory or not."""

    enabled: bool

    def __str__(self) -> str:
        return f"hot_cache {'on' if self.enabled else 'off'}"


class Bypass(NamedTuple):
    """Pass a storage backend by or use it again."""

    backend: str
    bypassed: bool

    def __str__(self) -> str:
        return f"bypass {self.backend} {'on' if self.bypassed else 'off'}"


class Backend(NamedTuple):
    """Create, close or recreate storage backends; ``create`` makes all that are missing, ``name`` is one to expect."""

    operation: str
    name: str

    def __str__(self) -> str:
        return f"backend {self.operation} {self.name}".rstrip()


class CacheClear(NamedTuple):
    """Empty the cache, all of it or the named locations."""

    locations: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"cache_clear {', '.join(self.locations)}".rstrip()


class MetricsReset(NamedTuple):
    """Set counters and histograms back to zero."""

    def __str__(self) -> str:
        return "metrics_reset"


class RunScript(NamedTuple):
    """Run a script in the node's process."""

    script: str

    def __str__(self) -> str:
        data = self.script.encode()
        return f"run_script of {len(data)} bytes, SHA-256 {sha256(data).hexdigest()[:16]}"


class Request(NamedTuple):
    """Send any request."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __str__(self) -> str:
        return f"request {self.method} {shown_target(self.path)}"


Arguments = LogLevel | Conf | Freeze | HotCache | Bypass | Backend | CacheClear | MetricsReset | RunScript | Request


def read_arguments(action: str, members: Mapping[str, Any]) -> Arguments:
    """Check the arguments of one of `ACTIONS`.

    Raises: BadRequest, naming the argument, what was got and what was expected.
    """
    names, read = _READERS[action]
    for name in members:
        if name not in names:
            expected = f"expected {' and '.join(names)}" if names else "expected none"
            raise BadRequest(f"{action} takes no argument {name[:40]!r}, {expected}")
    return read(members)


def describe(arguments: Arguments) -> str:
    """Say what is to be done, in one line and without secrets."""
    return one_line(str(arguments))


def got(value: Any) -> str:
    """Say what a value is that should be something else."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def text_of(members: Mapping[str, Any], name: str, *, limit: int = NAME_LIMIT) -> str:
    """Give an argument that is a text.

    Raises: BadRequest.
    """
    value = members.get(name)
    if not isinstance(value, str) or not value or len(value) > limit:
        raise BadRequest(f"arguments.{name} is {got(value)}, expected a text of 1 to {limit} characters")
    return value


def _boolean(members: Mapping[str, Any], name: str) -> bool:
    value = members.get(name)
    if not isinstance(value, bool):
        raise BadRequest(f"arguments.{name} is {got(value)}, expected true or false")
    return value


def _choice(members: Mapping[str, Any], name: str, choices: tuple[str, ...], *, fold: bool = False) -> str:
    value = members.get(name)
    word = value.upper() if fold and isinstance(value, str) else value
    if not isinstance(word, str) or word not in choices:
        raise BadRequest(f"arguments.{name} is {got(value)}, expected one of {', '.join(choices)}")
    return word


def _conf(members: Mapping[str, Any]) -> Conf:
    values = members.get("values")
    if not isinstance(values, dict) or not values:
        raise BadRequest(f"arguments.values is {got(values)}, expected an object with at least one key")
    for key in values:
        if not key or len(key) > NAME_LIMIT:
            raise BadRequest(f"arguments.values has the key {key[:60]!r}, expected 1 to {NAME_LIMIT} characters")
        if has_mask(values[key]):
            raise BadRequest(f"{key[:60]} is {MASK}, which is shown in place of a secret; expected the secret itself")
    return Conf(values)


def _backend(members: Mapping[str, Any]) -> Backend:
    operation = _choice(members, "operation", OPERATIONS)
    if operation == "create" and members.get("name") in (None, ""):
        return Backend(operation, "")
    return Backend(operation, text_of(members, "name"))


def _cache_clear(members: Mapping[str, Any]) -> CacheClear:
    locations = members.get("locations")
    if locations is None:
        return CacheClear()
    if not isinstance(locations, list) or not all(
        isinstance(location, str) and 0 < len(location) <= NAME_LIMIT for location in locations
    ):
        raise BadRequest(f"arguments.locations is {got(locations)}, expected a list of names")
    if len(locations) > LOCATIONS_LIMIT:
        raise BadRequest(f"arguments.locations has {len(locations)} names, at most {LOCATIONS_LIMIT} are taken")
    return CacheClear(tuple(dict.fromkeys(locations)))


def _run_script(members: Mapping[str, Any]) -> RunScript:
    script = members.get("script")
    if not isinstance(script, str) or not script.strip():
        raise BadRequest(f"arguments.script is {got(script)}, expected the text of a script")
    return RunScript(script)


def _request(members: Mapping[str, Any]) -> Request:
    path = text_of(members, "path", limit=PATH_LIMIT)
    if not _match_path(path):
        raise BadRequest(
            f"arguments.path is {got(path)}, expected one that begins with '/', percent-encoded and without '#'"
        )
    body = members.get("body")
    if body is not None and not isinstance(body, str):
        raise BadRequest(f"arguments.body is {got(body)}, expected a text or null")
    fields = _fields(members.get("headers"))
    return Request(_choice(members, "method", METHODS, fold=True), path, fields, (body or "").encode())


def _fields(headers: Any) -> tuple[tuple[str, str], ...]:
    if headers is None:
        return ()
    if not isinstance(headers, dict):
        raise BadRequest(f"arguments.headers is {got(headers)}, expected an object of names and texts")
    for name, value in headers.items():
        if not _match_field_name(name):
            raise BadRequest(f"arguments.headers has {name[:60]!a}, expected the name of a header field")
        if name.lower() in REFUSED_FIELDS:
            raise BadRequest(f"arguments.headers has {name}, which belongs to each connection and comes by itself")
        if not isinstance(value, str) or not _match_field_value(value) or len(value) > PATH_LIMIT:
            raise BadRequest(f"arguments.headers has a value of {name} that is not fit for a header field")
    return tuple(headers.items())


_Reader = Callable[[Mapping[str, Any]], Arguments]
_READERS: Mapping[str, tuple[tuple[str, ...], _Reader]] = {
    "loglevel": (
        ("logger", "level"),
        lambda members: LogLevel(text_of(members, "logger"), _choice(members, "level", LEVELS, fold=True)),
    ),
    "conf": (("values",), _conf),
    "freeze": (("enabled",), lambda members: Freeze(_boolean(members, "enabled"))),
    "hot_cache": (("enabled",), lambda members: HotCache(_boolean(members, "enabled"))),
    "bypass": (
        ("backend", "bypassed"),
        lambda members: Bypass(text_of(members, "backend"), _boolean(members, "bypassed")),
    ),
    "backend": (("operation", "name"), _backend),
    "cache_clear": (("locations",), _cache_clear),
    "metrics_reset": ((), lambda members: MetricsReset()),
    "run_script": (("script",), _run_script),
    "request": (("method", "path", "headers", "body"), _request),
}
ACTIONS = tuple(_READERS)
