# SPDX-License-Identifier: Apache-2.0
"""One HTTP exchange of a tool: an address read and shown safely, a request out, an answer in, within a time.

Redirects, proxies of the environment and what an answer means are the caller's. Certificates are always checked.
Source: RFC 9110 and 9112; RFC 7617 for Basic.
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from lmcache_frontend.errors import BadGateway, FrontendError, Unreachable, UsageError
from lmcache_frontend.masking import masked_text

ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
Body = bytes | Iterable[bytes] | None
_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff\\]")
# What stays as it is in a path and a query: all that RFC 3986 allows there, and escapes that are there already.
_SAFE_IN_TARGET = "/:@!$&'()*+,;=~-._%?"


class TooLate(Unreachable):
    """An answer did not come, or not all of it, in time."""


class Url(NamedTuple):
    """An http or https address; ``user_information`` is ``user:password`` as it goes into Basic."""

    scheme: str
    host: str
    port: int
    path: str = "/"
    query: str = ""
    user_information: str | None = None

    @property
    def authority(self) -> str:
        """Give host and port as in a URL, the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Give path and query as they are asked for."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def text(self) -> str:
        """Give the whole address but the user information."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def shown(self) -> str:
        """Give the address without the user information and without secrets in its query."""
        return masked_text(self.text)


class Wire(NamedTuple):
    """How to go about an exchange: how long it may take, whom to trust, through which proxy or to which Unix socket."""

    timeout_s: float = 10.0
    ca: str | None = None
    proxy: Url | None = None
    socket_path: str | None = None


class Answer(NamedTuple):
    """What came back; ``fields`` are the answer's header fields, found in any case of letters."""

    status: int
    reason: str
    fields: http.client.HTTPMessage
    body: bytes


class Incoming:
    """An answer whose body is read bit by bit; raises Unreachable and BadGateway as `exchange`."""

    def __init__(self, response: http.client.HTTPResponse, url: Url, wire: Wire) -> None:
        self.status = response.status
        self.reason = response.reason
        self.fields = response.headers
        self._response = response
        self._url = url
        self._wire = wire

    def read(self, limit_bytes: int) -> bytes:
        """Read the body, or as much of it as the limit allows."""
        with _mapped(self._url, self._wire):
            return self._checked(self._response.read(limit_bytes), limit_bytes)

    def read_line(self, limit_bytes: int) -> bytes:
        """Read up to a line end, as much as the limit allows; nothing is at the end."""
        with _mapped(self._url, self._wire):
            line = self._response.readline(limit_bytes)
            return line if line.endswith(b"\n") else self._checked(line, limit_bytes)

    def read_some(self, limit_bytes: int) -> bytes:
        """Read what is there, waiting for a first byte; nothing is at the end."""
        with _mapped(self._url, self._wire):
            data = self._response.read1(limit_bytes)
            return data or self._checked(data, limit_bytes)

    def _checked(self, data: bytes, limit_bytes: int) -> bytes:
        # http.client says nothing of a body that ends before its Content-Length if one reads up to a limit.
        if self._response.length and len(data) < limit_bytes:
            raise http.client.IncompleteRead(data, self._response.length)
        return data


def read_url(text: str, what: str) -> Url:
    """Read an address; ``host:port`` alone means http.

    Raises: UsageError, naming ``what``; user information is never shown.
    """
    text = text.strip()
    whole = text if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) else f"http://{text}"
    try:
        parts = urlsplit(whole)
        port = parts.port
    except ValueError as exc:
        raise UsageError(f"{what}: {masked_text(whole)!r} is not an address: {exc}") from exc
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not parts.hostname or _UNSAFE_IN_URL.search(whole) or port == 0:
        raise UsageError(f"{what}: expected http://HOST[:PORT][/PATH] or https://..., got {masked_text(whole)!r}")
    user_information = None
    if parts.username is not None:
        user_information = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Url(
        scheme,
        parts.hostname,
        port or _DEFAULT_PORTS[scheme],
        quote(parts.path, safe=_SAFE_IN_TARGET) or "/",
        quote(parts.query, safe=_SAFE_IN_TARGET),
        user_information,
    )


def basic(user_information: str) -> str:
    """Give the value of ``Authorization`` for ``user:password``."""
    return "Basic " + base64.b64encode(user_information.encode()).decode("ascii")


def exchange(url: Url, method: str, fields: Mapping[str, str], body: bytes | None, wire: Wire) -> Answer:
    """Send one request and read the whole answer; the time-out holds for all of it.

    Raises: Unreachable where no answer came, which is TooLate where none came in time; BadGateway where it is not HTTP,
    broken off or larger than 16 MiB.
    """
    end = time.monotonic() + wire.timeout_s
    with opened(url, method, fields, body, wire, end=end) as incoming:
        content = incoming.read(ANSWER_LIMIT_BYTES + 1)
        if len(content) > ANSWER_LIMIT_BYTES:
            raise BadGateway(f"{url.shown} answered more than {ANSWER_LIMIT_BYTES} bytes")
        return Answer(incoming.status, incoming.reason, incoming.fields, content)


@contextmanager
def opened(
    url: Url, method: str, fields: Mapping[str, str], body: Body, wire: Wire, *, end: float | None = None
) -> Iterator[Incoming]:
    """Send one request and give the answer to be read in the block.

    The time-out is one of silence; with ``end``, a time of the monotonic clock, everything must be over by then.
    A body in pieces needs a ``Content-Length`` among the fields.
    Raises: as `exchange`.
    """
    connection = _connection(url, wire)
    try:
        with _mapped(url, wire):
            connection.connect()
        with _over_by(end, connection, url, wire):
            with _mapped(url, wire):
                # Who refuses a body may answer, and close, before all of it is sent.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(
                        method, _request_target(url, wire), body=body, headers=_all_fields(url, wire, fields)
                    )
                response = connection.getresponse()
            with response:
                yield Incoming(response, url, wire)
    finally:
        connection.close()


def _connection(url: Url, wire: Wire) -> http.client.HTTPConnection:
    peer = wire.proxy or url
    if wire.socket_path is not None:
        from lmcache_frontend.http1.client import UnixConnection

        return UnixConnection(wire.socket_path, wire.timeout_s)
    if url.scheme == "http":
        return http.client.HTTPConnection(peer.host, peer.port, timeout=wire.timeout_s)
    connection = http.client.HTTPSConnection(peer.host, peer.port, timeout=wire.timeout_s, context=_trust(wire.ca))
    if wire.proxy is not None:
        connection.set_tunnel(url.host, url.port, headers=_proxy_fields(wire.proxy))
    return connection


def _trust(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as exc:
        raise UsageError(f"cannot read the certificates in {ca}: {getattr(exc, 'strerror', None) or exc}") from exc


def _request_target(url: Url, wire: Wire) -> str:
    return url.text if wire.proxy is not None and url.scheme == "http" else url.target


def _all_fields(url: Url, wire: Wire, fields: Mapping[str, str]) -> dict[str, str]:
    result = {"Host": url.authority, "Connection": "close"}
    if url.user_information is not None:
        result["Authorization"] = basic(url.user_information)
    if wire.proxy is not None and url.scheme == "http":
        result.update(_proxy_fields(wire.proxy))
    return {**result, **fields}


def _proxy_fields(proxy: Url) -> dict[str, str]:
    return {} if proxy.user_information is None else {"Proxy-Authorization": basic(proxy.user_information)}


@contextmanager
def _over_by(end: float | None, connection: http.client.HTTPConnection, url: Url, wire: Wire) -> Iterator[None]:
    """Break the connection at a time, however busily the peer sends a byte now and then."""
    if end is None:
        yield
        return
    late = threading.Event()
    connected = connection.sock

    def break_off() -> None:
        late.set()
        with suppress(OSError):
            # The socket's own method, and not that of what wraps it for TLS: another thread reads there.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    watchdog = threading.Timer(max(end - time.monotonic(), 0.0), break_off)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    except FrontendError as exc:
        if late.is_set():
            raise _too_late(url, wire) from exc
        raise
    finally:
        watchdog.cancel()
    if late.is_set():
        # What was read may be cut short: a body without a length ends where its connection does.
        raise _too_late(url, wire)


def _too_late(url: Url, wire: Wire) -> TooLate:
    return TooLate(f"{_where(url, wire)} did not answer within {wire.timeout_s:g} s")


def _where(url: Url, wire: Wire) -> str:
    if wire.socket_path is not None:
        return wire.socket_path
    return url.shown if wire.proxy is None else f"{url.shown} through the proxy {wire.proxy.shown}"


@contextmanager
def _mapped(url: Url, wire: Wire) -> Iterator[None]:
    """Map what sockets, TLS and http.client raise; the address is shown without secrets."""
    where = _where(url, wire)
    try:
        yield
    except TimeoutError as exc:
        raise _too_late(url, wire) from exc
    except ssl.SSLCertVerificationError as exc:
        raise Unreachable(f"{where}: its certificate is not trusted: {exc.verify_message}") from exc
    except ssl.SSLError as exc:
        raise Unreachable(f"{where} does not speak TLS as it should: {exc.reason or exc}") from exc
    except http.client.RemoteDisconnected as exc:
        raise Unreachable(f"{where} closed the connection without an answer") from exc
    except socket.gaierror as exc:
        host = (wire.proxy or url).host
        raise Unreachable(f"{where}: the name {host} cannot be resolved: {exc.strerror}") from exc
    except OSError as exc:
        raise Unreachable(f"{where} cannot be reached: {exc.strerror or exc}") from exc
    except http.client.IncompleteRead as exc:
        raise BadGateway(f"{where} broke its answer off") from exc
    except http.client.HTTPException as exc:
        raise BadGateway(f"{where} did not answer in HTTP ({type(exc).__name__})") from exc
    except UnicodeError as exc:
        raise UsageError(f"{where}: this is no host name") from exc
