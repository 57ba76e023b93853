# SPDX-License-Identifier: Apache-2.0
"""Simulated nodes under a clock that only a test moves, what real nodes answered, and a reader of their metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lmcache_frontend.demo.inprocess.node import InProcessNode
from lmcache_frontend.demo.inprocess.state import Place
from lmcache_frontend.demo.multiprocess.node import MultiprocessNode
from lmcache_frontend.demo.simulation import Load

START = 1_800_000_000.0

_RECORDINGS = Path(__file__).parent.parent / "recordings"
_SAMPLE = re.compile(r"^([\w:]+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"(?:,|$)')


class ManualClock:
    """Seconds since the epoch, standing still until `pass_time`."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += seconds


def worker(clock: ManualClock, **changes: Any) -> InProcessNode:
    """Make a worker with traffic and a cache that is soon full."""
    load = Load(seed=11, rate_per_s=1.0, capacity_chunks=128, warm_up_requests=100)._replace(**changes)
    return InProcessNode(Place("demo", "worker", 0, "/run/demo"), load, clock)


def scheduler(clock: ManualClock) -> InProcessNode:
    """Make a scheduler."""
    load = Load(seed=12, rate_per_s=1.0, capacity_chunks=128, warm_up_requests=100)
    return InProcessNode(Place("demo", "scheduler", 0, "/run/demo"), load, clock)


def server(clock: ManualClock, **changes: Any) -> MultiprocessNode:
    """Make an MP server with traffic."""
    load = Load(seed=13, rate_per_s=2.0, capacity_chunks=256, warm_up_requests=100)._replace(**changes)
    return MultiprocessNode("demo_mp0", load, clock)


def ask(node: InProcessNode | MultiprocessNode, method: str, target: str, body: str = "") -> Any:
    """Give the JSON of an answer, whatever its status."""
    path, _, query = target.partition("?")
    return json.loads(node.answer(method, path, query, body.encode()).body)


def status(node: InProcessNode | MultiprocessNode, method: str, target: str, body: str = "") -> int:
    """Give the status of an answer."""
    path, _, query = target.partition("?")
    return node.answer(method, path, query, body.encode()).status


def recording(kind: str) -> dict[str, Any]:
    """Give what a real node answered; ``kind`` is in_process or multiprocess."""
    document: dict[str, Any] = json.loads((_RECORDINGS / f"{kind}_0.5.6.json").read_text(encoding="utf-8"))
    return document


def read_metrics(node: InProcessNode | MultiprocessNode) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Give the samples of ``/metrics`` by name and the labels that tell series of a node apart."""
    samples = {}
    for line in node.answer("GET", "/metrics").body.decode().splitlines():
        if line.startswith("#"):
            continue
        match = _SAMPLE.match(line)
        assert match, line
        labels = [pair for pair in _LABEL.findall(match[2] or "") if pair[0] in ("le", "device", "state")]
        key = (match[1], tuple(labels))
        assert key not in samples or match[1].startswith(("python_", "lmcache_mp_l2_"))
        samples[key] = float(match[3])
    return samples


def counter(node: InProcessNode | MultiprocessNode, name: str) -> float:
    """Give the value of a sample without distinguishing labels."""
    return read_metrics(node)[name, ()]


def shape(value: Any) -> Any:
    """Reduce JSON to its keys and the types of its values; lists to the shape of their first element."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__
