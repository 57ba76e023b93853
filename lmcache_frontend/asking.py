# SPDX-License-Identifier: Apache-2.0
"""How this service itself asks nodes: straight, or by name at the frontend that a node is behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lmcache_frontend.cluster.model import LOCAL_PROXY, Node
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import BadGateway, NotFound
from lmcache_frontend.http1.client import Pool
from lmcache_frontend.http1.fetch import Answer, Question, send

if TYPE_CHECKING:
    from lmcache_frontend.cluster.adapters.kinds import Ask

ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
# What a frontend says of names it does not know, or that mean several nodes, of hosts it does not answer for, and of
# requests that went round in a circle. LMCache's own 404 is alike, and always says the same.
ASTRAY = frozenset({404, 409, 421, 508})
LMCACHE_NOT_FOUND = "Not Found"


class NodeAsker:
    """Asks nodes over a pool."""

    def __init__(self, registry: Registry, pool: Pool, *, timeout_s: float) -> None:
        """Take the time that an answer may take where nobody says otherwise."""
        self._registry = registry
        self._pool = pool
        self._timeout_s = timeout_s

    def send(self, node: Node, question: Question, timeout_s: float | None = None) -> Answer:
        """Ask a node something and read the whole answer.

        Raises: BadGateway, GatewayTimeout; NotFound where the frontend that it is behind is known no more.
        """
        if node.proxy != LOCAL_PROXY:
            # Its address is the business of that frontend.
            proxy = self._registry.snapshot.proxies.get(node.proxy)
            if proxy is None or proxy.address is None:
                raise NotFound(f"{node.proxy!r}, the frontend of {node.name!r}, is known no more")
            question = question._replace(target=f"/proxy2/{quote(node.name, safe='')}{question.target}")
            node = proxy.address
        timeout_s = timeout_s or self._timeout_s
        limit_bytes = ANSWER_LIMIT_BYTES
        return send(self._pool, node.endpoint, node.authority, question, timeout_s=timeout_s, limit_bytes=limit_bytes)

    def ask_node(self, node: Node) -> Ask:
        """Give the function that reads from a node; where its frontend answers in its place, that is a BadGateway."""

        def ask(target: str, timeout_s: float | None) -> Answer:
            answer = self.send(node, Question("GET", target), timeout_s)
            if node.proxy != LOCAL_PROXY and answer.head.status in ASTRAY:
                detail = _detail_in(answer.body)
                if detail not in (None, LMCACHE_NOT_FOUND):
                    raise BadGateway(f"{node.proxy}: {detail}")
            return answer

        return ask

    def fetch_json(self, node: Node, target: str) -> Any:
        """Read a document.

        Raises: as `send`; BadGateway for what is no JSON.
        """
        answer = self.send(node, Question("GET", target))
        if answer.head.status != 200:
            raise BadGateway(f"{node.endpoint} answered {answer.head.status}, expected 200")
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as exc:
            raise BadGateway(f"{node.endpoint} did not answer with JSON") from exc


def _detail_in(body: bytes) -> str | None:
    """Give the words of an error of ours, None for anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    detail = document.get("detail") if isinstance(document, dict) else None
    return detail if isinstance(detail, str) else None
