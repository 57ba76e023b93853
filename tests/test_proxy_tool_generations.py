# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy --direct`` with nodes of older releases: what they lack is said, and never tried."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.helpers.generations import TableNode, controller, coordinator, in_process, mp
from tests.helpers.proxy_tool import Result, run
from tests.helpers.scripted import Script, ScriptedNode, Visit

StartNode = Callable[..., ScriptedNode]


def serving(table: TableNode, asked: list[str]) -> Script:
    """Give a script that answers as a table does, keeping what it was asked for."""

    def script(visit: Visit) -> None:
        while head := visit.read_head().decode():
            method, target, _ = head.split(" ", 2)
            asked.append(f"{method} {target}")
            length = next((int(line[15:]) for line in head.splitlines() if line.startswith("Content-Length:")), 0)
            visit.read(length)
            answer = table(target, None)
            fields = "".join(f"{name}: {value}\r\n" for name, value in answer.head.fields)
            visit.send(f"HTTP/1.1 {answer.head.status} X\r\n{fields}\r\n".encode() + answer.body)

    return script


@pytest.fixture
def talk(start_node: StartNode) -> Callable[[TableNode], tuple[Callable[..., Result], list[str]]]:
    def begin(table: TableNode) -> tuple[Callable[..., Result], list[str]]:
        asked: list[str] = []
        where = f"127.0.0.1:{start_node(serving(table, asked)).port}"
        return (lambda *arguments: run(*arguments, "--direct", where)), asked

    return begin


Talk = Callable[[TableNode], tuple[Callable[..., Result], list[str]]]


@pytest.mark.parametrize("release", ["0.3.6", "0.3.9", "0.3.12", "0.3.15", "0.4.5", "0.5.2"])
def test_workers_of_all_times_are_read(talk: Talk, release: str) -> None:
    tool, _ = talk(in_process(release))
    assert tool("version", "--format", "jsonl").lines[0]["version"].startswith(release)
    assert tool("health").status == 0
    assert tool("node").status == 0
    for command in ("conf", "threads", "metrics", "loglevel"):
        result = tool(command, "--format", "jsonl")
        assert (result.status, result.err) == (0, ""), command
        assert result.lines
    has_periodic = release not in ("0.3.6", "0.3.9", "0.3.12")
    assert tool("periodic").status == (0 if has_periodic else 1)


@pytest.mark.parametrize(
    ("release", "command", "reason"),
    [
        ("0.3.9", ("freeze", "on"), "LMCache 0.3.9 has no PUT /freeze/enable (since 0.3.11)"),
        ("0.3.6", ("clear", "--yes"), "LMCache 0.3.6 has no DELETE /cache/clear (since 0.3.9)"),
        ("0.3.13", ("conf", "chunk_size=128", "--yes"), "LMCache 0.3.13 has no POST /conf (since 0.3.14)"),
        ("0.3.12", ("hot-cache", "off"), "LMCache 0.3.12 has no PUT /hot_cache/disable (since 0.3.15)"),
    ],
)
def test_what_a_release_lacks_is_not_tried(talk: Talk, release: str, command: tuple[str, ...], reason: str) -> None:
    tool, asked = talk(in_process(release))
    result = tool(*command, "--format", "jsonl")
    assert result.status == 1
    assert [(line["outcome"], line["detail"]) for line in result.lines] == [("unsupported", reason)]
    assert {words.split()[0] for words in asked} == {"GET"}


@pytest.mark.parametrize("release", ["0.3.15", "0.4.1", "0.4.5", "0.5.0", "0.5.1", "0.5.5"])
def test_mp_servers_of_all_times_are_read(talk: Talk, release: str) -> None:
    tool, _ = talk(mp(release))
    assert tool("health").status == 0
    assert tool("node").status == 0
    has_all = release not in ("0.3.15", "0.4.1")
    for command in ("conf", "threads", "metrics", "env"):
        result = tool(command)
        assert (result.status, bool(result.out)) == ((0, True) if has_all else (1, False)), command
    assert tool("meta").err.startswith("warning: 127.0.0.1:")


def test_other_kinds_say_what_they_lack(talk: Talk) -> None:
    tool, asked = talk(coordinator())
    assert tool("health").status == 0
    result = tool("loglevel", "lmcache", "DEBUG", "--format", "jsonl")
    assert result.lines[0]["outcome"] == "unsupported"
    assert not any("loglevel" in words for words in asked)
    tool, _ = talk(controller("0.5.6"))
    assert tool("health").status == 0
    assert tool("threads").status == 0
    assert tool("conf", "chunk_size").status == 1
