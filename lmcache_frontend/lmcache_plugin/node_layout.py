# SPDX-License-Identifier: Apache-2.0
"""Where the nodes of one LMCache configuration listen; pure.

Leaves variables, options and starting to ``launch``. LMCache is not imported: the plugin may run under another
interpreter. Source: LMCache 0.3.4 to 0.5.6, ``v1/internal_api_server/api_server.py`` (which port or socket is served),
``v1/internal_api_server/utils.py`` (names) and, for MP servers, ``v1/multiprocess/config.py``.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import NamedTuple

# Defaults of LMCache, for keys that a configuration lacks.
_PORT_START = 6999
_MP_HTTP_PORT = 8080
_INSTANCE = "lmcache_default_instance"
# What LMCache 0.5.6 calls an MP server in its own dashboard.
_MP_NAME = "lmcache_server"

# An address that means "all interfaces" is for listening only.
_REACHABLE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1"}

Configuration = Mapping[str, object]


class NodeEntry(NamedTuple):
    """One node as ``--nodes`` takes it; ``port`` is a number or the absolute path of a Unix socket."""

    name: str
    host: str
    port: int | str


class Layout(NamedTuple):
    """The nodes of a configuration and, where there are none, the reason in words."""

    nodes: tuple[NodeEntry, ...]
    remark: str | None = None


def is_mp(configuration: Configuration) -> bool:
    """Tell whether the configuration is that of a multiprocess (MP) server."""
    return any(key in configuration for key in ("mp_config", "http_config", "http_frontend_config"))


def nodes_of(configuration: Configuration, *, worker_count: int, directory: str) -> Layout:
    """Work out the nodes of a configuration, MP server or vLLM; ``directory`` is where a relative socket path starts.

    Raises:
        ValueError: a port or an index is not a number.
    """
    if not configuration:
        return Layout((), "there is no LMCache configuration in LMCACHE_RUNTIME_PLUGIN_CONFIG: starting without nodes")
    if is_mp(configuration):
        return _mp_nodes(configuration, directory)
    return _in_process_nodes(configuration, worker_count, directory)


def _mp_nodes(configuration: Configuration, directory: str) -> Layout:
    http = configuration.get("http_config") or configuration.get("http_frontend_config")
    if not isinstance(http, dict):
        return Layout((), "this MP server has no HTTP address (no http_config): starting without nodes")
    name = _mp_name(configuration.get("mp_config"))
    socket_path = http.get("http_socket_path")
    if socket_path:
        return Layout((NodeEntry(name, "localhost", os.path.join(directory, str(socket_path))),))
    port = _number(http.get("http_port"), _MP_HTTP_PORT, "http_port")
    return Layout((NodeEntry(name, _reachable(http.get("http_host")), port),))


def _mp_name(mp_config: object) -> str:
    instance = mp_config.get("instance_id") if isinstance(mp_config, dict) else None
    if not isinstance(instance, str) or not instance:
        return _MP_NAME
    try:
        uuid.UUID(instance)
    except ValueError:
        return instance
    # Drawn anew at each start, so it would make a new node, with a new history, of each.
    return _MP_NAME


def _in_process_nodes(configuration: Configuration, worker_count: int, directory: str) -> Layout:
    # Python's own truth of the value, as LMCache asks it: the remote configuration of 0.3.13 stores what it is sent.
    if not configuration.get("internal_api_server_enabled"):
        return Layout((), "LMCache's internal API is off (internal_api_server_enabled): starting without nodes")
    start = _number(configuration.get("internal_api_server_port_start"), _PORT_START, "internal_api_server_port_start")
    prefix = configuration.get("internal_api_server_socket_path_prefix")
    host = _reachable(configuration.get("internal_api_server_host"))
    served = _served_offsets(configuration.get("internal_api_server_include_index_list"))
    nodes: list[NodeEntry] = []
    for offset, suffix in _offsets(configuration, worker_count):
        if served is not None and offset not in served:
            continue
        name = f"{configuration.get('lmcache_instance_id', _INSTANCE)}_{suffix}"
        port = start + offset
        if prefix:
            nodes.append(NodeEntry(name, "localhost", os.path.join(directory, f"{prefix}_{port}")))
        else:
            nodes.append(NodeEntry(name, host, port))
    if not nodes:
        remark = "internal_api_server_include_index_list leaves no process of this node: starting without nodes"
        return Layout((), remark)
    return Layout(tuple(nodes))


def _offsets(configuration: Configuration, worker_count: int) -> list[tuple[int, str]]:
    """List the offsets from the first port with the last part of each name: 0 is the scheduler, 1 + i worker i."""
    workers = [(1 + index, f"worker{index}") for index in range(worker_count)]
    # Such a scheduler has an engine like worker 0 and competes with it for the same port; nothing serves offset 0.
    if configuration.get("enable_scheduler_bypass_lookup"):
        return workers
    return [(0, "scheduler"), *workers]


def _served_offsets(value: object) -> frozenset[int] | None:
    """Give the offsets that serve, or None for all: LMCache serves all for null and for the empty list alike."""
    if not value:
        return None
    entries = value if isinstance(value, list) else str(value).split(",")
    return frozenset(_number(entry, 0, "internal_api_server_include_index_list") for entry in entries)


def _reachable(host: object) -> str:
    text = "" if host is None else str(host).strip()
    return _REACHABLE.get(text, text)


def _number(value: object, default: int, key: str) -> int:
    if value is None:
        return default
    try:
        return int(str(value))
    except ValueError as exc:
        raise ValueError(f"{key} of LMCache's configuration is not a whole number") from exc
