# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.errors import BadGateway, Forbidden, GatewayTimeout
from lmcache_frontend.http1 import client
from lmcache_frontend.http1.client import (
    Endpoint,
    NodeConnection,
    UnixConnection,
    connect,
    resolve,
)
from tests.helpers.scripted import ScriptedNode, always

StartNode = Callable[..., ScriptedNode]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def permit_all(address: str, port: int) -> None:
    pass


def opened(endpoint: Endpoint, permit: client.Permit = permit_all, connect_timeout_s: float = 5.0) -> NodeConnection:
    return connect(endpoint, connect_timeout_s=connect_timeout_s, send_timeout_s=5.0, permit=permit)


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def endpoint(start_node: StartNode) -> Endpoint:
    return Endpoint("127.0.0.1", start_node(always(OK)).port)


def is_closed(connection: NodeConnection) -> bool:
    return connection.stream.sock.fileno() < 0


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        (Endpoint("127.0.0.1", 80), "127.0.0.1:80"),
        (Endpoint("node.example", 65535), "node.example:65535"),
        (Endpoint("::1", 80), "[::1]:80"),
        (Endpoint("/run/node.sock", 0), "/run/node.sock"),
    ],
)
def test_an_endpoint_is_shown_as_people_write_it(endpoint: Endpoint, shown: str) -> None:
    assert str(endpoint) == shown


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", {"127.0.0.1"}),
        ("::1", {"::1"}),
        ("::ffff:127.0.0.1", {"::ffff:127.0.0.1"}),
        ("127.1", {"127.0.0.1"}),
    ],
)
def test_addresses_resolve_to_themselves(host: str, addresses: set[str]) -> None:
    assert set(resolve(host, 80)) == addresses


def test_a_name_resolves_to_each_address_once() -> None:
    addresses = resolve("localhost", 80)
    assert set(addresses) <= {"127.0.0.1", "::1"}
    assert len(addresses) == len(set(addresses)) > 0


@pytest.mark.skipif(not hasattr(socket, "if_nameindex"), reason="no list of interfaces")
def test_the_interface_of_a_link_local_address_is_kept() -> None:
    number, name = socket.if_nameindex()[0]
    assert resolve(f"fe80::1%{name}", 80) == [f"fe80::1%{number}"]


@pytest.mark.parametrize(
    "host", ["no-such-host.invalid", "", "a b", "a" * 300, "x." * 100, "\u00e9" * 64, "a\0b", ".."]
)
def test_a_name_that_means_nothing_is_a_bad_gateway(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def offline(name: Any, *arguments: Any, **options: Any) -> Any:
        if name in ("no-such-host.invalid", "a b", "x." * 100, ".."):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(name, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(BadGateway) as caught:
        resolve(host, 80)
    assert str(caught.value) == f"the host name {host[:80]!r} cannot be resolved"


def test_a_connection_talks_to_the_node(cleanup: ExitStack, endpoint: Endpoint) -> None:
    connection = opened(endpoint)
    cleanup.callback(connection.close)
    assert (connection.endpoint, connection.used) == (endpoint, False)
    connection.stream.send(b"GET / HTTP/1.1\r\n\r\n")
    assert connection.stream.receive() == OK
    assert connection.stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    connection.close()
    connection.close()
    assert is_closed(connection)


def test_a_receive_returns_now_and_then_so_that_the_client_can_be_looked_at(
    cleanup: ExitStack, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LIVENESS_CHECK_S", 0.02)
    connection = opened(endpoint)
    cleanup.callback(connection.close)
    with pytest.raises(TimeoutError):
        connection.stream.receive()


def test_a_socket_path_is_connected_to(cleanup: ExitStack, start_node: StartNode, tmp_path: Path) -> None:
    node = start_node(always(OK), path=tmp_path / "node.sock")

    def permit(address: str, port: int) -> None:
        raise Forbidden("asked for a socket")

    connection = opened(Endpoint(node.port, 0), permit)
    cleanup.callback(connection.close)
    connection.stream.send(b"GET / HTTP/1.1\r\n\r\n")
    assert connection.stream.receive() == OK


def test_the_standard_library_can_speak_over_a_socket_path(start_node: StartNode, tmp_path: Path) -> None:
    heads: list[bytes] = []
    node = start_node(always(OK, heads), path=tmp_path / "node.sock")
    for timeout in (None, 5.0):
        connection = UnixConnection(node.port, timeout)
        try:
            connection.request("GET", "/a")
            assert connection.sock.gettimeout() == timeout
            assert connection.getresponse().read() == b"ok"
        finally:
            connection.close()
    assert heads[0].startswith(b"GET /a HTTP/1.1\r\nHost: localhost\r\n")


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_is_a_bad_gateway() -> None:
    port = refused_port()
    with pytest.raises(BadGateway, match=f"^127.0.0.1:{port}: Connection refused$"):
        opened(Endpoint("127.0.0.1", port))


def test_a_socket_path_that_is_none_is_a_bad_gateway(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left"))
    cases = {
        str(tmp_path / "none"): "No such file or directory",
        str(tmp_path / "file"): "Connection refused",
        str(tmp_path / "left"): "Connection refused",
        str(tmp_path): "Connection refused",
        "/" + "s" * 200: "cannot connect",
    }
    for path, reason in cases.items():
        with pytest.raises(BadGateway) as caught:
            opened(Endpoint(path, 0))
        assert str(caught.value) == f"{path}: {reason}"


def full_tcp_listener(cleanup: ExitStack) -> Endpoint:
    listener = cleanup.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        waiting = cleanup.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return Endpoint(*listener.getsockname())


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="needs Linux's way with a full queue")
def test_a_node_that_does_not_accept_is_a_gateway_timeout(cleanup: ExitStack) -> None:
    endpoint = full_tcp_listener(cleanup)
    with pytest.raises(GatewayTimeout) as caught:
        opened(endpoint, connect_timeout_s=0.1)
    assert str(caught.value) == f"{endpoint} did not accept a connection within 0.1 s"


def full_unix_listener(cleanup: ExitStack, path: Path) -> socket.socket:
    listener = cleanup.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    listener.listen(0)
    for _ in range(100):
        waiting = cleanup.enter_context(socket.socket(socket.AF_UNIX))
        waiting.setblocking(False)
        if waiting.connect_ex(str(path)):
            return listener
    raise AssertionError("the queue does not fill")


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="needs Linux's way with a full queue")
def test_a_burst_of_connections_to_a_socket_path_waits_for_room(cleanup: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    listener = full_unix_listener(cleanup, path)
    with pytest.raises(GatewayTimeout) as caught:
        opened(Endpoint(str(path), 0), connect_timeout_s=0.1)
    assert str(caught.value) == f"{path} did not accept a connection within 0.1 s"

    got: list[NodeConnection | BaseException] = []

    def run() -> None:
        try:
            got.append(opened(Endpoint(str(path), 0), connect_timeout_s=20.0))
        except BaseException as exc:
            got.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    accepted = [cleanup.enter_context(listener.accept()[0]) for _ in range(2)]
    thread.join(20)
    assert accepted
    (connection,) = got
    assert isinstance(connection, NodeConnection)
    connection.close()


def test_each_address_of_a_name_is_tried_and_asked_for(
    cleanup: ExitStack, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "resolve", lambda host, port: ["127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.4"])
    asked: list[tuple[str, int]] = []

    def permit(address: str, port: int) -> None:
        asked.append((address, port))
        if address == "127.0.0.2":
            raise Forbidden("not this one")

    connection = opened(Endpoint("name", endpoint.port), permit)
    cleanup.callback(connection.close)
    assert asked == [(f"127.0.0.{number}", endpoint.port) for number in (2, 3, 1)]
    assert connection.stream.sock.getpeername() == ("127.0.0.1", endpoint.port)
    assert connection.endpoint == Endpoint("name", endpoint.port)


def test_a_name_is_looked_up_once_so_that_what_was_permitted_is_connected_to(
    cleanup: ExitStack, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, *arguments: Any, **options: Any) -> Any:
        if host != "name":
            return real(host, *arguments, **options)
        names.append(host)
        return real("127.0.0.1" if len(names) == 1 else "127.0.0.2", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    permitted: list[str] = []
    connection = opened(Endpoint("name", endpoint.port), lambda address, port: permitted.append(address))
    cleanup.callback(connection.close)
    assert (names, permitted) == (["name"], ["127.0.0.1"])
    assert connection.stream.sock.getpeername()[0] == "127.0.0.1"


def test_what_is_forbidden_is_not_connected_to(start_node: StartNode) -> None:
    node = start_node(always(OK))

    def permit(address: str, port: int) -> None:
        raise Forbidden(f"{address} is not for you")

    with pytest.raises(Forbidden, match=r"^127\.0\.0\.1 is not for you$"):
        opened(Endpoint("127.0.0.1", node.port), permit)
    assert not node.visits


def test_a_name_without_addresses_is_a_bad_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "resolve", lambda host, port: [])
    with pytest.raises(BadGateway, match=r"^name resolves to no address$"):
        opened(Endpoint("name", 1))
