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
ROWS = "return [...document.querySelectorAll('.rows .row')].map(r => [r.dataset.key, !!r.querySelector('.row-why')])"
FAULTS = ("frozen", "bypassed", "slow", "drift", "stale-metrics", "late-thread", "stranger", "old-version")
TAB, ENTER = "\ue004", "\ue007"
TABS_AT_MOST = 60
KEYS = "return [...document.querySelectorAll('.conf tr[data-key]')].map(row => row.dataset.key)"

SIGNED = "return [...document.querySelectorAll('.rows .row:has(.row-sign)')].map(row => row.dataset.key)"
# The nodes of each group in sight, group by group.
GROUPS = """
const groups = [];
for (const row of document.querySelectorAll(".rows .row")) {
  if (row.dataset.group) groups.push([]);
  else groups.at(-1)?.push(row.dataset.key);
}
return groups;
"""


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


def press(page: Browser, key: str) -> None:
    actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
    page.command("POST", "actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})


def go_to(page: Browser, css: str) -> None:
    """Press Tab until the keyboard is on what matches."""
    for _ in range(TABS_AT_MOST):
        press(page, TAB)
        if page.run("return document.activeElement.matches(arguments[0])", css):
            return
    raise AssertionError(f"{css} is not reached by {TABS_AT_MOST} times Tab")


def test_nodes_with_problems_come_first_and_say_which(page: Browser, sick: str) -> None:
    page.open(sick)
    page.find(".rows .row")

    def in_order() -> bool:
        problems = json.loads(ask(sick, "api/fleet"))["problems"]
        told = {problem["node"] for problem in problems if problem["node"] and problem["severity"] != "notice"}
        rows = page.run(ROWS)[: len(told)]
        return len(told) >= len(FAULTS) and {key for key, _ in rows} == told and all(why for _, why in rows)

    page.wait(in_order, "the sick nodes at the top", MENDED_S)


def test_by_keyboard_alone_from_the_problem_to_the_cure(page: Browser, sick: str) -> None:
    page.open(sick)
    node = page.wait(lambda: node_with(sick, "it is frozen"), "a frozen node", MENDED_S)
    page.find(".problem-node", node)
    go_to(page, f".problem-node[href*='{node}?']")
    press(page, ENTER)
    page.find("[data-card=freeze] button", "Unfreeze")
    go_to(page, "[data-card=freeze] button")
    press(page, ENTER)
    page.wait(lambda: '"freeze": false' in ask(sick, f"proxy2/{node}/freeze/status"), "the node to be thawed")
    page.find("[data-card=freeze] button", "Freeze")
    assert page.run("return document.activeElement.textContent") == "Freeze"
    wait_until_mended(page, node, "it is frozen")


def test_the_name_of_a_sick_node_bears_a_sign(page: Browser, sick: str) -> None:
    page.open(sick)
    page.wait(lambda: node_with(sick, "is bypassed"), "a node with a problem", MENDED_S)
    page.wait(lambda: node_with(sick, "is bypassed") in page.run(SIGNED), "the sign", MENDED_S)


def test_groups_with_sick_nodes_come_first(page: Browser, sick: str) -> None:
    page.open(f"{sick}#/?group=instance")
    node = page.wait(lambda: node_with(sick, "is late"), "a late thread", MENDED_S)

    def in_order() -> bool:
        groups = page.run(GROUPS)
        told = {problem["node"] for problem in json.loads(ask(sick, "api/fleet"))["problems"] if problem["node"]}
        marks = [bool(told & set(keys)) for keys in groups]
        return any(node in keys for keys in groups) and marks == sorted(marks, reverse=True)

    page.wait(in_order, "the groups with sick nodes at the top", MENDED_S)


def test_a_late_thread_leads_to_its_stack(page: Browser, sick: str) -> None:
    node = find(page, sick, "is late")
    page.click(".to-stack")
    page.find("#tab-threads[aria-selected='true']")
    page.wait(lambda: [name.text for name in page.all("#panel .thread-name")] == ["PinMonitor-thread"], "its stack")
    page.find(".node-why a", "Periodic threads").click()
    page.find("#tab-periodic[aria-selected='true']")
    assert node in page.run("return location.hash")


def test_what_is_not_lmcache_is_deleted(page: Browser, sick: str) -> None:
    node = find(page, sick, "nothing that is LMCache's")
    page.click(".node-links a", "Manage")
    page.wait(lambda: [link.text for link in page.all(".manage .node-link")] == [node], "only this node")
    page.click(f"button[aria-label='Delete {node}']")
    page.click("dialog[open] button", "Delete")
    page.wait(lambda: node not in ask(sick, "api/nodes"), "the node to be gone")
    wait_until_mended(page, node, "nothing that is LMCache's")


def test_an_odd_release_leads_to_the_node_and_to_the_others(page: Browser, sick: str) -> None:
    node = find(page, sick, "several versions of LMCache run")
    page.find(".node-problems a", "Compare versions").click()
    page.find(".page-head", "Compare nodes")
    assert f"nodes={node}" in page.run("return location.hash")


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
    page.wait(lambda: page.run(KEYS) == ["min_retrieve_tokens"], "only the key that differs", MENDED_S)
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
    page.click("#panel a", "Backends and cache")
    page.find("#tab-backends[aria-selected='true']")
    page.click("[data-card=counters] button", "Set to zero")
    page.click("dialog button.primary", "Set to zero")
    wait_until_mended(page, node, "metrics: answered 500")
