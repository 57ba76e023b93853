# SPDX-License-Identifier: Apache-2.0
"""Which nodes a command is for: NODE as a name, glob or filter, ``--filter``, ``--all``, or the one of ``--direct``.

A name, or one of several with commas, is that of a node (``proxy/node`` for one behind another frontend) or of a
frontend; a glob has ``*``, ``?`` or ``[``; a filter has a term such as ``state:degraded``. Exact names go first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from lmcache_frontend.cluster.model import LOCAL_PROXY
from lmcache_frontend.errors import Conflict, NotFound, UsageError

from .frame import CommandContext

_is_filter = re.compile(r"(^|\s)(state|kind|version|proxy|label):\S").search
is_glob = re.compile(r"[*?\[]").search
_SHOWN_NAMES = 5


class Target(NamedTuple):
    """A node by the name that is unique in the fleet; its level and version are None where they are not known."""

    name: str
    level: str | None = None
    version: str | None = None


class Selection(NamedTuple):
    """The nodes, the words that were left, and whether the wording could mean several nodes."""

    nodes: tuple[Target, ...]
    words: tuple[str, ...]
    is_plural: bool

    @property
    def names(self) -> str:
        """Give the nodes in a few words: by name where they are few."""
        names = [node.name for node in self.nodes]
        return ", ".join(names) if len(names) <= _SHOWN_NAMES else f"{len(names)} nodes"


def key_of(node: Mapping[str, Any]) -> str:
    """Give the unique name of a node of ``/api/fleet``."""
    name, proxy = str(node["name"]), node.get("proxy")
    return name if proxy in (None, LOCAL_PROXY) else f"{proxy}/{name}"


def select(context: CommandContext, words: Sequence[str]) -> Selection:
    """Find the nodes, the first word being NODE where no option says which.

    Raises: UsageError without any; NotFound where nothing matches; Conflict where a name stands for several.
    """
    options = context.options
    given = [flag for flag in ("all", "filter", "direct") if getattr(options, flag, None) not in (None, False)]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]} exclude each other")
    if context.direct is not None:
        return Selection((Target(context.direct.name),), tuple(words), False)
    if given == ["all"]:
        return Selection(_all(context, None), tuple(words), True)
    if given == ["filter"]:
        if not options.filter.strip():
            raise UsageError("--filter: expected words or terms, got an empty text; --all means every node")
        return Selection(_all(context, options.filter), tuple(words), True)
    if not words:
        raise UsageError("which nodes? expected a name, a glob, a filter, --all or --direct ADDRESS")
    nodes, is_plural = _named(context, words[0])
    return Selection(nodes, tuple(words[1:]), is_plural)


def select_one(context: CommandContext, words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Find the one node that is meant; give its name and the words that were left.

    Raises: as `select`; Conflict where there are several.
    """
    selection = select(context, words)
    if len(selection.nodes) != 1:
        raise Conflict(f"expected one node, and {len(selection.nodes)} match: {_few(selection.nodes)}")
    return selection.nodes[0].name, selection.words


def fleet(context: CommandContext, filter_text: str | None = None) -> dict[str, Any]:
    """Read the fleet's state, or of it what matches a filter.

    Raises: ServerError, also for a malformed filter.
    """
    document: dict[str, Any] = context.client.get("/api/fleet", {"filter": filter_text})
    return document


def _known(context: CommandContext, filter_text: str | None = None) -> list[Mapping[str, Any]]:
    """Give the registered nodes, with what the fleet knows of them; with a filter, those of them that match.

    A node that was added or removed just now is still unknown to the fleet, or still known.
    """
    seen = {key_of(node): node for node in fleet(context, filter_text)["nodes"]}
    registered: list[Mapping[str, Any]] = [
        {"name": child["name"], "proxy": proxy["name"]}
        for proxy in context.client.get("/api/nodes")["nodes"]
        for child in proxy.get("children", ())
    ]
    known = [seen.get(key_of(node), node) for node in registered]
    return known if filter_text is None else [node for node in known if "level" in node]


def _all(context: CommandContext, filter_text: str | None) -> tuple[Target, ...]:
    nodes = tuple(_target(node) for node in _known(context, filter_text))
    if not nodes:
        raise NotFound("there is no node" if filter_text is None else f"no node matches {filter_text!r}")
    return nodes


def _named(context: CommandContext, text: str) -> tuple[tuple[Target, ...], bool]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        # A variable that is not set, say, and no wish that nothing be looked at.
        raise UsageError(f"NODE: expected a name, a glob or a filter, got {text!r}")
    known = _known(context)
    exact = _exact(known, text)
    if exact is not None:
        return (exact,), False
    if _is_filter(text):
        return _all(context, text), True
    found: dict[str, Target] = {}
    for part in parts:
        found.update({node.name: node for node in _matching(context, known, part)})
    return tuple(found.values()), len(parts) > 1 or is_glob(text) is not None


def _matching(context: CommandContext, known: Sequence[Mapping[str, Any]], part: str) -> list[Target]:
    exact = _exact(known, part)
    if exact is not None:
        return [exact]
    if is_glob(part):
        matching = [node for node in known if fnmatchcase(key_of(node), part) or fnmatchcase(node["name"], part)]
        if not matching:
            raise NotFound(f"no node's name matches {part!r}")
        return [_target(node) for node in matching]
    proxies = [proxy["name"] for proxy in context.client.get("/api/proxies")["proxies"]]
    if part in proxies and part != LOCAL_PROXY:
        return [Target(part)]
    near = difflib.get_close_matches(part, [key_of(node) for node in known], 3)
    raise NotFound(f"no node is called {part!r}" + (f": did you mean {' or '.join(near)}?" if near else ""))


def _exact(known: Sequence[Mapping[str, Any]], name: str) -> Target | None:
    """Give the node of this full name, or the only one of this name.

    Raises: Conflict, listing the full names.
    """
    by_key = [node for node in known if key_of(node) == name]
    matching = by_key or [node for node in known if node["name"] == name]
    if len(matching) > 1:
        full = ", ".join(f"{node['proxy']}/{node['name']}" for node in matching)
        raise Conflict(f"{name!r} is the name of several nodes, expected one of {full}")
    return _target(matching[0]) if matching else None


def _target(node: Mapping[str, Any]) -> Target:
    return Target(key_of(node), node.get("level"), node.get("version"))


def _few(nodes: Sequence[Target]) -> str:
    names = [node.name for node in nodes[:_SHOWN_NAMES]]
    return ", ".join(names) + (" ..." if len(nodes) > _SHOWN_NAMES else "")
