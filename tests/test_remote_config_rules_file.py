# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.remote_config import rules_file
from lmcache_frontend.remote_config.rules import Item, Rule, Rules
from lmcache_frontend.remote_config.rules_file import RulesFile, read_rules_file

YAML = """\
# Chunks of the large models.
rules:
  - name: big
    match:
      app_id: [llama-*]
      rollout_percent: 20
    items:
      - {key: chunk_size, value: 512}
"""


def accept(_: Rules) -> None:
    """Find no fault."""


def write(path: Path, *names: str) -> Path:
    """Put rules of these names in place of the file by renaming, as those who deploy do."""
    fresh = path.with_name("fresh")
    fresh.write_text(json.dumps({"rules": [{"name": name} for name in names]}), encoding="utf-8")
    os.replace(fresh, path)
    return path


@pytest.mark.parametrize("name", ["rules.yaml", "rules"])
def test_yaml_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(YAML, encoding="utf-8-sig")
    (rule,) = read_rules_file(path)
    assert (rule.name, rule.match.rollout_percent, rule.items) == ("big", 20, (Item("chunk_size", "512"),))


@pytest.mark.parametrize("name", ["rules.yaml", "rules", "rules.json"])
def test_json_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('\n {"rules":\t[{"name": "a"}]}', encoding="utf-8")
    assert read_rules_file(path) == (Rule("a"),)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("r.json", b"{", "not JSON: Expecting property name enclosed in double quotes at line 1, column"),
        ("r.json", b"rules: []", "not JSON: Expecting value at line 1, column 1"),
        ("r.yaml", b'{"rules": [', "not JSON: Expecting value at line 1, column"),
        ("r.yaml", b"rules: &a []", "line 1"),
        ("r.yaml", b"rules:\n  - {name: 5}", "rules[0].name is 5, expected a text"),
        ("r.yaml", b"", "the document is null, expected an object with rules"),
        ("r.json", b'{"rules": ' + b"9" * 5000 + b"}", "not JSON: it holds a number of too many digits"),
        ("r.json", b"[" * 100_000, "nested too deeply"),
        (
            "r.json",
            b'{"rules": [{"name": "a", "match": {"app_id": ["x"]}, "match": {}}]}',
            'the field "match" is there twice',
        ),
        ("r.json", b"\xff", "not UTF-8 text (byte 0)"),
    ],
)
def test_faults_are_told_with_the_file(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadRequest) as caught:
        read_rules_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRequest, match="cannot be read: No such file or directory"):
        read_rules_file(tmp_path / "missing")
    with pytest.raises(BadRequest, match="not a file"):
        read_rules_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadRequest, match="not a file"):
        read_rules_file(tmp_path / "pipe")
    monkeypatch.setattr(rules_file, "FILE_LIMIT_BYTES", 10)
    with pytest.raises(BadRequest, match="over 10 bytes"):
        read_rules_file(write(tmp_path / "rules", "a"))


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = RulesFile(write(tmp_path / "rules", "a"), accept)
    file.load()
    assert (file.rules, file.loads) == ((Rule("a"),), 1)
    assert not file.reload_if_changed()
    write(file.path, "b")
    assert file.reload_if_changed()
    assert (file.rules, file.loads) == ((Rule("b"),), 2)
    write(file.path, "b")
    assert not file.reload_if_changed()
    assert file.loads == 2


def test_of_a_broken_file_the_last_good_rules_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = RulesFile(write(tmp_path / "rules", "a"), accept)
    file.load()
    for content in ("{", "{ "):
        file.path.write_text(content, encoding="utf-8")
        assert not file.reload_if_changed()
    assert file.rules == (Rule("a"),)
    assert "not JSON" in file.fault
    file.path.unlink()
    assert not file.reload_if_changed()
    assert "No such file" in file.fault
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * len(caplog.records)
    assert len(caplog.records) >= 2
    write(file.path, "a")
    assert not file.reload_if_changed()
    assert (file.fault, file.loads) == ("", 1)


def test_rules_that_are_not_to_be_served_are_refused(tmp_path: Path) -> None:
    def check(rules: Rules) -> None:
        if rules[0].name == "bad":
            raise BadRequest("bad rule")

    file = RulesFile(write(tmp_path / "rules", "good"), check)
    file.load()
    write(file.path, "bad")
    assert not file.reload_if_changed()
    assert file.fault == f"{file.path}: bad rule"
    assert file.rules == (Rule("good"),)
    with pytest.raises(BadRequest, match="bad rule"):
        file.load()


def test_an_empty_list_of_rules_counts_as_read(tmp_path: Path) -> None:
    file = RulesFile(write(tmp_path / "rules"), accept)
    file.load()
    assert (file.rules, file.loads) == ((), 1)
