# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""What becomes of changes: unsaved ones are kept, failed ones are named, and the keyboard stays in its place."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.heavy.browser_fixtures import browser, demo, page  # noqa: F401
from tests.helpers.dashboard import add_node, ask, delete_node, scripted
from tests.helpers.webdriver import Browser

WORKER = "demo_worker1"
ESCAPE, ENTER = "\ue00c", "\ue007"
CONF = '{"chunk_size": 256, "note": "a"}'
VERSION = (200, '"0.5.6"')
LEAVES = "return !dispatchEvent(new Event('beforeunload', { cancelable: true }))"
ON = "return document.activeElement === document.body ? null : document.activeElement.ariaLabel"

# Focuses every control of the page, downwards and upwards, and gives those that a bar covers.
COVERED = """
const controls = [...document.querySelectorAll('main a, main button, main input, main select')];
const bars = [...document.querySelectorAll('.bar, .unsaved:not(:empty), .outage:not([hidden])')];
const covered = [];
for (const control of [...controls, ...controls.toReversed()]) {
  control.focus();
  if (document.activeElement !== control) continue;
  const box = control.getBoundingClientRect();
  for (const bar of bars) {
    const { top, bottom } = bar.getBoundingClientRect();
    if (!bar.contains(control) && box.bottom > top && box.top < bottom) covered.push(control.outerHTML);
  }
}
return { covered, bars: bars.length, controls: controls.length };
"""


# Gives the cells whose text goes beyond them.
CUT = """
const range = document.createRange();
return [...document.querySelectorAll('.nodes .cell')].filter((cell) => {
  range.selectNodeContents(cell);
  const [text, box] = [range.getBoundingClientRect(), cell.getBoundingClientRect()];
  return text.right > box.right + 1 || text.bottom > box.bottom + 1 || cell.scrollWidth > cell.clientWidth + 1;
}).map(cell => cell.innerText);
"""


def open_config(page: Browser, address: str, node: str) -> None:
    page.open(f"{address}#/node/{quote(node, safe='')}?tab=config")
    page.find(row("chunk_size"))


def row(key: str) -> str:
    return f".grid tr[data-key='{key}']"


def edit(page: Browser, key: str, text: str) -> None:
    page.click(f"{row(key)} button[aria-label^='Edit']")
    field = page.find(f"{row(key)} input")
    field.clear()
    field.type(text)


def save(page: Browser) -> None:
    """Look at what is to be sent, and send it."""
    page.click(".unsaved button.primary")
    page.click("dialog button.primary", "Send to the node")
    page.wait(lambda: not page.all("dialog"), "the answer of the node")


def discard(page: Browser) -> None:
    """Leave nothing unsaved behind, for the next page to be opened without a question."""
    page.click(".unsaved button", "Discard")
    page.wait(lambda: not page.all(".edited"))


def test_unsaved_values_outlive_leaving_the_tab_and_the_node(page: Browser, demo: str) -> None:
    open_config(page, demo, WORKER)
    assert not page.run(LEAVES)
    edit(page, "chunk_size", "512" + ENTER)
    edit(page, "app_id", "half typed")
    assert page.run(LEAVES)
    page.run("scrollTo(0, 0)")
    page.click("#tab-meta")
    page.find(".panel .grid", "worker_id")
    assert page.find("#tab-config").attribute("data-unsaved") is not None
    page.click("a", "Fleet")
    page.click(".node-link", WORKER)
    page.click("#tab-config")
    page.find(f"{row('chunk_size')}.edited", "512")
    assert page.find(f"{row('app_id')} input").property("value") == "half typed"
    page.find(f"{row('app_id')} input").type(ESCAPE)
    page.wait(lambda: not page.all(".edit"))
    discard(page)
    assert not page.run(LEAVES)
    page.wait(lambda: page.find("#tab-config").attribute("data-unsaved") is None)


def test_an_open_field_outlives_saving_another_key_and_a_search(page: Browser, demo: str) -> None:
    open_config(page, demo, WORKER)
    edit(page, "min_retrieve_tokens", "640" + ENTER)
    edit(page, "app_id", "half typed")
    save(page)
    page.find(f"{row('min_retrieve_tokens')} .said", "updated to 640")
    assert page.run("return document.activeElement !== document.body")
    assert json.loads(ask(demo, f"proxy2/{WORKER}/conf?names=app_id")) == {"app_id": None}
    page.find(".search").type("app_")
    page.wait(lambda: not page.all(row("chunk_size")))
    field = page.find(f"{row('app_id')} input")
    assert field.property("value") == "half typed"
    field.type(" and kept" + ENTER)
    page.find(f"{row('app_id')}.edited", "half typed and kept")
    discard(page)
    assert page.run(ON) == "Search keys, values and meanings"


def test_a_failed_save_is_named_and_what_was_to_be_saved_is_kept(page: Browser, demo: str) -> None:
    answers = {"GET /version": VERSION, "GET /conf": (200, CONF), "POST /conf": (500, "Internal Server Error")}
    with scripted(answers) as node:
        add_node(demo, "failing", "127.0.0.1", node.port)
        try:
            open_config(page, demo, "failing")
            edit(page, "chunk_size", "512" + ENTER)
            # From here on the configuration cannot be read either.
            answers["GET /conf"] = (500, "Internal Server Error")
            save(page)
            said = page.find(".panel .notice-bad", "Saving failed").text
            assert "Internal Server Error" in said
            assert node.asked.count("POST /conf") == 1
            page.find(f"{row('chunk_size')}.edited", "512")
            discard(page)
        finally:
            delete_node(demo, "failing")


def test_what_cannot_be_read_back_does_not_hide_what_was_saved(page: Browser, demo: str) -> None:
    answers = {"GET /version": VERSION, "GET /conf": (200, CONF), "POST /conf": (200, '{"updated":{"chunk_size":512}}')}
    with scripted(answers) as node:
        add_node(demo, "mute", "127.0.0.1", node.port)
        try:
            open_config(page, demo, "mute")
            edit(page, "chunk_size", "512" + ENTER)
            answers["GET /conf"] = (500, "Internal Server Error")
            save(page)
            page.find(".panel .notice-ok", "1 value updated")
            page.find(".panel .notice-warn", "could not be read back")
            page.wait(lambda: not page.all(".edited"))
        finally:
            delete_node(demo, "mute")


@pytest.mark.parametrize("size", [(1280, 800), (360, 740)])
def test_no_bar_covers_what_has_the_keyboard(page: Browser, demo: str, size: tuple[int, int]) -> None:
    page.resize(*size)
    open_config(page, demo, WORKER)
    edit(page, "chunk_size", "512" + ENTER)
    page.find(".unsaved button.primary")
    seen = page.run(COVERED)
    assert seen["bars"] == 2
    assert seen["controls"] > 50
    assert seen["covered"] == []
    discard(page)


def test_a_filter_without_a_match_can_be_cleared(page: Browser, demo: str) -> None:
    page.open(demo)
    page.find(".node-link", WORKER)
    page.find(".search").type("nothing is called so")
    page.find(".nothing", "No node matches.")
    page.find(".tally", "0 of 8 nodes")
    page.click(".nothing button", "Clear filter")
    page.find(".node-link", WORKER)
    assert page.find(".search").property("value") == ""


def test_narrow_rows_cut_nothing(page: Browser, demo: str) -> None:
    version = "0.5.6.dev123-g3e11e108"
    host = "kv-cache-worker-0.kv-cache.inference-production.svc.cluster.local"
    with scripted({"GET /version": (200, json.dumps(version))}) as node:
        add_node(demo, "long", "127.0.0.1", node.port)
        add_node(demo, "far", host, 7000)
        try:
            page.resize(360, 740)
            page.open(demo)
            page.find(".cell-version", version)
            page.find(".nodes [data-key='far']")
            cut = page.run(CUT)
            assert cut == []
        finally:
            delete_node(demo, "long")
            delete_node(demo, "far")


def test_every_tab_is_in_view_at_360_pixels(page: Browser, demo: str) -> None:
    page.resize(360, 740)
    page.open(f"{demo}#/node/{WORKER}")
    page.find(".figures")
    boxes = page.run(
        "return [...document.querySelectorAll('[role=tab]')].map(tab => tab.getBoundingClientRect())"
        ".map(({ left, right }) => [left, right])"
    )
    assert len(boxes) == 12
    assert all(left >= 0 and right <= 360 for left, right in boxes)
