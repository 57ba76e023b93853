# SPDX-License-Identifier: Apache-2.0
"""Every command of ``lmcache-proxy`` on real LMCache 0.5.6 nodes: in-process on TCP and on a Unix socket, and MP.

Each is run through a frontend, and the same without one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.heavy.conftest import Frontend, Nodes, start_frontend
from tests.helpers.proxy_tool import Result, run
from tests.helpers.waiting import wait_until

KINDS = ("tcp", "unix", "mp")


class Tool:
    """Runs the tool for nodes by the names of their kinds."""

    def __init__(self, nodes: Nodes, frontend: Frontend) -> None:
        self.server = f"http://127.0.0.1:{frontend.port}"
        self.names = {kind: str(getattr(nodes, kind).entry["name"]) for kind in KINDS}
        self.addresses = {
            kind: str(port) if str(port := getattr(nodes, kind).port).startswith("/") else f":{port}" for kind in KINDS
        }

    def through(self, *arguments: str) -> Result:
        return run(*arguments, "--server", self.server)

    def both(self, kind: str, command: str, *words: str) -> list[Result]:
        """Run a command for a node through the frontend, and straight."""
        return [
            self.through(command, self.names[kind], *words),
            run(command, *words, "--direct", self.addresses[kind]),
        ]

    def all_nodes(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = self.through("nodes", "--format", "jsonl").lines
        return lines


@pytest.fixture(scope="module")
def tool(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    started = start_frontend(tmp_path_factory.mktemp("tool"), (nodes.tcp, nodes.unix, nodes.mp))
    try:
        made = Tool(nodes, started)
        wait_until(lambda: {node["level"] for node in made.all_nodes()} == {"healthy"}, timeout_s=30.0)
        yield made
    finally:
        started.running.end()


def test_nodes_are_listed(tool: Tool) -> None:
    assert {node["node"]: node["kind"] for node in tool.all_nodes()} == {
        tool.names["tcp"]: "worker",
        tool.names["unix"]: "worker",
        tool.names["mp"]: "mp",
    }
    assert tool.through("fleet", "--format", "json").document["levels"] == {"healthy": 3}
    assert tool.through("drift").status == 0
    assert tool.through("open").out == f"{tool.server}/\n"


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_kind_says(tool: Tool, kind: str) -> None:
    for result in tool.both(kind, "version", "--format", "jsonl"):
        assert result.lines[0]["version"].startswith("0.5.6")
    for result in tool.both(kind, "health", "--format", "jsonl"):
        assert (result.status, result.lines[0]["level"]) == (0, "healthy")
    for result in tool.both(kind, "node"):
        assert result.status == 0
        assert "healthy" in result.out.splitlines()[0]
    for result in tool.both(kind, "metrics", "--grep", "^lmcache", "--format", "jsonl"):
        assert all(line["name"].startswith("lmcache") for line in result.lines)
        assert len(result.lines) > 5
    for result in tool.both(kind, "metrics", "--rate", "0.2", "--format", "jsonl"):
        assert any(line["name"] == "process_cpu_seconds_total" for line in result.lines)
    for result in tool.both(kind, "threads", "--name", "mainthread", "--format", "jsonl"):
        assert [line["name"] for line in result.lines] == ["MainThread"]
        assert result.lines[0]["at"]
    for result in tool.both(kind, "threads", "--diff", "0.2", "--format", "jsonl"):
        assert "same" in {line["change"] for line in result.lines}
    for result in tool.both(kind, "env", "--grep", "^PATH=", "--format", "jsonl"):
        assert [line["key"] for line in result.lines] == ["PATH"]
    for result in tool.both(kind, "periodic", "--format", "jsonl"):
        assert result.status == 0
    for result in tool.both(kind, "backends", "--format", "jsonl"):
        assert result.status == 0
    for result in tool.both(kind, "conf", "--format", "jsonl"):
        assert len(result.lines) > 3


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_what_in_process_nodes_say(tool: Tool, kind: str) -> None:
    for result in tool.both(kind, "meta", "--format", "jsonl"):
        assert {"role", "worker_id"} <= {line["key"] for line in result.lines}
    for result in tool.both(kind, "inference"):
        assert (result.status, result.out) == (0, "")
    for result in tool.both(kind, "conf", "chunk_size", "pd_allocation_timeout_sec", "--format", "jsonl"):
        assert [line["value"] for line in result.lines] == [256, "Infinity"]
    for result in tool.both(kind, "quota"):
        assert result.status == 1


def test_what_an_mp_server_says(tool: Tool) -> None:
    for item in ("meta", "inference", "freeze", "hot-cache"):
        for result in tool.both("mp", item):
            assert result.status == 1, item
    assert all(result.status == 0 for result in tool.both("mp", "quota", "team-a=2"))
    for result in tool.both("mp", "quota", "--format", "jsonl"):
        assert [(line["tenant"], line["limit_gb"]) for line in result.lines] == [("team-a", 2.0)]
    assert tool.both("mp", "quota", "team-a", "--remove", "--yes")[0].status == 0


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_set(tool: Tool, kind: str) -> None:
    for level in ("DEBUG", "INFO"):
        assert all(result.status == 0 for result in tool.both(kind, "loglevel", "lmcache", level))
        for result in tool.both(kind, "loglevel", "lmcache", "--format", "jsonl"):
            assert [line["level"] for line in result.lines] == [level]


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_switches_are_turned(tool: Tool, kind: str) -> None:
    for command, first, second in (("freeze", "on", "off"), ("hot-cache", "off", "on")):
        for state in (first, second):
            assert all(result.status == 0 for result in tool.both(kind, command, state))
            for result in tool.both(kind, command, "--format", "jsonl"):
                assert result.lines[0]["enabled"] is (state == "on")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_configuration_is_changed_and_put_back(tool: Tool, kind: str) -> None:
    through, direct = tool.both(kind, "conf", "blocking_timeout_secs=20", "--yes", "--canary")
    assert (through.status, direct.status, direct.out) == (0, 0, "")
    back = next(line for line in through.err.splitlines() if line.startswith("to put it back: "))
    words = back.removeprefix("to put it back: lmcache-proxy ").split()
    assert tool.through(*words, "--yes").status == 0
    for result in tool.both(kind, "conf", "blocking_timeout_secs", "--format", "jsonl"):
        assert result.lines[0]["value"] == 10
    partly = run("conf", "--direct", tool.addresses[kind], "local_cpu=yes", "nothing=1", "--dry-run")
    assert 'local_cpu: got "yes", of which LMCache makes false' in partly.err


def test_what_only_some_can_do_is_done_in_part(tool: Tool) -> None:
    result = tool.through("conf", "--all", "lookup_timeout_ms=2999", "--yes", "--format", "jsonl")
    assert result.status == 4
    assert sorted(line["outcome"] for line in result.lines) == ["done", "done", "unsupported"]
    assert tool.through("conf", "--all", "lookup_timeout_ms=3000", "--yes").status == 4


@pytest.mark.parametrize("kind", KINDS)
def test_caches_are_cleared(tool: Tool, kind: str) -> None:
    for result in tool.both(kind, "clear", "--yes", "--format", "jsonl"):
        assert (result.status, result.lines[0]["outcome"]) == (0, "done")


def test_scripts_are_run_where_they_may(tool: Tool, tmp_path: Path) -> None:
    script = tmp_path / "probe.py"
    script.write_text("result = 6 * 7\n")
    for result in tool.both("tcp", "run-script", str(script), "--yes"):
        assert (result.status, result.out) == (0, "42")
    for result in tool.both("unix", "run-script", str(script), "--yes"):
        assert (result.status, result.out) == (1, "")
        assert "run_script_api_enabled" in result.err
    several = tool.through("run-script", "--all", str(script), "--yes", "--format", "jsonl")
    assert several.status == 4
    assert {line["node"]: line["outcome"] for line in several.lines}[tool.names["tcp"]] == "done"


@pytest.mark.parametrize("kind", KINDS)
def test_any_request_passes(tool: Tool, kind: str, tmp_path: Path) -> None:
    for result in tool.both(kind, "get", "/version"):
        assert json.loads(result.out).startswith("0.5.6")
    path = tmp_path / "metrics"
    for result in tool.both(kind, "get", "/metrics", "-o", str(path), "--fail"):
        assert result.status == 0
    assert path.read_bytes().startswith(b"# HELP")
    for result in tool.both(kind, "get", "/nothing", "--fail"):
        assert (result.status, result.out) == (1, "")
    target = "/quota/x" if kind == "mp" else "/conf"
    body = '{"limit_gb": 1}' if kind == "mp" else '{"min_retrieve_tokens": 0}'
    for result in tool.both(kind, "put" if kind == "mp" else "post", target, "-d", body, "--fail"):
        assert result.status == 0
    if kind == "mp":
        assert tool.both(kind, "delete", "/quota/x", "--fail")[0].status == 0
    else:
        for result in tool.both(kind, "put", "/freeze/disable", "-i"):
            assert result.out.startswith("HTTP/1.1 200 OK\n")


def test_actions_are_remembered(tool: Tool) -> None:
    listed = tool.through("actions", "--format", "jsonl").lines
    assert {action["state"] for action in listed} == {"ended"}
    assert tool.through("actions", listed[-1]["id"], "--format", "jsonl").lines
