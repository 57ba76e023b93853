# SPDX-License-Identifier: Apache-2.0
"""Say bytes to a server and read what comes back."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """A response as the standard library's own client reads it."""

    status: int
    fields: Any
    body: bytes

    @property
    def detail(self) -> str:
        """Give the text of an error."""
        return str(json.loads(self.body)["detail"])


def say(port: int, data: bytes, *, timeout_s: float = 10.0, half_close: bool = False) -> bytes:
    """Send bytes and read until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as sock:
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        received = bytearray()
        while piece := sock.recv(65536):
            received += piece
        return bytes(received)


def ask(
    port: int,
    method: str,
    target: str,
    body: Any = None,
    fields: dict[str, str] | None = None,
    *,
    timeout_s: float = 10.0,
) -> Reply:
    """Send one request; a body that is no bytes goes as JSON."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, target, data, fields or {})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def read_response(sock: socket.socket, method: str = "GET") -> Reply:
    """Read one response from a connection that goes on."""
    response = HTTPResponse(sock, method=method)
    try:
        response.begin()
        return Reply(response.status, response.headers, response.read())
    finally:
        response.close()


def parse_response(data: bytes, method: str = "GET") -> Reply:
    """Read a response from bytes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        return read_response(ours, method)
