# SPDX-License-Identifier: Apache-2.0
"""Tokens: the file that they are written in, and how one that is sent is recognised. Pure.

A file has a token a line, after its name and a colon where it is to be told from others (``ci: 3f...``). Empty lines
and those that begin with ``#`` count for nothing. Only digests are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from lmcache_frontend.access.rules import Role
from lmcache_frontend.errors import BadRequest

SHORTEST = 16
LONGEST = 1024
MOST_TOKENS = 1000
_split_line = re.compile(r"(?:([^:\s](?:[^:]{0,58}[^:\s])?):[ \t]+)?(\S+)").fullmatch
_is_visible = re.compile(r"[!-~]+").fullmatch


class Token(NamedTuple):
    """A token's digest, the name that who sends it goes by, and the role that it gives."""

    digest: bytes
    name: str
    role: Role


class Tokens:
    """The tokens in force; never changed, only replaced."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        """Take them; where one stands twice, the greater role counts."""
        self._tokens = tuple(sorted(tokens, key=lambda token: token.role))
        self.greatest_role = max((token.role for token in self._tokens), default=Role.NONE)

    def find(self, text: str) -> Token | None:
        """Give the token that a text is; all are compared, whichever it is, each in constant time."""
        if not self._tokens or not text or len(text) > LONGEST:
            return None
        # What `hmac` gives out under this name, without what it imports.
        from _operator import _compare_digest

        sent = digest_of(text)
        found = None
        for token in self._tokens:
            if _compare_digest(token.digest, sent):
                found = token
        return found

    def by_digest(self, digest: bytes) -> Token | None:
        """Give the token with a digest that we have kept ourselves."""
        return next((token for token in reversed(self._tokens) if token.digest == digest), None)


def digest_of(text: str) -> bytes:
    """Give what is kept of a token or of a session's id."""
    # The half of `hashlib` that does not bring OpenSSL: a token that was made here is digested at the start.
    from _blake2 import blake2b

    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=32).digest()


def make_token(text: str, name: str, role: Role) -> Token:
    """Make a token of its text.

    Raises: BadRequest for one that is too short or cannot be sent in a field; never with the token in it.
    """
    if not _is_visible(text):
        raise BadRequest("a token has visible ASCII characters only")
    if not SHORTEST <= len(text) <= LONGEST:
        raise BadRequest(f"a token of {len(text)} characters, expected {SHORTEST} to {LONGEST}")
    return Token(digest_of(text), name, role)


def split_line(line: str) -> tuple[str | None, str] | None:
    """Give the name, where there is one, and the token in a line of a token file; None where it has none."""
    match = _split_line(line.strip())
    return (match[1], match[2]) if match else None


def parse_tokens(text: str, role: Role) -> list[Token]:
    """Read the text of a token file.

    Raises: BadRequest, with the number of the line and never with the token.
    """
    tokens = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        parts = split_line(content)
        if parts is None:
            raise BadRequest(f"line {number}: expected a token, or its name, a colon, a space and the token")
        name = parts[0] or f"{role.name.lower()} token in line {number}"
        if not name.isprintable():
            raise BadRequest(f"line {number}: the token's name has characters that cannot be shown")
        try:
            tokens.append(make_token(parts[1], name, role))
        except BadRequest as exc:
            raise BadRequest(f"line {number}: {exc}") from exc
    if not 0 < len(tokens) <= MOST_TOKENS:
        raise BadRequest(f"{len(tokens)} tokens, expected 1 to {MOST_TOKENS}")
    return tokens
