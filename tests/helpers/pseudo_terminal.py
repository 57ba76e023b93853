# SPDX-License-Identifier: Apache-2.0
"""Programs on a pseudo-terminal: what they write is read as text, or drawn as a terminal would."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

PATIENCE_S = 20.0
# How long nothing is written after something was, before that is taken for all.
QUIET_S = 0.3
_SEQUENCE = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])")
_BLANK = " "


class Screen:
    """The part of a terminal that the full-screen view uses; whatever else it is sent is in ``strange``."""

    def __init__(self, columns: int, rows: int) -> None:
        self.modes = {"1049": False, "25": True, "7": True}
        self.strange: list[str] = []
        self.resize(columns, rows)

    @property
    def lines(self) -> list[str]:
        """Give what is on the screen, without the blanks at the ends of lines."""
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def text(self) -> str:
        """Give what is on the screen as one text."""
        return "\n".join(self.lines)

    def resize(self, columns: int, rows: int) -> None:
        """Become empty, and of another size."""
        self._columns, self._rows = columns, rows
        self._row = self._column = 0
        self._cells = [[_BLANK] * columns for _ in range(rows)]

    def write(self, text: str) -> None:
        """Draw what a program wrote."""
        position = 0
        while position < len(text):
            match = _SEQUENCE.match(text, position)
            if match:
                self._obey(match)
                position = match.end()
            else:
                self._put(text[position])
                position += 1

    def _obey(self, match: re.Match[str]) -> None:
        private, parameters, final = match.groups()
        if private and final in "hl" and parameters in self.modes:
            self.modes[parameters] = final == "h"
        elif final == "H" and not private:
            row, _, column = parameters.partition(";")
            # As terminals do: what is beyond an edge is at the edge. Programs learn of a new size a little late.
            self._row = min(int(row or 1), self._rows) - 1
            self._column = min(int(column or 1), self._columns) - 1
        elif (final, parameters) == ("J", "2"):
            self._cells = [[_BLANK] * self._columns for _ in range(self._rows)]
        elif (final, parameters) == ("K", "2"):
            self._cells[self._row] = [_BLANK] * self._columns
        elif final != "m":
            self.strange.append(match[0])

    def _put(self, character: str) -> None:
        width = 0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._row = min(self._row + 1, self._rows - 1)
        elif not character.isprintable() or (self.modes["7"] and self._column + width > self._columns):
            self.strange.append(character)
        elif width and self._column + width <= self._columns:
            self._cells[self._row][self._column : self._column + width] = [character, *[""] * (width - 1)]
            self._column += width


class Session:
    """A program on a pseudo-terminal of its own, ended with the block."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        columns: int = 80,
        rows: int = 24,
    ) -> None:
        self.screen = Screen(columns, rows)
        self.output = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._status: int | None = None
        # Set before the program starts, which asks for it once.
        self.descriptor, other = pty.openpty()
        self._set_size(columns, rows)
        self._process = os.fork()
        if self._process == 0:
            self._become(command, environment, directory, other)
        os.close(other)

    def __enter__(self) -> Session:
        """Give the session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the program, if it has not ended, and close the terminal."""
        if self._status is None:
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
        os.close(self.descriptor)

    def send(self, text: str) -> None:
        """Type a text."""
        os.write(self.descriptor, text.encode())

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        os.kill(self._process, number)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, of which the program is told."""
        self.screen.resize(columns, rows)
        self._set_size(columns, rows)

    def forget(self) -> None:
        """Forget what was written so far."""
        self.output = ""

    def wait_for(self, text: str) -> str:
        """Read until the program has written a text; give all since `forget`."""
        end = time.monotonic() + PATIENCE_S
        while text not in self.output:
            assert time.monotonic() < end, f"{text!r} is not in what ends in {self.output[-500:]!r}"
            self._read(0.1)
        return self.output

    def wait_until_shown(self, text: str) -> str:
        """Read until a text is on the screen; give the screen."""
        end = time.monotonic() + PATIENCE_S
        while text not in self.screen.text:
            assert time.monotonic() < end, f"{text!r} is not on the screen:\n{self.screen.text}"
            self._read(0.1)
        return self.screen.text

    def settle(self) -> None:
        """Read until the program has nothing more to write for a moment."""
        end = time.monotonic() + PATIENCE_S
        quiet = False
        while not quiet and time.monotonic() < end:
            quiet = not self._read(QUIET_S)

    def wait_until_ended(self) -> int:
        """Read until the program has ended; give its exit status, minus the number where it was a signal."""
        end = time.monotonic() + PATIENCE_S
        while self._status is None:
            assert time.monotonic() < end, f"it has not ended: {self.output[-500:]!r}"
            self._read(0.05)
            process, status = os.waitpid(self._process, os.WNOHANG)
            if process:
                self._status = os.waitstatus_to_exitcode(status)
        while self._read(0.0):
            pass
        return self._status

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], timeout_s)
        if not ready:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:
            # What Linux says where the program's side is closed.
            time.sleep(min(timeout_s, 0.01))
            return False
        text = self._decoder.decode(data)
        self.output += text
        self.screen.write(text)
        return bool(data)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _become(self, command: Sequence[str], environment: Mapping[str, str], directory: Path, terminal: int) -> None:
        """Turn this copy of the process into the program, on its terminal."""
        try:
            os.close(self.descriptor)
            os.setsid()
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
            for number in range(3):
                os.dup2(terminal, number)
            os.chdir(directory)
            os.execvpe(command[0], list(command), dict(environment))
        finally:
            os._exit(127)
