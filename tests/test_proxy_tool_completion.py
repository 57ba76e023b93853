# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy completion``: the words of the parsers, the scripts, and the names that they ask for."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lmcache_frontend.app import App
from tests.helpers.proxy_tool import run
from tools.proxy import program
from tools.proxy.completion.command import SHELLS, offered
from tools.proxy.completion.words import Kind, ProgramWords, Slot, flags_of, program_words, slots_without_node


@pytest.fixture(scope="module")
def words() -> ProgramWords:
    return program_words()


def test_every_command_and_every_option_of_it_is_there(words: ProgramWords) -> None:
    assert [command.name for command in words.commands] == [entry.name for entry in program.COMMANDS]
    for command in words.commands:
        assert command.summary
        parser = program.parser_of(command.name)
        for flag in ("--help", "--server", "--output"):
            assert flag in flags_of(command.options)
            assert flag in parser.format_help()
        assert "--names" not in flags_of(command.options)


def test_no_flag_takes_a_value_in_one_command_and_none_in_another(words: ProgramWords) -> None:
    valued = {*words.valued, *words.optional}
    bare = {
        flag
        for command in words.commands
        for option in command.options
        if option.value is None
        for flag in option.flags
    }
    assert valued & bare == set()
    assert set(words.valued) & set(words.optional) == set()


def test_what_may_stand_before_a_command_is_what_the_program_takes_there(words: ProgramWords) -> None:
    early = {flag for option in words.early if option.value is not None for flag in option.flags}
    assert early == set(program.VALUED_FLAGS)
    assert set(words.optional) == set(program.DEFAULT_VALUES)


@pytest.mark.parametrize(
    ("command", "kinds"),
    [
        ("nodes", [Kind.NODES]),
        ("node", [Kind.NODES]),
        ("request", [Kind.CHOICES, Kind.NODES, Kind.CHOICES]),
        ("freeze", [Kind.NODES, Kind.CHOICES]),
        ("loglevel", [Kind.NODES, Kind.ANYTHING, Kind.CHOICES]),
        ("run-script", [Kind.NODES, Kind.FILE]),
        ("context", [Kind.CHOICES, Kind.CONTEXTS]),
        ("refresh", [Kind.PROXIES]),
        ("completion", [Kind.CHOICES]),
    ],
)
def test_words_are_known_by_their_places(words: ProgramWords, command: str, kinds: list[Kind]) -> None:
    found = next(one for one in words.commands if one.name == command)
    assert [slot.kind for slot in found.slots] == kinds


def test_without_node_the_other_words_move_up(words: ProgramWords) -> None:
    found = {command.name: command for command in words.commands}
    assert slots_without_node(found["freeze"]) == (Slot("on|off", Kind.CHOICES, ("on", "off")),)
    assert found["freeze"].has_node
    assert not found["completion"].has_node


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_printed_and_are_well_formed(shell: str, words: ProgramWords, tmp_path: Path) -> None:
    result = run("completion", shell)
    assert (result.status, result.err) == (0, "")
    for command in words.commands:
        assert command.name in result.out
    assert "@" not in result.out.replace("@FILE", "").replace("@-", "").replace('"$@"', "").replace("[@]", "").replace(
        "(@f)", ""
    )
    interpreter = shutil.which(shell)
    if interpreter is not None:
        path = tmp_path / "script"
        path.write_text(result.out)
        done = subprocess.run([interpreter, "-n", str(path)], capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_shell_must_be_named() -> None:
    assert run("completion").status == 2
    assert run("completion", "tcsh").status == 2


def test_names_are_asked_of_the_frontend(start_app: Callable[..., App]) -> None:
    here = [{"name": "b", "host": "127.0.0.1", "port": 1}, {"name": "a b", "host": "127.0.0.1", "port": 2}]
    there = {"name": "far", "host": "127.0.0.1", "port": 3, "nodes": [{"name": "b", "host": "h", "port": 4}]}
    app = start_app([there, {"name": "local_proxy", "nodes": here}])
    server = f"http://127.0.0.1:{app.settings.port}"
    assert run("completion", "--names", "nodes", "--server", server).out.splitlines() == ["a b", "b", "far/b"]
    assert run("completion", "--names", "proxies", "--server", server).out == "far\n"


def test_nothing_is_said_where_names_cannot_be_had(tmp_path: Path) -> None:
    for variables in ({}, {"LMCACHE_FRONTEND_TOKEN_FILE": str(tmp_path / "none")}):
        result = run("completion", "--names", "nodes", "--server", "http://127.0.0.1:9", **variables)
        assert (result.status, result.out, result.err) == (0, "", "")
    broken = tmp_path / "lmcache-frontend"
    broken.mkdir()
    (broken / "contexts.json").write_text("[")
    result = run("completion", "--names", "contexts", XDG_CONFIG_HOME=str(tmp_path))
    assert (result.status, result.out, result.err) == (0, "", "")


def test_contexts_are_offered(tmp_path: Path) -> None:
    folder = tmp_path / "lmcache-frontend"
    folder.mkdir()
    contexts = {"current": "b", "contexts": {"b": {"server": "http://b"}, "a": {"server": "http://a"}}}
    (folder / "contexts.json").write_text(json.dumps(contexts))
    assert run("completion", "--names", "contexts", XDG_CONFIG_HOME=str(tmp_path)).out == "a\nb\n"


def test_names_that_could_steer_a_terminal_are_left_out() -> None:
    assert offered(["b", "a", "b", "x\ny", "\x1b[2J", "", "\u202ex", "with 'quotes' $(and more)"]) == [
        "a",
        "b",
        "with 'quotes' $(and more)",
    ]
