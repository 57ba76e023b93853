# SPDX-License-Identifier: Apache-2.0
"""Read what the checks of ``doctor`` look at: through a frontend, or from one node without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from lmcache_frontend.cluster.adapters.answers import failure_words
from lmcache_frontend.cluster.adapters.kinds import Identity
from lmcache_frontend.errors import FrontendError, Unreachable

from ...exchange import TooLate
from ...frontend_client import ServerError
from ..frame import CommandContext
from ..progress import Bar
from ..reading import AT_ONCE, late_words, node_path, spread
from ..snapshots import key_in, read_figures, value_of
from .cache import SAMPLES
from .facts import FleetFacts, NodeFacts, Unchecked, Values

# What is read of each kind of node; of others there is nothing to know but how they are.
_ITEMS: Mapping[str, tuple[str, ...]] = {
    "worker": ("conf", "meta", "metrics", "inference", "env"),
    "scheduler": ("conf", "metrics", "env"),
    "mp": ("conf", "metrics", "status"),
}
_TARGETS: Mapping[str, tuple[str, ...]] = {"worker": ("/freeze/status", "/bypass/list")}
# Of an environment, which is full of secrets, these alone are kept.
_VARIABLES = ("PROMETHEUS_MULTIPROC_DIR",)
_NOT_ALLOWED = (401, 403)


class Read(NamedTuple):
    """What was read, and what could not be."""

    fleet: FleetFacts
    unchecked: tuple[Unchecked, ...]


class Said(NamedTuple):
    """What a node said of an item: ``data`` is None where it said nothing, ``reason`` is why that is a pity."""

    data: Any = None
    reason: str | None = None


Asker = Callable[[str], Said]


def read_fleet(context: CommandContext, names: Iterable[str] | None) -> Read:
    """Read the nodes of these names, or all, through the frontend.

    Raises: FrontendError where the frontend does not answer.
    """
    client = context.client
    document = client.get("/api/fleet")
    wanted = None if names is None else set(names)
    entries = [node for node in document["nodes"] if wanted is None or key_in(node) in wanted]
    bar = Bar(context.console.err, len(entries), quiet=context.console.quiet or len(entries) <= AT_ONCE)
    try:
        read = spread(lambda entry: _of_entry(context, entry), entries, tell=lambda done: bar.show(done, "looked at"))
    finally:
        bar.clear()
    unchecked = [missing for _, missed in read for missing in missed]
    drift, refusal = _asked(context, "/api/fleet/drift")
    if refusal:
        unchecked.append(Unchecked("fleet", "drift", refusal))
    rules, _ = _asked(context, "/api/config/rules")
    number = len(rules["rules"]) if isinstance(rules, Mapping) and isinstance(rules.get("rules"), list) else 0
    drift = drift if isinstance(drift, Mapping) else None
    nodes = tuple(facts for facts, _ in read)
    return Read(FleetFacts(nodes, drift, number, context.now()), tuple(unchecked))


def read_direct(context: CommandContext) -> Read:
    """Read the node of ``--direct``."""
    direct = context.direct
    assert direct is not None
    bare = NodeFacts(direct.name, direct.name, "unreachable")
    try:
        identity = direct.identify()
    except Unreachable as exc:
        reached = bare._replace(reasons=(failure_words(exc),))
        return Read(FleetFacts((reached,), now=context.now()), ())

    def ask_item(item: str) -> Said:
        return _said(direct.read(identity, item))

    def ask_target(target: str) -> Said:
        try:
            answer = direct.ask(target)
        except FrontendError as exc:
            return Said(None, str(exc))
        return _said_target(answer.head.status, answer.body)

    health = ask_item("health").data or {}
    known = bare._replace(**_identified(identity), level=health["level"], reasons=tuple(health["reasons"]))
    facts, unchecked = _of_node(known, ask_item, ask_target)
    return Read(FleetFacts((facts,), now=context.now()), tuple(unchecked))


def _identified(identity: Identity) -> dict[str, Any]:
    return {"kind": identity.kind.value, "version": identity.version}


def _of_entry(context: CommandContext, entry: Mapping[str, Any]) -> tuple[NodeFacts, list[Unchecked]]:
    name = key_in(entry)
    failures = value_of(read_figures(entry.get("figures") or {}), "failures_per_s")
    known = NodeFacts(
        name,
        str(entry.get("address") or ""),
        str(entry.get("level")),
        tuple(map(str, entry.get("reasons") or ())),
        str(entry.get("kind") or "unknown"),
        entry.get("version"),
        str(entry.get("proxy") or ""),
        failures_per_s=failures or 0.0,
    )
    if not known.is_reached:
        return known, []

    def ask_item(item: str) -> Said:
        try:
            return _said(context.client.get(node_path(name, item)))
        except ServerError as exc:
            return Said(None, _refusal(exc))

    def ask_target(target: str) -> Said:
        answer = context.client.request("GET", f"/proxy2/{quote(name, safe='')}{target}")
        return _said_target(answer.status, answer.body)

    late: set[str] = set()
    return _of_node(known, _patient(context, late, ask_item), _patient(context, late, ask_target))


def _patient(context: CommandContext, late: set[str], ask: Asker) -> Asker:
    """Ask no more once an answer of the node did not come in time; ``late`` is then no longer empty."""

    def ask_unless_late(what: str) -> Said:
        if not late:
            try:
                return ask(what)
            except TooLate:
                late.add(what)
        return Said(None, late_words(context))

    return ask_unless_late


def _of_node(known: NodeFacts, ask_item: Asker, ask_target: Asker) -> tuple[NodeFacts, list[Unchecked]]:
    items = {item: ask_item(item) for item in _ITEMS.get(known.kind, ())}
    targets = {target: ask_target(target) for target in _TARGETS.get(known.kind, ())}
    readings = [_samples(items["metrics"].data)] if "metrics" in items and items["metrics"].data else []
    if readings and not known.is_socket:
        # Another process may answer the second time; at a socket there is never more than one.
        again = ask_item("metrics").data
        readings += [_samples(again)] if again else []
    conf = _members(items, "conf")
    environment = _members(items, "env") or {}
    facts = known._replace(
        conf=(conf or {}).get("values"),
        infinite=tuple((conf or {}).get("infinite") or ()),
        meta=_members(items, "meta"),
        inference=_members(items, "inference"),
        status=_members(items, "status"),
        environment={name: environment[name] for name in _VARIABLES if name in environment},
        freeze=_members(targets, "/freeze/status"),
        bypass=_members(targets, "/bypass/list"),
        metrics=tuple(readings),
    )
    asked = {**items, **targets}
    missed = [Unchecked(known.name, name, said.reason) for name, said in asked.items() if said.reason is not None]
    return facts, missed


def _members(said: Mapping[str, Said], name: str) -> Values | None:
    data = said[name].data if name in said else None
    return data if isinstance(data, Mapping) else None


def _said(reading: Any) -> Said:
    """Take an item as it was read; what a node cannot say is no loss."""
    if not isinstance(reading, Mapping):
        return Said(None, "something else was answered")
    if reading.get("state") == "ok":
        return Said(reading.get("data"))
    failed = reading.get("state") == "failed"
    return Said(None, str(reading.get("reason")) if failed else None)


def _said_target(status: int, body: bytes) -> Said:
    """Take an answer; that a node has no such path, or no engine to tell of (503), is no loss."""
    if status in _NOT_ALLOWED:
        return Said(None, "that needs an operator")
    try:
        return Said(json.loads(body)) if status == 200 else Said()
    except ValueError:
        return Said(None, "something other than JSON was answered")


def _refusal(exc: ServerError) -> str:
    return "that needs an operator" if exc.status in _NOT_ALLOWED else str(exc)


def _asked(context: CommandContext, path: str) -> tuple[Any, str | None]:
    """Ask the frontend for what not every one has, and not everybody may read."""
    try:
        return context.client.get(path), None
    except ServerError as exc:
        return None, _refusal(exc)


def _samples(data: Any) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    """Take the samples that the checks look at, by their names; of a large fleet the others are too many to keep."""
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    families: Sequence[Mapping[str, Any]] = data["families"]
    for family in families:
        for sample in family["samples"]:
            value = sample["value"]
            if sample["name"] not in SAMPLES:
                continue
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found.setdefault(sample["name"], []).append((sample["labels"], float(value)))
    return found
