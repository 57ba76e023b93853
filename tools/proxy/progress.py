# SPDX-License-Identifier: Apache-2.0
"""A bar on one line of a terminal, for what is done on many nodes. Where nobody looks there is none."""

from __future__ import annotations

from ..terminal import Terminal, painted, shortened
from .amounts import bar, glyphs_for

_WIDTH = 24


class Bar:
    """Shows how many of so many are done; what is written elsewhere must go through `clear` first."""

    def __init__(self, terminal: Terminal, total: int, *, quiet: bool = False) -> None:
        """Take the terminal and the number that is all."""
        self._terminal = terminal
        self._total = max(total, 1)
        self._shown = terminal.interactive and not quiet
        self._glyphs = glyphs_for(getattr(terminal.stream, "encoding", None))

    def show(self, done: int, words: str = "") -> None:
        """Draw the bar anew, with a few words behind it."""
        if not self._shown:
            return
        drawn = bar(done / self._total, _WIDTH, self._glyphs)
        text = f"{drawn} {done}/{self._total} {words}".rstrip()
        fitting = shortened(text, (self._terminal.columns or 80) - 1)
        self._terminal.stream.write(f"\r\x1b[K{painted(fitting, 'cyan', self._terminal)}")
        self._terminal.stream.flush()

    def clear(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._terminal.stream.write("\r\x1b[K")
            self._terminal.stream.flush()
