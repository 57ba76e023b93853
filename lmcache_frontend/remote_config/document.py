# SPDX-License-Identifier: Apache-2.0
"""Read a document of rules, with the place of whatever is wrong in it, and write it back. Pure.

What is not understood is refused: a misspelt condition that was passed over would make a rule be for everybody. What
LMCache makes of the values is told by `lmcache_frontend.remote_config.findings`.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.remote_config.globs import PATTERN_LIMIT, Glob, compile_glob
from lmcache_frontend.remote_config.rules import (
    WHOLE_ROLLOUT,
    Condition,
    IpNetwork,
    Item,
    Match,
    Network,
    Operator,
    Rule,
    Rules,
)
from lmcache_frontend.remote_config.values import compact, number, shown, strict

MOST_RULES = 500
MOST_ITEMS = 200
MOST_CONDITIONS = 100
NAME_LIMIT = 128
DESCRIPTION_LIMIT = 2000
TEXT_LIMIT = 4096
VALUE_LIMIT_BYTES = 64 * 1024
VALUE_DEPTH_LIMIT = 16
# A revision is one value in the store, which takes 1 MiB; etcd takes 1.5 MiB with all that belongs to a request.
DOCUMENT_LIMIT_BYTES = 768 * 1024

# What our own answers have beside the rules: one of them can be given back as it came.
_PASSED_OVER = ("revision", "read_only", "parent", "at", "author", "message", "changes")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_has_control = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]").search
_is_plain_name = re.compile(r"[A-Za-z0-9_-]+").fullmatch


class _Questions(NamedTuple):
    """What may be asked, and what a bare value asks; a variable is always a text, a setting is any value."""

    operators: tuple[Operator, ...]
    bare: Operator
    texts_only: bool


_OF_ENVIRONMENT = _Questions((Operator.EQUALS, Operator.GLOB, Operator.PRESENT), Operator.GLOB, True)
_OF_CONFIG = _Questions((Operator.EQUALS, Operator.GLOB, Operator.AT_LEAST, Operator.AT_MOST), Operator.EQUALS, False)


def read_rules(document: Any) -> Rules:
    """Read ``{"rules": [...]}``; the fields that our own answers have beside the rules are passed over.

    Raises: BadRequest, with the path in the document, what was got and what was expected.
    """
    fields = _fields(document, "the document", ("rules",), _PASSED_OVER)
    if "rules" not in fields:
        raise BadRequest('the document has no rules, expected {"rules": [...]}')
    entries = _list(fields["rules"], "rules", MOST_RULES)
    rules = tuple(_read_rule(entry, f"rules[{position}]") for position, entry in enumerate(entries))
    places: dict[str, int] = {}
    for position, rule in enumerate(rules):
        first = places.setdefault(rule.name, position)
        if first != position:
            raise BadRequest(f"rules[{position}].name is {shown(rule.name)}, which rules[{first}] is called already")
    size = len(compact(write_rules(rules)))
    if size > DOCUMENT_LIMIT_BYTES:
        raise BadRequest(f"rules have {size} bytes together, at most {DOCUMENT_LIMIT_BYTES} are taken")
    return rules


def write_rules(rules: Rules) -> dict[str, Any]:
    """Give ``{"rules": [...]}`` with every field of a rule, and of its match what is given."""
    return {"rules": [write_rule(rule) for rule in rules]}


def write_rule(rule: Rule) -> dict[str, Any]:
    """Give one rule as it stands in a document."""
    return {
        "name": rule.name,
        "description": rule.description,
        "enabled": rule.enabled,
        "deny": rule.deny,
        "match": _write_match(rule.match),
        "items": [{"key": item.key, "value": item.value, "override": item.override} for item in rule.items],
    }


def _write_match(match: Match) -> dict[str, Any]:
    written = {
        "app_id": [glob.text for glob in match.app_id],
        "env": _write_conditions(match.environment, _OF_ENVIRONMENT.bare),
        "config": _write_conditions(match.config, _OF_CONFIG.bare),
        "client": [network.text for network in match.client],
        "rollout_percent": match.rollout_percent,
        "rollout_by": match.rollout_by,
    }
    return {name: part for name, part in written.items() if part not in ([], {}, None)}


def _write_conditions(conditions: tuple[Condition, ...], bare: Operator) -> dict[str, Any]:
    """Give ``{name: conditions}``, and the bare value where that says the same."""
    asked: dict[str, dict[str, Any]] = {}
    for condition in conditions:
        asked.setdefault(condition.name, {})[condition.operator.value] = _write_operand(condition)
    short = {name: operands.get(bare.value, {}) for name, operands in asked.items()}
    return {name: asked[name] if isinstance(value, dict) else value for name, value in short.items()}


def _write_operand(condition: Condition) -> Any:
    if condition.operator is Operator.EQUALS:
        return json.loads(condition.operand)
    return condition.operand.text if isinstance(condition.operand, Glob) else strict(condition.operand)


def _read_rule(entry: Any, path: str) -> Rule:
    fields = _fields(entry, path, ("name", "description", "enabled", "deny", "match", "items"))
    name = _text(fields.get("name"), f"{path}.name", NAME_LIMIT)
    if not name.strip() or _has_control(name):
        _refuse(f"{path}.name", name, "a text that is not empty and has no control characters")
    items = tuple(
        _read_item(item, f"{path}.items[{position}]")
        for position, item in enumerate(_list(fields.get("items", []), f"{path}.items", MOST_ITEMS))
    )
    places: dict[str, int] = {}
    for position, item in enumerate(items):
        first = places.setdefault(item.key, position)
        if first != position:
            raise BadRequest(f"{path}.items[{position}].key is {shown(item.key)}, which items[{first}] sets already")
    return Rule(
        name,
        _text(fields.get("description", ""), f"{path}.description", DESCRIPTION_LIMIT),
        _boolean(fields.get("enabled", True), f"{path}.enabled"),
        _boolean(fields.get("deny", False), f"{path}.deny"),
        _read_match(fields.get("match", {}), f"{path}.match"),
        items,
    )


def _read_item(entry: Any, path: str) -> Item:
    fields = _fields(entry, path, ("key", "value", "override"))
    key = _text(fields.get("key"), f"{path}.key", NAME_LIMIT)
    if not key or _has_control(key):
        _refuse(f"{path}.key", key, "the name of a setting")
    if "value" not in fields:
        raise BadRequest(f"{path} has no value; null is a value too")
    text = _json_text(fields["value"], f"{path}.value")
    return Item(key, text, _boolean(fields.get("override", True), f"{path}.override"))


def _read_match(entry: Any, path: str) -> Match:
    fields = _fields(entry, path, ("app_id", "env", "config", "client", "rollout_percent", "rollout_by"))
    percent = fields.get("rollout_percent")
    if "rollout_percent" in fields:
        percent = _percent(percent, f"{path}.rollout_percent")
    by = fields.get("rollout_by")
    if "rollout_by" in fields:
        _name(by, f"{path}.rollout_by", "the name of an environment variable")
        if percent is None:
            raise BadRequest(f"{path}.rollout_by is given without rollout_percent, which it belongs to")
    return Match(
        tuple(_glob(text, place) for text, place in _listed(fields, "app_id", path)),
        _conditions(fields["env"], f"{path}.env", _OF_ENVIRONMENT) if "env" in fields else (),
        _conditions(fields["config"], f"{path}.config", _OF_CONFIG) if "config" in fields else (),
        tuple(_network(text, place) for text, place in _listed(fields, "client", path)),
        percent,
        by,
    )


def _listed(fields: dict[str, Any], name: str, path: str) -> Iterator[tuple[Any, str]]:
    """Yield the entries of a list and their paths; one that is given and empty would be for nobody."""
    if name in fields:
        path = f"{path}.{name}"
        entries = _list(fields[name], path, MOST_CONDITIONS)
        if not entries:
            raise BadRequest(f"{path} is empty and would match nobody; leave it out to match everybody")
        for position, entry in enumerate(entries):
            yield entry, f"{path}[{position}]"


def _conditions(entry: Any, path: str, questions: _Questions) -> tuple[Condition, ...]:
    if not isinstance(entry, dict):
        _refuse(path, entry, "an object")
    if not entry:
        raise BadRequest(f"{path} is empty and would match everybody; leave it out if that is meant")
    if len(entry) > MOST_CONDITIONS:
        raise BadRequest(f"{path} has {len(entry)} conditions, at most {MOST_CONDITIONS} are taken")
    by_word = {operator.value: operator for operator in questions.operators}
    found: list[Condition] = []
    for name, asked in entry.items():
        _name(name, f"a name in {path}", "a text")
        place = path + (f".{name}" if _is_plain_name(name) else f"[{shown(name)}]")
        if not isinstance(asked, dict):
            found.append(_condition(name, questions.bare, asked, place, texts_only=questions.texts_only))
            continue
        if len(asked) != 1 and asked.keys() != {"at_least", "at_most"}:
            raise BadRequest(f"{place} has {len(asked)} conditions, expected one of {', '.join(by_word)}")
        for word, operand in asked.items():
            if word not in by_word:
                _refuse(f"a condition in {place}", word, f"one of {', '.join(by_word)}")
            found.append(_condition(name, by_word[word], operand, f"{place}.{word}", texts_only=questions.texts_only))
    return tuple(found)


def _condition(name: str, operator: Operator, operand: Any, path: str, *, texts_only: bool) -> Condition:
    if operator is Operator.GLOB:
        return Condition(name, operator, _glob(operand, path))
    if operator is Operator.PRESENT:
        return Condition(name, operator, _boolean(operand, path))
    if operator is Operator.EQUALS:
        if texts_only:
            _text(operand, path, TEXT_LIMIT)
        return Condition(name, operator, _json_text(operand, path))
    bound = number(operand)
    if bound is None or math.isnan(bound):
        _refuse(path, operand, "a number")
    return Condition(name, operator, bound)


def _glob(value: Any, path: str) -> Glob:
    return compile_glob(_text(value, path, PATTERN_LIMIT))


def _network(value: Any, path: str) -> Network:
    expected = "a network such as 10.0.0.0/8, or an address"
    if not isinstance(value, str):
        _refuse(path, value, expected)
    try:
        network: IpNetwork = ipaddress.ip_network(value)
    except ValueError as exc:
        try:
            wide = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise BadRequest(f"{path} is {shown(value)}, expected {expected}") from exc
        raise BadRequest(f"{path} is {shown(value)}, which is an address within {wide}; expected {expected}") from exc
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        network = ipaddress.IPv4Network((int(mapped or 0), network.prefixlen - _MAPPED.prefixlen))
    return Network(value, network)


def _percent(value: Any, path: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= WHOLE_ROLLOUT:
        _refuse(path, value, "a number from 0 to 100")
    if abs(value * 100 - round(value * 100)) > 1e-6:
        _refuse(path, value, "steps of 0.01")
    percent: float = value
    return int(percent) if percent == int(percent) else percent


def _json_text(value: Any, path: str) -> str:
    _check_json(value, path, VALUE_DEPTH_LIMIT)
    text = compact(value)
    if len(text) > VALUE_LIMIT_BYTES:
        raise BadRequest(f"{path} has {len(text)} bytes as JSON, at most {VALUE_LIMIT_BYTES} are taken")
    return text


def _check_json(value: Any, path: str, depth: int) -> None:
    if isinstance(value, (dict, list)) and depth == 0:
        raise BadRequest(f"{path} nests deeper than {VALUE_DEPTH_LIMIT} levels")
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                _refuse(f"a key in {path}", key, "a text")
            _check_json(part, path, depth - 1)
    elif isinstance(value, list):
        for part in value:
            _check_json(part, path, depth - 1)
    elif not (value is None or isinstance(value, (str, int, float))):
        _refuse(path, value, "a value that JSON has")


def _fields(entry: Any, path: str, known: tuple[str, ...], passed_over: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(entry, dict):
        _refuse(path, entry, f"an object with {', '.join(known)}")
    for name in entry:
        if name not in known and name not in passed_over:
            raise BadRequest(f"{path} has a field {shown(name)}, expected one of {', '.join(known)}")
    fields: dict[str, Any] = entry
    return fields


def _list(value: Any, path: str, most: int) -> list[Any]:
    if not isinstance(value, list):
        _refuse(path, value, "a list")
    if len(value) > most:
        raise BadRequest(f"{path} has {len(value)} entries, at most {most} are taken")
    return list(value)


def _text(value: Any, path: str, limit: int) -> str:
    if not isinstance(value, str):
        _refuse(path, value, "a text")
    if len(value) > limit:
        raise BadRequest(f"{path} has {len(value)} characters, at most {limit} are taken")
    return str(value)


def _name(value: Any, path: str, expected: str) -> None:
    if not isinstance(value, str) or not value or len(value) > NAME_LIMIT or _has_control(value):
        _refuse(path, value, f"{expected}, of 1 to {NAME_LIMIT} characters")


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        _refuse(path, value, "true or false")
    return bool(value)


def _refuse(path: str, got: Any, expected: str) -> NoReturn:
    raise BadRequest(f"{path} is {shown(got)}, expected {expected}")
