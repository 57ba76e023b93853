# SPDX-License-Identifier: Apache-2.0
"""The text formats of LMCache nodes, as values that are strict JSON. Pure.

Thread dumps and logger lists are as LMCache 0.3.4 to 0.5.6 writes them. Its JSON may hold bare ``Infinity``,
``-Infinity`` and ``NaN`` (``/conf`` does from 0.4.5); they become strings of that name.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

DEPTH_LIMIT = 100
LOGGERS_HEADING = "=== Loggers and Levels ==="

_SURROGATES = re.compile("[\ud800-\udfff]")
_BLOCKS = re.compile(r"^(?=Thread: )", re.MULTILINE)
_SUMMARY = re.compile(r"^=== Thread Summary ===\nTotal threads: (\d{1,9})\s*\Z", re.MULTILINE)
# A thread's name may hold line ends, so a block's head reaches to the words that end it.
_HEAD = re.compile(
    r"Thread: (.*?)\n(Stack trace:|No stack trace available|Stack trace unavailable)(?:\n|\Z)", re.DOTALL
)
_REPR = re.compile(r"<([^(]+)\((.*), (initial|started|stopped)( daemon)?(?: (-?\d{1,20}))?\)>", re.DOTALL)
_FRAME = re.compile(r'  File "(.*)", line (\d{1,9}|None), in (.*)')
_REPEATED = re.compile(r"  \[Previous line repeated (\d{1,9}) more times?\]")
_MARKERS = re.compile(r"[ ~^]+")
_SET = re.compile(r"Set (.*) level to (\S+) \(including all handlers\)\s*", re.DOTALL)


class Lenient(NamedTuple):
    """A JSON value made strict, and where in it the non-finite numbers were (``key.key[0]``)."""

    value: Any
    infinite: list[str]


class ThreadDump(NamedTuple):
    """The threads of a dump; ``total`` is what its summary says, None where the summary is missing."""

    threads: list[dict[str, Any]]
    total: int | None


class _NonFinite(str):
    __slots__ = ()


def parse_lenient_json(text: str) -> Lenient:
    """Read JSON that may hold non-finite numbers; lone surrogates become U+FFFD.

    Raises: ValueError, saying where it is no JSON, or that it is nested too deeply.
    """
    try:
        document = json.loads(text, parse_constant=_NonFinite)
    except json.JSONDecodeError as exc:
        raise ValueError(f"not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}") from exc
    except RecursionError as exc:
        raise ValueError(f"JSON nested more than {DEPTH_LIMIT} levels deep") from exc
    except ValueError as exc:
        raise ValueError("not JSON: it holds a number of too many digits") from exc
    infinite: list[str] = []
    return Lenient(_strict(document, "", infinite, 0), infinite)


def parse_threads(text: str) -> ThreadDump:
    """Read a thread dump: ``{"name", "class", "state", "daemon", "ident", "frames", "note"}`` of each thread.

    Frames run from the oldest call to the newest, as ``{"file", "line", "function", "source", "repeated"}``.
    ``note`` says why a thread has no frames, where the dump says so.
    """
    text = text.replace("\r\n", "\n")
    summary = _SUMMARY.search(text)
    body = text[: summary.start()] if summary else text
    blocks = [block for block in _BLOCKS.split(body) if block.startswith("Thread: ")]
    return ThreadDump([_thread(block) for block in blocks], int(summary[1]) if summary else None)


def parse_loggers(text: str) -> list[dict[str, str]]:
    """Read the loggers of a list, of the answer for a single one or of the confirmation of a change, in that order.

    Raises: ValueError where it is none of the three.
    """
    heading, _, rest = text.replace("\r\n", "\n").partition("\n")
    if heading.rstrip() == LOGGERS_HEADING:
        return [logger for line in rest.split("\n") if (logger := _logger(line))]
    changed = _SET.fullmatch(text)
    if changed:
        return [{"name": changed[1], "level": changed[2]}]
    single = None if rest.strip() else _logger(heading)
    if single is None:
        raise ValueError(f"no list of loggers: it does not begin with {LOGGERS_HEADING!r}")
    return [single]


def _strict(value: Any, place: str, infinite: list[str], depth: int) -> Any:
    if depth > DEPTH_LIMIT:
        raise ValueError(f"JSON nested more than {DEPTH_LIMIT} levels deep")
    if isinstance(value, _NonFinite):
        infinite.append(place)
        return str(value)
    if isinstance(value, str):
        return _without_surrogates(value)
    if isinstance(value, float) and not math.isfinite(value):
        infinite.append(place)
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        pairs = ((_without_surrogates(key), item) for key, item in value.items())
        return {key: _strict(item, f"{place}.{key}" if place else key, infinite, depth + 1) for key, item in pairs}
    if isinstance(value, list):
        return [_strict(item, f"{place}[{index}]", infinite, depth + 1) for index, item in enumerate(value)]
    return value


def _without_surrogates(text: str) -> str:
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _thread(block: str) -> dict[str, Any]:
    head = _HEAD.match(block)
    title = head[1] if head else block[len("Thread: ") :].partition("\n")[0]
    known = _REPR.fullmatch(title)
    return {
        "name": known[2] if known else title,
        "class": known[1] if known else "",
        "state": known[3] if known else "unknown",
        "daemon": bool(known and known[4]),
        "ident": int(known[5]) if known and known[5] else None,
        "frames": _frames(block[head.end() :] if head else ""),
        "note": head[2] if head and not head[2].endswith(":") else None,
    }


def _frames(text: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    for line in text.split("\n"):
        frame = _FRAME.fullmatch(line)
        if frame:
            number = None if frame[2] == "None" else int(frame[2])
            frames.append({"file": frame[1], "line": number, "function": frame[3], "source": "", "repeated": 0})
        elif frames and (repeated := _REPEATED.fullmatch(line)):
            frames[-1]["repeated"] = int(repeated[1])
        elif frames and line.startswith("    ") and not _MARKERS.fullmatch(line):
            source = frames[-1]["source"]
            frames[-1]["source"] = f"{source}\n{line[4:]}" if source else line[4:]
    return frames


def _logger(line: str) -> dict[str, str] | None:
    name, colon, level = line.rpartition(": ")
    return {"name": name, "level": level.rstrip()} if colon else None
