# SPDX-License-Identifier: Apache-2.0
"""One request to one member of an etcd cluster, on a connection of its own, and its answer.

On a connection that was kept, a request that is never answered may have been carried out, and that happens whenever a
member restarts; on a new one it happens only where a member fails just then. Leaves to the gateway which member to ask
and whether to ask again. Source: the JSON gateway of etcd 3.4; google.rpc.Code.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from lmcache_frontend.errors import ServiceUnavailable

CONNECT_TIMEOUT_S = 2.0
_ERROR_LIMIT_BYTES = 1 << 16
_OUT_OF_ROOM = "database space exceeded"
# Cancelled, unknown, deadline exceeded, aborted, internal, unavailable: some of these come after the deed.
_NO_ANSWER_CODES = frozenset({1, 2, 4, 10, 13, 14})


class NotSent(ServiceUnavailable):
    """The member cannot be connected to."""


class Lost(ServiceUnavailable):
    """The request went out, and nothing came back that says what became of it."""


class Refused(ServiceUnavailable):
    """The cluster will not; ``code`` is that of gRPC, 0 where it is not etcd that answers."""

    def __init__(self, message: str, code: int) -> None:
        """Take the line to show and the code."""
        super().__init__(message)
        self.code = code
        # The change that uses up the room is kept and refused all the same; those after it are only refused.
        self.is_out_of_room = _OUT_OF_ROOM in message


class Exchange:
    """A request under way and its answer, read as a whole or line by line."""

    def __init__(self, endpoint: tuple[str, int], answer_timeout_s: float) -> None:
        """Connect.

        Raises: NotSent.
        """
        self._name = f"{endpoint[0]}:{endpoint[1]}"
        self._connection = http.client.HTTPConnection(*endpoint, timeout=CONNECT_TIMEOUT_S)
        self._response: http.client.HTTPResponse | None = None
        try:
            self._connection.connect()
        except (OSError, UnicodeError) as exc:
            self._connection.close()
            raise NotSent(f"{self._name}: {getattr(exc, 'strerror', None) or exc}") from exc
        self._socket = self._connection.sock
        self._socket.settimeout(answer_timeout_s)

    def send(self, method: str, request: Mapping[str, Any], token: str) -> None:
        """Send the request and read the head of the answer.

        Raises: Lost, Refused.
        """
        # Where a member has lost the cluster, this ends a stream that would be silent.
        headers = {"Content-Type": "application/json", "Grpc-Metadata-hasleader": "true"}
        if token:
            headers["Authorization"] = token
        with self._losing():
            self._connection.request("POST", f"/v3/{method}", json.dumps(request).encode(), headers)
            self._response = self._connection.getresponse()
            if self._response.status == 200:
                return
            body = self._response.read(_ERROR_LIMIT_BYTES)
        self._refuse(self._response.status, body)

    def whole(self) -> dict[str, Any]:
        """Give the one object that the answer is.

        Raises: Lost, Refused.
        """
        assert self._response is not None
        with self._losing():
            body = self._response.read()
        return self._read(body)

    def lines(self, silence_s: float) -> Iterator[dict[str, Any]]:
        """Yield each object until the answer ends, breaks, or nothing comes for so long.

        Raises: Lost, Refused where that is what the member says.
        """
        assert self._response is not None
        self._socket.settimeout(silence_s)
        while True:
            try:
                line = self._response.readline()
            except (OSError, http.client.HTTPException, ValueError):
                return
            if not line.endswith(b"\n"):
                return
            yield self._read(line)

    def interrupt(self) -> None:
        """Break the answer off, from another thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        if self._response is not None:
            self._response.close()
        self._connection.close()

    @contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as exc:
            reason = "timed out" if isinstance(exc, TimeoutError) else str(exc) or type(exc).__name__
            raise Lost(f"{self._name}: {reason}") from exc

    def _read(self, body: bytes) -> dict[str, Any]:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            self._refuse(200, body)
        if isinstance(document.get("error"), dict):
            status = document["error"].get("http_code")
            self._refuse(status if isinstance(status, int) else 200, body)
        return document

    def _refuse(self, status: int, body: bytes) -> NoReturn:
        """Read an error, ``{"message", "code"}`` or, within a stream, ``{"error": {"message", "grpc_code"}}``."""
        try:
            document = json.loads(body)
            error = document["error"] if isinstance(document["error"], dict) else document
            message, code = str(error["message"]), int(error["code"] if "code" in error else error["grpc_code"])
        except (ValueError, KeyError, TypeError, RecursionError):
            message, code = f"answered {status}, expected the JSON gateway of etcd 3.4 or later", 0
        if code in _NO_ANSWER_CODES or (code == 0 and status >= 500):
            raise Lost(f"{self._name}: {message}")
        raise Refused(f"{self._name}: {message}", code)
