# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""Management in a browser: nodes and proxies, connections tested, the file of nodes, the store, and an empty fleet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.heavy.browser_fixtures import browser, demo, page  # noqa: F401
from tests.helpers.dashboard import add_node, ask, delete_node, forwarding, running_frontend, scripted
from tests.helpers.ports import free_port
from tests.helpers.webdriver import Browser

WORKER = "demo_worker1"
ESCAPE = "\ue00c"
ON = "return document.activeElement === document.body ? null : document.activeElement.ariaLabel"
STRANGER = {"X-Forwarded-For": "203.0.113.9"}
HOSTILE = "<img src=x onerror=alert(1)> שלום 🐙"


@pytest.fixture
def manage(page: Browser, demo: str) -> Browser:
    page.open(f"{demo}#/manage")
    page.find(".manage .node-link", WORKER)
    return page


def fill(page: Browser, **fields: str) -> None:
    for name, value in fields.items():
        field = page.find(f"#entry-{name}")
        field.clear()
        field.type(value)


def send(page: Browser) -> None:
    page.click("dialog .dialog-buttons button:last-child")


def no_dialog(page: Browser) -> None:
    page.wait(lambda: not page.all("dialog"), "the dialog to close")


def port_of(address: str) -> str:
    return address.rstrip("/").rpartition(":")[2]


def test_node_is_added_edited_and_deleted(manage: Browser, demo: str) -> None:
    page = manage
    page.click("button", "Add a node")
    send(page)
    assert page.run("return document.activeElement.id") == "entry-name"
    assert page.run("return document.activeElement.validity.valueMissing")
    fill(page, name="fresh", host="127.0.0.1", port="99999")
    send(page)
    page.find("dialog .notice-bad", "65535")
    fill(page, port="7100")
    send(page)
    page.find(".notice-ok", "fresh was added")
    page.find(".manage tr", "kept here")
    page.click("button[aria-label='Edit fresh']")
    fill(page, name="fresher", port="/tmp/lmcache_internal_api_server/socket_1")
    send(page)
    page.find(".notice-ok", "fresher was changed")
    page.find(".manage tr", "unix:/tmp/lmcache_internal_api_server/socket_1")
    assert '"fresher"' in ask(demo, "api/nodes")
    page.click("button[aria-label='Delete fresher']")
    page.find("dialog", "fresher")
    send(page)
    page.find(".notice-ok", "fresher was deleted")
    page.wait(lambda: not page.all("button[aria-label='Delete fresher']"))
    assert '"fresher"' not in ask(demo, "api/nodes")


def test_taken_name_is_refused_at_the_form(page: Browser, demo: str) -> None:
    page.open("about:blank")
    page.open(f"{demo}#/manage?add=node")
    fill(page, name=WORKER, host="127.0.0.1", port="7100")
    send(page)
    page.find("dialog .notice-bad", WORKER)
    page.click("dialog button", "Cancel")
    no_dialog(page)


def test_proxy_is_added_refreshed_and_deleted_by_its_name(manage: Browser, demo: str) -> None:
    page = manage
    children = json.loads(ask(demo, "api/nodes"))["nodes"][0]["children"]
    socket_path = next(child["port"] for child in children if child["name"] == WORKER)
    nodes = json.dumps([{"name": "far worker", "host": "127.0.0.1", "port": socket_path}])
    with running_frontend("--nodes", nodes, "--allow-target", socket_path) as child:
        page.click("button", "Add a proxy")
        fill(page, name="rack b", host="127.0.0.1", port=port_of(child))
        page.click("dialog button", "Test the connection")
        page.find("dialog .notice-ok", "It knows 1 node")
        send(page)
        page.find(".notice-ok", "rack b was added")
        page.click("button[aria-label='Refresh rack b']")
        page.find(".notice-ok", "was read again")
        page.find(".manage tr", "its frontend")
        page.click(".node-link", "far worker")
        page.find("h1", "far worker")
        page.open(f"{demo}#/manage")
        page.click("button[aria-label='Delete rack b']")
        send(page)
        # Nothing is sent before the name is typed.
        assert page.run("return document.activeElement.id") == "entry-typed"
        assert '"rack b"' in ask(demo, "api/nodes")
        fill(page, typed="rack b")
        send(page)
        page.find(".notice-ok", "rack b was deleted")
        no_dialog(page)


@pytest.mark.parametrize(
    ("name", "words"), [(WORKER, ("Worker, version", "answered the first question in")), ("demo_mp0", ("MP server",))]
)
def test_a_connection_is_tested(manage: Browser, name: str, words: tuple[str, ...]) -> None:
    page = manage
    page.click(f"button[aria-label='Test {name}']")
    for word in words:
        page.find("dialog .notice-ok", word)
    page.click("dialog summary")
    page.find("dialog .grid", "GET /version")
    page.click("dialog button", "Test again")
    page.find("dialog .notice-ok", words[0])
    page.click("dialog button", "Close")
    no_dialog(page)
    assert page.run(ON) == f"Test {name}"


def test_what_does_not_answer_is_explained(manage: Browser, demo: str) -> None:
    page = manage
    page.click("button", "Add a node")
    fill(page, name="late", host="127.0.0.1", port=str(free_port()))
    page.click("dialog button", "Test the connection")
    page.find("dialog .notice-bad", "Nothing answers at")
    page.find("dialog .notice-bad", "Nothing listens there")
    with scripted({"GET /": (200, "hello")}) as other:
        fill(page, port=str(other.port))
        page.click("dialog button", "Test the connection")
        page.find("dialog .notice-warn", "it is not LMCache")
    fill(page, port=port_of(demo))
    page.click("dialog button", "Test the connection")
    page.find("dialog .notice-warn", "This is another frontend")
    page.click("dialog button", "Cancel")
    no_dialog(page)


def test_the_list_is_searched_and_shows_how_nodes_are(manage: Browser) -> None:
    page = manage
    page.find(".manage tr .state", "Healthy")
    page.find("input[type=search]").type("mp0")
    page.wait(lambda: page.find(".tally").text == "1 of 8 nodes")
    assert [link.text for link in page.all(".manage .node-link")] == ["demo_mp0"]


def test_hostile_names_are_shown_and_do_not_run(page: Browser, demo: str) -> None:
    add_node(demo, HOSTILE, "127.0.0.1", 9)
    try:
        page.open(f"{demo}#/manage")
        page.find(".manage .node-link", "<img src=x onerror=alert(1)>")
        page.resize(360, 740)
        assert page.run("return document.documentElement.scrollWidth") == 360
        page.find(f"button[aria-label='Delete {HOSTILE}']").click()
        page.find("dialog", HOSTILE)
        send(page)
        page.find(".notice-ok", "was deleted")
    finally:
        if HOSTILE in {child["name"] for child in json.loads(ask(demo, "api/nodes"))["nodes"][0]["children"]}:
            delete_node(demo, HOSTILE)


def test_the_keyboard_stays_where_a_node_was_deleted(page: Browser, demo: str) -> None:
    for name in ("one", "two"):
        add_node(demo, name, "127.0.0.1", 9)
    try:
        page.open(f"{demo}#/manage")
        page.click("button[aria-label='Delete one']")
        send(page)
        page.find(".notice-ok", "one was deleted")
        page.wait(lambda: not page.all("button[aria-label='Delete one']"))
        page.wait(lambda: page.run(ON) == "Delete two", "the keyboard at the next row")
    finally:
        delete_node(demo, "two")


def test_the_address_forgets_a_form_that_was_closed(page: Browser, demo: str) -> None:
    page.open("about:blank")
    page.open(f"{demo}#/manage?add=node")
    page.find("#entry-name").type(ESCAPE)
    no_dialog(page)
    assert page.run("return location.hash") == "#/manage"


def test_an_address_in_brackets_is_shown_once_in_brackets(page: Browser, demo: str) -> None:
    add_node(demo, "six", "[::1]", 9)
    try:
        page.open(f"{demo}#/manage")
        page.find(".manage tr", "six\n")
        page.wait(lambda: [row.text for row in page.all(".manage tr") if "[::1]:9" in row.text])
    finally:
        delete_node(demo, "six")


def test_the_file_of_nodes_and_what_it_last_said(page: Browser, tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps([{"name": "listed", "host": "127.0.0.1", "port": 9}, {"name": "", "port": 1}]))
    with running_frontend("--config", str(path)) as address:
        page.open(f"{address}#/manage?view=sources")
        page.find("[aria-label='The file of nodes']", str(path))
        page.find("[aria-label='The file of nodes'] .notice-warn", "expected a text that is not empty")
        page.find("[aria-label='The store']", "A file of this frontend")
        path.write_text("[{")
        page.find("[aria-label='The file of nodes'] .notice-bad", "not JSON")
        page.click("[role=tab]", "Nodes")
        page.wait(lambda: page.run("return location.hash") == "#/manage")
        page.find(".manage tr", "file")
        page.click("button[aria-label='Delete listed']")
        page.find("dialog", "it is back when that file is read again")
        page.click("dialog button", "Cancel")
        no_dialog(page)
        page.open("about:blank")


def test_about_says_what_runs(manage: Browser, demo: str) -> None:
    page = manage
    page.click("[role=tab]", "About")
    page.find("[aria-label='This frontend']", port_of(demo))
    page.find("[aria-label='You']", "operator")
    page.wait(lambda: page.run("return location.hash") == "#/manage?view=about")
    page.run("history.back()")
    page.find(".manage .node-link", WORKER)
    assert page.find("[role=tab][aria-selected=true]").text == "Nodes"


def test_a_viewer_sees_the_list_and_is_told_why_not_more(page: Browser, demo: str) -> None:
    with forwarding(demo, fields=STRANGER) as address:
        page.open(f"{address}#/manage")
        page.find(".notice", "changes need an operator")
        assert not page.find("button.primary", "Add a node").enabled
        assert not page.find(f"button[aria-label='Test {WORKER}']").enabled
        page.open("about:blank")


def test_a_viewer_is_told_who_reads_about_the_frontend(browser: Browser, demo: str) -> None:
    with forwarding(demo, fields=STRANGER) as address:
        browser.open(f"{address}#/manage?view=about")
        browser.find(".notice", "You may not read what runs here")
        browser.find("[aria-label='You']", "viewer")
        browser.open("about:blank")
    # The refusal is a line in the console.
    browser.console()


def test_no_nodes_teach_how_to_add_some(browser: Browser) -> None:
    with running_frontend() as address:
        browser.resize(360, 740)
        browser.open(address)
        text = browser.find(".empty", "No nodes yet").text
        for word in (
            f"curl {address}api/nodes",
            f"--port {port_of(address)} --config",
            "--demo 50 --demo-fault frozen",
        ):
            assert word in text.replace("\n", " ")
        assert browser.run("return document.documentElement.scrollWidth") == 360
        # The command is a real one.
        ask(
            address,
            "api/nodes",
            json.loads(browser.run("return document.querySelector('.command pre').textContent.match(/-d '(.*)'/)[1]")),
        )
        browser.find(".rows .node-link", "worker0")
        browser.open("about:blank")


def test_a_viewer_without_nodes_is_not_told_to_add_some(page: Browser) -> None:
    with running_frontend() as address, forwarding(address, fields=STRANGER) as strange:
        page.open(strange)
        page.find(".empty .notice", "changes need an operator")
        assert "--nodes" in page.find(".empty").text
        assert page.all(".empty a") == []
        page.open("about:blank")


def test_a_form_tells_a_refusal_from_a_frontend_that_is_gone(browser: Browser) -> None:
    with running_frontend() as address:
        browser.open(f"{address}#/manage?add=node")
        fill(browser, name="late", host="127.0.0.1", port="99999")
        send(browser)
        browser.find("dialog .notice-bad", "That was refused")
        fill(browser, port="7000")
    send(browser)
    said = browser.find("dialog .notice-bad", "The frontend cannot be reached").text
    assert "refused" not in said
    assert "Whether the change was made is not known" in said
    browser.open("about:blank")
    browser.console()
