# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""Charts, heat strip, and the tabs made of them, in a real browser: what is drawn, read out, searched and kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.heavy.browser_fixtures import browser, page  # noqa: F401
from tests.helpers.dashboard import add_node, ask, delete_node, running_frontend
from tests.helpers.hostile_node import hostile_node
from tests.helpers.webdriver import Browser

WORKER, SERVER, SCHEDULER = "demo_worker0", "demo_mp0", "demo_scheduler"
LEFT, RIGHT, DOWN, END, HOME, ESCAPE, ENTER = "\ue012", "\ue014", "\ue015", "\ue010", "\ue011", "\ue00c", "\ue007"

# A place for parts of the page alone, without a view around them.
STAGE = """
const { lineChart, createCursor } = await import(new URL("static/js/chart.js", document.baseURI));
const { heatStrip, SCALES } = await import(new URL("static/js/heat.js", document.baseURI));
const root = document.createElement("div");
root.className = "charts";
document.getElementById("main").replaceChildren(root);
const frame = { start: 1795305600, step_s: 10, format: (value) => `${value} things` };
window.pixelsOf = (canvas, ...box) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  return copy.getImageData(...box);
};
const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
"""


@pytest.fixture(scope="module")
def lively() -> Iterator[str]:
    """A frontend that asks its nodes so often that there is history at once."""
    with running_frontend("--demo", "8", "--poll-interval", "1") as address:
        yield address


def stage(page: Browser, address: str, script: str, *arguments: Any) -> Any:
    """Open the page, run a script beside it with nothing else in the way, and give what it returns."""
    page.open(f"{address}#/no-such-place")
    page.find(".notice-warn")
    page.run(
        "const link = document.createElement('link'); link.rel = 'stylesheet'; link.href = 'static/css/charts.css';"
        "return new Promise((done) => { link.onload = done; document.head.append(link); })"
    )
    return page.run(f"return (async (...given) => {{ {STAGE} {script} }})(...arguments)", *arguments)


def legend(page: Browser, place: int = 0) -> list[str]:
    """What the legend of a chart says: `["name value", ...]`."""
    return list(
        page.run(
            "return [...document.querySelectorAll('.chart')[arguments[0]].querySelectorAll('.chart-legend > div')]"
            ".map((one) => `${one.querySelector('dt').textContent} ${one.querySelector('dd').textContent}`)",
            place,
        )
    )


def point_at(page: Browser, css: str, share: float, down: float = 0.5, kind: str = "pointermove") -> None:
    """Move the mouse over an element, to a share of its width and height."""
    page.run(
        "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        "document.querySelector(arguments[0]).dispatchEvent(new PointerEvent(arguments[3], {bubbles: true,"
        "pointerType: 'mouse', clientX: box.left + box.width * arguments[1],"
        "clientY: box.top + box.height * arguments[2]}))",
        css,
        share,
        down,
        kind,
    )


TWO_CHARTS = """
const cursor = createCursor();
const series = (values) => [{ name: "one", colour: "--series-1", values }, { name: "two", colour: "--series-2",
  values: values.map((value) => (value === null ? null : value * 2)) }];
const gaps = [1, 2, null, 4, null, null, null, null, null, 10];
lineChart(root, { ...frame, cursor, title: "First", series: series(gaps) });
lineChart(root, { ...frame, cursor, title: "Second", series: series([5, 5, 5, 5, 5, 5, 5, 5, 5, 7]) });
await painted();
"""


@pytest.mark.parametrize("ratio", [1, 1.5, 2])
def test_canvas_has_every_pixel_of_the_screen(page: Browser, lively: str, ratio: float) -> None:
    page.cdp("Emulation.setDeviceMetricsOverride", width=1280, height=800, deviceScaleFactor=ratio, mobile=False)
    stage(page, lively, TWO_CHARTS)
    sizes = "const one = document.querySelector('canvas'); return [one.width, one.clientWidth, one.height]"
    wide, width, high = page.run(sizes)
    assert (wide, high) == (int(width * ratio + 0.5), int(140 * ratio + 0.5))
    page.cdp("Emulation.setDeviceMetricsOverride", width=700, height=800, deviceScaleFactor=ratio, mobile=False)
    page.wait(lambda: page.run(sizes)[0] not in (0, wide), "the size of a narrower page")
    wide, width, _ = page.run(sizes)
    assert wide == int(width * ratio + 0.5)


def test_gaps_are_left_open_and_lone_values_are_dots(page: Browser, lively: str) -> None:
    drawn = """
    const values = [5, 5, 5, null, null, null, null, 5, null, null, 5, 5];
    lineChart(root, { ...frame, title: "Gaps", max: 10, series: [{ name: "one", colour: "--series-1", values }] });
    await painted();
    const canvas = root.querySelector("canvas");
    const probe = document.createElement("i");
    probe.style.setProperty("color", "var(--series-1)");
    root.append(probe);
    const wanted = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
    const { data, width } = pixelsOf(canvas, 0, 0, canvas.width, canvas.height);
    const columns = new Set();
    for (let at = 0; at < data.length; at += 4) {
      const near = wanted.every((part, place) => Math.abs(data[at + place] - part) < 40) && data[at + 3] > 200;
      if (near) columns.add((at / 4) % width);
    }
    const step = (canvas.width - 56 - 10) / 12;
    return Array.from({ length: 12 }, (_none, index) =>
      [...columns].some((x) => Math.abs(x - (56 + (index + 0.5) * step)) < 3));
    """
    gap = [False] * 4
    assert stage(page, lively, drawn) == [True, True, True, *gap, True, False, False, True, True]


def test_hover_reads_the_nearest_values_in_all_charts(page: Browser, lively: str) -> None:
    stage(page, lively, TWO_CHARTS)
    assert legend(page) == ["one 10 things", "two 20 things"]
    # Over the third step, which is a gap: the nearest value is the second's or the fourth's.
    page.run("document.querySelector('.chart-plot').setAttribute('data-test', 'first')")
    point_at(page, "[data-test=first]", 0.30)
    assert legend(page) in (["one 2 things", "two 4 things"], ["one 4 things", "two 8 things"])
    assert legend(page, 1) == ["one 5 things", "two 10 things"]
    assert len(page.all(".chart-cursor:not([hidden])")) == 2
    assert len(page.all(".chart-dot:not([hidden])")) == 4
    assert {element.text for element in page.all(".chart-time")} == {page.all(".chart-time")[0].text} != {""}
    # In the midst of a gap there is nothing near, and nothing is made up.
    point_at(page, "[data-test=first]", 0.62)
    assert legend(page) == ["one \u2013", "two \u2013"]
    point_at(page, "[data-test=first]", 0.62, kind="pointerleave")
    assert legend(page, 1) == ["one 7 things", "two 14 things"]
    assert not page.all(".chart-cursor:not([hidden])")


def test_keyboard_reads_value_by_value(page: Browser, lively: str) -> None:
    stage(page, lively, TWO_CHARTS)
    plot = page.find(".chart-plot")
    plot.type(HOME)
    assert legend(page) == ["one 1 things", "two 2 things"]
    plot.type(RIGHT + RIGHT)
    assert "one no value" in str(plot.attribute("aria-valuetext"))
    plot.type(RIGHT)
    assert plot.attribute("aria-valuenow") == "3"
    assert re.match(r"(\d+ \w+, )?\d\d:\d\d:\d\d: one 4 things, two 8 things$", str(plot.attribute("aria-valuetext")))
    assert legend(page, 1) == ["one 5 things", "two 10 things"]
    plot.type(END + LEFT + RIGHT)
    assert legend(page) == ["one 10 things", "two 20 things"]
    plot.type(ESCAPE)
    assert not page.all(".chart-cursor:not([hidden])")
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_axes(page: Browser, lively: str) -> None:
    axes = """
    const { axis, timeTicks, runsOf } = await import(new URL("static/js/scale.js", document.baseURI));
    return { zero: axis([420, 480], {}).marks, free: axis([420, 480], { from_zero: false }).marks,
      share: axis([0.4, 0.6], { max: 1 }).marks, bytes: axis([3 * 2 ** 30], { unit: "bytes", max: 8 * 2 ** 30 }).marks,
      idle: axis([0, 0], {}).high, none: axis([], {}).high, below: axis([-5, 5], {}).low, tiny: axis([2e-7], {}).marks,
      runs: runsOf([null, 1, 1, null, 1]), times: timeTicks(1795305600, 1795305600 + 900, 5),
      days: timeTicks(1795305600, 1795305600 + 7 * 86400, 4).length };
    """
    found = stage(page, lively, axes)
    assert found["zero"] == [0, 200, 400, 600]
    assert found["free"][0] >= 400
    assert found["share"] == [0, 0.25, 0.5, 0.75, 1]
    assert found["bytes"] == [n * 2**31 for n in range(5)]
    assert found["idle"] == found["none"] == 1
    assert found["below"] == -5
    assert found["tiny"][-1] == pytest.approx(2e-7)
    assert found["runs"] == [[1, 2], [4, 4]]
    assert all(time % 300 == 0 for time in found["times"])
    assert 3 <= len(found["times"]) <= 5
    assert 1 <= found["days"] <= 5


def test_colours_follow_the_theme(page: Browser, lively: str) -> None:
    stage(page, lively, TWO_CHARTS)
    colours = """
    const canvas = document.querySelector("canvas");
    const { data } = pixelsOf(canvas, 60, 0, canvas.width - 70, canvas.height - 30);
    let sum = 0;
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 250) sum += data[at] + data[at + 1] + data[at + 2];
    return sum
    """
    light = page.run(colours)
    page.find("#theme").choose("dark")
    page.wait(lambda: page.run(colours) != light, "the colours of the dark theme")
    page.find("#theme").choose("light")
    page.wait(lambda: page.run(colours) == light, "the colours of the light theme")
    page.find("#theme").choose("system")


HEAT = """
root.className = "";
const rows = Array.from({ length: given[0] }, (_none, index) => ({ key: `key-${index}`, name: `node ${index}` }));
const values = rows.map((_row, index) => Array.from({ length: 90 }, (_none, step) => (step === 89 ? null : index % 5)));
heatStrip(root, { label: "State", rows, values, start: 1795305600, step_s: 10, scale: SCALES.level,
  format: (value) => ["down", "odd", "bad", "fair", "well"][value], onPick: (row) => { window.picked = row.key; } });
await painted();
const canvas = root.querySelector("canvas");
const pixels = pixelsOf(canvas, 2, 0, 1, canvas.height).data;
const seen = new Set();
for (let at = 0; at < pixels.length; at += 4) seen.add(pixels.slice(at, at + 4).join());
return { colours: seen.size, height: canvas.clientHeight, words: root.querySelector(".heat-legend").textContent };
"""


@pytest.mark.parametrize("count", [7, 1000])
def test_heat_strip_has_a_row_for_each_node(page: Browser, lively: str, count: int) -> None:
    found = stage(page, lively, HEAT, count)
    # Five states, and the space between rows where there is room for it.
    assert found["colours"] in (5, 6)
    assert found["height"] <= 320
    assert found["words"] == "downoddbadfairwell"
    canvas = page.find(".heat-canvas")
    canvas.type(DOWN + DOWN + DOWN)
    assert re.match(r"node 2 · .*\d\d:\d\d:\d\d · no value", page.find(".heat-said").text)
    canvas.type(LEFT)
    assert page.find(".heat-said").text.endswith("bad")
    canvas.type(END)
    assert page.find(".heat-said").text.startswith(f"node {count - 1} ·")
    canvas.type(ENTER)
    assert page.run("return window.picked") == f"key-{count - 1}"
    canvas.type(ESCAPE)
    assert page.find(".heat-said").text == "State"


def open_tab(page: Browser, address: str, node: str, query: str = "") -> None:
    page.open("about:blank")
    page.open(f"{address}#/node/{node}{query}")
    page.find("h1", node)


def titles(page: Browser) -> list[str]:
    return [element.text for element in page.all(".chart h3")]


def test_overview_of_a_worker_over_three_times(page: Browser, lively: str) -> None:
    open_tab(page, lively, WORKER)
    page.wait(lambda: len(titles(page)) >= 9, "the charts")
    for word in ("Hit rate", "Tokens", "CPU tier", "Evictions", "Failures", "Time to retrieve", "Retrieve speed"):
        assert any(title.startswith(word) for title in titles(page)), word
    page.wait(lambda: re.search(r"All tiers [\d.]+ %", " ".join(legend(page))), "a hit rate")
    page.wait(lambda: re.search(r"p50 .*/s", " ".join(legend(page, 7))), "a speed")
    page.click(".segments button", "1 h")
    page.wait(lambda: "range=1h" in page.run("return location.hash"), "the time in the address")
    page.run("location.reload()")
    page.find(".segments [aria-pressed=true]", "1 h")
    page.wait(lambda: re.search(r"All tiers [\d.]+ %", " ".join(legend(page))), "a hit rate over an hour")
    page.find(".chart-plot").type(END)
    # A step of a minute is read out from when to when.
    page.wait(lambda: re.search(r"\d\d:\d\d \u2013 \d\d:\d\d", page.find(".chart-time").text), "a minute")


def test_overview_of_an_mp_server(page: Browser, lively: str) -> None:
    ask(lively, f"proxy2/{SERVER}/quota/tenant-a", {"limit_gb": 2.5}, "PUT")
    open_tab(page, lively, SERVER)
    page.wait(lambda: "L1 memory" in titles(page), "the charts")
    text = page.find(".cards", "tenant-a").text
    assert re.search(r"All parts are well[\s\S]*L1 eviction controller", text)
    assert re.search(r"L1 memory\s+[\d.]+ \wiB\s*of [\d.]+ GiB \([\d.]+ %\)[\s\S]*LRU, from 80 % on", text)
    assert re.search(r"L2\s+No L2 adapter", text)
    assert re.search(r"\d+ sessions? from \d+ engines", text)
    assert re.search(r"being prefetched, at most 8", text)
    assert re.search(r"tenant-a\s+[\d.]+ \w*B of 2.5 GiB", text)
    assert re.search(r"Periodic threads\s+All that run are on time", text)
    page.click(".part-more a", "threads")
    page.find("#tab-periodic[aria-selected='true']")


def test_scheduler_says_where_to_look(page: Browser, lively: str) -> None:
    open_tab(page, lively, SCHEDULER)
    page.find(".overview", "counted by its workers")
    assert not page.all(".chart")


def test_metrics_are_searched_read_and_drawn(page: Browser, lively: str) -> None:
    open_tab(page, lively, WORKER, "?tab=metrics")
    page.wait(lambda: page.all("[data-family='lmcache:num_hit_tokens_total']"), "the families")
    page.find(".search").type("hit_tokens")
    page.wait(lambda: re.match(r"\d of \d+ families", page.find(".tally").text), "few families")
    assert "q=hit_tokens" in page.run("return location.hash")
    row = "[data-family='lmcache:num_hit_tokens_total']"
    page.click(f"{row} .unfold")
    page.find(".more .chart", "Being read")
    page.wait(lambda: re.search(r"[\d.]+( k)?/s", page.find(row).text), "a rate, after a second reading")
    page.wait(lambda: re.search(r"(Grows by|Now) [\d.]+( k)?/s", " ".join(legend(page))), "a chart")
    assert re.search(r"counter\s+[\d,]+", page.find(row).text)
    page.click(f"{row} .unfold")
    assert not page.all(".more")
    page.click("button", "Raw text")
    page.wait(lambda: "lmcache:num_hit_tokens_total{" in page.find(".raw").text, "the raw text")
    assert page.find("a[download]").attribute("download") == f"{WORKER}-metrics.txt"
    assert page.find("a[download]").attribute("href") == f"proxy2/{WORKER}/metrics"


READINGS = """
const { parseMetrics } = await import(new URL("static/js/parse.js", document.baseURI));
const { reading, rateOf, courseOf, meanOf, valueOf } =
  await import(new URL("static/js/readings.js", document.baseURI));
const texts = given[0];
const read = texts.map((text) => parseMetrics(text));
const readings = read.map((families, place) => reading(1000 + place * 5, families));
const frame_s = { start: 1000, step_s: 5, steps: texts.length };
return Object.fromEntries(read.at(-1).map((family) => [family.name, {
  value: valueOf(family), rate: rateOf(family, readings), course: courseOf(family, readings, frame_s),
  mean: family.type === "histogram" ? meanOf(family) : null }]));
"""


def exposition(count: int, below: int, gauge: float) -> str:
    return (
        f'# TYPE c counter\nc_total{{a="x",b="1"}} {count}\nc_total{{a="x",b="2"}} {count}\n# TYPE g gauge\ng {gauge}\n'
        f'# TYPE h histogram\nh_bucket{{le="1"}} {below}\nh_bucket{{le="3"}} {count}\nh_bucket{{le="+Inf"}} {count}\n'
        f"h_count {count}\nh_sum {count * 2}\n"
    )


def test_values_rates_and_spreads_of_readings(page: Browser, lively: str) -> None:
    texts = [exposition(100, 40, 5), exposition(110, 45, 7), exposition(4, 2, 6), exposition(14, 2, 6)]
    found = stage(page, lively, READINGS, texts)
    assert found["c"]["value"] == 28
    assert found["g"]["value"] == 6
    assert found["h"]["mean"] == 2
    # The node was started anew in between: what that did to the sum is no rate.
    assert found["c"]["rate"] is None
    assert found["c"]["course"][0]["lines"] == [
        {"name": 'b="1"', "values": [None, 2, None, 2]},
        {"name": 'b="2"', "values": [None, 2, None, 2]},
    ]
    assert found["g"]["course"][0]["lines"] == [{"name": "Now", "values": [5, 7, 6, 6]}]
    spread = found["h"]["course"][0]["lines"]
    assert spread[0] == {"name": "p50", "values": [None, 1, None, 2]}
    assert spread[1]["values"] == [None, pytest.approx(2.8), None, pytest.approx(2.9)]


def test_hostile_metrics_neither_run_nor_break(page: Browser, lively: str) -> None:
    with hostile_node() as node:
        add_node(lively, "hostile", node.host, node.port)
        try:
            page.open(f"{lively}#/node/hostile?tab=metrics")
            page.wait(lambda: page.all("[data-family='lmcache:odd']"), "the families")
            page.click("[data-family='lmcache:odd'] .unfold")
            page.find(".more .samples", "<img src=x")
            page.click("#tab-overview")
            page.find(".overview")
            assert page.run("return window.harmed ?? document.querySelectorAll('main img, main script').length") == 0
            assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        finally:
            delete_node(lively, "hostile")


def test_charts_fit_a_narrow_screen(page: Browser, lively: str) -> None:
    page.resize(360, 740)
    for node in (WORKER, SERVER):
        open_tab(page, lively, node)
        page.wait(lambda: len(titles(page)) >= 8, "the charts")
        assert page.run("return document.documentElement.scrollWidth") == 360
        boxes = "return [...document.querySelectorAll('.chart')].every((one) => one.scrollWidth <= one.clientWidth)"
        assert page.run(boxes)


def test_pause_keeps_the_charts_as_they_are(page: Browser, lively: str) -> None:
    open_tab(page, lively, WORKER, "?tab=metrics&q=process_cpu")
    page.wait(lambda: page.all("[data-family]"), "the families")
    page.find("#pause").click()
    reads = "return performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/metrics')).length"
    before = page.run(reads)
    page.run("return new Promise((done) => setTimeout(done, 6500))")
    assert page.run(reads) <= before + 1
    page.find("#pause").click()
    page.wait(lambda: page.run(reads) > before + 1, "reading to go on")


def test_series_in_the_chart_are_those_of_the_server(page: Browser, lively: str) -> None:
    open_tab(page, lively, WORKER)
    page.wait(lambda: len(titles(page)) >= 9, "the charts")
    kept = json.loads(ask(lively, f"api/nodes/{WORKER}/series?name=cpu_used_bytes"))
    newest = [value for value in kept["series"]["cpu_used_bytes"] if value is not None][-1]
    shown = page.run(
        "const chart = [...document.querySelectorAll('.chart')].find((one) => one.innerText.startsWith('CPU tier'));"
        "return chart.querySelector('dd').title"
    )
    assert float(shown or 0) == pytest.approx(newest, rel=0.2)
