# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes the one exposition and the targets of service discovery."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.settings import Settings
from tests.heavy.conftest import Frontend, Nodes
from tests.helpers.parts import program
from tests.helpers.ports import free_port
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until

NODES = ("demo_scheduler", "demo_worker0", "demo_worker1", "demo_mp0")


@pytest.fixture(scope="module")
def prometheus_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def app(prometheus_port: int) -> Iterator[App]:
    url = f"http://127.0.0.1:{prometheus_port}"
    running = App(Settings(host="127.0.0.1", port=0, demo=4, poll_interval_s=1.0, prometheus_url=url))
    running.start()
    yield running
    running.stop()


@contextmanager
def running_prometheus(service_port: int, port: int, directory: Path) -> Iterator[None]:
    """Run a Prometheus that scrapes the service, and each node through the service's discovery."""
    target = f"127.0.0.1:{service_port}"
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": "merged", "honor_labels": True, "static_configs": [{"targets": [target]}]},
            {
                "job_name": "nodes",
                "http_sd_configs": [{"url": f"http://{target}/api/sd", "refresh_interval": "2s"}],
                "relabel_configs": [{"source_labels": ["__meta_lmcache_node"], "target_label": "lmcache_node"}],
            },
        ],
    }
    # JSON is YAML.
    (directory / "prometheus.yml").write_text(json.dumps(configuration))
    words = [
        program("prometheus", "prometheus"),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: is_ready(port), timeout_s=60, interval_s=0.2)
            yield
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def prometheus(app: App, prometheus_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_prometheus(app.settings.port, prometheus_port, tmp_path_factory.mktemp("prometheus")):
        yield prometheus_port


def is_ready(port: int) -> bool:
    try:
        return ask(port, "GET", "/-/ready").status == 200
    except OSError:
        return False


def query(port: int, expression: str) -> dict[str, float]:
    """Give the values of an instant query by the label ``node``, else by ``lmcache_node`` or ``job``."""
    answer: Any = json.loads(ask(port, "GET", f"/api/v1/query?query={quote(expression)}").body)
    values = {}
    for series in answer["data"]["result"]:
        labels = series["metric"]
        values[labels.get("node") or labels.get("lmcache_node") or labels["job"]] = float(series["value"][1])
    return values


def check_targets(prometheus: int, count: int) -> None:
    wait_until(lambda: len(query(prometheus, "up == 1")) == count, timeout_s=60, interval_s=0.5)
    targets = json.loads(ask(prometheus, "GET", "/api/v1/targets").body)["data"]["activeTargets"]
    assert len(targets) == count
    assert {target["lastError"] for target in targets} == {""}


def test_every_target_is_up_and_none_reports_an_error(prometheus: int) -> None:
    check_targets(prometheus, 1 + len(NODES))


def test_real_nodes_are_scraped_without_an_error(nodes: Nodes, frontend: Frontend, tmp_path: Path) -> None:
    names = {node.entry["name"] for node in nodes}
    port = free_port()
    with running_prometheus(frontend.port, port, tmp_path):
        check_targets(port, 1 + len(names))
        wait_until(lambda: set(query(port, "lmcache_frontend_node_up == 1")) == names, timeout_s=60, interval_s=0.5)
        merged = query(port, 'process_start_time_seconds{job="merged"}')
        assert merged == query(port, 'process_start_time_seconds{job="nodes"}')
        assert set(merged) == names


def test_a_query_by_node_gives_the_nodes_own_values(prometheus: int, app: App) -> None:
    wait_until(lambda: len(query(prometheus, "lmcache_frontend_node_up")) == len(NODES), timeout_s=60, interval_s=0.5)
    assert query(prometheus, "lmcache_frontend_node_up") == dict.fromkeys(NODES, 1.0)
    merged = query(prometheus, 'process_start_time_seconds{job="merged"}')
    direct = query(prometheus, 'process_start_time_seconds{job="nodes"}')
    assert merged == direct
    assert set(merged) == set(NODES)


@pytest.mark.parametrize("target", ["/api/fleet/series", "/api/nodes/demo_worker0/series"])
def test_times_before_our_start_come_from_prometheus(prometheus: int, app: App, target: str) -> None:
    def values() -> list[float]:
        since = int(time.time()) - 600
        reply = ask(app.settings.port, "GET", f"{target}?name=lookups_per_s,lookup_hit_rate&since={since}&step=10")
        answer: Any = json.loads(reply.body)
        assert answer["source"] == "prometheus", answer
        assert len(answer["series"]["lookups_per_s"]) in (60, 61)
        return [value for value in answer["series"]["lookups_per_s"] if value is not None and value > 0]

    assert wait_until(values, timeout_s=60, interval_s=0.5)
