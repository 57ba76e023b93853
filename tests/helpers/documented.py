# SPDX-License-Identifier: Apache-2.0
"""The set-ups of docs/access.md, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "access.md").read_text(encoding="utf-8")


def blocks_of(title: str) -> list[str]:
    """Give the indented blocks of the set-up whose bold words these are."""
    start = PAGE.index(f"**{title}**", PAGE.index("## Set-ups"))
    end = PAGE.find("\n**", start + 1)
    text = PAGE[start : end if end > 0 else len(PAGE)]
    return [
        "\n".join(line.removeprefix("    ") for line in block.splitlines())
        for block in re.findall(r"(?:^    .*\n?)+", text, re.MULTILINE)
    ]
