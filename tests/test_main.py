# SPDX-License-Identifier: Apache-2.0
"""The program as its users start it: a process, its output, its exit status."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lmcache_frontend import __version__, command
from lmcache_frontend.store import pid_lock
from tests.helpers.ports import free_port
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "lmcache_frontend"]
NODE = '[{"name": "n", "host": "127.0.0.1", "port": 9}]'


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20)


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    with ExitStack() as cleanup:

        def begin(*arguments: str) -> tuple[subprocess.Popen[str], str]:
            process = subprocess.Popen(
                [*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

            def end() -> None:
                process.kill()
                process.communicate()

            cleanup.callback(end)
            assert process.stdout is not None
            return process, process.stdout.readline()

        yield begin


def port_of(line: str) -> int:
    match = re.search(r":(\d+)/", line)
    assert match, line
    return int(match[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_gently(
    start: Callable[..., tuple[subprocess.Popen[str], str]], number: int
) -> None:
    process, line = start("--port", "0", "--host", "127.0.0.1", "--nodes", NODE)
    port = port_of(line)
    assert line == f"LMCache dashboard at http://127.0.0.1:{port}/ with 1 node\n"
    assert ask(port, "GET", "/health").status == 200
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    # That nobody listens at the node's port may have been noticed meanwhile.
    assert (process.returncode, out) == (0, "")
    assert all("node n is unreachable" in line for line in err.splitlines())


def test_a_signal_is_heard_however_busy_the_threads_are(
    start: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, line = start("--port", "0", "--host", "127.0.0.1")
    port = port_of(line)
    ended = threading.Event()

    def knock() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=0.2).close()

    threads = [threading.Thread(target=knock) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=10)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert process.returncode == 0, err


def test_sighup_reads_the_file_again_and_ends_nothing(
    start: Callable[..., tuple[subprocess.Popen[str], str]], tmp_path: Path
) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(NODE)
    process, line = start("--port", "0", "--host", "127.0.0.1", "--config", str(path))
    assert ask(port_of(line), "DELETE", "/api/nodes/n").status == 200
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: b'"name":"n"' in ask(port_of(line), "GET", "/api/nodes").body)
    assert process.poll() is None


@pytest.mark.usefixtures("logging_restored")
def test_variables_of_a_kubernetes_service_are_no_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["--host", "192.0.2.1"], {"LMCACHE_FRONTEND_PORT": "tcp://10.0.0.1:8000"}) == 1
    assert "cannot listen on 192.0.2.1 port 8000" in capsys.readouterr().err


def test_the_demo_answers(start: Callable[..., tuple[subprocess.Popen[str], str]]) -> None:
    process, line = start("--port", "0", "--demo")
    assert line.endswith(" with 8 nodes\n")
    nodes = json.loads(ask(port_of(line), "GET", "/api/nodes").body)["nodes"][0]["children"]
    assert len(nodes) == 8
    for node in nodes:
        assert ask(port_of(line), "GET", f"/proxy2/{node['name']}/version").body.startswith(b'"0.5.6')
    sockets = [node["port"] for node in nodes if isinstance(node["port"], str)]
    assert all(Path(path).exists() for path in sockets)
    process.terminate()
    process.communicate(timeout=10)
    assert not any(Path(path).exists() for path in sockets)


def test_a_changed_file_is_loaded_while_it_runs(
    start: Callable[..., tuple[subprocess.Popen[str], str]], tmp_path: Path
) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(NODE)
    process, line = start("--port", "0", "--host", "127.0.0.1", "--config", str(path))

    def names() -> list[str]:
        tree = json.loads(ask(port_of(line), "GET", "/api/nodes").body)["nodes"]
        return [node["name"] for proxy in tree for node in proxy["children"]]

    assert names() == ["n"]
    path.write_text('[{"name": "broken"')
    path.with_suffix(".new").write_text(NODE.replace('"n"', '"m"'))
    assert process.stderr is not None
    assert any("not JSON" in line for line in iter(process.stderr.readline, ""))
    assert names() == ["n"]
    path.with_suffix(".new").rename(path)
    wait_until(lambda: names() == ["m"])


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version").stdout == f"lmcache-frontend {__version__}\n"
    assert command.run(["--help"], {}) == 0
    text = capsys.readouterr().out
    for flag in ("--port", "--nodes", "--config", "--demo", "--allow-target", "--settings", "--node-timeout"):
        assert flag in text


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--port", "x"], 2, "--port is 'x', expected a whole number from 0 to 65535"),
        (["--bogus"], 2, "unrecognized arguments: --bogus"),
        (["--port"], 2, "expected one argument"),
        (["--log-level", "loud"], 2, "expected one of critical"),
        (["--node-timeout", "-1"], 2, "expected seconds"),
        (["--port", "0", "--nodes", "{"], 2, "--nodes: not JSON"),
        (["--port", "0", "--nodes", '{"a": 1}'], 2, "--nodes: expected a list"),
        (["--settings", "/nonexistent.json"], 2, "cannot read the settings file"),
        (
            ["--port", "0", "--config", "/nonexistent.json"],
            1,
            "/nonexistent.json: cannot be read: No such file or directory",
        ),
        (["--host", "192.0.2.1"], 1, "cannot listen on 192.0.2.1 port 8000"),
        (["--host", "no.such.host.invalid"], 1, "cannot listen on no.such.host.invalid"),
    ],
)
@pytest.mark.usefixtures("logging_restored")
def test_a_bad_start_is_one_line_and_a_status(
    arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(arguments, {}) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.startswith("lmcache-frontend: ")
    assert said.err.count("\n") == 1


def test_a_status_is_that_of_the_process() -> None:
    result = run("--bogus")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "lmcache-frontend: unrecognized arguments: --bogus\n"


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("--host", "127.0.0.1", "--port", str(port))
    assert (result.returncode, result.stderr) == (
        1,
        f"lmcache-frontend: cannot listen on 127.0.0.1 port {port}: Address already in use\n",
    )


def test_a_default_file_that_another_process_is_just_making_ends_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    port = free_port()
    path = tmp_path / "lmcache-frontend" / f"{port}.db"
    path.parent.mkdir()
    lock = pid_lock.hold(str(path), f"{path}.lock")
    try:
        result = run("--host", "127.0.0.1", "--port", str(port))
    finally:
        os.close(lock)
    assert result.returncode == 1
    assert result.stderr == f"lmcache-frontend: {path} is in use by process {os.getpid()}\n"


def test_bad_entries_are_named_and_good_ones_load(start: Callable[..., tuple[subprocess.Popen[str], str]]) -> None:
    nodes = '[{"name": "bad", "host": "h", "port": 0}, 7, {"name": "good", "host": "h", "port": 1}]'
    process, line = start("--port", "0", "--host", "127.0.0.1", "--nodes", nodes)
    assert line.endswith(" with 1 node\n")
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert "--nodes: entry 1 ('bad'): port is 0, expected a number from 1 to 65535" in err
    assert "--nodes: entry 2: expected an object with name, host and port, got a number" in err
