# SPDX-License-Identifier: Apache-2.0
"""The rows of the benchmark: what is measured, in which order, and what is asked of it.

Leaves servers to `stand`, load to `load`, and medians, marks and the table to `report`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.bench.load import read_bodies, run_wrk
from tests.bench.parsing import WrkReport
from tests.bench.processes import HOST, Command, cpu_s, fetch, forget_peak, free_port, memory, started
from tests.bench.report import Budget, Line
from tests.bench.stand import BIG_BYTES, Stand, Target, frontend_command, nginx_node, stand

_MIB = 1024 * 1024
_KEPT_CONNECTIONS = 16
_MANY_CONNECTIONS = 200
_WARM_UP_S = 1
_SETTLE_S = 1.0


class Plan(NamedTuple):
    """What every row needs to know: where to work, whose proxy to start, how long to measure."""

    directory: Path
    checkout: Path
    rounds: int
    seconds: int


class Sample(NamedTuple):
    """One target in one round."""

    report: WrkReport
    cpu_us: float


class BodySample(NamedTuple):
    """One target in one round of large bodies: MB a second, and processor time a body."""

    figure: float
    cpu_us: float


class Round(NamedTuple):
    """Both proxies, one directly after the other."""

    ours: Sample
    peer: Sample


def get(plan: Plan) -> list[Line]:
    """17-byte GET, requests a second."""
    budget = Budget(floor=0.25, goal=0.5, more_is_better=True, of_ratio=True)
    return [_wrk_line(plan, "version", _KEPT_CONNECTIONS, _good_per_s, Line("17-byte GET", "requests/s", budget))]


def metrics(plan: Plan) -> list[Line]:
    """57 KB `/metrics`, requests a second."""
    budget = Budget(floor=0.6, goal=1.0, more_is_better=True, of_ratio=True)
    return [_wrk_line(plan, "metrics", _KEPT_CONNECTIONS, _good_per_s, Line("57 KB /metrics", "requests/s", budget))]


def latency(plan: Plan) -> list[Line]:
    """One connection, median latency."""
    budget = Budget(floor=1.6, goal=1.25, more_is_better=False, of_ratio=True)
    return [_wrk_line(plan, "version", 1, _p50_us, Line("one connection, median latency", "µs", budget))]


def many(plan: Plan) -> list[Line]:
    """200 connections: time-outs, and p99 against p50."""
    budget = Budget(floor=20.0, goal=10.0, more_is_better=False, of_ratio=False)
    line = Line(f"{_MANY_CONNECTIONS} connections, p99 / p50", "times", budget)
    return [_wrk_line(plan, "version", _MANY_CONNECTIONS, _p99_over_p50, line)]


def body(plan: Plan) -> list[Line]:
    """256 MiB body: MB a second, and by how much the process grew over it."""
    with stand(plan.directory, plan.checkout) as built:
        # The first reading fills the page cache, so that no proxy waits for the disk.
        _body_sample(built.direct, plan.seconds)
        direct = _body_sample(built.direct, plan.seconds)
        before = [_settled_mib(target) for target in (built.ours, built.peer)]
        ours, peer = [], []
        for _ in _rounds(plan, "body"):
            ours.append(_body_sample(built.ours, plan.seconds))
            peer.append(_body_sample(built.peer, plan.seconds))
        after = [memory(target.pid).peak_bytes / _MIB for target in (built.ours, built.peer)]
    speed = Line(
        "256 MiB body",
        "MB/s",
        Budget(floor=1.0, goal=1.5, more_is_better=True, of_ratio=True),
        ours=tuple(sample.figure for sample in ours),
        peer=tuple(sample.figure for sample in peer),
        direct=direct.figure,
        ours_cpu_us=tuple(sample.cpu_us for sample in ours),
        peer_cpu_us=tuple(sample.cpu_us for sample in peer),
    )
    allowed = Budget(floor=8.0, goal=8.0, more_is_better=False, of_ratio=False)
    grown = [(later - earlier,) for earlier, later in zip(before, after, strict=True)]
    return [speed, Line("256 MiB body, growth", "MiB", allowed, ours=grown[0], peer=grown[1])]


def start(plan: Plan) -> list[Line]:
    """Start to first answer, and resident memory when idle, beside `python -m http.server`."""
    ours, peer = [], []
    with nginx_node(plan.directory) as node:
        # One start each that does not count fills the page cache and writes the compiled modules.
        _start_sample(plan, frontend_command(plan.directory, plan.checkout, node.port))
        _start_sample(plan, _plain_server_command(plan.directory))
        for _ in _rounds(plan, "start"):
            ours.append(_start_sample(plan, frontend_command(plan.directory, plan.checkout, node.port)))
            peer.append(_start_sample(plan, _plain_server_command(plan.directory)))
    first = Budget(floor=2.0, goal=1.3, more_is_better=False, of_ratio=True)
    idle = Budget(floor=1.6, goal=1.3, more_is_better=False, of_ratio=True)
    columns = [tuple(column) for column in (*zip(*ours, strict=True), *zip(*peer, strict=True))]
    note = "peer: python -m http.server"
    return [
        Line("start to first answer", "ms", first, ours=columns[0], peer=columns[2], note=note),
        Line("resident memory, idle", "MiB", idle, ours=columns[1], peer=columns[3], note=note),
    ]


ROWS: dict[str, Callable[[Plan], list[Line]]] = {
    "get": get,
    "metrics": metrics,
    "body": body,
    "latency": latency,
    "many": many,
    "start": start,
}


def _wrk_line(plan: Plan, path: str, connections: int, figure: Callable[[WrkReport], float], line: Line) -> Line:
    """Measure one address with wrk in interleaved rounds and fill in the line."""
    with stand(plan.directory, plan.checkout) as built:
        for target in built:
            run_wrk(target.url(path), connections, _WARM_UP_S)
        direct = run_wrk(built.direct.url(path), connections, plan.seconds)
        rounds = [_round(built, path, connections, plan.seconds) for _ in _rounds(plan, line.case)]
    return line._replace(
        ours=tuple(figure(each.ours.report) for each in rounds),
        peer=tuple(figure(each.peer.report) for each in rounds),
        direct=figure(direct),
        ours_cpu_us=tuple(each.ours.cpu_us for each in rounds),
        peer_cpu_us=tuple(each.peer.cpu_us for each in rounds),
        ours_errors=sum(_errors(each.ours.report) for each in rounds),
        peer_errors=sum(_errors(each.peer.report) for each in rounds),
        note=f"ours {_times([each.ours for each in rounds])}; nginx {_times([each.peer for each in rounds])}",
    )


def _round(built: Stand, path: str, connections: int, seconds: int) -> Round:
    samples = []
    for target in (built.ours, built.peer):
        before_s = cpu_s(target.pid)
        report = run_wrk(target.url(path), connections, seconds)
        samples.append(Sample(report, (cpu_s(target.pid) - before_s) * 1e6 / report.requests))
    return Round(*samples)


def _body_sample(target: Target, seconds: int) -> BodySample:
    before_s = cpu_s(target.pid)
    report = read_bodies(target.running.port, target.path("big"), BIG_BYTES, seconds)
    cpu_us = (cpu_s(target.pid) - before_s) * 1e6 / report.bodies
    return BodySample(report.body_bytes / report.elapsed_s / 1e6, cpu_us)


def _settled_mib(target: Target) -> float:
    # A few small requests first: what any first request loads is no growth over the body.
    for _ in range(20):
        fetch(target.running.port, target.path("version"))
    forget_peak(target.pid)
    return memory(target.pid).resident_bytes / _MIB


def _start_sample(plan: Plan, command: Command) -> tuple[float, float]:
    """Return milliseconds to the first answer, and MiB resident a second later."""
    with started(command, plan.directory) as running:
        time.sleep(_SETTLE_S)
        return running.start_s * 1e3, memory(running.pid).resident_bytes / _MIB


def _plain_server_command(directory: Path) -> Command:
    port = free_port()
    served = directory / "empty"
    served.mkdir(exist_ok=True)
    arguments = [sys.executable, "-m", "http.server", "--bind", HOST, str(port)]
    return Command("http.server", arguments, port, "/", served)


def _rounds(plan: Plan, name: str) -> Iterator[int]:
    for number in range(1, plan.rounds + 1):
        print(f"{name}: round {number} of {plan.rounds}", file=sys.stderr, flush=True)
        yield number


def _good_per_s(report: WrkReport) -> float:
    return report.requests_per_s * (report.requests - report.bad_statuses) / report.requests


def _p50_us(report: WrkReport) -> float:
    return report.p50_s * 1e6


def _p99_over_p50(report: WrkReport) -> float:
    return report.p99_s / report.p50_s


def _errors(report: WrkReport) -> int:
    return report.socket_errors + report.timeouts + report.bad_statuses


def _times(samples: list[Sample]) -> str:
    p50_ms = median(sample.report.p50_s for sample in samples) * 1e3
    p99_ms = median(sample.report.p99_s for sample in samples) * 1e3
    timeouts = sum(sample.report.timeouts for sample in samples)
    return f"p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms, {timeouts} time-outs"
