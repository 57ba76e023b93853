# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a YAML text, and where.

Two sorts: text that PyYAML refuses as well, and what PyYAML reads and we leave out on purpose. The latter is listed in
``Refusal``, and nothing else may be left out.
"""

from __future__ import annotations

from enum import Enum

from lmcache_frontend.errors import BadRequest

_SHOWN_CHARACTERS = 60


class Refusal(Enum):
    """What is YAML but is not taken, each with the line to show."""

    ANCHOR = "anchors (&) are not taken: put a text that begins with & in quotes"
    ALIAS = "aliases (*) are not taken: put a text that begins with * in quotes"
    TAG = "tags (!) are not taken: put a text that begins with ! in quotes"
    DIRECTIVE = "directives (%) are not taken: put a text that begins with % in quotes"
    DOCUMENTS = "only one document is taken: --- may stand before it and ... after it, once"
    COMPLEX_KEY = "a key has to be a single text: neither ? nor a list or a map is taken as one"
    MERGE = "merge keys (<<) are not taken: put << in quotes if it is a text"
    EQUALS = "a single = is not taken: put it in quotes"
    DUPLICATE_KEY = "the key {} is there twice"
    KEY_IS_NO_TEXT = "the key {} is not a text but a number, a boolean, a date or nothing: put it in quotes"
    DATE = "dates are not taken: put {} in quotes"
    LONG_NUMBER = "a number is longer than {} characters: put it in quotes if it is a text"
    TIGHT_COMMENT = "a comment needs a space before its #: put a text that holds it in quotes"
    BLOCK_COLUMN = "a block text (| or >) has to begin deeper than the list or map that it belongs to"
    BLOCK_BLANK = "a blank line above has more spaces than this first line of a block text"
    SURROGATE = "half of a surrogate pair is no character: write \\U with eight digits instead"
    LINE_SEPARATOR = "the line separators U+0085, U+2028 and U+2029 are taken only as \\N, \\L and \\P in double quotes"
    BYTE_ORDER_MARK = "a byte order mark (U+FEFF) is taken only at the start, elsewhere as \\uFEFF in double quotes"
    DEPTH = "lists and maps nest deeper than {} levels"
    SIZE = "the text has more than {} characters"


class YamlError(BadRequest):
    """A YAML text that is not taken; ``refusal`` is None where it is no YAML for PyYAML either."""

    def __init__(self, reason: str, *, line: int, column: int, refusal: Refusal | None = None) -> None:
        """Take the reason and the place, both numbers counted from 1."""
        super().__init__(f"line {line}, column {column}: {reason}")
        self.reason = reason
        self.line = line
        self.column = column
        self.refusal = refusal


def fault(text: str, at: int, reason: str, refusal: Refusal | None = None) -> YamlError:
    """Make the error for what stands at an offset of the text."""
    line = text.count("\n", 0, at) + 1
    return YamlError(reason, line=line, column=at - text.rfind("\n", 0, at), refusal=refusal)


def refused(text: str, at: int, refusal: Refusal, subject: object = None) -> YamlError:
    """Make the error for what is left out on purpose; ``subject`` goes into its line."""
    shown = shorten(subject) if isinstance(subject, str) else str(subject)
    return fault(text, at, refusal.value.format(shown), refusal)


def shorten(subject: str) -> str:
    """Quote a piece of the text for a message."""
    return ascii(subject if len(subject) <= _SHOWN_CHARACTERS else subject[: _SHOWN_CHARACTERS - 3] + "...")
