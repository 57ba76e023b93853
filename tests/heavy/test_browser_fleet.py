# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""The fleet view in a browser: figures, problems, strip, list, filter, selection and actions, live and by keyboard."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.heavy.browser_fixtures import assert_clean, browser, page  # noqa: F401
from tests.helpers.dashboard import add_node, ask, delete_node, forwarding, running_frontend
from tests.helpers.ports import free_port
from tests.helpers.waiting import wait_until
from tests.helpers.webdriver import Browser

NODES = 16
WORKERS = 12
ENTER, ESCAPE, DOWN, UP, SPACE, SHIFT, TAB = "\ue007", "\ue00c", "\ue015", "\ue013", " ", "\ue008", "\ue004"
STRANGER = {"X-Forwarded-For": "203.0.113.9"}
NAMES = "return [...document.querySelectorAll('.rows .node-link')].map(link => link.textContent)"
ROW = ".rows > .row[data-key='{}']"


@pytest.fixture(scope="module")
def fleet() -> Iterator[str]:
    """Two demo engines, looked at every second."""
    with running_frontend("--demo", str(NODES), "--poll-interval", "1") as address:
        wait_for_figures(address)
        yield address


def wait_for_figures(address: str) -> None:
    wait_until(lambda: figure_of(address, "lookup_hit_rate") is not None, timeout_s=20)


def figure_of(address: str, name: str) -> Any:
    return json.loads(ask(address, "api/fleet"))["totals"].get(name, {}).get("value")


def open_fleet(page: Browser, address: str, fragment: str = "#/") -> None:
    page.open("about:blank")
    page.open(address + fragment)
    page.find("#link[data-link='up']")
    page.find(".rows .row")


def row(page: Browser, key: str) -> str:
    return page.find(ROW.format(key)).text


def names(page: Browser) -> list[str]:
    return list(page.run(NAMES))


def by_name(name: str) -> str:
    """Order names as readers do: what parts words comes before digits."""
    return name.replace("_", " ")


def select_node(page: Browser, key: str) -> None:
    page.click(f"{ROW.format(key)} input")


def press(page: Browser, *keys: str) -> None:
    """Press keys one by one on what has the keyboard."""
    actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
    perform(page, actions)


def press_with_shift(page: Browser, key: str) -> None:
    held = [("keyDown", SHIFT), ("keyDown", key), ("keyUp", key), ("keyUp", SHIFT)]
    perform(page, [{"type": kind, "value": value} for kind, value in held])


def perform(page: Browser, actions: list[dict[str, str]]) -> None:
    page.command("POST", "actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})


def focus(page: Browser) -> str:
    return str(page.run("return document.activeElement.textContent || document.activeElement.id"))


def test_figures_say_how_the_fleet_is(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet)
    tile = page.find(".tile", "Nodes up")
    assert f"of {NODES}" in tile.text
    page.find(".tile .level-count", "healthy")
    for title in ("Lookup hit rate", "Tokens hit", "CPU tier and L1", "Evictions", "Failures"):
        page.find(".tile", title)
    page.wait(lambda: "%" in page.find(".tile", "Lookup hit rate").text)
    page.wait(lambda: page.run("return document.querySelector('.tile-spark .spark-line').getAttribute('d')"))
    assert "bytes" in str(page.find(".tile", "CPU tier").find(".stat-value").attribute("title"))


def test_strip_reads_out_and_leads_to_the_node(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet)
    page.find("select[aria-label='Figure of the strip']").choose("level")
    page.find(".heat-legend", "Unreachable")
    page.wait(lambda: "heat=level" in page.run("return location.hash"))
    page.run("document.querySelector('.heat-canvas').focus()")
    press(page, DOWN)
    page.wait(lambda: "Healthy" in page.find(".heat-said").text)
    press(page, ENTER)
    page.wait(lambda: "#/node/" in page.run("return location.hash"))


def test_filter_narrows_by_words_and_terms_and_is_kept_in_the_address(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet)
    field = page.find("input[type=search]")
    for text, expected in (("kind:worker", WORKERS), ("mp0", 2), ("kind:mp -demo1", 1), ("state:unreachable", 0)):
        field.clear()
        field.type(text)
        page.wait(lambda expected=expected: page.find(".tally").text == f"{expected} of {NODES} nodes")
    page.find(".nothing", "No node matches")
    page.click(".nothing button")
    page.wait(lambda: page.find(".tally").text == f"{NODES} of {NODES} nodes")
    page.find("input[type=search]").type("kind:scheduler")
    page.wait(lambda: "q=kind:scheduler" in page.run("return location.hash"))
    page.run("location.reload()")
    page.wait(lambda: page.find(".tally").text == f"2 of {NODES} nodes")
    assert page.find("input[type=search]").property("value") == "kind:scheduler"


def test_filter_asks_nodes_for_their_environment(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet)
    variables = json.loads(ask(fleet, "api/nodes/demo_worker0/env"))["data"]
    for term, expected in ((f"env:{next(iter(variables))}", 1), ("env:NO_SUCH_VARIABLE", 0)):
        field = page.find("input[type=search]")
        field.clear()
        field.type(term)
        page.wait(lambda: "Asking" not in page.run("return document.querySelector('.list-hint').textContent"))
        page.wait(lambda expected=expected: (page.find(".tally").text != f"0 of {NODES} nodes") == bool(expected))


def test_level_of_the_first_tile_narrows_the_list_and_widens_it_again(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet)
    page.click(".level-count", "healthy")
    page.wait(lambda: page.find("input[type=search]").property("value") == "state:healthy")
    page.click(".level-count", "healthy")
    page.wait(lambda: page.find("input[type=search]").property("value") == "")


def test_list_sorts_both_ways_and_keeps_what_has_no_value_last(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet)
    page.click(".sort", "Name")
    page.wait(lambda: names(page) == sorted(names(page), key=by_name) and len(names(page)) > 5)
    page.click(".sort", "Name")
    page.find("[aria-sort='descending'] .sort", "Name")
    page.wait(lambda: names(page) == sorted(names(page), key=by_name, reverse=True))
    page.click(".sort", "Hit rate")
    page.find("[aria-sort='ascending'] .sort", "Hit rate")
    page.wait(lambda: "sort=lookup_hit_rate" in page.run("return location.hash"))
    page.run("scrollTo(0, 1e6)")
    page.wait(lambda: "scheduler" in names(page)[-1] or "scheduler" in names(page)[-2])


def test_the_arrow_goes_from_the_filter_to_the_list(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet)
    press(page, "/")
    assert page.run("return document.activeElement.type") == "search"
    press(page, DOWN)
    first = names(page)[0]
    assert focus(page) == first
    press(page, ENTER)
    page.find("h1", first)


def test_list_groups_and_folds(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet, "#/?group=kind")
    page.find(".group-row", f"{WORKERS} nodes")
    page.click(".group-row .unfold", "Worker")
    page.find(".unfold[aria-expanded='false']", "Worker")
    page.wait(lambda: not any("worker" in name for name in names(page)))
    page.click(".group-row .unfold", "Worker")
    page.wait(lambda: any("worker" in name for name in names(page)))


def test_columns_are_chosen_and_kept_in_the_address(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet)
    page.click("button", "Columns")
    page.click("dialog .choice", "Address")
    page.click("dialog .choice", "Evictions")
    page.click("dialog button", "Close")
    page.find(".head", "Address")
    assert "Evictions" not in page.find(".head").text
    page.wait(lambda: "address" in page.run("return location.hash"))
    page.run("location.reload()")
    page.find(".head", "Address")


def test_only_what_is_in_sight_is_in_the_page(page: Browser, fleet: str) -> None:
    page.resize(1280, 500)
    open_fleet(page, fleet)
    assert page.find(".nodes").attribute("aria-rowcount") == str(NODES + 1)
    assert len(names(page)) < NODES
    page.run("scrollTo(0, 1e6)")
    page.find(f".rows [aria-rowindex='{NODES + 1}']")


def test_selected_nodes_get_a_log_level_with_progress(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet, "#/?sort=name")
    select_node(page, "demo_worker0")
    page.find(".selection-bar", "1 node selected")
    page.run(
        "document.querySelector(arguments[0] + ' input')"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true, shiftKey: true}))",
        ROW.format("demo_worker2"),
    )
    page.find(".selection-bar", "3 nodes selected")
    page.click(".bar-actions button", "Log level")
    page.find("dialog", "On 3 nodes")
    page.find("dialog select").choose("WARNING")
    page.click("dialog button", "What would be sent")
    page.find("dialog .action-line", "/loglevel?logger_name=lmcache")
    page.click("dialog button", "Back")
    page.find("dialog select").choose("WARNING")
    page.click("dialog button.primary", "Set the level")
    page.find("dialog .action-counts", "3 done")
    assert len(page.all("dialog .action-line")) == 3
    page.click("dialog button", "Close")
    page.wait(lambda: not page.all("dialog"))
    for node in ("demo_worker0", "demo_worker1", "demo_worker2"):
        assert "WARNING" in ask(fleet, f"proxy2/{node}/loglevel?logger_name=lmcache")
    page.click(".selection-bar button", "Clear selection")
    page.wait(lambda: not page.all(".selection-bar:not([hidden])"))


def test_configuration_of_many_is_checked_by_type_and_told_per_node(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet, "#/?q=demo1_worker")
    page.click(".head input")
    page.find(".selection-bar", "6 nodes selected")
    page.click(".bar-actions button", "Configuration")
    page.wait(lambda: page.run("return document.querySelectorAll('#action-conf-keys option').length > 50"))
    page.find("dialog input[aria-label='Key']").type("min_retrieve_tokens")
    page.find("dialog .conf-line", "default 0")
    page.find("dialog input[aria-label='Value']").type("many")
    page.click("dialog button.primary")
    page.find("dialog .problem", "takes a number")
    field = page.find("dialog input[aria-label='Value']")
    field.clear()
    field.type("768")
    page.click("dialog button.primary")
    page.find("dialog .action-counts", "6 done")
    assert json.loads(ask(fleet, "proxy2/demo1_worker3/conf?names=min_retrieve_tokens")) == {"min_retrieve_tokens": 768}


def test_what_a_node_cannot_do_is_told_and_clearing_asks_for_a_word(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet, "#/?q=demo_mp0")
    page.click(".head input")
    page.click(".bar-actions button", "Freeze")
    page.click("dialog button.primary")
    page.find("dialog .action-line[data-outcome='unsupported']", "cannot be frozen")
    page.click("dialog button", "Close")
    page.find(".bar-actions select").choose("cache_clear")
    page.click("dialog button.danger")
    assert page.run("return document.activeElement.id") == "action-word"
    page.find("#action-word").type("clear")
    page.click("dialog button.danger")
    page.find("dialog .action-counts", "1 done")


def test_viewer_sees_all_and_is_told_why_not_more(page: Browser, fleet: str) -> None:
    with forwarding(fleet, "/lmcache/", STRANGER) as address:
        open_fleet(page, address, "#/?q=demo_worker")
        page.find("#role", "viewer")
        page.click(".head input")
        page.find(".bar-why", "need an operator")
        assert not page.find(".bar-actions button", "Log level").enabled
        assert page.find(".bar-actions button", "Compare").enabled


def test_page_polls_where_streams_are_held_back(page: Browser, fleet: str) -> None:
    with forwarding(fleet, "/lmcache/") as address:
        open_fleet(page, address)
        add_node(fleet, "late", "127.0.0.1", free_port())
        try:
            page.find(".rows .row", "late")
            assert "asks for them" in str(page.find("#link").attribute("title"))
        finally:
            delete_node(fleet, "late")
        page.wait(lambda: "late" not in names(page))


class _Node(BaseHTTPRequestHandler):
    """Just enough of an in-process node to be told from silence."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answers = {"/version": b'"0.5.6"', "/metrics": b"# TYPE lmcache:num_lookup_tokens counter\n"}
        body = answers.get(self.path.partition("?")[0], b'{"detail":"Not Found"}')
        self.send_response_only(200 if self.path in answers else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def node_on(port: int) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Node)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)


def test_node_that_dies_and_returns_is_followed_without_reload(page: Browser, fleet: str) -> None:
    port = free_port()
    with node_on(port):
        add_node(fleet, "mortal", "127.0.0.1", port)
        open_fleet(page, fleet)
        page.wait(lambda: page.all(ROW.format("mortal")) and "Unreachable" not in row(page, "mortal"))
    try:
        page.wait(lambda: "Unreachable" in row(page, "mortal"))
        page.find(".problem-item", "mortal")
        page.find(".level-count", "1 unreachable")
        with node_on(port):
            page.wait(lambda: "Unreachable" not in row(page, "mortal"))
    finally:
        delete_node(fleet, "mortal")
    page.wait(lambda: not page.all(ROW.format("mortal")))


def test_paused_page_stays_as_it_is_until_it_goes_on(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet)
    press(page, "p")
    page.find("#link[data-link='paused']", "Paused")
    add_node(fleet, "newcomer", "127.0.0.1", free_port())
    try:
        page.wait(lambda: "newcomer" in ask(fleet, "api/fleet"))
        page.find("#link-text", "2 s old")
        assert not page.all(ROW.format("newcomer"))
        page.click("#pause")
        page.find(ROW.format("newcomer"))
        page.find("#link[data-link='up']")
    finally:
        delete_node(fleet, "newcomer")


def test_frontend_that_goes_is_marked_and_followed_when_it_returns(browser: Browser) -> None:
    port = free_port()
    browser.resize(1280, 800)
    with running_frontend("--demo", "3", "--poll-interval", "1", port=port) as address:
        open_fleet(browser, address)
    browser.find("#link[data-link='down']", "No connection")
    browser.find("#outage", "has not answered since")
    assert len(names(browser)) == 3
    with running_frontend("--demo", "5", "--poll-interval", "1", port=port):
        browser.find("#link[data-link='up']")
        browser.wait(lambda: len(names(browser)) == 5)
        assert not browser.all("#outage:not([hidden])")
    browser.open("about:blank")
    browser.console()


def test_keyboard_alone_reaches_and_does_everything(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet, "#/?sort=name")
    press(page, "/")
    page.wait(lambda: page.run("return document.activeElement.type") == "search")
    press(page, *"worker")
    page.find(".tally", f"{WORKERS} of {NODES} nodes")
    stops: list[str] = []
    while stops[-1:] != ["demo_worker0"] and len(stops) < 30:
        press(page, TAB)
        stops.append(focus(page).strip()[:20])
    assert stops[-1] == "demo_worker0", stops
    press(page, DOWN, SPACE)
    page.find(".selection-bar", "1 node selected")
    press_with_shift(page, DOWN)
    page.find(".selection-bar", "2 nodes selected")
    assert focus(page) == "demo_worker2"
    press(page, UP, ENTER)
    page.wait(lambda: page.run("return location.hash") == "#/node/demo_worker1")
    page.find("h1", "demo_worker1")
    press(page, "g", "f")
    page.find(".tiles")
    press(page, "?")
    page.find("dialog", "A node, by its name")
    press(page, ESCAPE)
    page.wait(lambda: not page.all("dialog"))
    press(page, "g", "n")
    page.find("dialog [role='combobox']")
    press(page, *"mp0", DOWN, ENTER)
    page.wait(lambda: page.run("return location.hash") == "#/node/demo1_mp0")


def test_what_has_the_keyboard_keeps_it_while_figures_change(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet, "#/?q=worker&sort=-tokens_hit_per_s")
    page.run("document.querySelector('.rows .node-link').focus()")
    link = focus(page)
    for _ in range(3):
        seen = page.find("#link").attribute("title")
        page.wait(lambda seen=seen: page.find("#link").attribute("title") != seen, "the next look")
        assert focus(page) == link
    page.find(".sort", "Name")
    page.run("document.querySelector('.cell-name .sort').click()")
    page.find("[aria-sort='ascending'] .sort", "Name")
    assert focus(page) == link


def test_every_stop_of_the_keyboard_is_seen(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet)
    seen = set()
    for _ in range(45):
        press(page, TAB)
        outline = page.run(
            "const a = document.activeElement, s = getComputedStyle(a), b = a.getBoundingClientRect();"
            "return [a.outerHTML.slice(0, 80), s.outlineStyle, b.top < innerHeight && b.bottom > 0,"
            " a === document.body]"
        )
        if outline[3]:
            break
        assert outline[1] != "none", outline
        assert outline[2], outline
        seen.add(outline[0])
    assert any("node-link" in one for one in seen)
    assert any("level-count" in one for one in seen)


def test_narrow_screen_folds_into_cards(page: Browser, fleet: str) -> None:
    page.resize(360, 740)
    open_fleet(page, fleet)
    assert page.run("return document.documentElement.scrollWidth") == 360
    card = page.find(".rows > .row", "demo_worker0").text
    assert "Healthy" in card
    assert "%" in card
    page.find("select[aria-label='Sort by']").choose("-cpu_fill")
    page.wait(lambda: "sort=-cpu_fill" in page.run("return location.hash"))
    select_node(page, names(page)[0])
    page.find(".selection-bar", "1 node selected")
    assert page.run("return document.documentElement.scrollWidth") == 360


def test_order_holds_while_the_pointer_is_in_the_list(page: Browser, fleet: str) -> None:
    open_fleet(page, fleet, "#/?q=worker&sort=-tokens_hit_per_s")
    page.run("document.querySelector('.rows').dispatchEvent(new PointerEvent('pointerenter'))")
    before = names(page)
    taken = page.find("#link").attribute("title")
    page.wait(lambda: page.find("#link").attribute("title") != taken)
    assert names(page) == before


def test_browser_says_nothing_against_the_page_when_the_theme_is_dark(page: Browser, fleet: str) -> None:
    page.emulate(prefers_color_scheme="dark")
    open_fleet(page, fleet)
    page.find(".heat-canvas")
    assert_clean(page)
