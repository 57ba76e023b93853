# SPDX-License-Identifier: Apache-2.0
"""Ask PyYAML, in another interpreter, what it makes of texts, what it finds in them, and how it writes values."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple

# Values come back as ascii(): it tells 1 from 1.0 and True, and keeps the order of keys.
_PROGRAM = """
import json, sys
import yaml

def features(text):
    yield from (type(token).__name__ for token in yaml.scan(text, Loader=yaml.SafeLoader))
    pending, seen = [yaml.compose(text, Loader=yaml.SafeLoader)], set()
    while pending:
        node = pending.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node.tag.rpartition(":")[2]
        if isinstance(node, yaml.ScalarNode):
            yield "style " + str(node.style)
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value
        else:
            keys = [key for key, _ in node.value]
            yield from ("key " + key.tag.rpartition(":")[2] for key in keys)
            if len({str(key.value) for key in keys}) < len(keys):
                yield "duplicate key"
            pending += [part for pair in node.value for part in pair]

def answer(request):
    if "read" in request:
        return ascii(yaml.load(request["read"], Loader=yaml.SafeLoader))
    if "features" in request:
        return sorted(set(features(request["features"])))
    return yaml.dump(request["write"], Dumper=yaml.SafeDumper, sort_keys=False, **request["options"])

for line in sys.stdin:
    try:
        reply = {"result": answer(json.loads(line))}
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, LookupError, AttributeError) as exc:
        reply = {"error": " ".join(f"{type(exc).__name__}: {exc}".split())}
    print(json.dumps(reply))
"""


class Reading(NamedTuple):
    """What PyYAML makes of a text: the value as ``ascii`` gives it, or None and the error."""

    value: str | None
    error: str


def read(python: str, texts: Sequence[str]) -> list[Reading]:
    """Have texts read by ``SafeLoader``."""
    answers = _ask(python, [{"read": text} for text in texts])
    return [Reading(answer.get("result"), answer.get("error", "")) for answer in answers]


def features(python: str, texts: Sequence[str]) -> list[set[str]]:
    """Have the kinds of tokens, tags, styles and keys listed that stand in each text."""
    return [set(answer["result"]) for answer in _ask(python, [{"features": text} for text in texts])]


def write(python: str, values: Sequence[tuple[Any, dict[str, Any]]]) -> list[str]:
    """Have values written by ``SafeDumper``, each with its options."""
    answers = _ask(python, [{"write": value, "options": options} for value, options in values])
    return [answer["result"] for answer in answers]


def _ask(python: str, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    run = subprocess.run([python, "-c", _PROGRAM], input=lines, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers
