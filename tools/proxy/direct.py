# SPDX-License-Identifier: Apache-2.0
"""One node spoken to without a frontend, over TCP or a Unix socket: its items as a frontend would read them.

What items there are on which kind of node is the adapters' to know; requests of any other kind go through `client`.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from lmcache_frontend.cluster.adapters.kinds import Identity
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.cluster.adapters.read import read
from lmcache_frontend.cluster.model import Node, Source
from lmcache_frontend.errors import FrontendError, Unreachable, UsageError
from lmcache_frontend.http1.client import Endpoint, Pool
from lmcache_frontend.http1.fetch import Answer, Question, send

from ..exchange import ANSWER_LIMIT_BYTES, Url, Wire, read_url
from ..frontend_client import FrontendClient

_LAST_PORT = 65_535


class DirectNode(NamedTuple):
    """A node at an address, and how long it may be silent."""

    endpoint: Endpoint
    timeout_s: float

    @property
    def name(self) -> str:
        """Give the address, which is all the name that it has."""
        return str(self.endpoint)

    @property
    def node(self) -> Node:
        """Give it as a node of a cluster of its own."""
        host, port = self.endpoint
        return Node(self.name, host if port else "", port or host, self.endpoint, Source.FLAG)

    @property
    def client(self) -> FrontendClient:
        """Give what speaks HTTP with the node itself."""
        host, port = self.endpoint
        if port:
            return FrontendClient(Url("http", host, port), None, Wire(self.timeout_s))
        return FrontendClient(Url("http", "localhost", 80), None, Wire(self.timeout_s, socket_path=host))

    def send(self, question: Question, timeout_s: float | None = None) -> Answer:
        """Send a request and read the whole answer, of whichever status.

        Raises: BadGateway, GatewayTimeout.
        """
        longest_s = timeout_s or self.timeout_s
        pool = Pool(connect_timeout_s=self.timeout_s, send_timeout_s=longest_s, permit=lambda host, port: None)
        return send(
            pool,
            self.endpoint,
            self.node.authority,
            question,
            timeout_s=longest_s,
            limit_bytes=ANSWER_LIMIT_BYTES,
        )

    def ask(self, target: str, timeout_s: float | None = None) -> Answer:
        """Ask for something, as the adapters do.

        Raises: as `send`.
        """
        return self.send(Question("GET", target), timeout_s)

    def identify(self) -> Identity:
        """Find out what the node is.

        Raises: Unreachable.
        """
        try:
            return probe(self.ask)
        except FrontendError as exc:
            raise Unreachable(str(exc)) from exc

    def read(self, identity: Identity, item: str) -> dict[str, Any]:
        """Read an item, in the shape of ``/api/nodes/{name}/{item}``."""
        reading = read(identity, item, self.ask)
        return {"state": reading.state.value, "reason": reading.reason, "data": reading.data}


def direct_node(text: str, timeout_s: float) -> DirectNode:
    """Read the address of ``--direct``: ``HOST:PORT``, ``:PORT`` of this machine, or the path of a socket.

    Raises: UsageError.
    """
    expected = f"--direct: expected HOST:PORT or the path of a socket, got {text!r}"
    if "/" in text and "://" not in text:
        return DirectNode(Endpoint(os.path.abspath(text), 0), timeout_s)
    whole = f"127.0.0.1{text}" if text.startswith(":") else text
    if not re.search(r":\d+/?$", whole):
        raise UsageError(expected)
    url = read_url(whole, "--direct")
    if url.scheme != "http" or url.target != "/" or url.user_information is not None or not 0 < url.port <= _LAST_PORT:
        raise UsageError(expected)
    return DirectNode(Endpoint(url.host, url.port), timeout_s)
