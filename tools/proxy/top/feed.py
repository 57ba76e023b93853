# SPDX-License-Identifier: Apache-2.0
"""What the live view shows, asked of the frontend beside it, so that keys never wait for an answer.

The newest is always one immutable value, taken by whoever draws; what is wanted is told the same way.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from lmcache_frontend.errors import BadGateway, FrontendError
from lmcache_frontend.fleet.snapshot import FleetSnapshot

from ...frontend_client import FrontendClient
from ..snapshots import read_snapshot, value_of
from .layout import NO_SERIES, TREND_FIGURE, Series
from .pages import CHARTS

HISTORY_S = 1800.0
MOST_VALUES = 180
# Nodes whose past is asked for in one round, so that a large fleet is asked gently.
PASTS_A_ROUND = 8
_FLEET_FIGURES = ("lookup_hit_rate", TREND_FIGURE)


class Wanted(NamedTuple):
    """What is looked at: a filter for the frontend, the node that is opened, the nodes of the table in sight."""

    filter_text: str | None = None
    opened: str | None = None
    visible: tuple[str, ...] = ()


class News(NamedTuple):
    """The newest; ``received_at`` is of the monotonic clock, ``trouble`` is why there is nothing newer."""

    snapshot: FleetSnapshot
    received_at: float
    fleet_series: Series = NO_SERIES
    series: Mapping[str, Series] = {}
    trouble: str | None = None


class Feed:
    """Asks every few seconds, on a thread of its own, and tells when there is something new."""

    def __init__(self, client: FrontendClient, interval_s: float) -> None:
        self._client = client
        self._interval_s = interval_s
        self._again = threading.Event()
        self._wanted = Wanted()
        self._etag: str | None = None
        self._ended = False
        self._news: News | None = None

    @property
    def news(self) -> News:
        """Give the newest there is; `ask_first` must have been called."""
        assert self._news is not None
        return self._news

    def ask_first(self, wanted: Wanted) -> None:
        """Ask for the fleet before anything is shown.

        Raises: FrontendError where that fails, as nothing can be shown then.
        """
        self._wanted = wanted
        snapshot = self._snapshot(wanted)
        assert snapshot is not None
        self._news = News(snapshot, time.monotonic())

    def start(self, tell: Callable[[], None]) -> None:
        """Begin to ask; ``tell`` is called when there is something new."""
        threading.Thread(target=self._run, args=(tell,), name="feed", daemon=True).start()

    def end(self) -> None:
        """Ask no more; what is being asked right now is left to itself."""
        self._ended = True
        self._again.set()

    def want(self, wanted: Wanted) -> None:
        """Say what is looked at; what is new in that is asked for at once."""
        before, self._wanted = self._wanted, wanted
        if (wanted.opened, wanted.filter_text) != (before.opened, before.filter_text):
            self._again.set()

    def _run(self, tell: Callable[[], None]) -> None:
        while not self._ended:
            news = self._asked(self.news, self._wanted)
            if self._ended:
                return
            self._news = news
            tell()
            self._again.wait(self._interval_s)
            self._again.clear()

    def _asked(self, before: News, wanted: Wanted) -> News:
        try:
            snapshot = self._snapshot(wanted)
            news = before._replace(trouble=None)
            if snapshot is not None:
                series = extended(before, snapshot)
                news = News(snapshot, time.monotonic(), before.fleet_series, series)
            if snapshot is not None or not before.fleet_series:
                news = news._replace(fleet_series=self._past(None, _FLEET_FIGURES))
            return news._replace(series=self._with_pasts(news, wanted, renewed=snapshot is not None))
        except FrontendError as exc:
            return before._replace(trouble=str(exc))
        except Exception as exc:
            # A traceback on the screen would help nobody, and the next round may go well.
            return before._replace(trouble=f"cannot show what {self._client.shown} answered: {type(exc).__name__}")

    def _snapshot(self, wanted: Wanted) -> FleetSnapshot | None:
        """Ask for the fleet; None where it is still as it was."""
        fields = {"If-None-Match": self._etag} if self._etag and wanted.filter_text is None else {}
        query = {"filter": wanted.filter_text}
        answer = self._client.request("GET", "/api/fleet", fields=fields, query=query)
        if answer.status == 304 and fields:
            return None
        if answer.status != 200:
            # Once more, as that knows all about what a refusal means.
            return read_snapshot(self._client.get("/api/fleet", query))
        self._etag = answer.fields.get("ETag") if wanted.filter_text is None else None
        try:
            return read_snapshot(json.loads(answer.body))
        except ValueError as exc:
            raise BadGateway(f"{self._client.shown} answered with something other than JSON") from exc

    def _with_pasts(self, news: News, wanted: Wanted, *, renewed: bool) -> dict[str, Series]:
        """Give the series with the past of nodes that are looked at for the first time."""
        series = dict(news.series)
        opened = wanted.opened
        if opened is not None and opened in news.snapshot.nodes:
            is_known = len(series.get(opened, ())) == len(CHARTS)
            if renewed or not is_known:
                series[opened] = self._past(opened, [chart.figure for chart in CHARTS])
        unknown = [key for key in wanted.visible if key in news.snapshot.nodes and key not in series]
        for key in unknown[:PASTS_A_ROUND]:
            series[key] = self._past(key, (TREND_FIGURE,))
        if len(unknown) > PASTS_A_ROUND:
            self._again.set()
        return series

    def _past(self, key: str | None, figures: Iterable[str]) -> Series:
        """Ask for figures over the last while; none of a node that has no such figures."""
        path = "/api/fleet/series" if key is None else f"/api/nodes/{quote(key, safe='')}/series"
        query = {"name": ",".join(figures), "since": f"{time.time() - HISTORY_S:.0f}"}
        answer = self._client.request("GET", path, query=query)
        if answer.status != 200:
            return NO_SERIES
        try:
            return read_series(json.loads(answer.body))
        except (AttributeError, KeyError, TypeError, ValueError):
            return NO_SERIES


def read_series(document: Any) -> dict[str, list[float | None]]:
    """Read an answer with series; where the newest value is not there yet, it is left out."""
    result = {}
    for name, values in document["series"].items():
        known = [float(value) if isinstance(value, (int, float)) else None for value in values]
        result[str(name)] = (known[:-1] if known and known[-1] is None else known)[-MOST_VALUES:]
    return result


def extended(before: News, after: FleetSnapshot) -> dict[str, Series]:
    """Give the series of the nodes that are still there, with the values of a newer snapshot."""
    result: dict[str, Series] = {}
    for key, series in before.series.items():
        node = after.nodes.get(key)
        if node is not None:
            result[key] = {
                name: [*values[1 - MOST_VALUES :], value_of(node.figures, name)] for name, values in series.items()
            }
    return result
