# SPDX-License-Identifier: Apache-2.0
"""Real LMCache nodes as processes: in-process workers on TCP or on a Unix socket, and MP servers.

Each needs about 25 s to start and 0.9 GB. Leaves to the tests what is asked of them. Source: the command lines of
LMCache 0.5.6, ``lmcache.v1.standalone`` and ``lmcache.v1.multiprocess.http_server``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.helpers import parts
from tests.helpers.ports import free_port

START_LIMIT_S = 90.0
_STOP_LIMIT_S = 10.0
_VERSION = "0.5.6"


class Answer(NamedTuple):
    """A whole HTTP answer; field names are in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        """The body, parsed."""
        return json.loads(self.body)


class Running(NamedTuple):
    """A process of ours and the file with all that it wrote."""

    process: subprocess.Popen[bytes]
    log_path: Path

    def log(self) -> str:
        """Give what the process wrote so far."""
        return self.log_path.read_text(errors="replace")

    def end(self) -> None:
        """End the process: SIGTERM, and SIGKILL where that was not enough."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait(_STOP_LIMIT_S)

    def wait_until(self, condition: Callable[[], bool], what: str, limit_s: float = START_LIMIT_S) -> None:
        """Wait until the condition holds; show the log where the process ends first or the time runs out."""
        deadline = time.monotonic() + limit_s
        while not condition():
            ended = self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                reason = f"ended with {self.process.returncode}" if ended else f"took more than {limit_s:.0f} s"
                raise AssertionError(f"{what}: {self.process.args!r} {reason}\n{self.log()[-8000:]}")
            time.sleep(0.1)


class RealNode(NamedTuple):
    """A node that answers; ``port`` is a number or the path of its Unix socket."""

    name: str
    kind: str
    port: int | str
    running: Running

    @property
    def entry(self) -> dict[str, object]:
        """The node as ``--nodes`` takes it."""
        return {
            "name": self.name,
            "host": "localhost" if isinstance(self.port, str) else "127.0.0.1",
            "port": self.port,
        }

    def ask(self, method: str, path: str, body: bytes | None = None, *, content_type: str | None = None) -> Answer:
        """Ask the node itself, past everything of ours."""
        return ask(self.port, method, path, body, content_type=content_type)


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


def ask(
    port: int | str, method: str, path: str, body: bytes | None = None, *, content_type: str | None = None
) -> Answer:
    """Send one request to a port of 127.0.0.1 or to a Unix socket, on a connection of its own."""
    connection = (
        _SocketConnection(port) if isinstance(port, str) else http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    )
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Content-Type": content_type} if content_type else {})
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, response.read())


def answers(port: int | str, path: str) -> bool:
    """Tell whether a GET of the path gives 200 by now."""
    try:
        return ask(port, "GET", path).status == 200
    except (OSError, http.client.HTTPException):
        return False


def interpreter() -> str:
    """Give the Python that has LMCache, or skip the test."""
    named = os.environ.get("LMCACHE_FRONTEND_TEST_LMCACHE_PYTHON")
    if named:
        return named
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    cache = os.environ.get("LMCACHE_FRONTEND_CI_CACHE") or os.path.join(caches, "lmcache-frontend-ci")
    python = os.path.join(cache, f"lmcache-{_VERSION}", "bin", "python")
    if not os.path.exists(python):
        parts.missing(f"LMCache {_VERSION} (.ci/install-lmcache, or LMCACHE_FRONTEND_TEST_LMCACHE_PYTHON)")
    return python


def start(words: Sequence[str], log_path: Path, **variables: str) -> Running:
    """Start a process with the given variables added, its output going to the log file."""
    # LMCache's own default is one folder for all nodes of a host, whose figures then mix.
    figures = log_path.with_suffix(".figures")
    figures.mkdir()
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(figures), **variables}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=quiet_environment() | variables
        )
    return Running(process, log_path)


def quiet_environment() -> dict[str, str]:
    """Give our environment without what would configure LMCache, and with its usage reports off."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LMCACHE_")}
    return kept | {"LMCACHE_TRACK_USAGE": "false", "HF_HUB_OFFLINE": "1"}


def start_in_process(
    name: str, directory: Path, *, socket_prefix: str | None = None, settings: Mapping[str, object] | None = None
) -> RealNode:
    """Start a standalone worker (it serves the port after its first one) without waiting for it."""
    first = free_port(following=1)
    configuration: dict[str, object] = {
        "chunk_size": 256,
        "local_device": "cpu",
        "local_cpu": True,
        "max_local_cpu_size": 0.5,
        "internal_api_server_enabled": True,
        "internal_api_server_port_start": first,
        "internal_api_server_host": "127.0.0.1",
        "lmcache_instance_id": name,
        **(settings or {}),
    }
    if socket_prefix:
        configuration["internal_api_server_socket_path_prefix"] = socket_prefix
    # JSON is YAML.
    path = directory / f"{name}.yaml"
    path.write_text(json.dumps(configuration))
    words = [interpreter(), "-m", "lmcache.v1.standalone", "--config", str(path)]
    running = start(words, directory / f"{name}.log")
    port = f"{socket_prefix}_{first + 1}" if socket_prefix else first + 1
    return RealNode(name, "in-process", port, running)


def start_mp(name: str, directory: Path, *options: str, **variables: str) -> RealNode:
    """Start an MP server without waiting for it."""
    port = free_port(following=1)
    words = [interpreter(), "-m", "lmcache.v1.multiprocess.http_server"]
    words += ["--host", "localhost", "--port", str(port + 1), "--http-host", "127.0.0.1", "--http-port", str(port)]
    words += ["--l1-size-gb", "0.5", "--eviction-policy", "LRU", *options]
    return RealNode(name, "mp", port, start(words, directory / f"{name}.log", **variables))


def wait_for(node: RealNode) -> None:
    """Wait until the node answers."""
    path = "/healthcheck" if node.kind == "mp" else "/version"
    node.running.wait_until(lambda: answers(node.port, path), f"{node.name} answers")


@contextlib.contextmanager
def running_nodes(*nodes: RealNode) -> Iterator[tuple[RealNode, ...]]:
    """Wait for nodes that were started, and end them afterwards however the tests went."""
    try:
        for node in nodes:
            wait_for(node)
        yield nodes
    finally:
        for node in nodes:
            node.running.end()
            if isinstance(node.port, str):
                Path(node.port).unlink(missing_ok=True)
