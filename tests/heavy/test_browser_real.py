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
    "overview": (".panel-body", r"Worker\s+rank 0, world size 1[\s\S]*Hit rate"),
    "metrics": (".grid", r"lmcache:num_lookup_requests_total\s+counter\s+\d"),
    "threads": (".threads", r"MainThread\s+(At work|Waiting|Answering this)"),
    "loglevel": (".grid", r"\blmcache\.v1\.\w+"),
    "config": (".grid", r"chunk_size[\s\S]*\b256\b[\s\S]*pd_allocation_timeout_sec[\s\S]*Infinity"),
    "meta": (".grid", r"role\s+worker"),
    "inference": (".panel-body", r"not in an engine|No inference engine"),
    "periodic": (".panel-body", r"PinMonitor-thread[\s\S]*critical"),
    "backends": (".panel-body", r"LocalCPUBackend[\s\S]*In use[\s\S]*Storing[\s\S]*Hot cache"),
    "script": (".panel-body", r"script\.py"),
    "console": (".panel-body", r"/conf\b"),
    "environment": (".grid", r"LMCACHE_TRACK_USAGE\s+false"),
}
SERVER = {
    "overview": (".panel-body", r"L1 cache[\s\S]*in use of"),
    "metrics": (".grid", r"lmcache_mp_l1_memory_usage_bytes\s+gauge\s+\d"),
    "threads": (".threads", r"MainThread\s+(At work|Waiting|Answering this)"),
    "loglevel": (".grid", r"\blmcache\.v1\.\w+"),
    "config": (".panel-body", r"cannot be changed while the node runs[\s\S]*mp\.chunk_size\s+\d+"),
    "meta": (".panel-body", r"MP servers have no metadata[\s\S]*storage_manager\.is_healthy\s+true"),
    "inference": (".panel-body", r"is not in an inference engine"),
    "periodic": (".panel-body", r"\d+ of \d+ threads"),
    "backends": (".panel-body", r"L1\s+Healthy[\s\S]*Quotas"),
    "script": (".panel-body", r"scripts switched off"),
    "console": (".panel-body", r"/status\b"),
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
        pattern = rf"Healthy\s+{node}\s+{kind}\s+0\.5\.6"
        page.wait(lambda pattern=pattern: _matches(page, ".nodes .row", pattern), f"{node} to be known")


def _matches(page: Browser, css: str, pattern: str) -> bool:
    return any(re.search(pattern, element.text) for element in page.all(css))
