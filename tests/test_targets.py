# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.access import targets
from lmcache_frontend.errors import Forbidden


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "::a9fe:a9fe",
        "::ffff:0:a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "fd20:ce::254",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "100.100.100.200",
        "168.63.129.16",
    ],
)
def test_guarded_addresses_are_refused_and_the_flag_named(address: str) -> None:
    with pytest.raises(Forbidden, match="--allow-target"):
        targets.check_address(address, 80, ())


def test_a_pattern_can_allow_a_guarded_address() -> None:
    targets.check_address("169.254.169.254", 80, ("169.254.169.254:*",))
    targets.check_address("fe80::1", 80, ("[fe80::1]:80",))
    with pytest.raises(Forbidden):
        targets.check_address("169.254.169.254", 81, ("169.254.169.254:80",))


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "8.8.8.8", "64:ff9b::808:808", "2002:a00:1::1"]
)
def test_other_addresses_pass(address: str) -> None:
    targets.check_address(address, 80, ())


@pytest.mark.parametrize(
    ("host", "address", "pattern", "allowed"),
    [
        ("10.0.0.7", "10.0.0.7", "10.0.0.*:69??", True),
        ("10.0.0.7", "10.0.0.7", "10.0.0.*:70??", False),
        ("10.0.0.evil.example", "10.9.9.9", "10.0.0.*:69??", False),
        ("10.0.0.evil.example", "127.0.0.1", "*.0.0.*:69??", True),
        ("node.example", "10.0.0.7", "10.0.0.7:6900", True),
        ("Node.LAN", "10.0.0.7", "node.lan:6900", True),
        ("node.lan", "10.0.0.7", "*.lan:*", True),
        ("node.evil", "10.0.0.7", "*.lan:*", False),
        ("::1", "::1", "[::1]:6900", True),
        ("x", "10.0.0.7", "/10.0.0.7:6900", False),
    ],
)
def test_a_numeric_pattern_is_about_the_address_and_any_other_about_the_name(
    host: str, address: str, pattern: str, allowed: bool
) -> None:
    assert targets.is_address_allowed(host, address, 6900, (pattern,)) is allowed


@pytest.mark.parametrize(
    ("path", "pattern", "allowed"),
    [
        ("/run/lmcache/s_1", "/run/lmcache/*", True),
        ("/run/lmcache/s_1", "/run/lmcache/s_1", True),
        ("/run/LMCache/s_1", "/run/lmcache/*", False),
        ("/run/other", "/run/lmcache/*", False),
        ("/run/other", "*", False),
    ],
)
def test_socket_patterns(path: str, pattern: str, allowed: bool) -> None:
    assert targets.is_socket_allowed(path, (pattern,)) is allowed


@pytest.mark.parametrize(
    ("path", "directory", "inside"),
    [
        ("/tmp/d/s", "/tmp/d", True),
        ("/tmp/d", "/tmp/d", True),
        ("/tmp/dd/s", "/tmp/d", False),
        ("/tmp/s", "/tmp/d", False),
    ],
)
def test_the_socket_directory(path: str, directory: str, inside: bool) -> None:
    assert targets.socket_is_open_to_operators(path, directory) is inside
