# SPDX-License-Identifier: Apache-2.0
"""Block scalars, literal (``|``) and folded (``>``). Source: YAML 1.1, 9.2 and 9.3, as PyYAML has them."""

from __future__ import annotations

import re
from typing import NamedTuple

from lmcache_frontend.remote_config.yaml_subset.faults import Refusal, fault, refused
from lmcache_frontend.remote_config.yaml_subset.source import END, line_end, skip_blanks, skip_spaces

_header = re.compile(r"[|>](?:([-+])([1-9])?|([1-9])([-+])?)?").match


class _Header(NamedTuple):
    """``chomping`` is ``-`` (strip), ``+`` (keep) or empty (clip); ``step`` is the given indentation or 0."""

    folded: bool
    chomping: str
    step: int


def read_block_scalar(text: str, at: int, indent: int) -> tuple[str, int]:
    """Read a block scalar of a list or map at column ``indent`` (-1: the whole document).

    Gives the text and the start of the first line after it. Raises: YamlError.
    """
    header, start = _read_header(text, at)
    least = max(indent + 1, 1)
    width = least + header.step - 1 if header.step else _detect_width(text, start, indent)
    parts: list[str] = []
    at, blank_lines, last_break = start, 0, ""
    may_fold = False
    while True:
        spot = min(skip_spaces(text, at), at + width)
        if text[spot] == "\n":
            blank_lines += 1
            at = spot + 1
            continue
        if spot < at + width or text[spot] == END:
            break
        folds = may_fold and header.folded and text[spot] not in " \t"
        parts.append(_between(last_break, blank_lines, folds=folds))
        may_fold = text[spot] not in " \t"
        end = text.find("\n", spot)
        last_break = "\n" if end >= 0 else ""
        end = end if end >= 0 else len(text) - 1
        parts.append(text[spot:end])
        at, blank_lines = end + len(last_break), 0
    return "".join(parts) + _tail(header.chomping, last_break, blank_lines), at


def _read_header(text: str, at: int) -> tuple[_Header, int]:
    found = _header(text, at)
    assert found is not None
    end = found.end()
    if text[end] not in " \n\0":
        raise fault(text, end, f"{text[at]} may be followed by + or - and a digit from 1 to 9, got {text[end]!r}")
    end = line_end(text, end)
    header = _Header(text[at] == ">", found[1] or found[4] or "", int(found[2] or found[3] or 0))
    return header, end + (text[end] == "\n")


def _detect_width(text: str, start: int, indent: int) -> int:
    """Give the indentation of the first line that is not blank, or of the longest blank line above."""
    end = skip_blanks(text, start)
    *above, first = (len(spaces) for spaces in text[start:end].split("\n"))
    if indent < first < max(above, default=0) and text[end] != END:
        raise refused(text, end, Refusal.BLOCK_BLANK)
    return max(indent + 1, 1, first, *above)


def _between(last_break: str, blank_lines: int, *, folds: bool) -> str:
    """Give what stands between two lines; before the first, ``last_break`` is empty."""
    if folds:
        return "\n" * blank_lines or " "
    return last_break + "\n" * blank_lines


def _tail(chomping: str, last_break: str, blank_lines: int) -> str:
    if chomping == "-":
        return ""
    return last_break + "\n" * blank_lines if chomping == "+" else last_break
