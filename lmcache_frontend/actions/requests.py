# SPDX-License-Identifier: Apache-2.0
"""Read what is asked for: the body of ``POST /api/fleet/actions`` as an immutable, checked value. Pure.

Unknown members are refused: a misspelt ``dry_run`` would do it all in earnest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from lmcache_frontend.actions.arguments import ACTIONS, Arguments, got, read_arguments
from lmcache_frontend.errors import BadRequest

PARALLEL = 8
MOST_PARALLEL = 64
MOST_NODES = 10_000
LONGEST_TIMEOUT_S = 600.0
NODE_NAME_LIMIT = 500

_MEMBERS = (
    *("action", "nodes", "filter", "arguments"),
    *("dry_run", "parallel", "max_failures", "canary", "timeout_s"),
)


class ActionRequest(NamedTuple):
    """An action on many nodes; either ``nodes`` has names or ``filter`` a text.

    ``timeout_s`` is for each node, None for what is usual of the action. ``max_failures`` of None never stops.
    """

    action: str
    arguments: Arguments
    nodes: tuple[str, ...] = ()
    filter: str = ""
    dry_run: bool = False
    parallel: int = PARALLEL
    max_failures: int | None = None
    canary: bool = False
    timeout_s: float | None = None


def read_request(document: Mapping[str, Any]) -> ActionRequest:
    """Check the body of a request for an action.

    Raises: BadRequest, naming the member, what was got and what was expected.
    """
    for name in document:
        if name not in _MEMBERS:
            raise BadRequest(f"unknown member {name[:40]!a}, expected {', '.join(_MEMBERS)}")
    _check_text(document)
    action = document.get("action")
    if not isinstance(action, str) or action not in ACTIONS:
        raise BadRequest(f"action is {got(action)}, expected one of {', '.join(ACTIONS)}")
    arguments = document.get("arguments", {})
    if not isinstance(arguments, dict):
        raise BadRequest(f"arguments is {got(arguments)}, expected an object")
    nodes, text = _selection(document)
    return ActionRequest(
        action,
        read_arguments(action, arguments),
        nodes,
        text,
        dry_run=_boolean(document, "dry_run"),
        parallel=_number(document, "parallel", MOST_PARALLEL) or PARALLEL,
        max_failures=_number(document, "max_failures", MOST_NODES),
        canary=_boolean(document, "canary"),
        timeout_s=_timeout(document),
    )


def _check_text(document: Mapping[str, Any]) -> None:
    """Refuse what JSON parsers take and nothing can be sent as.

    Raises: BadRequest.
    """
    try:
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as exc:
        raise BadRequest("the body has half of a surrogate pair in a text") from exc
    except ValueError as exc:
        raise BadRequest('the body has a number that is not finite, expected a text such as "Infinity"') from exc


def _selection(document: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    nodes, text = document.get("nodes"), document.get("filter")
    if (nodes is None) == (text is None):
        raise BadRequest("expected either nodes or filter, got " + ("neither" if nodes is None else "both"))
    if nodes is None:
        if not isinstance(text, str) or not text.strip():
            raise BadRequest(f"filter is {got(text)}, expected words and terms, or '*' for every node")
        return (), text
    if not isinstance(nodes, list) or not nodes:
        raise BadRequest(f"nodes is {'an empty list' if nodes == [] else got(nodes)}, expected a list of names")
    if len(nodes) > MOST_NODES:
        raise BadRequest(f"nodes has {len(nodes)} names, at most {MOST_NODES} are taken")
    for name in nodes:
        if not isinstance(name, str) or not 0 < len(name) <= NODE_NAME_LIMIT:
            raise BadRequest(f"nodes has {got(name)}, expected names")
    return tuple(nodes), ""


def _boolean(document: Mapping[str, Any], name: str) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{name} is {got(value)}, expected true or false")
    return value


def _number(document: Mapping[str, Any], name: str, most: int) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BadRequest(f"{name} is {got(value)}, expected a whole number from 1 to {most}")
    return value


def _timeout(document: Mapping[str, Any]) -> float | None:
    value = document.get("timeout_s")
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not 0 < value <= LONGEST_TIMEOUT_S:
        raise BadRequest(f"timeout_s is {got(value)}, expected seconds, more than 0 and at most {LONGEST_TIMEOUT_S:g}")
    return float(value)
