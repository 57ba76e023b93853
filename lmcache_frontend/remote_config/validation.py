# SPDX-License-Identifier: Apache-2.0
"""What LMCache checks and adjusts once its file and its variables are read; remote items come later, unchecked. Pure.

Source: ``_validate_config`` in ``lmcache/v1/config.py``, 0.4.2 to 0.5.6.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from lmcache_frontend.remote_config.catalogue import Release

_P2P_NEEDS = (
    "controller_pull_url",
    "controller_reply_url",
    "lmcache_worker_ports",
    "p2p_host",
    "p2p_init_ports",
    "p2p_lookup_ports",
    "transfer_channel",
)
_CONTROLLER_NEEDS = ("controller_pull_url", "controller_reply_url")
_PD_NEEDS = ("pd_role", "pd_buffer_size", "pd_buffer_device")


class Invalid(ValueError):
    """A configuration that LMCache does not start with; the text says what is wrong."""


def checks_file(release: Release) -> bool:
    """Say whether LMCache checks what it read from a file and variables."""
    return release >= (0, 4, 2)


def checks_variables(release: Release) -> bool:
    """Say whether LMCache checks what it read from variables alone."""
    return release >= (0, 4, 5)


def adjust(values: Mapping[str, Any], user_set: Set[str], release: Release) -> dict[str, Any]:
    """Give the values that LMCache changes by itself, and what it makes of them.

    Raises: Invalid for what stops its start; the first of several is told.
    """
    changed: dict[str, Any] = {}
    extra = values.get("extra_config")
    if extra is not None and not isinstance(extra, dict):
        raise Invalid("extra_config is no object")
    _check_numbers(values)
    if values.get("enable_controller") and release >= (0, 4, 4):
        _need(values, "enable_controller", _CONTROLLER_NEEDS)
        if not values.get("lmcache_worker_ports"):
            raise Invalid("enable_controller needs lmcache_worker_ports")
    if values.get("enable_p2p"):
        if not values.get("enable_controller"):
            raise Invalid("enable_p2p needs enable_controller")
        _need(values, "enable_p2p", _P2P_NEEDS)
    if values.get("enable_pd"):
        _check_pd(values, release)
    if (values.get("enable_blending") or values.get("enable_pd")) and not values.get("save_unfull_chunk"):
        changed["save_unfull_chunk"] = True
    if extra and extra.get("enable_nixl_storage"):
        _check_nixl_storage(values, extra, release)
        if release >= (0, 4, 7) and "nixl_use_hugepages" in extra:
            changed.update(_adjust_pages(values, extra, user_set))
    return changed


def _check_numbers(values: Mapping[str, Any]) -> None:
    least = values.get("min_retrieve_tokens", 0)
    if least is None or least < 0:
        raise Invalid("min_retrieve_tokens is no number from 0 on")


def _check_pd(values: Mapping[str, Any], release: Release) -> None:
    _need(values, "enable_pd", _PD_NEEDS)
    if values.get("enable_p2p") is not False:
        raise Invalid("enable_pd excludes enable_p2p")
    if values.get("pd_backend_mode", "async") not in ("sync", "async"):
        raise Invalid("pd_backend_mode is neither sync nor async")
    if values["pd_role"] == "receiver":
        if values["store_location"] == "PDBackend":
            raise Invalid("store_location of a receiver cannot be PDBackend")
        if values["retrieve_locations"] not in (None, ["PDBackend"]):
            raise Invalid("retrieve_locations of a receiver can only be PDBackend")


def _check_nixl_storage(values: Mapping[str, Any], extra: Mapping[str, Any], release: Release) -> None:
    _need(extra, "enable_nixl_storage", ("nixl_backend", "nixl_pool_size"))
    if release >= (0, 5, 0) and extra.get("nixl_presence_cache_only") and not extra.get("nixl_presence_cache"):
        raise Invalid("nixl_presence_cache_only needs nixl_presence_cache")
    _need(values, "enable_nixl_storage", ("nixl_buffer_device",))
    if release < (0, 4, 7) or values["nixl_buffer_device"] != "cpu":
        _need(values, "enable_nixl_storage", ("nixl_buffer_size",))
        return
    if values["nixl_buffer_size"] is not None:
        raise Invalid("nixl_buffer_device cpu excludes nixl_buffer_size")
    if values["max_local_cpu_size"] is None or values["max_local_cpu_size"] <= 0:
        raise Invalid("nixl_buffer_device cpu needs a max_local_cpu_size above 0")
    if values["enable_p2p"]:
        raise Invalid("nixl_buffer_device cpu excludes enable_p2p")


def _adjust_pages(values: Mapping[str, Any], extra: Mapping[str, Any], user_set: Set[str]) -> dict[str, Any]:
    """Move the old place of a setting to the new one, as far as it has effect."""
    changed: dict[str, Any] = {
        "extra_config": {name: value for name, value in extra.items() if name != "nixl_use_hugepages"}
    }
    if values["nixl_buffer_device"] == "cpu":
        wanted = bool(extra["nixl_use_hugepages"])
        if "local_cpu_use_hugepages" in user_set and values["local_cpu_use_hugepages"] != wanted:
            raise Invalid("nixl_use_hugepages in extra_config contradicts local_cpu_use_hugepages")
        changed["local_cpu_use_hugepages"] = wanted
    return changed


def _need(values: Mapping[str, Any], what: str, names: tuple[str, ...]) -> None:
    for name in names:
        if values.get(name) is None:
            raise Invalid(f"{what} needs {name}")
