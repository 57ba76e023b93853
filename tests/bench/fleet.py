# SPDX-License-Identifier: Apache-2.0
"""The rows of the fleet: what it costs to watch 10, 100 and 1,000 simulated nodes, and to say how they are.

The nodes are those of `--demo`, in a process of their own. Leaves processes to `processes`, the table to `report`.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.bench.processes import (
    HOST,
    Command,
    MeasureError,
    Running,
    cpu_s,
    fetch,
    free_port,
    memory,
    service_environment,
    started,
)
from tests.bench.report import Budget, Line
from tests.bench.rows import Plan

_SIZES = (10, 100, 1000)
_INTERVAL_S = 10.0
# The nodes' own process asks them too, once and never again.
_NEVER_S = 86400
# Counted in rounds: those after the start that do not count, and those without any request, of which the CPU counts.
_FIRST_ROUNDS = 1
_UNDISTURBED_ROUNDS = 3
# A machine that is busy otherwise takes longer to find all nodes.
_PATIENCE_ROUNDS = 12
# Nodes are asked in the first eight tenths of a round.
_BUSY_SHARE, _QUIET_SHARE = 0.4, 0.85
_TIMEOUT_S = 60.0
_KIB = 1024
_ROUND_FAMILY = "lmcache_frontend_collector_round_duration_seconds"
_ROUND = Budget(floor=_INTERVAL_S, goal=_INTERVAL_S, more_is_better=False, of_ratio=False)
_MERGE = Budget(floor=1.5, goal=0.7, more_is_better=False, of_ratio=False)
_FLAT = Budget(floor=1.2, goal=1.0, more_is_better=False, of_ratio=True)
_MEMORY = Budget(floor=64.0, goal=64.0, more_is_better=False, of_ratio=False)
_UNJUDGED = None


class Reply(NamedTuple):
    """How long a GET took until its last byte, and how much came."""

    elapsed_s: float
    body_bytes: int


class Sample(NamedTuple):
    """One round: what the service says of the last one, and requests between the questions to nodes and among them."""

    round_s: float
    quiet: Reply
    busy: Reply
    document: Reply


class Resident(NamedTuple):
    """Resident memory before any request, and in the end."""

    first_bytes: int
    last_bytes: int


class Measured(NamedTuple):
    """Everything of one size of fleet; ``unwell`` counts the nodes that are not healthy."""

    nodes: int
    round_cpu_s: float
    samples: tuple[Sample, ...]
    resident: Resident
    unwell: int


def fleet(plan: Plan) -> list[Line]:
    """10, 100 and 1,000 nodes: a round, the merged `/metrics`, `/api/fleet`, and resident memory a node."""
    empty = _resident_without_nodes(plan)
    measured = [_measure(plan, nodes) for nodes in _SIZES]
    lines: list[Line] = []
    for each in measured:
        found = _lines(each)
        # What any first node brings into memory is no figure of a node.
        found += _memory_lines(each, empty) if each.nodes > min(_SIZES) else []
        lines += [line._replace(ours_errors=each.unwell) for line in found]
    smallest, *_, largest = measured
    case = f"merged /metrics, a node: {largest.nodes:,} beside {smallest.nodes}"
    flat = Line(case, "ms a node", _FLAT, ours=_merge_ms_a_node(largest), peer=_merge_ms_a_node(smallest))
    return [*lines, flat._replace(note=f"peer: with {smallest.nodes} nodes")]


def _lines(measured: Measured) -> list[Line]:
    nodes, samples = measured.nodes, measured.samples
    quiet = tuple(sample.quiet.elapsed_s for sample in samples)
    merged_bytes = samples[-1].quiet.body_bytes
    document_bytes = samples[-1].document.body_bytes
    busy_s = median(sample.busy.elapsed_s for sample in samples)
    note = f"{merged_bytes / nodes / 1e3:.1f} KB a node; {busy_s:.3g} s while nodes are asked"
    name = f"{nodes:,} nodes"
    return [
        Line(f"{name}: a round", "s", _ROUND, ours=tuple(sample.round_s for sample in samples)),
        Line(f"{name}: CPU of a round", "s", _UNJUDGED, ours=(measured.round_cpu_s,)),
        Line(f"{name}: merged /metrics", "s", _MERGE, ours=quiet, note=note),
        Line(f"{name}: merged /metrics, size", "KB", _UNJUDGED, ours=(merged_bytes / 1e3,)),
        Line(f"{name}: /api/fleet", "s", _UNJUDGED, ours=tuple(sample.document.elapsed_s for sample in samples)),
        Line(f"{name}: /api/fleet, size", "KB", _UNJUDGED, ours=(document_bytes / 1e3,)),
    ]


def _memory_lines(measured: Measured, empty: Resident) -> list[Line]:
    name, nodes = f"{measured.nodes:,} nodes", measured.nodes
    grown = [(later - earlier) / nodes / _KIB for earlier, later in zip(empty, measured.resident, strict=True)]
    return [
        Line(f"{name}: resident memory before requests", "KiB a node", _MEMORY, ours=(grown[0],)),
        Line(f"{name}: resident memory in the end", "KiB a node", _MEMORY, ours=(grown[1],)),
    ]


def _merge_ms_a_node(measured: Measured) -> tuple[float, ...]:
    return tuple(sample.quiet.elapsed_s * 1e3 / measured.nodes for sample in measured.samples)


def _measure(plan: Plan, nodes: int) -> Measured:
    with started(_demo_command(plan, nodes), plan.directory) as demo, _frontend(plan, _entries(demo)) as ours:
        _say(f"{nodes:,} nodes: {_FIRST_ROUNDS + _UNDISTURBED_ROUNDS} rounds without requests")
        _wait_for_share(_QUIET_SHARE, rounds=_FIRST_ROUNDS)
        before_s = cpu_s(ours.pid)
        _wait_for_share(_QUIET_SHARE, rounds=_UNDISTURBED_ROUNDS)
        round_cpu_s = (cpu_s(ours.pid) - before_s) / _UNDISTURBED_ROUNDS
        first_bytes = memory(ours.pid).resident_bytes
        # The first answer does not count.
        _get(ours.port, "/metrics")
        samples = []
        for number in range(1, plan.rounds + 1):
            _say(f"{nodes:,} nodes: round {number} of {plan.rounds}")
            samples.append(_sample(ours.port))
        resident = Resident(first_bytes, memory(ours.pid).resident_bytes)
        return Measured(nodes, round_cpu_s, tuple(samples), resident, _unwell(ours, nodes))


def _sample(port: int) -> Sample:
    _wait_for_share(_BUSY_SHARE)
    busy = _get(port, "/metrics")
    _wait_for_share(_QUIET_SHARE)
    quiet, document = _get(port, "/metrics"), _get(port, "/api/fleet")
    _, own = fetch(port, f"/metrics?node=none&family={_ROUND_FAMILY}")
    found = re.search(rf"^{_ROUND_FAMILY} (\S+)$", own.decode(), re.MULTILINE)
    if found is None:
        raise MeasureError(f"expected {_ROUND_FAMILY}, got {own[:80]!r}")
    return Sample(float(found[1]), quiet, busy, document)


def _resident_without_nodes(plan: Plan) -> Resident:
    with _frontend(plan, []) as ours:
        first_bytes = memory(ours.pid).resident_bytes
        for _ in range(plan.rounds):
            _get(ours.port, "/metrics")
            _get(ours.port, "/api/fleet")
        return Resident(first_bytes, memory(ours.pid).resident_bytes)


def _unwell(ours: Running, nodes: int) -> int:
    _, body = fetch(ours.port, "/api/fleet")
    levels = [node["level"] for node in json.loads(body)["nodes"]]
    return nodes - levels.count("healthy")


def _get(port: int, path: str) -> Reply:
    connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)
    try:
        begun = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body_bytes = 0
        while piece := answer.read(256 * _KIB):
            body_bytes += len(piece)
        if answer.status != http.client.OK:
            raise MeasureError(f"{path} answered {answer.status}, expected 200")
        return Reply(time.perf_counter() - begun, body_bytes)
    finally:
        connection.close()


@contextmanager
def frontend_with_demo(plan: Plan, nodes: int) -> Iterator[Running]:
    """Start our service with so many simulated nodes in another process, and wait until it has seen them all."""
    with started(_demo_command(plan, nodes), plan.directory) as demo, _frontend(plan, _entries(demo)) as ours:
        for _ in range(_PATIENCE_ROUNDS):
            _wait_for_share(_QUIET_SHARE)
            unwell = _unwell(ours, nodes)
            if not unwell:
                yield ours
                return
        raise MeasureError(f"{unwell} of {nodes} nodes are not healthy after {_PATIENCE_ROUNDS} rounds")


def _wait_for_share(share: float, rounds: int = 1) -> None:
    """Sleep until that share of a round is over, the next time or so many rounds later; rounds begin on the clock."""
    left_s = (share * _INTERVAL_S - time.time()) % _INTERVAL_S
    time.sleep(left_s + (rounds - 1) * _INTERVAL_S)


@contextmanager
def _frontend(plan: Plan, entries: list[object]) -> Iterator[Running]:
    """Start our service with these nodes, as anyone would who has their list in a file."""
    path = plan.directory / f"nodes-{len(entries)}.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    with started(_command(plan, "frontend", "--config", str(path)), plan.directory) as running:
        yield running


def _entries(demo: Running) -> list[object]:
    _, body = fetch(demo.port, "/api/proxies/local_proxy/nodes")
    entries: list[object] = json.loads(body)["nodes"]
    return entries


def _demo_command(plan: Plan, nodes: int) -> Command:
    return _command(plan, "demo", "--demo", str(nodes), "--poll-interval", str(_NEVER_S))


def _command(plan: Plan, name: str, *flags: str) -> Command:
    port = free_port()
    environment = service_environment(plan.directory / "state")
    listen = ["--port", str(port), "--host", HOST]
    arguments = [sys.executable, "-m", "lmcache_frontend", *listen, *flags]
    return Command(name, arguments, port, "/health", Path(plan.checkout), environment)


def _say(text: str) -> None:
    print(f"fleet: {text}", file=sys.stderr, flush=True)
