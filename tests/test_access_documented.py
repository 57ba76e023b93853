# SPDX-License-Identifier: Apache-2.0
"""What the page on access tells to type is understood, and does what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from lmcache_frontend.access.rules import Role
from lmcache_frontend.access.tokens import parse_tokens
from lmcache_frontend.settings import Settings, read_settings

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "access.md").read_text(encoding="utf-8")
COMMANDS = [line for line in PAGE.splitlines() if re.match(" {4,}lmcache-frontend ", line)]

# Flags of the tools, and one of somebody's program.
OF_OTHERS = {"ask-token", "reveal", "api-key"}


def test_every_command_is_understood() -> None:
    settings = [read_settings(shlex.split(line)[1:], {}) for line in COMMANDS]
    assert len(settings) >= 7
    assert Settings() not in settings


def test_the_example_of_a_token_file_is_one() -> None:
    example = PAGE[PAGE.index("    # for the build machines") :].partition("\n\n")[0]
    assert [token.name for token in parse_tokens(example, Role.OPERATOR)] == ["ci", "night shift"]


def test_flags_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`--([a-z-]+)", PAGE))
    fields = Settings()._asdict().items()
    known = {f"{'no-' * (value is True)}{field.removesuffix('_s').replace('_', '-')}" for field, value in fields}
    assert named - known - OF_OTHERS == set()
