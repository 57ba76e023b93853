# SPDX-License-Identifier: Apache-2.0
"""A few daemon threads that do jobs, where those that may take long never hold up the others.

A job goes into a lane. Each lane has a limit to how many of its jobs run at once; the limits of the lanes that may be
slow add up to less than the threads there are.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

logger = logging.getLogger(__name__)

Job = Callable[[], None]


class Lane(Enum):
    """What is known of the node that a job asks: it answered last time, was never asked, or did not answer."""

    LIVE = "live"
    NEW = "new"
    DEAD = "dead"


class _Queue(NamedTuple):
    limit: int
    jobs: deque[Job]


class Crew:
    """Threads that are started when there is work for them; `put` may be called in any thread."""

    def __init__(self, size: int = 16, name: str = "collector") -> None:
        """Take how many threads there may be; at most half of them do first contacts, a quarter asks the dead."""
        self._name = name
        self._size = size
        self._changed = threading.Condition()
        self._queues = {
            Lane.LIVE: _Queue(size, deque()),
            Lane.NEW: _Queue(max(1, size // 2), deque()),
            Lane.DEAD: _Queue(max(1, size // 4), deque()),
        }
        self._running = dict.fromkeys(Lane, 0)
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._ended = False

    def put(self, lane: Lane, job: Job) -> None:
        """Have a job done; after the end it is dropped."""
        with self._changed:
            if self._ended:
                return
            self._queues[lane].jobs.append(job)
            waiting = sum(len(queue.jobs) for queue in self._queues.values())
            if self._idle < waiting and len(self._threads) < self._size:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def stop(self) -> list[threading.Thread]:
        """Drop what waits, and give the threads, each of which ends after the job that it is at."""
        with self._changed:
            self._ended = True
            for queue in self._queues.values():
                queue.jobs.clear()
            self._changed.notify_all()
            return list(self._threads)

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            lane, job = taken
            try:
                job()
            except Exception:
                logger.exception("a job of the %s failed", self._name)
            with self._changed:
                self._running[lane] -= 1
                self._changed.notify()

    def _take(self) -> tuple[Lane, Job] | None:
        with self._changed:
            while not self._ended:
                for lane, queue in self._queues.items():
                    if queue.jobs and self._running[lane] < queue.limit:
                        self._running[lane] += 1
                        return lane, queue.jobs.popleft()
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return None
