# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy context``: names for frontends, and which one a command talks to."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.proxy_tool import Result, run
from tests.helpers.scripted import ScriptedNode, always

EMPTY = b'{"groups":[],"versions":[]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(EMPTY) + EMPTY
Tool = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "config"


@pytest.fixture
def tool(home: Path) -> Tool:
    return lambda *arguments, **variables: run(*arguments, XDG_CONFIG_HOME=str(home), **variables)


def test_a_context_is_set_listed_chosen_and_removed(tool: Tool, home: Path, tmp_path: Path) -> None:
    assert tool("context", "list").err == f"there are no contexts in {home}/lmcache-frontend/contexts.json\n"
    first = tool("context", "set", "prod", "--server", "https://lmc.internal/x/", "--token-file", "token")
    assert first.status == 0
    assert first.err == f"wrote {home}/lmcache-frontend/contexts.json; in use: prod\n"
    assert tool("context", "set", "lab", "--server", "lab:8000").err.endswith("in use: prod\n")
    assert tool("context", "list", "--format", "json").document == [
        {
            "current": True,
            "name": "prod",
            "server": "https://lmc.internal/x",
            "token_file": str(Path.cwd() / "token"),
        },
        {"current": False, "name": "lab", "server": "http://lab:8000", "token_file": None},
    ]
    assert tool("context", "use", "lab").err.endswith("in use: lab\n")
    assert tool("context", "list").rows[2][:2] == ["*", "lab"]
    assert tool("context", "remove", "lab").err.endswith("none is in use\n")
    path = home / "lmcache-frontend" / "contexts.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(json.loads(path.read_text())["contexts"]) == ["prod"]


def test_what_is_not_named_again_stays(tool: Tool) -> None:
    tool("context", "set", "prod", "--server", "http://a:1", "--token-file", "/run/token")
    tool("context", "set", "prod", "--server", "http://b:2")
    found = tool("context", "list", "--format", "jsonl").lines[0]
    assert (found["server"], found["token_file"]) == ("http://b:2", "/run/token")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("use", "nobody"), 1, "no context is called 'nobody', there are: none"),
        (("set", "prod"), 2, "context set: expected --server URL"),
        (("use",), 2, "context use: expected NAME"),
        (("set", "p", "--server", "http://user:pass@h"), 2, "--server: expected an address alone"),
        (("set", "p", "--server", "http://h/?token=x"), 2, "--server: expected an address alone"),
    ],
)
def test_what_cannot_be_is_told(tool: Tool, arguments: tuple[str, ...], status: int, message: str) -> None:
    result = tool("context", *arguments)
    assert (result.status, result.out) == (status, "")
    assert message in result.err


def test_flag_goes_before_variable_before_context(tool: Tool, start_node: Callable[..., ScriptedNode]) -> None:
    heads: list[list[bytes]] = [[], [], []]
    ports = [start_node(always(ANSWER, kept)).port for kept in heads]
    flag, variable, context = (f"http://127.0.0.1:{port}" for port in ports)
    tool("context", "set", "x", "--server", context)
    tool("drift")
    tool("drift", LMCACHE_FRONTEND_URL=variable)
    tool("drift", "--server", flag, LMCACHE_FRONTEND_URL=variable)
    assert [len(kept) for kept in heads] == [1, 1, 1]


def test_a_context_s_token_goes_to_its_own_frontend_only(
    tool: Tool, start_node: Callable[..., ScriptedNode], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("# the operators'\nsecret\n")
    heads: list[bytes] = []
    server = f"http://127.0.0.1:{start_node(always(ANSWER, heads)).port}"
    tool("context", "set", "x", "--server", server, "--token-file", str(token))
    assert tool("drift").status == 0
    assert tool("drift", "--server", server).status == 0
    assert [b"Authorization: Bearer secret\r\n" in head for head in heads] == [True, False]


def test_a_refusal_has_a_status_of_its_own(tool: Tool, start_node: Callable[..., ScriptedNode]) -> None:
    for line, expected in (("403 Forbidden", 5), ("401 Unauthorized", 5), ("409 Conflict", 6), ("500 Oh", 1)):
        answer = f'HTTP/1.1 {line}\r\nContent-Length: 15\r\n\r\n{{"detail":"no"}}'.encode()
        server = f"http://127.0.0.1:{start_node(always(answer)).port}"
        result = tool("drift", "--server", server)
        assert (result.status, result.out) == (expected, "")
        assert result.err.startswith("lmcache-proxy: no (status ")
