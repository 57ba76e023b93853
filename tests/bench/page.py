# SPDX-License-Identifier: Apache-2.0
"""The rows of the page: what 1,000 nodes cost the browser, what a redraw of 12 charts does, and what is loaded first.

Everything is timed in the page itself, by a script that is there before those of the page. Leaves the browser to
`tests.helpers.webdriver`, the servers to `fleet`.
"""

from __future__ import annotations

import sys
from statistics import median
from typing import Any, NamedTuple

from tests.bench.fleet import frontend_with_demo
from tests.bench.processes import HOST, MeasureError
from tests.bench.report import Budget, Line
from tests.bench.rows import Plan
from tests.helpers.webdriver import Browser, browsing, running_driver

_NODES = 1000
_CHARTS = 12
_SIZE = (1440, 900)
_KB = 1000
_FIRST_ROW = Budget(floor=500.0, goal=500.0, more_is_better=False, of_ratio=False)
_UPDATE = Budget(floor=50.0, goal=50.0, more_is_better=False, of_ratio=False)
_REDRAW = Budget(floor=16.0, goal=16.0, more_is_better=False, of_ratio=False)
_LOAD = Budget(floor=120.0, goal=60.0, more_is_better=False, of_ratio=False)

# Notes when the first row of the list is laid out, and for each event of the stream how long it kept the page busy: the
# handler, all that it has drawn in the next two frames, and the layout.
_WATCH = """
(() => {
  const seen = window.watched = { firstRow_ms: null, updates: [], longest_ms: 0 };
  const frame = window.requestAnimationFrame.bind(window);
  let current = null;
  const timed = (act) => {
    const began = performance.now();
    act();
    if (current) current.ms += performance.now() - began;
  };
  window.requestAnimationFrame = (callback) => frame((at) => timed(() => callback(at)));
  const layout = () => void document.documentElement.offsetHeight;
  const add = EventSource.prototype.addEventListener;
  EventSource.prototype.addEventListener = function (type, hear, ...rest) {
    if (type !== "snapshot") return add.call(this, type, hear, ...rest);
    return add.call(this, type, (event) => {
      const update = current = { ms: 0, bytes: event.data.length };
      timed(() => hear(event));
      frame(() => {
        timed(layout);
        frame(() => frame(() => { if (current === update) current = null; seen.updates.push(update); }));
      });
    }, ...rest);
  };
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) seen.longest_ms = Math.max(seen.longest_ms, duration);
  }).observe({ type: "longtask" });
  new MutationObserver((_, observer) => {
    if (!document.querySelector("[role=row][data-key]")) return;
    layout();
    seen.firstRow_ms = performance.now();
    observer.disconnect();
  }).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-key"] });
})();
"""
# What was fetched for the page itself, once each, with the heads; what its data are is no part of the page.
_LOADED = """
const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
const own = new Map(), foreign = [];
for (const { name, transferSize } of entries) {
  const address = new URL(name);
  if (address.origin !== location.origin) foreign.push(name);
  else if (!address.pathname.startsWith("/api/")) own.set(name, Math.max(own.get(name) ?? 0, transferSize));
}
return { bytes: [...own.values()].reduce((sum, size) => sum + size, 0), files: own.size, foreign: foreign.length };
"""
# Charts of three lines over a quarter of an hour, in a page of their own; the pixels are asked for, so that they are
# drawn within the time that is measured.
_CHART_REDRAWS = """
const [count, rounds, done] = arguments;
const run = async () => {
  const { lineChart } = await import(new URL("static/js/chart.js", document.baseURI));
  const make = (name, given) => Object.assign(document.createElement(name), given);
  document.head.append(make("link", { rel: "stylesheet", href: "static/css/charts.css" }));
  const root = make("div", { className: "charts" });
  document.getElementById("main").replaceChildren(root);
  const value = (line, turn, step) => (step % 31 === 7 ? null : 50 + 40 * Math.sin((step + turn * 9) / (5 + line)));
  const series = (turn) => ["--series-1", "--series-2", "--series-3"].map((colour, line) => ({
    name: `line ${line}`, colour,
    values: Array.from({ length: 90 }, (_, step) => value(line, turn, step)),
  }));
  const given = { title: "Chart", unit: "tokens/s", start: 1.8e9, step_s: 10, from_zero: true, format: String };
  const charts = Array.from({ length: count }, () => lineChart(root, { ...given, series: series(0) }));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const found = [];
  for (let round = 1; round <= rounds; round += 1) {
    const data = { series: series(round), start: 1.8e9 + round * 10 };
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const began = performance.now();
    for (const chart of charts) { chart.update(data); chart.paint(); }
    const drawn = performance.now() - began;
    for (const canvas of root.querySelectorAll("canvas")) await createImageBitmap(canvas, 0, 0, 1, 1);
    found.push([drawn, performance.now() - began]);
  }
  return root.isConnected ? found : "another view took their place";
};
run().then(done, (error) => done(String(error)));
"""


class Opened(NamedTuple):
    """A first visit with an empty cache: milliseconds to the first row, what was loaded, and the events since."""

    first_row_ms: float
    loaded: dict[str, int]
    updates_ms: tuple[float, ...]
    event_bytes: int
    longest_ms: float


def page(plan: Plan) -> list[Line]:
    """1,000 nodes in the page: the first row, an update; 12 charts; the first load."""
    with frontend_with_demo(plan, _NODES) as ours, running_driver() as driver, browsing(driver) as browser:
        browser.resize(*_SIZE)
        browser.cdp("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        address = f"http://{HOST}:{ours.port}/"
        visits = []
        for number in range(1, plan.rounds + 1):
            _say(f"visit {number} of {plan.rounds}")
            visits.append(_visit(browser, address))
        redraws = _redraws(browser, address, plan.rounds)
    return _lines(visits, redraws)


def _lines(visits: list[Opened], redraws: list[tuple[float, float]]) -> list[Line]:
    name = f"page, {_NODES:,} nodes"
    updates = tuple(update for visit in visits for update in visit.updates_ms)
    note = f"largest {max(updates):.0f} ms; an event has {visits[0].event_bytes / 1e3:,.0f} KB"
    loaded = visits[0].loaded
    drawn = tuple(drawn for drawn, _ in redraws)
    seen = median(seen for _, seen in redraws)
    return [
        Line(f"{name}: first row", "ms", _FIRST_ROW, ours=tuple(visit.first_row_ms for visit in visits)),
        Line(f"{name}: an update", "ms", _UPDATE, ours=updates, note=note),
        Line(f"page, {_CHARTS} charts: redraw", "ms", _REDRAW, ours=drawn, note=f"{seen:.1f} ms until they are seen"),
        Line(
            "page, first load, compressed",
            "KB",
            _LOAD,
            ours=tuple(visit.loaded["bytes"] / _KB for visit in visits),
            ours_errors=loaded["foreign"],
            note=f"{loaded['files']} files; errors are requests to other hosts",
        ),
    ]


def _visit(browser: Browser, address: str) -> Opened:
    browser.open("about:blank")
    browser.cdp("Network.enable")
    browser.cdp("Network.clearBrowserCache")
    browser.open(address)
    first_row_ms = browser.wait(lambda: browser.run("return watched.firstRow_ms"), "the first row")
    loaded = browser.run(_LOADED)

    def updates() -> Any:
        """Give the events with more than half of the nodes, after the first, which has all."""
        first, *rest = browser.run("return watched.updates") or [{"bytes": 0}]
        large = [update["ms"] for update in rest if update["bytes"] > first["bytes"] / 2]
        return (first["bytes"], large) if large else None

    event_bytes, updates_ms = browser.wait(updates, "an update of most nodes", 40)
    longest_ms = float(browser.run("return watched.longest_ms"))
    return Opened(float(first_row_ms), loaded, tuple(updates_ms), int(event_bytes), longest_ms)


def _redraws(browser: Browser, address: str, rounds: int) -> list[tuple[float, float]]:
    _say(f"{_CHARTS} charts")
    # The view that opens puts itself in the place of all else: it has to be there before the charts.
    browser.open("about:blank")
    browser.open(f"{address}#/manage")
    browser.wait(lambda: browser.run("return document.querySelector('h1')?.textContent === 'Manage'"), "the place")
    found = browser.command("POST", "execute/async", {"script": _CHART_REDRAWS, "args": [_CHARTS, 10 * rounds]})
    if isinstance(found, str):
        raise MeasureError(f"the charts could not be drawn: {found}")
    return [(float(drawn), float(seen)) for drawn, seen in found]


def _say(text: str) -> None:
    print(f"page: {text}", file=sys.stderr, flush=True)
