# SPDX-License-Identifier: Apache-2.0
"""Hide secrets in what is shown or kept for showing. Pure.

A secret is a value whose name has one of a few words in it, as a whole word, and what stands in URLs to identify
somebody: user information, and query values under such names. ``blend_min_tokens`` counts tokens and is none. Texts
are looked into as well: JSON, connection strings, command lines and header fields within them have names too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "********"
_WORDS = frozenset(
    {"key", "keys", "token", "secret", "secrets", "password", "passwords", "credential", "credentials"}
    # The same, as connection strings and some programs write them.
    | {"passwd", "passphrase", "apikey", "accesskey", "secretkey"}
)
# Signatures in addresses stand for who signed them.
_QUERY_WORDS = _WORDS | {"sig", "signature"}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[_\-.\s]+")
_USER_INFORMATION = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)[^/?#@\s\"']*(?:@[^/?#@\s\"']*)*@")
_QUERY_VALUE = re.compile(r"([?&;])([^=&;#\s?]+)=([^&;#\s\"']+)")
_AUTHORIZATION = re.compile(r"\b(Bearer|Basic)\s+[^\s\"',;]+", re.IGNORECASE)
_FLAG = re.compile(r"(--([A-Za-z][\w.-]{0,60})[ \t]+)(?!-)\S+")
_IS_FLAG = re.compile(r"--[A-Za-z][\w.-]{0,60}").fullmatch
_NAME_LIMIT = 100
_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_find_separator = re.compile(r"[:=]").search
_match_value = re.compile(
    r"""[ \t]{0,3}(?:[\[{][^\n]*|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|\\+".*?(?:\\"|\Z)|[^\s,;&"'}\]]+)""", re.DOTALL
).match
# After a colon and a space, as in YAML and header fields, a value has spaces of its own.
_match_line = re.compile(r"""[ \t]{1,3}[^\s,;&"'}\]\\{\[][^\n\r,;&"'}\]]*""").match
_match_mask = re.compile(r"[ \t]{0,3}" + re.escape(MASK)).match
_DEPTH_LIMIT = 64


def is_secret(name: str) -> bool:
    """Say whether a value of this name is hidden: ``api_key`` is, ``min_retrieve_tokens`` is not."""
    return _has_word(name, _WORDS)


def masked(name: str, value: Any) -> Any:
    """Give a value with what is secret in it hidden, at any depth; nothing is hidden of null and of booleans."""
    return _masked(name, value, _DEPTH_LIMIT)


def masked_mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Give a mapping with its secrets hidden."""
    return {name: masked(name, value) for name, value in mapping.items()}


def masked_text(text: str) -> str:
    """Give a text with the secrets hidden that stand in it: in URLs, behind names, and in JSON."""
    return _masked_text(text, _DEPTH_LIMIT)


def has_mask(value: Any) -> bool:
    """Say whether a value was masked somewhere, at any depth; such a one is no value to set anything to."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            waiting += part.values()
        elif isinstance(part, (list, tuple)):
            waiting += part
        elif isinstance(part, str) and MASK in part:
            return True
    return False


def _has_word(name: str, words: frozenset[str]) -> bool:
    return any(word.lower() in words for word in _SEPARATORS.split(_CAMEL.sub("_", name)))


def _masked(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool) or value == "":
        return value
    if is_secret(name) or depth == 0:
        return MASK
    if isinstance(value, Mapping):
        return {key: _masked(str(key), part, depth - 1) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return _masked_list(value, depth)
    return _masked_text(value, depth) if isinstance(value, str) else value


def _masked_list(values: Sequence[Any], depth: int) -> list[Any]:
    """Mask the parts of a list; in a command line what follows the flag of a secret is one."""
    flags = [value if isinstance(value, str) and _IS_FLAG(value) else "" for value in values]
    return [_masked(flag, part, depth - 1) for flag, part in zip(["", *flags], values, strict=False)]


def _masked_text(text: str, depth: int) -> str:
    if text[:1] in ("{", "[") and depth > 1:
        document = _document(text)
        if document is not None:
            hidden = _masked("", document, depth - 1)
            return text if hidden == document else json.dumps(hidden, ensure_ascii=False)
    if "://" in text:
        text = _USER_INFORMATION.sub(rf"\g<1>{MASK}@", text)
    if "=" in text:
        text = _QUERY_VALUE.sub(_masked_query_value, text)
    if "=" in text or ":" in text:
        text = _without_named_values(text)
    if "--" in text:
        text = _FLAG.sub(_masked_flag, text)
    if " " in text:
        text = _AUTHORIZATION.sub(rf"\g<1> {MASK}", text)
    return text


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _masked_flag(match: re.Match[str]) -> str:
    # Where a secret stands is none.
    is_hidden = is_secret(match[2]) and not match[2].lower().endswith(("file", "path", "dir"))
    return f"{match[1]}{MASK}" if is_hidden else match[0]


def _masked_query_value(match: re.Match[str]) -> str:
    mark, name, value = match.groups()
    return f"{mark}{name}={MASK if _has_word(name, _QUERY_WORDS) else value}"


def _without_named_values(text: str) -> str:
    """Hide what stands behind a secret's name and ``=`` or ``:``."""
    kept, position, start = [], 0, 0
    while (separator := _find_separator(text, start)) is not None:
        start = separator.end()
        if not is_secret(_name_before(text, separator.start())):
            continue
        # Looked at before the value is: else a line of many names would be read from each of them to its end.
        if (separator[0] == ":" and text.startswith("//", start)) or _match_mask(text, start):
            continue
        value = (separator[0] == ":" and _match_line(text, start)) or _match_value(text, start)
        if value:
            kept.append(text[position:start] + value[0][: len(value[0]) - len(value[0].lstrip(" \t"))] + MASK)
            position = start = value.end()
    return "".join(kept) + text[position:] if kept else text


def _name_before(text: str, end: int) -> str:
    """Give the name that ends at a place, quotes and spaces left out; a host in a URL is none."""
    before = text[max(0, end - _NAME_LIMIT) : end].rstrip(" \t\"'\\")
    rest = before.rstrip(_NAME_CHARACTERS)
    return "" if rest.endswith(("//", "@")) else before[len(rest) :]
