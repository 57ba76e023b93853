# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""The page of a node in a real browser: its head, and every action of its tabs with the effect on the node."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lmcache_frontend.masking import is_secret, masked_text
from tests.heavy.browser_fixtures import browser, demo, page  # noqa: F401
from tests.helpers.dashboard import add_node, ask, delete_node, forwarding, scripted, serving
from tests.helpers.webdriver import Browser

WORKER, SCHEDULER, SERVER = "demo_worker0", "demo_scheduler", "demo_mp0"
TABS = (
    "threads",
    "loglevel",
    "config",
    "meta",
    "inference",
    "environment",
    "periodic",
    "backends",
    "script",
    "console",
)
VERSION = (200, '"0.5.6"')
CONF = (200, '{"chunk_size": 256}')
ENTER, ESCAPE = "\ue007", "\ue00c"
STRANGER = {"X-Forwarded-For": "203.0.113.9"}
CLIPBOARD = "navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }"
MASKED = """
const done = arguments[0];
return import(new URL("static/js/masking.js", location.href.split("#")[0])).then(({ isSecret, maskedText }) =>
  [done.map(isSecret), done.map(maskedText)]);
"""


def open_tab(page: Browser, address: str, node: str, tab: str) -> None:
    page.open("about:blank")
    page.open(f"{address}#/node/{quote(node, safe='')}?tab={tab}")
    page.wait(lambda: page.all(f"#tab-{tab}[aria-selected='true']") and page.all(".panel-body"), f"the tab {tab}")
    page.wait(lambda: not page.all(".loading, .panel[aria-busy]"), f"the content of {tab}")


def text_of(page: Browser, css: str) -> str:
    found = page.all(css)
    return found[0].text if found else ""


def wait_for_text(page: Browser, css: str, pattern: str) -> None:
    page.wait(lambda: re.search(pattern, text_of(page, css)), f"{pattern} in {css}")


def of_node(address: str, node: str, path: str) -> Any:
    return json.loads(ask(address, f"proxy2/{node}/{path}"))


@contextmanager
def registered(address: str, name: str, answers: dict[str, tuple[int, str]]) -> Iterator[Any]:
    with scripted({"GET /version": VERSION, "GET /conf": CONF, **answers}) as node:
        add_node(address, name, "127.0.0.1", node.port)
        try:
            yield node
        finally:
            delete_node(address, name)


def in_card(card: str, rest: str) -> str:
    return f"[data-card='{card}'] {rest}"


def confirm(page: Browser, typed: str = "") -> None:
    """Say yes in the dialog, after what it wants typed; without that it must not let go."""
    page.find("dialog[open]")
    if typed:
        assert not page.find("dialog .danger").enabled
        page.find("dialog #typed").type(typed[:-1])
        assert not page.find("dialog .danger").enabled
        page.find("dialog #typed").type(typed[-1])
    page.click("dialog .dialog-buttons button:last-child")
    page.wait(lambda: not page.all("dialog"), "the dialog to close")


# The head


def test_head_says_how_it_is_who_it_is_and_where_else_to_look(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "periodic")
    wait_for_text(page, ".node-level", "Healthy")
    wait_for_text(page, ".node-since", r"^for \d+")
    wait_for_text(page, ".node-facts", r"Kind\s+Worker\s+LMCache\s+0\.5\.6\S*\s+Instance\s+demo\s+Address\s+unix:/")
    links = page.run("return [...document.querySelectorAll('.node-links a')].map(link => link.getAttribute('href'))")
    places = [f"#/compare?nodes={WORKER}", f"#/manage?q={WORKER}", f"#/node/{WORKER}?tab=console"]
    assert links == [*places, f"proxy2/{WORKER}/metrics"]
    assert text_of(page, ".node-why").startswith("It answers")


def test_head_gives_the_reason_of_a_node_that_cannot_be_reached(page: Browser, demo: str) -> None:
    add_node(demo, "dead", "127.0.0.1", 9)
    try:
        open_tab(page, demo, "dead", "threads")
        wait_for_text(page, ".node-level", "Unreachable")
        wait_for_text(page, ".node-why", r"(?i)refused")
        wait_for_text(page, ".node-since", "never answered")
        page.find(".panel .notice-bad", "The node cannot be reached")
    finally:
        delete_node(demo, "dead")


def test_tabs_follow_the_pattern_of_tabs(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "script")
    page.find("#tab-script").type("\ue014")
    page.find("#tab-console[aria-selected='true']")
    assert page.run("return document.querySelector('#panel').getAttribute('aria-labelledby')") == "tab-console"
    page.find("#tab-console").type("\ue014")
    page.find("#tab-overview[aria-selected='true']")
    assert page.run("return document.querySelectorAll('[role=tab][tabindex=\"0\"]').length") == 1
    page.run("history.back()")
    page.find("#tab-console[aria-selected='true']")


# Threads


def test_threads_are_filtered_by_what_is_in_their_frames(page: Browser, demo: str) -> None:
    open_tab(page, demo, SERVER, "threads")
    page.find(".search").type("periodic_thread.py _wake_event")
    wait_for_text(page, ".tally", r"^6 of \d+ threads")
    assert text_of(page, ".thread-count").startswith("6")
    page.find("select[aria-label='Threads with the same stack']").choose("each")
    page.wait(lambda: len(page.all(".thread")) == 6)
    page.click(".thread summary")
    page.find(".thread[open] .frame-function", "_run_loop")
    page.find(".thread[open] code", "self._wake_event.wait")


class Moving(BaseHTTPRequestHandler):
    """A node with one thread that goes on and one that does not."""

    protocol_version = "HTTP/1.1"
    captures = itertools.count(10)

    def do_GET(self) -> None:
        status, text = 404, '{"detail":"Not Found"}'
        if self.path == "/version":
            status, text = VERSION
        elif self.path.startswith("/conf"):
            status, text = CONF
        elif self.path == "/threads":
            status, text = 200, self.dump(next(self.captures))
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    @staticmethod
    def dump(line: int) -> str:
        frame = '  File "/a/engine.py", line {}, in store\n    copy(chunk)\n'
        blocks = [
            f"Thread: <Thread({name}, started {ident})>\nStack trace:\n{frame.format(at)}"
            for name, ident, at in (("stuck", 1, 5), ("goes on", 2, line))
        ]
        return "\n\n".join(blocks) + "\n\n=== Thread Summary ===\nTotal threads: 2\n"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_two_captures_show_what_has_not_moved(page: Browser, demo: str) -> None:
    with serving(Moving) as address:
        add_node(demo, "moving", "127.0.0.1", int(address.rstrip("/").rpartition(":")[2]))
        try:
            open_tab(page, demo, "moving", "threads")
            page.find(".hint", "Capture again")
            page.click("button.primary", "Capture again")
            wait_for_text(page, ".captures", r"1 thread at work has not moved[\s\S]*1 not moved\s+1 moved")
            assert text_of(page, ".thread[data-change='stuck']").startswith("stuck")
            page.click(".captures button", "1 moved")
            page.wait(lambda: len(page.all(".thread")) == 1)
            page.click(".thread summary", "goes on")
            wait_for_text(page, ".thread-ids", r"was in store, a/engine\.py:\d+")
        finally:
            delete_node(demo, "moving")


# Log levels


def test_a_level_is_chosen_confirmed_and_taken_back(page: Browser, demo: str) -> None:
    def level() -> str:
        return ask(demo, f"proxy2/{WORKER}/loglevel?logger_name=lmcache.config").rpartition(": ")[2]

    open_tab(page, demo, WORKER, "loglevel")
    row = "tr[data-logger='lmcache.config']"
    page.find(f"{row} select").choose("ERROR")
    page.find(f"{row}.edited")
    page.click(f"{row} button", "Cancel")
    page.wait(lambda: not page.all(".edited"))
    assert level() == "INFO"
    page.find(f"{row} select").choose("DEBUG")
    assert level() == "INFO"
    page.click(f"{row} button.primary", "Set")
    page.find(f"{row} .said[data-mark='ok']", "Set lmcache.config level to DEBUG")
    assert level() == "DEBUG"
    page.find(".undo-bar", "1 level changed")
    page.find("select[aria-label='Which levels']").choose("changed")
    wait_for_text(page, ".tally", r"^1 of ")
    page.click(f"{row} button[aria-label^='Undo']", "Back to INFO")
    page.wait(lambda: level() == "INFO")
    page.wait(lambda: not text_of(page, ".undo-bar"))


def test_a_logger_without_a_level_names_the_one_that_it_follows(page: Browser, demo: str) -> None:
    answer = "=== Loggers and Levels ===\na: DEBUG\na.b.c: NOTSET\n<img src=x onerror=alert(1)>: Level 5\n"
    with registered(demo, "loggers", {"GET /loglevel": (200, answer)}):
        open_tab(page, demo, "loggers", "loglevel")
        page.find("tr[data-logger='a.b.c'] .follows", "follows a: DEBUG")
        page.find(".grid", "<img src=x onerror=alert(1)>")
        assert not page.all("main img")


# Configuration


def edit(page: Browser, key: str, text: str) -> None:
    page.find(f"tr[data-key='{key}']")
    # Not under the bar of what is not saved.
    page.run("document.querySelector(`tr[data-key='${arguments[0]}']`).scrollIntoView({ block: 'center' })", key)
    page.click(f"tr[data-key='{key}'] button[aria-label^='Edit']")
    field = page.find(f"tr[data-key='{key}'] :is(.edit input:not([type=checkbox]), .edit textarea)")
    field.clear()
    field.type(text)


def test_values_are_shown_with_default_meaning_and_source(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "config")
    wait_for_text(
        page, "tr[data-key='max_local_cpu_size']", r"Size of the CPU memory pool[\s\S]*changed[\s\S]*5\s+environment"
    )
    wait_for_text(page, "tr[data-key='pd_allocation_timeout_sec']", r"Infinity\s+Infinity\s+default")
    page.find("select[aria-label='Which keys']").choose("changed")
    page.wait(lambda: not page.all("tr[data-key='chunk_size']"))
    page.find("tr[data-key='lmcache_instance_id'] .chip-changed")


def test_changes_are_looked_at_sent_and_answered_key_by_key(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "config")
    for key, wrong, problem, right in (
        ("lookup_timeout_ms", "2.5", "whole number", "2500"),
        ("max_local_disk_size", "x", "number", "inf"),
        ("blend_check_layers", "1, x", "whole numbers", "1, 2"),
        ("extra_config", "[1]", "JSON object", '{"a": {"b": 1}}'),
    ):
        edit(page, key, wrong)
        page.find(f"tr[data-key='{key}'] .said[role='alert']", problem)
        field = page.find(f"tr[data-key='{key}'] :is(.edit input:not([type=checkbox]), .edit textarea)")
        field.clear()
        field.type(right)
        page.click(f"tr[data-key='{key}'] .edit button.primary")
        page.find(f"tr[data-key='{key}'].edited")
    edit(page, "local_disk", "")
    page.click(".edit input[type=checkbox]")
    page.click(".edit button.primary")
    edit(page, "priority_limit", "7" + ENTER)
    page.find(".unsaved", "6 changes not saved")
    page.find("#tab-config[data-unsaved]")
    page.click(".unsaved button.primary")
    wait_for_text(page, "dialog tr[data-key], dialog table", r"lookup_timeout_ms[\s\S]*3000\s+2500")
    page.click("dialog button[aria-label='Leave out priority_limit']")
    page.click("dialog button.primary", "Send to the node")
    wait_for_text(page, "tr[data-key='lookup_timeout_ms']", "updated to 2500")
    wait_for_text(page, "tr[data-key='local_disk']", "refused: the node holds another value")
    page.find(".notice-bad", "1 value refused, 4 updated")
    held = of_node(
        demo, WORKER, "conf?names=lookup_timeout_ms,max_local_disk_size,blend_check_layers,extra_config,local_disk"
    )
    assert held == {
        "lookup_timeout_ms": 2500,
        "max_local_disk_size": float("inf"),
        "blend_check_layers": [1, 2],
        "extra_config": {"a": {"b": 1}},
        "local_disk": None,
    }
    wait_for_text(page, "tr[data-key='lookup_timeout_ms'] .source", "set here")
    page.click(".unsaved button", "Discard")
    ask(demo, f"proxy2/{WORKER}/conf", {"max_local_disk_size": 0.0, "extra_config": None, "blend_check_layers": None})


def test_null_is_chosen_beside_the_field_and_typing_takes_it_back(page: Browser, demo: str) -> None:
    open_tab(page, demo, "demo_worker1", "config")
    edit(page, "remote_url", "redis://user:word@host:1")
    assert not page.find(".edit input[type=checkbox]").property("checked")
    page.click(".edit button.primary")
    row = "tr[data-key='remote_url']"
    page.find(f"{row} .change", "redis://********@host:1")
    page.click(f"{row} button[aria-label^='Edit']")
    page.click(".edit input[type=checkbox]")
    page.click(".edit button.primary")
    page.wait(lambda: not page.all(".edited"), "null to be what it is already")


@pytest.mark.parametrize(("name", "version"), [("ancient", "0.3.9"), ("early", "0.3.13")])
def test_a_node_that_is_too_old_to_be_set_says_so(page: Browser, demo: str, name: str, version: str) -> None:
    answers = {"GET /version": (200, f'"{version}"'), "GET /conf": (200, '{"chunk_size": 256}')}
    with registered(demo, name, answers):
        open_tab(page, demo, name, "config")
        page.find(".notice", f"LMCache {version} is too old to be set while it runs")
        page.find("tr[data-key='chunk_size']", "256")
        assert not page.all("button[aria-label^='Edit']")


def test_configuration_is_copied_as_yaml_and_as_variables(page: Browser, demo: str) -> None:
    conf = {
        "chunk_size": 512,
        "remote_url": "redis://u:word@h:1",
        "local_disk": None,
        "pd_allocation_timeout_sec": float("inf"),
        "extra_config": {"api_key": "sesame", "on": "yes"},
        "p2p_init_ports": [1, 2],
        "cache_policy": "it's",
    }
    with registered(demo, "copied", {"GET /conf": (200, json.dumps(conf)), "GET /env": (200, "{}")}):
        open_tab(page, demo, "copied", "config")
        page.run(CLIPBOARD)
        page.click(".tools button", "Copy")
        page.click("dialog button.primary", "Copy")
        page.wait(lambda: page.run("return window.copied"))
        assert page.run("return window.copied").split("\n") == [
            "chunk_size: 512",
            'remote_url: "redis://********@h:1"',
            "extra_config:",
            '  api_key: "********"',
            '  on: "yes"',
            "p2p_init_ports: [1, 2]",
            'cache_policy: "it\'s"',
        ]
        page.find("dialog select").choose("variables")
        for box in page.all("dialog input[type=checkbox]"):
            box.click()
        field = page.find("dialog textarea")
        # What is masked is read anew first.
        page.wait(lambda: "export LMCACHE_REMOTE_URL=redis://u:word@h:1" in field.property("value"))
        text = field.property("value")
        assert "# LMCACHE_LOCAL_DISK is null" in text
        assert "export LMCACHE_PD_ALLOCATION_TIMEOUT_SEC=inf" in text
        assert "export LMCACHE_P2P_INIT_PORTS=1,2" in text
        assert "export LMCACHE_CACHE_POLICY='it'\\''s'" in text


# Meta, inference, environment


def test_secrets_are_masked_by_the_words_of_the_server(page: Browser, demo: str) -> None:
    texts = [
        "API_KEY",
        "apiKey",
        "min_retrieve_tokens",
        "token",
        "TOKENS",
        "x.secrets",
        "pass word",
        "password",
        "keyboard",
        "redis://u:p@h/0?token=x&a=b",
        "http://h/?apiKey=1;secret=2",
        "a@b",
        "s3://a@b@c/d",
    ]
    open_tab(page, demo, WORKER, "environment")
    assert page.run(MASKED, texts) == [[is_secret(text) for text in texts], [masked_text(text) for text in texts]]


def test_a_masked_variable_is_shown_when_asked_for_and_not_found_before(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "environment")
    assert "not-a-real-token" not in page.page_text()
    search = page.find(".search")
    search.type("not-a-real")
    wait_for_text(page, ".nothing", "No variable matches")
    search.clear()
    search.type("HF_TOKEN")
    page.click("tr[data-key='HF_TOKEN'] button", "Show")
    wait_for_text(page, "tr[data-key='HF_TOKEN']", f"not-a-real-token-{WORKER}")
    page.click(".nothing button, .tools button", "LMCACHE_*")
    page.wait(lambda: not page.all("tr[data-key='HF_TOKEN']"))


def test_the_engine_s_long_text_is_taken_apart(page: Browser, demo: str) -> None:
    text = "model='a, b', dtype=torch.bfloat16, nested=C(x={'k': 1, 'j': (2, 3)}), seed=0, and_more=" + "x" * 60
    with registered(demo, "engine", {"GET /inference_info": (200, json.dumps({"vllm_config": text}))}):
        open_tab(page, demo, "engine", "inference")
        wait_for_text(page, "tr[data-key='vllm_config.model']", r"a, b$")
        wait_for_text(page, "tr[data-key='vllm_config.nested']", r"C\(x=\{'k': 1, 'j': \(2, 3\)\}\)")
        page.find("tr[data-key='vllm_config.seed']")


# Periodic threads


def test_a_late_thread_comes_first_and_is_named(page: Browser, demo: str) -> None:
    thread = {
        "level": "low",
        "interval": 10.0,
        "init_wait": 0.0,
        "is_running": True,
        "is_active": True,
        "last_run_time": 1.7e9,
        "last_run_ago": 3.0,
        "total_runs": 9,
        "failed_runs": 0,
        "success_rate": 100.0,
        "last_summary": None,
    }
    failed = {"timestamp": 1.7e9, "duration_ms": 5.0, "success": False, "message": "no disk", "extra_info": {}}
    threads = [
        {**thread, "name": "fine"},
        {**thread, "name": "failing", "failed_runs": 2, "last_summary": failed},
        {**thread, "name": "late", "level": "critical", "is_active": False, "last_run_ago": 95.0},
    ]
    answer = json.dumps({"summary": {}, "threads": threads})
    with registered(demo, "sick", {"GET /periodic-threads": (200, answer)}):
        open_tab(page, demo, "sick", "periodic")
        wait_for_text(page, ".periodic-words", "^1 thread late: late.$")
        rows = page.run("return [...document.querySelectorAll('tr[data-thread]')].map(row => row.dataset.thread)")
        assert rows == ["late", "failing", "fine"]
        wait_for_text(page, "tr[data-thread='late']", r"Late[\s\S]*critical[\s\S]*1 min 35 s ago")
        wait_for_text(page, "tr[data-thread='failing']", r"Failing[\s\S]*Failed\s+no disk in 5 ms")


# Backends and cache


def test_backends_are_passed_by_recreated_closed_and_created(page: Browser, demo: str) -> None:
    open_tab(page, demo, "demo_worker2", "backends")
    row = "tr[data-backend='LocalCPUBackend']"
    page.click(f"{row} button", "Bypass")
    page.find(f"{row} .state", "Passed by")
    assert of_node(demo, "demo_worker2", "bypass/list")["bypassed_backends"] == ["LocalCPUBackend"]
    page.click(f"{row} button", "Use again")
    page.find(f"{row} .state", "In use")
    page.click(f"{row} button", "Recreate")
    confirm(page)
    page.find(in_card("backends", ".switch-said"), "Backends now: LocalCPUBackend.")
    page.click(f"{row} button", "Close")
    page.find("dialog", "Nothing is stored in it or read from it")
    page.find("dialog .dialog-buttons button").type(ESCAPE)
    page.wait(lambda: not page.all("dialog"))
    assert of_node(demo, "demo_worker2", "backends") == {"LocalCPUBackend": "LocalCPUBackend"}
    page.click(f"{row} button", "Close")
    confirm(page)
    page.find(in_card("backends", ".none"), "No backend is open")
    assert of_node(demo, "demo_worker2", "backends") == {}
    page.click(in_card("backends", "button"), "Create what is missing")
    page.find(row)


def test_freezing_and_the_hot_cache_are_switched(page: Browser, demo: str) -> None:
    open_tab(page, demo, "demo_worker2", "backends")
    page.click(in_card("freeze", "button"), "Freeze")
    page.find(in_card("freeze", ".state"), "Frozen")
    assert of_node(demo, "demo_worker2", "freeze/status")["freeze"] is True
    assert page.run("return document.activeElement.textContent") == "Unfreeze"
    page.click(in_card("freeze", "button"), "Unfreeze")
    page.find(in_card("freeze", ".state"), "Storing")
    assert of_node(demo, "demo_worker2", "freeze/status")["freeze"] is False
    page.click(in_card("hot", "button"), "Switch off")
    confirm(page)
    page.find(in_card("hot", ".state"), "Off")
    assert of_node(demo, "demo_worker2", "hot_cache/status")["hot_cache"] is False
    page.click(in_card("hot", "button"), "Switch on")
    page.find(in_card("hot", ".state"), "On")


def test_a_cache_is_emptied_only_once_its_name_is_typed(page: Browser, demo: str) -> None:
    open_tab(page, demo, "demo_worker3", "backends")
    page.click(in_card("clear", "input[type=checkbox]"))
    page.click(in_card("clear", "button"), "Empty")
    page.find("dialog", "LocalCPUBackend on this node is removed")
    confirm(page, "demo_worker3")
    wait_for_text(page, in_card("clear", ".switch-said"), r"[1-9]\d* tokens removed")
    page.click(in_card("counters", "button"))
    confirm(page)
    wait_for_text(page, in_card("counters", ".switch-said"), "at zero")


def test_an_mp_server_s_l1_and_quotas_are_managed(page: Browser, demo: str) -> None:
    open_tab(page, demo, SERVER, "backends")
    page.click(in_card("clear", "button"), "Empty L1")
    confirm(page, SERVER)
    wait_for_text(page, in_card("clear", ".switch-said"), "Cleared")
    page.find("input[aria-label='Cache salt']").type("tenant-a")
    page.find("input[aria-label='Limit in GB']").type("x")
    page.click(in_card("quota", "button"), "Set quota")
    assert page.run("return document.querySelector('input[aria-label=\"Limit in GB\"]').validationMessage")
    page.find("input[aria-label='Limit in GB']").clear()
    page.find("input[aria-label='Limit in GB']").type("2" + ENTER)
    page.find("tr[data-salt='tenant-a']")
    assert of_node(demo, SERVER, "quota")["users"]["tenant-a"]["limit_gb"] == 2
    field = page.find("input[aria-label='Limit of tenant-a in GB']")
    field.clear()
    field.type("3.5" + ENTER)
    page.wait(lambda: of_node(demo, SERVER, "quota")["users"]["tenant-a"]["limit_gb"] == 3.5)
    page.click("button[aria-label='Remove the quota of tenant-a']")
    page.find("dialog", "may hold nothing")
    confirm(page)
    page.find(in_card("quota", ".none"), "No quota is set")
    assert of_node(demo, SERVER, "quota") == {"users": {}}


def test_objects_of_an_adapter_are_listed_and_removed(page: Browser, demo: str) -> None:
    status = {
        "is_healthy": True,
        "storage_manager": {"is_healthy": True, "l2_adapters": [{"is_healthy": True, "type": "fs"}]},
    }
    adapter = {"index": 0, "type_name": "fs", "tier": "l2", "primary": True, "reconfigurable": False}
    entry = {
        "chunk_hash_hex": "ab12",
        "model_name": "m",
        "kv_rank": 0,
        "object_group_id": 0,
        "cache_salt": "s",
        "size": 5,
    }
    answers = {
        "GET /conf": (404, '{"detail":"Not Found"}'),
        "GET /healthcheck": (200, '{"status":"healthy"}'),
        "GET /status": (200, json.dumps(status)),
        "GET /": (200, '{"status":"ok","service":"LMCache HTTP API"}'),
        "GET /config": (200, '{"mp": {}}'),
        "GET /config/adapters": (200, json.dumps({"adapters": [adapter]})),
        "GET /quota": (200, '{"users":{}}'),
        "GET /cache/objects": (200, json.dumps({"adapter": "fs", "entries": [entry], "next_page_token": "more"})),
        "DELETE /cache/objects": (200, '{"deleted":1,"skipped":0,"ok":true}'),
    }
    with registered(demo, "tiered", answers) as node:
        open_tab(page, demo, "tiered", "backends")
        wait_for_text(page, in_card("adapters", ".grid"), r"0\s+fs\s+Healthy\s+l2\s+primary")
        page.click(in_card("objects", "button"), "List the first objects")
        wait_for_text(page, in_card("objects", ".grid"), r"ab12\s+m\s+0\s+s")
        page.find(in_card("objects", "button"), "Next page")
        page.click("input[aria-label='Choose ab12']")
        page.click(in_card("objects", "button"), "Remove those chosen")
        confirm(page, "tiered")
        page.wait(lambda: "DELETE /cache/objects" in node.asked)
        wait_for_text(page, in_card("objects", ".switch-said"), "deleted")


def test_a_scheduler_has_no_engine_but_statistics(page: Browser, demo: str) -> None:
    open_tab(page, demo, SCHEDULER, "backends")
    page.find(".notice", "This node has no cache engine")
    page.click(in_card("statistics", "button"), "Stop")
    page.find(in_card("statistics", ".state"), "Stopped")
    assert of_node(demo, SCHEDULER, "chunk_statistics/status")["enabled"] is False
    page.click(in_card("statistics", "button"), "Reset")
    wait_for_text(page, in_card("statistics", ".facts"), r"total chunks\s+0")
    page.click(in_card("statistics", "button"), "Start")
    page.find(in_card("statistics", ".state"), "Counting")


# Script and console


def test_a_script_runs_once_the_node_lets_it(page: Browser, demo: str, tmp_path: Path) -> None:
    file = tmp_path / "look.py"
    file.write_text("result = 6 * 7\n")
    open_tab(page, demo, "demo_worker4", "script")
    page.find(".notice", "This node has scripts switched off")
    assert not page.find(".panel button.primary").enabled
    page.click(".script-off button", "Switch it on")
    confirm(page)
    page.wait(lambda: not page.all(".script-off"))
    assert of_node(demo, "demo_worker4", "conf?names=run_script_api_enabled") == {"run_script_api_enabled": True}
    page.find("input[type=file]").type(str(file))
    page.wait(lambda: page.find("textarea").property("value") == "result = 6 * 7\n")
    page.click(".panel button.primary", "Run on this node")
    page.find("dialog", "1 line")
    confirm(page)
    wait_for_text(page, ".script-answer", r"The script has run[\s\S]*Script executed successfully")


def test_a_failing_script_shows_the_node_s_words(page: Browser, demo: str) -> None:
    failure = "Error executing script: name 'x' is not defined\n<img src=x>"
    answers = {"GET /conf": (200, '{"run_script_api_enabled": true}'), "POST /run_script": (500, failure)}
    with registered(demo, "running", answers):
        open_tab(page, demo, "running", "script")
        page.click(".panel button.primary", "Run on this node")
        confirm(page)
        page.find(".script-answer .notice-bad", "The script failed (500)")
        page.find(".script-answer pre", "<img src=x>")
        assert not page.all("main img")


def test_any_request_is_sent_and_its_answer_shown(page: Browser, demo: str) -> None:
    open_tab(page, demo, WORKER, "console")
    page.run(CLIPBOARD)
    page.click(".console-try button", "/periodic-threads")
    wait_for_text(page, ".answer", r"200 OK\s+GET /periodic-threads\s+[\d.]+ m?s, [\d.]+ m?s in all")
    page.find(".answer pre", '{\n  "summary": {\n')
    page.find("select[aria-label='Form of the body']").choose("raw")
    page.find(".answer pre", '{"summary":{')
    page.click(".answer summary")
    page.find(".answer-fields", "content-type")
    page.find("select[aria-label='Method']").choose("POST")
    path = page.find(".console-path")
    path.clear()
    path.type("/conf")
    page.click(".console-form summary")
    page.find(".console-form details textarea").type("X-Trace: it's me")
    page.find(".console-form > label textarea").type('{"min_retrieve_tokens": 77}' + "\ue009\ue007\ue000")
    wait_for_text(page, ".answer", r"200 OK[\s\S]*\"min_retrieve_tokens\": 77")
    assert of_node(demo, WORKER, "conf?names=min_retrieve_tokens") == {"min_retrieve_tokens": 77}
    page.click("button", "Copy as curl")
    page.wait(lambda: page.run("return window.copied"))
    assert page.run("return window.copied") == (
        "curl -sS -X POST -H 'X-Trace: it'\\''s me' -H 'Content-Type: application/json' "
        f"--data-raw '{{\"min_retrieve_tokens\": 77}}' '{demo}proxy2/{WORKER}/conf'"
    )
    page.click(".history-item", "/periodic-threads")
    page.find(".answer", "GET /periodic-threads")
    assert page.find(".console-path").property("value") == "/periodic-threads"
    page.click("#tab-meta")
    page.find("tr[data-key='role']")
    page.click("#tab-console")
    page.wait(lambda: len(page.all(".history-item")) == 2, "the history to outlive the tab")


def test_a_console_s_address_can_be_shared(page: Browser, demo: str) -> None:
    page.open(f"{demo}#/node/{WORKER}?tab=console&path=/nothing/here")
    page.click(".console-form button.primary", "Send")
    wait_for_text(page, ".answer", r"404 Not Found\s+GET /nothing/here")
    page.find("textarea[placeholder^='Accept']")
    page.run("document.querySelector('.console-form details').open = true")
    page.find(".console-form details textarea").type("no colon")
    page.click(".console-form button.primary", "Send")
    page.find(".notice-warn", "A header field cannot be read")


# Manners


def test_a_viewer_is_told_calmly_what_is_not_for_viewers(page: Browser, demo: str) -> None:
    with forwarding(demo, fields=STRANGER) as address:
        for tab in ("config", "meta", "environment"):
            open_tab(page, address, WORKER, tab)
            page.find(".panel .grid tbody tr")
            assert not page.all(".panel .notice-bad")
        open_tab(page, address, WORKER, "backends")
        page.find(".notice-info", "Nothing can be changed here")
        assert not page.find(in_card("freeze", "button")).enabled
        open_tab(page, address, WORKER, "loglevel")
        page.find(".notice-info", "Log levels cannot be changed")
        assert not page.find("tr[data-logger] select").enabled
        open_tab(page, address, WORKER, "script")
        assert not page.find(".panel button.primary").enabled
        open_tab(page, address, WORKER, "console")
        page.click(".console-try button", "/conf")
        wait_for_text(page, ".answer", "403[\\s\\S]*This is the frontend's own answer")


@pytest.mark.parametrize("node", [WORKER, SERVER])
def test_nothing_is_wider_than_a_small_telephone(page: Browser, demo: str, node: str) -> None:
    page.resize(360, 800)
    for tab in TABS:
        open_tab(page, demo, node, tab)
        assert page.run("return document.documentElement.scrollWidth") == 360, tab
