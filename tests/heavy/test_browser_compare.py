# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""The comparison of nodes in a browser: who is compared, what differs, what is folded, and how it is made alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.heavy.browser_fixtures import browser, page  # noqa: F401
from tests.helpers.dashboard import add_node, ask, delete_node, forwarding, running_frontend, scripted
from tests.helpers.waiting import wait_until
from tests.helpers.webdriver import Browser

ENTER, ESCAPE, DOWN, BACKSPACE = "\ue007", "\ue00c", "\ue015", "\ue003"
ODD = "demo1_worker2"
CHOSEN = "return [...document.querySelectorAll('.chosen-node .data')].map(name => name.textContent)"
HASH = "return decodeURIComponent(location.hash)"
ROW = "[data-part='{}'] tr[data-key='{}']"
READ = "body:not(:has([aria-busy])) .compare"


@pytest.fixture(scope="module")
def fleet() -> Iterator[str]:
    """Two simulated engines, a worker of which is configured unlike the others."""
    with running_frontend("--demo", "16", "--demo-fault", f"drift:{ODD}", "--poll-interval", "1") as address:
        wait_until(lambda: json.loads(ask(address, "api/fleet/drift"))["groups"], timeout_s=20)
        wait_until(lambda: "min_retrieve_tokens" in ask(address, "api/fleet/drift"), timeout_s=30)
        yield address


def open_compare(page: Browser, address: str, *nodes: str, more: str = "") -> None:
    page.open("about:blank")
    page.open(f"{address}#/compare{'?nodes=' + ','.join(nodes) if nodes else ''}{more}")
    page.find("h1", "Compare nodes")
    if len(nodes) > 1:
        page.find(READ)


def act(address: str, action: str, arguments: dict[str, Any]) -> None:
    """Change something on the odd node past the page."""
    ask(address, "api/fleet/actions", {"action": action, "nodes": [ODD], "arguments": arguments})


def chosen(page: Browser) -> list[str]:
    return list(page.run(CHOSEN))


def cells(page: Browser, part: str, key: str) -> list[str]:
    page.find(ROW.format(part, key))
    return [cell.text for cell in page.all(f"{ROW.format(part, key)} td")]


def test_what_differs_comes_first_and_is_marked_by_more_than_colour(page: Browser, fleet: str) -> None:
    open_compare(page, fleet, "demo1_worker0", ODD, "demo1_worker3")
    values = [text.rpartition("\n")[2] for text in cells(page, "configuration", "min_retrieve_tokens")]
    assert values == ["0", "8192", "0"]
    odd = page.find(f"{ROW.format('configuration', 'min_retrieve_tokens')} td.odd")
    assert "◆" in odd.text
    assert "≠" in page.find(f"{ROW.format('configuration', 'min_retrieve_tokens')} th").text
    page.find("[data-part='configuration'] .compare-part", "1 of")
    assert page.all(ROW.format("configuration", "chunk_size")) == []
    assert page.run("return document.title") == "demo1_worker0 and 2 more, compared · LMCache"


def test_equal_keys_are_folded_with_a_count_and_the_fold_is_in_the_address(page: Browser, fleet: str) -> None:
    open_compare(page, fleet, "demo1_worker0", ODD)
    fold = page.find("[data-part='configuration'] .unfold", "equal keys")
    assert int(fold.text.split()[0]) > 50
    fold.click()
    page.find(ROW.format("configuration", "chunk_size"), "256")
    assert page.run("return document.activeElement.dataset.focus") == "configuration-equal"
    assert "open=configuration-equal" in page.run(HASH)
    page.run("location.reload()")
    page.find(ROW.format("configuration", "chunk_size"), "256")


def test_versions_levels_and_the_rest_are_side_by_side(page: Browser, fleet: str) -> None:
    act(fleet, "loglevel", {"logger": "lmcache", "level": "DEBUG"})
    open_compare(page, fleet, "demo1_worker0", ODD, "demo_mp0")
    try:
        assert "DEBUG" in cells(page, "loggers", "lmcache")[1]
        assert "MP server" in cells(page, "versions", "Kind")[2]
        page.find("input[placeholder='Search keys and values']").type("python")
        page.find(ROW.format("versions", "Python"), "3.")
    finally:
        act(fleet, "loglevel", {"logger": "lmcache", "level": "INFO"})


def test_a_part_alone_is_shown_and_secrets_stay_masked(page: Browser, fleet: str) -> None:
    open_compare(page, fleet, "demo1_worker0", ODD)
    assert page.all("[data-part='environment']") == []
    page.click(".chips button", "Environment")
    page.click("[data-part='environment'] .compare-fold button", "may be the same or not")
    page.find(ROW.format("environment", "HF_TOKEN"))
    assert "part=environment" in page.run(HASH)
    assert page.all("[data-part='versions']") == []
    assert "********" in cells(page, "environment", "HF_TOKEN")[0]
    assert "not-a-real-token" not in page.page_text()
    page.click("[data-part='environment'] .compare-fold button", "Compare them")
    page.wait(lambda: "may be the same or not" not in page.page_text())
    assert "not-a-real-token" not in page.page_text()
    page.find("input[placeholder='Search keys and values']").type("not-a-real-token")
    page.wait(lambda: not page.all("[data-part='environment'] tr[data-key]"))


def test_nodes_are_added_and_taken_out(page: Browser, fleet: str) -> None:
    open_compare(page, fleet)
    field = page.find("#chooser")
    field.type("kind:worker instance:demo1")
    page.find("#chooser-list [aria-selected=true]", "Add all")
    field.type(DOWN + ENTER)
    page.wait(lambda: chosen(page) == ["demo1_worker0"], "the first worker to be chosen")
    page.find("#chooser").type("mp0")
    page.wait(lambda: len(page.all("#chooser-list [role=option]")) == 3)
    page.find("#chooser").type(ENTER)
    page.wait(lambda: len(chosen(page)) == 3)
    page.find(READ)
    assert page.run(HASH) == "#/compare?nodes=" + ",".join(chosen(page))
    page.click("button[aria-label='Take demo1_worker0 out']")
    page.wait(lambda: len(chosen(page)) == 2)
    assert page.run("return document.activeElement.ariaLabel").startswith("Take ")
    page.find("#chooser").type(BACKSPACE)
    page.wait(lambda: len(chosen(page)) == 1)
    page.find("#chooser").type(ESCAPE)
    page.wait(lambda: not page.all("#chooser-list:not([hidden])"))


def test_the_selection_of_the_fleet_and_a_node_lead_here(page: Browser, fleet: str) -> None:
    page.open("about:blank")
    page.open(f"{fleet}#/")
    for key in ("demo_worker0", "demo_worker1"):
        page.click(f".rows > .row[data-key='{key}'] input")
    page.click(".selection-bar button", "Compare")
    page.wait(lambda: chosen(page) == ["demo_worker0", "demo_worker1"])
    page.open(f"{fleet}#/node/demo_worker0")
    page.click(".node-links a", "Compare")
    page.wait(lambda: chosen(page) == ["demo_worker0"])
    page.click(".offer-list a", "Workers of demo")
    page.wait(lambda: len(chosen(page)) == 6)
    page.find(READ)


def test_where_the_fleet_differs_is_offered_explained_and_mended(page: Browser, fleet: str) -> None:
    open_compare(page, fleet)
    page.find(".drift-table tr[data-key='min_retrieve_tokens']", ODD)
    page.click("a[aria-label='Compare nodes by min_retrieve_tokens']")
    page.wait(lambda: chosen(page)[:1] == [ODD])
    page.find(READ)
    page.click("button[aria-label='Make min_retrieve_tokens alike']")
    page.find("dialog", "On 1 node")
    assert page.find("dialog input[aria-label='Value']").property("value") == "0"
    page.click("dialog button.primary")
    page.find("dialog .action-line", "Done")
    page.click("dialog button.primary", "Close")
    page.wait(lambda: not page.all(ROW.format("configuration", "min_retrieve_tokens")), "the key to be equal")
    act(fleet, "conf", {"values": {"min_retrieve_tokens": 8192}})
    page.click("button", "Read again")
    page.find(ROW.format("configuration", "min_retrieve_tokens"), "8192")


def test_what_is_each_nodes_own_comes_last_and_is_not_made_alike(page: Browser, fleet: str) -> None:
    open_compare(page, fleet, ODD, "demo_worker0", "demo1_worker0")
    page.find(READ)
    rows = "return [...document.querySelectorAll('[data-part=configuration] .differs')].map(row => row.dataset.key)"
    keys = page.wait(lambda: "lmcache_instance_id" in page.run(rows) and page.run(rows), "the keys that differ")
    assert keys[0] == "min_retrieve_tokens"
    own = page.find(ROW.format("configuration", "lmcache_instance_id"))
    assert "each its own" in own.text
    assert "Make alike" not in own.text


def test_names_with_commas_and_percents_and_long_values_are_compared(page: Browser, fleet: str) -> None:
    names = ("a,b %2C", "<b>שלום</b> 🐙")
    conf = json.dumps({"chunk_size": 256, "note": "x" * 10_000, "extra": {"<i>": 1}})
    other = json.dumps({"chunk_size": 256, "note": "y" * 10_000})
    answers = {"GET /version": (200, '"0.5.6"')}
    with (
        scripted({**answers, "GET /conf": (200, conf)}) as one,
        scripted({**answers, "GET /conf": (200, other)}) as two,
    ):
        for name, node in zip(names, (one, two), strict=True):
            add_node(fleet, name, "127.0.0.1", node.port)
        try:
            open_compare(page, fleet)
            for name in names:
                page.find("#chooser").type(name[:3])
                page.find("#chooser-list [role=option]", name)
                page.find("#chooser").type(ENTER)
                wait_until(lambda name=name: name in chosen(page), timeout_s=30)  # type: ignore[misc]
            page.find(ROW.format("configuration", "note"), "yyyy")
            page.run("location.reload()")
            page.find(ROW.format("configuration", "note"), "yyyy")
            assert chosen(page) == list(names)
            page.find("[data-part='configuration'] .unfold", "only some have").click()
            page.find(ROW.format("configuration", "extra.<i>"), "1")
            page.resize(360, 740)
            page.wait(lambda: page.run("return document.documentElement.scrollWidth") == 360)
        finally:
            for name in names:
                delete_node(fleet, name)


def test_a_node_that_is_silent_is_said_and_read_when_it_is_back(browser: Browser) -> None:
    answers = {"GET /version": (200, '"0.5.6"'), "GET /conf": (200, '{"chunk_size": 512}')}
    with scripted(answers) as node, running_frontend("--demo", "2", "--poll-interval", "1") as address:
        port = node.port
        add_node(address, "late", "127.0.0.1", 9)
        browser.resize(1280, 800)
        open_compare(browser, address, "demo_worker0", "late")
        browser.find("[data-part='configuration'] .compare-fault", "refused")
        browser.find("[data-part='configuration'] .compare-part", "One node alone could be read")
        ask(address, "api/nodes/late", {"name": "late", "host": "127.0.0.1", "port": port}, "PUT")
        browser.find(ROW.format("configuration", "chunk_size"), "512")
        browser.open("about:blank")
    browser.console()


def test_a_viewer_compares_what_viewers_may_read(browser: Browser, fleet: str) -> None:
    with forwarding(fleet, fields={"X-Forwarded-For": "203.0.113.9"}) as address:
        open_compare(browser, address, "demo_worker0", "demo_mp0")
        browser.find("[data-part='configuration'] .compare-part", "differ")
        browser.find(ROW.format("versions", "Kind"), "MP server")
        open_compare(browser, address, "demo_worker0", "demo_worker1", more="&part=environment&open=environment-hidden")
        browser.find("[data-part='environment'] .compare-fold", "may be the same or not")
        browser.find(ROW.format("environment", "HF_TOKEN"), "********")
        open_compare(browser, address)
        browser.find(".drift table, .drift .muted")
        assert browser.all(".drift .notice") == []
        browser.open("about:blank")
    browser.console()


def test_head_and_first_column_stay_in_view(page: Browser, fleet: str) -> None:
    page.resize(900, 600)
    keys = [f"demo{number}_worker{worker}" for number in ("", "1") for worker in range(4)]
    open_compare(page, fleet, *keys, more="&open=configuration-equal")
    page.find(ROW.format("configuration", "chunk_size"))
    page.run("document.querySelector('.compare-box').scrollTo(400, 900)")
    seen = page.run(
        "const box = document.querySelector('.compare-box').getBoundingClientRect();"
        "const head = document.querySelector('.compare thead th').getBoundingClientRect();"
        "const key = document.querySelector('.compare tbody tr[data-key] th').getBoundingClientRect();"
        "const moved = document.querySelector('.compare-box');"
        "return [head.top - box.top, key.left - box.left, moved.scrollLeft, moved.scrollTop]"
    )
    assert abs(seen[0]) <= 2
    assert abs(seen[1]) <= 2
    assert seen[2] > 0
    assert seen[3] > 0
