# SPDX-License-Identifier: Apache-2.0
"""The texts that nodes answer with, in the shapes of ``/api/nodes/{name}/{item}``. Pure.

Every function takes a text and gives strict JSON, or raises ValueError with the reason in words.
"""

from __future__ import annotations

import math
from typing import Any

from lmcache_frontend.cluster.adapters.answers import one_line
from lmcache_frontend.cluster.adapters.grammars import parse_lenient_json, parse_loggers, parse_threads
from lmcache_frontend.exposition.parse import Sample, parse

VERSION_LIMIT = 100


def version(text: str) -> str:
    """Read a version, which is a JSON string."""
    value = parse_lenient_json(text).value
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a version in quotes")
    return one_line(value, VERSION_LIMIT)


def frontend_version(text: str) -> str:
    """Read the version in a frontend's words on its client."""
    value = document(text).get("version")
    if not isinstance(value, str) or not value:
        raise ValueError("it holds no version")
    return one_line(value, VERSION_LIMIT)


def document(text: str) -> dict[str, Any]:
    """Read a JSON object."""
    value = parse_lenient_json(text).value
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {_name_of(value)}")
    return value


def configuration(text: str) -> dict[str, Any]:
    """Read a configuration as ``{"values", "infinite"}``, the latter naming the keys that hold no finite number."""
    lenient = parse_lenient_json(text)
    if not isinstance(lenient.value, dict):
        raise ValueError(f"expected a JSON object, got {_name_of(lenient.value)}")
    return {"values": lenient.value, "infinite": lenient.infinite}


def threads(text: str) -> dict[str, Any]:
    """Read a thread dump as ``{"threads", "total"}``."""
    dump = parse_threads(text)
    if not dump.threads and dump.total is None:
        raise ValueError("no thread dump: it has neither threads nor a summary")
    return {"threads": dump.threads, "total": len(dump.threads) if dump.total is None else dump.total}


def loggers(text: str) -> dict[str, Any]:
    """Read a list of loggers as ``{"loggers"}``."""
    return {"loggers": parse_loggers(text)}


def metrics(text: str) -> dict[str, Any]:
    """Read an exposition as ``{"families", "faults", "dropped"}``; ``faults`` are the first broken lines in words."""
    parsed = parse(text)
    if parsed.dropped and not any(family.samples for family in parsed.families.values()):
        raise ValueError(f"no metrics: {parsed.faults[0] if parsed.faults else 'no line of them'}")
    families = [
        {
            "name": family.name,
            "type": family.type,
            "help": family.help,
            "samples": [_sample(sample) for sample in family.samples],
        }
        for family in parsed.families.values()
    ]
    return {"families": families, "faults": list(parsed.faults), "dropped": parsed.dropped}


def _sample(sample: Sample) -> dict[str, Any]:
    return {"name": sample.name, "labels": dict(sample.labels), "value": _finite(sample.value)}


def _finite(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _name_of(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
