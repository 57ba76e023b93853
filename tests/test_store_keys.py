# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.errors import BadRequest, ContentTooLarge
from lmcache_frontend.store.keys import Span, check_operations, encoded, span_of
from lmcache_frontend.store.protocol import Delete, Operation, Put


@pytest.mark.parametrize(
    ("prefix", "span"),
    [
        ("", Span(b"", b"\xff")),
        ("a", Span(b"a", b"b")),
        ("a/", Span(b"a/", b"a0")),
        ("\x7f", Span(b"\x7f", b"\x80")),
        ("ÿ", Span(b"\xc3\xbf", b"\xc3\xc0")),
        ("\U0010ffff", Span(b"\xf4\x8f\xbf\xbf", b"\xf4\x8f\xbf\xc0")),
    ],
)
def test_a_prefix_stands_for_a_span(prefix: str, span: Span) -> None:
    assert span_of(prefix) == span


@pytest.mark.parametrize(
    ("after", "backwards", "span"),
    [
        ("a/5", False, Span(b"a/5\0", b"a0")),
        ("a/5", True, Span(b"a/", b"a/5")),
        ("A", False, Span(b"a/", b"a0")),
        ("z", True, Span(b"a/", b"a0")),
        ("z", False, Span(b"z\0", b"a0")),
        ("A", True, Span(b"a/", b"A")),
    ],
)
def test_reading_begins_after_a_key(after: str, backwards: bool, span: Span) -> None:
    assert span_of("a/", after, backwards=backwards) == span


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "a key of 0 bytes, expected 1 to 512"),
        ("k" * 513, "a key of 513 bytes, expected 1 to 512"),
        ("\ud800", "a key that is not Unicode"),
    ],
)
def test_a_bad_key_is_refused(key: str, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        encoded(key)


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan")])
def test_a_time_to_live_that_is_none_is_a_mistake(ttl_s: float) -> None:
    with pytest.raises(ValueError, match="a time to live of"):
        check_operations([Put("a", b"", None, ttl_s)])


def test_sizes_are_checked() -> None:
    with pytest.raises(ContentTooLarge, match="a value of 1048577 bytes, at most 1048576 are kept"):
        check_operations([Put("a", bytes((1 << 20) + 1))])
    fitting: list[Operation] = [Put("a", bytes(1 << 20)), Put("b", bytes((1 << 18) - 3)), Delete("c")]
    check_operations(fitting)
    with pytest.raises(ContentTooLarge, match="1310721 bytes in one transaction, at most 1310720 are taken"):
        check_operations([*fitting, Delete("d")])
