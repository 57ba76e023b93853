# SPDX-License-Identifier: Apache-2.0
"""What a person has chosen to see in the live view, and what each key makes of that. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.fleet.filters import parse_filter
from lmcache_frontend.fleet.snapshot import NodeState

from .columns import SORTABLE, next_sortable, ordered

_LONGEST_FILTER = 200


class View(NamedTuple):
    """What is chosen: ``selected`` and ``opened`` are keys of nodes, ``entry`` is a filter that is being typed.

    ``top`` is the first line shown of what can be moved through: the table, an opened node or the help.
    """

    sort: str = SORTABLE[0]
    reverse: bool = False
    filter_text: str = ""
    entry: str | None = None
    selected: str | None = None
    opened: str | None = None
    paused: bool = False
    helping: bool = False
    top: int = 0
    ended: bool = False

    @property
    def filter_in_force(self) -> str:
        """Give the filter that holds, also while it is being typed."""
        return self.filter_text if self.entry is None else self.entry


class Matching(NamedTuple):
    """The nodes that are shown, in order, and what is wrong with the filter."""

    nodes: list[NodeState]
    fault: str | None = None


def matching(view: View, nodes: Iterable[NodeState]) -> Matching:
    """Give the nodes that match the filter, sorted; a faulty filter matches all of them.

    A term ``label:`` is left to the frontend, which alone knows the labels.
    """
    words = [word for word in view.filter_in_force.split() if not word.startswith("label:")]
    try:
        matches = parse_filter(" ".join(words))
        fault = None
    except BadRequest as exc:
        matches, fault = (lambda _: True), str(exc)
    found = [node for node in nodes if matches(node)]
    return Matching(ordered(found, view.sort, reverse=view.reverse), fault)


def filter_for_frontend(view: View) -> str | None:
    """Give the terms that only the frontend can tell, once they are not being typed any more."""
    words = [word for word in view.filter_text.split() if word.startswith("label:") and word != "label:"]
    return " ".join(words) or None


def pressed(view: View, key: str, shown: Sequence[str], page: int) -> View:
    """Give what a key makes of the view; ``shown`` are the keys of the nodes in the table, in order."""
    if view.entry is not None:
        return _while_typing(view, view.entry, key)
    if key in ("q", "ctrl-c"):
        return view._replace(ended=True)
    if view.helping:
        return view._replace(helping=False, top=0) if key not in _MOVES else _scrolled(view, key, page)
    change = _CHANGES.get(key)
    if change is not None:
        return change(view)
    if view.opened is not None:
        return _in_opened(view, key, shown, page)
    if key in ("enter", "right", "l") and view.selected in shown:
        return view._replace(opened=view.selected, top=0)
    if key == "escape":
        return view._replace(filter_text="")
    return _moved(view, key, shown, page)


def settled(view: View, shown: Sequence[str], page: int) -> View:
    """Keep the selection on a node that is shown, and in sight."""
    if view.opened is not None or view.helping or not shown:
        return view
    selected = view.selected if view.selected in shown else shown[min(view.top, len(shown) - 1)]
    at = shown.index(selected)
    last_top = max(len(shown) - max(page, 1), 0)
    top = min(max(view.top, at - max(page, 1) + 1), at, last_top)
    return view._replace(selected=selected, top=max(top, 0))


def _while_typing(view: View, entry: str, key: str) -> View:
    if key == "enter":
        return view._replace(filter_text=entry.strip(), entry=None, top=0)
    if key in ("escape", "ctrl-c"):
        return view._replace(entry=None)
    if key == "backspace":
        return view._replace(entry=entry[:-1]) if entry else view._replace(entry=None)
    if key == "ctrl-u":
        return view._replace(entry="")
    if key == "ctrl-w":
        return view._replace(entry=" ".join(entry.split()[:-1]))
    if len(key) == 1 and len(entry) < _LONGEST_FILTER:
        return view._replace(entry=entry + key, top=0)
    return view


def _in_opened(view: View, key: str, shown: Sequence[str], page: int) -> View:
    if key in ("escape", "left", "backspace", "h", "enter"):
        return view._replace(opened=None, selected=view.opened, top=0)
    if key in ("n", "N") and view.opened in shown:
        at = shown.index(view.opened) + (1 if key == "n" else -1)
        return view._replace(opened=shown[at % len(shown)], top=0)
    return _scrolled(view, key, page)


def _scrolled(view: View, key: str, page: int) -> View:
    move = _MOVES.get(key)
    # Where the end is, the layout knows.
    return view if move is None else view._replace(top=max(move(view.top, max(page, 1), 1_000_000), 0))


def _moved(view: View, key: str, shown: Sequence[str], page: int) -> View:
    move = _MOVES.get(key)
    if move is None or not shown:
        return view
    at = shown.index(view.selected) if view.selected in shown else 0
    return view._replace(selected=shown[min(max(move(at, max(page, 1), len(shown)), 0), len(shown) - 1)])


_MOVES: Mapping[str, Callable[[int, int, int], int]] = {
    "up": lambda at, page, length: at - 1,
    "k": lambda at, page, length: at - 1,
    "down": lambda at, page, length: at + 1,
    "j": lambda at, page, length: at + 1,
    "page-up": lambda at, page, length: at - page,
    "ctrl-b": lambda at, page, length: at - page,
    "page-down": lambda at, page, length: at + page,
    "ctrl-f": lambda at, page, length: at + page,
    " ": lambda at, page, length: at + page,
    "home": lambda at, page, length: 0,
    "g": lambda at, page, length: 0,
    "end": lambda at, page, length: length - 1,
    "G": lambda at, page, length: length - 1,
}
_CHANGES: Mapping[str, Callable[[View], View]] = {
    "?": lambda view: view._replace(helping=True, top=0),
    "p": lambda view: view._replace(paused=not view.paused),
    "/": lambda view: view._replace(entry=view.filter_text, opened=None, top=0),
    "s": lambda view: view._replace(sort=next_sortable(view.sort), reverse=False),
    ">": lambda view: view._replace(sort=next_sortable(view.sort), reverse=False),
    "<": lambda view: view._replace(sort=next_sortable(view.sort, step=-1), reverse=False),
    "r": lambda view: view._replace(reverse=not view.reverse),
}
HELP: tuple[tuple[str, str], ...] = (
    ("up down, j k", "select a node"),
    ("page-up page-down", "move by a page; space too"),
    ("home end, g G", "move to the first, the last"),
    ("enter", "open the node; escape goes back"),
    ("n N", "in an opened node: the next, the one before"),
    ("s, > <", "sort by the next column, the one before"),
    ("r", "turn the order round"),
    ("/", "filter: words, state: kind: version: proxy: label:"),
    ("escape", "drop the filter"),
    ("p", "pause, go on"),
    ("ctrl-l", "draw the screen anew"),
    ("?", "this help"),
    ("q, ctrl-c", "quit"),
)
