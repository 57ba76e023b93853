# SPDX-License-Identifier: Apache-2.0
"""Real LMCache 0.5.6 workers fetch their configuration from the service, by themselves and through the tool."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.heavy.conftest import CHECKOUT, Frontend, start_frontend
from tests.helpers import lmcache_nodes
from tests.helpers.lmcache_nodes import RealNode
from tests.helpers.ports import free_port
from tests.helpers.waiting import wait_until

RULES = [
    {
        "name": "everybody",
        "items": [
            {"key": "chunk_size", "value": 512, "override": True},
            {"key": "max_local_cpu_size", "value": 3.0, "override": False},
            {"key": "min_retrieve_tokens", "value": 64, "override": False},
            {"key": "extra_config", "value": {"added": 1, "kept": "new"}, "override": False},
            {"key": "retrieve_locations", "value": ["LocalCPUBackend"], "override": True},
            {"key": "save_decode_cache", "value": True, "override": True},
        ],
    },
    {"name": "chat", "match": {"app_id": ["chat"]}, "items": [{"key": "lookup_timeout_ms", "value": 1234}]},
    {"name": "others", "match": {"app_id": ["other"]}, "items": [{"key": "lookup_timeout_ms", "value": 1}]},
]
EXPECTED = {
    "chunk_size": 512,
    # Set by the worker itself, and not to be overridden.
    "max_local_cpu_size": 0.5,
    "min_retrieve_tokens": 64,
    "extra_config": {"own": True, "kept": "new", "added": 1},
    "retrieve_locations": ["LocalCPUBackend"],
    "save_decode_cache": True,
    "lookup_timeout_ms": 1234,
    "app_id": "chat",
}
SETTINGS = {
    "CHUNK_SIZE": "256",
    "LOCAL_CPU": "true",
    "MAX_LOCAL_CPU_SIZE": "0.5",
    "EXTRA_CONFIG": '{"own": true, "kept": "old"}',
    "INTERNAL_API_SERVER_ENABLED": "true",
    "INTERNAL_API_SERVER_HOST": "127.0.0.1",
    "LMCACHE_INSTANCE_ID": "fetching",
    "APP_ID": "chat",
    "PD_ALLOCATION_TIMEOUT_SEC": "30",
}


class Fetching(NamedTuple):
    """The service, a worker that fetched by itself, and one that was started from what the tool wrote."""

    frontend: Frontend
    by_itself: RealNode
    by_tool: RealNode
    written: Path


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetching]:
    lmcache_nodes.interpreter()
    directory = tmp_path_factory.mktemp("fetching")
    frontend = start_frontend(directory, ())
    try:
        put_rules(frontend, RULES)
        written = directory / "written.yaml"
        by_tool = start_with_tool(frontend, directory, written)
        with lmcache_nodes.running_nodes(start_by_itself(frontend, directory), by_tool) as (by_itself, _):
            yield Fetching(frontend, by_itself, by_tool, written)
    finally:
        frontend.running.end()


def put_rules(frontend: Frontend, rules: list[Any]) -> dict[str, Any]:
    answer = frontend.ask("PUT", "/api/config/rules", json.dumps({"rules": rules}).encode())
    assert answer.status == 200, answer.body
    document: dict[str, Any] = json.loads(answer.body)
    return document


def address(frontend: Frontend) -> str:
    return f"http://127.0.0.1:{frontend.port}/config"


def start_by_itself(frontend: Frontend, directory: Path) -> RealNode:
    """Start a worker that is configured by variables alone: only then does a standalone one ask."""
    first = free_port(following=1)
    settings = {**SETTINGS, "REMOTE_CONFIG_URL": address(frontend), "INTERNAL_API_SERVER_PORT_START": str(first)}
    words = [lmcache_nodes.interpreter(), "-m", "lmcache.v1.standalone", "--device", "cpu"]
    variables = {f"LMCACHE_{name}": value for name, value in settings.items()}
    running = lmcache_nodes.start(words, directory / "by-itself.log", POD_NAME="pod-1", **variables)
    return RealNode("by-itself", "in-process", first + 1, running)


def start_with_tool(frontend: Frontend, directory: Path, written: Path) -> RealNode:
    """Write a worker's whole configuration with the tool, from a file as it would have been started with."""
    first = free_port(following=1)
    own = directory / "own.yaml"
    own.write_text(
        f"chunk_size: 256\nlocal_device: cpu\nlocal_cpu: true\nmax_local_cpu_size: 0.5\n"
        f"extra_config:\n  own: true\n  kept: old\ninternal_api_server_enabled: true\n"
        f"internal_api_server_host: 127.0.0.1\ninternal_api_server_port_start: {first}\n"
        f"lmcache_instance_id: by-tool\napp_id: chat\nremote_config_url: {address(frontend)}\n"
    )
    result = fetch("--config", str(own), "--write", str(written))
    assert result.returncode == 0, result.stderr
    words = [lmcache_nodes.interpreter(), "-m", "lmcache.v1.standalone", "--config", str(written)]
    return RealNode("by-tool", "in-process", first + 1, lmcache_nodes.start(words, directory / "by-tool.log"))


def fetch(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.config_fetch", *words], cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )


def configuration(node: RealNode) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(node.ask("GET", "/conf").body)
    return document


@pytest.mark.parametrize("key", EXPECTED)
def test_a_worker_has_what_it_fetched(fetching: Fetching, key: str) -> None:
    assert configuration(fetching.by_itself)[key] == EXPECTED[key]


@pytest.mark.parametrize("key", EXPECTED)
def test_a_worker_has_what_the_tool_wrote(fetching: Fetching, key: str) -> None:
    assert configuration(fetching.by_tool)[key] == EXPECTED[key]


def test_the_worker_is_known_and_its_preview_is_what_it_has(fetching: Fetching) -> None:
    def clients() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(fetching.frontend.ask("GET", "/api/config/clients").body)["clients"]
        return listed

    wait_until(lambda: any(client["instance"] == "fetching" for client in clients()))
    (client,) = [client for client in clients() if client["instance"] == "fetching"]
    assert (client["app_id"], client["lmcache_keys"], client["would_change"]) == ("chat", 108, False)
    body = json.dumps({"client_id": client["client_id"]}).encode()
    preview = json.loads(fetching.frontend.ask("POST", "/api/config/preview", body).body)
    results = {row["key"]: row["result"] for row in preview["result"]}
    assert {key: results[key] for key in ("chunk_size", "retrieve_locations", "save_decode_cache")} == {
        key: EXPECTED[key] for key in ("chunk_size", "retrieve_locations", "save_decode_cache")
    }
    assert [entry["rule"] for entry in preview["unmatched"]] == ["others"]


def test_check_sees_when_the_written_file_is_out_of_date(fetching: Fetching, tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    own = fetching.written.parent / "own.yaml"
    assert fetch("--config", str(own), "--write", str(copy)).returncode == 0
    assert fetch("--config", str(own), "--write", str(copy), "--check").returncode == 0
    copy.write_text(copy.read_text().replace("512", "128"))
    assert fetch("--config", str(own), "--write", str(copy), "--check").returncode == 4
