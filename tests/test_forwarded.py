# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.access.forwarded import Forwarded, is_within, plain_hop, read_forwarded, read_networks

TRUSTED = read_networks(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
        ("203.0.113.9,10.1.1.1 , 10.2.2.2", "203.0.113.9"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("203.0.113.9, unknown", "unknown"),
        ("203.0.113.9, ", "203.0.113.9"),
        ("203.0.113.9:443", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1, fd00::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("", ""),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxys(chain: str, address: str) -> None:
    assert read_forwarded({"x-forwarded-for": chain}, TRUSTED).address == address


def test_host_and_scheme_are_those_that_the_nearest_proxy_wrote() -> None:
    fields = {"x-forwarded-host": "evil.example, front", "x-forwarded-proto": "http, HTTPS"}
    assert read_forwarded(fields, TRUSTED) == Forwarded("", "front", True)
    assert read_forwarded({"forwarded": "for=1.2.3.4;proto=https;host=a"}, TRUSTED) == Forwarded("", "", False)


@pytest.mark.parametrize("hop", ["_hidden", "for=1.2.3.4", "1.2.3", "[::1", "a" * 1000])
def test_what_is_no_address_is_unknown(hop: str) -> None:
    assert plain_hop(hop) == "unknown"


def test_an_address_is_within_networks_of_its_own_family() -> None:
    assert is_within("10.1.2.3", TRUSTED)
    assert is_within("fd12::1", TRUSTED)
    assert not is_within("11.0.0.1", TRUSTED)
    assert not is_within("unknown", TRUSTED)
    assert not is_within("", TRUSTED)
