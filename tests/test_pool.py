# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmcache_frontend.http1.client import (
    KEPT_IDLE_S,
    KEPT_PER_ENDPOINT,
    Endpoint,
    NodeConnection,
    Pool,
)
from tests.helpers.scripted import ScriptedNode, Visit, always
from tests.helpers.waiting import wait_until

StartNode = Callable[..., ScriptedNode]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def permit_all(address: str, port: int) -> None:
    pass


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(connect_timeout_s=5.0, send_timeout_s=5.0, permit=permit_all)
    yield pool
    pool.close()


@pytest.fixture
def endpoint(start_node: StartNode) -> Endpoint:
    return Endpoint("127.0.0.1", start_node(always(OK)).port)


def is_closed(connection: NodeConnection) -> bool:
    return connection.stream.sock.fileno() < 0


def test_a_released_connection_is_given_again(pool: Pool, endpoint: Endpoint) -> None:
    first = pool.acquire(endpoint)
    assert not first.used
    pool.release(first)
    again = pool.acquire(endpoint)
    assert again is first
    assert again.used
    other = pool.acquire(endpoint)
    assert other is not first
    pool.release(first)
    pool.release(other)


def test_the_newest_connection_is_given_first(pool: Pool, endpoint: Endpoint) -> None:
    connections = [pool.acquire(endpoint) for _ in range(3)]
    for connection in connections:
        pool.release(connection)
    assert [pool.acquire(endpoint) for _ in range(3)] == connections[::-1]
    for connection in connections:
        connection.close()


def test_open_never_gives_a_used_connection(pool: Pool, endpoint: Endpoint) -> None:
    first = pool.acquire(endpoint)
    pool.release(first)
    fresh = pool.open(endpoint)
    assert fresh is not first
    fresh.close()


def test_endpoints_are_kept_apart(pool: Pool, start_node: StartNode, tmp_path: Path) -> None:
    nodes = [start_node(always(OK)), start_node(always(OK)), start_node(always(OK), path=tmp_path / "s")]
    endpoints = [Endpoint("127.0.0.1", nodes[0].port), Endpoint("127.0.0.1", nodes[1].port), Endpoint(nodes[2].port, 0)]
    endpoints.append(Endpoint("localhost", nodes[0].port))
    connections = [pool.acquire(endpoint) for endpoint in endpoints]
    for connection in connections:
        pool.release(connection)
    for endpoint, connection in zip(endpoints, connections, strict=True):
        assert pool.acquire(endpoint) is connection
        pool.release(connection)


@pytest.mark.parametrize(
    ("idle_s", "max_idle_s", "kept"), [(3.5, KEPT_IDLE_S, True), (4.5, KEPT_IDLE_S, False), (1.5, 1.0, False)]
)
def test_a_connection_that_was_idle_for_too_long_is_closed_and_replaced(
    pool: Pool, endpoint: Endpoint, idle_s: float, max_idle_s: float, kept: bool
) -> None:
    first = pool.acquire(endpoint)
    pool.release(first)
    first.idle_since_s -= idle_s
    second = pool.acquire(endpoint, max_idle_s=max_idle_s)
    assert (second is first) is kept
    assert is_closed(first) is not kept
    second.close()


def test_a_sweep_closes_what_was_idle_for_too_long_and_nothing_else(pool: Pool, endpoint: Endpoint) -> None:
    connections = [pool.acquire(endpoint) for _ in range(4)]
    in_use = pool.acquire(endpoint)
    for connection in connections:
        pool.release(connection)
    for connection in connections[:2]:
        connection.idle_since_s -= KEPT_IDLE_S + 0.5
    pool.sweep()
    assert [is_closed(connection) for connection in connections] == [True, True, False, False]
    assert not is_closed(in_use)
    assert pool.acquire(endpoint) is connections[3]
    assert pool.acquire(endpoint) is connections[2]
    for connection in (*connections, in_use):
        connection.close()


def test_a_sweep_goes_through_all_endpoints(pool: Pool, start_node: StartNode) -> None:
    endpoints = [Endpoint("127.0.0.1", start_node(always(OK)).port) for _ in range(3)]
    connections = [pool.acquire(endpoint) for endpoint in endpoints]
    for connection in connections:
        pool.release(connection)
        connection.idle_since_s -= KEPT_IDLE_S + 0.5
    pool.sweep()
    assert all(is_closed(connection) for connection in connections)
    pool.sweep()


def test_a_swept_connection_is_closed_for_the_node_as_well(pool: Pool, start_node: StartNode) -> None:
    ended = threading.Event()

    def script(visit: Visit) -> None:
        assert visit.read(1) == b""
        ended.set()

    connection = pool.acquire(Endpoint("127.0.0.1", start_node(script).port))
    pool.release(connection)
    pool.sweep(max_idle_s=-1.0)
    assert ended.wait(10)


def test_only_so_many_are_kept_for_an_endpoint(pool: Pool, start_node: StartNode, tmp_path: Path) -> None:
    endpoint = Endpoint(start_node(always(OK), path=tmp_path / "s").port, 0)
    connections = [pool.acquire(endpoint) for _ in range(KEPT_PER_ENDPOINT + 3)]
    for connection in connections:
        pool.release(connection)
    assert [is_closed(connection) for connection in connections].count(True) == 3
    pool.close()
    assert all(is_closed(connection) for connection in connections)


def test_a_closed_pool_keeps_nothing(pool: Pool, endpoint: Endpoint) -> None:
    connection = pool.acquire(endpoint)
    pool.release(connection)
    pool.close()
    assert is_closed(connection)
    pool.close()
    fresh = pool.acquire(endpoint)
    assert fresh is not connection
    fresh.close()


def test_a_connection_is_never_given_to_two_threads(pool: Pool, endpoint: Endpoint) -> None:
    held: set[int] = set()
    guard = threading.Lock()
    faults: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(300):
                connection = pool.acquire(endpoint)
                with guard:
                    assert id(connection) not in held
                    held.add(id(connection))
                assert not is_closed(connection)
                with guard:
                    held.remove(id(connection))
                pool.release(connection)
        except BaseException as exc:
            faults.append(exc)

    def sweep() -> None:
        try:
            for _ in range(300):
                pool.sweep(max_idle_s=0.0)
        except BaseException as exc:
            faults.append(exc)

    threads = [threading.Thread(target=run) for run in (use, use, use, use, sweep, sweep)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults


def test_a_node_that_left_is_seen_on_the_kept_connection(pool: Pool, start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        visit.send(b"")

    connection = pool.acquire(Endpoint("127.0.0.1", start_node(script).port))
    pool.release(connection)
    wait_until(connection.stream.peer_is_gone)
