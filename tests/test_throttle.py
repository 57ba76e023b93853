# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from lmcache_frontend.access import throttle
from lmcache_frontend.access.throttle import MOST_CLIENTS, MOST_WRONG, Throttle, client_of


def test_a_few_wrong_tokens_are_let_go_and_then_there_is_a_wait() -> None:
    now_s = [50.0]
    wrong = Throttle(lambda: now_s[0])
    assert [wrong.note_wrong("10.0.0.1") for _ in range(MOST_WRONG)] == [0] * MOST_WRONG
    assert wrong.note_wrong("10.0.0.1") == 60
    now_s[0] += 59.5
    assert wrong.note_wrong("10.0.0.1") == 1
    assert wrong.note_wrong("10.0.0.2") == 0
    now_s[0] += 0.5
    assert wrong.note_wrong("10.0.0.1") == 0


def test_a_network_of_ipv6_counts_as_one_client() -> None:
    assert client_of("2001:db8:1:2::3") == client_of("2001:db8:1:2:ffff::1") != client_of("2001:db8:1:3::3")
    assert client_of("10.0.0.1") != client_of("10.0.0.2")
    assert client_of("unknown") == "unknown"


def test_only_so_many_clients_are_remembered() -> None:
    wrong = Throttle(lambda: 0.0)
    for _ in range(MOST_WRONG):
        wrong.note_wrong("first")
    for number in range(MOST_CLIENTS - 1):
        wrong.note_wrong(f"client {number}")
    assert wrong.note_wrong("first") == throttle.WINDOW_S
    wrong.note_wrong("one more")
    assert wrong.note_wrong("first") == 0
