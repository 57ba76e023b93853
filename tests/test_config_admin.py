# SPDX-License-Identifier: Apache-2.0
"""``lmcache-config`` against a frontend in this process."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.remote_config.yaml_subset import load
from tests.helpers.scripted import ScriptedNode, Visit
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until
from tools.config_admin import main
from tools.config_admin.command import COMMANDS, make_whole_parser

ROOT = Path(__file__).resolve().parents[1]
RULES = """\
rules:
  - name: chunks
    match: {app_id: ["chat*"], env: {POD_NAME: "chat-*"}}
    items:
      - {key: chunk_size, value: 512}
      - {key: extra_config, value: {api_token: s3cret, b: 2}, override: false}
  - name: everybody
    items: [{key: max_local_cpu_size, value: 10, override: false}]
  - name: lab
    deny: true
    match: {app_id: [lab]}
"""


@pytest.fixture
def app(start_app: Callable[..., App]) -> App:
    return start_app()


@pytest.fixture
def tool(app: App) -> Callable[..., int]:
    environment = {"LMCACHE_FRONTEND_URL": f"http://127.0.0.1:{app.settings.port}"}
    return lambda *arguments: main([str(word) for word in arguments], environment)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[str, str]]:
    def take() -> tuple[str, str]:
        out, err = capsys.readouterr()
        return out, err

    return take


Tool = Callable[..., int]
Said = Callable[[], tuple[str, str]]


def test_rules_go_in_and_come_out_as_they_were(tool: Tool, rules: Path, said: Said, tmp_path: Path) -> None:
    assert tool("rules", "get") == 0
    out, _ = said()
    assert load(out) == {"rules": []}
    assert tool("rules", "apply", rules, "-m", "First") == 0
    out, err = said()
    assert "+  - name: chunks" in out
    assert "revision 1 is in force, after 0" in err
    assert tool("rules", "get", "--output", tmp_path / "got.yaml") == 0
    got = load((tmp_path / "got.yaml").read_text())
    assert got["rules"][0] == {
        "name": "chunks",
        "match": {"app_id": ["chat*"], "env": {"POD_NAME": "chat-*"}},
        "items": [
            {"key": "chunk_size", "value": 512, "override": True},
            {"key": "extra_config", "value": {"api_token": "s3cret", "b": 2}, "override": False},
        ],
    }
    assert got["rules"][2] == {"name": "lab", "deny": True, "match": {"app_id": ["lab"]}}
    assert tool("rules", "apply", tmp_path / "got.yaml") == 0
    assert "nothing to change: revision 1 has these rules" in said()[1]


def test_applying_again_makes_no_revision(tool: Tool, rules: Path, said: Said) -> None:
    for _ in range(3):
        assert tool("rules", "apply", rules, "--format", "json") == 0
    said()
    assert tool("rules", "apply", rules, "--format", "json") == 0
    assert json.loads(said()[0]) == {"revision": 1, "findings": [], "changed": False, "diff": []}
    assert tool("history", "--format", "json") == 0
    assert [entry["revision"] for entry in json.loads(said()[0])["revisions"]] == [1]


def test_a_dry_run_changes_nothing(tool: Tool, rules: Path, said: Said) -> None:
    assert tool("rules", "apply", rules, "--dry-run") == 0
    out, err = said()
    assert "+  - name: chunks" in out
    assert "dry run: revision 0 stays" in err
    assert tool("rules", "get") == 0
    assert load(said()[0]) == {"rules": []}


def test_what_lmcache_refuses_is_refused_with_the_reason(tool: Tool, tmp_path: Path, said: Said) -> None:
    path = tmp_path / "bad.yaml"
    items = "[{key: chunk_size, value: '3.9'}, {key: local_cpu, value: 'yes'}, {key: chnk, value: 1}]"
    path.write_text(f"rules: [{{name: a, items: {items}}}]")
    assert tool("rules", "apply", path) == 1
    out, err = said()
    assert out == ""
    for words in ("error", 'got "3.9", expected an integer', "surprise", "unknown"):
        assert words in err
    assert err.splitlines()[-1].startswith("lmcache-config: ")
    assert tool("validate", path) == 1
    out, err = said()
    rows = [line.split()[:3] for line in out.splitlines()]
    assert rows[0] == ["SEVERITY", "RULE", "KEY"]
    assert ["error", "a", "chunk_size"] in rows
    assert "1 rule, " in err
    assert "1 error" in err


def test_validate_is_offline_and_may_be_strict(tmp_path: Path, said: Said) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"rules": [{"name": "a", "items": [{"key": "run_script_api_enabled", "value": True}]}]}))
    nowhere = {"LMCACHE_FRONTEND_URL": "http://127.0.0.1:1"}
    assert main(["validate", str(path)], nowhere) == 0
    assert said()[0] == ""
    older = ["--lmcache-version", "0.4.7"]
    assert main(["validate", str(path), *older], nowhere) == 0
    assert said()[0].splitlines()[1].split()[:3] == ["unknown", "a", "run_script_api_enabled"]
    assert main(["validate", str(path), *older, "--strict"], nowhere) == 1


def test_json_of_validate(tmp_path: Path, said: Said) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{name: a, items: [{key: chunk_size, value: x}]}]")
    assert main(["validate", str(path), "--format", "json"], {}) == 1
    finding = json.loads(said()[0])["findings"][0]
    assert (finding["rule"], finding["key"], finding["severity"]) == ("a", "chunk_size", "error")


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("rules: [{name: a, entries: []}]", 1, 'rules[0] has a field "entries"'),
        ("rules: [{name: &x a}]", 1, "line 1"),
        ('{"rules": [}', 1, "line 1, column 12"),
        (None, 2, "cannot read"),
    ],
)
def test_files_that_hold_no_rules_are_named(
    tool: Tool, tmp_path: Path, said: Said, text: str | None, status: int, message: str
) -> None:
    path = tmp_path / "rules.yaml"
    if text is not None:
        path.write_text(text)
    for command in (["rules", "apply", path], ["validate", path], ["diff", path]):
        assert tool(*command) == status
        err = said()[1]
        assert str(path) in err
        assert message in err


def test_a_late_edit_is_a_conflict_that_names_the_other(tool: Tool, rules: Path, said: Said) -> None:
    assert tool("rules", "apply", rules, "-m", "Mine") == 0
    said()
    rules.write_text(RULES.replace("512", "384"))
    assert tool("rules", "apply", rules, "--expected-revision", 0) == 6
    out, err = said()
    assert out == ""
    assert "meanwhile there is revision 1" in err
    assert ": Mine" in err
    assert "added chunks" in err
    # The number in a file is what it was made from.
    rules.write_text("revision: 0\n" + rules.read_text())
    assert tool("rules", "apply", rules) == 6
    assert tool("rules", "apply", rules, "--expected-revision", 1) == 0
    # Late, but there is nothing to do.
    assert tool("rules", "apply", rules) == 0


def test_differences_between_revisions_and_files(tool: Tool, rules: Path, said: Said) -> None:
    assert tool("rules", "apply", rules) == 0
    rules.write_text(RULES.replace("512", "384"))
    said()
    assert tool("diff", rules, "--check") == 4
    out, _ = said()
    assert out.splitlines()[:2] == ["--- revision 1", f"+++ {rules}"]
    assert [line for line in out.splitlines()[2:] if line[0] in "+-"] == [
        "-        value: 512",
        "+        value: 384",
    ]
    assert tool("rules", "apply", rules) == 0
    assert tool("diff", rules, "--check") == 0
    said()
    assert tool("diff", 1, "--format", "json") == 0
    change = json.loads(said()[0])["diff"][0]
    assert (change["op"], change["rule"]) == ("changed", "chunks")
    assert tool("diff", 2, 1) == 0
    assert "+        value: 512" in said()[0]
    assert tool("diff", "head", rules) == 0
    assert f"revision 2 and {rules} are the same" in said()[1]
    assert tool("diff", 1, 7) == 1
    assert "7" in said()[1]


def test_two_files_are_compared_without_a_frontend(rules: Path, tmp_path: Path, said: Said) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(RULES.replace("512", "384"))
    assert main(["diff", str(rules), str(other), "--check"], {"LMCACHE_FRONTEND_URL": "http://127.0.0.1:1"}) == 4


def test_secrets_are_hidden_from_people_and_their_change_is_not(tool: Tool, rules: Path, said: Said) -> None:
    assert tool("rules", "apply", rules) == 0
    rules.write_text(RULES.replace("s3cret", "n3w"))
    assert tool("diff", rules) == 0
    assert tool("rules", "get", "--format", "table") == 0
    assert tool("rules", "apply", rules) == 0
    assert tool("rollback", 1) == 0
    assert tool("preview", "--app-id", "chat", "--env", "POD_NAME=chat-1") == 0
    out, err = said()
    assert "s3cret" not in out + err
    assert "n3w" not in out + err
    assert '+          api_token: "******** (changed)"' in out
    assert tool("diff", 1, 2, "--show-secrets") == 0
    assert "+          api_token: n3w" in said()[0]
    assert tool("rules", "get") == 0
    assert "s3cret" in said()[0]


def test_history_and_rollback(tool: Tool, rules: Path, said: Said) -> None:
    assert tool("rules", "apply", rules, "-m", "First") == 0
    rules.write_text(RULES.replace("512", "384"))
    assert tool("rules", "apply", rules, "-m", "Second") == 0
    said()
    assert tool("rollback", 1, "--dry-run") == 0
    assert "dry run: revision 2 stays" in said()[1]
    assert tool("rollback", 1, "--expected-revision", 1) == 6
    assert tool("rollback", 1, "-m", "Back") == 0
    out, err = said()
    assert "+        value: 512" in out
    assert "revision 3 is in force, with the rules of 1" in err
    assert tool("rollback", 1) == 0
    assert "nothing to change" in said()[1]
    assert tool("history") == 0
    rows = [line.split() for line in said()[0].splitlines()]
    assert rows[0] == ["REVISION", "MADE", "AT", "AUTHOR", "CHANGES", "MESSAGE"]
    assert [(row[0], row[-2], row[-1]) for row in rows[1:]] == [
        ("3", "1", "Back"),
        ("2", "1", "Second"),
        ("1", "3", "First"),
    ]
    assert tool("history", "--limit", 1, "--before", 3) == 0
    assert said()[0].splitlines()[1].split()[0] == "2"
    assert tool("rollback", 9) == 1
    assert tool("rollback", -1) == 2


def test_a_preview_says_what_and_why(tool: Tool, rules: Path, said: Said, tmp_path: Path) -> None:
    assert tool("rules", "apply", rules) == 0
    config = tmp_path / "lmcache.yaml"
    config.write_text("app_id: chat\nmax_local_cpu_size: 8\n")
    said()
    arguments = ["preview", "--config", config, "--env", "POD_NAME=chat-1", "--env", "LMCACHE_CHUNK_SIZE=64"]
    assert tool(*arguments) == 0
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in said()[0].splitlines()]
    assert rows[0] == ["KEY", "RULE", "CURRENT", "REMOTE", "OVERRIDE", "RESULT", "WHY"]
    assert rows[1] == ["chunk_size", "chunks", "64", "512", "yes", "512", "set"]
    assert rows[3][:6] == ["max_local_cpu_size", "everybody", "8.0", "10", "no", "8.0"]
    assert ["NOT FOR THIS WORKER"] in rows
    other = tmp_path / "other.yaml"
    other.write_text("rules: [{name: other, items: [{key: chunk_size, value: 32}]}]")
    assert tool(*arguments, "--rules", other, "--format", "json") == 0
    assert json.loads(said()[0])["configs"] == [{"key": "chunk_size", "value": 32, "override": True}]
    assert tool("preview", "--app-id", "lab") == 0
    assert "the rule lab denies the configuration" in said()[0]
    other.write_text("rules: []")
    assert tool("preview", "--rules", other) == 0
    assert said() == ("", "nothing is set for this worker\n")


def test_a_preview_tells_which_values_lost(tool: Tool, tmp_path: Path, said: Said) -> None:
    path = tmp_path / "rules.yaml"
    first = "{name: one, items: [{key: chunk_size, value: 1}]}"
    path.write_text(f"rules: [{first}, {{name: two, items: [{{key: chunk_size, value: 2}}]}}]")
    assert tool("preview", "--rules", path) == 0
    out = said()[0]
    assert "LOST\none  chunk_size=1\n" in out


def test_clients_are_listed_and_previewed(app: App, tool: Tool, rules: Path, said: Said) -> None:
    assert tool("clients") == 0
    assert said() == ("", "no worker has asked yet\n")
    worker = {"current_config": {"chunk_size": 256}, "env_variables": {"POD_NAME": "chat-0"}}
    assert ask(app.settings.port, "GET", "/config?appId=chat", json.dumps(worker).encode()).status == 200

    def listed() -> Any:
        assert tool("clients", "--format", "json") == 0
        return json.loads(said()[0])["clients"]

    (client,) = wait_until(listed)
    assert tool("rules", "apply", rules) == 0
    said()
    assert tool("clients") == 0
    row = said()[0].splitlines()[1].split()
    assert row[:5] == [client["client_id"], "chat", "chat-0", "127.0.0.1", "1"]
    assert row[-1] == "yes"
    assert tool("preview", "--client-id", client["client_id"]) == 0
    assert "chunk_size" in said()[0]
    other = rules.with_name("other.yaml")
    other.write_text("rules: [{name: a, match: {env: {TEAM: search}}, items: [{key: chunk_size, value: 1}]}]")
    said()
    assert tool("preview", "--client-id", client["client_id"], "--rules", other) == 0
    assert said()[1] == "nothing is known to be set for this worker\n"
    assert tool("preview", "--client-id", client["client_id"], "--app-id", "x") == 2
    assert tool("preview", "--client-id", "0" * 16) == 1


def test_the_catalogue_is_offline(said: Said) -> None:
    assert main(["catalogue", "--format", "json"], {}) == 0
    document = json.loads(said()[0], parse_constant=pytest.fail)
    assert (document["version"], len(document["keys"])) == ("0.5.6", 108)
    assert main(["catalogue", "chunk_size"], {}) == 0
    assert "LMCACHE_CHUNK_SIZE" in said()[0]
    assert main(["catalogue", "hugepages"], {}) == 0
    assert said()[0].splitlines()[1].startswith("local_cpu_use_hugepages  bool")
    assert main(["catalogue", "chnk_size"], {}) == 1
    assert "perhaps chunk_size is meant" in said()[1]
    assert main(["catalogue", "run_script_api_enabled", "--lmcache-version", "0.4.7"], {}) == 1


def test_a_release_is_a_number(rules: Path, said: Said) -> None:
    for words in (["catalogue"], ["validate", str(rules)], ["preview"]):
        assert main([*words, "--lmcache-version", "newest"], {}) == 2
        assert "expected a release of LMCache such as 0.5.6, got 'newest'" in said()[1]


def test_options_may_stand_before_the_command(app: App, said: Said) -> None:
    server = f"http://127.0.0.1:{app.settings.port}"
    assert main(["--server", server, "--format", "json", "-q", "rules", "get"], {}) == 0
    assert json.loads(said()[0]) == {"revision": 0, "rules": []}


def test_rules_come_from_standard_input(tool: Tool, monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(RULES.encode())))
    assert tool("rules", "apply", "-") == 0
    assert "+++ standard input" in said()[0]


def test_nobody_there_is_three(said: Said) -> None:
    assert main(["rules", "get", "--server", "http://u:hunter2@127.0.0.1:1"], {}) == 3
    err = said()[1]
    assert "cannot be reached" in err
    assert "hunter2" not in err


STRANGE: list[tuple[str, Any]] = [
    *(
        (command, document)
        for command in ("rules get", "rules apply rules.yaml", "rollback 2", "history", "preview", "clients")
        for document in (None, 5, "text", [], [1])
    ),
    ("rules get", {"rules": 5, "revision": 1}),
    ("rules apply rules.yaml", {"revision": 2, "findings": [1]}),
    ("rollback 2", {"revision": 3, "findings": None}),
    ("history", {"revisions": 5}),
    ("history", {"revisions": [1]}),
    ("preview", {"explain": None}),
    ("preview", {"explain": [{"lost": [1]}]}),
    ("preview", {"result": {}}),
    ("preview", {"doubts": ["text"]}),
    ("clients", {"clients": None}),
    ("clients", {"clients": ["text"]}),
]


@pytest.mark.parametrize(("command", "document"), STRANGE, ids=str)
def test_answers_of_something_else_are_told(
    start_node: Callable[..., ScriptedNode], command: str, document: Any, rules: Path, said: Said
) -> None:
    def script(visit: Visit) -> None:
        head = visit.read_head()
        length = re.search(rb"Content-Length: (\d+)", head)
        visit.read(int(length[1]) if length else 0)
        body = json.dumps(document).encode()
        if head.startswith(b"GET /api/config/revisions/2 "):
            body = b'{"rules": [{"name": "a"}], "revision": 2}'
        elif head.startswith(b"GET /api/config/rules ") and command != "rules get":
            body = b'{"rules": [], "revision": 3}'
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    server = f"http://127.0.0.1:{start_node(script).port}"
    assert main([*command.replace("rules.yaml", str(rules)).split(), "--server", server], {}) == 1
    assert f"{server} answered with something" in said()[1]


def test_times_that_are_none_are_not_shown(start_node: Callable[..., ScriptedNode], said: Said) -> None:
    body = b'{"revisions": [{"revision": 1, "at": 1e300}, {"revision": 2, "at": NaN}, {"revision": 3, "at": null}]}'

    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    assert main(["history", "--server", f"http://127.0.0.1:{start_node(script).port}"], {}) == 0
    assert [line.split()[1] for line in said()[0].splitlines()[1:]] == ["-", "-", "-"]


def test_rules_of_a_file_cannot_be_edited(start_app: Callable[..., App], rules: Path, said: Said) -> None:
    app = start_app(config_rules=str(rules))
    environment = {"LMCACHE_FRONTEND_URL": f"http://127.0.0.1:{app.settings.port}"}
    assert main(["rules", "get"], environment) == 0
    assert str(rules) in said()[1]
    other = rules.with_name("other.yaml")
    other.write_text("rules: []")
    assert main(["rules", "apply", str(other)], environment) == 6
    assert str(rules) in said()[1]


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    def below(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
        yield name, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for word, inner in action.choices.items():
                    yield from below(f"{name} {word}", inner)

    yield from below("lmcache-config", make_whole_parser())


def test_every_command_has_help_with_examples_that_are_understood() -> None:
    found = dict(parsers())
    assert {command.name for command in COMMANDS} <= {name.removeprefix("lmcache-config ") for name in found}
    for name, parser in found.items():
        examples = [line.split(" > ")[0] for line in (parser.epilog or "").splitlines() if line.startswith("  lmcache")]
        assert examples, name
        for example in examples:
            make_whole_parser().parse_args(shlex.split(example)[1:])


def test_it_runs_from_a_clone_and_ends_quietly_with_its_reader() -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = f"{sys.executable} -m tools.config_admin catalogue | head -n 1"
    result = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.stdout.split() == ["KEY", "TYPE", "DEFAULT", "SINCE", "MEANING"]
    assert result.stderr == ""
