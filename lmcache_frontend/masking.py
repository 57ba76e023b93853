# SPDX-License-Identifier: Apache-2.0
"""Hide secrets in what is shown or kept for showing. Pure.

A secret is a value whose name has one of a few words in it, as a whole word, and what stands in URLs to identify
somebody: user information, and query values under such names. ``blend_min_tokens`` counts tokens and is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "********"
_WORDS = frozenset({"key", "keys", "token", "secret", "secrets", "password", "passwords", "credential", "credentials"})
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[_\-.\s]+")
_USER_INFORMATION = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)[^/?#@\s]*(?:@[^/?#@\s]*)*@")
_QUERY_VALUE = re.compile(r"([?&;])([^=&;#\s?]+)=([^&;#\s]+)")
_DEPTH_LIMIT = 64


def is_secret(name: str) -> bool:
    """Say whether a value of this name is hidden: ``api_key`` is, ``min_retrieve_tokens`` is not."""
    return any(word.lower() in _WORDS for word in _SEPARATORS.split(_CAMEL.sub("_", name)))


def masked(name: str, value: Any) -> Any:
    """Give a value with what is secret in it hidden, at any depth; nothing is hidden of null and of booleans."""
    return _masked(name, value, _DEPTH_LIMIT)


def masked_mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Give a mapping with its secrets hidden."""
    return {name: masked(name, value) for name, value in mapping.items()}


def masked_text(text: str) -> str:
    """Give a text with the secrets hidden that stand in URLs within it."""
    if "://" in text:
        text = _USER_INFORMATION.sub(rf"\g<1>{MASK}@", text)
    if "=" in text:
        text = _QUERY_VALUE.sub(_masked_query_value, text)
    return text


def _masked(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool) or value == "":
        return value
    if is_secret(name) or depth == 0:
        return MASK
    if isinstance(value, Mapping):
        return {key: _masked(str(key), part, depth - 1) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked("", part, depth - 1) for part in value]
    return masked_text(value) if isinstance(value, str) else value


def _masked_query_value(match: re.Match[str]) -> str:
    mark, name, value = match.groups()
    return f"{mark}{name}={MASK if is_secret(name) else value}"
