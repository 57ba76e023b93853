# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
from typing import Any

import pytest

from lmcache_frontend.http1.client import Endpoint
from lmcache_frontend.routes.node_addresses import KEPT_S, NodeAddresses


class Names:
    """Stands for the system's look-up: the address that names have now, and how often they were asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.address: str | None = "10.0.0.1"

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked += 1
        if self.address is None:
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, port))]


def test_a_name_is_looked_up_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    names, now_s = Names(), [0.0]
    monkeypatch.setattr(socket, "getaddrinfo", names)
    addresses = NodeAddresses(lambda: now_s[0])
    endpoint = Endpoint("node.lan", 6999)
    assert addresses.of(endpoint) == addresses.of(endpoint) == ["10.0.0.1"]
    assert names.asked == 1
    names.address = None
    now_s[0] = KEPT_S
    assert addresses.of(endpoint) == addresses.of(endpoint) == []
    assert names.asked == 2
    names.address = "::ffff:10.0.0.2"
    assert addresses.of(Endpoint("other.lan", 6999)) == ["10.0.0.2"]
