# SPDX-License-Identifier: Apache-2.0
"""What the readings of one round make of a node's level, and what of the fleet there is to look at. Pure.

How a node itself says it is comes from `cluster.adapters`; here that meets what came of its metrics, and the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from lmcache_frontend.fleet.snapshot import NOT_ASKED, OK, Level, NodeState, Problem

TIER_FULL = 0.95
# A tier is at its watermark for as long as it is evicted a little below and filled again.
WATERMARK_MARGIN = 0.05

CRITICAL, WARNING, NOTICE = "critical", "warning", "notice"
_SEVERITIES = (CRITICAL, WARNING, NOTICE)
_NAMES_SHOWN = 3
_KEYS_SHOWN = 5
_VERSIONED = ("worker", "scheduler", "mp", "controller")
_FAILURES = {
    "failed_evictions_per_s": "evictions",
    "forced_unpins_per_s": "pins that timed out",
    "failed_gets_per_s": "gets",
    "failed_puts_per_s": "puts",
    "allocation_failures_per_s": "allocations",
    "read_failures_per_s": "reads",
    "prefetch_failures_per_s": "prefetches",
}


class Outcome(Enum):
    """What came of asking for metrics."""

    GOOD = "good"
    FAULTY = "faulty"
    OFF = "off"
    FAILED = "failed"


class Condition(NamedTuple):
    """A level, with the reasons for it in words."""

    level: Level
    reasons: tuple[str, ...]


def condition(said: Mapping[str, Any] | None, metrics: Outcome, metrics_reason: str | None) -> Condition:
    """Give a node's level out of its ``{"level", "reasons"}`` and of what came of its metrics.

    ``said`` is None where it was not understood.
    """
    level = Level(said["level"]) if said else Level.ANSWERING
    reasons = tuple(said["reasons"]) if said else ("health: not understood",)
    spoke = metrics in (Outcome.GOOD, Outcome.FAULTY)
    if level is Level.UNREACHABLE and spoke:
        level, reasons = Level.DEGRADED, tuple(f"health: {reason}" for reason in reasons)
    if metrics in (Outcome.FAULTY, Outcome.FAILED) and level not in (Level.UNREACHABLE, Level.ANSWERING):
        if level is not Level.DEGRADED:
            level, reasons = Level.DEGRADED, ()
        reasons = (*reasons, f"metrics: {metrics_reason}")
    return Condition(level, reasons)


def faults_in_words(faults: Sequence[str], dropped: int) -> str:
    """Say what was wrong with a body: the first fault, and how much was lost."""
    lines = f"{dropped} line{'' if dropped == 1 else 's'} dropped"
    return f"{faults[0]}, {lines}" if faults else lines


def problems(
    nodes: Mapping[str, NodeState], groups: Iterable[Mapping[str, Any]], before: Iterable[Problem], now: float
) -> tuple[Problem, ...]:
    """Give what there is to look at, the worst first.

    ``groups`` are those of `drift.drift`; ``before`` are the problems of the last time, from which those that are still
    there have their ``since``.
    """
    known = {(problem.node, problem.code): problem.since for problem in before}
    found = [*_of_nodes(nodes), *_of_versions(nodes), *_of_drift(groups)]
    dated = [
        problem if problem.since else problem._replace(since=known.get((problem.node, problem.code), now))
        for problem in found
    ]
    return tuple(sorted(dated, key=lambda problem: _SEVERITIES.index(problem.severity)))


def _of_nodes(nodes: Mapping[str, NodeState]) -> Iterator[Problem]:
    for key, state in nodes.items():
        if state.reasons == (NOT_ASKED,):
            continue
        reasons = "; ".join(state.reasons)
        if state.level is Level.UNREACHABLE:
            yield Problem(CRITICAL, key, f"unreachable: {reasons}", state.level_since, "unreachable")
        elif state.level is Level.ANSWERING:
            yield Problem(WARNING, key, reasons or "answers, but not as LMCache does", state.level_since, "answering")
        elif state.level is Level.DEGRADED:
            yield Problem(WARNING, key, f"degraded: {reasons}", state.level_since, "degraded")
        yield from _of_figures(key, state)


def _of_figures(key: str, state: NodeState) -> Iterator[Problem]:
    failures = _value(state, "failures_per_s")
    if failures:
        what = [words for name, words in _FAILURES.items() if _value(state, name)]
        said = f" ({', '.join(what)})" if what else ""
        yield Problem(WARNING, key, f"failures rising: {_a_minute(failures)}{said}", 0.0, "failures")
    drops = _value(state, "event_bus_drops_per_s")
    if drops:
        yield Problem(WARNING, key, f"the event bus drops events: {_a_minute(drops)}", 0.0, "event_bus")
    fill, evictions = _value(state, "cpu_fill"), _value(state, "evictions_per_s")
    watermark = _value(state, "l1_watermark")
    full_at = TIER_FULL if watermark is None else watermark - WATERMARK_MARGIN
    if evictions and fill is not None and fill >= full_at:
        tier = "L1" if state.kind == "mp" else "the CPU tier"
        text = f"{tier} is full ({fill:.0%}) and evicts: {_a_minute(evictions)}"
        yield Problem(NOTICE, key, text, 0.0, "tier_full")


def _of_versions(nodes: Mapping[str, NodeState]) -> Iterator[Problem]:
    by_version: dict[str, list[str]] = {}
    for key, state in nodes.items():
        if state.kind in _VERSIONED and state.version and state.level is not Level.UNREACHABLE:
            by_version.setdefault(state.version, []).append(key)
    if len(by_version) > 1:
        ordered = sorted(by_version.items(), key=lambda item: -len(item[1]))
        text = ", ".join(f"{version} on {_named(keys)}" for version, keys in ordered)
        yield Problem(WARNING, None, f"several versions of LMCache run: {text}", 0.0, "versions")


def _of_drift(groups: Iterable[Mapping[str, Any]]) -> Iterator[Problem]:
    for group in groups:
        keys = [entry["key"] for entry in group["keys"]]
        if keys:
            more = f" and {len(keys) - _KEYS_SHOWN} more" if len(keys) > _KEYS_SHOWN else ""
            text = f"configuration differs among {group['nodes']} {_plural(group['kind'])}: "
            yield Problem(WARNING, None, f"{text}{', '.join(keys[:_KEYS_SHOWN])}{more}", 0.0, f"drift_{group['kind']}")


def _value(state: NodeState, name: str) -> float | None:
    """Give a figure's value if it is of now."""
    figure = state.figures.get(name)
    return figure.value if figure is not None and figure.state == OK else None


def _a_minute(per_second: float) -> str:
    amount = per_second * 60
    # From 1000 on three digits would be written with an exponent.
    return f"{amount:.0f} a minute" if amount >= 100 else f"{amount:.3g} a minute"


def _named(keys: Sequence[str]) -> str:
    return ", ".join(keys) if len(keys) <= _NAMES_SHOWN else f"{len(keys)} nodes"


def _plural(kind: str) -> str:
    return {"mp": "MP servers"}.get(kind, f"{kind}s")
