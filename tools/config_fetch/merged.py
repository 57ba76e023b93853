# SPDX-License-Identifier: Apache-2.0
"""A worker's local configuration and a server's items in one: what to show, and what to write for LMCache. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lmcache_frontend.remote_config.application import Row, apply, same
from lmcache_frontend.remote_config.catalogue import VARIABLE_PREFIX, Release, aliases, catalogue, release_of
from lmcache_frontend.remote_config.coerce import coerce
from lmcache_frontend.remote_config.local import Local, local_configuration
from lmcache_frontend.remote_config.yaml_subset import dump

ASKS_SINCE: Release = (0, 3, 13)
# From here on `requests` refuses what LMCache would send: pd_allocation_timeout_sec is infinite unless it is set.
FAILS_SINCE: Release = (0, 4, 5)
_SAFE_IN_VARIABLES = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.,:/@%+=")


class Sources(NamedTuple):
    """What a worker starts with: the mapping of its file, None without one, and its variables."""

    document: Mapping[Any, Any] | None
    environment: Mapping[str, str]
    version: str


class Merged(NamedTuple):
    """The outcome: local configuration, a row for each item, and what a file for LMCache is to hold."""

    local: Local
    rows: list[Row]
    written: dict[str, Any]

    @property
    def changed(self) -> int:
        """Count the keys that the server changes."""
        return len({row.key for row in self.rows if row.changed})


def merge(sources: Sources, configs: list[Any]) -> Merged:
    """Apply the items of an answer to what a worker starts with."""
    local = local_configuration(sources.document, sources.environment, version=sources.version)
    rows = apply(configs, local.values, user_set=local.user_set, version=sources.version)
    return Merged(local, rows, _written(sources, local, rows))


def _written(sources: Sources, local: Local, rows: list[Row]) -> dict[str, Any]:
    """Give what the file is to hold: the file's keys in their order, then those of variables, then the server's.

    A key that nothing has changed stays as it stands in the file; what this release does not know stays too, since
    another may.
    """
    release = release_of(sources.version)
    known = catalogue(sources.version)
    document = sources.document or {}
    in_file = local_configuration(document, {}, version=sources.version).values
    final = {**local.values, **{row.key: row.result for row in rows if row.changed}}
    result: dict[str, Any] = {}
    for name, value in document.items():
        key = aliases(release).get(name, name)
        is_untouched = key not in known or same(in_file[key], final[key])
        result[key] = value if is_untouched else final[key]
    for key in known:
        if key in local.user_set and key not in result:
            result[key] = final[key]
    for row in rows:
        if row.key in known and row.key not in result and _is_taken(row, sources.version):
            result[row.key] = final[row.key]
    return result


def _is_taken(row: Row, version: str) -> bool:
    return row.changed or same(row.result, coerce(row.key, row.remote, version=version).value)


def yaml_text(merged: Merged, head: str) -> str:
    """Give the file for LMCache; it has nothing in it that changes from one time to the next."""
    return f"# {head}\n" + (dump(merged.written) if merged.written else "{}\n")


def variable_lines(merged: Merged, version: str) -> Iterator[str]:
    """Yield ``LMCACHE_KEY=value`` lines, quoted for a shell, for Docker Compose and for systemd's EnvironmentFile.

    What a variable cannot say is a comment.
    """
    known = catalogue(version)
    for name, value in merged.written.items():
        if name not in known:
            continue
        variable = f"{VARIABLE_PREFIX}{name.upper()}"
        text = variable_text(value)
        read = {} if text is None else local_configuration({}, {variable: text}, version=version)._asdict()
        if text is None or not same(read["values"][name], _held(name, value, version)):
            yield f"# {variable}: {_kind(value)} has no form as a variable"
        else:
            yield f"{variable}={_quoted(text)}"


def _held(name: str, value: Any, version: str) -> Any:
    return local_configuration({name: value}, {}, version=version).values[name]


def variable_text(value: Any) -> str | None:
    """Give the text of a variable from which LMCache reads a value, None where there is none."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return None if any(isinstance(part, (list, dict)) for part in value) else ",".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value)
    text = str(value)
    # LMCache takes white space and quotes off, unless they are within quotes themselves.
    is_stripped = text != text.strip() or (len(text) > 1 and text[0] == text[-1] and text[0] in "'\"")
    return repr(text) if is_stripped else text


def _quoted(text: str) -> str:
    if text and _SAFE_IN_VARIABLES.issuperset(text):
        return text
    escaped = "".join(f"\\{character}" if character in '\\"$`' else character for character in text)
    return f'"{escaped}"'


def _kind(value: Any) -> str:
    """Give words for a value in a comment, which is one line whatever is in the value."""
    kinds = {type(None): "null", dict: "this object", list: "this list", str: "this text"}
    return kinds.get(type(value), "this value")


def infinite_keys(values: Mapping[str, Any]) -> list[str]:
    """Give the keys whose value strict JSON cannot hold."""
    return [name for name, value in values.items() if isinstance(value, float) and not math.isfinite(value)]
