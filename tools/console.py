# SPDX-License-Identifier: Apache-2.0
"""Where a tool's words go: results to standard output or a file, everything else to standard error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TextIO

from lmcache_frontend.errors import FrontendError

from .command_line import file_path
from .files import write_atomically
from .terminal import COLOR_CHOICES, Terminal, painted, printable, terminal_of

INTERRUPTED = 130
PIPE_CLOSED = 141


class Console(NamedTuple):
    """A program's name, the two streams, and how much is said beside the result."""

    program: str
    out: Terminal
    err: Terminal
    quiet: bool = False
    verbose: bool = False
    output_path: str | None = None

    def result(self, lines: Iterable[str], *, new_mode: int | None = None) -> None:
        """Write what was asked for, a line each, to standard output, or the whole of it to the file of ``--output``.

        ``new_mode`` is for a file that was not there; by default it has what the umask leaves.
        """
        if self.output_path is None:
            for line in lines:
                self.out.stream.write(line + "\n")
            self.out.stream.flush()
        else:
            write_atomically(self.output_path, "".join(f"{line}\n" for line in lines).encode(), new_mode=new_mode)

    def note(self, text: str) -> None:
        """Say what is good to know, unless ``--quiet``."""
        if not self.quiet:
            self._say(painted(printable(text), "dim", self.err))

    def detail(self, text: str) -> None:
        """Say what is good to know only with ``--verbose``."""
        if self.verbose:
            self._say(painted(printable(text), "dim", self.err))

    def warn(self, text: str) -> None:
        """Say what may be wrong, also with ``--quiet``."""
        self._say(f"{painted('warning:', 'yellow', self.err)} {printable(text)}")

    def tell(self, lines: Iterable[str]) -> None:
        """Write lines that are made already, as of a table, to standard error."""
        for line in lines:
            self._say(line)

    def _say(self, text: str) -> None:
        self.out.stream.flush()
        _write_aside(text, self.err.stream)


def add_console_options(parser: argparse.ArgumentParser, formats: Iterable[str] = ()) -> None:
    """Add what every command has for its output: ``--format``, ``--output``, ``--color``, ``-q`` and ``-v``.

    The first of the formats is the default; without any there is no such flag.
    """
    group = parser.add_argument_group("output")
    choices = tuple(formats)
    if choices:
        group.add_argument("--format", choices=choices, default=choices[0], help=f"default: {choices[0]}")
    group.add_argument(
        "--output", metavar="PATH", type=file_path, help="write the result to this file, whole or not at all"
    )
    group.add_argument("--color", choices=COLOR_CHOICES, default="auto", help="default: auto, only on a terminal")
    group.add_argument("-q", "--quiet", action="store_true", help="say nothing beside the result but warnings")
    group.add_argument("-v", "--verbose", action="store_true", help="say more of what is done")


def console_of(program: str, options: argparse.Namespace, environment: Mapping[str, str]) -> Console:
    """Make the console that the flags of `add_console_options` ask for."""
    out = terminal_of(sys.stdout, environment, options.color)
    if options.output is not None:
        out = out._replace(interactive=False, colored=options.color == "always", columns=None)
    err = terminal_of(sys.stderr, environment, options.color)
    return Console(program, out, err, options.quiet, options.verbose, options.output)


def run(program: str, body: Callable[[], int]) -> int:
    """Run a tool's body and give its exit status; errors become one line on standard error, without a traceback.

    Ctrl-C gives 130; a reader that went away, as `head` does, ends it quietly with what a shell gives for SIGPIPE.
    """
    _replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        _accept_any_character(stream)
    try:
        status = body()
        sys.stdout.flush()
    except FrontendError as exc:
        # Kept in order with what is on standard output already.
        _flush_quietly(sys.stdout)
        _write_aside(f"{program}: {printable(str(exc))}", sys.stderr)
        return exc.exit_status
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard(sys.stdout)
        return PIPE_CLOSED
    except OSError as exc:
        _flush_quietly(sys.stdout)
        _write_aside(f"{program}: {printable(exc.strerror or str(exc))}", sys.stderr)
        return 1
    return status


def _replace_closed_streams() -> None:
    """Lead streams that were closed when we were started, which Python has as None, into nothing."""
    for name, mode, flags in (("stdin", "r", os.O_RDONLY), ("stdout", "w", os.O_WRONLY), ("stderr", "w", os.O_WRONLY)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, closefd=False))


def _write_aside(text: str, stream: TextIO) -> None:
    """Write a line beside the result; that it cannot be written is no reason to leave the work."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        _discard(stream)


def _accept_any_character(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _flush_quietly(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        _discard(stream)


def _discard(stream: TextIO) -> None:
    """Lead what is still buffered into nothing, or the interpreter complains of it at its end."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
