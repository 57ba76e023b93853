# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.errors import UsageError
from lmcache_frontend.store.etcd.address import Address, read_address


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("etcd://h", Address((("h", 2379),), "/lmcache-frontend/"), "etcd://h:2379/lmcache-frontend"),
        ("etcd://h/", Address((("h", 2379),), "/lmcache-frontend/"), "etcd://h:2379/lmcache-frontend"),
        ("etcd://h:1/p", Address((("h", 1),), "/p/"), "etcd://h:1/p"),
        ("etcd://h:1//p/q//", Address((("h", 1),), "/p/q/"), "etcd://h:1/p/q"),
        ("etcd://a.b-c_d:65535,10.0.0.1", Address((("a.b-c_d", 65535), ("10.0.0.1", 2379)), "/lmcache-frontend/"), ""),
        (
            "etcd://[::1]:1,[fe80::2]/p",
            Address((("::1", 1), ("fe80::2", 2379)), "/p/"),
            "etcd://[::1]:1,[fe80::2]:2379/p",
        ),
        ("etcd://u:p@h/x", Address((("h", 2379),), "/x/", "u", "p"), "etcd://h:2379/x"),
        ("etcd://u:@h/x", Address((("h", 2379),), "/x/", "u", ""), "etcd://h:2379/x"),
        ("etcd://u%40:p%3A%2F@@h/a%20b", Address((("h", 2379),), "/a b/", "u@", "p:/@"), "etcd://h:2379/a b"),
    ],
)
def test_an_address_is_read(text: str, address: Address, shown: str) -> None:
    assert read_address(text) == address
    assert not shown or address.shown == shown


def test_a_password_is_never_shown() -> None:
    address = read_address("etcd://user:hidden@h/x")
    assert "hidden" not in f"{address} {address!r} {address.shown}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("etcd:h", "expected etcd://HOST:PORT"),
        ("etcd://", "'' is no member"),
        ("etcd://h,", "'' is no member"),
        ("etcd://h:0", "'h:0' is no member"),
        ("etcd://h:65536", "'h:65536' is no member"),
        ("etcd://h:x", "'h:...' is no member"),
        ("etcd://::1", "':...' is no member"),
        ("etcd://h h", "'h h' is no member"),
        ("etcd://user@h", "expected user:password before the @"),
        ("etcd://:hidden@h", "expected user:password before the @"),
        ("etcd://u:hidden@h:x", "'h:...' is no member"),
        ("etcd://u:hidden", "'u:...' is no member"),
        ("etcd://u:hidden/with/slashes@h/x", "'u:...' is no member"),
        ("etcd://u:hid:den:hidden/1@h/x", "'u:...' is no member"),
        ("etcd://h/p?timeout=1", "no \\? or # in it"),
    ],
)
def test_a_malformed_address_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        read_address(text)
    assert "hidden" not in str(caught.value)
