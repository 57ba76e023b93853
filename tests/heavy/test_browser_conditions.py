# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""The dashboard under conditions: hostile nodes, a sub-path, viewers, themes, narrow screens, an outage."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.heavy.browser_fixtures import browser, demo, page  # noqa: F401
from tests.helpers.dashboard import add_node, delete_node, forwarding, running_frontend
from tests.helpers.hostile_node import BAD, LONG, MARKUP, hostile_node
from tests.helpers.ports import free_port
from tests.helpers.webdriver import Browser

TABS = (
    *("overview", "metrics", "threads", "loglevel", "config", "meta", "inference", "environment"),
    *("periodic", "backends", "script", "console"),
)
PLACES = ("", "#/compare", "#/configuration", "#/manage")
ROWS = "[...document.querySelectorAll('tr[data-key]')]"
VALUE = "row.cells[1].querySelector('bdi').textContent"
HOSTILE_NAME = f"{MARKUP} ../%2e%2e שלום \U0001f600"
STRANGER = {"X-Forwarded-For": "203.0.113.9"}


def open_tab(page: Browser, address: str, node: str, tab: str) -> None:
    page.open(f"{address}#/node/{quote(node, safe='')}?tab={tab}")
    page.wait(lambda: page.all(f"#tab-{tab}[aria-selected='true']") and page.all(".panel-body"), f"the tab {tab}")
    page.wait(lambda: not page.all(".loading"), f"the content of {tab}")


def width_of(page: Browser) -> int:
    return int(page.run("return document.documentElement.scrollWidth"))


def colour_of_page(page: Browser) -> str:
    return str(page.run("return getComputedStyle(document.documentElement).backgroundColor"))


def test_hostile_node_neither_breaks_nor_runs(page: Browser, demo: str) -> None:
    with hostile_node() as node:
        add_node(demo, HOSTILE_NAME, node.host, node.port)
        try:
            page.open(demo)
            page.find(".node-link", HOSTILE_NAME)
            page.resize(360, 740)
            for tab in TABS:
                open_tab(page, demo, HOSTILE_NAME, tab)
                assert page.find("h1").text == HOSTILE_NAME
                assert width_of(page) == 360, tab
            for place in PLACES:
                page.open(demo + place)
                page.find("h1")
                page.wait(lambda: not page.all(".loading"), f"the content of {place}")
                assert width_of(page) == 360, place
            page.find(".node-link", HOSTILE_NAME)
            assert page.run("return window.harmed") is None
            assert page.all("main img, main script") == []
        finally:
            delete_node(demo, HOSTILE_NAME)


def test_hostile_values_are_shown_as_they_are(page: Browser, demo: str) -> None:
    with hostile_node() as node:
        add_node(demo, "hostile", node.host, node.port)
        try:
            open_tab(page, demo, "hostile", "config")
            page.find("tr[data-key='long']")
            shown = dict(page.run("return " + ROWS + ".map(row => [row.dataset.key, " + VALUE + "])"))
            assert shown[BAD] == BAD
            assert shown["long"] == LONG
            assert shown["endless"] == "Infinity"
            assert shown["big"] == "1795289308514334093"
            assert shown["text"] == "NaN, Infinity"
            open_tab(page, demo, "hostile", "loglevel")
            assert page.find("select[aria-label='Level of a: b']").property("value") == "ODD"
            levels = page.run("return [...document.querySelector('select.level').options].map(o => o.value)")
            assert levels == ["Level 5", "NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
            open_tab(page, demo, "hostile", "threads")
            assert page.find(".thread-name").text == f"{BAD}, (a)"
            page.find(".thread-at", "No stack trace available")
        finally:
            delete_node(demo, "hostile")


def test_secrets_stay_masked_until_asked_for(page: Browser, demo: str) -> None:
    with hostile_node() as node:
        add_node(demo, "secrets", node.host, node.port)
        try:
            open_tab(page, demo, "secrets", "environment")
            page.find("tr[data-key='KEYBOARD']", "seen-value")
            assert "hidden-value" not in str(page.run("return document.documentElement.outerHTML"))
            page.click("button[aria-label='Show the value of API_KEY']")
            page.find("tr[data-key='API_KEY']", "hidden-value")
            page.click("button[aria-label='Hide the value of API_KEY']")
            page.wait(lambda: "hidden-value" not in page.page_text())
        finally:
            delete_node(demo, "secrets")


def test_leaving_a_view_gives_up_its_requests(page: Browser, demo: str) -> None:
    with hostile_node(silent_path="/freeze/status") as node:
        add_node(demo, "slow", node.host, node.port)
        try:
            page.open(f"{demo}#/node/slow?tab=backends")
            assert node.asked.wait(15)
            page.open(f"{demo}#/manage")
            assert node.given_up.wait(15)
        finally:
            delete_node(demo, "slow")


def test_works_under_a_sub_path(page: Browser, demo: str) -> None:
    with forwarding(demo, "/lmcache/") as address:
        page.open(address)
        page.find(".tiles", "8 healthy")
        page.click(".node-link", "demo_worker0")
        page.find(".figures", "Hit rate")
        page.click("#tab-loglevel")
        page.find("select[aria-label='Level of lmcache']").choose("ERROR")
        page.click("tr[data-logger='lmcache'] button.primary")
        page.find("tr[data-logger='lmcache'] .said[data-mark='ok']")
        assert page.run("return location.pathname") == "/lmcache/"


def test_viewer_reads_and_is_told_why_not_more(page: Browser, demo: str) -> None:
    with forwarding(demo, fields=STRANGER) as address:
        page.open(f"{address}#/manage")
        page.find("#role", "viewer")
        page.find(".notice", "changes need an operator")
        assert not page.find("button.primary", "Add a node").enabled
        assert not page.find("button[aria-label='Delete demo_worker0']").enabled
        open_tab(page, address, "demo_worker0", "overview")
        page.find(".figures", "Hit rate")
        page.find(".node-facts", "Worker")
        for tab in ("config", "meta", "inference", "environment"):
            open_tab(page, address, "demo_worker0", tab)
            page.find(".panel .grid tbody tr")
        open_tab(page, address, "demo_worker0", "loglevel")
        page.find(".notice", "Log levels cannot be changed")
        assert not page.find("select[aria-label='Level of lmcache']").enabled


def test_dark_by_system_and_by_remembered_choice(page: Browser, demo: str) -> None:
    page.open(demo)
    light = colour_of_page(page)
    page.emulate(prefers_color_scheme="dark")
    page.wait(lambda: colour_of_page(page) != light, "the dark page")
    dark = colour_of_page(page)
    page.find("#theme").choose("light")
    page.wait(lambda: colour_of_page(page) == light)
    page.open("about:blank")
    page.open(demo)
    assert colour_of_page(page) == light
    page.find("#theme").choose("dark")
    page.emulate(prefers_color_scheme="light")
    page.wait(lambda: colour_of_page(page) == dark)
    page.find("#theme").choose("system")
    page.wait(lambda: colour_of_page(page) == light)


@pytest.mark.parametrize("node", ["demo_worker0", "demo_mp0"])
def test_nothing_scrolls_sideways_at_360_pixels(page: Browser, demo: str, node: str) -> None:
    page.resize(360, 740)
    for place in PLACES:
        page.open(demo + place)
        page.find("h1")
        page.wait(lambda: not page.all(".loading"), f"the content of {place}")
        assert width_of(page) == 360, place
    for tab in TABS:
        open_tab(page, demo, node, tab)
        assert width_of(page) == 360, tab
    page.open(f"{demo}#/manage?add=node")
    page.find("dialog")
    assert width_of(page) == 360


def test_no_nodes_shows_how_to_add_some(page: Browser) -> None:
    with running_frontend() as address:
        page.open(address)
        text = page.find(".empty", "No nodes yet").text
        for word in ("--nodes", "--config", "--demo"):
            assert word in text
        page.click(".empty a", "Add a node")
        page.find("#entry-name")
        page.open("about:blank")


def test_unknown_place_and_unknown_node_say_so(page: Browser, demo: str) -> None:
    page.open(f"{demo}#/nowhere")
    page.find(".notice", "no such page")
    page.open(f"{demo}#/node/nobody")
    page.find(".notice", "No such node")


def test_outage_is_marked_and_ends_by_itself(browser: Browser) -> None:
    port = free_port()
    browser.resize(1280, 800)
    with running_frontend("--demo", "1", port=port) as address:
        browser.open(address)
        browser.find(".nodes .state-ok", "Healthy")
        assert browser.find("#link-text").text == "Live"
    browser.find("#outage", "has not answered since")
    assert browser.find("#link-text").text.startswith("No connection")
    with running_frontend("--demo", "1", port=port):
        browser.wait(lambda: browser.find("#link-text").text == "Live", "the connection to come back")
        assert not browser.all("#outage:not([hidden])")
        browser.open("about:blank")
    browser.console()
