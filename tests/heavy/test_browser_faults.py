# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""A sick node among fifty: which it is, why, and how it is mended, without leaving the page."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.heavy.browser_fixtures import browser, page  # noqa: F401
from tests.helpers.dashboard import ask, running_frontend
from tests.helpers.webdriver import Browser

MENDED_S = 40.0
ROWS = "return [...document.querySelectorAll('.rows .row')].map(r => [r.dataset.key, Boolean(r.querySelector('.why'))])"
FAULTS = ("frozen", "bypassed", "slow", "drift", "stale-metrics")


@pytest.fixture(scope="module")
def sick() -> Iterator[str]:
    """A demo of fifty nodes of which some are sick, looked at often."""
    words = [word for fault in FAULTS for word in ("--demo-fault", fault)]
    with running_frontend("--demo", "50", "--poll-interval", "2", *words) as address:
        yield address


def node_with(address: str, text: str) -> str | None:
    """Give the node of which such a problem is told, past the page."""
    found = json.loads(ask(address, "api/fleet"))["problems"]
    return next((problem["node"] for problem in found if problem["node"] and text in problem["text"]), None)


def find(page: Browser, address: str, text: str) -> str:
    """Go from the fleet by the problem's own link to the node, and give its name."""
    page.open(address)
    node = page.wait(lambda: node_with(address, text), f"the problem {text}", MENDED_S)
    page.wait(
        lambda: any(text in item.text and node in item.text for item in page.all(".problem-item")), text, MENDED_S
    )
    page.click(".problem-node", node)
    page.find("h1", node)
    return node


def open_tab(page: Browser, tab: str) -> None:
    page.click(f"#tab-{tab}")
    page.find(f"#tab-{tab}[aria-selected='true']")
    page.wait(lambda: not page.all("#panel .loading"), f"the tab {tab}", MENDED_S)


def wait_until_mended(page: Browser, node: str, text: str) -> None:
    """Go back to the fleet and wait until this is said of the node no more."""
    page.click("nav a", "Fleet")
    page.find(".problems-card")
    page.wait(lambda: not is_told(page, node, text), f"{text} to be gone", MENDED_S)


def is_told(page: Browser, node: str, text: str) -> bool:
    return any(text in item.text and node in item.text for item in page.all(".problem-item"))


def test_nodes_with_problems_come_first_and_say_which(page: Browser, sick: str) -> None:
    page.open(sick)
    page.find(".rows .row")

    def in_order() -> bool:
        problems = json.loads(ask(sick, "api/fleet"))["problems"]
        told = {problem["node"] for problem in problems if problem["node"] and problem["severity"] != "notice"}
        rows = page.run(ROWS)[: len(told)]
        return len(told) >= len(FAULTS) and {key for key, _ in rows} == told and all(why for _, why in rows)

    page.wait(in_order, "the sick nodes at the top", MENDED_S)


def test_a_frozen_node(page: Browser, sick: str) -> None:
    node = find(page, sick, "it is frozen")
    page.find(".node-problems", "it is frozen")
    open_tab(page, "backends")
    page.click("[data-card=freeze] button", "Unfreeze")
    page.wait(lambda: '"freeze": false' in ask(sick, f"proxy2/{node}/freeze/status"), "the node to be thawed")
    wait_until_mended(page, node, "it is frozen")


def test_a_node_that_passes_its_backend_by(page: Browser, sick: str) -> None:
    node = find(page, sick, "is bypassed")
    open_tab(page, "backends")
    page.click("button", "Use again")
    page.wait(lambda: '"bypassed_backends":[]' in ask(sick, f"proxy2/{node}/bypass/list"), "the backend to be used")
    wait_until_mended(page, node, "is bypassed")


def test_a_node_that_logs_too_much(page: Browser, sick: str) -> None:
    node = find(page, sick, "answers slowly")
    page.find(".node-problems", "the logger lmcache is at DEBUG")
    open_tab(page, "loglevel")
    level = page.find("select[aria-label='Level of lmcache']")
    assert level.property("value") == "DEBUG"
    level.choose("INFO")
    page.click("tr[data-logger='lmcache'] button.primary")
    wait_until_mended(page, node, "answers slowly")


def test_a_node_configured_unlike_the_others(page: Browser, sick: str) -> None:
    node = find(page, sick, "min_retrieve_tokens")
    open_tab(page, "config")
    row = ".grid tr[data-key='min_retrieve_tokens']"
    page.find(row, "8192")
    page.click(f"{row} button")
    field = page.find(f"{row} input")
    field.clear()
    field.type("0\ue007")
    page.click(".unsaved button.primary")
    page.find("dialog", "8192")
    page.click("dialog button.primary", "Send to the node")
    page.wait(lambda: '"min_retrieve_tokens": 0' in ask(sick, f"proxy2/{node}/conf?names=min_retrieve_tokens"))
    wait_until_mended(page, node, "min_retrieve_tokens")


def test_a_node_whose_metrics_are_broken(page: Browser, sick: str) -> None:
    node = find(page, sick, "metrics: answered 500")
    open_tab(page, "backends")
    page.click("[data-card=counters] button", "Set to zero")
    page.click("dialog button.primary", "Set to zero")
    wait_until_mended(page, node, "metrics: answered 500")
