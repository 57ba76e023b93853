# SPDX-License-Identifier: Apache-2.0
"""Requests and answers of simulated nodes, and the routing between them as FastAPI does it, quirks included. Pure.

Source: LMCache 0.5.6, answers of running nodes (FastAPI on uvicorn).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_SERVER = ("server", "uvicorn")
_TRUE = frozenset(("true", "1", "on", "yes", "t", "y"))
_FALSE = frozenset(("false", "0", "off", "no", "f", "n"))

NodeType = TypeVar("NodeType")


class Answer(NamedTuple):
    """One whole response; an empty content type means that the node sends none."""

    status: int
    content_type: str
    body: bytes
    fields: tuple[tuple[str, str], ...] = (_SERVER,)


class Unprocessable(Exception):
    """A parameter that cannot be read as what it should be: 422 with FastAPI's list of details."""

    def __init__(self, kind: str, place: tuple[str, ...], message: str, got: object) -> None:
        """Take pydantic's name of the error, where the parameter is, pydantic's words, and the value."""
        super().__init__(message)
        self.details = [{"type": kind, "loc": list(place), "msg": message, "input": got}]


class Request(NamedTuple):
    """One request: decoded path, parameters of the query and of the path, body and Host."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: bytes
    host: str
    variables: dict[str, str]

    def text(self, name: str) -> str | None:
        """Give the last value of a query parameter."""
        values = self.query.get(name)
        return values[-1] if values else None

    def integer(self, name: str) -> int | None:
        """Give a query parameter as an integer.

        Raises: Unprocessable.
        """
        text = self.text(name)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError:
            words = "Input should be a valid integer, unable to parse string as an integer"
            raise Unprocessable("int_parsing", ("query", name), words, text) from None

    def boolean(self, name: str) -> bool:
        """Give a query parameter as a truth value, false if absent.

        Raises: Unprocessable.
        """
        text = self.text(name)
        if text is None or text.lower() in _FALSE:
            return False
        if text.lower() in _TRUE:
            return True
        words = "Input should be a valid boolean, unable to interpret input"
        raise Unprocessable("bool_parsing", ("query", name), words, text)


def pretty(value: object, status: int = 200) -> Answer:
    """Answer JSON indented by two, as most in-process endpoints do."""
    return Answer(status, JSON, json.dumps(value, indent=2).encode())


def compact(value: object, status: int = 200) -> Answer:
    """Answer JSON without spaces; a number that is not finite is an internal error, as in Starlette."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return internal_error()
    return Answer(status, JSON, text.encode())


def plain(text: str, status: int = 200) -> Answer:
    """Answer text."""
    return Answer(status, TEXT, text.encode())


def plain_json(value: object) -> Answer:
    """Answer indented JSON labelled as text, which may hold bare ``Infinity``."""
    return plain(json.dumps(value, indent=2))


def internal_error() -> Answer:
    """Answer as Starlette does to an exception that nothing caught."""
    return plain("Internal Server Error", 500)


Handler = Callable[[NodeType, Request], Answer]


class Router(Generic[NodeType]):
    """Which function answers which method and path; in a path ``{name}`` stands for one segment."""

    def __init__(self, routes: Iterable[tuple[str, str, Handler[NodeType]]]) -> None:
        """Take the routes in order: the first method of a path is the one that ``Allow`` names."""
        self.paths: dict[str, dict[str, Handler[NodeType]]] = {}
        for method, path, handler in routes:
            self.paths.setdefault(path, {})[method] = handler
        self._patterns = [
            (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), methods)
            for path, methods in self.paths.items()
            if "{" in path
        ]

    def answer(self, node: NodeType, method: str, target: tuple[str, str], body: bytes, host: str) -> Answer:
        """Answer a request; ``target`` is the raw path and the raw query."""
        path, query = unquote(target[0]), target[1]
        found = self._find(path)
        if found is None:
            return self._redirect(path, query, host)
        methods, variables = found
        handler = methods.get(method)
        if handler is None:
            return compact({"detail": "Method Not Allowed"}, 405)._replace(
                fields=(_SERVER, ("allow", next(iter(methods))))
            )
        parameters: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            parameters.setdefault(name, []).append(value)
        try:
            return handler(node, Request(method, path, parameters, body, host, variables))
        except Unprocessable as exc:
            return compact({"detail": exc.details}, 422)

    def _find(self, path: str) -> tuple[dict[str, Handler[NodeType]], dict[str, str]] | None:
        methods = self.paths.get(path)
        if methods is not None and "{" not in path:
            return methods, {}
        for pattern, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                return methods, match.groupdict()
        return None

    def _redirect(self, path: str, query: str, host: str) -> Answer:
        """Send a path with a slash too many to the one without, by its full address, as Starlette does."""
        stripped = path.rstrip("/")
        if stripped in ("", path) or self._find(stripped) is None:
            return compact({"detail": "Not Found"}, 404)
        location = f"http://{host}{stripped}" + (f"?{query}" if query else "")
        return Answer(307, "", b"", (_SERVER, ("location", location)))


def read_json(body: bytes) -> Any:
    """Read a JSON body, bare ``Infinity`` and ``NaN`` included.

    Raises: ValueError with the words that a node passes on.
    """
    return json.loads(body.decode())
