# SPDX-License-Identifier: Apache-2.0
"""A terminal taken over whole: the alternate screen, keys as they are pressed, and all given back on any way out.

What is on the screen is the caller's, in lines that cannot steer the terminal (`screen`). Source: termios(3); xterm's
control sequences, private modes 7, 25 and 1049.
"""

from __future__ import annotations

import os
import select
import signal
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NamedTuple

from .keys import Pressed, read_keys
from .screen import Size, update

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J"
LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
# What is not followed within this time after an escape is the key of that name.
ESCAPE_TIMEOUT_S = 0.05
_READ_BYTES = 4096
_USUAL_SIZE = (80, 24)
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LOCAL_FLAGS = 3
_INPUT_FLAGS = 0
_CONTROL_CHARACTERS = 6


class Happened(NamedTuple):
    """What came meanwhile: keys, and whether the screen is to be drawn anew, as after a change of its size."""

    keys: tuple[str, ...] = ()
    redraw: bool = False


class FullScreen:
    """The terminal while it is ours. `wake` may be called from any thread; everything else from the first one alone."""

    def __init__(self, input_descriptor: int, output_descriptor: int) -> None:
        self._input = input_descriptor
        self._output = output_descriptor
        self._saved: list[Any] = termios.tcgetattr(input_descriptor)
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._rest = b""
        self._drawn: list[str] | None = None
        self._changed = False
        self._ours = False
        self._handlers: dict[int, Any] = {}
        self._woken_before: int | None = None

    @property
    def size(self) -> Size:
        """Give the terminal's size; one that does not know it has the usual one."""
        try:
            columns, rows = os.get_terminal_size(self._output)
        except OSError:
            columns, rows = _USUAL_SIZE
        return Size(columns or _USUAL_SIZE[0], rows or _USUAL_SIZE[1])

    def draw(self, lines: Sequence[str]) -> None:
        """Show lines, which must not be wider than the screen; what is there already is not sent again."""
        text = update(self._drawn, lines)
        self._drawn = list(lines)
        if text:
            self._send(text)

    def forget(self) -> None:
        """Draw everything the next time, whatever is thought to be on the screen."""
        self._drawn = None

    def wake(self) -> None:
        """End a `wait`."""
        # Full: then it will be woken in any case.
        with suppress(BlockingIOError, OSError):
            os.write(self._waker, b"\0")

    def wait(self, timeout_s: float) -> Happened:
        """Wait for keys, a change of the screen, somebody to wake us, or the end of a time.

        Raises: EOFError where the terminal is gone.
        """
        # Of a key that has begun, the rest is there at once, or never.
        ready, _, _ = select.select([self._input, self._woken], [], [], ESCAPE_TIMEOUT_S if self._rest else timeout_s)
        if self._woken in ready:
            with suppress(BlockingIOError):
                os.read(self._woken, _READ_BYTES)
        keys = self._keys(self._input in ready)
        changed, self._changed = self._changed, False
        if changed:
            self.forget()
        return Happened(keys, changed)

    def enter(self) -> None:
        """Take the terminal over."""
        self._ours = True
        attributes = [*self._saved[:-1], list(self._saved[_CONTROL_CHARACTERS])]
        attributes[_LOCAL_FLAGS] &= ~(termios.ICANON | termios.ECHO)
        attributes[_INPUT_FLAGS] &= ~termios.IXON
        attributes[_CONTROL_CHARACTERS][termios.VMIN] = 1
        attributes[_CONTROL_CHARACTERS][termios.VTIME] = 0
        termios.tcsetattr(self._input, termios.TCSADRAIN, attributes)
        self._send(ENTER)
        self.forget()

    def leave(self) -> None:
        """Give the terminal back, whatever it is like by now, unless that is done already."""
        if not self._ours:
            return
        try:
            with suppress(OSError):
                self._send(LEAVE)
        finally:
            with suppress(OSError, termios.error):
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._saved)
        self._ours = False

    def handle_signals(self) -> None:
        """Let signals that end us do so by an exception, and see to stopping, going on, and the size."""
        # The kernel may give a signal to any thread, or just before we wait: it has to end the waiting all the same.
        self._woken_before = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in _ENDING:
            self._handlers[number] = signal.signal(number, _end)
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stop)
        self._handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._go_on)
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._resize)

    def close(self) -> None:
        """Let signals do what they did, and end what `wake` needs."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._woken_before is not None:
            signal.set_wakeup_fd(self._woken_before)
        for descriptor in (self._woken, self._waker):
            os.close(descriptor)

    def _keys(self, ready: bool) -> tuple[str, ...]:
        if not ready:
            pressed = read_keys(self._rest, complete=True) if self._rest else Pressed((), b"")
        else:
            data = os.read(self._input, _READ_BYTES)
            if not data:
                raise EOFError("the terminal is gone")
            pressed = read_keys(self._rest + data)
        self._rest = pressed.rest
        return pressed.keys

    def _send(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._output, data) :]

    def _resize(self, _number: int, _frame: FrameType | None) -> None:
        self._changed = True
        self.wake()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """Give the terminal back, stop as if we were nothing special, and take it over again."""
        self.leave()
        ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, ours)
        self._go_on(0, None)

    def _go_on(self, _number: int, _frame: FrameType | None) -> None:
        self.enter()
        self._changed = True
        self.wake()


@contextmanager
def taken_over(input_descriptor: int, output_descriptor: int) -> Iterator[FullScreen]:
    """Take a terminal over for a block, and give it back however the block ends; SIGTERM becomes SystemExit."""
    screen = FullScreen(input_descriptor, output_descriptor)
    try:
        try:
            screen.handle_signals()
            screen.enter()
            yield screen
        finally:
            screen.leave()
    finally:
        # A signal may have come just while it was being given back.
        screen.leave()
        screen.close()


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
