# SPDX-License-Identifier: Apache-2.0
"""Bytes between a browser and a frontend, passed on as they are: counted by connection, held back or cut on demand."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

_PIECE_BYTES = 65_536
_STREAM = b"GET /api/fleet/events"
_REQUEST = re.compile(rb"^(?:GET|HEAD|POST|PUT|DELETE) (\S+) HTTP/1\.1\r$", re.MULTILINE)
END_S = 20.0


class Tunnel:
    """What goes through: its address, the connections that are open, and the streams of events among them."""

    def __init__(self, target: tuple[str, int]) -> None:
        """Listen on a free port of 127.0.0.1 for what is meant for `target`."""
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._lock = threading.Lock()
        self._open: dict[socket.socket, socket.socket] = {}
        self._streams: set[socket.socket] = set()
        self._passing = threading.Event()
        self._passing.set()
        self._threads: list[threading.Thread] = []
        self.refuses_streams = False
        self.asked: list[str] = []

    @property
    def streams(self) -> int:
        """How many streams of events are open now."""
        with self._lock:
            return len(self._streams)

    def hold(self) -> None:
        """Pass nothing on to the browser until `go_on`: a frontend that hangs."""
        self._passing.clear()

    def go_on(self) -> None:
        """Pass on what was held back, and all that follows."""
        self._passing.set()

    def cut(self) -> None:
        """End every connection."""
        with self._lock:
            ends = [end for pair in self._open.items() for end in pair]
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=END_S)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._open[near] = far
            thread = threading.Thread(target=self._relay, args=(near, far), daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Take no more connections, end those that are open, and wait for their threads."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.go_on()
        self.cut()
        for thread in self._threads:
            thread.join(END_S)

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(target=self._pass_on, args=(far, near, self._passing), daemon=True)
        back.start()
        try:
            self._pass_on(near, far, None)
        finally:
            back.join()
            with self._lock:
                del self._open[near]
                self._streams.discard(near)
            near.close()
            far.close()

    def _pass_on(self, source: socket.socket, sink: socket.socket, passing: threading.Event | None) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                if passing is not None:
                    passing.wait()
                elif not self._note(source, piece):
                    break
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _note(self, near: socket.socket, piece: bytes) -> bool:
        """Note what the browser asks for; false if it shall not have it."""
        asked = [target.decode() for target in _REQUEST.findall(piece)]
        with self._lock:
            self.asked += asked
            if _STREAM in piece:
                if self.refuses_streams:
                    return False
                self._streams.add(near)
        return True


@contextmanager
def tunnel(address: str) -> Iterator[Tunnel]:
    """Lead to the frontend at `address`."""
    target = urlsplit(address)
    made = Tunnel((str(target.hostname), int(target.port or 80)))
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join(END_S)
