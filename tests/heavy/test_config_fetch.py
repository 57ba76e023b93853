# SPDX-License-Identifier: Apache-2.0
"""``lmcache-config-fetch`` beside LMCache 0.5.6: a file that it writes holds what LMCache would have fetched itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.remote_config.yaml_subset import dump
from tests.helpers.lmcache_nodes import interpreter, quiet_environment
from tests.helpers.talking import ask
from tools.config_fetch import main

# Prints the answer and three configurations: what LMCache comes to by asking, that of a file, and that of variables.
PROGRAM = """
import json, logging, os, subprocess, sys
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.config_base import apply_remote_configs, fetch_remote_config
logging.disable(logging.CRITICAL)
base, written, variables = sys.argv[1:]
asking = LMCacheEngineConfig.from_file(base)
asking.update_config_from_env()
answer = fetch_remote_config(asking.remote_config_url, asking.app_id, asking)
apply_remote_configs(asking, answer)
for name in [name for name in os.environ if name.startswith("LMCACHE_")]:
    del os.environ[name]
reading = LMCacheEngineConfig.from_file(written)
for line in subprocess.check_output(["sh", "-c", f"set -a; . {variables}; env -0"], text=True).split("\\0"):
    name, _, value = line.partition("=")
    if name.startswith("LMCACHE_"):
        os.environ[name] = value
print(json.dumps([answer, asking.to_dict(), reading.to_dict(), LMCacheEngineConfig.from_env().to_dict()]))
"""
# Settings that no two processes have in common.
OWN = ("lmcache_instance_id",)
ITEMS: list[dict[str, Any]] = [
    {"key": "chunk_size", "value": 512},
    {"key": "max_local_cpu_size", "value": "3.5", "override": False},
    {"key": "max_local_disk_size", "value": 7, "override": False},
    {"key": "local_disk", "value": "file:///a/, /b/"},
    {"key": "retrieve_locations", "value": ["LocalCPUBackend", "a,b"]},
    {"key": "p2p_init_ports", "value": "1,2"},
    {
        "key": "extra_config",
        "value": {"b": 2, "nested": {"token": "s3cret", "text": " # yes: 'no' \u6f22 "}},
        "override": False,
    },
    {"key": "blend_special_str", "value": " # \t# "},
    {"key": "remote_url", "value": "lm://user:pass@h:65432?a=b#c"},
    {"key": "save_decode_cache", "value": True},
    {"key": "store_location", "value": None},
    {"key": "cache_policy", "value": "LFU", "override": False},
    {"key": "pin_timeout_sec", "value": 7.9},
]
BASES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}),
    (
        {"chunk_size": 128, "max_local_cpu_size": 8, "extra_config": {"a": 1, "b": 1}, "local_disk": "file:///x/"},
        {"LMCACHE_CACHE_POLICY": "FIFO", "LMCACHE_MIN_RETRIEVE_TOKENS": "9", "LMCACHE_USE_LAYERWISE": "True"},
    ),
    (
        {
            "save_decode_cache": "yes",
            "extra_config": '{"c": "1_000"}',
            "blend_special_str": "x: #y",
            "pin_timeout_sec": "12",
        },
        {"LMCACHE_EXTRA_CONFIG": '{"d": [1, 2.5, null]}', "LMCACHE_BLEND_SPECIAL_STR": "' z '"},
    ),
]


@pytest.mark.parametrize(("document", "variables"), BASES)
def test_the_file_holds_what_lmcache_would_fetch(
    start_app: Callable[..., App], tmp_path: Path, document: dict[str, Any], variables: dict[str, str]
) -> None:
    app = start_app()
    rules = {"rules": [{"name": "all", "match": {"app_id": ["a b"]}, "items": ITEMS}]}
    # What LMCache would refuse to send must be finite.
    url = f"http://127.0.0.1:{app.settings.port}/config"
    base = {**document, "remote_config_url": url, "app_id": "a b", "pd_allocation_timeout_sec": 5}
    assert ask(app.settings.port, "PUT", "/api/config/rules", json.dumps(rules).encode()).status == 200
    (tmp_path / "base.yaml").write_text(dump(base))
    written, lines = str(tmp_path / "written.yaml"), tmp_path / "lmcache.env"
    arguments = ["--config", str(tmp_path / "base.yaml"), "--write", written, "--format", "env", "--output", str(lines)]
    assert main([*arguments, "-q"], variables) == 0

    command = [interpreter(), "-c", PROGRAM, str(tmp_path / "base.yaml"), written, str(lines)]
    environment = {**quiet_environment(), **variables}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert result.returncode == 0, result.stderr
    answer, asked, read, of_variables = json.loads(result.stdout.splitlines()[-1])
    assert len(answer["configs"]) == len(ITEMS)
    for name in OWN:
        assert asked.pop(name)
        assert read.pop(name)
        assert of_variables.pop(name)
    assert read == asked
    # A list with a comma in a text, and null.
    comments = [line for line in lines.read_text().splitlines() if line.startswith("# LMCACHE_")]
    unsaid = {line.split(":")[0].removeprefix("# LMCACHE_").lower() for line in comments}
    assert unsaid == {"retrieve_locations", "store_location"}
    assert {name: value for name, value in asked.items() if of_variables[name] != value}.keys() <= unsaid
    assert asked["chunk_size"] == 512
