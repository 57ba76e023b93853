# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from lmcache_frontend.http1.peers import can_look_up, find_owner, owner_of_peer
from tests.helpers.waiting import wait_until

linux = pytest.mark.skipif(not can_look_up(), reason="the table of sockets is Linux's")
little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the lines are of a little-endian machine")

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
REST = "00000000:00000000 00:00000000 00000000"
V4_SERVER = ("127.0.0.1", 8000)
V4_CLIENT = ("127.0.0.1", 52000)
LOOP = "0100007F"
LOOP6 = "00000000000000000000000001000000"
MAPPED = "0000000000000000FFFF00000100007F"
SERVER = "1F40"
CLIENT = "CB20"


def line(local: str, remote: str, uid: int, state: str = "01") -> str:
    return f"   7: {local} {remote} {state} {REST} {uid:5d}        0 31337 1 0000000000000000 20 4 30 10 -1"


@little_endian
@pytest.mark.parametrize(
    ("own", "peer", "lines", "uid"),
    [
        (V4_SERVER, V4_CLIENT, [line(f"{LOOP}:{CLIENT}", f"{LOOP}:{SERVER}", 1000)], 1000),
        (V4_SERVER, V4_CLIENT, [line(f"{LOOP}:{CLIENT}", f"{LOOP}:{SERVER}", 0)], 0),
        (V4_SERVER, V4_CLIENT, [line(f"{MAPPED}:{CLIENT}", f"{MAPPED}:{SERVER}", 1000)], 1000),
        (
            ("::ffff:127.0.0.1", 8000),
            ("::ffff:127.0.0.1", 52000),
            [line(f"{LOOP}:{CLIENT}", f"{LOOP}:{SERVER}", 1000)],
            1000,
        ),
        (
            ("::ffff:127.0.0.1", 8000),
            ("::ffff:127.0.0.1", 52000),
            [line(f"{MAPPED}:{CLIENT}", f"{MAPPED}:{SERVER}", 1000)],
            1000,
        ),
        (("::1", 8000), ("::1", 52000), [line(f"{LOOP6}:{CLIENT}", f"{LOOP6}:{SERVER}", 1000)], 1000),
        (("::1%lo", 8000), ("::1%1", 52000), [line(f"{LOOP6}:{CLIENT}", f"{LOOP6}:{SERVER}", 1000)], 1000),
        # The other end of the same connection, which is ours.
        (V4_SERVER, V4_CLIENT, [line(f"{LOOP}:{SERVER}", f"{LOOP}:{CLIENT}", 7)], None),
        (
            V4_SERVER,
            V4_CLIENT,
            [
                line(f"{LOOP}:{SERVER}", f"{LOOP}:{CLIENT}", 7),
                line(f"{LOOP}:{CLIENT}", f"{LOOP}:1F41", 8),
                line("0200007F:CB20", f"{LOOP}:{SERVER}", 9),
                line(f"{LOOP}:{CLIENT}", f"{LOOP}:{SERVER}", 1000),
            ],
            1000,
        ),
        (("::1", 8000), ("::1", 52000), [line(f"{MAPPED}:{CLIENT}", f"{MAPPED}:{SERVER}", 1000)], None),
        (V4_SERVER, V4_CLIENT, [line(f"{LOOP}:{CLIENT}", f"{MAPPED}:{SERVER}", 1000)], None),
        (V4_SERVER, V4_CLIENT, [], None),
        (V4_SERVER, V4_CLIENT, ["", "   ", "7: x", f"   7: {LOOP}:{CLIENT} {LOOP}:{SERVER} 01"], None),
    ],
)
def test_the_owner_is_found_in_the_table(
    own: tuple[str, int], peer: tuple[str, int], lines: list[str], uid: int | None
) -> None:
    assert find_owner([HEADER, *lines], own=own, peer=peer) == uid


@little_endian
@pytest.mark.parametrize("state", ["02", "03", "04", "05", "06", "07", "08", "09", "0A", "0B", "0C"])
def test_only_an_established_connection_counts(state: str) -> None:
    ended = line(f"{LOOP}:{CLIENT}", f"{LOOP}:{SERVER}", 0, state)
    assert find_owner([HEADER, ended], own=V4_SERVER, peer=V4_CLIENT) is None
    going = line(f"{LOOP}:{CLIENT}", f"{LOOP}:{SERVER}", 1000)
    assert find_owner([HEADER, ended, going], own=V4_SERVER, peer=V4_CLIENT) == 1000


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connection(cleanup: ExitStack, listening: str, connecting: str, **options: Any) -> tuple[socket.socket, Any, Any]:
    """Give the client's socket, and the two ends as the server sees them."""
    family = socket.AF_INET6 if ":" in listening else socket.AF_INET
    try:
        listener = cleanup.enter_context(socket.create_server((listening, 0), family=family, **options))
    except OSError:
        pytest.skip("this machine has no IPv6")
    client = socket.create_connection((connecting, listener.getsockname()[1]), timeout=10)
    cleanup.enter_context(client)
    accepted, peer = listener.accept()
    cleanup.enter_context(accepted)
    return client, accepted.getsockname(), peer


@linux
@pytest.mark.parametrize(
    ("listening", "connecting", "options"),
    [
        ("127.0.0.1", "127.0.0.1", {}),
        ("127.0.0.2", "127.0.0.2", {}),
        ("::1", "::1", {}),
        ("::", "::1", {"dualstack_ipv6": True}),
        ("::", "127.0.0.1", {"dualstack_ipv6": True}),
    ],
)
def test_the_owner_of_a_real_connection_is_us(
    cleanup: ExitStack, listening: str, connecting: str, options: dict[str, bool]
) -> None:
    _, own, peer = connection(cleanup, listening, connecting, **options)
    assert owner_of_peer(own, peer) == os.getuid()


@linux
def test_a_peer_that_has_closed_has_no_owner(cleanup: ExitStack) -> None:
    client, own, peer = connection(cleanup, "127.0.0.1", "127.0.0.1")
    client.close()
    wait_until(lambda: owner_of_peer(own, peer) is None)


@linux
def test_a_connection_that_does_not_exist_has_no_owner(cleanup: ExitStack) -> None:
    _, own, peer = connection(cleanup, "127.0.0.1", "127.0.0.1")
    assert owner_of_peer(own, (peer[0], peer[1] ^ 1)) is None
    assert owner_of_peer(("192.0.2.1", 1), ("192.0.2.2", 2)) is None
    assert owner_of_peer(("2001:db8::1", 1), ("2001:db8::2", 2)) is None


def test_a_system_without_the_table_knows_no_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", no_file)
    assert owner_of_peer(V4_SERVER, V4_CLIENT) is None
