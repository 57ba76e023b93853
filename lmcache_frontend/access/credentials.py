# SPDX-License-Identifier: Apache-2.0
"""What a request shows to say who sends it: ``Authorization`` and our cookie. Pure.

Source: RFC 6750 (Bearer), RFC 7617 (Basic; the token is the password), RFC 6265 (cookies).
"""

from __future__ import annotations

from binascii import Error, a2b_base64
from typing import NamedTuple

BEARER = "bearer"
BASIC = "basic"
# Other pages of this host can set cookies of any name: of that many ours is looked for.
_MOST_COOKIES = 8


class Shown(NamedTuple):
    """A token that was sent, and by which scheme."""

    scheme: str
    text: str


def read_authorization(value: str) -> Shown | None:
    """Read an ``Authorization`` field; None where it is of another scheme or malformed."""
    scheme, _, rest = value.partition(" ")
    rest = rest.strip(" ")
    if scheme.lower() == BEARER and rest:
        return Shown(BEARER, rest)
    if scheme.lower() != BASIC or not rest:
        return None
    try:
        user, _, password = a2b_base64(rest.encode("ascii")).decode("utf-8").partition(":")
    except (Error, UnicodeError, ValueError):
        return None
    # An address such as http://TOKEN@host has no password.
    text = password or user
    return Shown(BASIC, text) if text else None


def read_cookies(value: str, name: str) -> list[str]:
    """Give the values that a ``Cookie`` field has for a name."""
    pairs = (pair.partition("=") for pair in value.split(";"))
    return [text.strip(" \t") for key, _, text in pairs if key.strip(" \t") == name][:_MOST_COOKIES]
