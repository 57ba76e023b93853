# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lmcache_frontend.errors import Conflict, Unreachable
from tools.command_line import Example, add_command, command_first, make_parser
from tools.console import Console, add_console_options, console_of, run

ROOT = Path(__file__).resolve().parents[1]


def console(*arguments: str, environment: dict[str, str] | None = None) -> Console:
    parser = argparse.ArgumentParser()
    add_console_options(parser, ("table", "json"))
    return console_of("tool", parser.parse_args(arguments), environment or {})


def test_results_and_words_go_to_two_streams(capsys: pytest.CaptureFixture[str]) -> None:
    mine = console()
    mine.note("a note")
    mine.detail("a detail")
    mine.warn("a warning\x1b")
    mine.result(["one", "two"])
    assert capsys.readouterr() == ("one\ntwo\n", "a note\nwarning: a warning\\x1b\n")


def test_quiet_says_warnings_alone_and_verbose_says_more(capsys: pytest.CaptureFixture[str]) -> None:
    for mine in (console("-q"), console("--verbose")):
        mine.note("a note")
        mine.detail("a detail")
        mine.warn("a warning")
    assert capsys.readouterr().err == "warning: a warning\na note\na detail\nwarning: a warning\n"


def test_colour_always_colours(capsys: pytest.CaptureFixture[str]) -> None:
    console("--color", "always", environment={"NO_COLOR": "1"}).warn("x")
    console("--color", "auto").warn("x")
    assert capsys.readouterr().err == "\x1b[33mwarning:\x1b[0m x\nwarning: x\n"


def test_output_goes_to_a_file_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = console("--output", str(tmp_path / "f"))
    mine.result(["é", "two"])
    assert (tmp_path / "f").read_bytes() == "é\ntwo\n".encode()
    assert capsys.readouterr().out == ""
    assert mine.out.columns is None


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (lambda: 4, 4, ""),
        (lambda: failing(Unreachable("nobody\nthere")), 3, "tool: nobody\\nthere\n"),
        (lambda: failing(Conflict("late")), 6, "tool: late\n"),
        (lambda: failing(KeyboardInterrupt()), 130, ""),
        (lambda: failing(SystemExit(2)), 2, ""),
        (lambda: failing(SystemExit(None)), 0, ""),
        (lambda: failing(OSError(28, "No space left on device")), 1, "tool: No space left on device\n"),
    ],
)
def test_ends_have_their_status(
    body: Callable[[], int], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("tool", body) == status
    assert capsys.readouterr().err == words


def failing(error: BaseException) -> int:
    raise error


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    program = (
        "import sys; from tools.console import run\n"
        "def body():\n"
        "    for _ in range(100000): print('x' * 100)\n"
        "    return 0\n"
        "sys.exit(run('tool', body))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_what_the_encoding_lacks_is_escaped() -> None:
    program = "import sys; from tools.console import run; run('tool', lambda: print('\u2713 done') or 0)"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, env={"PYTHONIOENCODING": "ascii"}
    )
    assert (result.stdout, result.stderr) == (b"\\u2713 done\n", b"")


def test_every_help_ends_in_examples(capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser("tool", "Do things.", [Example("tool go", "go")])
    commands = parser.add_subparsers()
    add_command(commands, "go", "go there", [Example("tool go now", "go at once")])
    for arguments, end in ((["--help"], "tool go\n"), (["go", "--help"], "  # go at once\n  tool go now\n")):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)
        assert capsys.readouterr().out.endswith(end)
    with pytest.raises(SystemExit):
        parser.parse_args(["--version"])
    assert capsys.readouterr().out.startswith("tool ")


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "2>/dev/full"])
def test_streams_that_are_closed_or_broken_beside_the_result_stop_nothing(redirection: str, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tools.console import run; from tests.test_tools_console import *\n"
        "def body():\n"
        "    mine = console(); mine.warn('a warning'); mine.result([sys.stdin.read()]); Path(sys.argv[1]).touch()\n"
        "    return 4\n"
        "sys.exit(run('tool', body))"
    )
    done = tmp_path / "done"
    command = f'"$0" -c "$1" "$2" {redirection}'
    result = subprocess.run(
        ["sh", "-c", command, sys.executable, program, str(done)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, "Traceback" in result.stderr, done.exists()) == (4, False, True)


def test_an_error_that_nobody_can_be_told_has_its_status() -> None:
    program = (
        "import sys; from lmcache_frontend.errors import Conflict; from tools.console import run\n"
        "def body(): raise Conflict('late')\n"
        "sys.exit(run('tool', body))"
    )
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stderr=full)
    assert result.returncode == 6


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--server", "u", "-q", "go", "x"], ["go", "x", "--server", "u", "-q"]),
        (["go", "--server", "u"], ["go", "--server", "u"]),
        (["--server", "u", "--help"], ["--help"]),
        (["--server", "u"], []),
        (["--server"], []),
        ([], []),
    ],
)
def test_options_before_the_command_are_no_command(given: list[str], expected: list[str]) -> None:
    assert command_first(given, frozenset({"--server"})) == expected
