# SPDX-License-Identifier: Apache-2.0
"""A worker's own configuration: its file, with the ``LMCACHE_*`` variables on top, as LMCache reads them. Pure.

Leaves reading YAML to ``yaml_subset`` and what a server adds to ``application``. A variable and a file are read by
different rules: what cannot be converted is null from a file and is passed over from a variable, or stops LMCache.
Source: ``lmcache/v1/config.py`` and ``config_base.py``, 0.3.12 to 0.5.6; older ones are read alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lmcache_frontend.remote_config.catalogue import (
    LATEST,
    VARIABLE_PREFIX,
    Key,
    Release,
    aliases,
    catalogue,
    release_of,
    release_text,
)
from lmcache_frontend.remote_config.catalogue_keys import RENAMED
from lmcache_frontend.remote_config.coerce import expected, shown
from lmcache_frontend.remote_config.conversion import FAILURES, convert
from lmcache_frontend.remote_config.validation import Invalid, adjust, checks_file, checks_variables

# From here on an instance without a name makes one up once it has read its file, or else its variables.
_NAMES_ITSELF: Release = (0, 4, 3)
_STOPS = "LMCache does not start"


class Local(NamedTuple):
    """Every key with its value, defaults included, and the keys that file or environment set.

    ``notes`` tells what LMCache passes over or changes, ``failures`` what it does not start with: with one of those the
    values are what they would be without it.
    """

    values: dict[str, Any]
    user_set: frozenset[str]
    notes: list[str]
    failures: list[str]


class _Reading:
    """The configuration as far as it has been read."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.known = catalogue(release_text(release))
        self.values: dict[str, Any] = {name: key.default for name, key in self.known.items()}
        self.user_set: set[str] = set()
        self.notes: list[str] = []
        self.failures: list[str] = []

    def take(self, key: Key, value: Any) -> None:
        """Set a key as the user's."""
        self.values[key.name] = value
        self.user_set.add(key.name)

    def name(self) -> None:
        """Leave an empty name to be made up."""
        if self.release >= _NAMES_ITSELF and not self.values["lmcache_instance_id"]:
            self.values["lmcache_instance_id"] = None

    def resolve(self, given: Mapping[Any, Any], source: str) -> dict[str, Any]:
        """Give the values by the names of keys, and note the names that are none."""
        resolved = {}
        for name, value in given.items():
            key = aliases(self.release).get(name, name)
            if key in self.known:
                resolved[key] = value
                if key != name:
                    self.notes.append(f"{source}: {name} is an old name of {key}")
            else:
                place = f" ({RENAMED[name]} took its place)" if name in RENAMED else ""
                self.notes.append(f"{source}: {name} is no key of LMCache {release_text(self.release)}, ignored{place}")
        return resolved


def local_configuration(
    document: Mapping[Any, Any] | None, environment: Mapping[str, str], *, version: str = LATEST
) -> Local:
    """Give what LMCache of a version has before it asks a configuration server.

    ``document`` is the mapping of its YAML file, None without one: then it reads variables by the rules of a file. A
    ``lmcache_instance_id`` that is not set is null; LMCache 0.4.3 and later make one up.
    """
    reading = _Reading(release_of(version))
    if document is None:
        _read_variables(reading, environment, safely=True)
        reading.name()
    else:
        _read_file(reading, document)
        reading.name()
        _read_variables(reading, environment, safely=False)
    checked = checks_variables if document is None else checks_file
    if checked(reading.release):
        _adjust(reading)
    return Local(reading.values, frozenset(reading.user_set), reading.notes, reading.failures)


def unquoted(text: str) -> str:
    """Give the text of a variable as LMCache reads it: without white space, quotes and escapes around and in it."""
    text = text.strip()
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        return text
    # Not free to import, and seldom needed.
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            # Python warns of escapes that it does not know, and leaves them as they are.
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text[1:-1]
    return value if isinstance(value, str) else text


def _read_file(reading: _Reading, document: Mapping[Any, Any]) -> None:
    for name, value in reading.resolve(document, "file").items():
        _take_safely(reading, reading.known[name], value, "file")


def _read_variables(reading: _Reading, environment: Mapping[str, str], *, safely: bool) -> None:
    # The old names come last: LMCache prefers them.
    names = dict.fromkeys([*reading.known, *RENAMED])
    given = {name: environment.get(f"{VARIABLE_PREFIX}{name.upper()}") for name in names}
    resolved = reading.resolve({name: text for name, text in given.items() if text is not None}, "environment")
    for name, text in resolved.items():
        key = reading.known[name]
        if safely:
            _take_safely(reading, key, unquoted(text), key.variable)
        else:
            _take_on_top(reading, key, unquoted(text))


def _take_safely(reading: _Reading, key: Key, value: Any, source: str) -> None:
    """Set a key by the rules for a file: what cannot be converted is null, or stops LMCache."""
    try:
        held = convert(key, value)
    except FAILURES as exc:
        words = f"{source}: got {shown(key.name, value)} for {key.name}, expected {expected(key)}"
        if isinstance(exc, ValueError):
            reading.notes.append(f"{words}: LMCache sets it to null")
            reading.take(key, None)
        else:
            reading.failures.append(f"{words}: {_STOPS}")
        return
    reading.take(key, held)


def _take_on_top(reading: _Reading, key: Key, text: str) -> None:
    """Set a key by the rules for a variable beside a file: what cannot be converted is passed over."""
    if not key.converter:
        # 0.4.2 to 0.5.2 look for the converter of two keys that have none.
        reading.failures.append(f"{key.variable}: LMCache {release_text(reading.release)} cannot read it: {_STOPS}")
        return
    try:
        reading.take(key, convert(key, text))
    except FAILURES as exc:
        words = f"{key.variable}: got {shown(key.name, text)}, expected {expected(key)}"
        if isinstance(exc, ValueError):
            reading.notes.append(f"{words}: LMCache passes over it")
        else:
            reading.failures.append(f"{words}: {_STOPS}")


def _adjust(reading: _Reading) -> None:
    try:
        changed = adjust(reading.values, reading.user_set, reading.release)
    except Invalid as exc:
        reading.failures.append(f"{exc}: {_STOPS}")
        return
    for name, value in changed.items():
        reading.notes.append(f"LMCache sets {name} to {shown(name, value)} because of the other settings")
        reading.values[name] = value
