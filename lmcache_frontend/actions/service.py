# SPDX-License-Identifier: Apache-2.0
"""Actions on many nodes, as the endpoints use them: begin one, look at it, stop it.

Each is carried out in threads of its own, so that it goes on when the request that began it has ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from lmcache_frontend.actions.arguments import describe
from lmcache_frontend.actions.engine import Job, Record, Tools, perform
from lmcache_frontend.actions.ledger import Ledger, Progress
from lmcache_frontend.actions.requests import read_request
from lmcache_frontend.actions.targets import select
from lmcache_frontend.cluster.adapters.kinds import Identity
from lmcache_frontend.cluster.model import Cluster, Node
from lmcache_frontend.errors import ServiceUnavailable
from lmcache_frontend.fleet.snapshot import FleetSnapshot
from lmcache_frontend.http1.fetch import Answer, Question

logger = logging.getLogger(__name__)

STOPPED = "stopped on request"
ENDING = "stopped, as this service is ending"


class Actions:
    """All actions of this service; any thread may call."""

    def __init__(
        self,
        cluster: Callable[[], Cluster],
        snapshot: Callable[[], FleetSnapshot],
        identity: Callable[[str], Identity | None],
        send: Callable[[Node, Question, float], Answer],
        *,
        node_timeout_s: float,
        clock: Callable[[], float] = time.time,
        health_pause_s: float = 1.0,
    ) -> None:
        """Take what gives the nodes as registered and as last seen, and what else `engine.Tools` says.

        ``health_pause_s`` is how long to wait between two looks at a node that went first.
        """
        self._cluster = cluster
        self._snapshot = snapshot
        self._tools = Tools(send, identity, node_timeout_s, clock, time.monotonic, health_pause_s)
        self._ledger = Ledger(clock)

    def start(self, document: Mapping[str, Any], record: Record) -> Progress:
        """Begin what a body of ``POST /api/fleet/actions`` asks for, and give its progress at once.

        ``record(node, what, outcome, detail)`` writes down what was done.
        Raises: BadRequest, NotFound and Conflict for names, ServiceUnavailable.
        """
        request = read_request(document)
        targets = select(request, self._cluster(), self._snapshot())
        what = describe(request.arguments)
        progress = self._ledger.open(request.action, what, len(targets), dry_run=request.dry_run)
        job = Job(request, targets, progress, self._tools, record)
        try:
            threading.Thread(target=perform, args=(job,), name="action", daemon=True).start()
        except RuntimeError as exc:
            progress.end(self._tools.clock())
            raise ServiceUnavailable("no thread is left for this action") from exc
        if not request.dry_run:
            logger.info("action %s on %d nodes", request.action, len(targets))
        return progress

    def find(self, action_id: str) -> Progress:
        """Give an action by its id.

        Raises: NotFound.
        """
        return self._ledger.find(action_id)

    def recent(self) -> list[dict[str, Any]]:
        """Give the recent actions, the newest first, in the shape of ``GET /api/fleet/actions``."""
        return [progress.document for progress in self._ledger.recent()]

    def stop(self, action_id: str) -> Progress:
        """Let an action begin no further node; what is under way ends.

        Raises: NotFound.
        """
        progress = self._ledger.find(action_id)
        if progress.ended_at is None:
            progress.stop(STOPPED)
        return progress

    def end(self) -> None:
        """Stop all, on the way out."""
        self._ledger.close(ENDING)

    def wait(self, timeout_s: float) -> bool:
        """Wait, once `end` was called, until what is under way has ended and is written down; say whether it has."""
        left = self._ledger.wait(timeout_s)
        for progress in left:
            logger.warning(
                "%s: cut off with %d of %d nodes told of; what came of the others is not known",
                progress.title.what,
                len(progress.lines),
                progress.title.total,
            )
        return not left
