# SPDX-License-Identifier: Apache-2.0
"""The server of remote configuration alone, as its users start it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers.ports import free_port
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until
from tools.config_server import main

ROOT = Path(__file__).resolve().parents[1]
RULES = "rules: [{name: all, items: [{key: chunk_size, value: 512}]}]\n"
Start = Callable[..., tuple["subprocess.Popen[str]", int]]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as cleanup:

        def begin(*arguments: str, **variables: str) -> tuple[subprocess.Popen[str], int]:
            command = [sys.executable, "-m", "tools.config_server", "--host", "127.0.0.1", "--port", "0", *arguments]
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, **variables},
            )

            def end() -> None:
                process.kill()
                process.communicate()

            cleanup.callback(end)
            assert process.stdout is not None
            line = process.stdout.readline()
            match = re.fullmatch(r"LMCache configuration at http://127\.0\.0\.1:(\d+)/config\n", line)
            assert match, line
            return process, int(match[1])

        yield begin


def test_it_serves_the_rules_of_a_file_and_nothing_else(start: Start, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    process, port = start("--store", "memory:", "--config-rules", str(tmp_path / "rules.yaml"), "--log-format", "json")
    reply = ask(port, "GET", "/config?appId=a", b'{"current_config": {}, "env_variables": {}}')
    assert json.loads(reply.body) == {"configs": [{"key": "chunk_size", "value": 512, "override": True}]}
    for path in ("/", "/api/nodes", "/api/fleet", "/proxy/127.0.0.1/1/metrics", "/proxy2/n/metrics"):
        assert ask(port, "GET", path).status == 404, path
    assert ask(port, "GET", "/health").status == 200
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_rules_are_kept_in_the_store(start: Start, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'state.db'}"
    process, port = start("--store", store)
    body = json.dumps({"rules": [{"name": "all", "items": [{"key": "chunk_size", "value": 384}]}]}).encode()
    assert ask(port, "PUT", "/api/config/rules", body).status == 200
    process.kill()
    process.wait(timeout=10)
    _, port = start(LMCACHE_CONFIG_SERVER_STORE=store)
    assert json.loads(ask(port, "POST", "/config").body)["configs"][0]["value"] == 384


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--port", "x"], 2, "--port"),
        (["--nodes", "[]"], 2, "--nodes"),
        (["--config-rules", "/nowhere/rules.yaml", "--store", "memory:", "--port", "0"], 1, "/nowhere/rules.yaml"),
    ],
)
@pytest.mark.usefixtures("logging_restored")
def test_faults_of_the_command_line_are_told(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments, {}) == status
    err = capsys.readouterr().err
    assert err.startswith("lmcache-config-server: ")
    assert message in err


def test_the_help_names_its_own_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"], {}) == 0
    out = capsys.readouterr().out
    for flag in (
        "--host",
        "--port",
        "--config-rules",
        "--store",
        "--strict-config",
        "--config-remember",
        "--log-level",
    ):
        assert f"{flag} " in out
    assert "(8088)" in out
    assert "--demo" not in out


def test_it_serves_though_nobody_hears_that_it_does() -> None:
    port = free_port()
    command = [sys.executable, "-m", "tools.config_server", "--host", "127.0.0.1", "--port", str(port)]
    with open("/dev/full", "w") as full:
        process = subprocess.Popen([*command, "--store", "memory:"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE)

    def answers() -> bool:
        try:
            return ask(port, "GET", "/config").status == 200
        except OSError:
            return False

    try:
        wait_until(answers)
    finally:
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, b"")
