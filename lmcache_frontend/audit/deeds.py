# SPDX-License-Identifier: Apache-2.0
"""What the audit trail is made of: deeds, the document that is kept of one, and which are wanted. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, NamedTuple

_TEXT_LIMIT = 500


class Deed(NamedTuple):
    """Something that somebody did or was refused: who from where, what, on what, and the outcome in a word."""

    who: str
    address: str
    what: str
    target: str
    outcome: str
    detail: str = ""


class Wanted(NamedTuple):
    """Which entries are wanted: patterns with ``*`` and ``?``, of ``what`` also a part; times since the epoch."""

    who: str = ""
    what: str = ""
    node: str = ""
    outcome: str = ""
    since: float | None = None
    before: float | None = None


def document_of(deed: Deed) -> dict[str, Any]:
    """Give what is kept of a deed: its texts, cut where they are long and with what secrets are in them masked."""
    from lmcache_frontend.masking import masked_text

    return {name: masked_text(value)[:_TEXT_LIMIT] for name, value in deed._asdict().items()}


def is_wanted(document: dict[str, Any], wanted: Wanted) -> bool:
    """Say whether an entry meets all patterns; times are looked at where entries are listed."""
    return (
        _meets(document, "who", wanted.who)
        and _meets(document, "target", wanted.node)
        and _meets(document, "outcome", wanted.outcome)
        and (wanted.what.lower() in str(document.get("what")).lower() or _meets(document, "what", wanted.what))
    )


def _meets(document: dict[str, Any], name: str, pattern: str) -> bool:
    return not pattern or fnmatchcase(str(document.get(name)).lower(), pattern.lower())
