# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""Every tab of the dashboard over real LMCache nodes: a worker on TCP, a worker on a Unix socket, and an MP server."""

from __future__ import annotations

import re

import pytest

from tests.heavy.browser_fixtures import browser, page  # noqa: F401
from tests.heavy.conftest import Frontend
from tests.helpers.webdriver import Browser

# What stands in each tab once it is loaded: a selector, and a pattern in its text.
WORKER = {
    "overview": (".panel-body", r"Answering[\s\S]*Kind\s+Worker[\s\S]*rank 0, world size 1[\s\S]*Hit rate"),
    "metrics": (".grid", r"lmcache:num_lookup_requests_total\s+counter\s+\d"),
    "threads": (".threads", r"MainThread\s+started"),
    "loglevel": (".grid", r"\blmcache\.v1\.\w+"),
    "config": (".grid", r"chunk_size\s+256[\s\S]*pd_allocation_timeout_sec\s+Infinity"),
    "meta": (".grid", r"role\s+worker"),
    "inference": (".panel-body", r"No inference engine"),
    "environment": (".grid", r"LMCACHE_TRACK_USAGE\s+false"),
}
SERVER = {
    "overview": (".panel-body", r"Answering[\s\S]*Kind\s+MP server[\s\S]*L1 cache[\s\S]*in use of"),
    "metrics": (".grid", r"lmcache_mp_l1_memory_usage_bytes\s+gauge\s+\d"),
    "threads": (".threads", r"MainThread\s+started"),
    "loglevel": (".grid", r"\blmcache\.v1\.\w+"),
    "config": (".panel-body", r"Read-only[\s\S]*mp\.chunk_size\s+\d+"),
    "meta": (".panel-body", r"MP servers have no metadata[\s\S]*storage_manager\.is_healthy\s+true"),
    "inference": (".panel-body", r"MP servers run beside the inference engines"),
    "environment": (".grid", r"LMCACHE_TRACK_USAGE\s+false"),
}


@pytest.mark.parametrize("node", ["worker-tcp", "worker-unix", "mp-server"])
def test_every_tab_has_content(page: Browser, frontend: Frontend, node: str) -> None:
    tabs = SERVER if node == "mp-server" else WORKER
    for tab, (css, pattern) in tabs.items():
        page.open(f"http://127.0.0.1:{frontend.port}/#/node/{node}?tab={tab}")
        page.find(f"#tab-{tab}[aria-selected='true']")
        page.wait(lambda css=css, pattern=pattern: _matches(page, css, pattern), f"{pattern} in {tab} of {node}")


def test_fleet_knows_each_real_node(page: Browser, frontend: Frontend) -> None:
    page.open(f"http://127.0.0.1:{frontend.port}/")
    for node, kind in (("worker-tcp", "Worker"), ("worker-unix", "Worker"), ("mp-server", "MP server")):
        pattern = rf"Answering\s+{node}\s+{kind}\s+0\.5\.6"
        page.wait(lambda pattern=pattern: _matches(page, ".groups", pattern), f"{node} to be known")


def _matches(page: Browser, css: str, pattern: str) -> bool:
    return any(re.search(pattern, element.text) for element in page.all(css))
