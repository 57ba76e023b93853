# SPDX-License-Identifier: Apache-2.0
"""The actions' endpoints on a server of their own, over a registry of nodes that are asked over real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from lmcache_frontend.access.identity import Identity
from lmcache_frontend.access.rules import Role
from lmcache_frontend.actions.service import Actions
from lmcache_frontend.audit.deeds import Deed
from lmcache_frontend.cluster.model import LOCAL_PROXY, Node
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import NotFound
from lmcache_frontend.fleet.collector import Collector
from lmcache_frontend.http1.client import Endpoint, Pool
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.http1.fetch import Answer, Question, send
from lmcache_frontend.http1.server import Server
from lmcache_frontend.routes import actions as routes
from tests.helpers.fleet import make_node
from tests.helpers.talking import ask


class ActionsBench:
    """A server with the actions' endpoints, a registry of nodes, and what was written down."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.pool = Pool(connect_timeout_s=5.0, send_timeout_s=5.0, permit=lambda address, port: None)
        self.collector = Collector(self.registry, self.ask_node)
        self.deeds: list[Deed] = []
        self.actions = Actions(
            lambda: self.registry.snapshot,
            lambda: self.collector.snapshot,
            self.collector.identity,
            self.send,
            node_timeout_s=20.0,
            health_pause_s=0.0,
        )
        self.services: Any = SimpleNamespace(
            actions=lambda: self.actions,
            gate=SimpleNamespace(
                identify=lambda exchange: Identity(Role.OPERATOR, "local", "local", "127.0.0.1"),
                still_passes=lambda exchange, need: True,
            ),
            state=SimpleNamespace(audit=SimpleNamespace(record=self.deeds.append)),
        )
        self.server = Server(("127.0.0.1", 0), self.handle)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def port(self) -> int:
        return self.server.server_port

    def send(self, node: Node, question: Question, timeout_s: float) -> Answer:
        """Ask a node, through the frontend that it is behind."""
        if node.proxy != LOCAL_PROXY:
            question = question._replace(target=f"/proxy2/{quote(node.name, safe='')}{question.target}")
            proxy = self.registry.snapshot.proxies.get(node.proxy)
            if proxy is None or proxy.address is None:
                raise NotFound(f"{node.proxy} is no proxy any more")
            node = proxy.address
        return send(self.pool, node.endpoint, node.authority, question, timeout_s=timeout_s, limit_bytes=16 << 20)

    def ask_node(self, node: Node) -> Callable[[str, float | None], Answer]:
        return lambda target, timeout_s: self.send(node, Question("GET", target), timeout_s or 5.0)

    def handle(self, exchange: Exchange) -> None:
        path = exchange.request.target.partition("?")[0].removeprefix("/api/fleet/actions")
        handlers = {
            "POST": routes.begin,
            "GET": routes.show if path else routes.recent,
            "HEAD": routes.show,
            "DELETE": routes.stop,
        }
        handlers[exchange.request.method](exchange, self.services, {"action": path[1:]})

    def add(self, name: str, port: int | str) -> None:
        """Register a node on a port or a socket."""
        endpoint = Endpoint("127.0.0.1", port) if isinstance(port, int) else Endpoint(port, 0)
        self.registry.add_node(make_node(name, endpoint=endpoint))

    def ask(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        """Give the status, and the JSON or the list of lines."""
        reply = ask(self.port, method, f"/api/fleet/actions{path}", body, timeout_s=60.0)
        if reply.fields["Content-Type"] == "application/x-ndjson":
            return reply.status, [json.loads(line) for line in reply.body.splitlines()]
        return reply.status, json.loads(reply.body)

    def run(self, action: str, arguments: Any = None, **more: Any) -> dict[str, Any]:
        """Carry an action out on all nodes, unless told otherwise, and give the lines by node."""
        selection = {} if "nodes" in more else {"filter": "*"}
        status, lines = self.ask("POST", body={"action": action, "arguments": arguments or {}, **selection, **more})
        assert status == 200, lines
        return {line["node"]: line for line in lines[1:-1]}

    def close(self) -> None:
        """End everything."""
        self.actions.end()
        self.server.drain(5.0)
        self.thread.join(5)
        self.collector.stop()
        self.pool.close()
