# SPDX-License-Identifier: Apache-2.0
"""Real LMCache nodes and the service in front of them, once for the whole run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers import lmcache_nodes, parts
from tests.helpers.lmcache_nodes import Answer, RealNode, Running

CHECKOUT = Path(__file__).resolve().parents[2]
SOCKET_PREFIX = "/tmp/lmcache_internal_api_server/socket"


class Nodes(NamedTuple):
    """One node of each kind; ``tcp`` also runs scripts."""

    tcp: RealNode
    unix: RealNode
    mp: RealNode


class Frontend(NamedTuple):
    """Our service as a process."""

    port: int
    running: Running

    def ask(self, method: str, path: str, body: bytes | None = None, *, content_type: str | None = None) -> Answer:
        """Send one request to the service."""
        return lmcache_nodes.ask(self.port, method, path, body, content_type=content_type)


def start_frontend(directory: Path, nodes: tuple[RealNode, ...]) -> Frontend:
    """Start the service from the checkout for these nodes and wait until it says where it listens."""
    entries = json.dumps([node.entry for node in nodes])
    words = [sys.executable, "-m", "lmcache_frontend", "--host", "127.0.0.1", "--port", "0", "--nodes", entries]
    running = lmcache_nodes.start(
        words, directory / "frontend.log", PYTHONPATH=str(CHECKOUT), XDG_STATE_HOME=str(directory)
    )
    address = re.compile(r"http://[^\s/]+:(\d+)")
    try:
        running.wait_until(lambda: address.search(running.log()) is not None, "the service starts", 20)
    except AssertionError:
        running.end()
        raise
    found = address.search(running.log())
    assert found is not None
    return Frontend(int(found.group(1)), running)


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Run a worker on TCP, a worker on a Unix socket and an MP server."""
    lmcache_nodes.interpreter()
    directory = tmp_path_factory.mktemp("nodes")
    with lmcache_nodes.running_nodes(
        lmcache_nodes.start_in_process("worker-tcp", directory, settings={"run_script_api_enabled": True}),
        lmcache_nodes.start_in_process("worker-unix", directory, socket_prefix=SOCKET_PREFIX),
        lmcache_nodes.start_mp("mp-server", directory),
    ) as (tcp, unix, mp):
        yield Nodes(tcp, unix, mp)


@pytest.fixture(scope="session")
def frontend(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    """Run the service in front of the nodes."""
    service = start_frontend(tmp_path_factory.mktemp("frontend"), nodes)
    yield service
    service.running.end()


@pytest.fixture(scope="session")
def curl() -> str:
    """Give the path of curl."""
    return parts.program("curl", "curl")
