# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.fleet.configuration import flattened, packed, sizes_of, unpacked
from lmcache_frontend.fleet.derive import NO_SIZES, Sizes
from lmcache_frontend.fleet.drift import OWN_KEYS, Configured, differing, drift
from tests.helpers import demo

GIB = 1024**3


def worker(version: str | None = "0.5.6", **values: Any) -> Configured:
    return Configured("worker", version, {"chunk_size": 256, "local_cpu": True, **values})


def test_what_differs_is_listed_with_the_most_common_value_first() -> None:
    nodes = {"a": worker(chunk_size=512), "b": worker(), "c": worker()}
    assert drift(nodes) == {
        "groups": [
            {
                "kind": "worker",
                "nodes": 3,
                "keys": [
                    {
                        "key": "chunk_size",
                        "values": [{"value": 256, "nodes": ["b", "c"]}, {"value": 512, "nodes": ["a"]}],
                    }
                ],
            }
        ],
        "versions": [{"version": "0.5.6", "nodes": ["a", "b", "c"]}],
    }


def test_kinds_are_compared_among_themselves() -> None:
    nodes = {"a": worker(), "s": Configured("scheduler", "0.5.6", {"chunk_size": 512})}
    found = drift(nodes)
    assert [(group["kind"], group["nodes"], group["keys"]) for group in found["groups"]] == [
        ("worker", 1, []),
        ("scheduler", 1, []),
    ]


def test_what_is_each_nodes_own_is_no_drift() -> None:
    own = {
        "observability.service_instance_id": "1",
        "lmcache_instance_id": "x",
        "internal_api_server_port_start": 1,
        "mp.port": 5,
        "p2p_init_ports": [1],
    }
    other = {
        "observability.service_instance_id": "2",
        "lmcache_instance_id": "y",
        "internal_api_server_port_start": 2,
        "mp.port": 6,
        "p2p_init_ports": [2],
    }
    assert differing({"a": own, "b": other}) == []


def test_keys_that_only_some_have_are_told_by_their_versions() -> None:
    found = drift({"a": worker("0.5.6", new_key=1), "b": worker("0.5.5")})
    assert found["groups"][0]["keys"] == []
    assert found["versions"] == [{"version": "0.5.6", "nodes": ["a"]}, {"version": "0.5.5", "nodes": ["b"]}]


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (5, 5.0, False),
        (1, True, True),
        (0, False, True),
        ("1", 1, True),
        (None, False, True),
        ([1, 2], [1, 2], False),
        ([1], [2], True),
        ({"a": 1}, {"a": 1}, False),
        ("Infinity", "Infinity", False),
        (10**40, 10**40 + 1, True),
    ],
)
def test_values_are_told_apart_as_a_node_would(one: Any, other: Any, differ: bool) -> None:
    assert bool(differing({"a": {"key": one}, "b": {"key": other}})) is differ


def test_nodes_without_a_known_configuration_count_for_versions_only() -> None:
    found = drift({"a": Configured("worker", "0.5.6", None), "b": Configured("unknown", None, None)})
    assert found == {"groups": [], "versions": [{"version": "0.5.6", "nodes": ["a"]}]}


def test_sections_become_keys_with_dots() -> None:
    assert flattened({"mp": {"port": 1, "empty": {}}, "list": [{"a": 1}]}) == {
        "mp.port": 1,
        "mp.empty": {},
        "list": [{"a": 1}],
    }


def test_a_configuration_that_is_nested_without_end_is_cut() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}
    (key,) = flattened({"x": deep})
    assert key.count(".") == 16


def test_packing_loses_nothing_and_is_small() -> None:
    clock = demo.ManualClock()
    values = json.loads(demo.worker(clock).answer("GET", "/conf").body.replace(b"Infinity", b'"Infinity"'))
    data = packed(flattened(values))
    assert unpacked(data) == flattened(values)
    assert len(data) < 2500
    assert packed(dict(reversed(list(flattened(values).items())))) == data


def test_sizes_of_an_in_process_node() -> None:
    flat = {"max_local_cpu_size": 2.5, "max_local_disk_size": 10, "local_disk": "/disk"}
    assert sizes_of("worker", flat) == Sizes(2.5 * GIB, 10 * GIB, None)
    assert sizes_of("worker", {**flat, "local_disk": None}).disk_bytes is None
    assert sizes_of("frontend", flat) == NO_SIZES


@pytest.mark.parametrize("value", ["Infinity", "5", None, True, -1, 0, 10**400, [5]])
def test_an_impossible_size_is_not_known(value: Any) -> None:
    assert sizes_of("worker", {"max_local_cpu_size": value}).cpu_bytes is None


def test_sizes_of_an_mp_server() -> None:
    clock = demo.ManualClock()
    flat = flattened(demo.ask(demo.server(clock), "GET", "/config"))
    found = sizes_of("mp", flat)
    assert found.watermark == 0.8
    assert found.cpu_bytes is not None
    assert found.cpu_bytes >= GIB


def test_sizes_of_an_mp_server_with_several_l1s_and_of_an_older_one() -> None:
    managers = [{"memory_config": {"size_in_bytes": size}} for size in (100, 50)]
    one = {"storage_manager": {"l1_manager_config": {"memory_config": {"size_in_bytes": 7}, "eviction": {}}}}
    assert sizes_of("mp", flattened({"storage_manager": {"l1_manager_configs": managers}})).cpu_bytes == 150
    assert sizes_of("mp", flattened(one)).cpu_bytes == 7
    assert sizes_of("mp", {"storage_manager": "broken"}) == Sizes(None, None, None)


def test_the_page_knows_the_same_keys_as_bound_to_differ() -> None:
    script = (Path(__file__).resolve().parents[1] / "static" / "js" / "comparing.js").read_text()
    listed = re.search(r"OWN_KEYS = new Set\(\[(.*?)\]\)", script, re.DOTALL)
    assert listed is not None
    assert set(re.findall(r'"(\w+)"', listed.group(1))) == OWN_KEYS
