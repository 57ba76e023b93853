# SPDX-License-Identifier: Apache-2.0
"""The service's own metric families, all with the prefix ``lmcache_frontend_``. Pure: values in, families out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lmcache_frontend import __version__
from lmcache_frontend.cluster.model import LOCAL_PROXY
from lmcache_frontend.exposition.render import Metric, histogram_samples
from lmcache_frontend.fleet.collector import Statistics
from lmcache_frontend.fleet.snapshot import FleetSnapshot, Level, NodeState
from lmcache_frontend.traffic import BUCKETS_S, Totals

Samples = list[tuple[str, Mapping[str, str], float]]


class Service(NamedTuple):
    """What the service knows of itself."""

    connections: int
    idle_node_connections: int
    started_at: float


def own_metrics(snapshot: FleetSnapshot, statistics: Statistics, traffic: Totals, service: Service) -> list[Metric]:
    """Give all families; nodes are labelled as in the merged exposition."""
    return [*_node_metrics(snapshot), *_collector_metrics(statistics), *_traffic_metrics(traffic), *_self(service)]


def labels_of(state: NodeState) -> dict[str, str]:
    """Give the labels that tell a node's samples from others'."""
    return {"node": state.name} if state.proxy == LOCAL_PROXY else {"node": state.name, "proxy": state.proxy}


def _node_metrics(snapshot: FleetSnapshot) -> list[Metric]:
    states = list(snapshot.nodes.values())
    up: Samples = [("", labels_of(state), float(state.level is not Level.UNREACHABLE)) for state in states]
    levels: Samples = [
        ("", {**labels_of(state), "state": level.value}, float(state.level is level))
        for state in states
        for level in Level
    ]
    ages: Samples = [
        ("", labels_of(state), max(0.0, snapshot.taken_at - state.scraped_at))
        for state in states
        if state.scraped_at is not None
    ]
    durations: Samples = [
        ("", labels_of(state), state.scrape_seconds) for state in states if state.scrape_seconds is not None
    ]
    used: Samples = []
    limits: Samples = []
    for state in states:
        for quota in state.quotas:
            used.append(("", {**labels_of(state), "cache_salt": quota.salt}, quota.used_bytes))
            limits.append(("", {**labels_of(state), "cache_salt": quota.salt}, quota.limit_bytes))
    prefix = "lmcache_frontend_node"
    return [
        Metric(f"{prefix}_up", "gauge", "1 while the node answers, else 0.", up),
        Metric(f"{prefix}_state", "gauge", "1 for the state that the node is in, 0 for the others.", levels),
        Metric(f"{prefix}_scrape_age_seconds", "gauge", "Age of the node's last good metrics.", ages),
        Metric(f"{prefix}_scrape_duration_seconds", "gauge", "How long its last good metrics took.", durations),
        Metric(f"{prefix}_quota_used_bytes", "gauge", "Bytes held for a tenant with a quota.", used),
        Metric(f"{prefix}_quota_limit_bytes", "gauge", "Bytes that may be held for the tenant.", limits),
    ]


def _collector_metrics(statistics: Statistics) -> list[Metric]:
    errors: Samples = [
        ("", {"node": key, "reason": reason}, float(count)) for (key, reason), count in statistics.errors.items()
    ]
    prefix = "lmcache_frontend_collector"
    return [
        Metric("lmcache_frontend_scrape_errors_total", "counter", "Failed questions to nodes, by reason.", errors),
        Metric(f"{prefix}_rounds_total", "counter", "Rounds of asking all nodes.", [("", {}, statistics.rounds)]),
        Metric(
            f"{prefix}_round_duration_seconds",
            "gauge",
            "From the beginning of the last round to its last answer.",
            [("", {}, statistics.round_seconds)],
        ),
    ]


def _traffic_metrics(traffic: Totals) -> list[Metric]:
    requests: Samples = [
        ("", {"node": node, "method": method, "code": status}, float(count))
        for (node, method, status), count in sorted(traffic.requests.items())
    ]
    durations: Samples = []
    for node, (counts, sum_s) in sorted(traffic.durations.items()):
        durations += histogram_samples(BUCKETS_S, counts, sum_s, {"node": node})
    return [
        Metric("lmcache_frontend_proxied_requests_total", "counter", "Requests passed on to nodes.", requests),
        Metric(
            "lmcache_frontend_proxied_request_duration_seconds",
            "histogram",
            "How long passed requests took.",
            durations,
        ),
    ]


def _self(service: Service) -> list[Metric]:
    prefix = "lmcache_frontend"
    return [
        Metric(f"{prefix}_connections", "gauge", "Open connections of clients.", [("", {}, service.connections)]),
        Metric(
            f"{prefix}_pool_idle_connections",
            "gauge",
            "Connections to nodes that are kept for the next request.",
            [("", {}, service.idle_node_connections)],
        ),
        Metric(
            f"{prefix}_start_time_seconds",
            "gauge",
            "When the service started, in seconds since the epoch.",
            [("", {}, service.started_at)],
        ),
        Metric(
            f"{prefix}_build_info", "gauge", "Always 1; the version is a label.", [("", {"version": __version__}, 1.0)]
        ),
    ]
