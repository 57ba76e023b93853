# SPDX-License-Identifier: Apache-2.0
"""A node that answers byte for byte what a test tells it to, over TCP or a Unix socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Script = Callable[["Visit"], None]


class Visit:
    """One connection to a scripted node."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        """Take an accepted connection; the first one is number 0."""
        self.sock = sock
        self.number = number
        self.buffer = b""

    def read_head(self) -> bytes:
        """Read one request head, the empty line included; empty where the connection ended."""
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                return b""
            self.buffer += data
        head, end, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head + end

    def read(self, size: int) -> bytes:
        """Read so many bytes, fewer only at the end."""
        while len(self.buffer) < size:
            data = self.sock.recv(1 << 20)
            if not data:
                break
            self.buffer += data
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def send(self, data: bytes) -> None:
        """Send everything."""
        self.sock.sendall(data)


class ScriptedNode:
    """Runs a script for each connection, in a thread of its own; what it raised is kept in ``faults``."""

    def __init__(self, script: Script, path: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port, or on a Unix socket at ``path``; with ``tls`` the script is what passes over it."""
        self._script = script
        self._tls = tls
        self.visits: list[Visit] = []
        self.heads: list[bytes] = []
        self.faults: list[BaseException] = []
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port: Any = self._listener.getsockname()[1]
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
            self.port = str(path)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._threads: list[threading.Thread] = []
        self._thread.start()

    @property
    def entry(self) -> dict[str, Any]:
        """Give the entry that names this node."""
        return {"name": "node", "host": "127.0.0.1", "port": self.port}

    def close(self) -> None:
        """Stop listening and close all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        # Only then are all visits known.
        self._thread.join(5)
        for visit in self.visits:
            with contextlib.suppress(OSError):
                visit.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            visit = Visit(sock, len(self.visits))
            self.visits.append(visit)
            thread = threading.Thread(target=self._run, args=(visit,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, visit: Visit) -> None:
        with visit.sock:
            try:
                if self._tls is not None:
                    visit.sock = self._tls.wrap_socket(visit.sock, server_side=True, suppress_ragged_eofs=False)
                with visit.sock:
                    self._script(visit)
                    _take_leave(visit.sock)
            except OSError:
                pass
            except BaseException as exc:
                self.faults.append(exc)


def _take_leave(sock: socket.socket) -> None:
    """End a connection such that what was sent arrives: one closed with unread data would be reset."""
    sock.settimeout(0.2)
    if isinstance(sock, ssl.SSLSocket):
        # Closing the node from another thread takes the cipher away.
        with contextlib.suppress(ValueError):
            sock.unwrap()
        return
    sock.shutdown(socket.SHUT_WR)
    sock.recv(1 << 16)


def answering(*answers: bytes) -> Script:
    """Give a script that reads a head and sends an answer, for each answer, and ends the connection after the last."""

    def script(visit: Visit) -> None:
        for answer in answers:
            if not visit.read_head():
                return
            visit.send(answer)

    return script


def always(answer: bytes, heads: list[bytes] | None = None) -> Script:
    """Give a script that sends the same answer to every request, keeping the heads it got."""

    def script(visit: Visit) -> None:
        while head := visit.read_head():
            if heads is not None:
                heads.append(head)
            visit.send(answer)

    return script
