# SPDX-License-Identifier: Apache-2.0
"""What of the fleet there is to look at, in words: nodes that are not well, odd figures, and nodes unlike the others.

A tier that is full and evicts is at work, as caches are: it is a problem where what it drops was hardly there, or is
soon wanted again. Pure. How well a node is, comes from `health`; the differences of configurations, from `drift`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lmcache_frontend.fleet.examination import is_slow
from lmcache_frontend.fleet.snapshot import NO_TRAFFIC, NOT_ASKED, OK, Level, NodeState, Problem

TIER_FULL = 0.95
# A tier is at its watermark for as long as it is evicted a little below and filled again.
WATERMARK_MARGIN = 0.05
# Evicted after so little time, a chunk was hardly worth storing; wanted again so soon, it was evicted for want of room.
SHORT_LIFETIME_S = 10.0
SHORT_REUSE_GAP_S = 60.0
# A minute without a request may be chance.
IDLE_S = 120.0

CRITICAL, WARNING, NOTICE = "critical", "warning", "notice"
_SEVERITIES = (CRITICAL, WARNING, NOTICE)
_NAMES_SHOWN = 3
_KEYS_SHOWN = 5
_VERSIONED = ("worker", "scheduler", "mp", "controller")
_COUNTING = ("worker", "mp")
_FAILURES = {
    "failed_evictions_per_s": "evictions",
    "forced_unpins_per_s": "pins that timed out",
    "failed_gets_per_s": "gets",
    "failed_puts_per_s": "puts",
    "allocation_failures_per_s": "allocations",
    "read_failures_per_s": "reads",
    "prefetch_failures_per_s": "prefetches",
}

Group = Mapping[str, Any]


def problems(
    nodes: Mapping[str, NodeState], groups: Iterable[Group], before: Iterable[Problem], now: float
) -> tuple[Problem, ...]:
    """Give what there is to look at, the worst first.

    ``groups`` are those of `drift.drift`; ``before`` are the problems of the last time, from which those that are still
    there have their ``since``.
    """
    known = {(problem.node, problem.code): problem.since for problem in before}
    found = [*_of_nodes(nodes), *_of_the_idle(nodes, now), *_of_versions(nodes), *_of_drift(groups)]
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
            continue
        if state.level is Level.ANSWERING:
            yield Problem(WARNING, key, reasons or "answers, but not as LMCache does", state.level_since, "answering")
        elif state.level is Level.DEGRADED:
            yield Problem(WARNING, key, f"degraded: {reasons}", state.level_since, "degraded")
        yield from _of_what_was_asked(key, state)
        yield from _of_figures(key, state)
        yield from _of_the_tier(key, state)


def _of_what_was_asked(key: str, state: NodeState) -> Iterator[Problem]:
    """Tell of what a node said when its figures were odd; odd figures alone may be those of odd traffic."""
    why = ", ".join(state.remarks)
    if is_slow(state.scrape_seconds):
        text = f"answers slowly: {state.scrape_seconds:.1f} s for its metrics"
        yield Problem(WARNING, key, f"{text}; {why}" if why else text, 0.0, "slow")
    elif why:
        what = "stores nothing" if _value(state, "stores_per_s") == 0 else "finds nothing in its cache"
        lookups = _a_minute(_value(state, "lookups_per_s") or 0.0)
        yield Problem(WARNING, key, f"{what}, with lookups at {lookups}: {why}", 0.0, "switched_off")


def _of_figures(key: str, state: NodeState) -> Iterator[Problem]:
    failures = _value(state, "failures_per_s")
    if failures:
        what = [words for name, words in _FAILURES.items() if _value(state, name)]
        said = f" ({', '.join(what)})" if what else ""
        yield Problem(WARNING, key, f"failures rising: {_a_minute(failures)}{said}", 0.0, "failures")
    drops = _value(state, "event_bus_drops_per_s")
    if drops:
        yield Problem(WARNING, key, f"the event bus drops events: {_a_minute(drops)}", 0.0, "event_bus")


def _of_the_tier(key: str, state: NodeState) -> Iterator[Problem]:
    """Tell of a full tier that evicts what it should have kept."""
    fill, evictions = _value(state, "cpu_fill"), _value(state, "evictions_per_s")
    watermark = _value(state, "l1_watermark")
    full_at = TIER_FULL if watermark is None else watermark - WATERMARK_MARGIN
    if not evictions or fill is None or fill < full_at:
        return
    gap_s, lifetime_s = _value(state, "evict_reuse_gap_p50_s"), _value(state, "chunk_lifetime_p50_s")
    held = _value(state, "active_objects")
    if lifetime_s is None and held and state.kind == "worker":
        # As many come as go: what is held, by what goes in a second, is how long one of them stays.
        lifetime_s = held / evictions
    if gap_s is not None and gap_s < SHORT_REUSE_GAP_S:
        why = f"half of it is wanted again within {gap_s:.2g} s"
    elif lifetime_s is not None and lifetime_s < SHORT_LIFETIME_S:
        why = f"a chunk stays for {lifetime_s:.2g} s"
    else:
        return
    tier = "L1" if state.kind == "mp" else "the CPU tier"
    text = f"{tier} is full ({fill:.0%}) and too small: it evicts {_a_minute(evictions)}, {why}"
    yield Problem(WARNING, key, text, 0.0, "tier_full")


def _of_the_idle(nodes: Mapping[str, NodeState], now: float) -> Iterator[Problem]:
    """Tell of nodes without traffic where most of the others have some: of their instance, else of their kind."""
    counts: dict[tuple[str, str | None], tuple[int, int]] = {}
    counting = {key: state for key, state in nodes.items() if _counts_traffic(state)}
    for state in counting.values():
        for group in {(state.kind, state.instance), (state.kind, None)}:
            busy, all_of_them = counts.get(group, (0, 0))
            counts[group] = (busy + (state.idle_since is None), all_of_them + 1)
    for key, state in counting.items():
        if state.idle_since is None or now - state.idle_since < IDLE_S:
            continue
        busy, others = counts[(state.kind, state.instance)]
        where, severity = f" of {state.instance}", WARNING
        if others < 2 or state.instance is None:
            (busy, others), where, severity = counts[(state.kind, None)], "", NOTICE
        if 2 * busy >= others and busy:
            text = f"no traffic, while {busy} of {others - 1} other {_plural(state.kind)}{where} have some"
            yield Problem(severity, key, text, state.idle_since, "no_traffic")


def _counts_traffic(state: NodeState) -> bool:
    """Tell whether a node is there and has been watched for long enough to say that it has traffic, or none."""
    if state.kind not in _COUNTING or state.level in (Level.UNREACHABLE, Level.ANSWERING):
        return False
    return any(
        (figure := state.figures.get(name)) is not None
        and (figure.state == OK or (figure.state == NO_TRAFFIC and state.idle_since is not None))
        for name in ("lookups_per_s", "retrieves_per_s", "stores_per_s", "tokens_requested_per_s")
    )


def _of_versions(nodes: Mapping[str, NodeState]) -> Iterator[Problem]:
    by_version: dict[str, list[str]] = {}
    for key, state in nodes.items():
        if state.kind in _VERSIONED and state.version and state.level is not Level.UNREACHABLE:
            by_version.setdefault(state.version, []).append(key)
    if len(by_version) > 1:
        ordered = sorted(by_version.items(), key=lambda item: -len(item[1]))
        text = ", ".join(f"{version} on {_named(keys)}" for version, keys in ordered)
        odd = _if_few([key for _, keys in ordered[1:] for key in keys], sum(map(len, by_version.values())))
        node = odd[0] if len(odd) == 1 else None
        yield Problem(WARNING, node, f"several versions of LMCache run: {text}", 0.0, "versions", odd)


def _of_drift(groups: Iterable[Group]) -> Iterator[Problem]:
    for group in groups:
        of_nodes: dict[str, list[str]] = {}
        of_all = []
        for entry in group["keys"]:
            odd = _if_few([key for one in entry["values"][1:] for key in one["nodes"]], group["nodes"])
            for key in odd:
                of_nodes.setdefault(key, []).append(entry["key"])
            if not odd:
                of_all.append(entry["key"])
        for key, names in of_nodes.items():
            text = f"configuration differs from that of the other {_plural(group['kind'])}: {_listed(names)}"
            yield Problem(WARNING, key, text, 0.0, "drift", (key,))
        if of_all:
            text = f"configuration differs among {group['nodes']} {_plural(group['kind'])}: {_listed(of_all)}"
            yield Problem(WARNING, None, text, 0.0, f"drift_{group['kind']}")


def _if_few(odd: Sequence[str], of_all: int) -> tuple[str, ...]:
    """Give the nodes that are unlike the others, none where they are too many to be the odd ones."""
    return tuple(odd) if len(odd) <= _NAMES_SHOWN and 2 * len(odd) < of_all else ()


def _value(state: NodeState, name: str) -> float | None:
    """Give a figure's value if it is of now."""
    figure = state.figures.get(name)
    return figure.value if figure is not None and figure.state == OK else None


def _a_minute(per_second: float) -> str:
    a_minute = per_second * 60
    return f"{a_minute:,.0f} a minute" if a_minute >= 100 else f"{a_minute:.3g} a minute"


def _named(keys: Sequence[str]) -> str:
    return ", ".join(keys) if len(keys) <= _NAMES_SHOWN else f"{len(keys)} nodes"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _KEYS_SHOWN} more" if len(names) > _KEYS_SHOWN else ""
    return f"{', '.join(names[:_KEYS_SHOWN])}{more}"


def _plural(kind: str) -> str:
    return {"mp": "MP servers"}.get(kind, f"{kind}s")
