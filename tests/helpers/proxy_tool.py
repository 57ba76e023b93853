# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy`` as a call: words in; exit status, output and errors out."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple
from unittest import mock

from tools.proxy import main


class Result(NamedTuple):
    """What came of a run."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Read the output as JSON."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """Split a table into rows of words parted by two spaces and more."""
        return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in self.out.splitlines()]

    @property
    def lines(self) -> list[Any]:
        """Read the output as lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments: str, stdin: str = "", **environment: str) -> Result:
    """Run the tool without a terminal."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    with redirect_stdout(out), redirect_stderr(err), mock.patch("sys.stdin", given):
        status = main(arguments, {"HOME": "/nonexistent", **environment})
    out.seek(0)
    return Result(status, out.read(), err.getvalue())
