# SPDX-License-Identifier: Apache-2.0
"""The frame of ``lmcache-proxy``: commands found, options read, help that has examples."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lmcache_frontend import __version__
from tests.helpers.proxy_tool import run
from tools.proxy.frame import Command, Needs
from tools.proxy.program import COMMANDS, load, main_parser, parser_of, split_command, with_values

ROOT = Path(__file__).resolve().parents[1]
NAMES = [entry.name for entry in COMMANDS]
REFERENCE = ROOT / "docs" / "lmcache-proxy.md"


def section(name: str) -> str:
    text = REFERENCE.read_text(encoding="utf-8")
    found = re.search(rf"^### {re.escape(name)}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/lmcache-proxy.md has no section ### {name}"
    return found[1]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_that_ends_in_examples_of_itself(name: str) -> None:
    result = run(name, "--help")
    assert (result.status, result.err) == (0, "")
    examples = result.out.partition("\nexamples:\n")[2]
    assert re.search(rf"^  lmcache-proxy {re.escape(name)}\b", examples, re.MULTILINE), examples
    assert re.search(r"^  # \w", examples, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_a_command_line_that_is_understood(name: str) -> None:
    for example in load(name).examples:
        command = example.command.removeprefix('eval "$(').partition(" | ")[0].partition(" > ")[0].partition(')"')[0]
        words = shlex.split(command)
        assert words[:2] == ["lmcache-proxy", name]
        parser_of(name).parse_intermixed_args(with_values(words[2:]))


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_has_every_command_with_its_usage_and_options(name: str) -> None:
    text = section(name)
    command = load(name)
    assert f"lmcache-proxy {name} {command.arguments}".strip() in text
    for example in command.examples:
        assert example.command in text
    common = set(option_names(Command("", lambda options, context: 0, ())))
    own = [option for option in option_names(command, name) if option not in common]
    assert [option for option in own if f"`{option}" not in text] == []


def option_names(command: Command, name: str | None = None) -> list[str]:
    if name is None:
        known = set(re.findall(r"--[a-z-]+", parser_of("drift").format_help()))
        return sorted(known | {"--all", "--filter", "--direct", "--watch"})
    actions = parser_of(name)._actions
    return [max(action.option_strings, key=len) for action in actions if action.option_strings]


def test_the_reference_has_no_other_commands() -> None:
    text = REFERENCE.read_text(encoding="utf-8").partition("## Commands")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == NAMES


def test_the_readme_names_every_command() -> None:
    text = (
        (ROOT / "README.md").read_text(encoding="utf-8").partition("## Work from a terminal")[2].partition("\n## ")[0]
    )
    assert set(re.findall(r"`([a-z-]+)`", text)) - {"lmcache-proxy"} == set(NAMES)


def test_the_help_lists_every_command() -> None:
    result = run("--help")
    assert result.status == 0
    for entry in COMMANDS:
        assert re.search(rf"^  {entry.name} +{re.escape(entry.summary)}$", result.out, re.MULTILINE)
    assert main_parser().format_help() == result.out


def test_the_version_is_said() -> None:
    assert run("--version").out == f"lmcache-proxy {__version__}\n"


def test_without_a_command_it_says_how_to_find_them() -> None:
    result = run()
    assert (result.status, result.out) == (2, "")
    assert result.err == "lmcache-proxy: which command? lmcache-proxy --help lists all\n"


def test_a_mistyped_command_is_guessed() -> None:
    result = run("thread", "w")
    assert (result.status, result.err) == (2, "lmcache-proxy: no command is called 'thread': did you mean threads?\n")


def test_an_unknown_option_is_a_usage_error() -> None:
    result = run("nodes", "--al")
    assert result.status == 2
    assert "unrecognized arguments: --al" in result.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nodes", "-q"], ("nodes", ["-q"])),
        (["--server", "http://x", "-q", "nodes", "a"], ("nodes", ["--server", "http://x", "-q", "a"])),
        (["--timeout=3", "get", "w", "/x"], ("get", ["--timeout=3", "w", "/x"])),
        (["-h", "nodes"], (None, ["-h", "nodes"])),
        (["-q"], (None, ["-q"])),
        ([], (None, [])),
    ],
)
def test_options_may_stand_before_the_command(arguments: list[str], expected: tuple[str | None, list[str]]) -> None:
    assert split_command(arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--watch", "w"], ["--watch=2", "w"]),
        (["w", "--watch"], ["w", "--watch=2"]),
        (["--watch", "5", "w"], ["--watch", "5", "w"]),
        (["--watch=7", "--diff"], ["--watch=7", "--diff=5"]),
        (["--rate", "-q"], ["--rate=10", "-q"]),
        (["--", "--watch"], ["--", "--watch"]),
    ],
)
def test_some_options_have_a_usual_value(arguments: list[str], expected: list[str]) -> None:
    assert with_values(arguments) == expected


def test_nothing_that_changes_something_can_be_watched() -> None:
    for name in NAMES:
        command = load(name)
        if command.watchable:
            options = option_names(command, name)
            assert "--dry-run" not in options, name
            assert "--yes" not in options, name


def test_tokens_are_no_arguments() -> None:
    for name in NAMES:
        options = [option for option in option_names(load(name), name) if "token" in option]
        expected = [] if load(name).needs is Needs.NOTHING and name == "completion" else ["--token-file", "--ask-token"]
        assert options in (expected, ["--token-file", "--ask-token"])


def test_a_token_within_an_address_is_no_argument_either() -> None:
    result = run("nodes", "--server", "http://x:hunter2@127.0.0.1:1")
    assert result.status == 2
    assert result.err.startswith("lmcache-proxy: --server: other users see arguments")
    assert run("nodes", LMCACHE_FRONTEND_URL="http://x:hunter2@127.0.0.1:1").status == 3


def test_it_runs_from_a_clone_and_as_it_is_installed() -> None:
    for module in ("tools.proxy", "lmcache_frontend.tools.proxy"):
        found = subprocess.run(
            [sys.executable, "-m", module, "--version"], cwd=ROOT, capture_output=True, text=True, timeout=30
        )
        if module == "tools.proxy" or "No module named" not in found.stderr:
            assert found.stdout == f"lmcache-proxy {__version__}\n", found.stderr


def test_nobody_there_is_said_in_a_line_with_a_status_of_its_own(unused_port: int) -> None:
    result = run("nodes", "--server", f"http://127.0.0.1:{unused_port}")
    assert (result.status, result.out) == (3, "")
    assert result.err.startswith(f"lmcache-proxy: http://127.0.0.1:{unused_port}/api/fleet cannot be reached:")
    assert result.err.count("\n") == 1
    assert run("version", "--direct", f"127.0.0.1:{unused_port}").status == 3


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
