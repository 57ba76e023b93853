# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.access.rules import Role
from lmcache_frontend.access.token_files import Origins, TokenFiles, origins_of
from lmcache_frontend.errors import StartError
from lmcache_frontend.settings import Settings

ONE = "0123456789abcdef"
TWO = "fedcba9876543210"


def write(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_tokens_come_from_two_files_and_a_variable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    origins = Origins(
        write(tmp_path / "operators", f"ci: {ONE}"), write(tmp_path / "viewers", TWO), ("A_TOKEN", "variable-token-0")
    )
    tokens = TokenFiles(origins).load()
    found = [tokens.find(text) for text in (ONE, TWO, "variable-token-0")]
    assert [(token.name, token.role) for token in found if token] == [
        ("ci", Role.OPERATOR),
        ("viewer token in line 1", Role.VIEWER),
        ("A_TOKEN", Role.OPERATOR),
    ]
    assert caplog.text == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_read_is_warned_of(mode: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    TokenFiles(Origins(write(tmp_path / "tokens", ONE, mode))).load()
    assert "chmod 600" in caplog.text
    assert ONE not in caplog.text


@pytest.mark.parametrize("flag", ["--token-file", "--viewer-token-file"])
def test_a_file_that_cannot_be_used_is_named(flag: str, tmp_path: Path) -> None:
    def load(path: str) -> None:
        TokenFiles(Origins(path, None) if flag == "--token-file" else Origins(None, path)).load()

    for path, complaint in (
        (str(tmp_path / "none"), "cannot be read"),
        (str(tmp_path), "not a file"),
        (write(tmp_path / "short", f"{ONE}\nshort"), "line 2"),
        (write(tmp_path / "empty", ""), "0 tokens"),
    ):
        with pytest.raises(StartError, match=f"{flag} {path}: .*{complaint}"):
            load(path)


def test_a_variable_that_is_no_token_is_named_and_not_shown() -> None:
    with pytest.raises(StartError) as caught:
        TokenFiles(Origins(variable=("A_TOKEN", "too-short"))).load()
    assert "A_TOKEN: a token of 9 characters" in str(caught.value)
    assert "too-short" not in str(caught.value)


def test_a_token_is_made_kept_and_used_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "8000.token"
    first = TokenFiles(Origins(made=str(path)))
    tokens = first.load()
    assert len(first.made) == 43
    assert path.read_text() == first.made + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    token = tokens.find(first.made)
    assert token is not None
    assert token.role is Role.OPERATOR
    again = TokenFiles(Origins(made=str(path)))
    assert again.load().find(first.made)
    assert again.made == first.made
    assert os.listdir(path.parent) == ["8000.token"]


def test_a_file_that_was_deleted_asks_for_another_token(tmp_path: Path) -> None:
    path = tmp_path / "8000.token"
    files = TokenFiles(Origins(made=str(path)))
    files.load()
    before = files.made
    path.unlink()
    assert files.load().find(before) is None
    assert path.read_text().strip() == files.made != before


@pytest.mark.parametrize("spoil", ["readable", "link", "folder", "short", "empty"])
def test_what_others_could_have_had_a_hand_in_is_not_used(spoil: str, tmp_path: Path) -> None:
    path = tmp_path / "8000.token"
    if spoil == "readable":
        write(path, ONE, 0o644)
    elif spoil == "link":
        path.symlink_to(write(tmp_path / "elsewhere", ONE))
    elif spoil == "folder":
        path.mkdir()
    else:
        write(path, "x" if spoil == "short" else "")
    files = TokenFiles(Origins(made=str(path)))
    tokens = files.load()
    assert tokens.find(ONE) is None
    assert tokens.find(files.made)
    assert (files.fault != "") == (spoil == "folder")
    if spoil != "folder":
        assert path.read_text().strip() == files.made
        assert not path.is_symlink()
    if spoil == "link":
        assert (tmp_path / "elsewhere").read_text() == ONE


def test_a_token_that_can_be_kept_nowhere_lasts_as_long_as_the_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = TokenFiles(Origins(made=f"{write(tmp_path / 'file', '')}/8000.token"))
    files.load()
    before = files.made
    assert files.load().find(before)
    assert "kept nowhere" in caplog.text
    assert before not in caplog.text


@pytest.mark.parametrize(
    ("settings", "is_made"),
    [
        ({}, True),
        ({"host": "10.0.0.1"}, True),
        ({"host": "::"}, True),
        ({"viewer_token_file": "/v"}, True),
        ({"read_only": True, "anonymous": "none"}, True),
        ({"host": "127.0.0.1"}, False),
        ({"host": "127.1.2.3"}, False),
        ({"host": "::1"}, False),
        ({"host": "localhost"}, False),
        ({"token_file": "/t"}, False),
        ({"anonymous": "operator"}, False),
        ({"read_only": True}, False),
    ],
)
def test_one_is_made_where_nobody_else_could_sign_in(settings: dict[str, Any], is_made: bool) -> None:
    environment = {"XDG_STATE_HOME": "/state"}
    origins = origins_of(Settings(**settings), None, environment)
    assert origins.made == ("/state/lmcache-frontend/8000.token" if is_made else None)
    assert origins_of(Settings(**settings), ("A_TOKEN", ONE), environment).made is None
    assert origins_of(Settings(**settings), None, environment, makes_token=False).made is None
