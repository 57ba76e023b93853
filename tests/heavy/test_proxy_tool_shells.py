# SPDX-License-Identifier: Apache-2.0
"""Completion scripts of lmcache-proxy in real shells on a pseudo-terminal, with a real frontend to give names."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator

import pytest

from tests.helpers import parts
from tests.helpers.dashboard import ROOT, running_frontend
from tests.helpers.pseudo_terminal import Session

HOSTILE = "we'ird $(touch made-by-a-name) `touch made-by-a-name`"
NAMES = ("prefill-0", "prefill-1", "a:b", HOSTILE)
SETUP = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
# To a shell that reads its output it is the tool; on the terminal it shows the words that it was given.
WRAPPER = """#!/bin/sh
if ! [ -t 1 ]; then
    exec {python} -m tools.proxy "$@"
fi
printf '<<'; printf '[%s]' "$@"; printf '>>\\n'
"""


@pytest.fixture(scope="module")
def frontend() -> Iterator[str]:
    nodes = json.dumps([{"name": name, "host": "127.0.0.1", "port": 9} for name in NAMES])
    with running_frontend("--nodes", nodes, "--store", "memory:") as address:
        yield address


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    name = request.param
    parts.program(name, name)
    tmp_path = tmp_path_factory.mktemp(name)
    programs = tmp_path / "programs"
    programs.mkdir()
    wrapper = programs / "lmcache-proxy"
    wrapper.write_text(WRAPPER.format(python=shlex.quote(sys.executable)))
    wrapper.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "LMCACHE_FRONTEND_URL": frontend,
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "PS1": "ready> ",
    }
    (tmp_path / "somewhere.txt").write_text("")
    with Session(SETUP[name], environment=environment, directory=tmp_path) as session:
        for line in _loading(name):
            session.send(line + "\r")
        # Echoed in two parts, so that only its output is the whole.
        session.send("echo loa''ded\r")
        session.wait_for("loaded")
        yield session
        assert not (tmp_path / "made-by-a-name").exists()


def _loading(name: str) -> list[str]:
    if name == "bash":
        return ['eval "$(lmcache-proxy completion bash)"', "bind 'set bell-style none'"]
    if name == "zsh":
        return [
            "PS1='ready> '; unsetopt beep",
            "autoload -Uz compinit; compinit -D",
            'eval "$(lmcache-proxy completion zsh)"',
        ]
    return ["function fish_prompt; echo 'ready> '; end", "lmcache-proxy completion fish | source"]


def completed(shell: Session, line: str) -> list[str]:
    """Type a line and TAB and run what has become of it; give the words that the program got."""
    shell.forget()
    shell.send(line + "\t")
    shell.settle()
    shell.send("\r")
    shown = shell.wait_for(">>")
    words = shown[shown.rindex("<<[") + 3 : shown.rindex("]>>")]
    return words.split("][")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("fre", ["freeze"]),
        ("run-", ["run-script"]),
        ("freeze prefill-0 of", ["freeze", "prefill-0", "off"]),
        ("freeze --all of", ["freeze", "--all", "off"]),
        ("conf prefill-1 --dry", ["conf", "prefill-1", "--dry-run"]),
        ("conf prefill-1 max_local_c", ["conf", "prefill-1", "max_local_cpu_size"]),
        ("nodes --format jsonl --no-h", ["nodes", "--format", "jsonl", "--no-headers"]),
        ("loglevel prefill-0 vllm WAR", ["loglevel", "prefill-0", "vllm", "WARNING"]),
        ("get prefill-0 /periodic-threads-h", ["get", "prefill-0", "/periodic-threads-health"]),
        ("request DEL", ["request", "DELETE"]),
        ("completion z", ["completion", "zsh"]),
        ("node prefill-", ["node", "prefill-"]),
        ("node we", ["node", HOSTILE]),
        ("--timeout 3 threads we", ["--timeout", "3", "threads", HOSTILE]),
        ("threads --diff we", ["threads", "--diff", HOSTILE]),
        ("threads --diff 3 we", ["threads", "--diff", "3", HOSTILE]),
        ("node a:", ["node", "a:b"]),
        ("run-script prefill-0 somew", ["run-script", "prefill-0", "somewhere.txt"]),
        ("nodes --output somew", ["nodes", "--output", "somewhere.txt"]),
    ],
)
def test_words_are_completed(shell: Session, typed: str, words: list[str]) -> None:
    assert completed(shell, f"lmcache-proxy {typed}") == words


def test_values_of_options_are_completed(shell: Session) -> None:
    assert completed(shell, "lmcache-proxy nodes --color alw") == ["nodes", "--color", "always"]
    assert completed(shell, "lmcache-proxy nodes --color=alw") == ["nodes", "--color=always"]


def test_without_a_frontend_nothing_is_said(shell: Session) -> None:
    assert completed(shell, "lmcache-proxy --server http://127.0.0.1:9 node pref") == [
        "--server",
        "http://127.0.0.1:9",
        "node",
        "pref",
    ]
