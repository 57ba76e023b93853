# SPDX-License-Identifier: Apache-2.0
"""Decide what a merged exposition holds: which families in which order, under which name and type, and what must go.

Two families cannot both be written if they have a name in common, their own or that of a sample (a histogram ``x``
has ``x_count``): a type that differs between nodes is the plain case. Our own families stay, then those that most nodes
have, then those that come first; the rest is left out and named as a conflict.

OpenMetrics has more such names: a counter ``x_total`` is the family ``x`` and may have ``x_created``. So there
- the gauges ``x_created`` that nodes write beside each counter, histogram and summary ``x`` are left out: the format
  wants such a sample between those of its metric, nothing reads it, and newer nodes may have it switched off;
- a counter ``x_total`` beside another family ``x`` is written as family ``x_total`` of unknown type, samples unchanged;
- a gauge whose name ends in ``_total``, ``_count`` or the like stays a gauge: right while nothing else is ``x``.
Leaves the samples to ``merge``. Source: OpenMetrics 1.0, sections "MetricFamily" and "Suffixes".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from lmcache_frontend.exposition.blocks import Blocks
from lmcache_frontend.exposition.labels import excerpt
from lmcache_frontend.exposition.render import in_openmetrics, render_head

Key = tuple[str, str]  # name and type of a family, as nodes say them

_SUFFIXES = {
    "histogram": ("", "_bucket", "_sum", "_count"),
    "summary": ("", "_sum", "_count"),
}
_OPENMETRICS_SUFFIXES = {
    "counter": ("", "_total", "_created"),
    "histogram": ("", "_bucket", "_sum", "_count", "_created"),
    "summary": ("", "_sum", "_count", "_created"),
}


class Conflict(NamedTuple):
    """A family that was left out of a merge; ``nodes`` holds the labels of each node whose samples are missing."""

    name: str
    type: str
    kept_name: str
    kept_type: str
    nodes: tuple[tuple[tuple[str, str], ...], ...]

    @property
    def text(self) -> str:
        """The conflict in words, on one line, naming at most three nodes."""
        names = [excerpt("/".join(value for _, value in reversed(labels))) for labels in self.nodes]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return (
            f"{self.type} {self.name} of {', '.join(names[:3])}{more}: "
            f"it clashes with the {self.kept_type} {self.kept_name} that was there first or that more nodes have"
        )


class Entry(NamedTuple):
    """A family to be written: what it is in the blocks, and its HELP and TYPE lines."""

    key: Key
    head: bytes


class Group(NamedTuple):
    """Nodes of the same layout, and where each family is in it; whether families of our own are among them."""

    positions: dict[Key, int]
    members: list[Blocks]
    own: bool


class Plan(NamedTuple):
    """What a merge writes, in order, and what it leaves out."""

    entries: list[Entry]
    conflicts: list[Conflict]
    groups: list[Group]


class _Candidate(NamedTuple):
    key: Key
    said: str
    groups: list[Group]

    @property
    def weight(self) -> tuple[bool, int]:
        """Our own first, then the number of nodes."""
        return any(group.own for group in self.groups), sum(len(group.members) for group in self.groups)


def make_plan(blocks: Iterable[Blocks], families: Callable[[str], bool] | None, *, openmetrics: bool) -> Plan:
    """Plan a merge of these nodes, of the families that are asked for."""
    groups = _grouped(blocks)
    candidates = _candidates(groups)
    exposed = _exposed(list(candidates)) if openmetrics else {key: key for key in candidates}
    wanted = [
        candidate
        for key, candidate in candidates.items()
        if key in exposed and (families is None or families(candidate.key[0]))
    ]
    kept, conflicts = _elect(wanted, exposed, _OPENMETRICS_SUFFIXES if openmetrics else _SUFFIXES)
    entries = [
        Entry(candidate.key, render_head(*exposed[candidate.key], candidate.said, openmetrics=openmetrics))
        for candidate in wanted
        if candidate.key in kept
    ]
    return Plan(entries, conflicts, groups)


def _grouped(blocks: Iterable[Blocks]) -> list[Group]:
    """Gather nodes by table; tables are shared, and two that are equal but apart only make one group more."""
    members: dict[int, list[Blocks]] = {}
    for one in blocks:
        members.setdefault(id(one.heads), []).append(one)
    return [
        Group(
            {(head.name, head.type): position for position, head in enumerate(alike[0].heads)},
            alike,
            any(not one.labels for one in alike),
        )
        for alike in members.values()
    ]


def _candidates(groups: Sequence[Group]) -> dict[Key, _Candidate]:
    """Give each family with the first help text that any node has for it."""
    candidates: dict[Key, _Candidate] = {}
    for group in groups:
        for head in group.members[0].heads:
            key = (head.name, head.type)
            before = candidates.get(key)
            if before is None:
                candidates[key] = _Candidate(key, head.help, [group])
            else:
                before.groups.append(group)
                if not before.said and head.help:
                    candidates[key] = before._replace(said=head.help)
    return candidates


def _exposed(keys: Sequence[Key]) -> dict[Key, Key]:
    """Map each family to its name and type in OpenMetrics; one that is not there is left out by design."""
    named = [in_openmetrics(name, kind) for name, kind in keys]
    with_created = {name for name, kind in named if "_created" in _OPENMETRICS_SUFFIXES.get(kind, ())}
    exposed = {}
    for key, (name, kind) in zip(keys, named, strict=True):
        base, created, rest = key[0].rpartition("_created")
        if created and not rest and base in with_created and key[1] in ("gauge", "untyped"):
            continue
        exposed[key] = (name, kind)
    plain = {key[0] for key in exposed}
    for key, (name, kind) in exposed.items():
        if kind == "counter" and name in plain:
            exposed[key] = (key[0], "unknown")
    return exposed


def _elect(
    candidates: Sequence[_Candidate], exposed: dict[Key, Key], suffixes: dict[str, tuple[str, ...]]
) -> tuple[set[Key], list[Conflict]]:
    """Choose families without a name in common."""
    kept: set[Key] = set()
    owners: dict[str, Key] = {}
    conflicts: list[Conflict] = []
    for candidate in sorted(candidates, key=lambda candidate: candidate.weight, reverse=True):
        name, kind = exposed[candidate.key]
        names = [name + suffix for suffix in suffixes.get(kind, ("",))]
        owner = next((owners[taken] for taken in names if taken in owners), None)
        if owner is None:
            kept.add(candidate.key)
            owners.update(dict.fromkeys(names, candidate.key))
        else:
            nodes = tuple(blocks.labels for group in candidate.groups for blocks in group.members)
            conflicts.append(Conflict(*candidate.key, *owner, nodes))
    return kept, conflicts
