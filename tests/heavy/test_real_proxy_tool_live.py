# SPDX-License-Identifier: Apache-2.0
"""``top``, ``doctor`` and ``watch`` of ``lmcache-proxy`` on real LMCache 0.5.6 nodes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.heavy.conftest import CHECKOUT, Frontend, Nodes, start_frontend
from tests.helpers.proxy_tool import run
from tests.helpers.pseudo_terminal import Session
from tests.helpers.waiting import wait_until

# What is so of nodes that tests start: without traffic, each with a folder for metrics, and one that runs scripts.
EXPECTED = {"no_lookups", "multiprocess_metrics", "drift"}


@pytest.fixture(scope="module")
def service(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    started = start_frontend(tmp_path_factory.mktemp("live"), (nodes.tcp, nodes.unix, nodes.mp))
    try:
        server = f"http://127.0.0.1:{started.port}"
        wait_until(
            lambda: run("watch", "--until", "healthy", "--for", "5", "--server", server).status == 0, timeout_s=30
        )
        yield started
    finally:
        started.running.end()


def server(service: Frontend) -> str:
    return f"http://127.0.0.1:{service.port}"


def codes(*arguments: str) -> set[str]:
    result = run("doctor", *arguments, "--format", "json")
    assert result.document["unchecked"] == []
    return {finding["code"] for finding in result.document["findings"]}


def test_doctor_finds_nothing_wrong_with_nodes_as_they_come(service: Frontend) -> None:
    found = codes("--server", server(service))
    assert found - EXPECTED == set()


@pytest.mark.parametrize("kind", ["tcp", "unix", "mp"])
def test_doctor_speaks_to_nodes_itself(nodes: Nodes, kind: str) -> None:
    port: Any = getattr(nodes, kind).port
    assert codes("--direct", str(port) if str(port).startswith("/") else f":{port}") - EXPECTED == set()


def test_doctor_sees_what_was_done_to_a_node(service: Frontend, nodes: Nodes) -> None:
    name = str(nodes.tcp.entry["name"])
    paths = {
        "freeze": ("/freeze/enable", "/freeze/disable"),
        "bypass": ("/bypass/add?backend_name=LocalCPUBackend", "/bypass/remove?backend_name=LocalCPUBackend"),
    }
    for there, _ in paths.values():
        assert run("put", name, there, "--fail", "--server", server(service)).status == 0
    try:
        assert codes(name, "--server", server(service)) >= {"frozen", "bypassed"}
    finally:
        for _, back in paths.values():
            run("put", name, back, "--server", server(service))
    assert codes(name, "--server", server(service)) - EXPECTED == set()


def test_top_shows_real_nodes(service: Frontend, nodes: Nodes, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "tools.proxy", "top", "--server", server(service)]
    with Session(command, environment=environment, directory=CHECKOUT, columns=120, rows=40) as session:
        name = str(nodes.mp.entry["name"])
        session.wait_until_shown(f"\n{name}")
        assert re.search(rf"^{re.escape(name)} +mp +0\.5\.6\S* +healthy", session.screen.text, re.MULTILINE)
        session.send("/kind:worker\r\x1b[B\r")
        session.wait_until_shown("cpu_capacity_bytes")
        session.resize(40, 12)
        session.wait_until_shown("q quit")
        session.send("q")
        assert session.wait_until_ended() == 0
        assert session.screen.strange == []
        assert not session.screen.modes["1049"]
