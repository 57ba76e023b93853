# SPDX-License-Identifier: Apache-2.0
"""What differs between two lists of rules. Pure.

Rules are known by their names. Places count, since later rules win: a rule that has changed its place among the others
has moved, and as few as possible are said to have.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from lmcache_frontend.remote_config.document import write_rule
from lmcache_frontend.remote_config.rules import Rule, Rules
from lmcache_frontend.remote_config.values import compact


def differences(before: Rules, after: Rules) -> list[dict[str, Any]]:
    """Give ``[{"op", "rule", "before", "after"}]``: first what was removed, then the rest in the order of ``after``.

    ``before`` and ``after`` are the rule as it stands in the document, null where it is not there; of a rule that moved
    they are its places, counted from 0.
    """
    old = {rule.name: rule for rule in before}
    new = {rule.name: rule for rule in after}
    found = [_difference("removed", rule.name, write_rule(rule), None) for rule in before if rule.name not in new]
    old_places = {rule.name: place for place, rule in enumerate(before)}
    moved = _moved([(rule.name, old_places[rule.name]) for rule in after if rule.name in old])
    for place, rule in enumerate(after):
        if rule.name not in old:
            found.append(_difference("added", rule.name, None, write_rule(rule)))
            continue
        if not is_same(old[rule.name], rule):
            found.append(_difference("changed", rule.name, write_rule(old[rule.name]), write_rule(rule)))
        if rule.name in moved:
            found.append(_difference("moved", rule.name, old_places[rule.name], place))
    return found


def is_same(one: Rule, other: Rule) -> bool:
    """Say whether two rules are written the same, but for the order of what has none."""
    return compact(write_rule(one), ordered=True) == compact(write_rule(other), ordered=True)


def _difference(operation: str, rule: str, before: Any, after: Any) -> dict[str, Any]:
    return {"op": operation, "rule": rule, "before": before, "after": after}


def _moved(places: list[tuple[str, int]]) -> set[str]:
    """Give the names that are not in the longest row of rules that have kept their order."""
    tails: list[int] = []
    ends: list[int] = []
    earlier: list[int] = []
    for position, (_, place) in enumerate(places):
        length = bisect_left(tails, place)
        earlier.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [place]
        ends[length : length + 1] = [position]
    position = ends[-1] if ends else -1
    kept = set()
    while position >= 0:
        kept.add(places[position][0])
        position = earlier[position]
    return {name for name, _ in places} - kept
