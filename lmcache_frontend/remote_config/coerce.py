# SPDX-License-Identifier: Apache-2.0
"""What LMCache makes of a value that a configuration server gives for a key, and whether that is a surprise. Pure.

Leaves what an ``override`` does with it to ``application``. Source: ``validate_and_set_config_value`` in
``lmcache/v1/config_base.py``: 0.3.13 stores values as they come, 0.3.14 to 0.5.6 convert them first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from lmcache_frontend.masking import masked
from lmcache_frontend.remote_config.catalogue import (
    LATEST,
    Key,
    Release,
    catalogue,
    is_attribute,
    release_of,
    release_text,
)
from lmcache_frontend.remote_config.catalogue_keys import RENAMED
from lmcache_frontend.remote_config.conversion import FAILURES, convert, read_object

FETCHES: Release = (0, 3, 13)
CONVERTS: Release = (0, 3, 14)

_SHOWN_CHARACTERS = 60
_FALSE_WORDS = frozenset({"false", "0", "no", "off"})

_EXPECTED = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "list[int]": "a list of integers, or a text with commas between them",
    "list[float]": "a list of numbers, or a text with commas between them",
    "list[str]": "a list of texts, or one text with commas between them",
    "dict": "an object",
}
_EXPECTED_BY_CONVERTER = {
    "str->[str]": "a list of texts, or one text",
    "path": "a path",
    "path-list": "one or more paths with commas between them, or null",
    "json-object": "an object, or a text that is one in JSON",
    "enum": "prefix_strict or skip_missing_chunks",
}
_HINTS = {
    "bool": "; only true and 1 are true",
    "str->[str]": "; a text is one location, whatever is in it",
    "list[str]": "; brackets do not make a list of a text",
    "json-object": ", and may fail when it expects an object",
}


class Severity(Enum):
    """How bad a value is: accepted as meant, accepted as something else, refused, or for no key of that release."""

    FINE = "fine"
    SURPRISE = "surprise"
    ERROR = "error"
    UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """What LMCache will hold (None where it refuses), and what to tell: nothing where all is fine."""

    severity: Severity
    value: Any
    text: str


def coerce(key: str, value: Any, *, version: str = LATEST) -> Verdict:
    """Give what LMCache of a version makes of a value as a remote item's, or as one that is posted to ``/conf``.

    The value is as JSON has it. Nothing secret is in the text. An error is a value that LMCache refuses, and a name
    that breaks its configuration object; null is accepted for every key.
    """
    release = release_of(version)
    known = catalogue(version).get(key)
    if known is None:
        return _unknown(key, value, release)
    try:
        held = taken(known, value, release)
    except FAILURES:
        return Verdict(Severity.ERROR, None, f"got {shown(key, value)}, expected {expected(known)}: LMCache refuses it")
    text = _surprise(known, value, held, release)
    return Verdict(Severity.SURPRISE if text else Severity.FINE, held, text)


def taken(key: Key, value: Any, release: Release) -> Any:
    """Give the value that LMCache stores for a remote item.

    Raises: one of ``conversion.FAILURES`` where it refuses the item.
    """
    if release >= FETCHES and key.converter == "json-object":
        return read_object(value)
    if FETCHES <= release < CONVERTS:
        return value
    held = convert(key, value)
    if held is None and value is not None and release >= FETCHES:
        raise ValueError("nothing is left of it")
    return held


def expected(key: Key) -> str:
    """Give the words for what a key takes."""
    return _EXPECTED_BY_CONVERTER.get(key.converter) or _EXPECTED[key.type.removesuffix("?")]


def shown(name: str, value: Any) -> str:
    """Give a value as JSON, for a message: secrets hidden, and cut where it is long."""
    hidden = masked(name, value)
    if name == "extra_config" and isinstance(value, str) and value:
        # It may hold secrets, and cannot be looked through where it is no JSON.
        return "a text"
    try:
        text = json.dumps(hidden, ensure_ascii=False, default=str)
    except ValueError:
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def _unknown(key: str, value: Any, release: Release) -> Verdict:
    text = release_text(release)
    if is_attribute(key):
        words = f"no key, but a part of LMCache's configuration object: LMCache {text} overwrites it and may fail"
        return Verdict(Severity.ERROR, value, words)
    words = f"LMCache {text} has no such key and ignores it"
    newest = catalogue(LATEST)
    if key in newest:
        words += f" ({newest[key].since} and later have it)"
    elif key in RENAMED:
        words += f" ({RENAMED[key]} took its place)"
    else:
        # Rarely needed, and not free to import.
        from difflib import get_close_matches

        names = catalogue(text)
        words += "".join(f"; perhaps {name} is meant" for name in get_close_matches(key[:80], names, 1))
    return Verdict(Severity.UNKNOWN, None, words)


def _surprise(key: Key, value: Any, held: Any, release: Release) -> str:
    """Say what is odd about a value that is accepted; empty where nothing is."""
    kept_raw = not key.converter or (FETCHES <= release < CONVERTS and key.converter != "json-object")
    if value is None:
        meant = key.default is None or key.type.endswith("?")
    elif kept_raw:
        meant = _IS_OF_TYPE[key.type.removesuffix("?")](value) and not str(value).startswith("file://")
    else:
        meant = _MEANT[key.converter](value, held)
    if meant:
        return ""
    if held is value or kept_raw:
        return f"got {shown(key.name, value)}, expected {expected(key)}: LMCache takes it as it is and may fail"
    hint = "" if held is None else _HINTS.get(key.converter, "")
    return f"got {shown(key.name, value)}, of which LMCache makes {shown(key.name, held)}{hint}"


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_list_of(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(kind(item) for item in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


# What is right for a type, where LMCache converts nothing.
_IS_OF_TYPE: Mapping[str, Callable[[Any], bool]] = {
    "int": _is_integer,
    "float": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "str": _is_text,
    "list[int]": _is_list_of(_is_integer),
    "list[float]": _is_list_of(_is_number),
    "list[str]": _is_list_of(_is_text),
    "dict": lambda value: isinstance(value, dict),
}


def _integer_meant(value: Any, held: Any) -> bool:
    return isinstance(value, str) or (_is_number(value) and value == held)


def _number_meant(value: Any, held: Any) -> bool:
    return not math.isnan(held) and (isinstance(value, str) or (_is_number(value) and value == held))


def _boolean_meant(value: Any, held: Any) -> bool:
    return bool(
        held or value is False or str(value).strip().lower() in _FALSE_WORDS or (_is_number(value) and not value)
    )


def _list_meant(item_meant: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def meant(value: Any, held: Any) -> bool:
        if isinstance(value, list):
            return all(map(item_meant, value, held))
        # A text that nothing is in becomes an empty list, which is not null.
        return bool(held) and all(item_meant(item, item) for item in (held if isinstance(value, str) else [value]))

    return meant


def _texts_meant(value: Any, held: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_text, value))
    return bool(held) and not value.lstrip().startswith("[")


def _location_meant(value: Any, held: Any) -> bool:
    if not isinstance(value, (str, list)):
        return False
    return _texts_meant(value, held) and (isinstance(value, list) or "," not in value)


def _mode_meant(value: Any, held: Any) -> bool:
    letters = str(value).strip().lower().replace("-", "").replace("_", "")
    return bool(letters == held.replace("_", ""))


# Whether a value means what LMCache makes of it: the value, and what is made.
_MEANT: Mapping[str, Callable[[Any, Any], bool]] = {
    "int": _integer_meant,
    "float": _number_meant,
    "bool": _boolean_meant,
    "str": lambda value, held: isinstance(value, str) or _is_integer(value),
    "list[int]": _list_meant(_integer_meant),
    "list[float]": _list_meant(_number_meant),
    "list[str]": _texts_meant,
    "str->[str]": _location_meant,
    "path": lambda value, held: bool(held) and "," not in held and not held.startswith("file://"),
    "path-list": lambda value, held: isinstance(value, str) and bool(held),
    "json-object": lambda value, held: isinstance(held, dict),
    "enum": _mode_meant,
}
