# SPDX-License-Identifier: Apache-2.0
"""Whether a rule is for a worker: yes, no, or not known of one that is only remembered, with the reason. Pure.

Of a remembered worker few variables are kept and secrets are masked; whatever hangs on the rest is not known. A reason
never has the value of a variable in it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lmcache_frontend.masking import MASK, masked
from lmcache_frontend.remote_config.globs import Glob, matches
from lmcache_frontend.remote_config.rollout import SHARED_VARIABLES, STEPS, place, reaches
from lmcache_frontend.remote_config.rules import WHOLE_ROLLOUT, Condition, Match, Operator, Rule
from lmcache_frontend.remote_config.values import equal, number, shown

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Facts(NamedTuple):
    """What is known of a worker that asks.

    Of a ``partial`` one, what is not in ``environment`` and ``config`` is not known rather than absent, but for the
    variables that ``remembered`` would have kept, and for all settings where ``config_is_whole``.
    """

    app_id: str
    environment: Mapping[str, str]
    config: Mapping[str, Any]
    address: str
    partial: bool = False
    remembered: tuple[Glob, ...] = ()
    config_is_whole: bool = False


class Answer(NamedTuple):
    """Whether something holds, None where it is not known, and the reason where it does not simply hold."""

    holds: bool | None
    why: str = ""


class RolloutKey(NamedTuple):
    """The name that a worker goes by in rollouts, and where that is from; None where it is not known."""

    key: str | None
    source: str


_YES = Answer(True)


def match_rule(rule: Rule, facts: Facts) -> Answer:
    """Say whether a rule is for a worker: no if one part does not hold, whatever is not known of the others."""
    if not rule.enabled:
        return Answer(False, "the rule is disabled")
    doubt = _YES
    for answer in _parts(rule.match, facts):
        if answer.holds is False:
            return answer
        if answer.holds is None and doubt.holds:
            doubt = answer
    return doubt


def rollout_key(facts: Facts, by: str | None = None) -> RolloutKey:
    """Give the name that a worker shares with those of its engine: a variable that is not empty, else the address."""
    for name in (*(() if by is None else (by,)), *SHARED_VARIABLES):
        if _is_in_doubt(name, facts):
            return RolloutKey(None, name)
        if facts.environment.get(name):
            return RolloutKey(facts.environment[name], name)
    return RolloutKey(plain_address(facts.address), "the address")


def plain_address(address: str) -> str:
    """Give an address without a zone, an IPv4 one in its own form where it is mapped into IPv6."""
    parsed = _parse_address(address)
    return address if parsed is None else str(parsed)


def _parts(match: Match, facts: Facts) -> Iterator[Answer]:
    if match.app_id:
        yield _match_app_id(match.app_id, facts.app_id)
    for condition in match.environment:
        yield _match_variable(condition, facts)
    for condition in match.config:
        yield _match_setting(condition, facts)
    if match.client:
        yield _match_client(match, facts.address)
    if match.rollout_percent is not None and match.rollout_percent < WHOLE_ROLLOUT:
        yield _match_rollout(match.rollout_percent, rollout_key(facts, match.rollout_by), facts.app_id)


def _match_app_id(globs: tuple[Glob, ...], app_id: str) -> Answer:
    if any(matches(glob, app_id) for glob in globs):
        return _YES
    return Answer(False, f"app_id is {shown(app_id)}, not {' or '.join(glob.text for glob in globs[:5])}")


def _match_variable(condition: Condition, facts: Facts) -> Answer:
    name, operator, operand = condition
    value = facts.environment.get(name)
    if value is None and _is_in_doubt(name, facts):
        return Answer(None, f"the variable {name} is not kept")
    if operator is Operator.PRESENT:
        return _said((value is not None) is operand, f"the variable {name} is {'absent' if operand else 'present'}")
    if value is None:
        return Answer(False, f"the variable {name} is absent")
    if _is_in_doubt(name, facts):
        return Answer(None, f"the variable {name} is kept only masked")
    if operator is Operator.GLOB:
        return _said(matches(operand, value), f"the variable {name} does not match {_pattern(name, operand)}")
    return _said(value == json.loads(operand), f"the variable {name} has another value")


def _match_setting(condition: Condition, facts: Facts) -> Answer:
    name, operator, operand = condition
    if name not in facts.config:
        if facts.partial and not facts.config_is_whole:
            return Answer(None, f"the setting {name} is not kept")
        return Answer(False, f"there is no setting {name}")
    value = facts.config[name]
    if facts.partial and _has_mask(value):
        return Answer(None, f"the setting {name} is kept only masked")
    is_now = f"{name} is {shown(masked(name, value))}"
    if operator is Operator.EQUALS:
        return _said(equal(value, json.loads(operand)), f"{is_now}, not {shown(masked(name, json.loads(operand)))}")
    if operator is Operator.GLOB:
        fits = isinstance(value, str) and matches(operand, value)
        return _said(fits, f"{is_now}, which does not match {_pattern(name, operand)}")
    value = number(value)
    bound = "at least" if operator is Operator.AT_LEAST else "at most"
    fits = value is not None and (value >= operand if operator is Operator.AT_LEAST else value <= operand)
    return _said(fits, f"{is_now}, not {bound} {operand}")


def _pattern(name: str, glob: Glob) -> str:
    """Show what a value is compared with; without a wildcard it is the value itself."""
    return str(masked(name, glob.text))


def _match_client(match: Match, address: str) -> Answer:
    parsed = _parse_address(address)
    for network in match.client:
        if parsed is not None and parsed.version == network.network.version and parsed in network.network:
            return _YES
    networks = " or ".join(network.text for network in match.client[:5])
    return Answer(False, f"the address {plain_address(address) or 'is not known and so'} is not in {networks}")


def _match_rollout(percent: float, key: RolloutKey, app_id: str) -> Answer:
    if percent == 0:
        return Answer(False, "the rollout is at 0 %")
    if key.key is None:
        return Answer(None, f"the variable {key.source}, which the rollout goes by, is not kept")
    reached = place(app_id, key.key)
    why = f"the rollout is at {percent:g} %; by {key.source} this worker comes after {reached * 100 / STEPS:g} %"
    return _said(reaches(percent, reached), why)


def _said(holds: bool, why_not: str) -> Answer:
    return _YES if holds else Answer(False, why_not)


def _is_in_doubt(name: str, facts: Facts) -> bool:
    """Say whether the value of a variable is not known: it is not kept, or only masked."""
    if not facts.partial:
        return False
    if name in facts.environment:
        return MASK in facts.environment[name]
    return not any(matches(glob, name) for glob in facts.remembered)


def _has_mask(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_mask, value.values()))
    if isinstance(value, list):
        return any(map(_has_mask, value))
    return isinstance(value, str) and MASK in value


def _parse_address(address: str) -> IpAddress | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
