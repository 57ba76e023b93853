# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable

import pytest

from lmcache_frontend import logs

Configure = Callable[[str, str], logging.Logger]


@pytest.fixture
def configure(logging_restored: None) -> Configure:
    """Give a function that configures logging and gives a logger."""

    def run(level: str, form: str) -> logging.Logger:
        logs.configure(level, form)
        return logging.getLogger("lmcache_frontend.test")

    return run


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, \u00e9, \u8282\u70b9, \U0001f600", "plain, \u00e9, \u8282\u70b9, \U0001f600"),
        ("tab\tand\nline end", "tab\tand\nline end"),
        ("\r", r"\r"),
        ("\0", r"\x00"),
        ("\x1b[31mred\x07\x08", r"\x1b[31mred\x07\x08"),
        ("\x0b\x0c\x1f\x7f", r"\x0b\x0c\x1f\x7f"),
        ("\x85\x9b", r"\x85\x9b"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\u202a\u202b\u202c\u202d\u202e", r"\u202a\u202b\u202c\u202d\u202e"),
        ("\u2066\u2067\u2068\u2069", r"\u2066\u2067\u2068\u2069"),
        ("\u061c\u200e\u200f", r"\u061c\u200e\u200f"),
        ("\ud800\udcff", r"\ud800\udcff"),
    ],
)
def test_what_could_forge_a_line_or_steer_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert logs.escaped(text) == shown


def test_text_for_people(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure("warning", "text").warning("node %s is away", "n\r\n2030-01-01 ERROR forged\u202e\x1b[2J")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ WARNING lmcache_frontend\.test: "
        r"node n\\r\\n2030-01-01 ERROR forged\\u202e\\x1b\[2J is away\n",
        captured.err,
    )


def test_text_keeps_the_traceback(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    logger = configure("warning", "text")
    try:
        raise ValueError("bad \x1b[2J\u202e value")
    except ValueError:
        logger.exception("failed")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(" ERROR lmcache_frontend.test: failed")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == r"ValueError: bad \x1b[2J\u202e value"


def test_json_for_machines(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    logger = configure("info", "json")
    logger.info("line\nend %s", "\u202e\x1b\u2028\ud800")
    logger.warning("100 %")
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        logger.exception("failed")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.isascii() and line.isprintable() for line in lines)
    first, second, third = (json.loads(line) for line in lines)
    assert set(first) == {"time", "level", "logger", "message"}
    assert (first["level"], first["logger"]) == ("info", "lmcache_frontend.test")
    assert first["message"] == "line\nend \u202e\x1b\u2028\ud800"
    assert isinstance(first["time"], float)
    assert second["message"] == "100 %"
    assert third["exception"].startswith("Traceback (most recent call last):\n")
    assert third["exception"].endswith("ValueError: bad\nvalue")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("critical", [50]),
        ("error", [50, 40]),
        ("warning", [50, 40, 30]),
        ("warn", [50, 40, 30]),
        ("info", [50, 40, 30, 20]),
        ("debug", [50, 40, 30, 20, 10]),
        ("trace", [50, 40, 30, 20, 10, 5]),
    ],
)
def test_levels(configure: Configure, capsys: pytest.CaptureFixture[str], level: str, shown: list[int]) -> None:
    logger = configure(level, "text")
    for number in (50, 40, 30, 20, 10, 5):
        logger.log(number, "at %d", number)
    assert [int(line.rpartition(" ")[2]) for line in capsys.readouterr().err.splitlines()] == shown


def test_configuring_twice_logs_once(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text")
    configure("info", "json").info("once")
    assert json.loads(capsys.readouterr().err)["message"] == "once"


def test_a_level_below_info_has_its_name(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure("trace", "json").log(logs.TRACE, "fine")
    assert json.loads(capsys.readouterr().err)["level"] == "trace"


def test_other_loggers_are_left_alone(configure: Configure) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    configure("debug", "json")
    assert (root.handlers[:], root.level) == before
