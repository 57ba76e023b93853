# SPDX-License-Identifier: Apache-2.0
"""Keys as bytes, the ranges that prefixes stand for, and the limits that hold for every kind of store. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lmcache_frontend.errors import BadRequest, ContentTooLarge
from lmcache_frontend.store.protocol import Operation, Put

KEY_LIMIT_BYTES = 512
VALUE_LIMIT_BYTES = 1 << 20
# etcd takes 128 operations and 1.5 MiB in one request, keys of comparisons included (--max-txn-ops,
# --max-request-bytes).
OPERATIONS_LIMIT = 100
OPERATIONS_LIMIT_BYTES = 5 << 18


class Span(NamedTuple):
    """The keys from ``start`` up to but without ``end``."""

    start: bytes
    end: bytes


def encoded(key: str) -> bytes:
    """Give a key as bytes.

    Raises: BadRequest where it is empty, too long or not Unicode.
    """
    name = _as_bytes(key)
    if not 1 <= len(name) <= KEY_LIMIT_BYTES:
        raise BadRequest(f"a key of {len(name)} bytes, expected 1 to {KEY_LIMIT_BYTES}")
    return name


def span_of(prefix: str, after: str = "", *, backwards: bool = False) -> Span:
    """Give the keys under a prefix that come after another key in the direction of reading.

    The last byte of UTF-8 is never 0xff, so the prefix with its last byte one higher is where its keys end.
    """
    name = _as_bytes(prefix)
    end = name[:-1] + bytes([name[-1] + 1]) if name else b"\xff"
    if not after:
        return Span(name, end)
    if backwards:
        return Span(name, min(end, _as_bytes(after)))
    return Span(max(name, _as_bytes(after) + b"\0"), end)


def check_limit(limit: int | None) -> None:
    """Check how many entries are asked for.

    Raises: BadRequest.
    """
    if limit is not None and limit < 1:
        raise BadRequest(f"limit is {limit}, expected 1 or more")


def check_operations(operations: Sequence[Operation]) -> None:
    """Check what is to be done in one transaction.

    Raises: BadRequest for a bad key, ContentTooLarge for a value or a sum past its limit, ValueError for what only a
    mistake in our own code can bring: too many operations, one key twice, a time to live that is none.
    """
    if len(operations) > OPERATIONS_LIMIT:
        raise ValueError(f"{len(operations)} operations in one transaction, at most {OPERATIONS_LIMIT} are taken")
    total_bytes = 0
    for operation in operations:
        total_bytes += len(encoded(operation.key))
        if isinstance(operation, Put):
            total_bytes += len(operation.value)
            _check_put(operation)
    if total_bytes > OPERATIONS_LIMIT_BYTES:
        raise ContentTooLarge(f"{total_bytes} bytes in one transaction, at most {OPERATIONS_LIMIT_BYTES} are taken")
    if len({operation.key for operation in operations}) != len(operations):
        raise ValueError("one key twice in a transaction")


def _check_put(operation: Put) -> None:
    if len(operation.value) > VALUE_LIMIT_BYTES:
        raise ContentTooLarge(f"a value of {len(operation.value)} bytes, at most {VALUE_LIMIT_BYTES} are kept")
    if operation.ttl_s is not None and not operation.ttl_s > 0:
        raise ValueError(f"a time to live of {operation.ttl_s} s")


def _as_bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise BadRequest("a key that is not Unicode") from exc
