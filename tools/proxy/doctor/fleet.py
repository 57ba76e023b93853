# SPDX-License-Identifier: Apache-2.0
"""All checks of ``doctor`` together, and those on what nodes have in common. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lmcache_frontend.cluster.adapters.kinds import release_of

from .cache import (
    check_failures,
    check_metrics,
    check_prompts,
    check_remote_configuration,
    check_switches,
    check_tier,
)
from .facts import IN_PROCESS, SEVERITIES, WARNING, Finding, FleetFacts, NodeFacts
from .reach import check_address, check_kind, check_name, check_port, check_ports, check_reach, check_version

_NAMES_SHOWN = 3
_VALUE_CHARACTERS = 40

NODE_CHECKS: tuple[Callable[[NodeFacts, FleetFacts], Iterator[Finding]], ...] = (
    check_reach,
    check_address,
    check_kind,
    check_port,
    check_name,
    check_version,
    check_remote_configuration,
    check_metrics,
    check_prompts,
    check_switches,
    check_tier,
    check_failures,
)


def findings(fleet: FleetFacts) -> list[Finding]:
    """Give all that is wrong, the worst first."""
    found = [finding for node in fleet.nodes for check in NODE_CHECKS for finding in check(node, fleet)]
    found += [finding for check in FLEET_CHECKS for finding in check(fleet)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def check_versions(fleet: FleetFacts) -> Iterator[Finding]:
    """Find several releases of LMCache side by side."""
    by_version: dict[str, list[str]] = {}
    for node in fleet.nodes:
        if node.is_reached and node.version and release_of(node.version) and node.kind != "frontend":
            by_version.setdefault(node.version, []).append(node.name)
    if len(by_version) > 1:
        said = "; ".join(f"{version} on {_named(names)}" for version, names in _largest_first(by_version))
        advice = "run one release: others may hash and lay out chunks differently, and then share nothing"
        yield Finding(WARNING, None, "versions", f"several versions of LMCache run: {said}", advice)


def check_drift(fleet: FleetFacts) -> Iterator[Finding]:
    """Find settings that differ between nodes of a kind."""
    known = {node.name for node in fleet.nodes}
    for group in (fleet.drift or {}).get("groups", ()):
        for entry in group["keys"]:
            values = [(value["value"], value["nodes"]) for value in entry["values"]]
            # The values that most nodes have come first: whoever has another is told of.
            if known.intersection(name for _, names in values[1:] for name in names):
                said = "; ".join(f"{_shown(value)} on {_named(names)}" for value, names in values)
                advice = _drift_advice(str(group["kind"]), str(entry["key"]))
                yield Finding(WARNING, None, "drift", f"{entry['key']} differs: {said}", advice)


def _drift_advice(kind: str, key: str) -> str:
    advice = "if that is not meant, start them all with the same value"
    if kind not in IN_PROCESS:
        return f"{advice}: it cannot be changed while they run"
    return f"{advice}; until then: `lmcache-proxy conf kind:{kind} {key}=VALUE`"


FLEET_CHECKS: tuple[Callable[[FleetFacts], Iterator[Finding]], ...] = (check_ports, check_versions, check_drift)


def _largest_first(groups: Mapping[str, Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= _NAMES_SHOWN else f"{len(names)} nodes"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 3] + "..."
