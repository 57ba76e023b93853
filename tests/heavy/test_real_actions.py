# SPDX-License-Identifier: Apache-2.0
"""Every action on real LMCache 0.5.6 nodes: in-process on TCP and on a Unix socket, and an MP server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.heavy.conftest import Nodes
from tests.helpers.acting import ActionsBench

SCRIPTS_OFF = "running scripts is switched off on this node (run_script_api_enabled)"
OF_MP = "an MP server of LMCache since 0.5.1"


@pytest.fixture(scope="module")
def bench(nodes: Nodes) -> Iterator[ActionsBench]:
    """Give the endpoints over nodes called ``tcp``, ``unix`` and ``mp``."""
    made = ActionsBench()
    try:
        for name, node in (("tcp", nodes.tcp), ("unix", nodes.unix), ("mp", nodes.mp)):
            made.add(name, node.port)
        made.collector.collect_once()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("action", "arguments", "outcome", "in_process", "mp"),
    [
        (
            "loglevel",
            {"logger": "lmcache", "level": "DEBUG"},
            "done",
            "Set lmcache level to DEBUG",
            "Set lmcache level",
        ),
        ("loglevel", {"logger": "lmcache", "level": "info"}, "done", "Set lmcache level to INFO", "Set lmcache"),
        ("conf", {"values": {"min_retrieve_tokens": 12}}, "done", "set min_retrieve_tokens=12", f"{OF_MP} takes"),
        (
            "conf",
            {"values": {"min_retrieve_tokens": "0", "nothing": 1}},
            "failed",
            'partly applied: not set nothing (Unknown config); set min_retrieve_tokens=0 (sent "0")',
            OF_MP,
        ),
        ("conf", {"values": {"nothing": 1}}, "failed", "nothing set: nothing (Unknown config)", OF_MP),
        (
            "conf",
            {"values": {"pd_allocation_timeout_sec": "inf"}},
            "done",
            'set pd_allocation_timeout_sec="Infinity" (sent "inf") (read back',
            OF_MP,
        ),
        ("freeze", {"enabled": True}, "done", "Freeze mode enabled successfully", f"{OF_MP} cannot be frozen"),
        ("freeze", {"enabled": False}, "done", "Freeze mode disabled successfully", OF_MP),
        ("hot_cache", {"enabled": False}, "done", "Hot cache disabled successfully", OF_MP),
        ("hot_cache", {"enabled": True}, "done", "Hot cache enabled successfully", OF_MP),
        ("bypass", {"backend": "LocalCPUBackend", "bypassed": True}, "done", "bypassed now: LocalCPUBackend", OF_MP),
        ("bypass", {"backend": "LocalCPUBackend", "bypassed": False}, "done", "bypassed now: none", OF_MP),
        ("bypass", {"backend": "Nothing", "bypassed": True}, "failed", "400: Unknown backend", OF_MP),
        ("backend", {"operation": "create"}, "done", "backends now: LocalCPUBackend", OF_MP),
        ("backend", {"operation": "create", "name": "RemoteBackend"}, "failed", "RemoteBackend is not there", OF_MP),
        (
            "backend",
            {"operation": "recreate", "name": "LocalCPUBackend"},
            "done",
            "backends now: LocalCPUBackend",
            OF_MP,
        ),
        ("backend", {"operation": "close", "name": "Nothing"}, "failed", "404: Backend Nothing not found", OF_MP),
        ("cache_clear", {"locations": ["LocalCPUBackend"]}, "done", "", "an MP server clears its L1 as a whole"),
        ("metrics_reset", {}, "done", "counters and histograms are at zero", OF_MP),
    ],
)
def test_actions(bench: ActionsBench, action: str, arguments: Any, outcome: str, in_process: str, mp: str) -> None:
    lines = bench.run(action, arguments, canary=action == "conf" and outcome == "done")
    for name in ("tcp", "unix"):
        assert lines[name]["outcome"] == outcome, lines
        assert lines[name]["detail"].startswith(in_process), lines
    assert lines["mp"]["outcome"] == ("done" if action == "loglevel" else "unsupported"), lines
    assert lines["mp"]["detail"].startswith(mp), lines


def test_caches_are_cleared(bench: ActionsBench) -> None:
    stored = bench.run("request", {"method": "POST", "path": "/cache/store?tokens_mock=0,512"}, nodes=["tcp", "unix"])
    assert {line["outcome"] for line in stored.values()} == {"done"}
    lines = bench.run("cache_clear")
    assert {name: line["detail"] for name, line in lines.items()} == {
        "tcp": "512 tokens removed",
        "unix": "512 tokens removed",
        "mp": "cleared",
    }


def test_scripts_run_where_they_may(bench: ActionsBench) -> None:
    lines = bench.run("run_script", {"script": "result = 'ü ' + str(1 + 1) + ' token=abc'"})
    assert {name: line["detail"] for name, line in lines.items()} == {
        "tcp": "ü 2 token=********",
        "unix": SCRIPTS_OFF,
        "mp": SCRIPTS_OFF,
    }
    line = bench.run("run_script", {"script": "1/0"}, nodes=["tcp"])["tcp"]
    assert (line["outcome"], line["detail"]) == ("failed", "500: Error executing script: division by zero")


def test_any_request(bench: ActionsBench, nodes: Nodes) -> None:
    arguments = {
        "method": "PUT",
        "path": "/quota/tenant",
        "headers": {"Content-Type": "application/json"},
        "body": '{"limit_gb": 1}',
    }
    line = bench.run("request", arguments, nodes=["mp"])["mp"]
    assert json.loads(line["detail"]) == {"cache_salt": "tenant", "limit_gb": 1.0, "status": "ok"}
    bench.run("request", {"method": "DELETE", "path": "/quota/tenant"}, nodes=["mp"])
    assert "tenant" not in nodes.mp.ask("GET", "/quota").body.decode()
