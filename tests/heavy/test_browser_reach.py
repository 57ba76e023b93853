# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""What the page says of nodes that nobody reached, of names that mean none, and of a frontend that comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.heavy.browser_fixtures import browser, demo, page  # noqa: F401
from tests.helpers.dashboard import add_node, ask, delete_node, running_frontend, scripted
from tests.helpers.ports import free_port
from tests.helpers.webdriver import Browser

LOST = {
    "unknown": (404, "no node is called unknown"),
    "twice": (409, "twice means several nodes"),
    "misdirected": (421, "this server does not answer for that host"),
    "refused": (502, "10.0.0.7:7000: Connection refused"),
    "slow": (504, "10.0.0.8:7000 is silent"),
    "circle": (508, "this request came through here before"),
}
VERSION = (200, '"0.5.6"')
METRICS = (200, "# TYPE lmcache:num_hit_tokens counter\nlmcache:num_hit_tokens_total 1\n")


@pytest.fixture(scope="module")
def rack(demo: str) -> Iterator[str]:
    """A frontend behind the demo's, with nodes that it cannot reach, old ones, and one that answers."""
    answers = {
        f"GET /proxy2/{name}/{path}": (status, json.dumps({"detail": words}))
        for name, (status, words) in LOST.items()
        for path in ("version", "conf", "healthcheck")
    }
    answers |= {
        "GET /health": (200, '{"status":"healthy","service":"lmcache-monitor"}'),
        "GET /proxy2/fine/version": VERSION,
        "GET /proxy2/fine/conf": (200, '{"chunk_size": 256, "lmcache_instance_id": "i"}'),
        "GET /proxy2/fine/periodic-threads-health": (200, '{"healthy": true}'),
        "GET /proxy2/fine/metrics": METRICS,
        "GET /proxy2/fine/meta": (404, '{"detail":"no node is called fine"}'),
        "GET /proxy2/old/metrics": METRICS,
        "GET /proxy2/busy/version": (503, '{"detail":"too many connections"}'),
        "GET /proxy2/failing/version": (500, "Internal Server Error"),
        "GET /proxy2/kept/version": (403, '{"detail":"10.0.0.9 is not allowed; --allow-target 10.0.0.9 allows it"}'),
        "GET /proxy2/kept/conf": (403, '{"detail":"not allowed"}'),
        "GET /proxy2/kept/metrics": (403, '{"detail":"not allowed"}'),
    }
    names = [*LOST, "fine", "old", "hollow", "failing", "kept", "busy"]
    with scripted(answers) as child:
        nodes = [{"name": name, "host": "10.0.0.7", "port": 7000} for name in names]
        ask(demo, "api/proxies", {"name": "rack", "host": "127.0.0.1", "port": child.port, "nodes": nodes})
        yield demo
        delete_node(demo, "rack")


def row_of(page: Browser, key: str) -> str:
    found = page.all(f".nodes [data-key='{key}']")
    return found[0].text if found else ""


def wait_for_row(page: Browser, name: str, *words: str) -> None:
    page.wait(lambda: all(word in row_of(page, name) for word in words), f"{words} at {name}")


def look_again(page: Browser) -> None:
    """Have the page read the node list now, as it does when its tab is looked at again."""
    page.run("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_node_that_another_frontend_does_not_reach_is_not_answering(page: Browser, rack: str) -> None:
    # Only rows in sight are in the page.
    page.resize(1280, 2000)
    page.open(f"{rack}#/?q=rack/")
    for name, (_, words) in LOST.items():
        # A common reason is told in a word.
        wait_for_row(page, f"rack/{name}", "Unreachable", "refused" if name == "refused" else words)
    wait_for_row(page, "rack/fine", "Healthy")
    for name in ("fine", "old", "failing", "hollow", "kept", "busy"):
        wait_for_row(page, f"rack/{name}", name)
        page.wait(lambda name=name: "Unreachable" not in row_of(page, f"rack/{name}"), name)


def test_a_tab_of_a_node_that_is_not_reached_says_so(page: Browser, rack: str) -> None:
    page.open(f"{rack}#/node/rack%2Ffine?tab=meta")
    page.find(".panel .notice-bad", "The node cannot be reached")
    page.find(".panel .notice-bad", "no node is called fine")
    page.open(f"{rack}#/node/rack%2Ffine?tab=threads")
    page.find(".panel .notice", "does not offer /threads")


def test_whose_answer_an_error_is(page: Browser, demo: str) -> None:
    page.open(demo)
    told = page.run(
        "return import('./static/js/nodes.js').then(({ isNodesOwn }) => ["
        " [404, false, 'local_proxy'], [404, true, 'local_proxy'], [502, true, 'local_proxy'], [404, true, 'rack'],"
        "].map(([status, relayed, proxy]) => isNodesOwn("
        " { kind: 'http', status, answer: { relayed, status, text: '{\"detail\":\"no node is called ghost\"}' } },"
        " { name: 'ghost', proxy, isProxy: false })))"
    )
    assert told == [False, True, False, False]


def test_a_node_of_our_own_that_knows_no_version_answers(page: Browser, demo: str) -> None:
    with scripted({}) as node:
        add_node(demo, "ancient", "127.0.0.1", node.port)
        try:
            page.open(demo)
            wait_for_row(page, "ancient", "Answering")
        finally:
            delete_node(demo, "ancient")


def test_a_name_that_nothing_has_is_said_and_nothing_else(page: Browser, demo: str) -> None:
    page.open(f"{demo}#/node/nope?tab=threads")
    page.find(".notice", "No such node")
    assert not [tab for tab in page.all("[role=tab], [role=tabpanel]") if tab.text]
    assert "Checking" not in page.page_text()
    add_node(demo, "nope", "127.0.0.1", 9)
    try:
        look_again(page)
        page.find("#tab-threads[aria-selected='true']")
        page.find(".panel .notice-bad", "The node cannot be reached")
    finally:
        delete_node(demo, "nope")
    look_again(page)
    page.find(".notice", "No such node")


def test_a_name_of_several_nodes_offers_each(page: Browser, demo: str) -> None:
    with scripted({}) as child:
        for proxy in ("east", "west"):
            nodes = [{"name": "shared", "host": "10.0.0.7", "port": 7000}]
            ask(demo, "api/proxies", {"name": proxy, "host": "127.0.0.1", "port": child.port, "nodes": nodes})
        try:
            page.open(f"{demo}#/node/shared")
            page.find(".notice", "Several nodes have this name")
            page.click(".notice a", "west/shared")
            page.wait(lambda: "west%2Fshared" in page.run("return location.hash"))
            page.find("#tab-overview[aria-selected='true']")
        finally:
            delete_node(demo, "east")
            delete_node(demo, "west")


def test_an_open_tab_recovers_after_an_outage(browser: Browser) -> None:
    port = free_port()
    browser.resize(1280, 800)
    with running_frontend("--demo", "1", port=port) as address:
        browser.open(f"{address}#/node/demo_worker0?tab=threads")
        browser.find(".threads", "MainThread")
    browser.click("button", "Refresh")
    browser.find(".panel .notice-bad", "The frontend cannot be reached")
    with running_frontend("--demo", "1", port=port):
        browser.find(".threads", "MainThread")
    browser.click("#tab-meta")
    browser.find(".panel .notice-bad", "This part of the page could not be loaded")
    with running_frontend("--demo", "1", port=port):
        browser.find(".panel .grid", "worker_id")
        browser.open("about:blank")
    browser.console()
