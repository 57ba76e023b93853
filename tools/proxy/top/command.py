# SPDX-License-Identifier: Apache-2.0
"""``top``: the fleet live on the full screen. What is shown is laid out elsewhere; here it is kept up to date."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

from lmcache_frontend.errors import BadRequest, UsageError
from lmcache_frontend.fleet.filters import parse_filter

from ...command_line import Example
from ...connection import seconds
from ...terminal import Terminal
from ..amounts import Glyphs, glyphs_for
from ..frame import DONE, PROGRAM, Command, CommandContext
from .columns import SORTABLE
from .feed import Feed, News, Wanted
from .full_screen import FullScreen, taken_over
from .layout import LEAST_COLUMNS, LEAST_ROWS, Layout, Shown, fleet_layout, too_small
from .pages import help_layout, last_top, node_layout
from .screen import Size, painted_line
from .view import View, filter_for_frontend, matching, pressed, settled

# How often the age of what is shown is told anew.
_TICK_S = 1.0
_LEAST_INTERVAL_S = 0.5


class NoTerminal(UsageError):
    """There is no terminal to take over."""


class Look(NamedTuple):
    """How things look: where they are from, what they are drawn with, and whether in colour."""

    server: str
    glyphs: Glyphs
    colored: bool


class Top:
    """The live view while it runs."""

    def __init__(self, screen: FullScreen, feed: Feed, look: Look, view: View) -> None:
        self._screen = screen
        self._feed = feed
        self._look = look
        self._view = view
        self._page = 1
        self._held: News | None = None

    def run(self) -> None:
        """Show and react until the person has had enough."""
        self._feed.start(self._screen.wake)
        try:
            while not self._view.ended:
                self._draw()
                for key in self._screen.wait(_TICK_S).keys:
                    self._press(key)
        except EOFError:
            # Nobody is there to see anything.
            return
        finally:
            self._feed.end()

    def _shown(self) -> Shown:
        if not self._view.paused:
            self._held = None
        elif self._held is None:
            self._held = self._feed.news
        news = self._held or self._feed.news
        age_s = time.monotonic() - news.received_at
        return Shown(self._look.server, news.snapshot, age_s, news.fleet_series, news.series, news.trouble)

    def _draw(self) -> None:
        size, shown = self._screen.size, self._shown()
        layout = self._layout(shown, size)
        if layout.page != self._page:
            # A page of another height can move what is in sight.
            self._page = layout.page
            layout = self._layout(shown, size)
        colored = self._look.colored
        self._screen.draw([painted_line(line, size.columns, colored=colored) for line in layout.lines])

    def _layout(self, shown: Shown, size: Size) -> Layout:
        if size.columns < LEAST_COLUMNS or size.rows < LEAST_ROWS:
            return too_small(size)
        view, glyphs = self._view, self._look.glyphs
        if view.helping or view.opened is not None:
            self._view = view = view._replace(top=min(view.top, last_top(view, shown, size, glyphs)))
            return help_layout(view, shown, size) if view.helping else node_layout(view, shown, size, glyphs)
        keys = [node.key for node in matching(view, shown.snapshot.nodes.values()).nodes]
        self._view = view = settled(view, keys, self._page)
        self._feed.want(Wanted(filter_for_frontend(view), None, tuple(keys[view.top : view.top + self._page])))
        return fleet_layout(view, shown, size, glyphs)

    def _press(self, key: str) -> None:
        if key == "ctrl-l":
            self._screen.forget()
            return
        view = self._view
        keys = [node.key for node in matching(view, self._shown().snapshot.nodes.values()).nodes]
        self._view = pressed(view, key, keys, self._page)
        if self._view.opened != view.opened and self._view.opened is not None:
            self._feed.want(Wanted(filter_for_frontend(view), self._view.opened))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what is this command's own."""
    parser.add_argument("words", nargs="*", metavar="FILTER", help="show the nodes that match; / changes it")
    parser.add_argument("--sort", choices=SORTABLE, default=SORTABLE[0], help=f"default: {SORTABLE[0]}")
    parser.add_argument("--reverse", action="store_true", help="turn the order round")
    parser.add_argument("--interval", metavar="SECONDS", type=seconds, default=2.0, help="how often to ask; default: 2")


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Show the fleet until the person quits.

    Raises: NoTerminal; FrontendError where the frontend does not answer from the start.
    """
    _check_terminal(context.console.out, context.environment)
    filter_text = " ".join(options.words)
    try:
        parse_filter(filter_text)
    except BadRequest as exc:
        raise UsageError(str(exc)) from exc
    view = View(sort=options.sort, reverse=options.reverse, filter_text=filter_text)
    feed = Feed(context.client, max(options.interval, _LEAST_INTERVAL_S))
    feed.ask_first(Wanted(filter_for_frontend(view)))
    out = context.console.out
    look = Look(context.client.shown, glyphs_for(getattr(out.stream, "encoding", None)), out.colored)
    out.stream.flush()
    with taken_over(sys.stdin.fileno(), out.stream.fileno()) as screen:
        Top(screen, feed, look, view).run()
    return DONE


def _check_terminal(out: Terminal, environment: Mapping[str, str]) -> None:
    instead = f"`{PROGRAM} nodes` shows the same once, `{PROGRAM} nodes --watch` again and again"
    if not out.interactive or not os.isatty(0):
        missing = "its output" if not out.interactive else "its input"
        raise NoTerminal(f"top needs a terminal, and {missing} is none; {instead}")
    if environment.get("TERM", "") in ("", "dumb"):
        raise NoTerminal(
            f"top needs a terminal that can move its cursor, and TERM says that this one cannot; {instead}"
        )


COMMANDS = {
    "top": Command(
        "[FILTER ...]",
        run,
        (
            Example(f"{PROGRAM} top", "the whole fleet; ? shows the keys"),
            Example(f"{PROGRAM} top kind:worker --sort evict", "the workers, those first that evict most"),
        ),
        configure,
        formats=(),
        description=(
            "Show the fleet live on the full screen: hit rate, tokens a second, fill, evictions, states. Nodes can be\n"
            "sorted, filtered and opened; the terminal is given back as it was, whatever ends this."
        ),
    )
}
