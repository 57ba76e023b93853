# SPDX-License-Identifier: Apache-2.0
"""What the plugin launchers of LMCache, release by release, put into a plugin's environment."""

from __future__ import annotations


def legacy(role: str, configuration: str, worker_count: int) -> dict[str, str]:
    """Give the variables of LMCache 0.3.4 to 0.3.10."""
    return {
        "LMCACHE_PLUGIN_ROLE": role,
        "LMCACHE_PLUGIN_CONFIG": configuration,
        "LMCACHE_PLUGIN_WORKER_COUNT": str(worker_count),
        "LMCACHE_PLUGIN_WORKER_ID": "-1",
    }


def current(role: str, configuration: str, worker_count: int) -> dict[str, str]:
    """Give the variables of LMCache 0.3.11 and later: both families."""
    old = legacy(role, configuration, worker_count)
    return old | {name.replace("_PLUGIN_", "_RUNTIME_PLUGIN_"): value for name, value in old.items()}


def api(**more: object) -> dict[str, object]:
    """Give the keys of the internal API as LMCache writes them, all of them being there always."""
    return {
        "lmcache_instance_id": "lmcache_default_instance",
        "internal_api_server_enabled": True,
        "internal_api_server_host": "0.0.0.0",
        "internal_api_server_port_start": 6999,
        "internal_api_server_include_index_list": None,
        "internal_api_server_socket_path_prefix": None,
        "extra_config": None,
        **more,
    }
