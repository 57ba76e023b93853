# SPDX-License-Identifier: Apache-2.0
"""A fleet without sockets: nodes that are asked by a call, a clock that only a test moves, readings made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lmcache_frontend.cluster.adapters.kinds import Ask
from lmcache_frontend.cluster.model import LOCAL_PROXY, Node, Proxy, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.demo.node import Node as DemoNode
from lmcache_frontend.errors import BadGateway, FrontendError
from lmcache_frontend.exposition.parse import parse
from lmcache_frontend.fleet.collector import Collector
from lmcache_frontend.fleet.counters import Counters, counters_from
from lmcache_frontend.fleet.polling import Moment
from lmcache_frontend.http1.client import Endpoint
from lmcache_frontend.http1.fetch import Answer
from lmcache_frontend.http1.heads import ResponseHead
from tests.helpers.demo import ManualClock

REFUSED = BadGateway("127.0.0.1:1: Connection refused")


def answer(body: str | bytes, status: int = 200) -> Answer:
    """Make an answer."""
    data = body.encode() if isinstance(body, str) else body
    return Answer(ResponseHead(status, "", 1, (), {}), data)


class FakeNode:
    """Asks a simulated node by a call; what is in ``instead`` by path comes in place of its answer, or is raised."""

    def __init__(self, demo: DemoNode | None = None) -> None:
        self.demo = demo
        self.instead: dict[str, Answer | FrontendError] = {}
        self.down: FrontendError | None = None
        self.asked: list[str] = []
        self.time_limits: list[float | None] = []

    def ask(self, target: str, timeout_s: float | None) -> Answer:
        path, _, query = target.partition("?")
        self.asked.append(path)
        self.time_limits.append(timeout_s)
        found = self.down or self.instead.get(path)
        if isinstance(found, FrontendError):
            raise found
        if found is not None:
            return found
        if self.demo is None:
            return answer('{"detail":"Not Found"}', 404)
        given = self.demo.answer("GET", path, query)
        return answer(given.body, given.status)


def make_node(name: str, port: int = 7000, proxy: str = LOCAL_PROXY, **changes: object) -> Node:
    """Make the node of a registry."""
    node = Node(name, "127.0.0.1", port, Endpoint("127.0.0.1", port), Source.API, proxy)
    return node._replace(**changes)  # type: ignore[arg-type]


class Fleet:
    """A registry and a collector over fake nodes, and the clock of both."""

    def __init__(self, nodes: Mapping[str, FakeNode], clock: ManualClock | None = None, **settings: object) -> None:
        self.clock = clock or ManualClock()
        self.nodes = dict(nodes)
        self.registry = Registry()
        for port, name in enumerate(nodes, 7000):
            self.registry.add_node(make_node(name, port))
        self.collector = Collector(
            self.registry,
            self.ask_node,
            clock=self.clock,
            steady_clock=self.clock,
            **settings,  # type: ignore[arg-type]
        )

    def ask_node(self, node: Node) -> Ask:
        return self.nodes[node.name].ask

    def rounds(self, count: int, interval_s: float = 10.0, before: Callable[[], object] = lambda: None) -> None:
        """Let time pass and collect, so many times."""
        for _ in range(count):
            self.clock.pass_time(interval_s)
            before()
            self.collector.collect_once()


def moments(clock: ManualClock) -> Callable[[], Moment]:
    """Give both clocks in one."""
    return lambda: Moment(clock(), clock())


def proxy_with(name: str, *children: str, port: int = 9000) -> Proxy:
    """Make a frontend with nodes behind it."""
    nodes = {child: make_node(child, 1, name) for child in children}
    return Proxy(name, make_node(name, port), nodes)


def reading(at: float, text: str, *, whole: bool = True) -> Counters:
    """Read an exposition of lines like ``name value`` or ``name{labels} value``; only histograms need a TYPE."""
    return counters_from(parse(text).families, at, whole=whole)


def histogram(name: str, buckets: Mapping[str, float], labels: str = "") -> str:
    """Write a histogram with these counts up to each bound."""
    extra = f"{labels}," if labels else ""
    lines = [f'{name}_bucket{{{extra}le="{bound}"}} {count}' for bound, count in buckets.items()]
    return "\n".join([f"# TYPE {name} histogram", *lines, ""])
