# SPDX-License-Identifier: Apache-2.0
"""The filter of the node table, in the page and in the API: words and ``state: kind: version: proxy: label:`` terms.

All terms must hold. A word is looked for in the name, the proxy, the address, the instance and the kind, without regard
to case. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.fleet.snapshot import NodeState

Matches = Callable[[NodeState], bool]


def parse_filter(text: str) -> Matches:
    """Read a filter.

    Raises: BadRequest for a term with an unknown name or without a value.
    """
    tests = [_term(word) for word in text.split()]
    return lambda state: all(test(state) for test in tests)


def _term(word: str) -> Matches:
    name, colon, value = word.partition(":")
    if not colon:
        return _containing(word.lower())
    if not value:
        raise BadRequest(f"the filter term {word[:40]!r} has no value")
    if name == "state":
        return lambda state: state.level.value == value
    if name == "kind":
        return lambda state: value in (state.kind, state.role)
    if name == "version":
        return lambda state: (state.version or "").startswith(value)
    if name == "proxy":
        return lambda state: state.proxy == value
    if name == "label":
        label, equals, wanted = value.partition("=")
        return lambda state: label in state.labels and (not equals or state.labels[label] == wanted)
    raise BadRequest(
        f"the filter term {word[:40]!r} is unknown, expected a word or state: kind: version: proxy: label:"
    )


def _containing(word: str) -> Matches:
    def matches(state: NodeState) -> bool:
        texts = (state.name, state.proxy, state.address, state.instance or "", state.kind)
        return any(word in text.lower() for text in texts)

    return matches
