# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from lmcache_frontend.remote_config.catalogue import catalogue, release_of, release_text
from lmcache_frontend.remote_config.validation import Invalid, adjust

NEWEST = (0, 5, 6)
CONTROLLER = {"enable_controller": True, "controller_pull_url": "a:1", "controller_reply_url": "a:2"}
P2P = {
    **CONTROLLER,
    "lmcache_worker_ports": [1],
    "enable_p2p": True,
    "p2p_host": "h",
    "p2p_init_ports": [1],
    "p2p_lookup_ports": [2],
    "transfer_channel": "nixl",
}
PD = {"enable_pd": True, "pd_role": "sender", "pd_buffer_size": 1, "pd_buffer_device": "cpu"}
STORAGE = {"enable_nixl_storage": True, "nixl_backend": "POSIX", "nixl_pool_size": 3}
ON_CPU = {"extra_config": STORAGE, "nixl_buffer_device": "cpu"}
PAGES = {"extra_config": {**STORAGE, "nixl_use_hugepages": 1}}


def changes(values: dict[str, Any], user_set: frozenset[str] = frozenset(), version: str = "0.5.6") -> dict[str, Any]:
    defaults = {name: key.default for name, key in catalogue(version).items()}
    return adjust({**defaults, **values}, user_set, release_of(version))


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({}, {}),
        ({**CONTROLLER, "lmcache_worker_ports": [1]}, {}),
        (P2P, {}),
        ({"enable_blending": True}, {"save_unfull_chunk": True}),
        ({"enable_blending": True, "save_unfull_chunk": True}, {}),
        (PD, {"save_unfull_chunk": True}),
        ({**PD, "pd_role": "receiver", "retrieve_locations": ["PDBackend"]}, {"save_unfull_chunk": True}),
        (ON_CPU, {}),
        ({"extra_config": STORAGE, "nixl_buffer_device": "cuda", "nixl_buffer_size": 1}, {}),
        ({**ON_CPU, **PAGES}, {"extra_config": STORAGE, "local_cpu_use_hugepages": True}),
        ({**PAGES, "nixl_buffer_device": "cuda", "nixl_buffer_size": 1}, {"extra_config": STORAGE}),
        ({"extra_config": {"nixl_use_hugepages": 1}}, {}),
    ],
)
def test_what_is_changed(values: dict[str, Any], changed: dict[str, Any]) -> None:
    assert changes(values) == changed


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"extra_config": [1]}, "extra_config is no object"),
        ({"min_retrieve_tokens": -1}, "min_retrieve_tokens is no number from 0 on"),
        ({"min_retrieve_tokens": None}, "min_retrieve_tokens is no number from 0 on"),
        ({"enable_controller": True}, "enable_controller needs controller_pull_url"),
        (CONTROLLER, "enable_controller needs lmcache_worker_ports"),
        ({"enable_p2p": True}, "enable_p2p needs enable_controller"),
        ({**P2P, "transfer_channel": None}, "enable_p2p needs transfer_channel"),
        ({"enable_pd": True}, "enable_pd needs pd_role"),
        ({**P2P, **PD}, "enable_pd excludes enable_p2p"),
        ({**PD, "pd_backend_mode": "other"}, "pd_backend_mode is neither sync nor async"),
        ({**PD, "pd_role": "receiver", "store_location": "PDBackend"}, "store_location of a receiver"),
        ({**PD, "pd_role": "receiver", "retrieve_locations": ["a"]}, "retrieve_locations of a receiver"),
        ({"extra_config": {"enable_nixl_storage": 1}}, "enable_nixl_storage needs nixl_backend"),
        ({"extra_config": STORAGE}, "enable_nixl_storage needs nixl_buffer_device"),
        ({"extra_config": STORAGE, "nixl_buffer_device": "cuda"}, "enable_nixl_storage needs nixl_buffer_size"),
        ({**ON_CPU, "nixl_buffer_size": 1}, "nixl_buffer_device cpu excludes nixl_buffer_size"),
        ({**ON_CPU, "max_local_cpu_size": 0.0}, "nixl_buffer_device cpu needs a max_local_cpu_size"),
        ({**P2P, **ON_CPU}, "nixl_buffer_device cpu excludes enable_p2p"),
        (
            {**ON_CPU, "extra_config": {**STORAGE, "nixl_presence_cache_only": True}},
            "nixl_presence_cache_only needs nixl_presence_cache",
        ),
    ],
)
def test_what_stops_lmcache(values: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid, match=f"^{text}"):
        changes(values)


def test_two_places_of_one_setting_must_agree() -> None:
    own = frozenset({"local_cpu_use_hugepages"})
    assert changes({**ON_CPU, **PAGES, "local_cpu_use_hugepages": True}, own)["local_cpu_use_hugepages"] is True
    with pytest.raises(Invalid, match="contradicts local_cpu_use_hugepages"):
        changes({**ON_CPU, **PAGES}, own)


@pytest.mark.parametrize(
    ("values", "first"),
    [
        (CONTROLLER, "0.4.4"),
        ({**ON_CPU, "nixl_buffer_size": 1}, "0.4.7"),
        (
            {
                "extra_config": {**STORAGE, "nixl_presence_cache_only": 1},
                "nixl_buffer_device": "cuda",
                "nixl_buffer_size": 1,
            },
            "0.5.0",
        ),
    ],
)
def test_older_releases_ask_for_less(values: dict[str, Any], first: str) -> None:
    older = {"0.4.4": "0.4.3", "0.4.7": "0.4.6", "0.5.0": "0.4.7"}[release_text(release_of(first))]
    assert changes(values, version=older) == {}
    with pytest.raises(Invalid):
        changes(values, version=first)
