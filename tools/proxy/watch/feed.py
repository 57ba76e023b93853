# SPDX-License-Identifier: Apache-2.0
"""Follow the fleet's events for as long as it takes: on a thread, through broken connections, and without a stream.

Where the frontend has no stream left to give, the fleet is asked for again and again in its place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from lmcache_frontend.errors import BadGateway, FrontendError

from ...frontend_client import LINE_LIMIT_BYTES, FrontendClient, ServerError
from ..events import EventReader, as_event, read_document

# The frontend says something every 15 s at the latest.
SILENCE_S = 45.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
POLL_INTERVAL_S = 5.0
# How long the fleet is asked for before a stream is tried again.
POLLING_S = 120.0
_TOO_MANY_STREAMS = 503
_HOPELESS = (400, 401, 403, 404)


class Told(NamedTuple):
    """An event's data, or what went wrong; ``is_final`` says that nothing will follow."""

    document: Mapping[str, Any] | None
    error: FrontendError | None = None
    is_final: bool = False


class Follower:
    """Follows the events on a thread of its own, which ends with the process."""

    def __init__(self, client: FrontendClient) -> None:
        wire = client.wire._replace(timeout_s=max(client.wire.timeout_s, SILENCE_S))
        self._client = client
        self._streaming = client._replace(wire=wire)
        self._told: SimpleQueue[Told] = SimpleQueue()
        self._identity: str | None = None
        self._heard = False

    def start(self) -> None:
        """Begin to follow."""
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def next(self, end: float | None) -> Told | None:
        """Wait for what is told next; None if nothing is until a time of the monotonic clock."""
        try:
            return self._told.get(timeout=None if end is None else max(end - time.monotonic(), 0.0))
        except Empty:
            return None

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            self._heard = False
            try:
                self._follow()
                error: FrontendError | None = None
            except ServerError as exc:
                error = self._polled() if exc.status == _TOO_MANY_STREAMS else exc
            except FrontendError as exc:
                error = exc
            is_final = isinstance(error, ServerError) and error.status in _HOPELESS
            self._told.put(Told(None, error, is_final))
            if is_final:
                return
            pause_s = FIRST_PAUSE_S if self._heard else min(pause_s * 2, LONGEST_PAUSE_S)
            time.sleep(pause_s)

    def _follow(self) -> None:
        """Follow a stream to its end, from where the one before it ended.

        Raises: FrontendError.
        """
        fields = {"Accept": "text/event-stream"}
        if self._identity is not None:
            fields["Last-Event-ID"] = self._identity
        reader = EventReader()
        with self._streaming.stream("GET", "/api/fleet/events", fields=fields) as incoming:
            if not incoming.fields.get("Content-Type", "").startswith("text/event-stream"):
                raise BadGateway(f"{self._client.shown} answered something other than events: is a frontend there?")
            while line := incoming.read_line(LINE_LIMIT_BYTES):
                event = reader.read(line.decode("utf-8", "replace").rstrip("\r\n"))
                if event is not None:
                    document = read_document(event.data)
                    self._tell(document)
                    self._identity = event.identity

    def _polled(self) -> FrontendError | None:
        """Ask for the fleet for a while; give what ended that too early."""
        end = time.monotonic() + POLLING_S
        while time.monotonic() < end:
            try:
                self._tell(as_event(self._client.get("/api/fleet")))
            except FrontendError as exc:
                return exc
            time.sleep(POLL_INTERVAL_S)
        return None

    def _tell(self, document: Mapping[str, Any]) -> None:
        self._heard = True
        self._told.put(Told(document))
