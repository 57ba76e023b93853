# SPDX-License-Identifier: Apache-2.0
"""The actions under way and the recent ones: each goes on and can be asked about when its caller has gone.

Ids cannot be guessed. Memory is bounded: the oldest that have ended are forgotten. What an action does is left to
`engine`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from lmcache_frontend.actions.outcomes import FAILED, OUTCOMES, Line
from lmcache_frontend.errors import NotFound, ServiceUnavailable

MOST_RUNNING = 16
MOST_KEPT = 100
MOST_LINES_KEPT = 20_000


class Title(NamedTuple):
    """What an action is, for a list: ``what`` in words, ``total`` nodes, ``started_at`` in seconds since the epoch."""

    action: str
    what: str
    total: int
    dry_run: bool
    started_at: float


class Progress:
    """An action under way, or ended; any thread may call."""

    def __init__(self, title: Title) -> None:
        """Begin with no lines, under an id of its own."""
        # In hexadecimal: what begins with a dash is taken for an option on a command line.
        self.id = secrets.token_hex(12)
        self.title = title
        self.stop_reason = ""
        self.ended_at: float | None = None
        self._lines: list[Line] = []
        self._counts: Counter[str] = Counter()
        self._changed = threading.Condition()

    def add(self, line: Line) -> None:
        """Take a line."""
        with self._changed:
            self._lines.append(line)
            self._counts[line.outcome] += 1
            self._changed.notify_all()

    def stop(self, reason: str) -> None:
        """Let no further node be begun; the first reason counts."""
        with self._changed:
            self.stop_reason = self.stop_reason or reason
            self._changed.notify_all()

    def end(self, at: float) -> None:
        """Note that there is nothing more to come."""
        with self._changed:
            self.ended_at = at
            self._changed.notify_all()

    @property
    def failures(self) -> int:
        """Give the number of nodes where it failed."""
        return self._counts[FAILED]

    @property
    def summary(self) -> dict[str, int]:
        """Give the number of nodes by outcome."""
        with self._changed:
            return {outcome: self._counts[outcome] for outcome in OUTCOMES}

    @property
    def lines(self) -> list[Line]:
        """Give the lines so far."""
        with self._changed:
            return list(self._lines)

    def follow(self, position: int, timeout_s: float) -> tuple[list[Line], bool]:
        """Wait for lines from a position on, or for the end; give what there is then, and whether that is all."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._lines) > position or self.ended_at is not None, timeout_s)
            return self._lines[position:], self.ended_at is not None

    def wait_for_end(self, timeout_s: float) -> bool:
        """Wait so long at most, and say whether it has ended."""
        with self._changed:
            return self._changed.wait_for(lambda: self.ended_at is not None, timeout_s)

    def wait_for_stop(self, timeout_s: float) -> bool:
        """Wait so long at most, and say whether it was stopped."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self.stop_reason), timeout_s)

    @property
    def document(self) -> dict[str, Any]:
        """Give this action in the shape of the list of actions."""
        title = self.title
        state = "ended" if self.ended_at is not None else "stopping" if self.stop_reason else "running"
        return {
            "id": self.id,
            "action": title.action,
            "what": title.what,
            "nodes": title.total,
            "dry_run": title.dry_run,
            "state": state,
            "stop_reason": self.stop_reason or None,
            "started_at": title.started_at,
            "ended_at": self.ended_at,
            "summary": self.summary,
        }


class Ledger:
    """Holds actions by id."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take what gives the time in seconds since the epoch."""
        self._clock = clock
        self._lock = threading.Lock()
        self._actions: dict[str, Progress] = {}
        self._is_closed = False

    def open(self, action: str, what: str, total: int, *, dry_run: bool = False) -> Progress:
        """Begin an action.

        Raises: ServiceUnavailable where too many are under way, or on the way out.
        """
        progress = Progress(Title(action, what, total, dry_run, self._clock()))
        with self._lock:
            if self._is_closed:
                raise ServiceUnavailable("this service is ending")
            if sum(kept.ended_at is None for kept in self._actions.values()) >= MOST_RUNNING:
                raise ServiceUnavailable(
                    f"{MOST_RUNNING} actions are under way, no more at once", fields=(("Retry-After", "5"),)
                )
            self._actions[progress.id] = progress
            self._forget()
        return progress

    def find(self, action_id: str) -> Progress:
        """Give an action.

        Raises: NotFound.
        """
        found = self._actions.get(action_id)
        if found is None:
            raise NotFound("no action has this id, or it is too long ago")
        return found

    def recent(self) -> list[Progress]:
        """Give all that are kept, the newest first."""
        with self._lock:
            return list(self._actions.values())[::-1]

    def close(self, reason: str) -> None:
        """Stop all that are under way and take no more."""
        with self._lock:
            self._is_closed = True
            actions = list(self._actions.values())
        for progress in actions:
            if progress.ended_at is None:
                progress.stop(reason)

    def wait(self, timeout_s: float) -> list[Progress]:
        """Wait so long at most for all to end, and give those that have not."""
        deadline_s = time.monotonic() + timeout_s
        return [one for one in self.recent() if not one.wait_for_end(max(deadline_s - time.monotonic(), 0.0))]

    def _forget(self) -> None:
        total = sum(kept.title.total for kept in self._actions.values())
        for kept in list(self._actions.values()):
            if len(self._actions) <= MOST_KEPT and total <= MOST_LINES_KEPT:
                return
            if kept.ended_at is not None:
                del self._actions[kept.id]
                total -= kept.title.total
