# SPDX-License-Identifier: Apache-2.0
"""What the rules come to for one worker, and why. Pure.

Rules are taken in order and the later one wins a setting; the objects of ``extra_config`` are merged by their top
keys, as LMCache merges them. One rule that denies is enough, wherever it stands.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

from lmcache_frontend.remote_config.matching import Facts, match_rule
from lmcache_frontend.remote_config.rules import Item, Rules
from lmcache_frontend.remote_config.values import compact, equal, object_of

MERGED_KEY = "extra_config"


class Evaluation(NamedTuple):
    """What a worker gets, and the reasons.

    ``configs`` is the list of the answer and empty where a rule denies it. ``explain`` has for each setting
    ``{"key", "rule", "value", "override", "lost": [{"rule", "value"}]}``, and ``merged`` of the same form where several
    rules make up the value. ``unmatched`` has ``{"rule", "why"}``, ``unknown`` the names of the rules of which it is
    not known whether they are for this worker, and ``doubts`` why as ``{"rule", "why"}``.
    """

    configs: list[dict[str, Any]]
    denied_by: str | None
    explain: list[dict[str, Any]]
    unmatched: list[dict[str, Any]]
    unknown: list[str]
    doubts: list[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """Give all of it as JSON has it."""
        return self._asdict()


def evaluate(rules: Rules, facts: Facts) -> Evaluation:
    """Find what the rules give a worker; a rule of which that is not known gives nothing."""
    settings: dict[str, _Setting] = {}
    unmatched: list[dict[str, Any]] = []
    doubts: list[dict[str, Any]] = []
    denied_by: str | None = None
    for rule in rules:
        answer = match_rule(rule, facts)
        if not answer.holds:
            (unmatched if answer.holds is False else doubts).append({"rule": rule.name, "why": answer.why})
        elif rule.deny:
            denied_by = denied_by or rule.name
        else:
            for item in rule.items:
                settings.setdefault(item.key, _Setting(item.key)).put(rule.name, item)
    found = [] if denied_by is not None else list(settings.values())
    return Evaluation(
        [setting.config() for setting in found],
        denied_by,
        [setting.explain() for setting in found],
        unmatched,
        [doubt["rule"] for doubt in doubts],
        doubts,
    )


def answer_digest(evaluation: Evaluation) -> str:
    """Give what two evaluations have in common exactly if the worker is answered the same."""
    answer = {"configs": evaluation.configs, "denied": evaluation.denied_by is not None}
    return sha256(compact(answer, ordered=True).encode()).hexdigest()[:32]


class _Setting:
    """One setting while rules are put on top of each other: the parts that stand, and those that lost."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._override = True
        self._parts: list[tuple[str, Any]] = []
        self._lost: list[dict[str, Any]] = []

    def put(self, rule: str, item: Item) -> None:
        value = item.value
        self._override = item.override
        added = object_of(value) if self._key == MERGED_KEY else None
        standing = []
        for name, part in self._parts:
            held = object_of(part) if added is not None else None
            if held is None or added is None:
                self._lost.append({"rule": name, "value": part})
                continue
            lost = {key: old for key, old in held.items() if key in added and not equal(old, added[key])}
            kept = {key: old for key, old in held.items() if key not in added}
            if lost:
                self._lost.append({"rule": name, "value": lost})
            if kept:
                standing.append((name, kept))
        self._parts = [*standing, (rule, value if added is None else added)]

    def config(self) -> dict[str, Any]:
        return {"key": self._key, "value": self._value(), "override": self._override}

    def explain(self) -> dict[str, Any]:
        rule, _ = self._parts[-1]
        explanation = {"key": self._key, "rule": rule, "value": self._value(), "override": self._override}
        explanation["lost"] = self._lost
        if len(self._parts) > 1:
            explanation["merged"] = [{"rule": name, "value": part} for name, part in self._parts]
        return explanation

    def _value(self) -> Any:
        if len(self._parts) == 1:
            return self._parts[0][1]
        return {key: value for _, part in self._parts for key, value in part.items()}
