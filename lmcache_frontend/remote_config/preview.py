# SPDX-License-Identifier: Apache-2.0
"""What a worker would get and make of it: the question read, and its answer as a document. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, NamedTuple

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.remote_config.application import apply
from lmcache_frontend.remote_config.catalogue import LATEST, catalogue
from lmcache_frontend.remote_config.document import read_rules
from lmcache_frontend.remote_config.evaluation import evaluate
from lmcache_frontend.remote_config.matching import Facts
from lmcache_frontend.remote_config.rules import Rules
from lmcache_frontend.remote_config.values import kind, number, shown, strict

_OF_WORKER = ("app_id", "env", "current_config", "client")
_FIELDS = (*_OF_WORKER, "client_id", "lmcache_version", "rules")


class Question(NamedTuple):
    """What is to be previewed: a worker that is described, or the id of a remembered one; other rules where given."""

    facts: Facts | None
    client_id: str
    version: str
    rules: Rules | None


def read_question(request: Mapping[str, Any]) -> Question:
    """Read what is asked.

    Raises: BadRequest, with the field, what was got and what was expected.
    """
    for name in request:
        if name not in _FIELDS:
            raise BadRequest(f"there is a field {shown(name)}, expected some of {', '.join(_FIELDS)}")
    version = _text(request, "lmcache_version", LATEST)
    rules = request.get("rules")
    read = None if rules is None else read_rules(rules if isinstance(rules, dict) else {"rules": rules})
    if "client_id" not in request:
        return Question(_facts(request), "", version, read)
    beside = [name for name in _OF_WORKER if name in request]
    if beside:
        raise BadRequest(f"client_id stands for a worker that asked, and {beside[0]} describes another")
    return Question(None, _text(request, "client_id", ""), version, read)


def preview_document(rules: Rules, facts: Facts, version: str) -> dict[str, Any]:
    """Give what the rules give a worker, why, and what LMCache of a version makes of it."""
    evaluation = evaluate(rules, facts)
    current = read_numbers(facts.config, version)
    rows = apply(evaluation.configs, current, user_set=None, version=version)
    document: dict[str, Any] = strict({**evaluation.document(), "result": [row._asdict() for row in rows]})
    return document


def read_numbers(config: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Give settings with those numbers as numbers that strict JSON has as texts."""
    known = catalogue(version)
    return {
        name: number(value) if isinstance(value, str) and _is_numeric(known, name, value) else value
        for name, value in config.items()
    }


def _is_numeric(known: Mapping[str, Any], name: str, value: str) -> bool:
    return name in known and known[name].converter == "float" and number(value) is not None


def _facts(request: Mapping[str, Any]) -> Facts:
    environment = _object(request, "env")
    for name, value in environment.items():
        if not isinstance(value, str):
            raise BadRequest(f"env.{name} is {shown(value)}, expected a text, as every variable is one")
    address = _text(request, "client", "")
    if address:
        try:
            ipaddress.ip_address(address.partition("%")[0])
        except ValueError as exc:
            raise BadRequest(f"client is {shown(address)}, expected an IP address") from exc
    return Facts(_text(request, "app_id", ""), environment, _object(request, "current_config"), address)


def _text(request: Mapping[str, Any], name: str, default: str) -> str:
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise BadRequest(f"{name} is {shown(value)}, expected a text")
    return value


def _object(request: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = request.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{name} is {kind(value)}, expected an object")
    return value
