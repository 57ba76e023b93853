# SPDX-License-Identifier: Apache-2.0
"""Connections to nodes, over TCP and Unix sockets, and the pool that keeps them.

`http.client` opens and owns each connection; heads go through `heads` on its socket, since its own response parser is
the e-mail parser.

Keeping for 4 s: uvicorn, which serves every node, closes an idle connection after 5 s.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple

from lmcache_frontend.errors import BadGateway, FrontendError, GatewayTimeout
from lmcache_frontend.http1.streams import Stream, Wire, timeval

if TYPE_CHECKING:
    from lmcache_frontend.http1.node_tokens import NodeTokens

KEPT_IDLE_S = 4.0
KEPT_PER_ENDPOINT = 64
LIVENESS_CHECK_S = 1.0

Permit = Callable[[str, int], None]
# Gives a connection with TLS: it is told where that leads, and seconds.
Secure = Callable[[socket.socket, "Endpoint", float], Wire]


class TlsOptions(NamedTuple):
    """How a node's TLS is spoken: the name that its certificate must have, and files, all of them in PEM.

    ``ca`` has the authorities to trust in place of the system's; ``certificate`` and ``key`` are our own.
    """

    server_name: str
    verify: bool = True
    ca: str = ""
    certificate: str = ""
    key: str = ""


class Endpoint(NamedTuple):
    """Where a node listens: a host and port, or, with ``port`` 0, the path of a Unix socket.

    ``tls`` is None where plain HTTP is spoken; ``token_file`` has a token that is sent to this node alone.
    """

    host: str
    port: int
    tls: TlsOptions | None = None
    token_file: str = ""

    def __str__(self) -> str:
        """Show the address as people write it."""
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixConnection(HTTPConnection):
    """An `HTTPConnection` to a Unix stream socket."""

    def __init__(self, path: str, timeout: float | None = None) -> None:
        """Take the socket's path; nodes are told the host ``localhost``."""
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket.

        Where the node's queue is full this waits for room, as TCP does; with Python's own time-out it would fail.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if self.timeout is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(self.timeout))
            sock.connect(self.path)
            sock.settimeout(self.timeout)
        except BlockingIOError as exc:
            sock.close()
            raise TimeoutError from exc
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class _SecureConnection(HTTPConnection):
    """An `HTTPConnection` over TLS."""

    def __init__(self, address: str, endpoint: Endpoint, timeout: float, secure: Secure) -> None:
        super().__init__(address, endpoint.port, timeout)
        self._endpoint = endpoint
        self._secure = secure

    def connect(self) -> None:
        """Connect and shake hands, both within the time-out."""
        deadline_s = time.monotonic() + (self.timeout or 0.0)
        super().connect()
        raw = self.sock
        try:
            self.sock = self._secure(raw, self._endpoint, max(deadline_s - time.monotonic(), 0.001))
        except BaseException:
            raw.close()
            raise


class NodeConnection:
    """An open connection to a node."""

    __slots__ = ("_connection", "endpoint", "idle_since_s", "stream", "used")

    def __init__(self, connection: HTTPConnection, endpoint: Endpoint, send_timeout_s: float) -> None:
        """Take over a connected `HTTPConnection`.

        Receives return after a second at the latest, so that a waiting relay can see that its client has gone.
        """
        self._connection = connection
        self.endpoint = endpoint
        self.stream = Stream(connection.sock, send_timeout_s=send_timeout_s)
        self.stream.set_receive_timeout(LIVENESS_CHECK_S)
        self.idle_since_s = 0.0
        self.used = False

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._connection.close()


def connect(
    endpoint: Endpoint,
    *,
    connect_timeout_s: float,
    send_timeout_s: float,
    permit: Permit,
    secure: Secure | None = None,
) -> NodeConnection:
    """Open a connection to a node.

    ``permit`` is asked for each IP address and port that the host stands for and raises where it is forbidden; the
    address that it has seen is the one connected to.

    Raises: BadGateway (refused, unknown, no such socket), GatewayTimeout, and what ``permit`` raises.
    """
    if not endpoint.port:
        return _connected(UnixConnection(endpoint.host, connect_timeout_s), endpoint, send_timeout_s)
    failure: FrontendError = BadGateway(f"{endpoint.host} resolves to no address")
    for address in resolve(endpoint.host, endpoint.port):
        try:
            permit(address, endpoint.port)
            connection = _connection(address, endpoint, connect_timeout_s, secure)
            return _connected(connection, endpoint, send_timeout_s)
        except FrontendError as exc:
            failure = exc
    raise failure


def resolve(host: str, port: int) -> list[str]:
    """Give the IP addresses of a host, the preferred one first.

    Raises: BadGateway where the name is unknown.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise BadGateway(f"the host name {host[:80]!r} cannot be resolved") from exc
    return list(dict.fromkeys(_shown_address(entry[4]) for entry in found))


def _shown_address(address: tuple[Any, ...]) -> str:
    """Give the address with the number of its interface, without which a link-local one cannot be connected to."""
    return f"{address[0]}%{address[3]}" if len(address) > 3 and address[3] else str(address[0])


def _connection(address: str, endpoint: Endpoint, timeout_s: float, secure: Secure | None) -> HTTPConnection:
    if endpoint.tls is None:
        return HTTPConnection(address, endpoint.port, timeout_s)
    if secure is None:
        raise BadGateway(f"{endpoint} speaks TLS, which is not spoken here")
    return _SecureConnection(address, endpoint, timeout_s, secure)


def _connected(connection: HTTPConnection, endpoint: Endpoint, send_timeout_s: float) -> NodeConnection:
    try:
        connection.connect()
        return NodeConnection(connection, endpoint, send_timeout_s)
    except FrontendError as exc:
        connection.close()
        raise BadGateway(f"{endpoint}: {exc}") from exc
    except TimeoutError as exc:
        connection.close()
        raise GatewayTimeout(f"{endpoint} did not accept a connection within {connection.timeout:g} s") from exc
    except OSError as exc:
        connection.close()
        raise BadGateway(f"{endpoint}: {exc.strerror or 'cannot connect'}") from exc


class Pool:
    """Idle connections to nodes, the newest used first.

    Each endpoint has a deque, whose ``append`` and ``pop`` are atomic: on the way of a request there is no lock.
    """

    def __init__(
        self, *, connect_timeout_s: float, send_timeout_s: float, permit: Permit, secure: Secure | None = None
    ) -> None:
        """Take what `connect` wants; without ``secure`` no TLS can be spoken."""
        self._connect_timeout_s = connect_timeout_s
        self._send_timeout_s = send_timeout_s
        self._permit = permit
        self._secure = secure
        self._tokens: NodeTokens | None = None
        self._idle: dict[Endpoint, deque[NodeConnection]] = {}

    def authorization(self, endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
        """Give the field with which we show a node who we are, where its entry has a token for that.

        Raises: BadGateway.
        """
        if not endpoint.token_file:
            return ()
        if self._tokens is None:
            from lmcache_frontend.http1.node_tokens import NodeTokens

            self._tokens = NodeTokens()
        return (("Authorization", f"Bearer {self._tokens.read(endpoint.token_file)}"),)

    def acquire(self, endpoint: Endpoint, *, max_idle_s: float = KEPT_IDLE_S) -> NodeConnection:
        """Give a connection that has been idle for at most so long, else a new one.

        Raises: as `connect`.
        """
        kept = self._idle.get(endpoint)
        if kept:
            try:
                connection = kept.pop()
            except IndexError:
                return self.open(endpoint)
            # Bytes that nobody asked for would be taken for the next answer, and so show it to the wrong client.
            if time.monotonic() - connection.idle_since_s <= max_idle_s and connection.stream.is_quiet():
                return connection
            connection.close()
        return self.open(endpoint)

    def open(self, endpoint: Endpoint, *, connect_timeout_s: float | None = None) -> NodeConnection:
        """Open a new connection, within less time than usual where that is said.

        Raises: as `connect`.
        """
        usual_s = self._connect_timeout_s
        return connect(
            endpoint,
            connect_timeout_s=usual_s if connect_timeout_s is None else min(connect_timeout_s, usual_s),
            send_timeout_s=self._send_timeout_s,
            permit=self._permit,
            secure=self._secure,
        )

    def release(self, connection: NodeConnection) -> None:
        """Take back a connection on which the last exchange ended cleanly."""
        connection.idle_since_s = time.monotonic()
        connection.used = True
        kept = self._idle.get(connection.endpoint)
        if kept is None:
            kept = self._idle.setdefault(connection.endpoint, deque())
        if len(kept) < KEPT_PER_ENDPOINT:
            kept.append(connection)
        else:
            connection.close()

    def sweep(self, *, max_idle_s: float = KEPT_IDLE_S) -> None:
        """Close what has been idle for longer; to be called now and then."""
        horizon_s = time.monotonic() - max_idle_s
        for endpoint, kept in list(self._idle.items()):
            if not kept:
                # A connection released into it meanwhile is lost to the pool, and closed when it is collected.
                self._idle.pop(endpoint, None)
            for _ in range(len(kept)):
                try:
                    connection = kept.popleft()
                except IndexError:
                    break
                if connection.idle_since_s <= horizon_s:
                    connection.close()
                else:
                    # The left end is the oldest: nothing behind it has been idle for longer.
                    kept.appendleft(connection)
                    break

    @property
    def idle_count(self) -> int:
        """Give the number of connections that are kept."""
        return sum(len(kept) for kept in list(self._idle.values()))

    def close(self) -> None:
        """Close all idle connections."""
        self.sweep(max_idle_s=-1.0)
