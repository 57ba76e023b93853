# SPDX-License-Identifier: Apache-2.0
"""``freeze`` and ``hot-cache``: two switches that a node has, and how they stand."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from lmcache_frontend.errors import BadGateway, FrontendError, UsageError

from ...command_line import Example
from ...exchange import TooLate
from ..acting import Change, act, add_action_options, confirm
from ..frame import Command, CommandContext, Needs
from ..output import Field
from ..reading import ItemReading, late_words, report, spread
from ..selection import Selection, select
from .facts import show_rows
from .request import channel

_STATES = {"on": True, "off": False}


class Switch(NamedTuple):
    """A switch: its action, the path that tells how it stands, the member of the answer, and words for people."""

    action: str
    path: str
    member: str
    title: str
    lacks: str


FREEZE = Switch("freeze", "/freeze/status", "freeze", "frozen", "this node has no cache to freeze")
HOT_CACHE = Switch("hot_cache", "/hot_cache/status", "hot_cache", "hot cache", "this node has no hot cache to switch")


def run(switch: Switch, options: argparse.Namespace, context: CommandContext) -> int:
    """Turn a switch, or tell how it stands."""
    wanted, words = _state(options.words)
    selection = select(context, words)
    if wanted is None and len(selection.words) == 1:
        wanted = selection.words[0]
    if wanted not in (None, *_STATES) or len(selection.words) > 1:
        raise UsageError(f"expected NODE and on or off, got {' '.join(options.words)!r}")
    if wanted is None:
        return _show(switch, context, selection)
    if switch is HOT_CACHE and wanted == "off" and len(selection.nodes) > 1:
        confirm(context, f"Switch the hot cache off, and so empty it, on {selection.names}?")
    return act(context, selection, Change(switch.action, {"enabled": _STATES[wanted]}))


def _state(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take on or off from before or behind NODE."""
    if words and words[0] in _STATES:
        return words[0], list(words[1:])
    if words and words[-1] in _STATES:
        return words[-1], list(words[:-1])
    return None, list(words)


def _show(switch: Switch, context: CommandContext, selection: Selection) -> int:
    readings = spread(lambda node: _read(switch, context, node.name), selection.nodes)
    fields = (Field("enabled", switch.title),)
    plural = selection._replace(is_plural=True)
    show_rows(context, plural, readings, fields, lambda data: [{"enabled": data}])
    return report(context, readings, selection.nodes)


def _read(switch: Switch, context: CommandContext, name: str) -> ItemReading:
    client, prefix = channel(context, name)
    try:
        answer = client.request("GET", prefix + switch.path)
    except BadGateway as exc:
        return ItemReading(name, "failed", str(exc))
    except TooLate:
        if context.direct is not None:
            raise
        return ItemReading(name, "failed", late_words(context))
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = {}
    stands = document.get(switch.member) if isinstance(document, dict) else None
    if answer.status == 200 and isinstance(stands, bool):
        return ItemReading(name, "ok", None, stands)
    if answer.status in (401, 403):
        raise _refusal(document)
    if answer.status in (404, 405, 503):
        return ItemReading(name, "unsupported", switch.lacks)
    return ItemReading(name, "failed", f"{switch.path} answered {answer.status}")


def _refusal(document: object) -> FrontendError:
    from lmcache_frontend.errors import Forbidden

    detail = document.get("detail") if isinstance(document, dict) else None
    return Forbidden(str(detail or "the frontend does not allow it"))


def _command(switch: Switch, *examples: Example) -> Command:
    return Command("NODE [on|off]", partial(run, switch), examples, add_action_options, needs=Needs.NODES)


COMMANDS = {
    "freeze": _command(
        FREEZE,
        Example("lmcache-proxy freeze kind:worker on", "store nothing more on the workers"),
        Example("lmcache-proxy freeze --all", "which caches are frozen"),
    ),
    "hot-cache": _command(
        HOT_CACHE,
        Example("lmcache-proxy hot-cache worker-0 off", "drop the hot cache of a node, and use none"),
        Example("lmcache-proxy hot-cache kind:worker on --canary", "on one node first"),
    ),
}
