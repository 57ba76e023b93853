# SPDX-License-Identifier: Apache-2.0
"""Merged expositions before those who will read them: promtool, and prometheus_client's parser of OpenMetrics."""

from __future__ import annotations

import json
import subprocess

import pytest

from lmcache_frontend.exposition.blocks import Blocks, make_blocks
from lmcache_frontend.exposition.merge import merge
from lmcache_frontend.exposition.render import Metric, render
from tests.helpers import lmcache_nodes, parts
from tests.helpers.expositions import random_body, recorded

READ_OPENMETRICS = """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(json.dumps([
    [[family.name, family.type, len(family.samples)] for family in text_string_to_metric_families(body)]
    for body in json.load(sys.stdin)
]))
"""


@pytest.fixture(scope="module")
def promtool() -> str:
    return parts.program("promtool", "prometheus")


def fleet() -> list[Blocks]:
    own = [
        Metric("lmcache_frontend_node_up", "gauge", "Whether the node answers.", [("", {"node": "worker-0"}, 1)]),
        Metric("lmcache_frontend_requests_total", "counter", 'Requests by "node".', [("", {"node": "a\\b"}, 2)]),
    ]
    bodies = [recorded("in_process"), recorded("in_process"), recorded("multiprocess")]
    nodes = [make_blocks(body, [("node", f"node-{number}"), ("proxy", "p")]) for number, body in enumerate(bodies)]
    return [make_blocks(render(own).decode(), []).blocks, *(made.blocks for made in nodes)]


def remarks(promtool: str, body: bytes) -> set[str]:
    """Give what promtool finds; an exposition that it cannot parse fails the test."""
    done = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, timeout=60)
    assert done.returncode in (0, 3), done.stderr.decode()
    found = {line for line in done.stderr.decode().splitlines() if line}
    assert not any("error while" in line for line in found), found
    return found


def test_promtool_finds_only_what_lmcache_itself_named_so(promtool: str) -> None:
    of_lmcache = remarks(promtool, recorded("in_process").encode()) | remarks(
        promtool, recorded("multiprocess").encode()
    )
    found = remarks(promtool, b"".join(merge(fleet())))
    assert found == of_lmcache
    assert found
    assert all(line.startswith("lmcache:") for line in found)


def test_promtool_refuses_what_is_wrong(promtool: str) -> None:
    twice = recorded("multiprocess").encode() * 2
    done = subprocess.run([promtool, "check", "metrics"], input=twice, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"second HELP line" in done.stderr


@pytest.mark.parametrize("seed", range(30))
def test_promtool_reads_random_nodes_merged(promtool: str, seed: int) -> None:
    made = [make_blocks(random_body(seed * 3 + number).text, [("node", f'n"{number}')]) for number in range(3)]
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=b"".join(merge([one.blocks for one in made])),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode in (0, 3), done.stderr.decode()
    assert b"error while linting" not in done.stderr


def read_by_prometheus_client(bodies: list[bytes]) -> list[dict[str, tuple[str, int]]]:
    """Give type and number of samples of each family of each body, as prometheus_client's strict parser reads them."""
    words = [lmcache_nodes.interpreter(), "-c", READ_OPENMETRICS]
    texts = json.dumps([body.decode() for body in bodies])
    done = subprocess.run(words, input=texts, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [{name: (kind, count) for name, kind, count in families} for families in json.loads(done.stdout)]


def test_prometheus_client_reads_the_openmetrics_of_random_nodes() -> None:
    bodies = []
    for seed in range(40):
        texts = [random_body(seed * 2 + number, in_order=True).text for number in range(2)]
        made = [make_blocks(text, [("node", f'n"{number}\\')]).blocks for number, text in enumerate(texts)]
        bodies.append(b"".join(merge(made, openmetrics=True)))
    for body, families in zip(bodies, read_by_prometheus_client(bodies), strict=True):
        assert sum(count for _, count in families.values()) == sum(not line.startswith(b"#") for line in lines(body))


def lines(body: bytes) -> list[bytes]:
    # Not splitlines: a carriage return is an ordinary character in a label value.
    return body.split(b"\n")[:-1]


def test_prometheus_client_reads_the_openmetrics_of_recorded_nodes() -> None:
    body = b"".join(merge(fleet(), openmetrics=True))
    [families] = read_by_prometheus_client([body])
    assert families["lmcache:num_hit_tokens"] == ("counter", 2)
    assert families["lmcache:periodic_threads_low_total"] == ("gauge", 2)
    assert families["python_info"] == ("gauge", 3)
    assert families["lmcache_frontend_requests"] == ("counter", 1)
    assert sum(count for _, count in families.values()) == sum(not line.startswith(b"#") for line in lines(body))
