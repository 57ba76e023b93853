# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""The dashboard in a real browser, over simulated nodes: what each view shows, and what can be changed in it."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest

from tests.heavy.browser_fixtures import browser, demo, page  # noqa: F401
from tests.helpers.dashboard import add_node, ask, delete_node, scripted
from tests.helpers.webdriver import Browser

WORKER, SCHEDULER, SERVER = "demo_worker0", "demo_scheduler", "demo_mp0"
VERSION = (200, '"0.5.6"')

# What stands in each tab once it is loaded: a selector, and a pattern in its text.
IN_PROCESS = {
    "metrics": (".grid", r"lmcache:num_lookup_tokens_total\s+counter\s+[\d,]+"),
    "threads": (".threads", r"MainThread\s+(At work|Waiting)"),
    "loglevel": (".grid", r"lmcache\b"),
    "config": (".grid", r"chunk_size[\s\S]*\b256\b[\s\S]*pd_allocation_timeout_sec[\s\S]*Infinity"),
    "inference": (".grid", r"vllm_version\s+0\.19\.0[\s\S]*model_config\.num_layers\s+64"),
    "periodic": (".grid", r"In time\s+PinMonitor-thread\s+critical\s+30 s"),
    "script": (".panel-body", r"scripts switched off"),
    "console": (".panel-body", r"/conf\b[\s\S]*/bypass/list"),
}
TABS = {
    WORKER: {
        **IN_PROCESS,
        "overview": (".figures", r"Hit rate\s+\d.* %[\s\S]*tokens looked up[\s\S]*CPU tier[\s\S]*in use of"),
        "meta": (".grid", r"role\s+worker"),
        "environment": (".grid", r"POD_NAME\s+demo-worker0-"),
        "backends": (".panel-body", r"LocalCPUBackend[\s\S]*In use[\s\S]*Storing[\s\S]*Hot cache\s+On"),
    },
    SCHEDULER: {
        **IN_PROCESS,
        "overview": (".figures", r"Hit rate\s+at the workers[\s\S]*Chunk reuse\s+\d.* %"),
        "meta": (".grid", r"role\s+scheduler"),
        "environment": (".grid", r"POD_NAME\s+demo-scheduler-"),
        "backends": (".panel-body", r"This node has no cache engine[\s\S]*Chunk statistics\s+Counting"),
    },
    SERVER: {
        "overview": (".figures", r"L1 cache[\s\S]*in use of[\s\S]*Objects in L1"),
        "metrics": (".grid", r"lmcache_mp_l1_memory_usage_bytes\s+gauge"),
        "threads": (".threads", r"MainThread\s+Answering this"),
        "loglevel": (".grid", r"lmcache\b"),
        "config": (".panel-body", r"cannot be changed while the node runs[\s\S]*mp\.chunk_size\s+256"),
        "meta": (".panel-body", r"MP servers have no metadata[\s\S]*storage_manager\.is_healthy\s+true"),
        "inference": (".panel-body", r"is not in an inference engine"),
        "environment": (".grid", r"POD_NAME\s+demo-mp0-"),
        "periodic": (".grid", r"In time\s+DeviceHostFuncDispatcher\s+high\s+5 ms"),
        "backends": (".panel-body", r"L1\s+Healthy[\s\S]*in use[\s\S]*Quotas"),
        "script": (".panel-body", r"scripts switched off[\s\S]*--run-script-api-enabled"),
        "console": (".panel-body", r"/status\b[\s\S]*/quota"),
    },
}


def open_tab(page: Browser, address: str, node: str, tab: str) -> None:
    page.open(f"{address}#/node/{quote(node, safe='')}?tab={tab}")
    page.wait(lambda: page.all(f"#tab-{tab}[aria-selected='true']") and page.all(".panel-body"), f"the tab {tab}")


def text_of(page: Browser, css: str) -> str:
    found = page.all(css)
    return found[0].text if found else ""


def wait_for_text(page: Browser, css: str, pattern: str) -> None:
    page.wait(lambda: re.search(pattern, text_of(page, css)), f"{pattern} in {css}")


def conf_row(key: str) -> str:
    return f".grid tr[data-key='{key}']"


def row_of(name: str) -> str:
    return f".nodes [data-key='{name}']"


def test_fleet_lists_every_node(page: Browser, demo: str) -> None:
    page.open(demo)
    wait_for_text(page, ".tiles", r"Nodes up\s+8\s*of 8\s+8 healthy")
    for name, kind in ((SCHEDULER, "Scheduler"), ("demo_worker5", "Worker"), (SERVER, "MP server")):
        wait_for_text(page, row_of(name), rf"Healthy\s+{name}\s+{kind}\s+0\.\d+\.\d+")
    page.find(".search").type("worker3")
    page.wait(lambda: text_of(page, ".list .tally") == "1 of 8 nodes")
    page.wait(lambda: not page.all(row_of(SCHEDULER)))
    page.wait(lambda: "q=worker3" in page.run("return location.hash"))
    page.click(".node-link", "demo_worker3")
    page.find("h1", "demo_worker3")
    page.find(".figures")
    page.run("history.back()")
    page.wait(lambda: page.all(".search") and page.find(".search").property("value") == "worker3")


def test_silent_node_says_why(page: Browser, demo: str) -> None:
    add_node(demo, "silent", "127.0.0.1", 9)
    try:
        page.open(demo)
        wait_for_text(page, row_of("silent"), r"Unreachable\s+silent\s+refused")
        page.find(".problem-item", "unreachable: refused")
        page.click(".problem-node", "silent")
        page.find(".node-why", "Refused")
        page.find(".panel .notice-bad", "The node cannot be reached")
    finally:
        delete_node(demo, "silent")


@pytest.mark.parametrize("node", list(TABS))
def test_every_tab_has_content(page: Browser, demo: str, node: str) -> None:
    for tab, (css, pattern) in TABS[node].items():
        open_tab(page, demo, node, tab)
        wait_for_text(page, css, pattern)


def test_worker_is_named_by_rank_and_world_size(page: Browser, demo: str) -> None:
    open_tab(page, demo, "demo_worker5", "overview")
    page.find(".facts", "rank 5, world size 6")


def test_tabs_by_keyboard(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "overview")
    page.find("#tab-overview").type("\ue014")
    page.find("#tab-metrics[aria-selected='true']")
    assert page.run("return document.activeElement.id") == "tab-metrics"
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.wait(lambda: "tab=metrics" in page.run("return location.hash"))


def test_metrics_samples_raw_and_download(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "metrics")
    page.find(".search").type("time_to_retrieve")
    page.click(".unfold", "lmcache:time_to_retrieve")
    page.find(".samples", 'le="+Inf"')
    link = page.find("a[download]")
    text = page.run("return fetch(arguments[0]).then(r => r.text())", str(link.property("href")))
    assert "# TYPE lmcache:time_to_retrieve histogram" in text
    page.click("button", "Raw text")
    page.find(".raw", "# TYPE lmcache:time_to_retrieve histogram")
    assert "num_hit_tokens" not in page.find(".raw").text


def test_threads_filter_and_stack(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "threads")
    page.find(".tally", "6 threads")
    page.find(".search").type("MainThread")
    page.wait(lambda: len(page.all(".thread")) == 1)
    page.click(".thread summary")
    page.find(".thread", ".py:")


def test_log_level_is_set_and_read_back(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "loglevel")
    assert "DEBUG" not in ask(demo, f"proxy2/{WORKER}/loglevel?logger_name=lmcache")
    page.find("select[aria-label='Level of lmcache']").choose("DEBUG")
    page.run("document.querySelector(\"select[aria-label='Level of lmcache']\").form.requestSubmit()")
    page.find(".said[data-mark='ok']", "Set lmcache level to DEBUG")
    assert "DEBUG" in ask(demo, f"proxy2/{WORKER}/loglevel?logger_name=lmcache")
    # What the list shows is read back as well: a level that was set past the page is seen after the next change.
    ask(demo, f"proxy2/{WORKER}/loglevel?logger_name=lmcache&level=ERROR")
    page.find("input[aria-label='Any logger by name']").type("lmcache.v1.other")
    page.click(".tools form button")
    page.wait(lambda: page.find("select[aria-label='Level of lmcache']").property("value") == "ERROR")


def test_level_of_a_logger_by_name(page: Browser, demo: str) -> None:
    open_tab(page, demo, SERVER, "loglevel")
    page.find("input[aria-label='Any logger by name']").type("lmcache.v1.new")
    page.find("select[aria-label='Level for that logger']").choose("ERROR")
    page.click(".tools form button")
    page.find(".tools .said[data-mark='ok']", "Set lmcache.v1.new level to ERROR")
    assert "ERROR" in ask(demo, f"proxy2/{SERVER}/loglevel?logger_name=lmcache.v1.new")


def test_configuration_is_changed_and_refused_by_key(page: Browser, demo: str) -> None:
    refused = json.dumps({"updated": {"chunk_size": 512}, "errors": {"note": "Failed to set config value"}})
    conf = '{"chunk_size": 256, "note": "a"}'
    with scripted({"GET /version": VERSION, "GET /conf": (200, conf), "POST /conf": (200, refused)}) as node:
        add_node(demo, "picky", "127.0.0.1", node.port)
        try:
            open_tab(page, demo, "picky", "config")
            for key, value in (("chunk_size", "512"), ("note", "b")):
                edit(page, key, value + "\ue007")
                page.find(f"{conf_row(key)}.edited", "not saved")
            page.click(".unsaved button.primary")
            page.find("dialog", "chunk_size")
            page.click("dialog button.primary", "Send to the node")
            page.find(f"{conf_row('note')} .said[data-mark='bad']")
            page.find(".notice-bad", "refused")
            assert "POST /conf" in node.asked
            page.click(".unsaved button", "Discard")
            page.wait(lambda: not page.all(".edited"))
        finally:
            delete_node(demo, "picky")


def test_configuration_of_a_node_is_changed(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "config")
    edit(page, "min_retrieve_tokens", "512\ue007")
    page.find(f"{conf_row('min_retrieve_tokens')}.edited", "not saved")
    page.click(".unsaved button.primary")
    page.click("dialog button.primary", "Send to the node")
    page.wait(lambda: not page.all(".edited") and not page.all("dialog"))
    wait_for_text(page, conf_row("min_retrieve_tokens"), r"\b512\b")
    assert json.loads(ask(demo, f"proxy2/{WORKER}/conf?names=min_retrieve_tokens")) == {"min_retrieve_tokens": 512}


def test_configuration_editor_checks_types(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "config")
    edit(page, "chunk_size", "many\ue007")
    page.find(".said[role='alert']", "number")
    page.find(f"{conf_row('chunk_size')} input").type("\ue00c")
    page.wait(lambda: not page.all(".edit"))
    assert not page.all(".edited")


def edit(page: Browser, key: str, text: str) -> None:
    page.click(f"{conf_row(key)} button[aria-label^='Edit']")
    field = page.find(f"{conf_row(key)} input")
    field.clear()
    field.type(text)
