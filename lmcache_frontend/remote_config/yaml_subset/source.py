# SPDX-License-Identifier: Apache-2.0
r"""The text that is read: its characters, and the way from one thing in it to the next.

A prepared text has ``\n`` alone as line break and ends with a NUL, which stands nowhere else in it, so that looking at
the next character needs no check for the end. Places are offsets into it.
"""

from __future__ import annotations

import re

from lmcache_frontend.remote_config.yaml_subset.faults import Refusal, fault, refused

SIZE_LIMIT_CHARACTERS = 1024 * 1024  # as much as a request body may have
END = "\0"
BLANK = " \t\n\0"

# Source: YAML 1.1, c-printable, less the line breaks and the byte order mark.
_find_foreign = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
).search
_spaces = re.compile(" *").match
_blanks = re.compile("[ \n]*").match


def prepare(text: str) -> str:
    """Give the text as the readers want it.

    Raises: YamlError for a text that is too long or holds what is not a character of YAML.
    """
    if len(text) > SIZE_LIMIT_CHARACTERS:
        raise refused("", 0, Refusal.SIZE, SIZE_LIMIT_CHARACTERS)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found = _find_foreign(text)
    if found is None:
        return text + END
    foreign = found.group()
    if foreign in "\x85\u2028\u2029":
        raise refused(text, found.start(), Refusal.LINE_SEPARATOR)
    if foreign == "\ufeff":
        raise refused(text, found.start(), Refusal.BYTE_ORDER_MARK)
    raise fault(text, found.start(), f"U+{ord(foreign):04X} is not a character of YAML: escape it in double quotes")


def skip_spaces(text: str, at: int) -> int:
    """Give the place of the next character that is no space."""
    found = _spaces(text, at)
    return found.end() if found else at


def skip_blanks(text: str, at: int) -> int:
    """Give the place of the next character that is neither a space nor a line break."""
    found = _blanks(text, at)
    return found.end() if found else at


def line_end(text: str, at: int) -> int:
    """Give the end of the line after a value: nothing but spaces and a comment may come before it.

    Raises: YamlError.
    """
    spot = skip_spaces(text, at)
    character = text[spot]
    if character in "\n\0":
        return spot
    if character == "#":
        return _comment_end(text, spot)
    if character == "\t":
        raise _tab(text, spot)
    if character == ":":
        raise fault(text, spot, "no colon may follow here: a value with ': ' in it needs quotes, a key its own line")
    raise fault(text, spot, f"the value before ends here, yet {character!r} follows")


def next_content(text: str, at: int) -> int:
    """Give the place of the next character beyond spaces, line breaks and comments; the text's end counts as one.

    Raises: YamlError for a tab, which neither indents nor separates.
    """
    while True:
        at = skip_blanks(text, at)
        if text[at] == "\t":
            raise _tab(text, at)
        if text[at] != "#":
            return at
        at = _comment_end(text, at)


def column_of(text: str, at: int) -> int:
    """Give the column of a place, counted from 0."""
    return at - text.rfind("\n", 0, at) - 1


def is_marker(text: str, at: int, marks: tuple[str, ...] = ("---", "...")) -> bool:
    """Tell whether a document begins (``---``) or ends (``...``) here."""
    return text.startswith(marks, at) and text[at + 3] in BLANK and (at == 0 or text[at - 1] == "\n")


def is_end(text: str, at: int) -> bool:
    """Tell whether the document ends here."""
    return text[at] == END or is_marker(text, at)


def _comment_end(text: str, at: int) -> int:
    if at > 0 and text[at - 1] not in " \n":
        raise refused(text, at, Refusal.TIGHT_COMMENT)
    end = text.find("\n", at)
    return end if end >= 0 else len(text) - 1


def _tab(text: str, at: int) -> Exception:
    return fault(text, at, "a tab may stand in quotes and comments only: indent and separate with spaces")
