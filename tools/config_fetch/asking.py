# SPDX-License-Identifier: Apache-2.0
"""Ask a configuration server as a worker does, and read its answer as strictly as a worker's start needs it.

What becomes of the items is decided in `lmcache_frontend.remote_config.application`. Source: ``fetch_remote_config`` in
``lmcache/v1/config_base.py``, 0.3.13 to 0.5.6, and what `requests` does with redirects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin

from lmcache_frontend import __version__
from lmcache_frontend.errors import FrontendError, UsageError
from lmcache_frontend.remote_config.values import kind

from ..exchange import Answer, Url, Wire, exchange, read_url
from .proxies import proxy_for

DEFAULT_VARIABLES = ("LMCACHE_*", "HOSTNAME", "POD_*", "NODE_*")
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10
_SHOWN_CHARACTERS = 200


class BadAnswer(FrontendError):
    """The server answered, but not with configuration; a worker goes on with what it has, or fails at its start."""

    exit_status = 1


class Question(NamedTuple):
    """What is asked of whom; ``app_id`` may be empty."""

    url: Url
    app_id: str
    current_config: Mapping[str, Any]
    variables: Mapping[str, str]
    method: str = "GET"


def sent_variables(environment: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """Give the variables whose name matches one of the patterns."""
    wanted = tuple(patterns)
    return {name: text for name, text in environment.items() if any(fnmatchcase(name, glob) for glob in wanted)}


def ask(
    question: Question, wire: Wire, environment: Mapping[str, str] | None, warn: Callable[[str], None]
) -> list[Any]:
    """Give the items of the answer as they came; ``environment`` names proxies, None is for the straight way.

    Raises: Unreachable, BadGateway, BadAnswer, UsageError.
    """
    url = question.url
    if question.app_id:
        query = urlencode({"appId": question.app_id})
        url = url._replace(query=f"{url.query}&{query}" if url.query else query)
    document = {"current_config": dict(question.current_config), "env_variables": dict(question.variables)}
    # Bare Infinity, as Python writes and reads it: what LMCache would send if its own library let it.
    body: bytes | None = json.dumps(document, default=str).encode()
    method = question.method
    for _ in range(_MOST_REDIRECTS):
        proxy = None if environment is None else proxy_for(url, environment)
        answer = exchange(url, method, _head(body), body, wire._replace(proxy=proxy))
        if answer.status not in _REDIRECTS or "Location" not in answer.fields:
            return _items(answer, url)
        target = _redirected(url, answer.fields["Location"])
        if answer.status not in (307, 308) and body is not None:
            warn(
                f"status {answer.status} leads on to {target.shown}; as with LMCache, configuration and variables are "
                "not sent there, so that rules that ask for them do not match: use that address at once"
            )
            method, body = "GET", None
        url = target
    raise BadAnswer(f"{question.url.shown} leads on more than {_MOST_REDIRECTS} times")


def _head(body: bytes | None) -> dict[str, str]:
    fields = {"Accept": "*/*", "User-Agent": f"lmcache-config-fetch/{__version__}"}
    return fields if body is None else {**fields, "Content-Type": "application/json"}


def _redirected(url: Url, location: str) -> Url:
    """Give where a redirect leads; user information goes only to the very server it was given for."""
    try:
        target = read_url(urljoin(url.text, location.encode("latin-1").decode("utf-8", "replace")), "Location")
    except (UsageError, ValueError) as exc:
        raise BadAnswer(f"{url.shown} leads on to what is no address") from exc
    if url.scheme == "https" and target.scheme == "http":
        raise BadAnswer(f"{url.shown} leads on to {target.shown}, which is not encrypted: not followed")
    is_same = target[:3] == url[:3]
    return target._replace(user_information=url.user_information if is_same else None)


def _items(answer: Answer, url: Url) -> list[Any]:
    """Read an answer.

    Raises: BadAnswer, with what a worker would make of it.
    """
    local = "a worker goes on with its local configuration"
    if answer.status == 403:
        raise BadAnswer(f"{url.shown} denies the configuration: {_detail(answer)}; {local}")
    if not 200 <= answer.status < 300:
        raise BadAnswer(f"{url.shown} answered with status {answer.status}: {_detail(answer)}; {local}")
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError) as exc:
        raise BadAnswer(f"{url.shown} answered with something other than JSON; {local}") from exc
    if not document:
        raise BadAnswer(f'{url.shown} answered {json.dumps(document)}, expected {{"configs": [...]}}; {local}')
    fails = "LMCache fails at its start over this"
    if not isinstance(document, dict):
        raise BadAnswer(f'{url.shown} answered with {kind(document)}, expected {{"configs": [...]}}; {fails}')
    items = document.get("configs")
    if not isinstance(items, list):
        what = f"configs is {kind(items)}" if "configs" in document else "there is no configs"
        raise BadAnswer(f"{url.shown}: {what} in the answer, expected a list")
    for number, item in enumerate(items):
        key = item.get("key") if isinstance(item, dict) else None
        if key and not isinstance(key, str):
            raise BadAnswer(f"{url.shown}: the key of configs[{number}] is {kind(key)}, expected a text; {fails}")
    return items


def _detail(answer: Answer) -> str:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    detail = document.get("detail") if isinstance(document, dict) else None
    text = detail if isinstance(detail, str) else answer.body.decode("utf-8", "replace")
    return " ".join(text.split())[:_SHOWN_CHARACTERS] or answer.reason or "no reason given"
