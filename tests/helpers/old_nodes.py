# SPDX-License-Identifier: Apache-2.0
"""Simulated nodes that behave as those of an earlier release of LMCache: what came later is not there.

Which release has which endpoint is written down here once more, for changes; what the simulation answers is 0.5.6's.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from lmcache_frontend.demo.inprocess.node import InProcessNode
from lmcache_frontend.demo.multiprocess.node import MultiprocessNode
from lmcache_frontend.errors import FrontendError
from lmcache_frontend.http1.fetch import Answer, Question
from lmcache_frontend.http1.heads import ResponseHead
from tests.helpers.generations import numbers

# By method and the first segment of the path; what is not here came with 0.3.4.
_IN_PROCESS_SINCE = {
    "GET version": "0.3.6",
    "GET lmc_version": "0.3.6",
    "DELETE cache": "0.3.9",
    "PUT freeze": "0.3.11",
    "GET freeze": "0.3.11",
    "GET periodic-threads": "0.3.13",
    "GET periodic-threads-health": "0.3.13",
    "POST conf": "0.3.14",
    "GET backends": "0.3.15",
    "POST backends": "0.3.15",
    "DELETE backends": "0.3.15",
    "PUT bypass": "0.3.15",
    "PUT hot_cache": "0.3.15",
    "POST metrics": "0.3.15",
}
# The path of a release and that of 0.5.6, from a release to another.
_MP_PATHS = (
    ("GET", "/api/healthcheck", "/healthcheck", "0.3.15", "0.4.4"),
    ("GET", "/api/status", "/status", "0.4.1", "0.4.4"),
    ("POST", "/api/clear-cache", "/cache/clear", "0.4.1", "0.4.4"),
    ("POST", "/clear-cache", "/cache/clear", "0.4.5", "0.5.0"),
    ("GET", "/conf", "/config", "0.4.5", "0.5.0"),
    ("GET", "/config", "/config", "0.5.1", "9"),
    ("POST", "/cache/clear", "/cache/clear", "0.5.1", "9"),
    ("POST", "/run_script", "/run_script", "0.4.6", "9"),
    *(
        ("GET", path, path, "0.4.5", "9")
        for path in ("/version", "/loglevel", "/metrics", "/status", "/healthcheck", "/periodic-threads-health")
    ),
)


class Asked(NamedTuple):
    """A request that a node got."""

    method: str
    target: str
    body: bytes

    @property
    def changes(self) -> bool:
        """Say whether it does more than read."""
        return self.method != "GET" or "level=" in self.target


class OldNode:
    """A node of a release over a simulated one; ``down`` is raised in place of an answer, ``asked`` is what it got."""

    def __init__(self, demo: InProcessNode | MultiprocessNode, release: str = "0.5.6") -> None:
        self.demo = demo
        self.release = release
        self.down: FrontendError | None = None
        self.instead: dict[str, Answer] = {}
        self.asked: list[Asked] = []

    @property
    def changes(self) -> list[str]:
        """Give the requests that it got which change something."""
        return [f"{asked.method} {asked.target}" for asked in self.asked if asked.changes]

    def answer(self, question: Question) -> Answer:
        """Answer as the release does."""
        self.asked.append(Asked(question.method, question.target, question.body))
        if self.down is not None:
            raise self.down
        path, _, query = question.target.partition("?")
        if path in self.instead:
            return self.instead[path]
        real = self._path(question.method, path)
        if real is None:
            return answer_of(404, b'{"detail":"Not Found"}')
        if path == "/version":
            return answer_of(200, json.dumps(f"{self.release}-g1").encode())
        given = self.demo.answer(question.method, real, query, question.body)
        return answer_of(given.status, given.body)

    def _path(self, method: str, path: str) -> str | None:
        now = numbers(self.release)
        if isinstance(self.demo, InProcessNode):
            since = _IN_PROCESS_SINCE.get(f"{method} {path.split('/')[1]}", "0.3.4")
            return path if now >= numbers(since) else None
        for known, old, real, first, last in _MP_PATHS:
            if (known, old) == (method, path) and numbers(first) <= now <= numbers(last):
                return real
        return None


def answer_of(status: int, body: bytes) -> Answer:
    """Make an answer."""
    return Answer(ResponseHead(status, "", 1, [], {}), body)
