# SPDX-License-Identifier: Apache-2.0
"""``--grep RE``: which rows are wanted."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable


def add_grep(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--grep``, which looks into what is said."""
    parser.add_argument("--grep", metavar="RE", type=pattern, help=f"only where this is found in {what}, in any case")


def pattern(text: str) -> re.Pattern[str]:
    """Read a regular expression for argparse."""
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {exc}") from exc


def pattern_of(options: argparse.Namespace) -> Callable[[str], bool]:
    """Give what tells whether a text is wanted: all are without ``--grep``."""
    wanted: re.Pattern[str] | None = getattr(options, "grep", None)
    return lambda text: wanted is None or wanted.search(text) is not None
