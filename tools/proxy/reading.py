# SPDX-License-Identifier: Apache-2.0
"""Ask nodes for items, several at once, and say what came of those that gave none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from lmcache_frontend.cluster.adapters.kinds import Identity
from lmcache_frontend.errors import BadGateway

from ..exchange import TooLate
from ..frontend_client import ServerError
from .frame import DONE, FAILURE, UNHEALTHY, UNREACHABLE, CommandContext
from .progress import Bar
from .selection import Target

AT_ONCE = 8
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class ItemReading(NamedTuple):
    """What a node said: ``state`` is ok, unsupported or failed, ``reason`` is in words, ``data`` as on the wire."""

    node: str
    state: str
    reason: str | None = None
    data: Any = None


def node_path(name: str, *parts: str) -> str:
    """Give the path of ``/api/nodes/{name}`` and what is below."""
    return "/".join((f"/api/nodes/{quote(name, safe='')}", *parts))


def spread(
    function: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *,
    at_once: int = AT_ONCE,
    tell: Callable[[int], None] = lambda _: None,
) -> list[_Result]:
    """Call a function for each item, a few at a time, and give the results in the items' order.

    ``tell`` is told how many are done. Ctrl-C is not held up by calls that are under way.
    Raises: what the function raised first.
    """
    if len(items) <= 1:
        return [function(item) for item in items]
    waiting: SimpleQueue[int] = SimpleQueue()
    finished: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()
    for number in range(len(items)):
        waiting.put(number)

    def work() -> None:
        while not waiting.empty():
            try:
                number = waiting.get_nowait()
            except Empty:
                return
            try:
                finished.put((number, function(items[number]), None))
            except BaseException as exc:
                finished.put((number, None, exc))

    for _ in range(min(at_once, len(items))):
        threading.Thread(target=work, daemon=True).start()
    results: dict[int, _Result] = {}
    for _ in items:
        number, result, error = finished.get()
        if error is not None:
            raise error
        results[number] = result
        tell(len(results))
    return [results[number] for number in range(len(items))]


def read_items(context: CommandContext, nodes: Sequence[Target], item: str) -> list[ItemReading]:
    """Read one of the adapters' items of each node, in their order.

    Raises: ServerError where we may not; Unreachable where the frontend, or the node of ``--direct``, is not there.
    """
    direct = context.direct
    if direct is not None:
        return [direct_reading(context, direct.identify(), item)]
    bar = Bar(context.console.err, len(nodes), quiet=context.console.quiet or len(nodes) <= AT_ONCE)
    try:
        return spread(lambda node: read_item(context, node.name, item), nodes, tell=lambda done: bar.show(done, item))
    finally:
        bar.clear()


def direct_reading(context: CommandContext, identity: Identity, item: str) -> ItemReading:
    """Read an item of the node of ``--direct``, whose identity is known."""
    direct = context.direct
    assert direct is not None
    return ItemReading(direct.name, **direct.read(identity, item))


def read_item(context: CommandContext, name: str, item: str) -> ItemReading:
    """Read an item of a node through the frontend.

    Raises: as `read_items`.
    """
    try:
        answer = context.client.get(node_path(name, item))
    except ServerError as exc:
        if exc.status in (401, 403):
            raise
        return ItemReading(name, "failed", str(exc))
    except TooLate:
        return ItemReading(name, "failed", late_words(context))
    try:
        return ItemReading(name, answer["state"], answer.get("reason"), answer.get("data"))
    except (KeyError, TypeError, AttributeError) as exc:
        raise BadGateway(f"{context.client.shown} answered something else: is it a frontend of another kind?") from exc


def late_words(context: CommandContext) -> str:
    """Say that a node kept the frontend waiting: that one answers, or the nodes would not be known."""
    return f"no answer within {context.options.timeout:g} s (--timeout)"


def report(context: CommandContext, readings: Iterable[ItemReading], nodes: Sequence[Target]) -> int:
    """Warn of what could not be read, and give the exit status.

    0 where somebody answered and nobody failed; 4 where some failed; 3 where all are unreachable; else 1.
    """
    given = list(readings)
    for reading in given:
        if reading.state != "ok":
            context.console.warn(f"{reading.node}: {reading.reason or reading.state}")
    good = [reading for reading in given if reading.state == "ok"]
    failed = [reading.node for reading in given if reading.state == "failed"]
    if good:
        return UNHEALTHY if failed else DONE
    levels = {node.name: node.level for node in nodes}
    return UNREACHABLE if failed and all(levels.get(name) == "unreachable" for name in failed) else FAILURE


def unread(readings: Iterable[ItemReading]) -> list[dict[str, Any]]:
    """Give the rows that stand for nodes of which nothing was read, in formats for programs."""
    return [
        {"node": reading.node, "state": reading.state, "reason": reading.reason}
        for reading in readings
        if reading.state != "ok"
    ]
